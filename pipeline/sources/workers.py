"""Processes that read a file at a time each: one that kills its reader costs itself only.

concurrent.futures' process pool can't say which file broke it, doesn't stop a file that is being
read, and its processes outlive a parent that was killed. Here each process has a pipe of its own,
and a thread that waits for it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from pipeline.errors import DocumentError
from pipeline.types import Image

Content = str | tuple[Image, ...]
Read = Callable[[Path], Content]
Outcome = Content | DocumentError

_TIMEOUT_SECONDS = 75.0  # the reader of documents gives up by itself after 60, mostly


class Workers:
    """Run `read`, a function of a module, in processes that start when there is work for them."""

    def __init__(
        self, read: Read, *, processes: int | None = None, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        self.processes = processes or os.cpu_count() or 1
        self._read = read
        self._timeout_seconds = timeout_seconds
        self._jobs: SimpleQueue[tuple[Path, Future[Outcome]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._alive: set[_Worker] = set()
        self._closed = False

    def submit(self, path: Path) -> Future[Outcome]:
        """Read a file as soon as a process is free. The future of one that isn't is cancelled."""
        future: Future[Outcome] = Future()
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
            outcome = worker.ask(path, self._timeout_seconds)
            future.set_result(self._bury(worker) if outcome is None else outcome)

    def _ready(self, worker: _Worker | None) -> _Worker | None:
        """Give the worker if it lives, or a new one; None if there are to be none any more."""
        with self._lock:
            if self._closed:
                return None
            if worker and worker.alive():
                return worker
            if worker:
                self._alive.discard(worker)
            worker = _Worker(self._read)
            self._alive.add(worker)
            return worker

    def _bury(self, worker: _Worker) -> DocumentError:
        worker.stop()
        with self._lock:
            self._alive.discard(worker)
        seconds = f"{self._timeout_seconds:g} seconds"
        return DocumentError(f"reading it crashed or took over {seconds}: it may be damaged")


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
