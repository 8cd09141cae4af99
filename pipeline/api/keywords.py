"""From what a call was given to the settings of a run, and from its errors to Python's words."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pipeline.access import Auth
from pipeline.costs import read_amount, read_price
from pipeline.engine.settings import Settings, Stronger
from pipeline.errors import PipelineError, UsageError
from pipeline.prompting.choosing import Labelling, choose
from pipeline.prompting.prompt import Prompt
from pipeline.sources.tables.frame import Frame, as_arrow, is_pandas
from pipeline.types import Detail, Hidden, Long, Undecodable

Arguments = ParamSpec("Arguments")
Given = TypeVar("Given")

_OWN = ("input", "prompt", "labelling", "stronger")  # settings that no keyword gives as they are


def read_prompt(
    prompt: str | os.PathLike[str] | Prompt | None, instruction: str | None, fields: str | None
) -> Prompt:
    if (prompt is None) == (instruction is None):
        raise UsageError('give one of the two: a prompt, or instruction="..."')
    if isinstance(prompt, os.PathLike):
        prompt = Path(prompt)
    return choose(prompt, instruction, fields)


def read_settings(
    input: object,
    prompt: Prompt,
    given: Mapping[str, Any],
    *,
    output: str | os.PathLike[str] | None = None,
    labelling: Labelling | None = None,
    stronger: Stronger | None = None,
) -> Settings:
    """Take keywords as Python has them: numbers, paths, single values where several may be."""
    known = {field.name: field for field in fields(Settings) if field.name not in _OWN}
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UsageError(f"there is no setting {name}{hint}")
    values = {name: _value(name, value) for name, value in given.items() if value is not None}
    return Settings(
        input=read_input(input),
        prompt=prompt,
        output=None if output is None else os.fspath(output),
        labelling=labelling,
        stronger=stronger,
        **values,
    )


def read_input(input: object) -> str | Frame:
    if isinstance(input, str) or is_pandas(input):
        return input  # type: ignore[return-value]
    if isinstance(input, Frame):  # read once: another time it may give other rows, or none
        return as_arrow(input)  # type: ignore[no-any-return]
    if isinstance(input, Path):
        return str(input)
    raise UsageError(
        f"the input is a path, a glob, an address or a table, not {type(input).__name__}"
    )


def _value(name: str, value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if name == "price":
        return read_price(value, "--price")
    if name == "max_cost":
        return read_amount(value, "--max-cost")
    if name in ("glob", "exclude", "image_host"):
        return (value,) if isinstance(value, str) else tuple(value)
    kinds: dict[str, type[StrEnum]] = {
        "auth": Auth,
        "long": Long,
        "image_detail": Detail,
        "encoding_errors": Undecodable,
        "hidden": Hidden,
    }
    if name in kinds:
        try:
            return kinds[name](value)
        except ValueError as error:
            raise UsageError(f"{name} is one of {', '.join(kinds[name])}, not {value!r}") from error
    if name == "sheet":
        return str(value)
    return value


@contextmanager
def in_python_words() -> Iterator[None]:
    """Name settings in errors as Python has them: `max_cost`, not `--max-cost`."""
    try:
        yield
    except PipelineError as error:
        said = re.sub(
            r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)",
            lambda found: found[1].replace("-", "_"),
            str(error),
        )
        error.args = (said, *error.args[1:])
        raise


def shows_settings(
    call: Callable[Arguments, Given],
) -> Callable[Arguments, Given]:
    """Put the settings into a signature, for notebooks to complete."""
    own = inspect.signature(call)
    kept = [item for item in own.parameters.values() if item.kind is not item.VAR_KEYWORD]
    taken = {*own.parameters, *_OWN}
    more = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for field in fields(Settings)
        if field.name not in taken
    ]
    call.__signature__ = own.replace(parameters=[*kept, *more])  # type: ignore[attr-defined]
    return call
