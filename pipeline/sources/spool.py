"""An input that can be gone through again, though it is read once.

What has been read is kept in a temporary file that nobody else can see and that is gone with the
process. So a run can plan ahead, ask in several turns and write its rows, and what it writes are
the rows it read, whatever has become of the input since.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from operator import attrgetter
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.sources.base import Source
from pipeline.types import Document

# A document as it is takes twice as long to write down and to read again.
_values = attrgetter(*(field.name for field in fields(Document)))


class Spool:
    """Goes through a source as often as wanted; each time may go further than the last.

    What was read lies in `folder`, by default the system's for temporary files.
    """

    def __init__(self, source: Source, folder: Path | None = None) -> None:
        self.source = source
        self.complete = False
        self.count = 0
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # `close` closes it
        self._rest = iter(source)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was read."""
        self._file.close()

    def __iter__(self) -> Iterator[Document]:
        """Yield what was read before, then read on. Two such walks must not be mixed."""
        with _keeping():
            self._file.seek(0)
        for _ in range(self.count):
            yield Document(*pickle.load(self._file))
        with _keeping():
            self._file.seek(0, 2)
        for document in self._rest:
            self._write(document)
            yield document
        self.complete = True

    def _write(self, document: Document) -> None:
        with _keeping():
            pickle.dump(_values(document), self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self.count += 1


@contextmanager
def _keeping() -> Iterator[None]:
    """Say what to do when the disk takes no more; going to a place in the file writes, too."""
    try:
        yield
    except OSError as error:
        raise PipelineError(
            f"can't keep the input beside the output ({error.strerror}): free some disk, "
            "then run the same again"
        ) from error
