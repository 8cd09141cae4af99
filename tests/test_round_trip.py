"""Any table that hypothesis makes, through a whole run, in each format that can hold it."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from pipeline.sources.opening import open_source
from pipeline.sources.tables.table import unique_names
from pipeline.sources.tables.written import unguard
from tests.running import run_here

ECHO = ("--instruction", "Answer.", "--model", "echo")


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-(2**53), 2**53)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DOUBLES = st.floats(-1e300, 1e300)  # xlsxwriter rounds the largest of all to infinity
DAYS = st.dates(dt.date(1900, 3, 1), dt.date(9999, 12, 31))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
Table = tuple[list[str], list[list[Any]]]


@st.composite
def tables(draw: st.DrawFn, *kinds: st.SearchStrategy[Any]) -> Table:
    """Draw a table: the names of its columns, each of a kind of its own, and its rows."""
    names = ["the text", *draw(st.lists(NAMES, unique=True, max_size=4))]
    names = unique_names(names)
    columns = [TEXT, *(draw(st.sampled_from(kinds)) for _ in names[1:])]
    return names, draw(st.lists(st.tuples(*columns).map(list), max_size=5))


def through(folder: Path, suffix: str) -> Path:
    """Run the table of a folder; give its output, in the same format."""
    for old in folder.glob("out*"):
        old.unlink()
    output = folder / f"out{suffix}"
    given = folder / f"in{suffix}"
    options = ("--text-column", "the text", "--prefix", "new: ")
    ended = run_here("run", given, "-o", output, *ECHO, *options)
    assert ended.code == 0, ended.err
    return output


any_table = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
@any_table
@given(table=tables(TEXT))
def test_any_table_comes_out_of_csv(
    tmp_path: Path, suffix: str, delimiter: str, table: Table
) -> None:
    names, rows = table
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    (tmp_path / f"in{suffix}").write_text(file.getvalue(), encoding="utf-8", newline="")
    text = through(tmp_path, suffix).read_bytes().decode()
    found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert [row[: len(names)] for row in found] == [names, *rows]


@dataclass(frozen=True)
class Written:
    """How a text table is written: more ways than programs have."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    line_end: str = "\n"
    encoding: str = "utf-8"
    ends: str = ""
    """What stands at the end of each row."""

    def dump(self, rows: list[list[str]]) -> bytes:
        lines = [self.delimiter.join(map(self._cell, row)) + self.ends for row in rows]
        return "".join(line + self.line_end for line in lines).encode(self.encoding)

    def _cell(self, cell: str) -> str:
        marks = {self.delimiter[0], self.quote, self.escape, *'\r\n"\\'}
        if not marks & set(cell) and cell == cell.strip():
            return cell
        escaped = cell.replace(self.escape, self.escape * 2) if self.escape != self.quote else cell
        return f"{self.quote}{escaped.replace(self.quote, self.escape + self.quote)}{self.quote}"


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp1252"]
DELIMITERS = [",", ";", "\t", "|", "\x01", "||"]
LINES = [["text", "id"], ["Le café était déjà fermé à l’été, où est la clé ?", "1"]]


@pytest.mark.parametrize("quotes", [('"', '"'), ('"', "\\"), ("'", "'")])
@any_table
@given(data=st.data())
def test_any_table_in_any_style_comes_back_in_its_own_columns_or_is_refused(
    tmp_path: Path, quotes: tuple[str, str], data: st.DataObject
) -> None:
    written = Written(
        data.draw(st.sampled_from(DELIMITERS)),
        *quotes,
        data.draw(st.sampled_from(["\n", "\r\n", "\r"])),
        data.draw(st.sampled_from(ENCODINGS)),
    )
    written = replace(written, ends=data.draw(st.sampled_from(["", written.delimiter])))
    letters = "ab é’ ,;|\t\x01\"'\\"
    texts = st.text(letters, max_size=8)
    proof = [f"a{written.delimiter} {written.quote}b{written.quote}", "x"]  # that quotes are meant
    rows = [*LINES, proof, *data.draw(st.lists(st.tuples(texts, texts).map(list), max_size=4))]
    ragged = quotes == ('"', '"') and not written.ends and data.draw(st.booleans())
    (tmp_path / "in.csv").write_bytes(written.dump([*rows, ["short"]] if ragged else rows))
    output = tmp_path / "out.csv"
    for old in tmp_path.glob("out*"):
        old.unlink()
    ended = run_here("run", tmp_path / "in.csv", "-o", output, "--text-column", "text", *ECHO)
    if ended.code == 2:
        assert "error:" in ended.err
        return
    assert ended.code == int(ragged), ended.err
    text = output.read_bytes().decode(written.encoding)
    assert text.splitlines()[0].startswith(f"text{written.delimiter}id")
    assert written.line_end == "\r" or "\r" not in text.replace("\r\n", "")
    found = [list(row.fields.values())[:2] for row in open_source(str(output))]
    # In a table of ours, an apostrophe before what may be a formula is no part of a text.
    read = [[unguard(text) for text in row] for row in rows[1:]]
    assert found == [*read, *([["short", ""]] if ragged else [])]


