"""HTTP/1.1 on one connection: keep-alive and Content-Length, no chunks, no TLS, no streams.

Parsed by hand because the server's CPU is taken from the client that is measured beside it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from .provider import Outcome, Provider, Reply

_CHAT = re.compile(
    rb"POST (?:http://[\w.:-]+)?"  # as a proxy is asked
    rb"(?:(?:/openai)?/v1|/openai/deployments/[\w.-]+)/chat/completions(?:\?[^ ]*)? "
)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {529: "Site Overloaded"}
_DRIPS = 10
FLOOD_BYTES = 10**12  # are promised, and never all sent


class Slots:
    """At most `limit` requests are worked on; the rest wait in order."""

    def __init__(self) -> None:
        self._limit: int | None = None
        self._working = 0
        self._queue: deque[Callable[[], None]] = deque()

    def full(self) -> bool:
        return self._limit is not None and self._working >= self._limit

    def enter(self, start: Callable[[], None]) -> None:
        if self.full():
            self._queue.append(start)
            return
        self._working += 1
        start()

    def leave(self) -> None:
        self._working -= 1
        self._admit()

    def resize(self, limit: int | None) -> None:
        self._limit = limit
        self._admit()

    def forget(self, start: Callable[[], None]) -> bool:
        """Take one who waits out of the line; False if it doesn't wait."""
        try:
            self._queue.remove(start)
        except ValueError:
            return False
        return True

    def _admit(self) -> None:
        while self._queue and not self.full():
            self._working += 1
            # Not at once: a line of replies without latency would nest as deep as it is long.
            asyncio.get_running_loop().call_soon(self._queue.popleft())


class Site(Protocol):
    """What a connection asks of the server that it belongs to."""

    provider: Provider
    slots: Slots

    def arrived(self, connection: Connection) -> bool: ...

    def left(self, connection: Connection) -> None: ...

    def route(self, connection: Connection, head: bytes, body: bytes) -> Reply | None:
        """Answer what isn't a chat request; None where the answer comes later, by `send`."""


class Connection(asyncio.Protocol):
    """One client connection: cuts requests out of its bytes and writes replies, one at a time."""

    def __init__(self, site: Site, *, counted: bool) -> None:
        self.counted = counted
        self._site = site
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = 1
        self._busy = False
        self._met = False
        self._closing = False
        self._working = False
        self._reply: Reply | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flood: Reply | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._site.arrived(self):
            self.reset()

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size >= self._needed and not self._busy:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.left(self)
        self._flood = None
        self._end("abandoned")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._loop.call_soon(self._pour)  # not at once: asyncio would lose the connection twice

    def reset(self) -> None:
        """Break the connection the hard way: the client gets an RST."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def lose(self) -> None:
        """Break it because the server goes away: what is in flight is lost and not billed."""
        self._end("lost")
        self.reset()

    def send(self, reply: Reply) -> None:
        """Write a whole reply and go on with the next request."""
        if self._transport.is_closing():
            return
        headers = self._site.provider.latest_headers(reply)
        self._transport.write(_head(reply, headers) + reply.payload)
        self._next()

    def _advance(self) -> None:
        """Take a whole request off the bytes that are there, if they hold one."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = [data]
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._needed = self._size + 1
            return
        head = data[:end]
        length = _LENGTH.search(head)
        total = end + 4 + (int(length[1]) if length else 0)
        if self._meet(head):
            return
        if self._size < total:
            self._needed = total
            return
        rest = data[total:]
        self._chunks = [rest] if rest else []
        self._size = len(rest)
        self._needed, self._busy, self._met = 1, True, False
        self._handle(head, data[end + 4 : total])

    def _meet(self, head: bytes) -> bool:
        """Look at a request whose body may still be on its way; True if that was its end."""
        if self._met or _CHAT.match(head) is None:
            return False
        self._met = True
        if self._site.provider.resets_unread():
            self.reset()
            return True
        return False

    def _handle(self, head: bytes, body: bytes) -> None:
        if b"lose" in head and _CLOSE.search(head):
            self._closing = True
        if b"hunked" in head and _CHUNKED.search(head):
            self._closing = True
            self.send(Reply(411))
        elif _CHAT.match(head) is not None:
            self._begin(self._site.provider.receive(head, body))
        else:
            reply = self._site.route(self, head, body)
            if reply is not None:
                self.send(reply)

    def _begin(self, reply: Reply) -> None:
        self._reply = reply
        if reply.answers:
            self._site.slots.enter(self._work)
        else:
            self._work()

    def _work(self) -> None:
        if self._reply is None:
            return
        self._working = True
        if self._reply.wait_seconds > 0:
            self._timer = self._loop.call_later(self._reply.wait_seconds, self._respond)
        else:
            self._respond()

    def _respond(self) -> None:
        reply = self._end("sent")
        if reply is None:
            return
        if reply.manner == "whole":
            self.send(reply)
        elif reply.manner == "reset":
            self.reset()
        elif reply.manner == "closed":
            self._transport.close()
        elif reply.manner == "truncated":
            head = _head(reply, self._site.provider.latest_headers(reply))
            self._transport.write(head + reply.payload[: len(reply.payload) // 2])
            self._transport.close()
        elif reply.manner == "flood":
            headers = self._site.provider.latest_headers(reply)
            self._transport.write(_head(reply, headers, FLOOD_BYTES))
            self._flood = reply
            self._pour()
        else:
            self._drip(reply)

    def _end(self, outcome: Outcome) -> Reply | None:
        """Settle the request in flight, whatever became of it."""
        reply, self._reply = self._reply, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if reply is None:
            return None
        self._site.provider.settle(reply, outcome)
        waits = reply.answers and not self._working and self._site.slots.forget(self._work)
        self._working = False
        if reply.answers and not waits:
            self._site.slots.leave()
        return reply

    def _drip(self, reply: Reply) -> None:
        data = _head(reply, self._site.provider.latest_headers(reply)) + reply.payload
        size = -(-len(data) // _DRIPS)
        parts = deque(data[at : at + size] for at in range(0, len(data), size))

        def drop() -> None:
            if self._transport.is_closing():
                return
            self._transport.write(parts.popleft())
            if parts:
                self._loop.call_later(reply.drip_seconds / _DRIPS, drop)
            else:
                self._next()

        drop()

    def _pour(self) -> None:
        """Write the payload of a flood as often as the client takes it."""
        while (reply := self._flood) is not None and not self._paused:
            if self._transport.is_closing():
                return
            self._transport.write(reply.payload)
            self._site.provider.tally.flooded += len(reply.payload)
            if reply.drip_seconds:
                self._loop.call_later(reply.drip_seconds, self._pour)
                return

    def _next(self) -> None:
        self._busy = False
        if self._closing:
            self._transport.close()
        elif self._size:
            self._loop.call_soon(self._again)

    def _again(self) -> None:
        if not self._busy and self._chunks:
            self._advance()


def _head(reply: Reply, headers: dict[str, str], length: int | None = None) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return (
        f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'Error')}\r\n"
        f"content-type: {reply.content_type}\r\n"
        f"content-length: {len(reply.payload) if length is None else length}\r\n"
        f"x-request-id: req_{reply.number}\r\n{lines}\r\n"
    ).encode("latin-1")
