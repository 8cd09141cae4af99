"""Which row names the columns. A first row that looks like a title is refused: the header under it
would be asked about, and paid for, as if it were a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.errors import UsageError

PEEK_ROWS = 20  # the header of an export is among them

_MIN_WIDTH = 3  # of two columns, many a table leaves one without a name
_NEARLY_ALL = 0.75
_MOST_CHARACTERS = 60
_LONGER = 3
_FIGURE = re.compile(r"\d")


def find_header(rows: Sequence[Sequence[object]]) -> int | None:
    """Return the place of the row that looks like the header, if the first one doesn't.

    The first one that isn't empty names less than half of the columns, and a later one nearly all
    of them, with different texts. Or it names groups of columns, and the next one the columns.
    """
    cells = [_texts(row) for row in rows]
    width = max((i for row in rows for i, cell in enumerate(row, 1) if _text(cell)), default=0)
    first = first_filled(rows)
    if width < _MIN_WIDTH or 2 * len(cells[first]) >= width:
        return first + 1 if _names_groups(rows[first:], width) else None
    later = range(first + 1, len(cells))
    return next((place for place in later if _names(cells[place], width)), None)


def _names_groups(rows: Sequence[Sequence[object]], width: int) -> bool:
    """Return whether the first row leaves columns unnamed that the second one names: not as a row
    of theirs would, which is as long as those below, and has figures where they have.
    """
    if width < _MIN_WIDTH or len(rows) < 3:
        return False
    above, names, *below = ([_text(cell) for cell in row] for row in rows)
    gaps = [place for place, cell in enumerate(above) if place and not cell]
    if not gaps or not above[0] or len(names) < width or len(above) < width:
        return False
    if not all(names) or len(set(names)) < width or any(map(_FIGURE.search, names)):
        return False
    columns = [
        [row[place] for row in below if place < len(row) and row[place]] for place in range(width)
    ]
    unlike = [
        bool(cells)
        and (
            all(map(_FIGURE.search, cells))
            or sum(map(len, cells)) >= _LONGER * len(name) * len(cells)
        )
        for name, cells in zip(names, columns, strict=True)
    ]
    return sum(unlike) >= (1 if len(gaps) > 1 else 2)


def doubt(where: str, rows: Sequence[Sequence[object]], likely: int, above: int = 0) -> UsageError:
    """Say why the first row isn't taken for the header; there are so many `above` those given."""
    first = first_filled(rows)
    said = ", ".join(_texts(rows[first]))
    said = said if len(said) <= _MOST_CHARACTERS else f"{said[: _MOST_CHARACTERS - 1]}…"
    number = above + likely + 1
    return UsageError(
        f'{where}: the first row, "{said}", names few of the columns; if row {number} is the '
        f"header, add --header-row {number} (or --header-row {above + first + 1} to take the first "
        "as it is)"
    )


def first_filled(rows: Sequence[Sequence[object]]) -> int:
    """Return the place of the first row with a text in it, or that after the last one."""
    return next((place for place, row in enumerate(rows) if _texts(row)), len(rows))


def beyond(where: str, wanted: int, last: int) -> UsageError:
    """Say that the table ends above the row that the user names."""
    end = f"its last one is row {last}" if last else "it is empty"
    return UsageError(f"--header-row {wanted}: {where} has no such row, {end}")


def empty(where: str, wanted: int) -> UsageError:
    """Say that the row that the user names has nothing in it."""
    return UsageError(
        f"--header-row {wanted}: this row of {where} is empty; name the one that names the columns"
    )


def _names(cells: Sequence[str], width: int) -> bool:
    return len(set(cells)) >= _NEARLY_ALL * width and not all(map(_is_number, cells))


def _texts(cells: Sequence[object]) -> list[str]:
    return [text for cell in cells if (text := _text(cell))]


def _text(cell: object) -> str:
    return " ".join(str(cell).split())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
