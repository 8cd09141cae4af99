"""One run at the terminal: the plan, the question, the progress, Ctrl-C, the summary."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from datetime import datetime

import typer

from pipeline import scratch
from pipeline.cli import complain
from pipeline.cli.afterwards import check_afterwards, evaluated, hand_over, tell
from pipeline.cli.build import Built, build, command_line, fetching
from pipeline.cli.labelling import Stronger
from pipeline.cli.options import RunOptions
from pipeline.cli.words import describe_damage, describe_outcome, describe_plan
from pipeline.engine.progress import Bar, JsonLines, Lines, Progress, Quiet
from pipeline.engine.run import Outcome, Plan
from pipeline.errors import AccessError, FatalError, PipelineError, UsageError
from pipeline.journal.store import Store, free_name, set_aside
from pipeline.outputs.tables import check_columns, clear_drafts, is_csv
from pipeline.outputs.targets import Target, open_target
from pipeline.places import is_address, local_path
from pipeline.prompting.prompt import Prompt
from pipeline.showing import say, say_json, shown

INTERRUPTED = 130


def go(input: str, prompt: Prompt, options: RunOptions, stronger: Stronger | None = None) -> int:
    """Run a prompt over an input; give the exit code."""
    target = open_target(options.output)
    target.check()
    if options.safe_csv and not is_csv(target.path):
        raise UsageError(
            f"--safe-csv is for .csv and .tsv, and {target.name} is none: leave it out"
        )
    progress = _progress(options)
    store = Store(target.path, exists=target.exists)
    if not options.dry_run:
        _check_ours(target, store)
    if options.fresh and not options.dry_run:
        store.aside = set_aside(store.path)
        if store.aside:
            progress.note(f"the old journal is kept as {store.aside}")
    if options.dry_run:
        store.open_readonly(fresh=options.fresh)
    else:
        store.open(shown(command_line()))
        _clear(target, options)
    if is_address(target.name):
        progress.note(f"the journal of {target.name} is {store.path}")
    code = PipelineError.exit_code
    _let_interrupt()
    try:
        with fetching(input) as fetch_to:
            built = build(
                input,
                prompt,
                options,
                store=store,
                target=target.name,
                folder=target.path.absolute().parent,
                fetch_to=fetch_to,
                stronger=stronger,
            )
            with contextlib.closing(built):
                check_columns(target.path, built.run.rows.columns)
                if options.dry_run:
                    code = _dry_run(built)
                else:
                    code = _session(built, options, target, progress)
    except PipelineError as error:
        code = error.exit_code
        raise
    except KeyboardInterrupt:
        code = INTERRUPTED
        complain("interrupted; to go on, run the same command:", f"  {command_line()}")
    finally:
        progress.close()
        store.close(code)
        if store.aside and not store.aside.exists():
            progress.note("nothing was asked: the old journal is where it was")
    return code


def _clear(target: Target, options: RunOptions) -> None:
    """Remove what killed processes have left where this run writes."""
    scratch.clear()
    clear_drafts(target.path)
    if options.review is not None and (review := local_path(options.review)):
        clear_drafts(review)


def _let_interrupt() -> None:
    """Take whatever asks to end for Ctrl-C; while requests are in flight, `_ask` does more."""
    for name in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(name, signal.default_int_handler)


def _check_ours(target: Target, store: Store) -> None:
    if target.exists() and not store.path.exists():
        where = f" at {store.path}" if is_address(target.name) else ""
        raise UsageError(
            f"{target.name} exists and wasn't written by this program (it has no journal{where}): "
            "move it away, or choose another name for the output"
        )


def keep_changed(target: Target, store: Store, progress: Progress) -> None:
    """Keep what somebody has made of the output since the last run: it will be written anew."""
    path = target.path
    if is_address(target.name) or not store.changed():
        return
    moment = datetime.fromtimestamp(path.stat().st_mtime)
    aside = free_name(path, moment, suffix="".join(path.suffixes))
    shutil.copy2(path, aside)
    progress.note(f"{path} was changed after the last run: that version is kept as {aside}")


def _progress(options: RunOptions) -> Progress:
    if options.quiet:
        return Quiet()
    if options.json_log:
        return JsonLines()
    return Bar() if sys.stderr.isatty() else Lines()


def _dry_run(built: Built) -> int:
    plan = built.run.plan()
    if plan.first is not None:
        say_json(built.lane.server.body(plan.first))
    for notice in built.told:
        say(notice, err=True)
    say(describe_plan(plan, built), err=True)
    return 0


def _session(built: Built, options: RunOptions, target: Target, progress: Progress) -> int:
    if built.warning:
        progress.warn(built.warning)
    for notice in built.notices:
        progress.note(notice)
    check_afterwards(built, options, target)
    plan = built.run.plan()
    progress.note(describe_plan(plan, built))
    store = built.run.engine.store
    if store.mended:
        progress.note(f"the index of {store.path} was damaged and has been made anew")
    if store.damaged:
        progress.note(describe_damage(store.path, len(store.damaged)))
    if plan.requests and not plan.known and store.had_answers:
        progress.note(
            "no answer in the journal is to one of these requests: the prompt, the model, an "
            "option or the input is another than before"
        )
    if not _agreed(plan, options):
        progress.note("nothing was sent")
        return 2
    interrupted, fatal = asyncio.run(_ask(built, plan, progress))
    _let_interrupt()
    progress.close()
    if interrupted or fatal:
        built.source.skim()
    if fatal and not progress.spent.answered:
        complain(str(fatal), cause=fatal)
        return fatal.exit_code  # an older output is worth more than one without answers
    reason = f"not asked: {fatal}" if fatal else "not asked: interrupted" if interrupted else None
    keep_changed(target, store, progress)
    calibrated = built.run.calibrate()
    if not (interrupted or fatal):
        built.run.count()
    outcome = built.run.write(target.path, reason)
    store.wrote()
    found = None if interrupted or fatal else evaluated(built, options, target)
    target.deliver()
    code = _exit_code(built, outcome, interrupted, fatal, progress)
    for notice in [notice for lane in built.lanes for notice in lane.server.notices]:
        if notice not in built.notices:
            progress.note(notice)
    if built.source.changed():
        progress.note(
            f"{built.source.name} changed while it was read: the output holds what was read; "
            "run the same command again for what is new"
        )
    describe_outcome(outcome, target, built, progress, code)
    for note in calibrated:
        progress.note(note)
    tell(found, options, progress)
    if not (interrupted or fatal):
        hand_over(built, options, target, progress)
    if fatal:
        complain(str(fatal), cause=fatal)
    elif options.quiet and outcome.statuses["failed"]:
        error, count = outcome.errors.most_common(1)[0]
        complain(f"{outcome.statuses['failed']:,} rows failed; {count:,} x {error}")
    return code


def _agreed(plan: Plan, options: RunOptions) -> bool:
    cost = (plan.high_usd or plan.low_usd or 0) + (plan.escalated_usd or 0)
    if options.yes or float(cost) <= options.confirm_over:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return typer.confirm("Go on?", default=True, err=True)


async def _ask(built: Built, plan: Plan, progress: Progress) -> tuple[bool, FatalError | None]:
    """Ask for what is missing; say whether it was interrupted, and by what it was ended."""
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
        for lane in built.lanes:
            lane.stop()

    def tick() -> None:
        progress.show()
        loop.call_later(1, tick)

    for lane in built.lanes:
        lane.note = progress.note
    progress.state = lambda: next(
        (lane.state() for lane in built.lanes if lane.in_flight),
        built.lane.state(),
    )
    for name in {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(name, interrupt)
    if not (plan.requests or plan.escalations) and plan.complete:
        return False, None
    try:
        for lane in built.lanes:
            await lane.open()
        progress.start(plan.requests)
        loop.call_later(1, tick)
        await built.run.ask(progress)
    except FatalError as error:
        return interrupted, error
    finally:
        for lane in built.lanes:
            await lane.close()
    return interrupted, None


def _exit_code(
    built: Built,
    outcome: Outcome,
    interrupted: bool,
    fatal: FatalError | None,
    progress: Progress,
) -> int:
    if fatal:
        late = isinstance(fatal, AccessError) and progress.spent.answered
        return 4 if late else fatal.exit_code
    if interrupted:
        return INTERRUPTED
    return 1 if outcome.statuses["failed"] else 0
