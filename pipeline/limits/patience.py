"""How long the server asks to wait, in its words, and whether the user does.

Pure: every method is told the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.errors import FatalError, TransientError
from pipeline.limits.circuit import Circuit
from pipeline.limits.moments import duration, moment

TOLD_SECONDS = 60.0  # a wait is longer than this, and the user is told why


class Patience:
    """Waits up to `seconds`."""

    def __init__(self, circuit: Circuit, note: Callable[[str], None]) -> None:
        self._circuit = circuit
        self._note = note
        self._asked_until = 0.0
        self._words = ""
        self._told_until = 0.0

    @property
    def seconds(self) -> float:
        return self._circuit.patience_seconds

    def hear(self, now: float, error: TransientError, *, refused: bool = False) -> None:
        """Note how long an error asks everyone to wait; the words of a refusal, anyhow."""
        until = now + (error.retry_after_seconds or 0.0)
        if refused or until > self._asked_until:
            self._words = str(error)
        if not refused:
            self._asked_until = max(self._asked_until, until)

    def exceeded_by(self, error: TransientError) -> bool:
        """Return whether an error asks for a longer wait than the user does."""
        return (error.retry_after_seconds or 0.0) > self.seconds

    def check(self, now: float, seconds: float) -> None:
        """Raise FatalError if the server has everyone wait for longer than the user does."""
        seconds = max(seconds, self._asked_until - now)
        if self.seconds < seconds < math.inf:
            raise FatalError(
                f"the server asks to wait {duration(seconds)}, until {moment(seconds)}, which is "
                f"more than --patience ({duration(self.seconds)}): {self._words}"
            )

    def tell(self, now: float, seconds: float, words: str = "") -> None:
        """Tell the user of a long wait, once."""
        until = now + seconds
        if not TOLD_SECONDS < seconds < math.inf or until < self._told_until + TOLD_SECONDS:
            return
        self._told_until = until
        words = words or self._words
        reason = f": {words}" if words else ", as its headers ask"
        self._note(f"waiting {duration(seconds)} for the limit, until {moment(seconds)}{reason}")

    def given_up(self, now: float) -> str:
        """Say why nobody waits any longer."""
        circuit = self._circuit
        if circuit.opened_at is None:
            refused = duration(now - (circuit.refused_at or now))
            return f"the server has refused every request for {refused}: {circuit.reason}"
        if not circuit.answers:
            return f"{circuit.reason}; is --base-url right, and does the server run?"
        away = duration(now - circuit.opened_at)
        return f"the server has been away for {away}: {circuit.reason}"
