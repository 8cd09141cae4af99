"""What follows the asking: the output, how right it is, and the rows for a person to look at."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from pipeline.engine.ending import Ending, Outcome, Review
from pipeline.engine.run import Run
from pipeline.errors import PipelineError, UsageError
from pipeline.evaluation import gold
from pipeline.evaluation.calibrated import Calibrated
from pipeline.journal.files import free_name
from pipeline.journal.store import Store
from pipeline.outputs.tables import check_output, write_table
from pipeline.outputs.targets import Target
from pipeline.places import is_address, path_here
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.schema import allowed, plain
from pipeline.prompting.templates import alias
from pipeline.review.corrections import Corrected, Corrections, start
from pipeline.review.workbook_in import check_workbook, finds_output


def check_afterwards(run: Run) -> None:
    """Raise UsageError, before anything is paid, if what is wanted afterwards can't be done."""
    if run.settings.expected is not None:
        from pipeline.evaluation.calibration import require

        require()
    if run.settings.review is not None:
        _check_review(path_here(run.settings.review), run)


def _check_review(path: Path, run: Run) -> None:
    target = run.target
    if target is None or is_address(target.name):
        raise UsageError("--review needs an output on this machine, which takes the corrections")
    corrections = _corrections(run)
    if corrections is None:
        names = [column.name for column in run.steps.prompt.columns]
        raise UsageError(
            f"--review takes one answer, or one called `label`: this prompt has {', '.join(names)}"
        )
    if path.suffix.lower() != ".xlsx":
        raise UsageError(f"--review {path}: name an .xlsx file, for its drop-down lists")
    if path.resolve() == target.path.resolve():
        raise UsageError(f"--review {path}: that is the output; name another file for the review")
    check_workbook(path, corrections)
    check_output(path)


def finish(run: Run, ending: Ending) -> Outcome:
    """Write the output, and do what else is wanted then.

    What fails after the output was written is among the outcome's `problems`.
    """
    target, store = run.target, run.engine.store
    outcome = Outcome(ending)
    if ending.early:
        run.spool.source.skim()
    if target is not None and (kept := keep_changed(target, store)):
        outcome.remarks.append(kept)
    outcome.remarks += _calibrate(run)
    if not ending.early:
        run.count()
    grader = _grader(run) if run.pairs and not ending.early else None
    _write(run, outcome, grader)
    if target is not None:
        store.wrote()
        if grader is not None:
            _evaluate(grader, target, outcome)
        target.deliver()
    if run.spool.source.changed():
        outcome.remarks.append(
            f"{run.spool.source.name} changed while it was read: the output holds what was read; "
            "run the same command again for what is new"
        )
    if not ending.early and run.settings.review is not None:
        _lay_out(run, path_here(run.settings.review), outcome)
    run.exit_code = outcome.exit_code
    return outcome


def _calibrate(run: Run) -> list[str]:
    """Calibrate the confidence that is written, if right answers are known; say how."""
    if not run.rows.calibrates:
        return []
    run.rows.calibrated = Calibrated(run.rows.known(run.pairs))
    return run.rows.calibrated.notes


def _grader(run: Run) -> gold.Grader:
    """Return what grades the rows as they are written."""
    columns = [column.name for column in run.rows.columns]
    return gold.Grader(columns, run.pairs, text_column=run.spool.source.text_column)


def _write(run: Run, outcome: Outcome, grader: gold.Grader | None) -> None:
    """Write the output and count its rows: all, asked or not.

    What a person has said of its rows is in it again.
    """
    run.rows.reason = outcome.ending.reason
    run.spool.last_walk = run.settings.review is None
    if run.target is None:
        return
    columns, rows = run.rows.columns, outcome.counted(run.rows, grader)
    style = run.spool.source.style
    said = _corrections(run)
    if said is None or not said.rows:
        outcome.notes = write_table(run.target.path, columns, rows, style)
    else:
        written = said.columns(columns)
        outcome.notes = write_table(run.target.path, written, Corrected(rows, said), style)


def _corrections(run: Run) -> Corrections | None:
    """Return what a person has said of the output's rows; None if there isn't one answer."""
    answer = run.steps.prompt.answer
    if answer is None or run.target is None:
        return None
    inputs = [column.name for column in run.spool.source.columns]
    taken = [column.name for column in run.rows.columns]
    return start(run.target.path, inputs, f"{run.prefix}{answer}", taken)


def keep_changed(target: Target, store: Store) -> str | None:
    """Keep what somebody has made of the output since the last run, for it will be written anew;
    say so.
    """
    path = target.path
    if is_address(target.name) or not store.changed():
        return None
    moment = datetime.fromtimestamp(path.stat().st_mtime)
    aside = free_name(path, moment, suffix="".join(path.suffixes))
    shutil.copy2(path, aside)
    return f"{path} was changed after the last run: that version is kept as {aside}"


def _evaluate(grader: gold.Grader, target: Target, outcome: Outcome) -> None:
    """Find out how right the answers are."""
    from pipeline.evaluation.scores import evaluate

    try:
        outcome.evaluation = evaluate(grader.answers(target.name))
    except PipelineError as error:
        outcome.problems.append(error)


def _lay_out(run: Run, path: Path, outcome: Outcome) -> None:
    """Lay out the rows for a person to look at."""
    from pipeline.review import workbook_out

    corrections = _corrections(run)
    assert corrections is not None, "checked before anything was asked"
    try:
        picked = workbook_out.pick(
            run.rows,
            corrections,
            prefix=run.prefix,
            count=run.settings.rows or workbook_out.ROWS,
            shown=_shown(run),
        )
        if picked:
            check_workbook(path, corrections)  # somebody may have been at it meanwhile
            prompt, name = run.steps.prompt, corrections.answer.removeprefix(run.prefix)
            workbook_out.write(
                path,
                picked,
                corrections,
                prefix=run.prefix,
                labels=allowed(prompt.outputs or {}, name),
                several=_is_list(prompt, name),
            )
        names_output = bool(picked) and finds_output(path, corrections.output)
        outcome.review = Review(path, len(picked), names_output)
    except PipelineError as error:
        outcome.problems.append(error)


def _shown(run: Run) -> list[str] | None:
    """Return the input's columns that the prompt shows to the model; None if that may be any."""
    source, prompt = run.spool.source, run.steps.prompt
    if "row" in prompt.variables:
        return None
    shown = {source.text_column} if prompt.uses_text else set()
    if prompt.uses_images:
        shown.add(source.image_column)
    used = prompt.variables
    names = [column.name for column in source.columns]
    return [n for n in names if n in shown or n in used or alias(n) in used] or None


def _is_list(prompt: Prompt, name: str) -> bool:
    """Return whether an answer is a list."""
    root = prompt.outputs or {}
    return "array" in plain(root.get("properties", {}).get(name, {}), root).get("type", ())
