"""Whether the server is there and answers. An outage is a pause: it costs no row an attempt.

Pure: every method is told the time.
"""

from __future__ import annotations

FAILURES = 10  # in a row, with no answer among them
UNREACHABLE = 4  # failures that a connection which can't be had counts for
STRANGER_SECONDS = 8.0  # the patience with a server that never answered and can't be reached
FIRST_PROBE_SECONDS = 0.5
LONGEST_PROBE_SECONDS = 15.0
PATIENCE_SECONDS = 1800.0


class Circuit:
    """Closed while answers come; open after failures in a row, with a probe now and then."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.patience_seconds = patience_seconds
        self.opened_at: float | None = None
        self.answers = 0
        self.refused_at: float | None = None  # for the first time since the last answer
        self.reason = ""
        self._failures = 0
        self._unreachable = False
        self._probe_at = 0.0
        self._probing = False
        self._pause = FIRST_PROBE_SECONDS

    @property
    def open(self) -> bool:
        return self.opened_at is not None

    def expired(self, now: float, in_flight: int = 0) -> bool:
        """Return whether no answer has come for longer than anyone wants to wait."""
        patience = self.patience_seconds
        if self.refused_at is not None and not in_flight and now - self.refused_at > patience:
            return True
        if self._unreachable and not self.answers:
            patience = min(patience, STRANGER_SECONDS)
        return self.opened_at is not None and now - self.opened_at > patience

    def wait(self, now: float) -> float:
        """Return how many seconds until a request may be sent; while one probes, no other may."""
        if not self.open:
            return 0.0
        return self.patience_seconds if self._probing else max(self._probe_at - now, 0.0)

    def take(self) -> None:
        """Send a request."""
        self._probing = self.open

    def leave(self) -> None:
        """Don't send it after all: if it was the probe, another may be."""
        self._probing = False

    def answer(self) -> bool:
        """Note that the server answered; say whether that ends an outage."""
        was_open = self.open
        self.answers += 1
        self._failures = 0
        self.refused_at = None
        self.opened_at, self._probing, self._pause = None, False, FIRST_PROBE_SECONDS
        return was_open

    def refuse(self, now: float, reason: str) -> None:
        """Note that the server is there and says to wait."""
        if self.refused_at is None:
            self.refused_at = now
        self.reason = reason

    def fail(
        self, now: float, reason: str, *, unreachable: bool = False, in_flight: int = 0
    ) -> bool:
        """Note a failure that the server may be to blame for; say whether it begins an outage.
        Errors come sooner than answers: as many as are in flight must have failed.
        """
        self._failures += UNREACHABLE if unreachable else 1
        self._unreachable = unreachable
        self.reason = reason
        if self._failures < max(FAILURES, 0 if self.open else in_flight):
            return False
        begins = not self.open
        if begins:
            self.opened_at = now
        if begins or self._probing:
            self._probing = False
            self._probe_at = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PROBE_SECONDS)
        return begins
