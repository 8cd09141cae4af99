"""`pipeline run`, `summarize` and `classify`: one run, from a prompt to an output."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.cli import app
from pipeline.cli.options import Input, Instruction, PromptName, RunOptions, takes_options
from pipeline.errors import UsageError


@app.command()
@takes_options
def run(
    input: Input,
    options: RunOptions,
    prompt: PromptName = None,
    instruction: Instruction = None,
) -> None:
    """Run a prompt over a folder or a table."""
    from pipeline.cli.build import choose
    from pipeline.cli.session import go

    sys.exit(go(input, choose(prompt, instruction), options))


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
    labels: Annotated[
        str, typer.Option("--labels", help="The labels to choose from: billing,bug,praise.")
    ],
    prompt: Annotated[
        str,
        typer.Option("--prompt", "-p", help="A prompt with one output, `label`, and {{ labels }}."),
    ] = "classify",
) -> None:
    """Give each row or document the label that fits best."""
    from pipeline import prompt as prompts
    from pipeline.cli.session import go

    names = [name for part in labels.split(",") if (name := part.strip())]
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(f"--labels {labels}: give at least two labels, each once")
    sys.exit(go(input, prompts.load(prompt).limit("label", names), options))
