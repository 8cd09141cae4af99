"""How a text table is written, found out from its beginning.

What most programs write is tried first. Another style is taken only if it makes sense of rows that
this one doesn't: of text behind closing quotes, and of rows that aren't as wide as the header.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, product

from pipeline.errors import UsageError
from pipeline.sources.tables.cells import UNCLOSED, RowLines, Style, read_rows

SNIFF_CHARACTERS = 1 << 16
_COMMON = ",;\t|\x01\x1f\x02"
# Delimiters that are seldom any: most rows have to have as many as the header.
_SELDOM = ("~|~", "|~|", "||", "::", "^^", "~~", "##", "@@", "^", "~", "¦", "\x1e")
_LEAST_SHARE = 0.5
_NAMED = {"tab": "\t", "\\t": "\t"}
_CODE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})", re.I)
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEP = re.compile(r'"?sep=([^\r\n"]|"(?="))"?[\r\n]+', re.I)  # Excel writes and reads such a line


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well a style fits the rows of a sample: of so many lines, so many don't fit."""

    bad: int
    lines: int
    rows: Sequence[list[str]]
    loose: bool

    @property
    def share(self) -> float:
        return 1 - self.bad / max(self.lines, 1)

    @property
    def width(self) -> int:
        return len(self.rows[0]) if self.rows else 0


def find_style(text: str, *, delimiter: str | None = None, usual: str | None = None) -> Style:
    """Find the style of a sample. `delimiter` is that of the file; `usual` that of its kind, where
    the header has it.
    """
    style = Style(line_end=_line_end(text))
    if delimiter is not None:
        known = [delimiter]
    elif usual is not None and usual in _header(text):
        known = [usual]
    else:
        known = _delimiters(text)
    plain = {style: _fit(text, style) for style in [replace(style, delimiter=d) for d in known]}
    best = max(plain, key=lambda style: (plain[style].share, plain[style].width))
    fit = plain[best]
    if not best.delimiter and fit.share < _LEAST_SHARE:  # those are no texts, a line each
        return replace(best, delimiter=",")
    others = [style for delimiter in known for style in _others(text, best, delimiter, fit.bad)]
    return _better(text, replace(best, loose=fit.loose), fit, others)


def _better(text: str, best: Style, fit: _Fit, others: Sequence[Style]) -> Style:
    """Return the style that makes sense of most rows, if that is much more than the `best` does."""
    fits = {style: _fit(text, style) for style in others}
    fits = {
        replace(style, loose=found.loose): found
        for style, found in fits.items()
        if _is_possible(style, found, fit)
    }
    better = min(fits, key=lambda style: fits[style].bad, default=best)
    if better in fits and 10 * fits[better].bad < fit.bad:
        return better
    clear = (style for style in fits if _is_clear(text, style, fits[style], fit))
    return next(clear, best)


def _is_possible(style: Style, found: _Fit, plain: _Fit) -> bool:
    """Return whether a style leaves a header; the same, if only line ends are read otherwise."""
    return found.width > 0 and (not style.keeps_returns or found.rows[0] == plain.rows[0])


def _is_clear(text: str, style: Style, found: _Fit, plain: _Fit) -> bool:
    """Return whether a style is meant, even if the plain one fits as well."""
    if found.bad > plain.bad or style.escape:
        return False
    if style.quote == "'":
        cells = [cell for row in plain.rows for cell in row if cell]
        return len(plain.rows) > 1 and all(
            len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in cells
        )
    if style.spaced:
        # A program that knows of quotes puts them around a cell that has one.
        pairs = zip(chain(*plain.rows), chain(*found.rows), strict=False)
        return any(
            cell[:1] == " " != read[:1] and cell.lstrip(" ")[:1] == '"' for cell, read in pairs
        )
    if not style.delimiter:
        ends = Counter(_LINE_END.findall(text))
        return ends["\r"] < ends["\n"] + ends["\r\n"]
    return False


def sample_rows(text: str, style: Style, most: int | None = None) -> list[list[str]]:
    """Return the first rows of a sample, without the line at which it may be cut off."""
    return [cells for cells, _, _ in islice(_read(text, style), most)]


def fit_of(text: str, style: Style) -> tuple[float, int]:
    """Return the share of rows that are as wide as the header, and its width."""
    fit = _fit(text, style)
    return fit.share, fit.width


def announced(text: str) -> str | None:
    """Return the delimiter that a line above the table says."""
    said = _SEP.match(text)
    return said[1] if said else None


def read_delimiter(delimiter: str | None) -> str | None:
    """Return what is between the cells, as the user says it; raise UsageError if that can't be."""
    if delimiter is None:
        return None
    known = _NAMED.get(delimiter.lower()) or _CODE.sub(
        lambda code: chr(int(code[1] or code[2], 16)), delimiter
    )
    if not known or re.search(r'[\r\n"]', known):
        raise UsageError(
            f"--delimiter {delimiter}: give what is between cells: ';', tab, '||', '\\x01'..."
        )
    return known


