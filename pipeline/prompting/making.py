"""A prompt made in Python: of messages, of a pydantic model or a schema for its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, PydanticUserError, ValidationError

from pipeline.errors import UsageError
from pipeline.prompting import schema
from pipeline.prompting.fields import read as read_fields
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.prompty import Options, Templates
from pipeline.prompting.templates import used
from pipeline.types import Role

Said = tuple[str, str] | Mapping[str, str]
Messages = str | Sequence[Said]
Outputs = type[BaseModel] | Mapping[str, Any] | str

_ROLES = ("system", "developer", "user", "assistant")
# What the API calls the options that a prompt file has names of its own for.
_NAMES = {"max_tokens": "max_output_tokens", "stop": "stop_sequences"}
_UNUSED = ("title", "default")  # of pydantic's schemas: no API of answers takes them


def make(
    messages: Messages,
    *,
    reduce: Messages = (),
    outputs: Outputs | None = None,
    name: str = "prompt",
    model: str | None = None,
    **options: Any,
) -> Prompt:
    """Make a prompt; see `Prompt.make`."""
    prompt = Prompt(
        name=name,
        templates=_templates(messages, "messages"),
        merging=_templates(reduce, "reduce"),
        model=model,
        options=_options(options),
        outputs=None if outputs is None else _schema(outputs),
    )
    if prompt.outputs is not None:
        schema.check(prompt.outputs)
    for _, text in (*prompt.templates, *prompt.merging):
        used(text)
    if not prompt.turns:
        raise UsageError("messages: there is no user message to ask")
    return prompt


def _templates(messages: Messages, what: str) -> Templates:
    said = [("user", messages)] if isinstance(messages, str) else messages
    return tuple(_template(each, f"{what}, number {place}") for place, each in enumerate(said, 1))


def _template(said: Said, where: str) -> tuple[Role, str]:
    parts = (said.get("role"), said.get("content")) if isinstance(said, Mapping) else said
    if not isinstance(parts, Sequence) or isinstance(parts, str) or len(parts) != 2:
        raise UsageError(f"{where}: give a pair of a role and a text")
    role, text = parts
    if role not in _ROLES:
        raise UsageError(f"{where}: the role is one of {', '.join(_ROLES)}, not {role!r}")
    if not isinstance(text, str):
        raise UsageError(f"{where}: the content is a text; {{{{ image }}}} stands for an image")
    return cast(Role, role), text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _options(given: Mapping[str, Any]) -> Options:
    named = {_NAMES.get(name, name): value for name, value in given.items() if value is not None}
    if isinstance(named.get("stop_sequences"), str):
        named["stop_sequences"] = [named["stop_sequences"]]
    known = {name: named.pop(name) for name in Options.model_fields if name in named}
    more = {**known.pop("additional_properties", {}), **named}
    try:
        return Options(**known, additional_properties=more)
    except ValidationError as error:
        first = error.errors()[0]
        what = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{what}: {first['msg'].removeprefix('Value error, ')}") from error


def _schema(outputs: Outputs) -> Mapping[str, Any]:
    if isinstance(outputs, str):
        return read_fields(outputs)
    if isinstance(outputs, Mapping):
        return outputs
    if isinstance(outputs, type) and issubclass(outputs, BaseModel):
        try:
            return cast(dict[str, Any], _plain(outputs.model_json_schema()))
        except PydanticUserError as error:  # such as a field that is a function
            reason = str(error).partition("\n")[0]
            raise UsageError(f"outputs: {outputs.__name__} has no JSON Schema: {reason}") from error
    raise UsageError(
        "outputs: give a pydantic model, a JSON Schema or fields such as "
        f"'vendor, total: number', not {outputs!r}"
    )


def _plain(part: Any, names: bool = False) -> Any:
    """Leave out what says nothing to a model; where keys are `names`, they are the user's own."""
    if isinstance(part, Mapping):
        return {
            key: _plain(value, names=not names and key in ("properties", "$defs"))
            for key, value in part.items()
            if names or key not in _UNUSED
        }
    return [_plain(item) for item in part] if isinstance(part, list) else part
