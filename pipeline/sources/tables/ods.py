"""What calamine leaves out of an .ods: line ends and tabs within a paragraph, long durations."""

from __future__ import annotations

import io
import re
from typing import BinaryIO
from zipfile import ZIP_STORED, ZipFile, is_zipfile

from pipeline.sources.tables.values import Duration

_CONTENT = "content.xml"
_BREAKS = ((re.compile(rb"<text:line-break\s*/>"), b"\n"), (re.compile(rb"<text:tab\s*/>"), b"\t"))
_SPAN = re.compile(r"(-?)PT(\d+)H(\d+)M(\d+)(?:\.(\d{1,6})\d*)?S")


def is_ods(file: BinaryIO) -> bool:
    """Return whether a workbook is one of OpenDocument."""
    if not is_zipfile(file):
        return False
    with ZipFile(file) as archive:
        return _CONTENT in archive.namelist()


def mended(file: BinaryIO) -> BinaryIO:
    """Return the workbook with its line ends and tabs as characters."""
    with ZipFile(file) as archive:
        content = archive.read(_CONTENT)
        if not any(sign.search(content) for sign, _ in _BREAKS):
            file.seek(0)
            return file
        for sign, character in _BREAKS:
            content = sign.sub(character, content)
        made = io.BytesIO()
        with ZipFile(made, "w", ZIP_STORED) as other:
            for name in archive.namelist():
                other.writestr(name, content if name == _CONTENT else archive.read(name))
    made.seek(0)
    return made


def duration(text: str) -> Duration | str:
    """Return the duration of over a day that a text is to calamine, or the text."""
    found = _SPAN.fullmatch(text)
    if found is None:
        return text
    hours, minutes, seconds = map(int, found.group(2, 3, 4))
    span = Duration(
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        microseconds=int((found[5] or "0").ljust(6, "0")),
    )
    return Duration(-span.days, -span.seconds, -span.microseconds) if found[1] else span
