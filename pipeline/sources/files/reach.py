"""What the cells of an image column may reach: files of one folder, addresses of the open net.

A table comes from somebody, and what its cells name is sent away: nothing else of this machine may
be, and nothing of its network be asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from pipeline.errors import DocumentError
from pipeline.hosts import host_of, is_local, plain_host

MOST_CHARACTERS = 50_000_000  # of an image that stands in its cell
_DATA = re.compile(r"data:image/[\w.+-]+;base64,[\w+/=\s-]+", re.ASCII)


class Reach:
    """Paths start at `folder`, or else at `root`, and lead to files in `root` (`folder` if there is
    none), links resolved. Of the hosts on this machine and its network, only `hosts` may be named.
    """

    def __init__(
        self, folder: Path, *, root: Path | None = None, hosts: Collection[str] = ()
    ) -> None:
        # Absolute: who reads the files works in another folder.
        self._starts = [Path(os.path.abspath(start)) for start in (folder, root) if start]
        self._root = Path(os.path.abspath(root or folder))
        self._real = Path(os.path.realpath(root or folder))
        self._hosts = {plain_host(host) for host in hosts}

    def find(self, text: str) -> Path:
        """Return the path of a file; raise DocumentError if it may not be read."""
        try:
            paths = [Path(os.path.abspath(start / text)) for start in self._starts]
            inside = [path for path in paths if self._holds(path)]
        except ValueError as error:
            raise DocumentError(f"the file can't be read: {error}") from error
        if not inside:
            raise DocumentError(
                f"the file lies outside of {self._root} (use --image-root to allow another folder)"
            )
        return next(filter(os.path.exists, inside), inside[0])

    def _holds(self, path: Path) -> bool:
        # By its name first: to look at a path of Windows may be to log on to its server.
        named = path.is_relative_to(self._root) or path.is_relative_to(self._real)
        return named and Path(os.path.realpath(path)).is_relative_to(self._real)

    def check(self, address: str) -> None:
        """Raise DocumentError if an address may not be handed to the server."""
        if address.startswith("data:"):
            _check_data(address)
            return
        try:
            host = host_of(address)
        except ValueError as error:
            raise DocumentError(f"not an address that is sent: {error}") from error
        if is_local(host) and host not in self._hosts:
            raise DocumentError(
                "an address of this machine or its network is not sent "
                f"(use --image-host {host} to allow it)"
            )


def _check_data(address: str) -> None:
    if len(address) > MOST_CHARACTERS:
        raise DocumentError(f"over {MOST_CHARACTERS // 10**6} MB in one cell")
    if not _DATA.fullmatch(address):
        raise DocumentError("not base64 (data:image/...;base64,...)")
