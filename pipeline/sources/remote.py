"""Files from elsewhere as a source: fetched to this machine when their turn comes, then removed
(pictures and scans when the run is over: they are read again as they are sent).

Names, order and what is left out are those of a folder of this machine. What isn't the same: an
older output of this program can't be told from a document there, for its journal lies elsewhere.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path, PurePosixPath

from pipeline.errors import DocumentError, PipelineError, UsageError
from pipeline.places import Place, Stored
from pipeline.processes.pool import Pool
from pipeline.sources.base import Extracted, Source, Wrapper
from pipeline.sources.files.extract import extract_all, extract_several
from pipeline.sources.files.folder import FilesSource, document
from pipeline.sources.files.patterns import Ignore, matcher
from pipeline.sources.files.walk import is_hidden
from pipeline.types import Document

_FETCHES = 8  # at once; one at a time, a store 50 ms away gives 20 files a second
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")
_SEEN_FILES = 1000  # are looked at for the suffixes that an error names


class RemoteFile(Wrapper):
    """A source whose file was fetched."""

    def __init__(self, source: Source, place: Place, mark: str | None) -> None:
        super().__init__(source)
        self._place = place
        self._mark = mark

    def changed(self) -> bool:
        """Return whether another version is there now."""
        try:
            return self._place.mark() != self._mark
        except UsageError:
            return False  # it can't be asked


class RemoteFolder(FilesSource):
    """The files of a folder elsewhere and of all folders in it, put into `fetch_to` for a while.

    A listing is walked through, never held. It is asked for once to read the files, once more to
    count them where they take long to read, and once at the end to see whether it has changed.
    """

    def __init__(
        self,
        place: Place,
        fetch_to: Path,
        *,
        patterns: Sequence[Sequence[str]] = (),
        exclude: Sequence[str] = (),
        excluded: Place | None = None,
    ) -> None:
        super().__init__(place.name)
        self._place = place
        self._fetch_to = fetch_to
        self._patterns = patterns
        self._ignored = Ignore(exclude, "--exclude") if exclude else None
        self._excluded = excluded
        self._read = _Seen()
        self._done = 0
        self._total: int | None = None
        if next(self._list(), None) is None:
            raise self._no_match()

    def __iter__(self) -> Iterator[Document]:
        files = self._noted()
        ahead: deque[_Fetch] = deque()
        outcomes = self._outcomes(files, ahead)
        with closing(outcomes):
            while not self._skimming and (outcome := next(outcomes, None)) is not None:
                fetch = ahead.popleft()
                if not outcome.images:  # images are looked at when they are sent
                    fetch.path.unlink(missing_ok=True)
                if fetch.error:
                    outcome = Extracted(error=str(fetch.error))
                yield self._document(fetch.file, outcome)
        for file in chain((fetch.file for fetch in ahead), files):  # there are some if skimming
            yield self._document(file, Extracted())

    def fraction(self) -> float:
        """Say how many of the files have been read; they are counted first."""
        if self._total is None:
            self._total = sum(1 for _ in self._list())
        return min(1.0, self._done / max(self._total, 1))

    def changed(self) -> bool:
        """Return whether files were added, taken away or written since they were listed."""
        again = _Seen()
        try:
            for file in islice(self._list(), self._read.count + self._read.complete):
                again.add(file)
        except UsageError:
            return False  # it can't be asked
        return again.digest != self._read.digest

    def _list(self) -> Iterator[Stored]:
        wanted = [matcher(*several) for several in self._patterns]
        deep = all(any("/" in p or "**" in p for p in several) for several in self._patterns)
        own = self._excluded.path_in(self._place) if self._excluded else None
        for file in self._place.files(deep=deep):
            if (
                file.path != own
                and not is_hidden(file.path)
                and not (self._ignored and self._ignored.covers(file.path))
                and all(fits(file.path) for fits in wanted)
            ):
                yield file

    def _noted(self) -> Iterator[Stored]:
        """List the files, and note what was listed."""
        try:
            for file in self._list():
                self._read.add(file)
                yield file
        except UsageError as error:  # the run has begun
            raise PipelineError(f"{error}; then run the same command again") from error
        self._read.complete = True
        self._total = self._read.count

    def _outcomes(
        self, files: Iterator[Stored], ahead: deque[_Fetch]
    ) -> Generator[Extracted, None, None]:
        """Fetch and read the files; what is on its way stands in `ahead`."""
        self._readers = Pool(extract_several)
        with closing(self._fetch_all(files, ahead)) as paths:
            yield from extract_all(paths, readers=self._readers)

    def _fetch_all(
        self, files: Iterator[Stored], ahead: deque[_Fetch]
    ) -> Generator[Path, None, None]:
        fetching: deque[tuple[_Fetch, Future[None]]] = deque()
        pool = ThreadPoolExecutor(_FETCHES, thread_name_prefix="fetcher")
        try:
            for number, file in enumerate(files):
                found = _SUFFIX.fullmatch(PurePosixPath(file.path).suffix)
                fetch = _Fetch(file, self._fetch_to / f"{number}{found[0] if found else ''}")
                ahead.append(fetch)
                fetching.append((fetch, pool.submit(fetch.run, self._place)))
                if len(fetching) > _FETCHES:
                    yield _wait(*fetching.popleft())
            while fetching:
                yield _wait(*fetching.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _document(self, file: Stored, outcome: Extracted) -> Document:
        position = self._done
        self._done += 1
        # What was being read as the run ended was, perhaps, stopped halfway.
        return document(position, file.path, Extracted() if self._skimming else outcome)

    def _no_match(self) -> UsageError:
        files = islice(self._place.files(), _SEEN_FILES)
        paths = [PurePosixPath(file.path) for file in files if not is_hidden(file.path)]
        if not paths or not self._patterns:
            return UsageError(
                f"{self._place.address} holds no files to read: check the address "
                "(hidden files and the run's own don't count)"
            )
        suffixes = sorted({path.suffix or path.name for path in paths})
        wanted = " and ".join(" or ".join(several) for several in self._patterns)
        return UsageError(
            f"no file in {self._place.address} matches {wanted}; "
            f"its files end in {', '.join(suffixes[:10])}"
        )


class _Fetch:
    """A file on its way here."""

    def __init__(self, file: Stored, path: Path) -> None:
        self.file = file
        self.path = path
        self.error: DocumentError | None = None

    def run(self, place: Place) -> None:
        try:
            place.fetch(self.path, self.file.path)
        except UsageError as error:
            self.error = DocumentError(str(error))
            self.path.unlink(missing_ok=True)


class _Seen:
    """What has been seen of a listing, in a few bytes."""

    def __init__(self) -> None:
        self.count = 0
        self.complete = False
        self._hash = blake2b()

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    def add(self, file: Stored) -> None:
        self.count += 1
        self._hash.update(repr(tuple(file)).encode())


def _wait(fetch: _Fetch, future: Future[None]) -> Path:
    future.result()
    return fetch.path
