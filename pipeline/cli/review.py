"""`pipeline review`: takes back a workbook that a person has corrected."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import app


@app.command()
def review(
    workbook: Annotated[str, typer.Argument(help="What --review wrote, corrected and saved.")],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="The output it is of. [default: as it says itself]"),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Add the traceback to an error.")] = False,
) -> None:
    """Take a corrected workbook back. Its labels go into the output and a table beside it."""
    from pipeline.outputs import corrections
    from pipeline.places import path_here

    to = None if output is None else path_here(output)
    taken, looked, wrong = corrections.read_back(path_here(workbook), to)
    if not looked:
        typer.echo(f"nothing is said in the first column of {workbook}: nothing was changed")
        return
    corrections.keep(taken)
    corrections.apply(taken)
    typer.echo(
        f"{_rows(looked)} reviewed, {wrong:,} of them wrong -> {taken.output}: "
        f"columns {taken.column}, {taken.final}"
    )
    typer.echo(
        f"{_rows(len(taken.rows))} reviewed in all -> {taken.path}: "
        f"try the next prompt on them, with --expected {taken.column}"
    )


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
