"""What calamine leaves out of an .xlsx sheet: its errors, and that a formula has no value yet."""

from __future__ import annotations

import re
from collections import defaultdict
from posixpath import join, normpath
from typing import BinaryIO
from xml.etree.ElementTree import fromstring
from xml.parsers.expat import ParserCreate
from zipfile import ZipFile, is_zipfile

_SIGN = re.compile(rb"""\bt=["']e["']|</f>\s*(?:<v\s*/>|<v>\s*</v>|</c>)""")
_OVERLAP_BYTES, _CHUNK_BYTES = 64, 1 << 20


class Oddities:
    """The errors of a sheet (`#DIV/0!`) by row and column, both from 0, and unworked formulas."""

    def __init__(self) -> None:
        self.errors: dict[int, dict[int, str]] = defaultdict(dict)
        self.formulas_without_value = 0


def find_oddities(file: BinaryIO, sheet: str) -> Oddities:
    """Look through a sheet of a workbook, if that is an .xlsx: the others don't let us."""
    oddities = Oddities()
    if is_zipfile(file):
        with ZipFile(file) as archive:
            part = _part(archive, sheet)
            if part is not None and _is_suspect(archive, part):
                _Reader(oddities).read(archive, part)
    return oddities


def _part(archive: ZipFile, sheet: str) -> str | None:
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


def _is_suspect(archive: ZipFile, part: str) -> bool:
    """Say whether there may be something to find: most sheets have nothing, and need no parser."""
    with archive.open(part) as xml:
        before = b""
        while chunk := xml.read(_CHUNK_BYTES):
            if _SIGN.search(before + chunk):
                return True
            before = chunk[-_OVERLAP_BYTES:]
    return False


class _Reader:
    """Goes through the cells of a sheet; rows and cells may leave out where they stand."""

    def __init__(self, oddities: Oddities) -> None:
        self._oddities = oddities
        self._row = self._column = -1
        self._kind: str | None = None
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
            self._column = _column(reference) if reference else self._column + 1
            self._kind = attributes.get("t")
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
            self._oddities.errors[self._row][self._column] = self._value
        elif tag == "c" and self._has_formula and not self._value and self._kind != "str":
            self._oddities.formulas_without_value += 1


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]


def _column(reference: str) -> int:
    """Give the column of a cell such as `AB12`, from 0."""
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1
