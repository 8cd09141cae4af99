"""The whole door before servers of many kinds, in virtual time."""

from __future__ import annotations

import pytest

from tests.limits import dialects
from tests.limits.asked import SimulatedServer, ask
from tests.limits.grants import Strays
from tests.limits.kinds import KINDS, Kind

LEARNING = 60  # refusals, whatever the rate: what it takes to find out how a server limits


@pytest.mark.parametrize("rate", [20.0, 50.0, 100.0])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_kind_of_server_sees_a_storm_of_requests(kind: Kind, rate: float) -> None:
    count = ask(kind.server(rate), seconds=25)
    assert count.refused <= LEARNING + 0.05 * count.sent
    assert not count.error


@pytest.mark.parametrize("seed", [7, 8, 9, 10, 11])
def test_strays_concern_their_own_row(seed: int) -> None:
    seconds = {}
    for share in (0.0, 0.2):
        server = SimulatedServer(
            Strays(share, 100, seed), dialects.silent, dialects.silent, latency=(0.05, 0.05)
        )
        seconds[share] = ask(server, rows=3000).seconds
    assert seconds[0.2] <= 2 * seconds[0.0] + 1
