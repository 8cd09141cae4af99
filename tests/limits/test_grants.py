"""The whole door before servers of many kinds, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limits import dialects
from tests.limits.asked import SimulatedServer, ask
from tests.limits.grants import After, Bucket, Strays
from tests.limits.kinds import KINDS, Kind

LEARNING = 75  # refusals, whatever the rate: what it takes to find out how a server limits
SECONDS = 40.0  # the first ten are for learning
KNOWN = 0.02  # of all requests are refused at most, once the limit is known
USED = 0.8  # of what is granted is used at least: a window that nobody tells is found late


@pytest.mark.parametrize("rate", [20.0, 50.0, 100.0])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_run_keeps_to_what_a_server_of_any_kind_grants(kind: Kind, rate: float) -> None:
    count = ask(kind.server(rate), seconds=SECONDS)
    assert not count.error
    assert count.refused <= LEARNING + KNOWN * count.sent
    assert count.used_share >= USED


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.floats(3, 200),
    st.integers(0, 1000),
    st.sampled_from([(0.01, 0.03), (0.2, 1.5), (0.5, 5.0)]),
)
def test_no_server_sees_a_storm(
    kind: Kind, rate: float, seed: int, latency: tuple[float, float]
) -> None:
    server = SimulatedServer(
        kind.grant(rate), kind.dialect, kind.asks, latency=latency, seed=seed, network=0.01
    )
    count = ask(server, seconds=25)
    assert not count.error
    assert count.refused <= 2 * LEARNING + 0.05 * count.sent


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.3])
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_strays_concern_their_own_row(share: float, seed: int) -> None:
    seconds = [
        ask(
            SimulatedServer(strays, dialects.silent, dialects.silent, latency=(0.05, 0.05)),
            rows=3000,
        ).seconds
        for strays in (Strays(0.0, 100, seed), Strays(share, 100, seed))
    ]
    assert seconds[1] <= seconds[0] / (1 - share) / 0.9 + 1


def test_a_row_waits_as_long_as_its_own_refusal_asks() -> None:
    server = SimulatedServer(
        Strays(0.2, 100), dialects.silent, dialects.one_second, latency=(0.05, 0.05)
    )
    assert ask(server, rows=500).seconds <= 6  # where the unluckiest row is refused four times


@pytest.mark.parametrize("rate", [20.0, 100.0])
def test_a_limit_that_comes_after_strays_is_obeyed(rate: float) -> None:
    grant = After(10.0, Strays(0.1, 1000), Bucket(rate, rate))
    server = SimulatedServer(grant, dialects.silent, dialects.silent, latency=(0.05, 0.05))
    count = ask(server, seconds=60, learned_seconds=30)
    assert count.late_refused_share <= KNOWN
    assert count.used_share >= USED
    assert count.refused <= 0.12 * count.sent + LEARNING


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_a_limit_that_changes_is_found_again(factor: float) -> None:
    grant = After(15.0, Bucket(50, 50), Bucket(50 * factor, 50 * factor))
    server = SimulatedServer(grant, dialects.silent, dialects.silent, latency=(0.05, 0.05))
    count = ask(server, seconds=90, learned_seconds=60)
    assert count.late_refused_share <= KNOWN
    assert count.used_share >= USED
