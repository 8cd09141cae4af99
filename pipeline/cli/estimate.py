"""`pipeline estimate`: what a run would send and cost."""

from __future__ import annotations

import math
from dataclasses import replace
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
    AskOptions,
    Fields,
    Input,
    Instruction,
    PromptName,
    takes_options,
)
from pipeline.engine.settings import Settings
from pipeline.evaluation.threshold import LEVEL


@app.command(cls=LabelCommand)
@takes_options
def estimate(
    input: Input,
    labels: LabelOptions,
    escalation: EscalationOptions,
    chosen: AskOptions,
    prompt: PromptName = None,
    instruction: Instruction = None,
    fields: Fields = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Leave out what the journal of this output has."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Add the traceback to an error.")] = False,
) -> None:
    """Say what a run would send and cost. Nothing is sent; the whole input is read."""
    from pipeline.cli.words import describe_plan
    from pipeline.engine.build import open_run
    from pipeline.prompting.choosing import choose
    from pipeline.showing import say
    from pipeline.watching import told

    asked = choose(prompt, instruction, fields)
    labels.check()
    stronger = escalate(labels, escalation)
    if stronger is not None and stronger.accuracy is not None:
        # Which answers stand isn't known yet: perhaps none.
        stronger = replace(stronger, accuracy=None, level=LEVEL, below=math.inf)
    settings = Settings(
        input=input,
        output=output,
        prompt=asked,
        labelling=labelling(labels, stronger),
        stronger=stronger,
        **chosen,
    )
    with open_run(settings, dry=True) as run:
        plan = run.plan(seconds=math.inf)
        for notice in told(run):
            say(notice, err=True)
        say(describe_plan(plan, run))