@any_table
@given(table=tables(JSON))
def test_any_table_comes_out_of_json_lines(tmp_path: Path, table: Table) -> None:
    names, rows = table
    objects = [dict(zip(names, row, strict=True)) for row in rows] or [{"the text": ""}]
    lines = [json.dumps(item, ensure_ascii=False) for item in objects]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8", newline="")
    found = through(tmp_path, ".jsonl").read_bytes().decode().split("\n")[:-1]
    kept = [{n: v for n, v in json.loads(line).items() if n in names} for line in found]
    assert [json.dumps(item) for item in kept] == [json.dumps(item) for item in objects]


@any_table
@given(table=tables(TEXT, INTEGERS, DOUBLES, st.booleans(), DAYS, st.none()))
def test_any_table_comes_out_of_excel(tmp_path: Path, table: Table) -> None:
    names, rows = table
    with xlsxwriter.Workbook(tmp_path / "in.xlsx", {"default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet("in")
        for number, row in enumerate([names, *rows]):
            for place, cell in enumerate(row):
                write = sheet.write_string if isinstance(cell, str) else sheet.write
                write(number, place, cell)
    given = _values(tmp_path / "in.xlsx", "in", len(names))
    assert _values(through(tmp_path, ".xlsx"), "rows", len(names))[: len(given)] == given


LOOKS = ["0%", "0.00", '#,##0.00 "EUR"', "yyyy-mm-dd", "dd.mm.yy hh:mm", "[h]:mm:ss", "00000"]


@any_table
@given(
    looks=st.lists(st.sampled_from(LOOKS), min_size=1, max_size=4),
    numbers=st.lists(st.floats(100, 50_000), min_size=1, max_size=4),
    is_1904=st.booleans(),
    hidden=st.booleans(),
)
def test_any_numbers_of_a_workbook_are_shown_as_they_were(
    tmp_path: Path, looks: list[str], numbers: list[float], is_1904: bool, hidden: bool
) -> None:
    names = ["the text", *(f"n{place}" for place, _ in enumerate(looks))]
    with xlsxwriter.Workbook(tmp_path / "in.xlsx", {"date_1904": is_1904}) as book:
        sheet = book.add_worksheet("in")
        sheet.write_row(0, 0, names)
        formats = [book.add_format({"num_format": look}) for look in looks]
        for row, number in enumerate(map(round, numbers), 1):
            sheet.write_string(row, 0, "x")
            sheet.set_row(row, None, None, {"hidden": hidden})
            for column, look in enumerate(formats, 1):
                sheet.write_number(row, column, number, look)
    given = _shown(tmp_path / "in.xlsx", len(names))
    assert _shown(through(tmp_path, ".xlsx"), len(names)) == given


def _shown(path: Path, width: int) -> list[list[tuple[object, str]]]:
    """Return the values of a sheet's first columns, and how they are shown."""
    rows = load_workbook(path).worksheets[0].iter_rows(min_row=2, max_col=width)
    return [[(cell.value, str(cell.number_format)) for cell in row[1:]] for row in rows]


def _values(path: Path, sheet: str, width: int) -> list[list[object]]:
    """Read a sheet; rows with nothing in them at its end don't count."""
    rows = CalamineWorkbook.from_path(path).get_sheet_by_name(sheet).to_python()
    cells: list[list[object]] = [list(row[:width]) for row in rows]
    while not any(cell != "" for cell in cells[-1]):
        cells.pop()
    return cells


ARROW: Mapping[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXT,
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pa.binary(): st.binary(max_size=5),
    pa.decimal128(12, 3): st.decimals(-(10**8), 10**8, places=3),
    pa.list_(pa.int8()): st.lists(st.integers(-128, 127), max_size=3),
    pa.struct([("a", pa.string()), ("b", pa.list_(pa.bool_()))]): st.fixed_dictionaries(
        {"a": TEXT | st.none(), "b": st.lists(st.booleans(), max_size=2)}
    ),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["a", "b", "c"]),
}


@st.composite
def arrow_tables(draw: st.DrawFn) -> pa.Table:
    names = ["the text", *draw(st.lists(NAMES, unique=True, max_size=4))]
    count = draw(st.integers(0, 5))
    arrays = []
    for place, _ in enumerate(unique_names(names)):
        arrow = draw(st.sampled_from(list(ARROW))) if place else pa.string()
        cells = ARROW[arrow] | st.none()
        values = draw(st.lists(cells, min_size=count, max_size=count))
        arrays.append(pa.array(values, arrow))
    return pa.table(arrays, unique_names(names))


@any_table
@given(table=arrow_tables())
def test_any_table_comes_out_of_parquet(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "in.parquet")
    found = pq.read_table(through(tmp_path, ".parquet"))
    assert found.select(range(table.num_columns)).equals(table)
