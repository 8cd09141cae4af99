"""YAML as people write it, whoever they are: bounded in size, depth and what aliases unfold to.

What YAML would make of a value unasked (base 60, base 8, infinity) is refused.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.reader import ReaderError

from pipeline.errors import UsageError

MOST_CHARACTERS = 200_000  # read in 1 s of a processor, or 5 s if made to harm
MOST_BYTES = 4 * MOST_CHARACTERS
_MOST_DEPTH = 220  # two for each level of a schema, which may have 100
_SHOWN_CHARACTERS = 60
_TAG = "tag:yaml.org,2002:"
_ODD = re.compile(r":|^[-+]?0[0-9_]+$")  # base 60 and base 8
_KNOWN = ("null", "bool", "int", "float", "timestamp", "str", "seq", "map")


def read(text: str, *, origin: str, what: str, line: int = 1, words: bool = False) -> object:
    """Read the only document of a text, which starts at a line of `origin`.

    With `words` every scalar stays the text that it is. Raises UsageError, in which `what` says
    "the labels are", for what isn't YAML or too much of it.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{origin}: {what} too long: over {MOST_CHARACTERS:,} characters of YAML")
    try:
        loader = _Words(text) if words else _Typed(text)
        return loader.get_single_data()
    except ReaderError as error:
        place, problem = text.count("\n", 0, error.position), str(error.reason)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place, problem = mark.line if mark else 0, error.problem or "it can't be read"
    raise UsageError(f"{origin}, line {line + place}: {what} not YAML: {' '.join(problem.split())}")


class _Bounded(Composer):
    """Composes nodes as long as they are few and not deep; what an alias names counts again."""

    _sizes: dict[int, tuple[int, int]]  # of nodes by their id: characters, levels below
    _unfolded = _depth = _deepest = 0

    def compose_document(self) -> Node | None:
        self._sizes = {}
        return super().compose_document()

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[attr-defined]  # the parser's
        unfolded, deepest = self._unfolded, self._deepest
        self._depth += 1
        self._deepest = self._depth
        self._check(event)
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            self._unfold(node, event)
        else:
            self._unfolded += 1 + (len(node.value) if isinstance(node, ScalarNode) else 0)
            self._sizes[id(node)] = self._unfolded - unfolded, self._deepest - self._depth
        self._check(event)
        self._depth -= 1
        self._deepest = max(deepest, self._deepest)
        return node

    def compose_mapping_node(self, anchor: dict[Any, Node]) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, ScalarNode) else id(key)
            if name in seen and key.tag != f"{_TAG}merge":
                raise _composing(f"`{_shown(key)}` is there twice", key)
            seen.add(name)
        return node

    def _unfold(self, node: Node | None, event: yaml.Event) -> None:
        if id(node) not in self._sizes:
            raise _composing("an alias (`*name`) stands in what it names", event)
        size, depth = self._sizes[id(node)]
        self._unfolded += size
        self._deepest += depth

    def _check(self, event: yaml.Event) -> None:
        if self._deepest > _MOST_DEPTH:
            raise _composing(f"it goes over {_MOST_DEPTH} levels deep", event)
        if self._unfolded > 2 * MOST_CHARACTERS:
            raise _composing("aliases (`*name`) unfold to too much", event)


def _composing(problem: str, where: yaml.Event | Node) -> ComposerError:
    mark: Any = where.start_mark  # the stubs know two kinds
    return ComposerError(None, None, problem, mark)


class _Words(_Bounded, yaml.BaseLoader):
    """Leaves every scalar the text that it is."""


class _Typed(_Bounded, yaml.SafeLoader):
    """Makes numbers, dates and so on of scalars, and nothing else of any."""

    def construct_object(self, node: Node, deep: bool = False) -> object:
        try:
            value: object = super().construct_object(node, deep)
        # What the library leaves uncaught: a month 13, `!!int x`, `!!bool x`, `!!timestamp x`.
        except (ValueError, LookupError, AttributeError, ArithmeticError, TypeError) as error:
            raise _constructing(f"{_shown(node)} can't be read: {error}", node) from error
        if isinstance(value, int | float):
            _check_number(value, node)
        return value


# Not `!!binary`, `!!set`, `!!omap`, `!!pairs`: JSON, which all of it becomes, has none of these.
_Typed.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in _KNOWN
}


def _check_number(value: float, node: Node) -> None:
    text = str(node.value)
    if not -(2**63) <= value < 2**64 and isinstance(value, int):
        raise _constructing(f"{_shown(node)} is too large for a whole number", node)
    if not math.isfinite(value):
        raise _constructing(f"{_shown(node)} is not a finite number", node)
    if _ODD.search(text):
        raise _constructing(f"{_shown(node)} would be {value} in YAML: put it in quotes", node)


def _constructing(problem: str, node: Node) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)


def _shown(node: Node) -> str:
    text = str(node.value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
