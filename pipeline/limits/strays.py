"""Whether refusals concern their own request only, which is tried.

Some servers refuse now and then for no limit at all: a busy replica behind a balancer. Then going
slower doesn't help. So what is refused at one rate is compared with what is refused at a lower one:
of a limit nothing should be, or less by all that is sent less; of strays it is the same share.

Pure: every method is told the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LET_IN = 0.25  # of those sent in the same moment, and a refusal may be a stray
BESIDE = 4  # that were sent in the same moment, to tell
ENOUGH = 8  # refusals, to compare shares
LOOKED_AT = 400  # requests, if there are fewer refusals
LONGER = 1.5  # the second look is, so that chance decides less
AS_LIMIT = 0.25  # of the way from what a limit would refuse to what strays would
FEW, MANY = 24, 400  # requests, of which `ENOUGH` are refused though a rate is kept to
MOST = 0.7  # of all are refused, for strays
LOWER = 0.9  # of what was let in, and there should be no refusals
HALF = 0.5  # of a rate that is kept to
WATCHED = 60  # requests, when strays are known
MORE = 0.25  # than the share of strays is refused, and there is a limit after all
UNLIKELY = 1e-5  # by chance: so many refusals in a row, and at the least
IN_A_ROW = 8


@dataclass(frozen=True, slots=True)
class Share:
    """How many of so many requests were refused, in a time."""

    refused: int
    sent: int
    seconds: float

    @property
    def of_all(self) -> float:
        return self.refused / max(self.sent, 1)

    @property
    def sent_rate(self) -> float:
        return self.sent / max(self.seconds, 1e-3)

    @property
    def let_in_rate(self) -> float:
        return (self.sent - self.refused) / max(self.seconds, 1e-3)


class Strays:
    """`found` says that refusals mean nothing for other requests; a `trial` excuses them, too."""

    def __init__(self) -> None:
        self.found = False
        self.since = 0.0  # the trial began, or strays were found
        self.rate: float | None = None  # at which the trial sends
        self.limit: float | None = None  # that a trial has found
        self._share = 0.0  # of requests that are strays
        self._before: Share | None = None

    def suspect(self, now: float, beside: Sequence[bool]) -> bool:
        """Begin a trial if of the requests sent beside one that was refused most were let in."""
        if len(beside) < BESIDE or sum(beside) > (1 - LET_IN) * len(beside):
            return False
        self._begin(now, None, None)
        return True

    def doubt(self, now: float, share: Share, rate: float) -> bool:
        """Begin a trial if many are refused though a rate is kept to."""
        if share.refused < ENOUGH:
            return False
        self._begin(now, rate * HALF, share)
        return True

    def _begin(self, now: float, rate: float | None, before: Share | None) -> None:
        self.since, self.rate, self._before, self.limit = now, rate, before, None

    def look(self, now: float, share: Share, latest: Sequence[bool]) -> None:
        """Judge by the requests since then; `latest` are those last sent."""
        if self.found:
            self._watch(latest)
        elif self._before is None:
            if share.refused >= ENOUGH or share.sent >= LOOKED_AT:
                self._try_slower(now, share)
        elif _is_unlikely(latest, self._before.of_all):
            self._give_up(self._before)
        elif share.refused >= 2 * ENOUGH or share.sent >= self._before.sent * LONGER:
            self._compare(self._before, share)

    def _try_slower(self, now: float, share: Share) -> None:
        if share.of_all > MOST:
            self.since = 0.0
        elif share.refused < ENOUGH / 4:
            self._find(share)
        else:
            self.since, self._before = now, share
            self.rate = share.let_in_rate * LOWER

    def _compare(self, before: Share, share: Share) -> None:
        as_strays = before.of_all
        as_limit = max(1 - before.let_in_rate / share.sent_rate, 0.0)
        between = as_limit + AS_LIMIT * (as_strays - as_limit)
        if between < share.of_all < as_strays + MORE:
            self._find(Share(before.refused + share.refused, before.sent + share.sent, 1))
        else:
            self._give_up(before)

    def _give_up(self, before: Share) -> None:
        """End the trial: it is a limit, of which nothing new is known if nothing was let in."""
        self.limit, self.since = before.let_in_rate or None, 0.0

    def _find(self, share: Share) -> None:
        self.found, self.rate = True, None
        self._share = share.of_all

    def _watch(self, latest: Sequence[bool]) -> None:
        """Notice when there is a limit after all."""
        many = len(latest) >= WATCHED and sum(latest[-WATCHED:]) > (self._share + MORE) * WATCHED
        if many or _is_unlikely(latest, self._share):
            self.found, self.since = False, 0.0


def _is_unlikely(latest: Sequence[bool], share: float) -> bool:
    """Return whether so many in a row are refused as chance doesn't, if this share is."""
    if share >= 1:
        return False
    count = max(math.ceil(math.log(UNLIKELY) / math.log(share)), IN_A_ROW) if share else IN_A_ROW
    return len(latest) >= count and all(latest[-count:])
