"""What the run asks of an input, whatever it is; and what is read from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.sources.tables.cells import Style
from pipeline.types import Column, Document, Image

METADATA = ("title", "author", "pages")


class Source(Protocol):
    """An input, read once from start to end.

    `columns` are its own columns, in order; `variables` are what its documents say besides, in
    their `metadata`. `text_column` is where `text` comes from: a column of a table, "document" for
    a folder, or None when a table has no column that is clearly the text.
    `image_column` is where images come from: "document" for a folder, None where there can be none.
    `notices` are what the user should know of how it is read. `style` is how a text table is
    written.
    """

    name: str
    columns: Sequence[Column]
    variables: Sequence[str]
    text_column: str | None
    image_column: str | None
    notices: Sequence[str]
    style: Style | None

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents in order; one that can't be read has its `error` set."""

    def fraction(self) -> float:
        """Say how much of the input has been read, 0 to 1, by bytes or by files."""

    def skim(self) -> None:
        """From here on yield documents without reading their text: the run has ended early."""

    def changed(self) -> bool:
        """Return whether the input is no longer what it was when it was opened."""

    def close(self) -> None:
        """End what still reads it."""


class Wrapper:
    """A source that reads another; what a subclass doesn't say anew is what the other says."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name = source.name
        self.columns = source.columns
        self.variables = source.variables
        self.text_column = source.text_column
        self.image_column = source.image_column
        self.notices = source.notices
        self.style = source.style

    def __iter__(self) -> Iterator[Document]:
        return iter(self._source)

    def fraction(self) -> float:
        return self._source.fraction()

    def skim(self) -> None:
        self._source.skim()

    def changed(self) -> bool:
        return self._source.changed()

    def close(self) -> None:
        self._source.close()


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was read from a file: its text or its images; `error` says why it has neither.

    `pages` are pages or slides. `scanned_pages`, counted from 1, are pictures without a text layer;
    the text is that of the other pages. `left_out` names the parts that weren't read.
    """

    text: str = ""
    title: str = ""
    author: str = ""
    pages: int | None = None
    error: str | None = None
    scanned_pages: tuple[int, ...] = ()
    images: tuple[Image, ...] = ()
    left_out: tuple[str, ...] = ()
