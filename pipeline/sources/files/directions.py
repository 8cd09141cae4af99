"""The text of PDF pages that PDFium reads better than the extractor does.

Those are pages of which the extractor loses much, and whose lines don't run from left to right.
Hebrew and Arabic stand in a PDF as they are drawn; here they get back the order they are read in.
Lines that run down or up (vertical writing, turned pages) come as PDFium has them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from ctypes import c_double
from itertools import chain, cycle, pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import DocumentError
from pipeline.sources.files.pixels import explained

if TYPE_CHECKING:
    from pypdfium2 import PdfPage, PdfTextPage

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_DOWNWARD = re.compile("[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")  # may be written downward
_ARABIC = re.compile("[\u0600-\u08ff\ufb50-\ufdff\ufe70-\ufefc]")
# Runs of a line that is read from right to left which are read from left to right all the same: by
# what `_class` calls each character.
_LATIN = r"(?:e?N[Nse]*)?L(?:[^R]*[LN])?"
_RUNS = {
    True: re.compile(rf"{_LATIN}|N(?:[Ns]*N)?"),
    False: re.compile(rf"{_LATIN}|e?N(?:[Nse]*N)?e?"),
}
_FOREIGN = re.compile(r"R(?:[^L]*R)?")  # in a line that is read from left to right
_CLASSES = {"L": "L", "R": "R", "AL": "R", "EN": "N", "AN": "N", "CS": "s", "ES": "e", "ET": "e"}
_GAP = 0.12  # of the font's size is a space
_KEPT = 0.8  # of its letters are left of a page that the extractor has read as a whole
_SAMPLE = 40  # characters of a page tell how its lines run


class Page(NamedTuple):
    """The text of a page, and whether it is better than the extractor's."""

    text: str
    is_better: bool


class _Glyph(NamedTuple):
    """One or more characters (a ligature, a letter and its marks) and where they are drawn."""

    left: float
    right: float
    size: float
    text: str


def read_pages(data: bytes, extracted: Sequence[str]) -> list[Page]:
    """Return the pages as PDFium has them, beside those of the extractor; none if it can't."""
    import pypdfium2

    try:
        with explained("the PDF can't be read"), pypdfium2.PdfDocument(data) as document:
            pages = zip(range(len(document)), chain(extracted, repeat("")), strict=False)
            return [_read(document[number], text) for number, text in pages]
    except DocumentError:  # the extractor has read it as it is
        return []


def logical(glyphs: Sequence[str], *, leftward: bool) -> str:
    """Put a line that is listed as it is drawn, from left to right, into the order of reading.

    `leftward` is the direction of what stands around it.
    """
    classes = "".join(map(_class, glyphs))
    if leftward and "R" in classes:
        return _reversed(glyphs, classes, is_arabic=bool(_ARABIC.search("".join(glyphs))))
    text, end = "", 0
    for run in _FOREIGN.finditer(classes):
        inner = glyphs[run.start() : run.end()]
        text += "".join(glyphs[end : run.start()])
        text += _reversed(inner, run[0], is_arabic=bool(_ARABIC.search("".join(inner))))
        end = run.end()
    return text + "".join(glyphs[end:])


def _reversed(glyphs: Sequence[str], classes: str, *, is_arabic: bool) -> str:
    parts: list[str] = []
    end = 0
    for run in _RUNS[is_arabic].finditer(classes):
        parts += [*glyphs[end : run.start()], "".join(glyphs[run.start() : run.end()])]
        end = run.end()
    return _paired("".join(reversed([*parts, *glyphs[end:]])))


def _paired(text: str) -> str:
    """Open and close brackets in turn if they don't match: some are listed as they are drawn."""
    for kind in ("()", "[]", "{}", "<>", "«»"):
        opens, closes = (text.count(bracket) for bracket in kind)
        if (opens + closes) % 2 or (opens == closes and text.find(kind[0]) < text.find(kind[1])):
            continue
        turns = cycle(kind)
        text = "".join(next(turns) if letter in kind else letter for letter in text)
    return text


def _class(glyph: str) -> str:
    return _CLASSES.get(unicodedata.bidirectional(glyph[0]), " ")


