"""What flows: Document -> Request -> Response -> Result -> row. Each holds the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["text", "integer", "number", "decimal", "boolean", "json", "any"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name and what its cells hold.

    `arrow` is the pyarrow type of a column that came from Parquet, so that it leaves as it came.
    """

    name: str
    kind: Kind = "any"
    arrow: object = None


@dataclass(frozen=True, slots=True)
class Document:
    """One input: a row of a table or a file of a folder.

    `fields` are the input's own columns, as they were read, in their order. `error` says why the
    document can't be used; it then has no text.
    """

    position: int
    name: str
    fields: Mapping[str, object]
    text: str = ""
    error: str | None = None
