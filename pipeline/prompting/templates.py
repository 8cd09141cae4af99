"""The text of a message with its variables: Jinja2, in a sandbox that counts the work it makes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from types import CodeType
from typing import Any

import jinja2
import jinja2.meta
import jinja2.sandbox
from jinja2 import nodes

from pipeline.errors import DocumentError, UsageError
from pipeline.prompting import operations, syntax, work


class _Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    intercepted_binops = operations.OPERATORS
    context_class = work.Work

    def concat(self, pieces: Iterable[str]) -> str:
        return work.join(pieces)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        return operations.compute(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        return operations.call(__context, __obj, args, kwargs)


_ENVIRONMENT = _Environment(
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,
    finalize=jinja2.pass_context(work.Work.show),
)
_ENVIRONMENT.filters = operations.filters()
_ENVIRONMENT.tests = operations.tests()
_ENVIRONMENT.globals = dict(operations.FUNCTIONS)
GLOBALS = frozenset(_ENVIRONMENT.globals)  # Jinja2's own names: `range`, ...


class Template:
    """A text that is filled in for each document; `title` names it where that fails.

    What no document can change, for it uses nothing but `settings`, is filled in once.
    """

    def __init__(self, text: str, settings: Mapping[str, object], *, title: str) -> None:
        self._title = title
        self._text = text
        self._settings = settings
        # As an environment gives them, a chain of maps, globals take half of a render's time.
        self._globals = dict(_ENVIRONMENT.globals)
        self._template = jinja2.Template.from_code(_ENVIRONMENT, _compiled(text), self._globals)
        self._fixed: str | None = None
        if used(text) <= settings.keys():
            try:
                self._fixed = self._render(settings)
            except Exception:  # an expression can raise anything; `fill_in` will say what it was
                return

    @property
    def fixed(self) -> bool:
        """Return whether it is the same for any document."""
        return self._fixed is not None

    @cached_property
    def start(self) -> str:
        """Return what it begins with, whatever the document."""
        if self._fixed is not None:
            return self._fixed
        return _start(self._text, self._settings)

    def fill_in(self, variables: Mapping[str, object]) -> str:
        """Return the text. Raises DocumentError where an expression in it fails."""
        if self._fixed is not None:
            return self._fixed
        try:
            return self._render(variables)
        except Exception as error:  # an expression can raise anything
            raise DocumentError(f"{self._title}: {error}") from error

    def _render(self, variables: Mapping[str, object]) -> str:
        return _rendered(self._template, self._globals, variables)


def _rendered(
    template: jinja2.Template, functions: Mapping[str, Any], variables: Mapping[str, object]
) -> str:
    # Shared, or they would be copied twice more.
    context: Any = template.new_context({**functions, **variables}, shared=True)
    context.allow(variables.get("text"))
    return work.join(template.root_render_func(context))


def _start(text: str, settings: Mapping[str, object]) -> str:
    """Fill in what of a text comes before the first expression that isn't of `settings` alone."""
    bare = _ENVIRONMENT.overlay()
    bare.globals = {}
    kept: list[nodes.Node] = []
    for node in syntax.parts(bare.parse(text)):
        alone = nodes.Template([node], lineno=1)
        alone.set_environment(bare)
        if not jinja2.meta.find_undeclared_variables(alone) <= settings.keys():
            break
        kept.append(node)
    beginning = nodes.Template(kept, lineno=1)
    beginning.set_environment(_ENVIRONMENT)
    code = _ENVIRONMENT.compile(syntax.count_work(beginning))
    functions = dict(_ENVIRONMENT.globals)
    try:
        template = jinja2.Template.from_code(_ENVIRONMENT, code, functions)
        return _rendered(template, functions, settings)
    except Exception:  # an expression can raise anything; `fill_in` will say what it was
        return ""


@cache
def used(text: str) -> frozenset[str]:
    """Return the names that a text uses, GLOBALS among them.

    Raises UsageError for bad syntax, and for what is too much to be compiled.
    """
    _compiled(text)
    bare = _ENVIRONMENT.overlay()
    bare.globals = {}
    return frozenset(jinja2.meta.find_undeclared_variables(bare.parse(text)))


@cache
def _compiled(text: str) -> CodeType:
    try:
        parsed = _ENVIRONMENT.parse(text)
        syntax.check(parsed)
        return _ENVIRONMENT.compile(syntax.count_work(parsed))
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"in a message: {error.message}") from error
    except ValueError as error:  # a number of over 4,300 digits
        raise UsageError(f"in a message: {error}") from error
    # Of Jinja2's parser, and of Python's compiler.
    except (RecursionError, SyntaxError, MemoryError) as error:
        raise UsageError("in a message: it is nested too deeply") from error


@cache
def alias(name: str) -> str:
    """Make a column's name usable as a variable: `Customer Name` is `Customer_Name`, `5` `_5`."""
    usable = re.sub(r"\W+", "_", name).strip("_")
    return f"_{usable}" if usable[:1].isdigit() else usable
