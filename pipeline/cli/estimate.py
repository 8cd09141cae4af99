"""`pipeline estimate`: what a run would send and cost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import app
from pipeline.cli.options import (
    Fields,
    Input,
    Instruction,
    Labelling,
    Options,
    PromptName,
    takes_options,
)


@app.command()
@takes_options
def estimate(
    input: Input,
    labelling: Labelling,
    options: Options,
    prompt: PromptName = None,
    instruction: Instruction = None,
    fields: Fields = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Leave out what the journal of this output has."),
    ] = None,
) -> None:
    """Say what a run would send and cost; nothing is sent, and the whole input is read."""
    from pipeline.cli.build import build, choose, label
    from pipeline.cli.words import echo_plan
    from pipeline.outputs.targets import open_target
    from pipeline.store import Store

    chosen = choose(prompt, instruction, fields)
    if labelling.labels is not None:
        chosen = label(chosen, options, labelling)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        target = open_target(output or str(Path(folder, "none.csv")))
        store = Store(target.path)
        store.open_readonly()
        try:
            built = build(
                input,
                chosen,
                options,
                store=store,
                target=target.name,
                folder=Path(folder),
                fetch_to=Path(folder),
            )
            echo_plan(built.run.plan(seconds=float("inf")), built)
        finally:
            store.close(0)
