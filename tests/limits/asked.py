"""A server in virtual time, asked by the real lane through the real gate."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from pipeline.backends.base import Server
from pipeline.backends.lanes.live import Live
from pipeline.backends.servers.headers import retry_after
from pipeline.backends.servers.levels import read_levels
from pipeline.costs import FREE, counter
from pipeline.errors import FatalError, LimitError
from pipeline.limits.circuit import Circuit
from pipeline.limits.gate import Gate
from pipeline.limits.window import Window
from pipeline.types import Document, Message, Request, Response, Usage
from tests.limits.dialects import Asks, Dialect
from tests.limits.grants import Grant
from tests.limits.virtual import play

LEARNED_SECONDS = 10.0
MOST_SENT = 40_000
CPU_SECONDS = 0.0005  # what a request takes of our processor


@dataclass(slots=True)
class Count:
    """What came of it. The `late` figures are those after the learning."""

    sent: int = 0
    refused: int = 0
    late_sent: int = 0
    late_refused: int = 0
    late_granted: float = 0.0
    seconds: float = 0.0
    error: str = ""

    @property
    def refused_share(self) -> float:
        return self.refused / max(self.sent, 1)

    @property
    def late_refused_share(self) -> float:
        return self.late_refused / max(self.late_sent, 1)

    @property
    def used_share(self) -> float:
        return (self.late_sent - self.late_refused) / max(self.late_granted, 1e-9)


class SimulatedServer(Server):
    """Takes its time to be reached, to answer, and to be heard; replies overtake each other."""

    name = "simulated"

    def __init__(
        self,
        grant: Grant,
        dialect: Dialect,
        asks: Asks,
        *,
        latency: tuple[float, float],
        network: float = 0.002,
        seed: int = 1,
    ) -> None:
        super().__init__(counter=counter("local"), price=FREE)
        self.grant, self.dialect, self.asks = grant, dialect, asks
        self.count = Count()
        self.learned_at = float("inf")
        self._latency, self._network = latency, network
        self._generator = random.Random(seed)
        self._in_flight = 0

    def body(self, request: Request) -> Mapping[str, object]:
        return {}

    def count_tokens(self, request: Request) -> int:
        return 10

    def size(self, request: Request) -> int:
        return 40

    async def complete(self, request: Request, timeout_seconds: float) -> Response:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._network * self._generator.uniform(0.5, 2))
        now = loop.time()
        late = now >= self.learned_at
        self.count.sent += 1
        assert self.count.sent < MOST_SENT, "a storm"
        self.count.late_sent += late
        admitted = self.grant.admit(now, self._in_flight)
        headers = dict(self.dialect(self.grant, now))
        if not admitted:
            self.count.refused += 1
            self.count.late_refused += late
            headers |= self.asks(self.grant, now)
            await asyncio.sleep(self._network * self._generator.uniform(0.5, 2))
            raise LimitError(
                "HTTP 429: too fast",
                levels=read_levels(headers),
                retry_after_seconds=retry_after(headers),
            )
        self._in_flight += 1
        await asyncio.sleep(self._generator.uniform(*self._latency))
        self._in_flight -= 1
        await asyncio.sleep(self._network * self._generator.uniform(0.5, 2))
        return Response("fine", "stop", "m", Usage(10, 1), levels=read_levels(headers))


def ask(
    server: SimulatedServer,
    *,
    seconds: float = float("inf"),
    rows: int | None = None,
    learned_seconds: float = LEARNED_SECONDS,
    patience_seconds: float = 1800.0,
    concurrency: int | None = None,
) -> Count:
    """Ask for so long, or for so many rows."""
    return play(_ask(server, seconds, rows, learned_seconds, patience_seconds, concurrency))


async def _ask(
    server: SimulatedServer,
    seconds: float,
    rows: int | None,
    learned_seconds: float,
    patience_seconds: float,
    concurrency: int | None,
) -> Count:
    loop = asyncio.get_running_loop()
    began = loop.time()
    gate = Gate(clock=loop.time, circuit=Circuit(patience_seconds), window=Window(concurrency))
    live = Live(server, gate)

    def learned() -> None:
        server.grant.mark(loop.time())
        server.learned_at = loop.time()

    loop.call_later(learned_seconds, learned)
    try:
        async with asyncio.timeout_at(began + seconds if seconds < 1e9 else None):
            async for _ in live.complete_all(_rows(rows)):
                pass
    except TimeoutError:
        server.count.late_granted = server.grant.granted(loop.time())
    except FatalError as error:
        server.count.error = str(error)
    server.count.seconds = loop.time() - began
    return server.count


async def _rows(count: int | None) -> AsyncIterator[Request]:
    number = 0
    while count is None or number < count:
        number += 1
        await asyncio.sleep(CPU_SECONDS)
        yield Request(
            Document(number, str(number), {}, "text"),
            0,
            str(number).encode(),
            "m",
            (Message("user", "text"),),
            {},
            10,
        )
