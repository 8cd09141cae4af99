from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.limits.simulation import ServerBucket, Simulation

SECONDS = 20.0
LEARNED_SECONDS = 5.0  # a few round trips


def simulate(
    *,
    rpm: float,
    tpm: float,
    window_seconds: float,
    full: float,
    cost: tuple[float, float],
    latency: tuple[float, float],
    restart_at: float,
    states_minute: bool,
    seed: int,
) -> Simulation:
    """Play a server with two buckets, each as wide as the window."""
    generator = random.Random(seed)
    requests = ServerBucket(max(rpm / 60 * window_seconds, 1), rpm / 60, 0)
    tokens = ServerBucket(max(tpm / 60 * window_seconds, cost[1]), tpm / 60, 0)
    for bucket in (requests, tokens):
        bucket.states_minute = states_minute
        bucket.level = max(bucket.capacity * full, 1 if bucket is requests else cost[1])
    return Simulation(
        requests,
        tokens,
        costs=lambda: generator.uniform(*cost) // 1,
        to_server=lambda: 0.001 + generator.random() * 0.004,
        to_us=lambda: generator.uniform(*latency),
        restart_at=restart_at,
        learned_at=LEARNED_SECONDS,
    )


limits = st.fixed_dictionaries(
    {
        "rpm": st.floats(300, 6_000),  # a bucket of five requests, at the least
        "tpm": st.floats(300_000, 2_000_000),
        "window_seconds": st.sampled_from([1.0, 10.0, 60.0]),
        "full": st.floats(0, 1),
        "cost": st.tuples(st.integers(1, 200), st.integers(200, 400)),
        "latency": st.tuples(st.floats(0.02, 0.3), st.floats(0.3, 0.8)),
        "restart_at": st.one_of(st.just(float("inf")), st.floats(5, 10)),
        "states_minute": st.booleans(),
        "seed": st.integers(0, 2**16),
    }
)


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(limits)
def test_a_server_that_tells_its_limits_never_refuses_and_never_idles(
    setting: dict[str, object],
) -> None:
    outcome = simulate(**setting).run(SECONDS)  # type: ignore[arg-type]
    assert outcome.refused == 0
    assert min(outcome.unused) <= 0.01
