"""What calamine leaves out of an .xlsx sheet: its errors, the leading zeros that numbers are shown
with, dates that are none, and that a formula has no value yet.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from posixpath import join, normpath
from typing import BinaryIO
from xml.etree.ElementTree import fromstring
from xml.parsers.expat import ParserCreate
from zipfile import ZipFile, is_zipfile

from pipeline.errors import UsageError

_SIGN = re.compile(rb"""\bt=["']e["']|</f>\s*(?:<v\s*/>|<v>\s*</v>|</c>)""")
_ZEROS = re.compile("00+")
# The formats of dates and times that a workbook names by their number only.
_BUILT_IN = {
    **{
        str(number): "yyyy-mm-dd" for number in (14, 15, 16, 17, 22, *range(27, 37), *range(50, 59))
    },
    **{str(number): "hh:mm" for number in (18, 19, 20, 21, 45, 47)},
}
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_DATE, _TIME = re.compile("[yd]|^[^hs]*m[^hs]*$"), re.compile("[hs]")
_ELAPSED = re.compile(r"\[[hms]+\]", re.I)
_FIRST_1904 = datetime(1904, 1, 1)
_MOST_DIGITS = 15  # that Excel keeps of a number
_OVERLAP_BYTES, _CHUNK_BYTES = 512, 1 << 20
_CELL = re.compile(rb"""<(?:\w+:)?c r=["']([A-Z]+)(\d+)""")
_COLUMN = re.compile(rb"""<(?:\w+:)?c r=["']([A-Z]+)""")
_ROW = re.compile(rb"""<(?:\w+:)?row r=["'](\d+)""")
_EXTENT = re.compile(rb"""<(?:\w+:)?dimension ref=["']([A-Z]+)(\d+):([A-Z]+)(\d+)""")
_HEAD_BYTES = 4096  # of a sheet, in which it says how far it reaches
_MOST_CELLS = 50_000_000  # calamine takes 32 bytes for each between the first and the last


class Padded(int):
    """A whole number that is shown with leading zeros: 7 as `007`."""

    digits: int

    def __new__(cls, number: int, digits: int) -> Padded:
        padded = super().__new__(cls, number)
        padded.digits = digits
        return padded

    def __str__(self) -> str:
        return "-" * (self < 0) + repr(abs(self)).zfill(self.digits)

    def __reduce__(self) -> tuple[type[Padded], tuple[int, int]]:
        return Padded, (int(self), self.digits)


class Oddities:
    """What cells of a sheet hold that calamine gives otherwise, by row and column, both from 0: an
    error (`#DIV/0!`) or a padded number; and how many formulas have no value.
    """

    def __init__(self) -> None:
        self.cells: dict[int, dict[int, str | float | datetime]] = defaultdict(dict)
        self.formulas_without_value = 0


def check_extent(file: BinaryIO, name: str, sheet: str) -> None:
    """Raise UsageError if the cells of a sheet lie further apart than memory reaches. The file is
    called `name`.
    """
    if not is_zipfile(file):
        return
    with ZipFile(file) as archive:
        part = part_of(archive, sheet)
        if part is None or not _is_far(archive, part):
            return
        far = _far_cell(archive, part)
    if far is not None:
        raise UsageError(
            f'{name}, sheet "{sheet}" has a cell {far}, far from its first one, and what lies '
            "between them doesn't fit into memory: delete it, or save the table as .csv"
        )


def _is_far(archive: ZipFile, part: str) -> bool:
    """Return whether a sheet claims to reach far, or does so without a claim; some claim more than
    they have.
    """
    with archive.open(part) as xml:
        found = _EXTENT.search(xml.read(_HEAD_BYTES))
    if found is None:
        return _reach(archive, part) > _MOST_CELLS
    left, top, right, bottom = (corner.decode() for corner in found.groups())
    return (column_of(right) - column_of(left) + 1) * (int(bottom) - int(top) + 1) > _MOST_CELLS


def _reach(archive: ZipFile, part: str) -> int:
    """Return how many cells there are from A1 to the last row and column."""
    height, columns = 0, set[bytes]()
    for chunk in chunks(archive, part):
        columns.update(_COLUMN.findall(chunk))
        height = max(height, max(map(int, _ROW.findall(chunk)), default=0))
    return height * max((column_of(column.decode()) + 1 for column in columns), default=0)


def _far_cell(archive: ZipFile, part: str) -> str | None:
    """Find the first cell that makes a sheet too large."""
    width = height = 0
    for chunk in chunks(archive, part):
        for found in _CELL.finditer(chunk):
            column, row = found[1].decode(), found[2].decode()
            width = max(width, column_of(column) + 1)
            height = max(height, int(row))
            if width * height > _MOST_CELLS:
                return f"{column}{row}"
    return None


def chunks(archive: ZipFile, part: str) -> Iterator[bytes]:
    """Read a part piece by piece; each has the end of the one before at its beginning."""
    with archive.open(part) as xml:
        before = b""
        while chunk := xml.read(_CHUNK_BYTES):
            yield before + chunk
            before = chunk[-_OVERLAP_BYTES:]


def find_oddities(file: BinaryIO, sheet: str) -> Oddities:
    """Look through a sheet of a workbook, if that is an .xlsx: the others don't let us."""
    oddities = Oddities()
    if is_zipfile(file):
        with ZipFile(file) as archive:
            part = part_of(archive, sheet)
            styles = _styles(archive)
            if part is not None and _is_suspect(archive, part, styles):
                _Reader(oddities, styles, _is_1904(archive)).read(archive, part)
    return oddities


def part_of(archive: ZipFile, sheet: str) -> str | None:
    """Find the part of the archive that holds a sheet."""
    parts = archive.namelist()
    relations = "xl/_rels/workbook.xml.rels"
    if "xl/workbook.xml" not in parts or relations not in parts:
        return None
    targets = {
        relation.get("Id"): relation.get("Target", "")
        for relation in fromstring(archive.read(relations))
    }
    for element in fromstring(archive.read("xl/workbook.xml")).iter():
        if _bare(element.tag) == "sheet" and element.get("name") == sheet:
            numbers = {_bare(key): value for key, value in element.items()}
            part = normpath(join("/xl", targets.get(numbers.get("id"), ""))).lstrip("/")
            return part if part in parts else None
    return None


@dataclass(frozen=True, slots=True)
class _Styles:
    """Styles of cells: with so many digits at the least, of dates, of times of a day."""

    digits: Mapping[str, int]
    dates: Collection[str]
    times: Collection[str]


def _styles(archive: ZipFile) -> _Styles:
    """Return the styles of cells that calamine reads otherwise than they are shown."""
    looks = {
        str(style): code or _BUILT_IN.get(number, "")
        for style, (number, code) in enumerate(number_formats(archive))
    }
    bare = {style: _LITERAL.sub("", look).lower() for style, look in looks.items()}
    elapsed = {style for style, look in looks.items() if _ELAPSED.search(look)}
    dates = {style for style, look in bare.items() if _DATE.search(look)} - elapsed
    times = {style for style, look in bare.items() if _TIME.search(look)} - dates - elapsed
    digits = {style: len(look) for style, look in looks.items() if _ZEROS.fullmatch(look)}
    return _Styles(digits, dates, times)


def number_formats(archive: ZipFile) -> list[tuple[str, str]]:
    """Return the format of each style of cells: its number, and its code if that isn't built in."""
    if "xl/styles.xml" not in archive.namelist():
        return []
    styles = fromstring(archive.read("xl/styles.xml"))
    items = styles.findall("{*}numFmts/{*}numFmt")
    codes = {item.get("numFmtId"): item.get("formatCode", "") for item in items}
    numbers = [look.get("numFmtId", "0") for look in styles.findall("{*}cellXfs/{*}xf")]
    return [(number, codes.get(number, "")) for number in numbers]


def _is_1904(archive: ZipFile) -> bool:
    book = fromstring(archive.read("xl/workbook.xml"))
    setting = book.find("{*}workbookPr")
    return setting is not None and setting.get("date1904", "0") in ("1", "true")


def _is_suspect(archive: ZipFile, part: str, styles: _Styles) -> bool:
    """Say whether there may be something to find: most sheets have nothing, and need no parser."""
    signs = [_SIGN.pattern, *(rb"""\bs=["']%s["']""" % style.encode() for style in styles.digits)]
    for known, odd in ((styles.dates, rb"-|0[.<]|60[.<]|\d(?:\.\d+)?E-"), (styles.times, b"-")):
        if known:
            named = "|".join(known).encode()
            formula = rb"(?:<f[^<]*</f>|<f[^>]*/>)?"
            signs.append(rb"""\bs=["'](?:%s)["'][^>]*>%s<v>(?:%s)""" % (named, formula, odd))
    sign = re.compile(b"|".join(signs))
    return any(sign.search(chunk) for chunk in chunks(archive, part))


class _Reader:
    """Goes through the cells of a sheet; rows and cells may leave out where they stand."""

    def __init__(self, oddities: Oddities, styles: _Styles, is_1904: bool) -> None:
        self._oddities = oddities
        self._styles = styles
        self._is_1904 = is_1904
        self._style = ""
        self._row = self._column = -1
        self._kind: str | None = None
        self._shown = 0  # digits of the cell, at the least
        self._has_formula = False
        self._text: list[str] | None = None  # of the <v> that is open
        self._value = ""

    def read(self, archive: ZipFile, part: str) -> None:
        parser = ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add
        with archive.open(part) as xml:
            parser.ParseFile(xml)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(" ")[2]
        if tag == "row":
            self._row = int(attributes.get("r", self._row + 2)) - 1
            self._column = -1
        elif tag == "c":
            reference = attributes.get("r")
            self._column = column_of(reference) if reference else self._column + 1
            self._kind = attributes.get("t", "n")
            self._style = attributes.get("s", "")
            self._shown = self._styles.digits.get(self._style, 0)
            self._has_formula, self._value = False, ""
        elif tag == "f":
            self._has_formula = True
        elif tag == "v":
            self._text = []

    def _add(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        tag = tag.rpartition(" ")[2]
        if tag == "v" and self._text is not None:
            self._value, self._text = "".join(self._text).strip(), None
        elif tag == "c" and self._kind == "e" and self._value:
            self._oddities.cells[self._row][self._column] = self._value
        elif tag == "c" and self._kind == "n" and self._shown and self._value:
            number = float(self._value)
            if number.is_integer() and abs(number) < 10 ** min(self._shown - 1, _MOST_DIGITS):
                padded = Padded(int(number), self._shown)
                self._oddities.cells[self._row][self._column] = padded
        elif tag == "c" and self._kind == "n" and self._value and (odd := self._odd_moment()):
            self._oddities.cells[self._row][self._column] = odd
        elif tag == "c" and self._has_formula and not self._value and self._kind != "str":
            self._oddities.formulas_without_value += 1

    def _odd_moment(self) -> float | str | datetime | None:
        """Return what Excel shows of a number as a date or a time, where that is no such moment."""
        is_date = self._style in self._styles.dates
        if not is_date and self._style not in self._styles.times:
            return None
        number = float(self._value)
        if number < 0:
            return number  # which is shown as ####
        if not is_date or not (number < 1 or 60 <= number < 61):
            return None
        if self._is_1904:
            return _FIRST_1904 + timedelta(days=number) if number < 1 else None
        clock = timedelta(days=number % 1)
        day = "1900-01-00" if number < 1 else "1900-02-29"  # which Excel has, and no calendar
        return f"{day}T{(datetime.min + clock):%H:%M:%S}" if clock else day


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]


def column_of(reference: str) -> int:
    """Return the column of a cell such as `AB12`, from 0."""
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1
