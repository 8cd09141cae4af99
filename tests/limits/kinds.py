"""The kinds of servers: what they grant, what they say, how fast they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.limits import dialects as d
from tests.limits.asked import SimulatedServer
from tests.limits.grants import Bucket, FixedWindow, Grant, SlidingCounter, SlidingLog

QUICK = (0.04, 0.12)
SLOW = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server, at any rate (a second)."""

    name: str
    grant: Callable[[float], Grant]
    dialect: d.Dialect = d.silent
    asks: d.Asks = d.silent
    latency: tuple[float, float] = QUICK

    def server(self, rate: float, seed: int = 1) -> SimulatedServer:
        return SimulatedServer(
            self.grant(rate), self.dialect, self.asks, latency=self.latency, seed=seed
        )


def second(rate: float) -> Bucket:
    return Bucket(rate, rate)


def minute(rate: float) -> Bucket:
    return Bucket(rate, rate * 60, full=0.1)


def window(seconds: float, phase: float = 0.0) -> Callable[[float], Grant]:
    return lambda rate: FixedWindow(rate * seconds, seconds, phase * seconds)


def log(seconds: float) -> Callable[[float], Grant]:
    return lambda rate: SlidingLog(rate * seconds, seconds)


def weighed(seconds: float) -> Callable[[float], Grant]:
    return lambda rate: SlidingCounter(rate * seconds, seconds)


KINDS = (
    Kind("bucket, until whole", second, d.until_whole, d.milliseconds),
    Kind("minute bucket, until whole", minute, d.until_whole, d.whole_seconds),
    Kind("bucket, until next", second, d.until_next, d.whole_seconds),
    Kind("bucket, until next, silent 429", second, d.until_next),
    Kind("bucket, always a minute", second, d.always_a_minute, d.whole_seconds),
    Kind("bucket, a moment", second, d.moment_seconds, d.whole_seconds),
    Kind("bucket, a moment in ms", second, d.moment_milliseconds),
    Kind("bucket, no reset", second, d.no_reset, d.fraction),
    Kind("bucket, stuck", second, d.stuck, d.whole_seconds),
    Kind("bucket, stuck, silent 429", second, d.stuck),
    Kind("bucket, always nothing", second, d.always_nothing, d.whole_seconds),
    Kind("bucket, ten times less", second, d.ten_times_less, d.one_second),
    Kind("bucket, ten times more", second, d.ten_times_more, d.one_second),
    Kind("bucket, zero", second, d.zero, d.with_unit),
    Kind("bucket, NaN", second, d.not_a_number),
    Kind("bucket, plain names", second, d.plain, d.whole_seconds),
    Kind("bucket, retry-after", second, d.silent, d.whole_seconds),
    Kind("bucket, retry-after fraction", second, d.silent, d.fraction),
    Kind("bucket, date", second, d.silent, d.date),
    Kind("bucket, nothing told", second),
    Kind("bucket, nothing told, slow", second, latency=SLOW),
    Kind("minute bucket, nothing told", minute),
    Kind("window, until whole", window(10), d.until_whole, d.whole_seconds),
    Kind("window, until whole, silent 429", window(10), d.until_whole),
    Kind("window, retry-after", window(10), d.silent, d.whole_seconds),
    Kind("window in its middle, retry-after", window(10, 0.6), d.silent, d.whole_seconds),
    Kind("window, nothing told", window(10)),
    Kind("window in its middle, nothing told", window(10, 0.6)),
    Kind("window of a second, nothing told", window(1)),
    Kind("window, slow, retry-after", window(10), d.silent, d.whole_seconds, latency=SLOW),
    Kind("window, stuck", window(10), d.stuck, d.whole_seconds),
    Kind("window, plain names", window(10), d.plain),
    Kind("log, retry-after", log(10), d.silent, d.whole_seconds),
    Kind("log, nothing told", log(10)),
    Kind("log, until whole", log(10), d.until_whole, d.whole_seconds),
    Kind("counter, retry-after", weighed(10), d.silent, d.whole_seconds),
    Kind("counter, nothing told", weighed(10)),
    Kind("counter, until whole", weighed(10), d.until_whole, d.whole_seconds),
)
