"""`pipeline run`, `summarize`, `classify` and `extract`: one run, from a prompt to an output."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.cli import app
from pipeline.cli.options import (
    SHOTS,
    Below,
    Confidence,
    Escalate,
    EscalatePrice,
    Examples,
    Fields,
    Input,
    Instruction,
    Labels,
    Multi,
    Other,
    PromptName,
    RunOptions,
    Shots,
    Votes,
    read_price,
    takes_options,
)
from pipeline.errors import UsageError


@app.command()
@takes_options
def run(
    input: Input,
    options: RunOptions,
    prompt: PromptName = None,
    instruction: Instruction = None,
    fields: Fields = None,
) -> None:
    """Run a prompt over a folder or a table."""
    from pipeline.cli.build import choose
    from pipeline.cli.session import go

    sys.exit(go(input, choose(prompt, instruction, fields), options))


@app.command()
@takes_options
def summarize(input: Input, options: RunOptions) -> None:
    """Sum up each document in two or three sentences."""
    from pipeline import prompt as prompts
    from pipeline.cli.session import go

    sys.exit(go(input, prompts.load("summarize"), options))


@app.command()
@takes_options
def classify(
    input: Input,
    options: RunOptions,
    labels: Labels = None,
    multi: Multi = False,
    other: Other = False,
    examples: Examples = None,
    shots: Shots = SHOTS,
    confidence: Confidence = False,
    votes: Votes = None,
    escalate: Escalate = None,
    below: Below = 0.85,
    escalate_price: EscalatePrice = None,
    prompt: Annotated[
        str,
        typer.Option("--prompt", "-p", help="A prompt with one output, `label`, and {{ labels }}."),
    ] = "classify",
) -> None:
    """Give each row or document the label that fits best, or all that fit."""
    from pipeline import prompt as prompts
    from pipeline.cli.build import Stronger, label
    from pipeline.cli.session import go

    if labels is None:
        raise UsageError("give the labels: --labels billing,bug,praise or --labels labels.yaml")
    chosen = label(
        prompts.load(prompt),
        options,
        labels=labels,
        multi=multi,
        other=other,
        examples=examples,
        shots=shots,
        confidence=confidence or escalate is not None,
        votes=votes,
    )
    stronger = None
    if escalate is not None:
        price = read_price(escalate_price, "--escalate-price")
        stronger = Stronger(escalate, below, price)
    sys.exit(go(input, chosen, options, stronger))


@app.command()
@takes_options
def extract(
    input: Input,
    options: RunOptions,
    fields: Fields = None,
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", help="A prompt of your own, with `outputs` or without.")
    ] = "extract",
) -> None:
    """Take facts out of each row or document, each into a column of its own."""
    from pipeline.cli.build import choose
    from pipeline.cli.session import go

    chosen = choose(prompt, None, fields)
    if chosen.outputs is None:
        raise UsageError(
            "give the fields: --fields 'vendor, date: date, total: number, kind: invoice|receipt'"
        )
    sys.exit(go(input, chosen, options))
