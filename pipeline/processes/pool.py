"""Several processes that call one function on many things, each of which may kill its process.

concurrent.futures' process pool can't say which call broke it, doesn't stop one that goes on, and
its processes outlive a parent that was killed. Here each process has a thread that waits for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, ParamSpec, TypeVar

from pipeline.processes.child import MEMORY_BYTES, TIMEOUT_SECONDS, Child, CrashError

_MOST_PROCESSES = 8

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Job(Generic[Value]):
    call: Callable[[Child], Value]
    future: Future[Value]


class Pool(Generic[Parameters, Value]):
    """Call `function`, one of a module, in processes that start when there is work for them.

    A call that fails has its error in the future: CrashError where its process died, in all of its
    `tries`, or was late.
    """

    def __init__(
        self,
        function: Callable[Parameters, Value],
        *,
        processes: int | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        tries: int = 2,
    ) -> None:
        self.processes = processes or min(os.cpu_count() or 1, _MOST_PROCESSES)
        self._function = function
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._tries = tries
        self._jobs: SimpleQueue[_Job[Value] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._children: set[Child] = set()
        self._closed = False

    def submit(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Future[Value]:
        """Call it as soon as a process is free. The future of a call not made is cancelled.

        Cancelling a future spares its call unless it has begun.
        """
        future: Future[Value] = Future()
        with self._lock:
            if self._closed:
                future.cancel()
                return future
            self._jobs.put(_Job(lambda child: child.call(self._function, *args, **kwargs), future))
            if len(self._threads) < self.processes:
                # Daemons, so that leaving the program doesn't wait for a call.
                self._threads.append(threading.Thread(target=self._work, daemon=True))
                self._threads[-1].start()
        return future

    def close(self) -> None:
        """End the processes at once, whatever they are doing."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.stop()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        child: Child | None = None
        while job := self._jobs.get():
            child = self._do(job, child)
        self._drop(child)

    def _do(self, job: _Job[Value], child: Child | None) -> Child | None:
        """Make a call; return the child to ask next. One that dies may have died of a neighbour's
        hunger for memory: so the call is made once more.
        """
        if not job.future.set_running_or_notify_cancel():
            return child
        for left in reversed(range(self._tries)):
            try:
                child = self._ready(child)
                if child is None:
                    raise CancelledError
                job.future.set_result(job.call(child))
            except CrashError as error:
                if left and not error.late and not self._closed:
                    continue
                job.future.set_exception(error)
            except Exception as error:
                job.future.set_exception(error)
            return child
        raise AssertionError("the last try has ended")

    def _ready(self, child: Child | None) -> Child | None:
        """Return the child if it may be asked again, else a new one; None once this is closed."""
        if child and child.alive() and not child.tired and not self._closed:
            return child
        self._drop(child)
        with self._lock:
            if self._closed:
                return None
            child = Child(timeout_seconds=self._timeout_seconds, memory_bytes=self._memory_bytes)
            self._children.add(child)
            return child

    def _drop(self, child: Child | None) -> None:
        if child is None:
            return
        with self._lock:
            self._children.discard(child)
        child.close()
