"""A process that calls functions for us on what strangers made: bounded in time and in memory.

A file that kills its reader, hangs it, or asks for all memory costs itself only. Functions and what
they take and give are pickled; so a function is one of a module.
"""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ParamSpec, TypeVar, cast

from pipeline.errors import DocumentError

TIMEOUT_SECONDS = 60.0
MEMORY_BYTES = 2_000_000_000  # for a call, over what the process takes by itself
TOO_MUCH = "takes more memory than one file may have"

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")


class CrashError(DocumentError):
    """The process died of it, or it took too long (`late`)."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class Child:
    """A process that calls one function after the other. One thread at a time uses it.

    A call may take `timeout_seconds`, and `memory_bytes` where the system can bound it, which Linux
    can. What the function raises is raised here.
    """

    def __init__(
        self, *, timeout_seconds: float = TIMEOUT_SECONDS, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self.tired = False  # it holds much memory: better ended than asked again
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._stopped = threading.Event()
        self._late = False
        self._deadline = math.inf
        # Imported here: the process itself imports this module, too, and starts no other (40 ms).
        from pipeline.processes.launch import Launched

        try:
            self._launched = Launched("pipeline.processes.serve", str(timeout_seconds))
        except OSError as error:  # no more processes, no more memory
            raise CrashError(f"no process can be started to read it: {error.strerror}") from error
        threading.Thread(target=self._watch, daemon=True).start()

    def call(
        self,
        function: Callable[Parameters, Value],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Value:
        """Call a function, return its value. Raise CrashError if the process died or was late."""
        return cast(Value, next(self._ask("value", function, args, kwargs)))

    def iterate(
        self,
        function: Callable[Parameters, Iterator[Value]],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Iterator[Value]:
        """Yield what a function yields, as it comes; the time is that of each item.

        Who stops early stops the process.
        """
        whole = False
        try:
            yield from cast(Iterator[Value], self._ask("items", function, args, kwargs))
            whole = True
        finally:
            if not whole:
                self.stop()

    def alive(self) -> bool:
        """Return whether it can be asked."""
        return not self._stopped.is_set() and self._launched.process.poll() is None

    def stop(self) -> None:
        """End the process at once, whatever it is doing; another thread may do so."""
        self._stopped.set()
        self._launched.kill()

    def close(self) -> None:
        """End the process and leave nothing of it, once nobody uses it any more."""
        self._stopped.set()
        self._launched.close()

    def _ask(self, kind: str, *asked: object) -> Iterator[object]:
        try:
            with self._on_time():
                pickle.dump((kind, self._memory_bytes, *asked), self._launched.input)
                self._launched.input.flush()
            while True:
                with self._on_time():
                    what, value, self.tired = pickle.load(self._launched.output)
                if what == "raised":
                    raise value
                if what == "end":
                    return
                yield value
                if kind == "value":
                    return
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self.stop()
            raise self._crash() from error

    @contextmanager
    def _on_time(self) -> Iterator[None]:
        self._deadline = time.monotonic() + self._timeout_seconds
        try:
            yield
        finally:
            self._deadline = math.inf

    def _watch(self) -> None:
        """Stop the process when it is late. Most calls are shorter than a timer takes to start."""
        while not self._stopped.wait(min(self._left(), self._timeout_seconds)):
            if self._left() <= 0:
                self._late = True
                with suppress(OSError):
                    self.stop()

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _crash(self) -> CrashError:
        if self._late:
            seconds = f"{self._timeout_seconds:g} seconds"
            return CrashError(f"reading it took over {seconds}: it may be damaged", late=True)
        return CrashError(f"reading it crashed or {TOO_MUCH}: it may be damaged")
