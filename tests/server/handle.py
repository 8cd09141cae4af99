"""How tests and benchmarks hold the server: in a thread of theirs, or in a process of its own.

Both have the same verbs; only the thread takes functions in its behaviour and a clock.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import http.client
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson

from .behaviour import Behaviour, dump
from .buckets import Clock
from .site import HOST, Outage, Site
from .tally import Tally

T = TypeVar("T")
_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 30.0


class Handle(ABC):
    """A server that is running between `with` and its end."""

    port: int = 0

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self._behaviour = behaviour or Behaviour()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"

    @property
    def behaviour(self) -> Behaviour:
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        """Set what it does from the next request on."""
        self._apply(behaviour)
        self._behaviour = behaviour

    def change(self, **changes: object) -> None:
        """Set parts of the behaviour, such as `change(latency_seconds=0.2)`."""
        self.behaviour = dataclasses.replace(self._behaviour, **changes)  # type: ignore[arg-type]

    @property
    @abstractmethod
    def tally(self) -> Tally:
        """Take a snapshot of the counts."""

    @abstractmethod
    def start(self) -> None:
        """Start it, or listen again after `stop` or an outage, on the same port."""

    @abstractmethod
    def stop(self) -> None:
        """Break all connections and refuse new ones until `start`; the tally is kept."""

    @abstractmethod
    def outage(self, kind: Outage = "refused", seconds: float | None = None) -> None:
        """Be gone for so long, or until `start`. What is in flight is lost and not billed."""

    @abstractmethod
    def reset(self) -> None:
        """Begin the tally and the numbers of the requests again."""

    @abstractmethod
    def wait(
        self, *, received: int = 0, billed: int = 0, timeout_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        """Block until so many requests have been received and billed, or raise TimeoutError."""

    @abstractmethod
    def close(self) -> None:
        """End it and leave nothing open."""

    @abstractmethod
    def _apply(self, behaviour: Behaviour) -> None: ...


class Server(Handle):
    """A server in a thread of this process. `clock` is that of its limits."""

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        port: int = 0,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(behaviour)
        self.port = port
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._site: Site
        self._errors: list[Exception] = []

    @staticmethod
    def process(behaviour: Behaviour | None = None, *, port: int = 0) -> ServerProcess:
        """Make one in a process of its own, so that its CPU is not counted as this one's."""
        return ServerProcess(behaviour, port=port)

    @property
    def tally(self) -> Tally:
        return self._call(lambda: self._site.provider.tally.copy())

    def start(self) -> None:
        if self._loop is not None:
            self._run(self._site.start())
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="test server", daemon=True
        )
        self._loop.set_exception_handler(self._note)
        self._thread.start()
        self._site = self._call(lambda: Site(self._behaviour, self._clock))
        self._run(self._site.open(self.port))
        self.port = self._site.port

    def stop(self) -> None:
        self._run(self._site.stop())

    def outage(self, kind: Outage = "refused", seconds: float | None = None) -> None:
        self._run(self._site.outage(kind, seconds))

    def reset(self) -> None:
        self._call(self._site.provider.reset)

    def wait(
        self, *, received: int = 0, billed: int = 0, timeout_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        reached = threading.Event()
        self._call(lambda: self._site.wait(received, billed, reached.set))
        if not reached.wait(timeout_seconds):
            raise TimeoutError(f"received {self.tally.received}, billed {self.tally.billed}")

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._run(self._site.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None
        if self._errors:
            raise self._errors[0]

    def _apply(self, behaviour: Behaviour) -> None:
        self._call(lambda: self._site.apply(behaviour))

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what broke in the server, such as a test's `answer`, so that `close` raises it."""
        error = context.get("exception")
        self._errors.append(
            error if isinstance(error, Exception) else RuntimeError(context["message"])
        )

    def _call(self, act: Callable[[], T]) -> T:
        async def acted() -> T:
            return act()

        return self._run(acted())

    def _run(self, steps: Coroutine[object, object, T]) -> T:
        assert self._loop is not None, "the server has not been started"
        future: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(steps, self._loop)
        return future.result(_PATIENCE_SECONDS)


class ServerProcess(Handle):
    """A server in a process of its own, steered over its control port; it ends with this one."""

    def __init__(self, behaviour: Behaviour | None = None, *, port: int = 0) -> None:
        super().__init__(behaviour)
        self.port = port
        self._control_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server has not been started"
        return self._process.pid

    @property
    def tally(self) -> Tally:
        return Tally.load(self._ask("GET", "/tally"))

    def start(self) -> None:
        if self._process is not None:
            self._ask("POST", "/start")
            return
        given = ["--port", str(self.port), "--behaviour", dump(self._behaviour).decode()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.server", "--with-stdin", *given],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port, self._control_port = self._ports(), self._ports()

    def stop(self) -> None:
        self._ask("POST", "/stop")

    def outage(self, kind: Outage = "refused", seconds: float | None = None) -> None:
        self._ask("POST", "/outage", orjson.dumps({"kind": kind, "seconds": seconds}))

    def reset(self) -> None:
        self._ask("POST", "/reset")

    def wait(
        self, *, received: int = 0, billed: int = 0, timeout_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        path = f"/wait?received={received}&billed={billed}"
        self._ask("GET", path, timeout_seconds=timeout_seconds)

    def close(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        self._process.communicate()
        self._process = None

    def _apply(self, behaviour: Behaviour) -> None:
        self._ask("POST", "/behaviour", dump(behaviour))

    def _ports(self) -> int:
        """Read the port out of the next line that the process prints."""
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if not line:
            raise RuntimeError("the server process ended before it listened")
        return int(line.removeprefix(f"http://{HOST}:").partition("/")[0])

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        timeout_seconds: float = _PATIENCE_SECONDS,
    ) -> bytes:
        connection = http.client.HTTPConnection(HOST, self._control_port, timeout=timeout_seconds)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"{method} {path}: {response.status} {data.decode()}")
        return data
