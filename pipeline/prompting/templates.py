"""The text of a message with its variables: Jinja2, in its sandbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import jinja2
import jinja2.meta
import jinja2.sandbox

from pipeline.errors import DocumentError, UsageError

_ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,
    finalize=lambda value: "" if value is None else value,
)
GLOBALS = frozenset(_ENVIRONMENT.globals)  # Jinja2's own names: `range`, ...


class Template:
    """A text that is filled in for each document; `title` names it where that fails.

    What no document can change, for it uses nothing but `settings`, is filled in once.
    """

    def __init__(self, text: str, settings: Mapping[str, object], *, title: str) -> None:
        self._title = title
        self._template = _ENVIRONMENT.from_string(text)
        # As it comes, a chain of maps, it takes half of a render's time.
        self._template.globals = dict(self._template.globals)
        self._fixed: str | None = None
        if used(text) <= settings.keys():
            try:
                self._fixed = self._template.render(settings)
            except Exception:  # an expression can raise anything; `fill_in` will say what it was
                return

    def fill_in(self, variables: Mapping[str, object]) -> str:
        """Give the text. Raises DocumentError where an expression in it fails."""
        if self._fixed is not None:
            return self._fixed
        try:
            return self._template.render(variables)
        except Exception as error:  # an expression can raise anything
            raise DocumentError(f"{self._title}: {error}") from error


@cache
def used(text: str) -> frozenset[str]:
    """Give the names that a text uses, GLOBALS among them. Raises UsageError for bad syntax."""
    bare = _ENVIRONMENT.overlay()
    bare.globals = {}
    try:
        return frozenset(jinja2.meta.find_undeclared_variables(bare.parse(text)))
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"in a message: {error.message}") from error


@cache
def alias(name: str) -> str:
    """Make a column's name usable as a variable: `Customer Name` is `Customer_Name`, `5` `_5`."""
    usable = re.sub(r"\W+", "_", name).strip("_")
    return f"_{usable}" if usable[:1].isdigit() else usable
