"""Processes that read a file at a time each: one that kills its reader costs itself only.

concurrent.futures' process pool can't say which file broke it, doesn't stop a file that is being
read, and its processes outlive a parent that was killed. Here each process has a pipe of its own,
and a thread that waits for it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from pipeline.sources.base import Extracted

Read = Callable[[Path], Extracted]

_TIMEOUT_SECONDS = 60.0
_MEMORY_BYTES = 2_000_000_000  # for a file, over what the process takes by itself
_TIRED_BYTES = 500_000_000  # a process that holds as much after a file is replaced
_MOST_PROCESSES = 8


class Workers:
    """Run `read`, a function of a module, in processes that start when there is work for them.

    A file may take `timeout_seconds`, and its process `memory_bytes` where the system can bound it,
    which Linux can.
    """

    def __init__(
        self,
        read: Read,
        *,
        processes: int | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        memory_bytes: int = _MEMORY_BYTES,
    ) -> None:
        self.processes = processes or min(os.cpu_count() or 1, _MOST_PROCESSES)
        self._read = read
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._jobs: SimpleQueue[tuple[Path, Future[Extracted]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._alive: set[_Worker] = set()
        self._closed = False

    def submit(self, path: Path) -> Future[Extracted]:
        """Read a file as soon as a process is free. The future of one that isn't is cancelled."""
        future: Future[Extracted] = Future()
        with self._lock:
            if self._closed:
                future.cancel()
                return future
            self._jobs.put((path, future))
            if len(self._threads) < self.processes:
                # Daemons, so that leaving the program doesn't wait for a file.
                self._threads.append(threading.Thread(target=self._work, daemon=True))
                self._threads[-1].start()
        return future

    def close(self) -> None:
        """End the processes at once, whatever they are doing."""
        with self._lock:
            self._closed = True
            workers, self._alive = self._alive, set()
        for worker in workers:
            worker.stop()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        worker: _Worker | None = None
        while job := self._jobs.get():
            path, future = job
            try:
                worker = self._ready(worker)
            except OSError as error:  # no more processes, no more memory
                future.set_exception(error)
                continue
            if worker is None:
                future.cancel()
                continue
            extracted = worker.ask(path, self._timeout_seconds)
            if extracted is None or worker.tired:
                worker.stop()
            future.set_result(extracted or Extracted(error=self._cause(worker)))

    def _ready(self, worker: _Worker | None) -> _Worker | None:
        """Give the worker if it lives, or a new one; None if there are to be none any more."""
        with self._lock:
            if self._closed:
                return None
            if worker and worker.alive():
                return worker
            if worker:
                self._alive.discard(worker)
            worker = _Worker(self._read, self._memory_bytes)
            self._alive.add(worker)
            return worker

    def _cause(self, worker: _Worker) -> str:
        if worker.late:
            return f"reading it took over {self._timeout_seconds:g} seconds: it may be damaged"
        memory = f"{self._memory_bytes / 1e9:g} GB"
        return f"reading it crashed or took over {memory} of memory: it may be damaged"


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, read: Read, memory_bytes: int) -> None:
        self.late = False
        self._stopped = False
        self.tired = False
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, read, memory_bytes), daemon=True
        )
        _shield()
        self._process.start()
        theirs.close()

    def ask(self, path: Path, timeout_seconds: float) -> Extracted | None:
        """Have a file read; None if the process died of it or took too long."""
        with suppress(EOFError, OSError):
            self._pipe.send(path)
            if self._pipe.poll(timeout_seconds):
                extracted: Extracted
                extracted, self.tired = self._pipe.recv()
                return extracted
            self.late = True
        return None

    def alive(self) -> bool:
        # An idle process has nothing to say but that it is gone.
        return not self._stopped and not self._pipe.poll()

    def stop(self) -> None:
        self._stopped = True
        self._process.kill()
        self._process.join()


def _shield() -> None:
    """Keep Ctrl-C from the process that this thread starts, from its first moment on."""
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # it starts with the first process, and unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _serve(pipe: Connection, read: Read, memory_bytes: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _bound(memory_bytes)
    with suppress(EOFError, OSError):  # the parent is gone, or done
        while True:
            pipe.send((read(pipe.recv()), _bytes("VmRSS") > _TIRED_BYTES))
    os._exit(0)  # xberg's threads crash an interpreter that ends in order


def _bound(memory_bytes: int) -> None:
    """Bound what the process may take from here on; what asks for more dies, or gets an error."""
    if sys.platform != "linux":
        return
    import resource

    with suppress(ValueError, OSError):  # a lower bound is set already
        limit = _bytes("VmSize") + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _bytes(name: str) -> int:
    """Give what this process has of a kind of memory, by the name that Linux has for it."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