def find_delimiter(line: str) -> str | None:
    """Find the delimiter of a header."""
    found = [delimiter for delimiter in _delimiters(line) if delimiter]
    return max(found, key=_header(line).count, default=None)


def _delimiters(text: str) -> list[str]:
    """Return the delimiters that a header may have; an empty one if it has none."""
    header = _header(text)
    found = [delimiter for delimiter in _COMMON if delimiter in header]
    for delimiter in _SELDOM:
        names = header.removesuffix(delimiter).split(delimiter)
        if len(names) < 2 or not all(map(str.strip, names)):
            continue
        # `a||b` may be three columns of which one has no name.
        alone = not found or (found == ["|"] and "|" in delimiter)
        lines = text.splitlines()[1:]
        rows = sum(delimiter in line for line in lines)
        if alone and rows and rows >= _LEAST_SHARE * len(lines):
            return [delimiter]
    return found or [""]


def _others(text: str, style: Style, delimiter: str, bad: int) -> Iterator[Style]:
    """Yield what else a style may be, as far as the text has signs of it."""
    style = replace(style, delimiter=delimiter)
    gap = re.escape(delimiter) if delimiter else "(?!)"
    escapes = ["", "\\"] if bad and "\\" in text else [""]
    spaces = [False, True] if re.search(rf"""(?:^|{gap}) +["']""", text, re.M) else [False]
    quotes = ['"', "'"] if re.search(rf"(?:^|{gap}) *'", text, re.M) else ['"']
    ends = Counter(_LINE_END.findall(text))
    returns = [False, True] if ends["\r"] and (ends["\n"] or ends["\r\n"]) else [False]
    for quote, spaced, escape, kept in product(quotes, spaces, escapes, returns):
        made = replace(style, quote=quote, spaced=spaced, escape=escape, keeps_returns=kept)
        if made != style:
            yield made
        if escape and delimiter and f"\\{delimiter}" in text:
            yield replace(made, escapes_all=True)


def _fit(text: str, style: Style) -> _Fit:
    found = [row for row in _read(text, style) if len(row[0]) > 1 or "".join(row[0]).strip()]
    rows = [cells for cells, _, _ in found]
    loose = bool(rows) and _is_loose(rows[0], rows[1:])
    style = replace(style, loose=loose)
    bad = sum(
        count
        for cells, problem, count in found
        if problem is not None or not fits(cells, rows[0], style)
    )
    return _Fit(bad, sum(count for _, _, count in found), rows, loose)


def _is_loose(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether rows end in the delimiter though the header doesn't.

    If the last column has empty cells, such a row may as well have a delimiter in a text.
    """
    width = len(header)
    ends = any(len(row) > width and not any(map(str.strip, row[width:])) for row in rows)
    empty = any(len(row) == width and not row[-1].strip() for row in rows)
    return ends and not empty and header[-1].strip() != ""


def fits(cells: Sequence[str], header: Sequence[str], style: Style) -> bool:
    """Return whether a row has a cell for each name, and none besides."""
    width, count = len(header), len(cells)
    if count > width:
        # With a space behind it, a comma may be that of a text.
        spaced = any(cell[:1] == " " for cell in cells[1:]) and not any(
            name[:1] == " " for name in header[1:]
        )
        return style.loose and not spaced and not any(map(str.strip, cells[width:]))
    return not any(map(str.strip, header[count:]))


def _read(text: str, style: Style) -> Iterator[tuple[list[str], str | None, int]]:
    """Yield the rows of a sample, and of how many lines each is."""
    lines = list(io.StringIO(text, newline="\n" if style.keeps_returns else ""))
    cut = len(text) >= SNIFF_CHARACTERS
    partial = cut and text[-1] not in "\r\n"
    whole = RowLines(lines[:-1] if partial else lines, "", 1, "")
    for cells, problem in read_rows(whole, style):
        # The sample may end in a row of several lines, which isn't most of it.
        if problem != UNCLOSED or not cut or 2 * sum(map(len, whole.row)) > len(text):
            yield cells, problem, len(whole.row)
        whole.proceed()


def _line_end(text: str) -> str:
    found = _LINE_END.search(_bare(text))
    return found[0] if found else "\n"


def _header(text: str) -> str:
    """Return the first line without what is quoted in it."""
    return _LINE_END.split(_bare(text), maxsplit=1)[0]


def _bare(text: str) -> str:
    """Return a text from its first line on, without what is quoted in it."""
    return "".join(text.split('"')[::2]).lstrip("\r\n ")
