"""`pipeline estimate`: what a run would send and cost."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from typing import Annotated

import typer

from pipeline.cli import app
from pipeline.cli.labelling import Escalating, LabelCommand, Labelling, escalate
from pipeline.cli.options import (
    Fields,
    Input,
    Instruction,
    Options,
    PromptName,
    takes_options,
)


@app.command(cls=LabelCommand)
@takes_options
def estimate(
    input: Input,
    labelling: Labelling,
    escalating: Escalating,
    options: Options,
    prompt: PromptName = None,
    instruction: Instruction = None,
    fields: Fields = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Leave out what the journal of this output has."),
    ] = None,
) -> None:
    """Say what a run would send and cost. Nothing is sent; the whole input is read."""
    from pipeline.cli.build import build, choose, label
    from pipeline.cli.words import echo_plan
    from pipeline.journal.store import Store
    from pipeline.outputs.targets import open_target
    from pipeline.scratch import Scratch

    chosen = choose(prompt, instruction, fields)
    labelling.check()
    stronger = escalate(labelling, escalating)
    if stronger is not None:
        labelling = replace(labelling, confidence="")
        if stronger.accuracy is not None:  # which answers stand isn't known yet: perhaps none
            stronger = replace(stronger, accuracy=None, below=math.inf)
    if labelling.labels is not None:
        chosen = label(chosen, options, labelling)
    with Scratch() as folder:
        target = open_target(output or str(folder / "none.csv"))
        store = Store(target.path)
        store.open_readonly()
        try:
            built = build(
                input,
                chosen,
                options,
                store=store,
                target=target.name,
                folder=folder,
                fetch_to=folder,
                stronger=stronger,
            )
            with closing(built):
                echo_plan(built.run.plan(seconds=float("inf")), built)
        finally:
            store.close(0)
