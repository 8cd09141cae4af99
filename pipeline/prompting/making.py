"""A prompt made in Python, by the words of a prompt file and of the API."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from enum import Enum
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pipeline.errors import UsageError
from pipeline.prompting.classes import schema_of
from pipeline.prompting.fields import read as read_fields
from pipeline.prompting.loading import assemble
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.prompty import (
    RESERVED,
    FrontMatter,
    Model,
    Options,
    Templates,
    first_problem,
    with_plain_lines,
)
from pipeline.types import Role

Said = tuple[str, str] | Mapping[str, str]
Messages = str | Iterable[Said]
Inputs = Mapping[str, object] | Iterable[Mapping[str, object]]
Outputs = type[BaseModel] | Mapping[str, Any] | Iterable[Mapping[str, Any]] | str

# Parameters of the API that prompt files have no name for. What only some servers know goes into
# `additional_properties`: a typing error would be sent, too.
PARAMETERS = frozenset(
    {
        *("logit_bias", "logprobs", "top_logprobs", "reasoning_effort", "verbosity"),
        *("service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"),
        *("store", "user", "web_search_options", "prediction"),
    }
)
# What the API calls the options that a prompt file has names of its own for.
_NAMES = {"max_tokens": "max_output_tokens", "stop": "stop_sequences"}
_OPTIONS = frozenset(Options.model_fields)
_MODEL = frozenset(Model.model_fields) - {"id", "options"}
_ABOUT = frozenset(FrontMatter.model_fields) - {"name", "model", "inputs", "outputs"}
_MOST_LEVELS = 100


def make(
    messages: Messages,
    *,
    reduce: Messages = (),
    inputs: Inputs = (),
    outputs: Outputs | None = None,
    name: str = "prompt",
    model: str | None = None,
    **words: Any,
) -> Prompt:
    """Make a prompt; see `Prompt.make`."""
    given = {word: value for word, value in words.items() if value is not None}
    about = {"id": model, "options": _options(given)}
    front: dict[str, Any] = {
        "name": name,
        "model": about,
        "inputs": inputs,
        "outputs": None if outputs is None else read_outputs(outputs),
    }
    for word, value in given.items():
        if word in _MODEL:
            about[word] = value
        elif word in _ABOUT:
            front[word] = value
    try:
        read = FrontMatter.model_validate(
            {word: _plain(value, word) for word, value in front.items()}
        )
    except ValidationError as error:
        key, problem = first_problem(error)
        raise UsageError(f"{_word(key, given)}: {problem}") from error
    return assemble(read, _templates(messages, "messages"), _templates(reduce, "reduce"))


def read_outputs(outputs: object) -> object:
    """Return what answers are made of as a prompt file says it: a JSON Schema, or properties."""
    if isinstance(outputs, str):
        return read_fields(outputs, origin="outputs")
    if isinstance(outputs, type) and issubclass(outputs, BaseModel):
        return schema_of(outputs)
    if isinstance(outputs, Mapping | list | tuple):
        return outputs
    raise UsageError(
        "outputs: give the class of a pydantic model, a JSON Schema, or fields such as "
        f"'vendor, total: number', not {outputs!r}"
    )


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `model.options` of a prompt file. Raises UsageError for a word that is none."""
    options: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for word, value in given.items():
        name = _NAMES.get(word, word)
        if name in options:
            both = " and ".join(word for word in given if _NAMES.get(word, word) == name)
            raise UsageError(f"{both} are the same: give one of them")
        if name in _OPTIONS:
            options[name] = value
        elif name in PARAMETERS:
            parameters[name] = value
        elif name not in _MODEL | _ABOUT:
            raise UsageError(_unknown(word))
    if isinstance(options.get("stop_sequences"), str):
        options["stop_sequences"] = [options["stop_sequences"]]
    more = options.get("additional_properties", {})
    if parameters and isinstance(more, Mapping):
        options["additional_properties"] = {**more, **parameters}
    return options


def _unknown(word: str) -> str:
    if word in RESERVED:
        return f"{word} can't be chosen: the program sets that itself"
    known = ("reduce", "inputs", "outputs", *_OPTIONS, *_MODEL, *_ABOUT, *PARAMETERS, *_NAMES)
    close = get_close_matches(word, known, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"a prompt has no {word}{hint}; what only your server knows is additional_properties"


def _word(key: str, given: Mapping[str, Any]) -> str:
    """Return the word that was given for a key of a prompt file, such as `model.options.topP`."""
    name = key.removeprefix("model.options.").removeprefix("model.")
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    aliases = {alias for alias, of in _NAMES.items() if of == name} & given.keys()
    return "model" if name == "id" else next(iter(aliases), name)


def _templates(messages: Messages, what: str) -> Templates:
    said = [("user", messages)] if isinstance(messages, str) else messages
    if not isinstance(said, Iterable) or isinstance(said, Mapping):
        raise UsageError(f"{what}: give a text, or pairs of a role and a text")
    return tuple(_template(each, f"{what}, number {place}") for place, each in enumerate(said, 1))


def _template(said: object, where: str) -> tuple[Role, str]:
    if isinstance(said, Mapping) and said.keys() == {"role", "content"}:
        said = (said["role"], said["content"])
    if not isinstance(said, tuple | list) or len(said) != 2:
        raise UsageError(
            f"{where}: give a pair of a role and a text, or a dict of `role` and `content`"
        )
    role, text = said
    if role not in _ROLES:
        raise UsageError(f"{where}: the role is one of {', '.join(_ROLES)}, not {role!r}")
    if not isinstance(text, str):
        raise UsageError(f"{where}: the content is a text; {{{{ image }}}} stands for an image")
    if not text.strip():
        raise UsageError(f"{where}: the {role} message is empty")
    return role, with_plain_lines(text).strip()


_ROLES = get_args(Role)


def _plain(value: object, where: str, level: int = 0) -> object:
    """Copy a value as a prompt file would hold it. Raises UsageError for what none can hold."""
    if level > _MOST_LEVELS:
        raise UsageError(f"{where}: it goes over {_MOST_LEVELS} levels deep")
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:
            raise UsageError(f"{where}: {odd!r} is a key; keys are texts")
        return {str(key): _plain(part, f"{where}.{key}", level + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, where, level + 1) for part in value]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        value = float(value)
        if math.isfinite(value):
            return value
    elif value is None or isinstance(value, bool | date):
        return value
    elif isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    raise UsageError(f"{where}: a prompt can't hold {value!r}")
