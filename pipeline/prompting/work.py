"""What it costs to fill in a template, counted before it is done: whoever wrote the prompt, no row
takes seconds or fills the memory.

One unit is about a nanosecond of a processor. A character that comes about costs more, for the
memory that it takes: the units of a render are its memory, too.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sized, ValuesView
from collections.abc import Set as AbstractSet
from typing import Any

from jinja2.runtime import Context, LoopContext, Macro
from jinja2.utils import Cycler, Joiner, Namespace

MOST_CHARACTERS = 50_000_000  # of a message: twice what the largest documents have
_MOST_UNITS = 10**9
_UNITS_BY_CHARACTER = 200  # of the document: ten copies of it
_STEP = 1_000
_MADE = 20  # a character
_PART = 50  # a value in a list: this many characters
MOST_BITS = 10_000  # of a whole number: more digits than Python would show

_CONTAINERS = (list, tuple, Mapping, AbstractSet, KeysView, ValuesView, ItemsView, range)
_SMALL = frozenset((int, float, bool, type(None)))
# What is about to be written down wouldn't be a text, or have an end: a namespace may hold itself.
_NO_TEXT = (Iterator, Namespace, Macro, LoopContext, Cycler, Joiner)


class TooMuchError(Exception):
    """The rest of a template won't be computed."""


class Work(Context):
    """The variables of one render, and what is left of the work that it may make."""

    _left = _MOST_UNITS

    def allow(self, text: object) -> None:
        """Allow more work for a document, the longer it is."""
        if isinstance(text, str):
            self._left += _UNITS_BY_CHARACTER * len(text)

    def spend(self, units: int) -> None:
        """Raise TooMuchError if there is less than this left."""
        self._left -= units
        if self._left < 0:
            raise TooMuchError("it takes too long, or too much memory; loop over less, repeat less")

    def step(self, count: int = 1) -> None:
        """Spend what so many steps of a loop, or calls, cost."""
        self.spend(_STEP * count)

    def make(self, characters: int) -> None:
        """Spend what so many characters cost that are about to be made."""
        self.spend(_MADE * characters)

    def scan(self, value: object) -> None:
        """Spend what looking through a value costs."""
        if isinstance(value, str):
            self.spend(len(value))
        elif type(value) not in _SMALL and isinstance(value, _CONTAINERS):
            self.spend(self.weigh(value))

    def made(self, value: object) -> None:
        """Spend what a value cost that has just been made."""
        if isinstance(value, str):
            self.spend(_MADE * len(value))
        elif isinstance(value, int):
            check_number(value)
        elif type(value) not in _SMALL and isinstance(value, _CONTAINERS):
            self.spend(_MADE * self.weigh(value))

    def take(self, value: Any) -> Any:
        """Return a value to look through: a generator counts its steps."""
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, Iterator):
            return self._counted(value)
        else:
            self.scan(value)
        return value

    def each(self, value: Any) -> Any:
        """Return a value to loop over, its steps paid for."""
        if isinstance(value, Sized):
            self.step(len(value))
        elif isinstance(value, Iterator):
            return self._counted(value)
        return value

    def show(self, value: Any) -> Any:
        """Return a value to be written into the text. Raises TypeError for what has no text."""
        if isinstance(value, str):
            return value
        if value is None:
            return ""
        if isinstance(value, _CONTAINERS):
            self.make(self.weigh(value))
        elif isinstance(value, _NO_TEXT):
            kind = type(value).__name__.lower()
            raise TypeError(
                f"a {kind} has no text; add `| list` or `| join` to what a filter gives"
            )
        return value

    def weigh(self, value: object) -> int:
        """Count the characters of a value as it would be written, as far as there is work left.

        What is in it several times counts each time: thirty lists, each twice in the next one, are
        few to hold and a billion to write.
        """
        if isinstance(value, str):
            return len(value)
        total = 0
        stack = [value]
        while stack and total <= self._left:
            value = stack.pop()
            total += _PART
            if isinstance(value, str):
                total += len(value)
            elif isinstance(value, _CONTAINERS):
                total += _PART * len(value)
                parts = (*value.keys(), *value.values()) if isinstance(value, Mapping) else value
                stack.extend(() if isinstance(value, range) else parts)
            elif isinstance(value, Namespace):
                raise TypeError("a namespace can't be in a list")
        return total

    def _counted(self, values: Iterator[Any]) -> Iterator[Any]:
        for value in values:
            self.step()
            yield value


def join(pieces: Iterable[str]) -> str:
    """Join what a template yields. Raises TooMuchError for more than any model reads."""
    parts = list(pieces)
    if sum(map(len, parts)) > MOST_CHARACTERS:
        raise TooMuchError(f"it makes over {MOST_CHARACTERS:,} characters")
    return "".join(parts)


def check_number(number: int) -> None:
    """Raise TooMuchError for a whole number that is too long to be written."""
    if number.bit_length() > MOST_BITS:
        raise TooMuchError("a number in it is too long")