def _read(page: PdfPage, extracted: str) -> Page:
    text_page = page.get_textpage()
    if is_turned := _is_upside_down(text_page):
        page.set_rotation((page.get_rotation() + 180) % 360)
        text_page = page.get_textpage()
    text = str(text_page.get_text_range()).replace("\r\n", "\n")
    if foreign := len(_RIGHT_TO_LEFT.findall(text)):
        leftward = 2 * foreign > sum(map(str.isalpha, text))
        lines = (logical(_drawn(line), leftward=leftward) for line in _lines(text_page))
        return Page("\n".join(lines), True)
    if downward := _downward(text_page):
        return Page(_sideways(text, [line[0].left for line in _lines(text_page)], downward), True)
    if not is_turned and _letters(extracted) < _KEPT * _letters(text):
        text = str(text_page.get_text_bounded()).replace("\r\n", "\n")  # what is on the page
        return Page(text, _letters(extracted) < _KEPT * _letters(text))
    return Page(text, is_turned)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _sideways(text: str, places: Sequence[float], downward: int) -> str:
    """Return the lines of a turned page in their order: PDFium has some last to first."""
    if 2 * len(_DOWNWARD.findall(text)) > sum(map(str.isalpha, text)):
        return text  # vertical writing, in whose order it knows its way
    steps = [downward * (after - before) for before, after in pairwise(places)]
    backward = sum(step > 0 for step in steps) > sum(step < 0 for step in steps)
    return "\n".join(reversed(text.split("\n"))) if backward else text


def _downward(page: PdfTextPage) -> int:
    """Return how lines run: 1 down, -1 up, 0 across."""
    moves = [
        (abs(after[0] - before[0]), before[1] - after[1])
        for before, after in pairwise(_origins(page))
        if before and after
    ]
    across = sum(dx > abs(dy) for dx, dy in moves)
    down, up = sum(dy > dx for dx, dy in moves), sum(-dy > dx for dx, dy in moves)
    if across >= down + up:
        return 0
    return 1 if down > up else -1


def _is_upside_down(page: PdfTextPage) -> bool:
    from pypdfium2.raw import FPDFText_GetCharAngle

    angles = [FPDFText_GetCharAngle(page.raw, at) for at in range(min(page.count_chars(), _SAMPLE))]
    turned = sum(abs(float(angle) - math.pi) < 0.1 for angle in angles)
    return 2 * turned > len(angles)


def _origins(page: PdfTextPage) -> Iterator[tuple[float, float] | None]:
    """Yield where characters stand, and None for the end of a line."""
    from pypdfium2.raw import FPDFText_GetCharOrigin, FPDFText_IsGenerated

    x, y = c_double(), c_double()
    for at, letter in enumerate(page.get_text_range(0, min(page.count_chars(), _SAMPLE))):
        if letter in "\r\n":
            yield None
        elif not FPDFText_IsGenerated(page.raw, at):
            FPDFText_GetCharOrigin(page.raw, at, x, y)
            yield x.value, y.value


def _lines(page: PdfTextPage) -> Iterator[list[_Glyph]]:
    """Yield the glyphs of each line, without spaces."""
    line: list[_Glyph] = []
    for glyph in _glyphs(page):
        if glyph.text in "\r\n":
            if line:
                yield line
            line = []
        elif line and (line[-1].left == glyph.left or unicodedata.combining(glyph.text[0])):
            line[-1] = line[-1]._replace(text=line[-1].text + glyph.text)
        elif not glyph.text.isspace():
            line.append(glyph)
    if line:
        yield line


def _drawn(line: list[_Glyph]) -> list[str]:
    """List glyphs from left to right, with a space in each gap: PDFium misplaces its own."""
    line.sort(key=lambda glyph: glyph.left)
    drawn = [line[0].text]
    for before, after in pairwise(line):
        if after.left - before.right > _GAP * after.size:
            drawn.append(" ")
        drawn.append(after.text)
    return drawn


def _glyphs(page: PdfTextPage) -> Iterator[_Glyph]:
    from pypdfium2 import raw

    box = raw.FS_RECTF()
    for at in range(page.count_chars()):
        raw.FPDFText_GetLooseCharBox(page.raw, at, box)
        size = raw.FPDFText_GetFontSize(page.raw, at)
        yield _Glyph(box.left, box.right, size, chr(raw.FPDFText_GetUnicode(page.raw, at)))
