"""What a prompt chooses from, and the one rule of which texts name the same label."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.types import Document

_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")
_SEPARATOR = re.compile(r"([,;|])")
_MOST_SEPARATORS = 20  # in a label: to look for more in a text would take too long
_AROUND = ".,;:!?\"'`´“”„‟‘’‚‛«»‹›"
# They take no room on a screen: zero-width spaces, word joiners, soft hyphens, byte-order marks.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\u00ad\ufeff"))
SHOTS = 8  # of the examples that are given are shown


class Label(str):
    """A label: its name, what it means, and texts that it fits."""

    description: str
    examples: tuple[str, ...]

    def __new__(cls, name: str, description: str = "", examples: tuple[str, ...] = ()) -> Label:
        label = super().__new__(cls, name)
        label.description = description
        label.examples = examples
        return label


@dataclass(frozen=True, slots=True)
class Example:
    """A document with the answer that is right for it."""

    document: Document
    answer: str


def tidy(text: str) -> str:
    """Return a text as a reader sees it: accents are accents, runs of spaces are one, invisible
    characters are none, and 3.0 is 3, which is what spreadsheets make of it.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.translate(_INVISIBLE))
    text = " ".join(text.split())
    whole = _WHOLE.fullmatch(text)
    return whole.group(1) if whole else text


def alike(text: str) -> str:
    """Return the same for all texts that differ in case and space only."""
    text = tidy(text).casefold()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _joined(text: str) -> str:
    """Return the same for all texts that differ besides in where words are parted."""
    return tidy("".join(alike(text).split()))


def bare(text: str) -> str:
    """Return the same for all texts that differ besides in quotes and punctuation around them.

    Asterisks are left out in pairs, as Markdown has them: the grade A* is not an A.
    """
    text = _joined(text)
    inner = text.strip(_AROUND)
    if inner.startswith("*") and inner.endswith("*"):
        inner = inner.strip(f"*{_AROUND}")
    return tidy(inner) or text


class Labels:
    """Labels to choose from, and the rule of which of them a text names.

    It is the label that is the text, or else the only one that differs from it in the least of:
    space around and between words and the coding of accents; case; spaces inside words; quotes and
    punctuation around it. If several differ in no more than that, it is none of them.

    >>> labels = Labels(["bug", "US", "us", "billing, refunds"])
    >>> labels.find(" Bug! "), labels.find("us"), labels.find("Us"), labels.find("bugs")
    ('bug', 'us', None, None)
    >>> labels.split("BUG; Billing,refunds | 'us'")
    ['bug', 'billing, refunds', 'us']
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._labels = dict.fromkeys(labels)
        most = max((len(_SEPARATOR.findall(label)) for label in self._labels), default=0)
        self._most = min(most, _MOST_SEPARATORS)
        groups: dict[str, list[str]] = {}
        for label in self._labels:
            groups.setdefault(bare(label), []).append(label)
        # Only labels that are bare the same have to be told apart more closely.
        close = [label for group in groups.values() if len(group) > 1 for label in group]
        self._levels: list[tuple[Callable[[str], str], dict[str, str | None]]] = [
            (level, _unique(level, close)) for level in (tidy, alike, _joined) if close
        ]
        last = {key: group[0] if len(group) == 1 else None for key, group in groups.items()}
        self._levels.append((bare, last))

    def __contains__(self, text: str) -> bool:
        return text in self._labels

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def find(self, text: str) -> str | None:
        """Return the label that a text names, or None."""
        if text in self._labels:
            return text
        for level, named in self._levels:
            key = level(text)
            if key in named:
                return named[key]
        return None

    def spell(self, text: str) -> str:
        """Return the label that a text names, or the text itself if it names none."""
        label = self.find(text)
        return text if label is None else label

    def split(self, text: str) -> list[str]:
        """Return the labels that a text lists, each once; what is no label stays as it is written.

        It lists the items of a JSON array, or what stands between commas, semicolons or bars, as
        far as these aren't part of a label.
        """
        items = None if text in self._labels else array(text)
        names: dict[str, None] = {}
        for part in self._parts(text) if items is None else items:
            label = self.find(part)
            names[tidy(part) if label is None else label] = None
        return [name for name in names if name or name in self._labels]

    def _parts(self, text: str) -> list[str]:
        """Part a text at each separator, but for those inside of what is a label: the longest."""
        pieces = _SEPARATOR.split(text)
        parts: list[str] = []
        place = 0
        while place < len(pieces):
            end = min(place + 2 * self._most + 1, len(pieces))
            while end > place + 1 and self.find("".join(pieces[place:end])) is None:
                end -= 2
            parts.append("".join(pieces[place:end]))
            place = end + 1
        return parts


def _unique(level: Callable[[str], str], labels: Iterable[str]) -> dict[str, str | None]:
    """Return the label of each key; None for a key of several."""
    named: dict[str, str | None] = {}
    for label in labels:
        key = level(label)
        named[key] = None if key in named else label
    return named


def array(text: str) -> list[str] | None:
    """Return the items of a JSON array as texts, without its nulls; None if a text is none."""
    if not text.startswith("["):
        return None
    try:
        items = json.loads(text)
        if not isinstance(items, list):
            return None
        return [
            item if isinstance(item, str) else _json(item) for item in items if item is not None
        ]
    except (ValueError, RecursionError):
        return None


def _json(item: object) -> str:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))


def limit(
    outputs: Mapping[str, Any], name: str, labels: Sequence[Label], *, multi: bool
) -> tuple[dict[str, Any], str]:
    """Allow one property of a schema only these values; give its name besides. With `multi` it is a
    list of them, and `label` is called `labels`.
    """
    new = "labels" if multi and name == "label" else name
    one = {**outputs["properties"][name], "enum": [str(label) for label in labels]}
    item = {"type": "string", "enum": one["enum"]}
    several = {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}
    properties = {
        (new if key == name else key): ((several if multi else one) if key == name else part)
        for key, part in outputs["properties"].items()
    }
    limited = {**outputs, "properties": properties}
    if "required" in outputs:
        limited["required"] = [new if key == name else key for key in outputs["required"]]
    return limited, new
