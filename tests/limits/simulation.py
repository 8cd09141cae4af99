"""A server's buckets and our picture of them in simulated time: nothing waits, nothing is sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.limits.buckets import Bucket, Mark
from pipeline.types import Level
from tests.limits.events import Events


@dataclass(slots=True)
class ServerBucket:
    """A token bucket as a server keeps it. Some state the limit of a minute, whatever its size."""

    capacity: float
    rate: float
    level: float
    then: float = 0.0
    states_minute: bool = False

    def at(self, now: float) -> float:
        self.level = min(self.capacity, self.level + (now - self.then) * self.rate)
        self.then = now
        return self.level

    def seen(self) -> Level:
        """Tell the level as the headers do: whole tokens, whole milliseconds."""
        reset = (self.capacity - self.level) / self.rate
        limit = self.rate * 60 if self.states_minute else self.capacity
        return Level(limit, math.floor(self.level), math.ceil(reset * 1000) / 1000)


@dataclass(slots=True)
class Outcome:
    """What came of a simulation. `unused` are the shares of what flowed in and overflowed, once the
    limits could be known: from `learned_at` on.
    """

    sent: int = 0
    refused: int = 0
    unused: tuple[float, ...] = ()
    seconds: float = 0.0


class Simulation:
    """Sends as fast as both pictures allow, for some time, with a network that takes its own."""

    def __init__(
        self,
        requests: ServerBucket,
        tokens: ServerBucket,
        *,
        costs: Callable[[], float],
        to_server: Callable[[], float],
        to_us: Callable[[], float],
        restart_at: float = math.inf,
        learned_at: float = 0.0,
    ) -> None:
        self.servers = (requests, tokens)
        self.pictures = (Bucket(), Bucket())
        self.overflowed = [0.0, 0.0]
        self._costs = costs
        self._to_server = to_server
        self._to_us = to_us
        self._restart_at = restart_at
        self._learned_at = learned_at
        self._events = Events()
        self.outcome = Outcome()
        self._answered = False

    def run(self, seconds: float) -> Outcome:
        """Send for this long; then say what was refused and what was left unused."""
        now, cost, free_at = 0.0, self._costs(), 0.0
        while now < seconds:
            wait = max(self._wait(now, cost), free_at - now)
            upcoming = self._events.upcoming
            first_alone = not self._answered and self.outcome.sent > 0
            if wait > 1e-9 or first_alone:
                now = min(upcoming, seconds) if first_alone else min(now + wait, upcoming, seconds)
                self._events.play(now)
                continue
            self._send(now, cost)
            cost, free_at = self._costs(), now + 0.0005  # what a request takes of our processor
        self._events.play(now)
        self.outcome.seconds = seconds
        self.outcome.unused = tuple(
            over / (server.rate * (seconds - self._learned_at))
            for over, server in zip(self.overflowed, self.servers, strict=True)
        )
        return self.outcome

    def _wait(self, now: float, cost: float) -> float:
        return max(self.pictures[0].wait(now, 1.0), self.pictures[1].wait(now, cost))

    def _send(self, now: float, cost: float) -> None:
        amounts = (1.0, cost)
        marks = [
            picture.take(now, amount)
            for picture, amount in zip(self.pictures, amounts, strict=True)
        ]
        self.outcome.sent += 1
        self._events.at(now + self._to_server(), lambda at: self._arrive(at, amounts, marks))

    def _arrive(self, now: float, amounts: tuple[float, ...], marks: list[Mark]) -> None:
        for place, server in enumerate(self.servers):
            grown = server.level + (now - server.then) * server.rate
            if now > self._learned_at:
                self.overflowed[place] += max(grown - server.capacity, 0.0)
            server.at(now)
        if now >= self._restart_at:
            self._restart_at = math.inf
            for server in self.servers:
                server.level = server.capacity / 2
        admitted = all(
            server.level >= amount - 1e-9
            for server, amount in zip(self.servers, amounts, strict=True)
        )
        if admitted:
            for server, amount in zip(self.servers, amounts, strict=True):
                server.level -= amount
        else:
            self.outcome.refused += 1
        seen = [server.seen() for server in self.servers]
        self._events.at(now + self._to_us(), lambda at: self._reply(at, admitted, seen, marks))

    def _reply(self, now: float, admitted: bool, seen: list[Level], marks: list[Mark]) -> None:
        self._answered = True
        for picture, level, mark in zip(self.pictures, seen, marks, strict=True):
            if admitted:
                picture.note(mark)
            else:
                picture.refuse()
                picture.give_back(now, mark)
            picture.learn(now, mark, level)
