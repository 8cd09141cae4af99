"""The server on its event loop: its sockets, its outages, and the paths that steer it.

`/tally`, `/behaviour`, `/outage`, `/stop`, `/start`, `/reset` and `/wait` are answered on the API's
port and on a control port of their own, which outages leave alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import orjson

from .behaviour import Behaviour, dump, load
from .buckets import Clock
from .protocol import Connection, Slots
from .provider import Provider, Reply, Waiter

Outage = Literal["refused", "reset"]
HOST = "127.0.0.1"
_BACKLOG = 4096


class Site:
    """Owns the provider, the listening sockets and the connections. All on one event loop."""

    def __init__(self, behaviour: Behaviour, clock: Clock) -> None:
        self.provider = Provider(behaviour, clock)
        self.slots = Slots()
        self.provider.busy = self.slots.full
        self._connections: set[Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._api: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._resetting = False
        self._end_of_outage: asyncio.TimerHandle | None = None
        self.port = 0
        self.control_port = 0
        self.apply(behaviour)

    async def open(self, port: int) -> None:
        """Bind the API's port (0: a free one) and the control port, and listen."""
        self._held = _bind(port)
        self.port = self._held.getsockname()[1]
        await self.start()
        control = _bind(0)
        self.control_port = control.getsockname()[1]
        self._listeners.append(await self._listen(control, counted=False))

    async def start(self) -> None:
        """Listen on the API's port (again); nothing happens where it does already."""
        self._resetting = False
        if self._end_of_outage is not None:
            self._end_of_outage.cancel()
            self._end_of_outage = None
        if self._held is not None:
            held, self._held = self._held, None
            self._api = await self._listen(held, counted=True)

    async def stop(self) -> None:
        """Refuse connections and break those there are; the port stays ours."""
        if self._api is not None:
            self._api.close()
            self._api = None
            # Bound but not listening: connections are refused, and nobody else gets the port.
            self._held = _bind(self.port)
        self._break()

    async def outage(self, kind: Outage, seconds: float | None) -> None:
        """Be gone for so long, or until `start`."""
        if kind == "refused":
            await self.stop()
        else:
            self._resetting = True
            self._break()
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._end_of_outage = loop.call_later(seconds, self._restart)

    async def close(self) -> None:
        """Leave nothing open."""
        await self.stop()
        if self._end_of_outage is not None:
            self._end_of_outage.cancel()
        if self._held is not None:
            self._held.close()
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.lose()
        await asyncio.sleep(0)  # the transports close their sockets in callbacks

    def apply(self, behaviour: Behaviour) -> None:
        self.provider.apply(behaviour)
        self.slots.resize(behaviour.max_concurrent)

    def arrived(self, connection: Connection) -> bool:
        """Take in a new connection, unless an outage says to reset it."""
        if connection.counted and self._resetting:
            return False
        self._connections.add(connection)
        self.provider.tally.connections += connection.counted
        return True

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def route(self, connection: Connection, head: bytes, body: bytes) -> Reply | None:
        method, target, *_ = head.decode("latin-1").split(" ", 2)
        url = urlsplit(target)
        match method, url.path:
            case "GET", "/v1/models":
                return self.provider.models(head)
            case "GET", "/tally":
                return Reply(200, self.provider.tally.dump())
            case "GET", "/behaviour":
                return Reply(200, dump(self.provider.behaviour))
            case "GET", "/wait":
                self._wait(dict(parse_qsl(url.query)), connection)
                return None
            case "POST", "/behaviour":
                return self._load(body)
            case "POST", "/reset":
                self.provider.reset()
            case "POST", "/start" | "/stop" | "/outage":
                self._steer(url.path, body, connection)
                return None
            case _:
                return Reply(404, b'{"error":{"message":"No such path.","code":"unknown_url"}}')
        return Reply(200, b"{}")

    def wait(self, received: int, billed: int, wake: Callable[[], None]) -> None:
        self.provider.wait(Waiter(received, billed, wake))

    def _wait(self, query: dict[str, str], connection: Connection) -> None:
        received, billed = int(query.get("received", 0)), int(query.get("billed", 0))
        self.wait(received, billed, lambda: connection.send(Reply(200, b"{}")))

    def _load(self, body: bytes) -> Reply:
        try:
            self.apply(load(body))
        except (TypeError, ValueError) as error:
            return Reply(400, orjson.dumps({"error": {"message": str(error)}}))
        return Reply(200, b"{}")

    def _steer(self, path: str, body: bytes, connection: Connection) -> None:
        if path == "/start":
            steps = self.start()
        elif path == "/stop":
            steps = self.stop()
        else:
            asked = orjson.loads(body)
            steps = self.outage(asked["kind"], asked.get("seconds"))
        self._spawn(steps, lambda: connection.send(Reply(200, b"{}")))

    def _restart(self) -> None:
        self._end_of_outage = None
        self._spawn(self.start())

    def _spawn(
        self, steps: Coroutine[None, None, None], then: Callable[[], None] = lambda: None
    ) -> None:
        def end(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            then()

        task = asyncio.get_running_loop().create_task(steps)
        self._tasks.add(task)
        task.add_done_callback(end)

    def _break(self) -> None:
        for connection in [c for c in self._connections if c.counted]:
            connection.lose()

    async def _listen(self, sock: socket.socket, *, counted: bool) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Connection(self, counted=counted), sock=sock, backlog=_BACKLOG
        )


def _bind(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    sock.setblocking(False)
    return sock
