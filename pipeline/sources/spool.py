"""An input that can be gone through again, though it is read once: a slot for each document.

What has been read is kept in temporary files that nobody else can see and that are gone with the
process. So a run can plan ahead, ask in several turns and write its rows, and what it writes are
the rows it read, whatever has become of the input since.
"""

from __future__ import annotations

import pickle
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.sources.base import Source
from pipeline.types import Document

NOWHERE = -1
BUFFER_BYTES = 2**16
_SIZE_BYTES = 8

# A document as it is takes twice as long to write down and to read again.
_values = attrgetter(*(field.name for field in fields(Document)))


class Slot:
    """A document's place in the spool: the document, read back if it is needed, and its notes,
    which stay with it. Made of a document alone, it is a place of its own.
    """

    __slots__ = ("_document", "_place", "_spool", "notes")

    def __init__(
        self,
        document: Document | None,
        notes: dict[int, tuple[Any, ...]] | None = None,
        spool: Spool | None = None,
        place: int = 0,
    ) -> None:
        self._document = document
        self._spool = spool
        self._place = place
        self.notes = {} if notes is None else notes

    @property
    def document(self) -> Document:
        if self._document is None:
            assert self._spool is not None
            self._document = self._spool.read(self._place)
        return self._document

    @property
    def characters(self) -> int:
        """Return how long the document's text is, if it is in memory."""
        return 0 if self._document is None else len(self._document.text)

    @property
    def takes_notes(self) -> bool:
        """Return False if nobody will read them."""
        return self._spool is None or not self._spool.last_walk

    def note(self, number: int, values: tuple[Any, ...]) -> None:
        """Keep a note with the document: plain values, under a number."""
        self.notes[number] = values
        if self._spool is not None:
            self._spool.note(self._place, self.notes)


class Spool:
    """Goes through a source as often as wanted; each time may go further than the last.

    What was read lies in `folder`, by default the system's for temporary files. One thread at a
    time may use it. `last_walk` says that nobody will go through it again.
    """

    def __init__(self, source: Source, folder: Path | None = None) -> None:
        self.source = source
        self.complete = False
        self.last_walk = False
        self._rest = iter(source)
        # Each walk reads both from their start to their end: in one file, they would be far apart.
        self._documents, self._notes = _Pile(folder), _Pile(folder)
        # Where each document begins, and its notes; without any, it is NOWHERE.
        self._document_at, self._note_at = array("q"), array("q")

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was read."""
        self._documents.close()
        self._notes.close()

    def __iter__(self) -> Iterator[Slot]:
        """Yield what was read before, then read on."""
        for place in range(len(self._document_at)):
            at = self._note_at[place]
            yield Slot(None, None if at == NOWHERE else self._notes.load(at), self, place)
        for document in self._rest:
            self._document_at.append(self._documents.append(_values(document)))
            self._note_at.append(NOWHERE)
            yield Slot(document, None, self, len(self._document_at) - 1)
        self.complete = True

    @property
    def count(self) -> int:
        """Return how many documents have been read so far."""
        return len(self._document_at)

    def read(self, place: int) -> Document:
        """Read a document back."""
        return Document(*self._documents.load(self._document_at[place]))

    def note(self, place: int, notes: dict[int, tuple[Any, ...]]) -> None:
        """Keep notes with a document, in place of those it had."""
        self._note_at[place] = self._notes.append(notes)


class _Pile:
    """Values that are written down one after the other, in a file that is gone with the process."""

    def __init__(self, folder: Path | None) -> None:
        # `close` closes it. What lies near the last value read needn't be read from the disk.
        self._file = tempfile.TemporaryFile(dir=folder, buffering=BUFFER_BYTES)  # noqa: SIM115
        self._end = 0
        self._at_end = True

    def close(self) -> None:
        """Forget all of it."""
        self._file.close()

    def append(self, values: object) -> int:
        """Write something down; return where it begins."""
        data = pickle.dumps(values, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            if not self._at_end:
                self._file.seek(self._end)
                self._at_end = True
            self._file.write(len(data).to_bytes(_SIZE_BYTES, "little"))
            self._file.write(data)
        except OSError as error:
            raise _full(error) from error
        at, self._end = self._end, self._end + _SIZE_BYTES + len(data)
        return at

    def load(self, at: int) -> Any:
        """Return what begins there."""
        self._at_end = False
        try:
            self._file.seek(at)  # which may write what is in the buffer
            size = int.from_bytes(self._file.read(_SIZE_BYTES), "little")
            return pickle.loads(self._file.read(size))
        except OSError as error:
            raise _full(error) from error


def _full(error: OSError) -> PipelineError:
    """Say what to do if the disk takes no more."""
    return PipelineError(
        f"can't keep the input beside the output ({error.strerror}): free some disk, "
        "then run the same again"
    )
