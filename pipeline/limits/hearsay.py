"""What the server says of its limits, and how far that is believed.

A header is a hint, a refusal is a fact. Requests that were refused though the headers had room for
them make the headers worth nothing, after a few such storms. So do requests that were let in though
the headers had none: one is tried now and then where `remaining` never moves, or where the wait
would be long.

Pure: every method is told the time.
"""

from __future__ import annotations

from pipeline.limits.buckets import Bucket, Mark
from pipeline.types import Level, Levels

STRIKES = 2.0  # more storms than this, and the headers are wrong
FORGIVEN = 1 / 300  # of a strike, for each request that was let in
STUCK = 3  # replies in a row that say the same
WORTH_SECONDS = 0.1  # a wait is that such headers are tried for
STUCK_SECONDS = 0.5  # until such headers are tried
HOPELESS_SECONDS = 60.0  # a wait is that isn't begun before a try was refused
LONG_SECONDS = 5.0  # a wait is, that nothing but headers asks for
DOUBT = 4.0  # times as long until the next try, after one that was refused
PLENTY = 2  # times what a request takes, and there was room for it
ENOUGH = 3  # tries that were let in, and the headers are wrong

Marks = tuple[Mark, Mark]


class Hearsay:
    """The limits by the headers; `believed` until they are found wrong."""

    def __init__(self) -> None:
        self.requests = Bucket()
        self.tokens = Bucket()
        self.believed = True
        self._strikes = 0.0
        self._reacted_at = -1.0  # to the latest storm
        self._latest: Levels | None = None
        self._same = 0
        self._taken_at = self._tried_at = 0.0
        self._patience = 1.0  # for tries
        self._trying: Marks | None = None
        self._right = 0

    @property
    def confirmed(self) -> bool:
        """Whether the latest try was refused."""
        return self._patience > 1

    @property
    def known(self) -> bool:
        """Whether the server says anything that is believed."""
        return self.believed and (self.requests.known or self.tokens.known)

    def wait(self, now: float, tokens: float) -> float:
        """Return how many seconds until a request of so many tokens may be sent; 0 is now."""
        seconds = self.told(now, tokens)
        if seconds <= 0 or self._trying is not None:
            return seconds
        if seconds > HOPELESS_SECONDS and not self.confirmed:
            return 0.0 if self.requests.in_flight <= 0 else seconds
        stuck = self._same >= STUCK and seconds >= max(WORTH_SECONDS, self._usual(tokens) / 2)
        if not stuck and seconds < LONG_SECONDS:
            return seconds
        since = self._tried_at if stuck else self._taken_at
        pause = (STUCK_SECONDS if stuck else LONG_SECONDS) * self._patience
        return min(seconds, max(since + pause - now, 0.0))

    def told(self, now: float, tokens: float) -> float:
        """Return how many seconds the headers ask to wait."""
        if not self.believed:
            return 0.0
        return max(self.requests.wait(now, 1.0), self.tokens.wait(now, tokens))

    def _usual(self, tokens: float) -> float:
        """Return how many seconds a request of so many tokens takes to flow in."""
        return max(self.requests.takes(1.0), self.tokens.takes(tokens))

    def overflows(self, tokens: float) -> bool:
        """Return whether a request is larger than the whole bucket of tokens."""
        return self.believed and self.tokens.known and tokens > self.tokens.capacity

    def spares(self, now: float, tokens: float, share: float) -> bool:
        """Return whether this share of each limit is left, besides a request of so many tokens."""
        return not self.believed or all(
            not bucket.known or bucket.level(now) - amount >= bucket.capacity * share
            for bucket, amount in ((self.requests, 1.0), (self.tokens, tokens))
        )

    def take(self, now: float, tokens: float) -> Marks:
        """Send a request."""
        tries = self.told(now, tokens) > 0
        self._taken_at = now
        marks = self.requests.take(now, 1.0), self.tokens.take(now, tokens)
        if tries:
            self._trying, self._tried_at = marks, now
        return marks

    def put(self, now: float, marks: Marks, levels: Levels | None, *, charged: bool) -> None:
        """Note that a request came back, and what its reply says."""
        for bucket, mark in zip((self.requests, self.tokens), marks, strict=True):
            if charged:
                bucket.note(mark)
            else:
                bucket.give_back(now, mark)
        seen = levels or Levels()
        self._compare(levels)
        pairs: tuple[tuple[Bucket, Mark, Level | None], ...] = (
            (self.requests, marks[0], seen.requests),
            (self.tokens, marks[1], seen.tokens),
        )
        for bucket, mark, level in pairs:
            if level is not None:
                bucket.learn(now, mark, level, refused=not charged)

    def _compare(self, levels: Levels | None) -> None:
        """Count the replies that say the same of what remains."""
        if levels is None:
            return
        before, self._latest = self._latest, levels
        same = before is not None and _remaining(before) == _remaining(levels)
        self._same = self._same + 1 if same else 0

    def admit(self, marks: Marks) -> None:
        """Note that a request was let in."""
        self._strikes = max(self._strikes - FORGIVEN, 0.0)
        if marks is self._trying:
            self._trying = None
            self._right += 1
            if self._right >= ENOUGH:
                self.believed = False

    def explains(self, levels: Levels | None, marks: Marks) -> bool:
        """Return whether the headers of a refusal, if believed, have no room for the request."""
        if levels is None or not self.believed:
            return False
        pairs = zip((levels.requests, levels.tokens), marks, strict=True)
        return any(
            level is not None and level.remaining < mark.amount * PLENTY for level, mark in pairs
        )

    def refuse(self, now: float, marks: Marks, sent_at: float) -> None:
        """Note a refusal; each storm of them contradicts the headers, unless it was a try."""
        if self.deny(marks):
            return
        self.requests.refuse()
        self.tokens.refuse()
        if sent_at > self._reacted_at:
            self._reacted_at = now
            self._strikes += 1
            self.believed = self._strikes <= STRIKES

    def deny(self, marks: Marks) -> bool:
        """Note that a request was refused; say whether it was a try."""
        if marks is not self._trying:
            return False
        self._trying, self._right = None, 0
        self._patience *= DOUBT
        return True

    def drop(self, marks: Marks) -> None:
        """Note that it was never known what became of a request."""
        if marks is self._trying:
            self._trying = None


def _remaining(levels: Levels) -> tuple[float | None, ...]:
    return tuple(
        None if level is None else level.remaining for level in (levels.requests, levels.tokens)
    )
