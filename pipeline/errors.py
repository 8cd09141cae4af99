"""All that can go wrong, as one tree. A message is one line: what, which, what to do next."""

from __future__ import annotations

from pipeline.showing import shown
from pipeline.types import Levels, Usage


class PipelineError(Exception):
    """Say in one line what went wrong and what to do."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


class UsageError(PipelineError):
    """A bad flag, key, prompt, schema or input, found before any money is spent."""

    exit_code = 2


def needs(feature: str, extra: str) -> str:
    """Return the message of a feature whose extra isn't installed."""
    return f"{feature} needs the extra `{extra}`, which isn't installed: see Install in the README"


def without_partner(partner: str, **options: object) -> None:
    """Raise UsageError where one of these is given, which do nothing without a partner."""
    for name, value in options.items():
        if value is not None and value is not False:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} does nothing without {partner}: add that, or leave {option} out"
            )


class DocumentError(PipelineError):
    """One document can't be read; its row fails and the run goes on."""


class JournalError(PipelineError):
    """The journal can't be read or written."""

    exit_code = 2


class JournalFullError(JournalError):
    """The disk takes no more; it may when something else has been removed: the run can go on."""

    exit_code = PipelineError.exit_code


class BackendError(PipelineError):
    """A request that wasn't answered. `levels` is what the reply said of the server's limits, and
    `usage` what it says that it billed.
    """

    def __init__(
        self, message: str, *, levels: Levels | None = None, usage: Usage | None = None
    ) -> None:
        super().__init__(message)
        self.levels = levels
        self.usage = usage


class TransientError(BackendError):
    """What may get better: the request is sent again.

    `retry_after_seconds` is how long the server asked to wait, if it did. `lost` says that it may
    have done the work all the same, and bill it: the answer was lost on its way. `overloaded` is
    what it says of itself. `weight` is how many failures of its row it counts for.
    """

    weight = 1

    def __init__(
        self,
        message: str,
        *,
        levels: Levels | None = None,
        retry_after_seconds: float | None = None,
        lost: bool = False,
        usage: Usage | None = None,
        overloaded: bool = False,
    ) -> None:
        super().__init__(message, levels=levels, usage=usage)
        self.overloaded = overloaded
        self.retry_after_seconds = retry_after_seconds
        self.lost = lost


class LimitError(TransientError):
    """A rate limit."""


class OversizedError(TransientError):
    """A reply that was broken off for its size. It was probably billed, and what was asked is
    probably why: the row is asked about once more.
    """

    weight = 5

    def __init__(self, message: str) -> None:
        super().__init__(message, lost=True)


class UnreadableError(TransientError):
    """A reply that can't be read though the server counts it: it is seldom asked for again."""

    weight = 4


class PackedError(TransientError):
    """A reply that can't be unpacked. `unasked` says that it is packed as nobody asked for."""

    def __init__(self, message: str, *, unasked: bool = False) -> None:
        super().__init__(message, lost=True)
        self.unasked = unasked


class UnreachableError(TransientError):
    """The server can't be reached, or the connection to it broke."""


class RejectedError(BackendError):
    """The server refused this request; its row fails and the run goes on."""


class UnsentError(RejectedError):
    """A request that can't be put together: nothing was sent, so it says nothing of the server."""


class FatalError(BackendError):
    """What no retry can mend (key, quota, unknown model): the run stops, the journal is kept.

    From a call of Python it has the `result` that the call would have given: what was answered by
    then, the rest skipped.
    """

    exit_code = 4
    result: object = None


class AccessError(FatalError):
    """The server knows neither this key, this model, this address nor this parameter."""

    exit_code = 2


class BudgetError(FatalError):
    """The next request may cost more than is left of `--max-cost`."""

    exit_code = 3
