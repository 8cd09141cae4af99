"""What a run shows while it goes on: a line on a terminal, a line now and then elsewhere.

All of it goes to standard error, so that pipes stay clean.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipeline.engine.progress import Progress
from pipeline.limits.moments import duration
from pipeline.showing import say, say_json, shown

if TYPE_CHECKING:
    from tqdm import tqdm

    from pipeline.engine.ending import Ending
    from pipeline.engine.plan import Plan
    from pipeline.engine.run import Run

_logger = logging.getLogger("pipeline")

LINE_SECONDS = 10.0


class Watch(Progress):
    """Shows a run to who started it."""

    def warn(self, text: str) -> None:
        """Say what a quiet run says, too."""
        self.note(text)

    def total(self, **values: object) -> None:
        """Give the figures of the whole run."""


class Quiet(Watch):
    """Says only what went wrong or is about to."""

    def show(self) -> None: ...

    def note(self, *lines: str) -> None: ...

    def warn(self, text: str) -> None:
        say(text, err=True)


class Lines(Watch):
    """A plain line now and then: for logs."""

    def __init__(self, every_seconds: float = LINE_SECONDS) -> None:
        super().__init__()
        self._every = every_seconds
        self._next = 0.0
        self._last = (0.0, 0)  # when the last line was written, and how many answers there were

    def start(self, requests: int) -> None:
        super().start(requests)
        self._last = (time.monotonic(), 0)
        self._next = time.monotonic() + self._every

    def show(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every
            self.line()

    def line(self) -> None:
        spent = self.spent
        since, before = self._last
        self._last = (time.monotonic(), spent.answered)
        rate = (spent.answered - before) / max(self._last[0] - since, 1e-9)
        left = max(self.requests - spent.answered, 0)
        parts = [
            _share(spent.answered, self.requests),
            f"{spent.failed:,} failed",
            f"{rate:.1f} a second",
            f"{spent.tokens:,} tokens",
            spent.cost(),
            f"{duration(left / rate)} left" if rate else "",
            self.state(),
        ]
        self.note(", ".join(part for part in parts if part))

    def note(self, *lines: str) -> None:
        say(*lines, err=True)


class JsonLines(Lines):
    """The same as JSON, an object a line: for programs that read logs."""

    def line(self) -> None:
        spent = self.spent
        event(
            "progress",
            answered=spent.answered,
            requests=self.requests,
            failed=spent.failed,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            cost_usd=None if spent.unpriced else float(spent.cost_usd),
            seconds=round(spent.seconds, 1),
            state=self.state(),
        )

    def note(self, *lines: str) -> None:
        event("note", text="\n".join(map(shown, lines)))

    def total(self, **values: object) -> None:
        event("summary", **values)


class _Screen:
    """Standard error, for tqdm: a terminal that goes away ends no run."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.__stderr__, name)

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.__stderr__.write(text)  # type: ignore[union-attr]

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.__stderr__.flush()  # type: ignore[union-attr]


class Bar(Watch):
    """tqdm's bar: for a person who watches."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm[Any] | None = None

    def start(self, requests: int) -> None:
        super().start(requests)
        self._bar = self._made(
            total=requests or None,  # nobody knows
            unit=" rows",
            bar_format="{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} "
            "[{rate_fmt}, {remaining} left{postfix}]",
        )

    def _made(self, **options: Any) -> tqdm[Any]:
        from tqdm import tqdm

        return tqdm(file=_Screen(), dynamic_ncols=True, **options)  # it moves the cursor

    def show(self) -> None:
        if self._bar is None:
            return
        spent = self.spent
        failed = f"{spent.failed:,} failed" if spent.failed else ""
        parts = [failed, f"{spent.tokens:,} tokens", spent.cost(), self.state()]
        said = shown(", ".join(part for part in parts if part))
        self._bar.set_postfix_str(said, refresh=False)
        self._bar.total = self.requests or None
        self._bar.update(spent.answered - self._bar.n)

    def note(self, *lines: str) -> None:
        if self._bar is None:
            say(*lines, err=True)
        else:
            with self._bar.external_write_mode(file=_Screen()):
                say(*lines, err=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class NotebookBar(Bar):
    """The bar as a widget, where the notebook has such, or else as text."""

    def _made(self, **options: Any) -> tqdm[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a notebook without widgets is no mistake
            from tqdm.auto import tqdm

            return tqdm(**options)

    def note(self, *lines: str) -> None:
        say(*lines, err=True)


class Log(Watch):
    """Notes for a program's own log, as the logger `pipeline`."""

    def note(self, *lines: str) -> None:
        for line in lines:
            _logger.info("%s", shown(line))

    def warn(self, text: str) -> None:
        _logger.warning("%s", shown(text))


def _share(answered: int, requests: int) -> str:
    """Count answers towards the requests that were planned; an estimate may have been too low."""
    return f"{answered:,} of {requests:,}" if answered <= requests else f"{answered:,} answered"


def tell(run: Run, watch: Watch) -> None:
    """Say what the user should know of how a run was made."""
    for warning in run.warnings:
        watch.warn(warning)
    for notice in run.notices:
        watch.note(notice)


def told(run: Run) -> list[str]:
    """Return the warnings and the notices of how a run was made."""
    return [*run.warnings, *run.notices]


def late_notices(run: Run) -> list[str]:
    """Return what came to light of the servers only when they were asked."""
    notices = [notice for lane in run.lanes for notice in lane.server.notices]
    return [notice for notice in notices if notice not in run.notices]


async def ask(run: Run, plan: Plan, progress: Progress) -> Ending:
    """Ask for what is missing, and show how far it is each second."""
    asking = asyncio.ensure_future(run.ask(plan, progress))
    while not (await asyncio.wait([asking], timeout=1))[0]:
        progress.show()
    return await asking


def event(name: str, **values: object) -> None:
    """Write an object of a JSON log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    say_json({"time": stamp, "event": name, **values}, err=True)
