"""Starting an interpreter in which nothing of the working folder can run.

It is isolated (`python -I`), imports from where this process imports, but for the working folder,
works in an empty folder, and has the few variables of the environment that an interpreter needs:
no key is among them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from pipeline.scratch import Scratch

_KEPT = frozenset(
    # Where libraries are found, where temporary files go, how text is written; what Windows needs.
    {"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"}
    | {"TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}
    | {"SYSTEMROOT", "WINDIR", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS"}
)
_BOOT = """
import sys, json
paths, module = json.loads(sys.argv[1]), sys.argv[2]
del sys.argv[1:3]
sys.path[:] = paths
import importlib
importlib.import_module(module).main(*sys.argv[1:])
"""
_NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows: keeps Ctrl-C away


class Launched:
    """A process that calls the function `main` of a module, with pipes to it and from it.

    A session of its own keeps the terminal's Ctrl-C away from it. It should end when its standard
    input does, which is when this process ends, however that happens.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._folder = Scratch()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, json.dumps(paths()), module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._folder.path,
                env={name: value for name, value in os.environ.items() if name.upper() in _KEPT},
                start_new_session=True,
                creationflags=_NEW_GROUP,
            )
        except BaseException:
            self._folder.remove()
            raise
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input: IO[bytes] = self.process.stdin
        self.output: IO[bytes] = self.process.stdout

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()

    def close(self) -> None:
        """End the process, and leave nothing of it."""
        self.kill()
        self.process.wait()
        for pipe in (self.input, self.output):
            with suppress(OSError):  # what was still to be written has nobody to read it
                pipe.close()
        self._folder.remove()


def paths() -> list[str]:
    """List the folders that modules come from, without the working folder.

    The folder that this package lies in stays, whichever it is: it is where we run from.
    """
    home, here = os.path.realpath(Path(__file__).parents[2]), os.path.realpath(os.curdir)
    folders = [path for path in sys.path if os.path.isabs(path)]
    return [path for path in folders if os.path.realpath(path) != here or here == home]
