"""What a template may call: filters, tests, methods and operators, each with what it costs.

Left out of Jinja2's filters are those for HTML, and those that answer differently each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache
from string import Formatter
from typing import Any

from jinja2 import pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import LoopContext, Macro, Undefined
from jinja2.sandbox import SandboxedEnvironment, safe_range
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.utils import Cycler, Joiner, Namespace

from pipeline.prompting.work import MOST_BITS, TooMuchError, Work

Function = Callable[..., Any]

FUNCTIONS: dict[str, Any] = {
    "range": safe_range,
    "dict": dict,
    "cycler": Cycler,
    "joiner": Joiner,
    "namespace": Namespace,
}
_MACRO_STEPS = 12  # what calling a macro costs, in steps of a loop
OPERATORS = frozenset(SandboxedEnvironment.default_binop_table)
_OPERATORS = SandboxedEnvironment.default_binop_table
_MOST_WIDTH = 1_000
_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w+")


# What some of them cost beyond looking at what they are given and making what they give: counted
# before they do it. The arguments are those of the filter, or of the method of a text.


def _join(work: Work, values: Any, between: Any = "", attribute: Any = None) -> None:
    del attribute
    work.make(work.weigh(values) + len(str(between)) * len(values))


def _join_method(work: Work, between: str, values: Any) -> None:
    _join(work, values, between)


def _replace(work: Work, text: Any, old: Any, new: Any, count: int | None = None) -> None:
    del count
    work.make(str(text).count(str(old)) * len(str(new)))


def _indent(
    work: Work, text: str, width: Any = 4, first: bool = False, blank: bool = False
) -> None:
    del first, blank
    lines = str(text).count("\n") + 2
    work.step(lines)
    work.make(lines * (len(width) if isinstance(width, str) else _width(width)))


def _widen(work: Work, text: str, width: int, fill: str = " ") -> None:
    del text, fill
    work.make(_width(width))


def _round(work: Work, value: Any, precision: int = 0, method: str = "common") -> None:
    del work, value, method
    _width(precision)


def _tojson(work: Work, value: Any, indent: int | None = None) -> None:
    # A character takes six where it is written as its number.
    work.make((6 + _width(indent or 0)) * work.weigh(value))


def _sum(work: Work, values: Any, attribute: Any = None, start: Any = 0) -> None:
    del work, values, attribute
    if not isinstance(start, int | float | Decimal):
        raise TooMuchError("`sum` is for numbers")


def _words(work: Work, text: Any, *args: object, **kwargs: object) -> None:
    del args, kwargs
    work.spend(100 * len(str(text)))


def _split(work: Work, text: str, sep: str | None = None, maxsplit: int = -1) -> None:
    if sep is None:
        _words(work, text)
    else:
        work.step(text.count(sep) if maxsplit < 0 else maxsplit)


def _percent(work: Work, text: Any, *args: Any, **kwargs: Any) -> None:
    """`%05d` and `%*d` are as wide as they say."""
    widths = [int(number) for number in _NUMBER.findall(str(text)[:_MOST_WIDTH])]
    if len(str(text)) > _MOST_WIDTH or any(width > _MOST_WIDTH for width in widths):
        raise TooMuchError("a format in it is too long, or too wide")
    if "*" in str(text):
        raise TooMuchError("a format in it has a width that isn't written out")
    work.make(sum(widths) + str(text).count("%") * work.weigh([args, kwargs]))


def _braces(work: Work, text: str, *args: Any, **kwargs: Any) -> None:
    """`{:>9}` is as wide as it says."""
    fields = list(Formatter().parse(text))
    if any(spec and "{" in spec for *_, spec, _ in fields):
        raise TooMuchError("a format in it has a width that isn't written out")
    _percent(work, text)
    work.make(len(fields) * work.weigh([args, kwargs]))


def _width(number: int) -> int:
    if abs(number) > _MOST_WIDTH:
        raise TooMuchError(f"a width in it is over {_MOST_WIDTH:,}")
    return abs(number)


def _wordcount(text: Any) -> int:
    return sum(1 for _ in _WORD.finditer(str(text)))


# Filters, and those of their costs that are their own. What only picks, or puts off, makes nothing.
_PICK = ("first", "last", "min", "max", "map", "select", "selectattr", "reject", "rejectattr")
_MAKE = (
    *("abs", "capitalize", "dictsort", "filesizeformat", "float", "format", "groupby", "indent"),
    *("int", "items", "join", "list", "lower", "replace", "reverse", "round", "sort", "string"),
    *("sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode"),
)
_COSTS: dict[str, Function] = {
    "format": _percent,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
    "title": _words,
    "tojson": _tojson,
    "urlencode": _words,
}
_COMPARE = (
    *("in", "==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", ">=", "ge"),
    *("<", "lt", "lessthan", "<=", "le", "lower", "upper", "divisibleby"),
)
# Whose names no template can write: the syntax tree is given them.
EACH, SCANNED, MADE, JOINED = "(each)", "(scanned)", "(made)", "(joined)"


def filters() -> dict[str, Any]:
    """Return the filters of templates by their names."""
    return {
        **{name: _counted(JINJA_FILTERS[name], _COSTS.get(name), makes=False) for name in _PICK},
        **{name: _counted(JINJA_FILTERS[name], _COSTS.get(name)) for name in _MAKE},
        **{name: _counted(_wordcount, _words) for name in ("wordcount",)},
        **{name: JINJA_FILTERS[name] for name in ("count", "length", "d", "default")},
        EACH: pass_context(lambda work, value: work.each(value)),
        SCANNED: pass_context(lambda work, value: work.take(value)),
        MADE: pass_context(_made),
        JOINED: pass_context(_joined),
    }


def tests() -> dict[str, Any]:
    """Return the tests of templates by their names."""
    counted = {name: _counted(JINJA_TESTS[name], makes=False) for name in _COMPARE}
    return {**JINJA_TESTS, **counted}


def _counted(function: Any, cost: Function | None = None, *, makes: bool = True) -> Any:
    needed = getattr(getattr(function, "jinja_pass_arg", None), "name", None)

    @pass_context
    def counted(work: Work, value: Any, *args: Any, **kwargs: Any) -> Any:
        value = work.take(value)
        if args:
            work.scan(args)
        if cost is not None:
            value = list(value) if isinstance(value, Iterator) else value
            cost(work, value, *args, **kwargs)
        if needed is None:
            result = function(value, *args, **kwargs)
        else:
            first = {"context": work, "environment": work.environment}.get(needed, work.eval_ctx)
            result = function(first, value, *args, **kwargs)
        if makes:
            work.made(result)
        return result

    return counted


def _made(work: Work, value: Any) -> Any:
    work.made(value)
    return value


def _joined(work: Work, values: Iterable[Any]) -> str:
    work.make(sum(map(work.weigh, values)))
    return "".join(map(str, values))


_METHODS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (
        str,
        "capitalize casefold center count endswith find format format_map index isalnum isalpha "
        "isascii isdecimal isdigit islower isnumeric isspace istitle isupper join ljust lower "
        "lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit "
        "rstrip split splitlines startswith strip swapcase title upper zfill",
    ),
    (Mapping, "get items keys values"),
    ((list, tuple), "count index"),
    ((date, time, timedelta), "date isoformat isoweekday strftime time total_seconds weekday"),
    (LoopContext, "changed cycle"),
    (Cycler, "next reset"),
)
_METHOD_COSTS: dict[str, Function] = {
    "center": _widen,
    "format": _braces,
    "format_map": _braces,
    "join": _join_method,
    "ljust": _widen,
    "replace": _replace,
    "rjust": _widen,
    "rsplit": _split,
    "split": _split,
    "splitlines": _words,
    "title": _words,
    "zfill": _widen,
}


def call(work: Work, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call what a template calls. Raises SecurityError unless it is known what that costs."""
    work.step(_MACRO_STEPS if isinstance(function, Macro) else 1)
    if isinstance(function, Undefined):
        return function()  # says what is undefined
    method = getattr(function, "__wrapped__", function)  # of `format`, which Jinja2 has wrapped
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    kind: Any = type(owner)
    if not _has(kind, name) and not _is_known(function):
        raise SecurityError(f"`{name or type(function).__name__}` can't be called in a prompt")
    args = [work.take(value) for value in args]
    if isinstance(owner, str):
        work.scan(owner)
        cost = _METHOD_COSTS.get(name)
        if cost is not None:
            cost(work, owner, *args, **kwargs)
    result = work.call(function, *args, **kwargs)
    if not isinstance(owner, Mapping):  # which gives what it has
        work.made(result)
    return result


@cache
def _has(kind: type, name: str) -> bool:
    return any(issubclass(kind, known) and name in names.split() for known, names in _METHODS)


def _is_known(function: object) -> bool:
    known = isinstance(function, Macro | Joiner)
    return known or any(function is item for item in FUNCTIONS.values())


def compute(work: Work, operator: str, left: Any, right: Any) -> Any:
    """Compute what an operator gives."""
    if operator == "*":
        for value, count in ((left, right), (right, left)):
            if isinstance(value, str | list | tuple) and isinstance(count, int):
                work.make(work.weigh(value) * max(count, 0))
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        if left.bit_length() * right > MOST_BITS:
            raise TooMuchError("a number in it is too long")
    elif operator == "%" and isinstance(left, str):
        _percent(work, left, right)
    result = _OPERATORS[operator](left, right)
    work.made(result)
    return result
