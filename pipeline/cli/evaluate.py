"""`pipeline evaluate`: answers against what was expected; two tables of them against each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pipeline.cli import app
from pipeline.errors import UsageError, without_partner
from pipeline.evaluation.threshold import LEVEL
from pipeline.showing import say, say_json

if TYPE_CHECKING:
    from pipeline.evaluation.gold import Answers
    from pipeline.evaluation.scores import Evaluation
    from pipeline.evaluation.threshold import Choice

Table = TypeVar("Table")


@app.command()
def evaluate(
    outputs: Annotated[
        list[str],
        typer.Argument(
            metavar="OUTPUT...",
            help="A table with answers, or its address; or two, to compare them.",
        ),
    ],
    expected: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COL",
            help="Column of the right answers; for several, ANSWER=COLUMN,ANSWER=COLUMN.",
        ),
    ] = None,
    predicted: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column of the answers. [default: label, or output]"),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column of a judge's scores, in place of --expected."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="COL", help="What the rows of two tables are paired by. [default: their order]"
        ),
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Find the confidence from which answers may stand, so that this share is right.",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help=f"How probable --accuracy has to be. [default: {LEVEL}]"
        ),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, metavar="N", help="List N of the worst rows.")] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures as JSON, on standard output.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Add the traceback to an error.")] = False,
) -> None:
    """Say how right answers are. Accuracy, macro-F1, each label, the mistakes, the cost."""
    from pipeline.evaluation.calibration import require

    if (expected is None) == (score is None):
        raise UsageError("give the column of the right answers, --expected, or of scores, --score")
    if len(outputs) > 2:
        raise UsageError(f"{len(outputs)} tables: compare two at a time")
    if len(outputs) < 2:
        without_partner("a second OUTPUT", on=on)
    if accuracy is None:
        without_partner("--accuracy", confidence=confidence)
    if expected is None:
        without_partner("--expected", predicted=predicted, accuracy=accuracy)
    level = LEVEL if confidence is None else confidence
    require()
    if score is not None:
        _scores(outputs, score, on, worst, as_json)
        return
    found = _evaluations(outputs, expected or [], predicted, on, worst)
    choice = None if accuracy is None else _threshold(found, accuracy, level)
    if as_json:
        say_json(_figures(found, choice))
        return
    say(*_words(found))
    if choice is not None and accuracy is not None:
        from pipeline.evaluation.as_text import describe_choice

        both = len(found) == 2
        told = describe_choice(choice, accuracy=accuracy, level=level, both=both)
        say("", *told.split("\n"))


def _evaluations(
    outputs: list[str], expected: list[str], predicted: str | None, on: str | None, worst: int
) -> list[Evaluation]:
    from pipeline.evaluation import gold as graded
    from pipeline.evaluation import scores as evaluation
    from pipeline.evaluation.comparison import pair_up
    from pipeline.evaluation.pairs import Expected

    wanted = Expected.parse(*expected)
    read = partial(graded.read, expected=wanted, predicted=predicted, on=on)
    tables = [_read(output, read) for output in outputs]
    if len(tables) == 2:
        before = [len(table.rows) for table in tables]
        tables = list(pair_up(tables[0], tables[1], on=on))
        for table, count in zip(tables, before, strict=True):
            if alone := count - len(table.rows):
                say(f"{alone:,} rows of {table.name} are not in the other: left out", err=True)
    return [evaluation.evaluate(table, worst=worst) for table in tables]


def _figures(found: list[Evaluation], choice: Choice | None) -> dict[str, object]:
    from pipeline.evaluation.as_json import as_json, cascade_json, comparison_json
    from pipeline.evaluation.comparison import compare

    cascade = {} if choice is None else {"cascade": cascade_json(choice)}
    if len(found) == 1:
        return {**as_json(found[0]), **cascade}
    comparison = comparison_json(compare(found[0], found[1]))
    return {"outputs": [as_json(item) for item in found], "comparison": comparison, **cascade}


def _words(found: list[Evaluation]) -> list[str]:
    from pipeline.evaluation.as_text import describe, describe_comparison
    from pipeline.evaluation.comparison import compare

    if len(found) == 1:
        return describe(found[0])
    return describe_comparison(compare(found[0], found[1]), found[0], found[1])


def _scores(outputs: list[str], score: str, on: str | None, worst: int, as_json: bool) -> None:
    from pipeline.evaluation.as_json import duel_json, judged_json
    from pipeline.evaluation.as_text import describe_duel, describe_scores
    from pipeline.evaluation.judged import compare_scores, read_scores

    read = partial(read_scores, column=score, worst=worst, on=on)
    found = [_read(output, read) for output in outputs]
    duel = compare_scores(found[0], found[1], on=on) if len(found) == 2 else None
    if not as_json:
        say(*(describe_duel(duel, *found) if duel else describe_scores(found[0])))
    elif duel:
        every = [judged_json(item) for item in found]
        say_json({"outputs": every, "comparison": duel_json(duel)})
    else:
        say_json(judged_json(found[0]))


def _read(output: str, read: Callable[..., Table]) -> Table:
    """Read a table, wherever it lies."""
    from pipeline.sources.opening import fetching

    with fetching(output) as folder:
        return read(output, fetch_to=folder)


def _threshold(found: list[Evaluation], accuracy: float, level: float) -> Choice:
    """Choose from which confidence on the first table's answers may stand."""
    from pipeline.evaluation import threshold as cascade

    _check_sample(found[0].answers)
    # What the first model failed at is asked of the stronger one; what was skipped, of none.
    side_by_side = zip(*(each.answers.rows for each in found), strict=True)
    pairs = [pair for pair in side_by_side if pair[0].status != "skipped"]
    sure = [pair[0].confidence if any(pair[0].predicted) else None for pair in pairs]
    right = [pair[0].right for pair in pairs]
    if len(found) == 1:
        return cascade.choose(sure, right, accuracy=accuracy, level=level)
    strong = [pair[1].right for pair in pairs]
    return cascade.choose_with_both(sure, right, strong, accuracy=accuracy, level=level)


def _check_sample(answers: Answers) -> None:
    """Raise UsageError where the rows of a table can't tell what --accuracy is to promise."""
    from pipeline.review.corrections import check_sample

    check_sample(answers.pairs)
    sure = [row for row in answers.rows if row.confidence is not None and any(row.predicted)]
    if not sure:
        raise UsageError(f"{answers.name} has no column `confidence`, which --accuracy chooses by")
    models = sorted({row.model for row in sure})
    if len(models) > 1:
        raise UsageError(
            f"{answers.name} has answers of {', '.join(models)}, and --accuracy chooses by the "
            "confidence of one: give it a run of the first model alone, without --escalate"
        )
