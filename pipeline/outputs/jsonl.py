"""JSON Lines: a row is an object, its numbers numbers and its nested values nested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.outputs.cells import Rows, to_json
from pipeline.outputs.packing import create
from pipeline.types import Column


def write(path: Path, columns: Sequence[Column], rows: Rows) -> list[str]:
    """Write a line per row; a key that a row lacks is left out.

    A number that came from JSON Lines is written as it was there; NaN from elsewhere becomes null.
    """
    names = [column.name for column in columns]
    with create(path) as file:
        for row in rows:
            file.write(to_json({name: row[name] for name in names if name in row}) + b"\n")
    return []
