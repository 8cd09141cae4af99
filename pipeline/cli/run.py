"""`pipeline run`, `summarize`, `classify` and `extract`: one run, from a prompt to an output."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from pipeline.cli import app
from pipeline.cli.labelling import Escalating, LabelCommand, Labelling, escalate
from pipeline.cli.options import (
    Fields,
    Input,
    Instruction,
    PromptName,
    RunOptions,
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
    from pipeline.cli.session import go
    from pipeline.prompting import prompt as prompts

    sys.exit(go(input, prompts.load("summarize"), options))


@app.command(cls=LabelCommand)
@takes_options
def classify(
    input: Input,
    labelling: Labelling,
    escalating: Escalating,
    options: RunOptions,
    prompt: Annotated[
        str,
        typer.Option("--prompt", "-p", help="A prompt with one output, `label`, and {{ labels }}."),
    ] = "classify",
) -> None:
    """Give each row or document its label. With --multi, all the labels that fit."""
    from pipeline.cli.build import label
    from pipeline.cli.session import go
    from pipeline.prompting import prompt as prompts

    if labelling.labels is None:
        raise UsageError("give the labels: --labels billing,bug,praise or --labels labels.yaml")
    stronger = escalate(labelling, escalating)
    if stronger is not None:
        labelling = replace(labelling, confidence="")
    chosen = label(prompts.load(prompt), options, labelling)
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
    """Take facts out of each row or document. Each has a column of its own."""
    from pipeline.cli.build import choose
    from pipeline.cli.session import go

    chosen = choose(prompt, None, fields)
    if chosen.outputs is None:
        raise UsageError(
            "give the fields: --fields 'vendor, date: date, total: number, kind: invoice|receipt'"
        )
    sys.exit(go(input, chosen, options))
