"""Processes that read a file at a time each: one that kills its reader costs itself only.

concurrent.futures' process pool can't say which file broke it, doesn't stop a task that is running,
and its processes outlive a parent that was killed; each of them here has a pipe of its own instead.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from pipeline.errors import DocumentError

Read = Callable[[Path], str]
Outcome = str | DocumentError

STOPPED = "not read: the run ended early"


class Workers:
    """Run `read`, a function of a module, in processes that start when there is work for them."""

    def __init__(
        self, read: Read, *, processes: int | None = None, timeout_seconds: float = 75.0
    ) -> None:
        self.processes = processes or os.cpu_count() or 1
        self._read = read
        self._timeout_seconds = timeout_seconds
        # A thread waits for each process.
        self._threads = ThreadPoolExecutor(self.processes, "read")
        self._lock = threading.Lock()
        self._alive: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._closed = False

    def submit(self, path: Path) -> Future[Outcome]:
        """Read a file as soon as a process is free."""
        with self._lock:
            if not self._closed:
                return self._threads.submit(self._run, path)
        stopped: Future[Outcome] = Future()
        stopped.cancel()
        return stopped

    def close(self) -> None:
        """End the processes at once, whatever they are doing."""
        with self._lock:
            self._closed = True
            workers, self._alive = self._alive, set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.stop()
        self._threads.shutdown()

    def _run(self, path: Path) -> Outcome:
        worker = self._take()
        if worker is None:
            return DocumentError(STOPPED)
        outcome = worker.ask(path, self._timeout_seconds)
        if outcome is not None:
            self._idle.append(worker)
            return outcome
        with self._lock:
            self._alive.discard(worker)
        worker.stop()
        return DocumentError(
            f"reading it crashed or took over {self._timeout_seconds:g} seconds: it may be damaged"
        )

    def _take(self) -> _Worker | None:
        with self._lock:
            if self._closed:
                return None
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    return worker
                self._alive.discard(worker)
            worker = _Worker(self._read)
            self._alive.add(worker)
            return worker


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, read: Read) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, read), daemon=True)
        _shield()
        self._process.start()
        theirs.close()

    def ask(self, path: Path, timeout_seconds: float) -> Outcome | None:
        """Have a file read; None if the process died of it or took too long."""
        with suppress(EOFError, OSError):
            self._pipe.send(path)
            if self._pipe.poll(timeout_seconds):
                outcome: Outcome = self._pipe.recv()
                return outcome
        return None

    def alive(self) -> bool:
        return not self._pipe.poll()  # an idle process has nothing to say but that it is gone

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


def _shield() -> None:
    """Keep Ctrl-C from the process that this thread starts, from its first moment on."""
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # it starts with the first process, and unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _serve(pipe: Connection, read: Read) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    with suppress(EOFError, OSError):  # the parent is gone, or done
        while True:
            path = pipe.recv()
            try:
                outcome: Outcome = read(path)
            except DocumentError as error:
                outcome = error
            pipe.send(outcome)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
