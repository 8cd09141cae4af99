"""Files of settings, whoever made them: never waited for, never endless, nothing of the system's.

A prompt, labels or an input of a downloaded folder may be a pipe, a link to a device without an
end, or a link to `/proc/self/environ`, which has the key in it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_SYSTEM = ("/proc/", "/sys/")
_DESCRIPTORS = Path("/dev/fd")  # of pipes that the shell makes: <(command)


def read_file(path: Path, most_bytes: int) -> bytes:
    """Return the content of a file, or its beginning of one byte more than `most_bytes`.

    Raises OSError if it can't be read, or is no regular file.
    """
    piped = path.parent == _DESCRIPTORS
    with open(path, "rb", opener=None if piped else _open_now) as file:
        regular = piped or stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if not regular or is_of_system(path):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return file.read(most_bytes + 1)


def is_of_system(path: Path) -> bool:
    """Return whether a path leads, by its links, to what the system tells of its processes."""
    real = os.path.realpath(path)
    return f"{real}/".startswith(_SYSTEM) and not stat.S_ISFIFO(_mode(path))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _open_now(name: str, flags: int) -> int:
    """Open without waiting for who writes to a pipe."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
