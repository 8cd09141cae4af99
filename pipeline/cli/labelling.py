"""The options of labels: what to choose from, how sure that is, and who is asked what is unsure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from pipeline.engine.settings import BELOW, BOUNDS, Stronger, choose_stronger
from pipeline.errors import UsageError, without_partner
from pipeline.evaluation.threshold import LEVEL, check
from pipeline.prompting.labels import SHOTS

if TYPE_CHECKING:
    from pipeline.prompting.choosing import Labelling

_CONFIDENCE = "--confidence"
_NUMBER = re.compile(r"[-+]?(\d{1,3}([.,]\d*)?|[.,]\d+)%?")  # 2024 is a file's name


class LabelCommand(TyperCommand):
    """A command whose `--confidence` stands alone or is followed by a number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a lone `--confidence` the empty value: typer has no options of either kind."""
        rest = args.index("--") if "--" in args else len(args)
        found = [
            f"{_CONFIDENCE}=" if arg == _CONFIDENCE and not _is_number(after) else arg
            for arg, after in zip(args[:rest], [*args[1:rest], ""], strict=True)
        ]
        return super().parse_args(ctx, [*found, *args[rest:]])


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOptions:
    """What to choose from, and how."""

    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="billing,bug,praise or a .yaml or .csv file: name, description, examples.",
        ),
    ] = None
    multi: Annotated[bool, typer.Option("--multi", help="All the labels that fit, not one.")] = (
        False
    )
    other: Annotated[
        bool, typer.Option("--other", help="One more label, `other`, for what none of them fits.")
    ] = False
    examples: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE", help="Labelled rows to show the model, never one that is asked."
        ),
    ] = None
    shots: Annotated[
        int | None,
        typer.Option(
            min=BOUNDS["shots"][0],
            metavar="N",
            help=f"How many of the examples to show. [default: {SHOTS}]",
        ),
    ] = None
    confidence: Annotated[
        str | None,
        typer.Option(
            _CONFIDENCE,
            metavar="[P]",
            help="Add a column: how sure the label is, 0 to 1. A number after it is the confidence "
            f"level of --accuracy, else {LEVEL}.",
        ),
    ] = None
    votes: Annotated[
        int | None,
        typer.Option(
            min=BOUNDS["votes"][0],
            metavar="N",
            help="Ask N times; confidence is the share that agrees.",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.examples is None:
            without_partner("--examples TABLE", shots=self.shots)

    def check(self) -> None:
        """Raise UsageError where there are no labels, but options of labels."""
        if self.labels is None:
            without_partner(
                "--labels",
                multi=self.multi,
                other=self.other,
                examples=self.examples,
                confidence=self.confidence,
                votes=self.votes,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationOptions:
    """Who is asked what the first model is unsure of."""

    escalate: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A stronger model, where the first is unsure or fails."),
    ] = None
    below: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="C",
            help=f"Less confidence than this is unsure. [default: {BELOW}]",
        ),
    ] = None
    accuracy: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Choose --below by the rows of --expected, to reach this share of right answers.",
        ),
    ] = None
    escalate_price: Annotated[
        str | None,
        typer.Option(metavar="IN,OUT", help="USD per million tokens, for the stronger model."),
    ] = None


def labelling(options: LabelOptions, stronger: Stronger | None) -> Labelling | None:
    """Return what to choose from, and how; None where there are no labels."""
    from pipeline.prompting.choosing import Labelling

    if options.labels is None:
        return None
    return Labelling(
        labels=options.labels,
        multi=options.multi,
        other=options.other,
        examples=options.examples,
        shots=options.shots,
        confidence=options.confidence is not None or stronger is not None,
        votes=options.votes,
    )


def escalate(labels: LabelOptions, escalation: EscalationOptions) -> Stronger | None:
    """Read who is asked what is unsure; None for nobody."""
    level = read_level(labels, escalation)
    if labels.labels is None:
        without_partner("--labels", escalate=escalation.escalate)
    return choose_stronger(
        escalation.escalate,
        below=escalation.below,
        accuracy=escalation.accuracy,
        level=level,
        price=escalation.escalate_price,
    )


def read_level(labels: LabelOptions, escalation: EscalationOptions) -> float:
    """Read how probable --accuracy has to be.

    Raises UsageError where that or --accuracy is no share, or the one is there without the other.
    """
    said = labels.confidence
    try:
        level = float(said) if said else LEVEL
    except ValueError as error:
        raise UsageError(
            f"--confidence {said}: give a share between 0 and 1, such as 0.95, or nothing"
        ) from error
    check(LEVEL if escalation.accuracy is None else escalation.accuracy, level)
    if said and escalation.accuracy is None:
        raise UsageError(
            f"--confidence {said} is the confidence level of --accuracy: add --accuracy 0.95, or "
            "leave the number out"
        )
    return level
