"""`pipeline run`, `summarize`, `classify` and `extract`: one run, from a prompt to an output."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.cli import app
from pipeline.cli.labelling import (
    EscalationOptions,
    LabelCommand,
    LabelOptions,
    escalate,
    labelling,
)
from pipeline.cli.options import (
    Fields,
    Input,
    Instruction,
    PromptName,
    RunOptions,
    Terminal,
    takes_options,
)
from pipeline.engine.settings import Settings
from pipeline.errors import UsageError


@app.command()
@takes_options
def run(
    input: Input,
    chosen: RunOptions,
    terminal: Terminal,
    prompt: PromptName = None,
    instruction: Instruction = None,
    fields: Fields = None,
) -> None:
    """Run a prompt over a folder or a table."""
    from pipeline.cli.session import go
    from pipeline.prompting.choosing import choose

    asked = choose(prompt, instruction, fields)
    sys.exit(go(Settings(input=input, prompt=asked, **chosen), terminal))


@app.command()
@takes_options
def summarize(input: Input, chosen: RunOptions, terminal: Terminal) -> None:
    """Sum up each document in two or three sentences."""
    from pipeline.cli.session import go
    from pipeline.prompting.loading import load

    sys.exit(go(Settings(input=input, prompt=load("summarize"), **chosen), terminal))


@app.command(cls=LabelCommand)
@takes_options
def classify(
    input: Input,
    labels: LabelOptions,
    escalation: EscalationOptions,
    chosen: RunOptions,
    terminal: Terminal,
    prompt: Annotated[
        str,
        typer.Option("--prompt", "-p", help="A prompt with one output, `label`, and {{ labels }}."),
    ] = "classify",
) -> None:
    """Give each row or document its label. With --multi, all the labels that fit."""
    from pipeline.cli.session import go
    from pipeline.prompting.loading import load

    if labels.labels is None:
        raise UsageError("give the labels: --labels billing,bug,praise or --labels labels.yaml")
    stronger = escalate(labels, escalation)
    settings = Settings(
        input=input,
        prompt=load(prompt),
        labelling=labelling(labels, stronger),
        stronger=stronger,
        **chosen,
    )
    sys.exit(go(settings, terminal))


@app.command()
@takes_options
def extract(
    input: Input,
    chosen: RunOptions,
    terminal: Terminal,
    fields: Fields = None,
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", help="A prompt of your own, with `outputs` or without.")
    ] = "extract",
) -> None:
    """Take facts out of each row or document. Each has a column of its own."""
    from pipeline.cli.session import go
    from pipeline.prompting.choosing import choose_facts

    asked = choose_facts(prompt, fields)
    sys.exit(go(Settings(input=input, prompt=asked, **chosen), terminal))
