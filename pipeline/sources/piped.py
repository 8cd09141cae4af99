"""What comes in on standard input: a table if it looks like one, otherwise one document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.errors import DocumentError, UsageError
from pipeline.sources.base import METADATA
from pipeline.sources.decoding import decode, examine
from pipeline.sources.tables.cells import RowLines, Style, read_rows
from pipeline.sources.tables.inputs import PipedInput
from pipeline.sources.tables.jsonl import parse_object
from pipeline.sources.tables.styles import find_delimiter
from pipeline.sources.tables.table import Dialect
from pipeline.types import Column, Document


class PipedDocument:
    """Standard input as one document of plain text."""

    columns: Sequence[Column] = (Column("document", "text"),)
    variables: Sequence[str] = METADATA
    notices: Sequence[str] = ()
    style: Style | None = None

    def __init__(self, piped: PipedInput) -> None:
        self.name = piped.name
        self.text_column: str | None = "document"
        self.image_column: str | None = None
        self._piped = piped
        self._skimming = False
        self._done = 0.0

    def __iter__(self) -> Iterator[Document]:
        text, error = "", None
        if not self._skimming:
            try:
                with self._piped.open() as raw:
                    text = decode(raw.read())
            except DocumentError as refused:
                error = str(refused)
        self._done = 1.0
        metadata = dict.fromkeys(METADATA)
        yield Document(0, self.name, {"document": self.name}, text, error, metadata=metadata)

    def fraction(self) -> float:
        """Say whether it has been read."""
        return self._done

    def skim(self) -> None:
        """From here on don't read it."""
        self._skimming = True

    def changed(self) -> bool:
        """Say no: what was piped in can't change."""
        return False

    def close(self) -> None:
        """Do nothing: it is read at once."""


def sniff(piped: PipedInput, dialect: Dialect) -> str | None:
    """Name the suffix that a table on standard input would have; None if it is plain text."""
    with piped.open() as raw:
        script = examine(raw, piped.name, dialect.encoding, dialect.encoding_errors)
    with piped.lines(script.encoding, script.errors) as lines:
        first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise UsageError("standard input is empty; pipe a table or a text into it, or name a file")
    if dialect.delimiter is not None:
        return ".csv"
    if parse_object(first) is not None:
        return ".jsonl"
    if dialect.header_row is not None:
        return ".csv"
    delimiter = find_delimiter(first)
    if delimiter is None:
        return None
    with piped.lines(script.encoding, script.errors) as lines:
        rows = RowLines(lines, piped.name, 1, delimiter)
        counts = []
        for cells, _ in read_rows(rows, Style(delimiter=delimiter)):
            counts += [len(cells)] if cells else []
            rows.proceed()
            if len(counts) == 2:
                break
    # Prose has commas too, but seldom as many in its second line.
    return ".csv" if len(counts) == 2 and counts[0] == counts[1] else None
