"""After a run has written its output: how right it is, and rows for a person to look at."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import complain
from pipeline.cli.build import Built
from pipeline.cli.options import RunOptions
from pipeline.cli.words import many
from pipeline.engine.progress import Progress, event
from pipeline.errors import PipelineError, UsageError
from pipeline.outputs.tables import check_output
from pipeline.outputs.targets import Target
from pipeline.places import is_address, path_here
from pipeline.prompting.schema import allowed, plain
from pipeline.prompting.templates import alias
from pipeline.review.corrections import Corrections
from pipeline.review.workbook_in import check_workbook, finds_output

if TYPE_CHECKING:
    from pipeline.evaluation.scores import Evaluation
    from pipeline.prompting.prompt import Prompt


def check_afterwards(built: Built, options: RunOptions, target: Target) -> None:
    """Raise UsageError, before anything is paid, if what is wanted afterwards can't be done."""
    corrections = built.run.corrections(target.path)
    if options.expected is not None:
        from pipeline.evaluation.calibration import require

        require()
    if options.review is not None:
        if corrections is None:
            names = [column.name for column in built.run.steps.prompt.columns]
            raise UsageError(
                f"--review takes one answer, or one called `label`: this prompt has "
                f"{', '.join(names)}"
            )
        _check_review(path_here(options.review), target, corrections)


def _check_review(path: Path, target: Target, corrections: Corrections) -> None:
    if is_address(target.name):
        raise UsageError("--review needs an output on this machine, which takes the corrections")
    if path.suffix.lower() != ".xlsx":
        raise UsageError(f"--review {path}: name an .xlsx file, for its drop-down lists")
    if path.resolve() == target.path.resolve():
        raise UsageError(f"--review {path}: that is the output; name another file for the review")
    check_workbook(path, corrections)
    check_output(path)


def evaluated(built: Built, options: RunOptions, target: Target) -> Evaluation | None:
    """Evaluate what was written, where that is wanted. What fails is said: the output stands."""
    if options.expected is None:
        return None
    from pipeline.evaluation import gold as graded
    from pipeline.evaluation import scores as evaluation

    answer = built.run.predicted
    try:
        found = graded.read(
            str(target.path), [options.expected], predicted=answer, name=target.name
        )
        return evaluation.evaluate(found)
    except PipelineError as error:
        complain(str(error), cause=error)
        return None


def tell(found: Evaluation | None, options: RunOptions, progress: Progress) -> None:
    """Say how right the answers are."""
    if found is None:
        return
    from pipeline.evaluation import as_json as evaluation_json
    from pipeline.evaluation import as_text as evaluation_text

    if options.json_log:
        event("evaluation", **evaluation_json.as_json(found))
    else:
        progress.note("", *evaluation_text.describe(found), "")


def hand_over(built: Built, options: RunOptions, target: Target, progress: Progress) -> None:
    """Lay out the rows to look at, where that is wanted. What fails is said: the output stands."""
    if options.review is None:
        return
    try:
        count = _lay_out(path_here(options.review), built, options, target)
    except PipelineError as error:
        complain(str(error), cause=error)
        return
    if not count:
        progress.note(f"no row is left to review: {options.review} was not written")
        return
    named = finds_output(path_here(options.review), target.path)
    output = "" if named else f" -o {shlex.quote(str(target.path))}"
    progress.note(
        f"{many(count, 'row')} to review -> {options.review}: enter the correct answers in the "
        f"first column, save, then run: "
        f"pipeline review {shlex.quote(options.review)}{output}"
    )


def _lay_out(path: Path, built: Built, options: RunOptions, target: Target) -> int:
    from pipeline.review import workbook_out as reviewing

    run = built.run
    corrections = run.corrections(target.path)
    assert corrections is not None
    picked = reviewing.pick(
        run.rows,
        corrections,
        prefix=run.prefix,
        count=options.rows or reviewing.ROWS,
        shown=_shown(built),
    )
    if not picked:
        return 0
    check_workbook(path, corrections)  # somebody may have been at it while the run went on
    prompt, name = run.steps.prompt, corrections.answer.removeprefix(run.prefix)
    reviewing.write(
        path,
        picked,
        corrections,
        prefix=run.prefix,
        labels=allowed(prompt.outputs or {}, name),
        several=_is_list(prompt, name),
    )
    return len(picked)


def _shown(built: Built) -> list[str] | None:
    """Give the input's columns that the prompt shows to the model; None if that may be any."""
    source, prompt = built.run.spool.source, built.run.steps.prompt
    if "row" in prompt.variables:
        return None
    shown = {source.text_column} if prompt.uses_text else set()
    if prompt.uses_images:
        shown.add(source.image_column)
    used = prompt.variables
    names = [column.name for column in source.columns]
    return [n for n in names if n in shown or n in used or alias(n) in used] or None


def _is_list(prompt: Prompt, name: str) -> bool:
    """Say whether an answer is a list."""
    root = prompt.outputs or {}
    return "array" in plain(root.get("properties", {}).get(name, {}), root).get("type", ())
