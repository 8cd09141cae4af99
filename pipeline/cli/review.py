"""`pipeline review`: reads back a workbook that a person has reviewed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import app
from pipeline.errors import PipelineError
from pipeline.showing import say, shown


@app.command()
def review(
    workbook: Annotated[str, typer.Argument(help="The workbook of --review, filled in and saved.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="The output to correct. [default: the one it was made from]"
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Add the traceback to an error.")] = False,
) -> None:
    """Read a reviewed workbook back. Its answers go into the output and a table beside it."""
    from pipeline.cli.words import many
    from pipeline.places import path_here
    from pipeline.review import corrections
    from pipeline.review import workbook_in as reviewed

    to = None if output is None else path_here(output)
    found = reviewed.read_back(path_here(workbook), to)
    taken, looked, wrong = found.corrections, found.looked, found.wrong
    if not looked:
        say(f"the first column of {workbook} is empty; nothing was changed")
        return
    with _noted(taken.output):
        corrections.keep(taken)
        written = corrections.apply(taken)
    alike = f" ({many(found.found, 'row')} with the same input)" if found.found > looked else ""
    told = f"{many(looked, 'row')} reviewed{alike}, {many(wrong, 'answer')} corrected"
    names = f"columns {taken.column}, {taken.final}"
    if written:
        say(f"{told} -> {taken.output}: {names}")
    else:
        say(
            f"{told}; {taken.output} has several sheets, which only a run can write: run the "
            f"command that wrote it again to add the {names}; nothing is asked again"
        )
    say(
        f"{many(len(taken.rows), 'row')} reviewed in total -> {taken.path}: "
        f"test your next prompt on them, with --expected {taken.column}"
    )


@contextmanager
def _noted(output: Path) -> Iterator[None]:
    """Note in the journal that the output is written anew: the next run would take it for changed
    by hand. Raises JournalError where a run is at it.
    """
    from pipeline.cli.words import command_line
    from pipeline.engine.afterwards import keep_changed
    from pipeline.journal.store import Store
    from pipeline.outputs.targets import open_target

    store = Store(output)
    if not store.path.exists():
        yield
        return
    store.open(shown(command_line()))
    code = PipelineError.exit_code
    try:
        if kept := keep_changed(open_target(str(output)), store):
            say(kept, err=True)
        yield
        store.wrote()
        code = 0
    finally:
        store.close(code)
