"""Whether refusals are taken for strays, by what was refused."""

from __future__ import annotations

from pipeline.limits.strays import LOOKED_AT, Share, Strays

ALL = [True] * LOOKED_AT


def test_where_all_are_refused_nothing_is_too_unlikely() -> None:
    strays = Strays()
    assert strays.doubt(1.0, Share(24, 24, 1.0), 10.0)
    strays.look(2.0, Share(10, 10, 1.0), ALL[:10])
    assert strays.since
    strays.look(5.0, Share(36, 36, 7.0), ALL[:36])
    assert (strays.found, strays.since, strays.limit) == (False, 0.0, None)


def test_a_limit_that_an_earlier_trial_found_is_not_that_of_a_later_one() -> None:
    strays = Strays()
    assert strays.doubt(1.0, Share(12, 24, 1.0), 24.0)
    strays.look(4.0, Share(0, 36, 3.0), [False] * 36)
    assert (strays.limit, strays.since) == (12.0, 0.0)
    assert strays.suspect(10.0, [False] * 4)
    strays.look(11.0, Share(19, 20, 1.0), ALL[:20])
    assert (strays.limit, strays.since) == (None, 0.0)
