"""One run at the terminal: the plan, the question, the progress, Ctrl-C, the summary."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys

import typer

from pipeline.cli import complain
from pipeline.cli.options import Terminal
from pipeline.cli.words import (
    command_line,
    describe_damage,
    describe_outcome,
    describe_plan,
    describe_review,
)
from pipeline.engine.afterwards import check_afterwards, finish
from pipeline.engine.build import open_run
from pipeline.engine.ending import INTERRUPTED, Ending, Outcome
from pipeline.engine.plan import Plan
from pipeline.engine.run import Run
from pipeline.engine.settings import Settings
from pipeline.limits.window import CEILING, SPARE_FILES
from pipeline.showing import say, say_json, shown
from pipeline.watching import (
    Bar,
    JsonLines,
    Lines,
    Quiet,
    Watch,
    ask,
    event,
    late_notices,
    tell,
    told,
)


def go(settings: Settings, terminal: Terminal) -> int:
    """Make a run and say how it goes; give the exit code."""
    _collect_garbage()
    _open_more_files()
    logging.getLogger("azure").addHandler(logging.NullHandler())  # our error says it in a line
    progress, command = _watch(terminal), shown(command_line())
    try:
        with open_run(settings, command=command, dry=terminal.dry_run, note=progress.note) as run:
            _let_interrupt()
            if terminal.dry_run:
                _dry_run(run)
            else:
                _session(run, terminal, progress)
            return run.exit_code
    except KeyboardInterrupt:
        complain("interrupted; to go on, run the same command:", f"  {command_line()}")
        return INTERRUPTED
    finally:
        progress.close()


def _collect_garbage() -> None:
    """Start the collector, now that the imports are done: it need never look at them again, and at
    the rest seldom (a third of the CPU of a row with 1,000 requests in flight).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    gc.enable()


def _open_more_files() -> None:
    """Ask for as many open files as connections may be wanted; macOS gives 256 by itself."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CEILING + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _let_interrupt() -> None:
    """Take whatever asks to end for Ctrl-C; while requests are in flight, `_ask` does more."""
    for name in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(name, signal.default_int_handler)


def _watch(terminal: Terminal) -> Watch:
    if terminal.quiet:
        return Quiet()
    if terminal.json_log:
        return JsonLines()
    return Bar() if sys.stderr.isatty() else Lines()


def _dry_run(run: Run) -> None:
    plan = run.plan()
    if plan.first is not None:
        say_json(run.engine.lane.server.body(plan.first))
    for notice in told(run):
        say(notice, err=True)
    say(describe_plan(plan, run), err=True)


def _session(run: Run, terminal: Terminal, progress: Watch) -> None:
    tell(run, progress)
    check_afterwards(run)
    plan = run.plan()
    _tell_plan(plan, run, progress)
    if not _agreed(plan, terminal):
        progress.note("nothing was sent")
        run.exit_code = 2
        return
    ending = asyncio.run(_ask(run, plan, progress))
    _let_interrupt()
    progress.close()
    if ending.fatal and ending.barren:
        complain(str(ending.fatal), cause=ending.fatal)
        run.exit_code = ending.fatal.exit_code
        return
    _tell(finish(run, ending), run, terminal, progress)


def _tell_plan(plan: Plan, run: Run, progress: Watch) -> None:
    progress.note(describe_plan(plan, run))
    store = run.engine.store
    if store.mended:
        progress.note(f"the index of {store.path} was damaged and has been rebuilt")
    if store.damaged:
        progress.note(describe_damage(store.path, len(store.damaged)))
    if plan.requests and not plan.known and store.had_answers:
        progress.note(
            "none of the saved answers can be reused: the prompt, the model, an option or the "
            "input has changed"
        )


def _agreed(plan: Plan, terminal: Terminal) -> bool:
    cost = (plan.high_usd or plan.low_usd or 0) + (plan.escalated_usd or 0)
    if terminal.yes or float(cost) <= terminal.confirm_over:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return typer.confirm("Go on?", default=True, err=True)


async def _ask(run: Run, plan: Plan, progress: Watch) -> Ending:
    """Ask for what is missing; Ctrl-C stops it, and a second one at once."""
    interrupted = False
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:
            progress.note("stopped: to go on, run the same command:", f"  {command_line()}")
            sys.stderr.flush()
            os._exit(INTERRUPTED)  # the journal is whole at any moment
        interrupted = True
        progress.note("stopping: waiting a moment for what is in flight; again to stop at once")
        run.stop()

    for name in {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(name, interrupt)
    return await ask(run, plan, progress)


def _tell(outcome: Outcome, run: Run, terminal: Terminal, progress: Watch) -> None:
    """Say how a run has ended, from the output to what to do next."""
    ending = outcome.ending
    for notice in [*late_notices(run), *outcome.remarks]:
        progress.note(notice)
    describe_outcome(outcome, run, progress)
    _tell_evaluation(outcome, terminal, progress)
    if outcome.review is not None and run.target is not None:
        progress.note(describe_review(outcome.review, run.target.path))
    for problem in outcome.problems:
        complain(str(problem), cause=problem)
    failed = outcome.statuses["failed"]
    if ending.fatal:
        complain(str(ending.fatal), cause=ending.fatal)
    elif terminal.quiet and failed:
        error, count = outcome.errors.most_common(1)[0]
        complain(f"{failed:,} rows failed; {count:,} x {error}")


def _tell_evaluation(outcome: Outcome, terminal: Terminal, progress: Watch) -> None:
    """Say how right the answers are, where that was wanted."""
    if outcome.evaluation is None:
        return
    from pipeline.evaluation import as_json, as_text

    if terminal.json_log:
        event("evaluation", **as_json.as_json(outcome.evaluation))
    else:
        progress.note("", *as_text.describe(outcome.evaluation), "")
