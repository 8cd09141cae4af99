from __future__ import annotations

import pytest

from tests.limits.silence import Silence
from tests.limits.simulation import ServerBucket

SECONDS = 30.0


@pytest.mark.parametrize("rate", [5.0, 50.0, 500.0])
@pytest.mark.parametrize("burst_seconds", [1.0, 5.0])
def test_the_rate_of_a_silent_server_is_found_from_few_refusals(
    rate: float, burst_seconds: float
) -> None:
    bucket = ServerBucket(rate * burst_seconds, rate, rate * burst_seconds)
    server = Silence(bucket=bucket)
    server.run(SECONDS)
    assert not server.pace.stray
    assert server.refused <= 150 + 0.02 * server.answered
    assert server.answered >= 0.93 * (bucket.capacity + rate * SECONDS)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_stray_refusals_dont_slow_the_others(share: float) -> None:
    server, free = Silence(stray=share), Silence()
    server.run(SECONDS)
    free.run(SECONDS)
    assert server.answered >= 0.5 * free.answered


def test_a_limit_that_comes_after_strays_is_obeyed() -> None:
    server = Silence(stray=0.1)
    server.run(SECONDS)
    assert server.pace.stray
    server.stray, server.bucket = 0.0, ServerBucket(50, 50, 50, then=SECONDS)
    refused, answered = server.refused, server.answered
    server.run(2 * SECONDS, now=SECONDS)
    assert not server.pace.stray
    assert server.refused - refused <= 300
    assert server.answered - answered >= 0.9 * 50 * SECONDS
