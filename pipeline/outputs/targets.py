"""Where an output goes: to a file of this machine, or to an address.

What goes to an address is written here first, and its journal stays here: SQLite needs a disk. The
same address has the same journal, whatever folder the command is given in.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from pipeline.errors import PipelineError, UsageError, needs
from pipeline.outputs.tables import check_output, find_format
from pipeline.places import Place, local_path

_LONGEST_NAME = 100  # what is put behind it must fit, too


class Target(Protocol):
    """Where an output goes. It is written to `path`, and the journal lies beside that."""

    name: str
    path: Path

    def check(self) -> None:
        """Raise UsageError if no table can be written there; leave nothing behind."""

    def exists(self) -> bool:
        """Return whether a file is there already."""

    def deliver(self) -> None:
        """Put what was written where it belongs."""


def open_target(output: str) -> Target:
    """Find out where an output goes."""
    path = local_path(output)
    return LocalTarget(path) if path else RemoteTarget(output)


class LocalTarget:
    """A file of this machine: it is written where it belongs."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.path = path

    def check(self) -> None:
        check_output(self.path)

    def exists(self) -> bool:
        return self.path.exists()

    def deliver(self) -> None:
        """Leave it there."""


class RemoteTarget:
    """An address: what is written is put there at the end, whole or not at all."""

    def __init__(self, output: str) -> None:
        self._place = Place(output)
        self.name = self._place.address
        self.path = _desk(self.name)
        self._there: bool | None = None

    def check(self) -> None:
        find_format(Path(self._place.name))
        self._place.check()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_output(self.path)

    def exists(self) -> bool:
        if self._there is None:
            self._there = self._place.kind() == "file"
        return self._there

    def deliver(self) -> None:
        try:
            self._place.put(self.path)
        except UsageError as error:
            raise PipelineError(
                f"{error}; the answers are safe in the journal: run the same command again"
            ) from error
        finally:
            self.path.unlink(missing_ok=True)
        self._there = True


def _desk(address: str) -> Path:
    """Return the path in the user's own data folder that stands for an address."""
    try:
        from platformdirs import user_data_path
    except ImportError as error:
        raise UsageError(needs(address, "remote")) from error
    folders = [_fit(part) for part in address.replace("://", "/").split("/") if part]
    return user_data_path("document-pipeline", appauthor=False).joinpath("journals", *folders)


def _fit(name: str) -> str:
    """Make a name that any file system takes; what differs stays different."""
    safe = quote(name, safe=" ()+,=@") if name.strip(".") else name.replace(".", "%2E")
    if len(safe) <= _LONGEST_NAME:
        return safe
    return f"{sha256(name.encode()).hexdigest()[:16]}{safe[-_LONGEST_NAME // 2 :]}"
