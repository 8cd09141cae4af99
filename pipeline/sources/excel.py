"""The first sheet of an Excel workbook, through pandas and calamine: cells keep their types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.errors import UsageError
from pipeline.sources.inputs import FileInput
from pipeline.sources.table import Row, unique_names
from pipeline.types import Column

Cells = tuple[object, ...]


class ExcelTable:
    """Rows of cells under a header. All of them are in memory: so are they in the reader."""

    unit = "row"

    def __init__(self, file: FileInput) -> None:
        rows = _read(file)
        self._header = next((i for i, cells in enumerate(rows) if _width(cells)), len(rows))
        if self._header == len(rows):
            raise UsageError(f"{file.name} has no header; its first row has to name the columns")
        self._width = max(map(_width, rows))  # cells with a format and nothing in them don't count
        while not _width(rows[-1]):
            rows.pop()
        self._rows = rows
        self._names = unique_names(rows[self._header][: self._width])
        self.columns: Sequence[Column] = tuple(map(Column, self._names))
        self._read = 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows under the header, numbered as in the sheet; an empty cell is None."""
        for number in range(self._header + 2, len(self._rows) + 1):
            self._read = number
            cells = self._rows[number - 1][: self._width]
            values = (None if _empty(cell) else cell for cell in cells)
            yield number, dict(zip(self._names, values, strict=True)), None

    def fraction(self) -> float:
        """Say how much of the sheet has been read, by rows."""
        return self._read / len(self._rows)


def _read(file: FileInput) -> list[Cells]:
    import pandas
    from python_calamine import CalamineError

    with file.open() as raw:
        try:
            frame = pandas.read_excel(
                raw, engine="calamine", header=None, dtype=object, na_filter=False
            )
        except (CalamineError, ValueError) as error:
            raise UsageError(
                f"{file.name} can't be read as Excel: {error}; save it as .xlsx without a password"
            ) from error
    return list(frame.itertuples(index=False, name=None))


def _empty(cell: object) -> bool:
    return isinstance(cell, str) and not cell


def _width(cells: Cells) -> int:
    return max((i for i, cell in enumerate(cells, 1) if not _empty(cell)), default=0)
