"""The numbers of a Word document's lists and headings: Word computes them, its file has none."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from pipeline.sources.files.ooxml import WORD, value

_ROMANS = tuple(
    zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        ("m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i"),
        strict=True,
    )
)
_PLACE = re.compile(r"%([1-9])")  # in the text of a level: the number of such a level
_DEEPEST = 8
_CHAIN = 20  # so many styles rest on each other


@dataclass(frozen=True, slots=True)
class _Level:
    """How a level of a list is numbered; its `text` has places for numbers, such as `%1.%2)`."""

    kind: str
    text: str
    start: int
    restart: int | None  # after a level of this number or a higher one only; 0 for never
    is_legal: bool  # all numbers of its text are decimal


@dataclass(frozen=True, slots=True)
class _List:
    """A list; those of the same `shared` go on counting where another stopped."""

    shared: str
    levels: Mapping[int, _Level]
    restarts: Mapping[int, int]  # the numbers that its levels start again with


class Numbering:
    """The lists of a document, and how far each has been counted."""

    def __init__(self, numbering: Element, styles: Element) -> None:
        self._lists = _lists(numbering)
        self._styles = _styles(styles)
        self._counts: dict[str, dict[int, int]] = defaultdict(dict)
        self._restarted: set[tuple[str, int]] = set()

    @property
    def styles(self) -> list[str]:
        """The ids of the styles that number their paragraphs."""
        return [style for style, (number, _) in self._styles.items() if number]

    def label(self, paragraph: Element) -> str:
        """Count a paragraph; return its number, or nothing if it has none or a bullet."""
        number, level = self._place(paragraph)
        listed = self._lists.get(number)
        if listed is None or level not in listed.levels:
            return ""
        own = listed.levels[level]
        counts = self._counts[listed.shared]
        if level in listed.restarts and (number, level) not in self._restarted:
            self._restarted.add((number, level))
            counts[level] = listed.restarts[level]
        else:
            counts[level] = counts[level] + 1 if level in counts else own.start
        for deeper in [at for at in counts if at > level]:
            restart = listed.levels[deeper].restart if deeper in listed.levels else None
            if restart is None or level < restart:
                del counts[deeper]
        if own.kind in ("bullet", "none"):
            return ""
        return _PLACE.sub(lambda m: _shown(listed, counts, int(m[1]) - 1, own), own.text)

    def _place(self, paragraph: Element) -> tuple[str, int]:
        """Return the list and the level of a paragraph."""
        style = value(paragraph.find(f"{WORD}pPr/{WORD}pStyle"))
        number, level = self._styles.get(style or "", ("", 0))
        own = paragraph.find(f"{WORD}pPr/{WORD}numPr")
        if own is None:
            return number, level
        number = value(own.find(f"{WORD}numId")) or number
        return number, _number(own.find(f"{WORD}ilvl"), level)


def roman(number: int) -> str:
    """Return a number in small Roman digits."""
    digits = ""
    for amount, letters in _ROMANS:
        times, number = divmod(number, amount)
        digits += letters * min(times, 100)
    return digits


def _shown(listed: _List, counts: Mapping[int, int], level: int, own: _Level) -> str:
    shown = listed.levels.get(level, own)
    return _formatted(counts.get(level, shown.start), "decimal" if own.is_legal else shown.kind)


def _formatted(number: int, kind: str) -> str:
    match kind:
        case "lowerRoman":
            return roman(number)
        case "upperRoman":
            return roman(number).upper()
        case "lowerLetter" | "upperLetter" if number > 0:
            letter = chr(ord("a") + (number - 1) % 26) * min((number + 25) // 26, 100)
            return letter if kind == "lowerLetter" else letter.upper()
        case "decimalZero":
            return f"{number:02}"
    return str(number)


def _lists(numbering: Element) -> dict[str, _List]:
    abstract = {e.get(f"{WORD}abstractNumId", ""): e for e in numbering.iter(f"{WORD}abstractNum")}
    linked = {value(e.find(f"{WORD}styleLink")): e for e in abstract.values()}
    lists = {}
    for listed in numbering.iter(f"{WORD}num"):
        shared = value(listed.find(f"{WORD}abstractNumId")) or ""
        source = abstract.get(shared)
        if source is not None and (link := value(source.find(f"{WORD}numStyleLink"))):
            source = linked.get(link, source)
        levels = {} if source is None else _levels(source)
        restarts = {}
        for override in listed.iter(f"{WORD}lvlOverride"):
            levels |= _levels(override)
            if (start := override.find(f"{WORD}startOverride")) is not None:
                restarts[int(override.get(f"{WORD}ilvl", "0"))] = _number(start, 1)
        lists[listed.get(f"{WORD}numId", "")] = _List(shared, levels, restarts)
    return lists


def _levels(source: Element) -> dict[int, _Level]:
    return {
        int(level.get(f"{WORD}ilvl", "0")): _Level(
            kind=value(level.find(f"{WORD}numFmt")) or "decimal",
            text=value(level.find(f"{WORD}lvlText")) or "",
            start=_number(level.find(f"{WORD}start"), 0),
            restart=None
            if level.find(f"{WORD}lvlRestart") is None
            else _number(level.find(f"{WORD}lvlRestart"), 0),
            is_legal=level.find(f"{WORD}isLgl") is not None,
        )
        for level in source.iter(f"{WORD}lvl")
    }


def _styles(styles: Element) -> dict[str, tuple[str, int]]:
    """Return the list and the level of each style that numbers its paragraphs."""
    listed = styles.findall(f"{WORD}style")
    places: dict[str, tuple[str, int]] = {}
    before: dict[str, tuple[str, int]] | None = None
    for _ in range(_CHAIN):  # styles rest on each other
        if before == places:
            break
        before = dict(places)
        for style in listed:
            number, level = places.get(value(style.find(f"{WORD}basedOn")) or "", ("", 0))
            own = style.find(f"{WORD}pPr/{WORD}numPr")
            if own is not None:
                number = value(own.find(f"{WORD}numId")) or number
                level = _number(own.find(f"{WORD}ilvl"), level)
            places[style.get(f"{WORD}styleId", "")] = number, min(level, _DEEPEST)
    return places


def _number(element: Element | None, default: int) -> int:
    said = value(element) or ""
    return int(said) if said.isdecimal() and len(said) < 10 else default
