"""The format of prompt files, Prompty 2 (https://prompty.ai), and nothing of what they mean.

YAML between two `---` lines, then messages under `system:`, `user:` and `assistant:` lines. After a
line `reduce:`, which is ours, come those that merge the answers to the parts of a long document.
A line of a message that would be one of these has a backslash before it: `\\user:`.
The messages are split before anything is filled in, so nothing that a document contains can open
or close one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import UsageError
from pipeline.types import Role

_ROLE_LINE = re.compile(r"^[ \t]*(system|developer|user|assistant):[ \t]*$", re.MULTILINE)
_REDUCE_LINE = re.compile(r"^[ \t]*reduce:[ \t]*$", re.MULTILINE)
_OURS = r"(\\*(?:system|developer|user|assistant|reduce):[ \t]*)$"
_LOOKALIKE = re.compile(rf"^([ \t]*){_OURS}", re.MULTILINE)
_ESCAPED = re.compile(rf"^([ \t]*)\\{_OURS}", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)

# Parameters of the API that would hide the document, or that the budget goes by.
RESERVED = {
    *("messages", "model", "stream", "n"),
    *("max_tokens", "max_completion_tokens", "response_format"),
}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class _Written(BaseModel):
    """What people write: a key that isn't known is a mistake, not a wish."""

    model_config = ConfigDict(extra="forbid", alias_generator=_camel, populate_by_name=True)


class Options(_Written):
    """`model.options` of a prompt file."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = Field(default=None, gt=0)
    seed: int | None = None
    stop_sequences: list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    additional_properties: dict[str, Any] = Field(default_factory=dict)

    @field_validator("additional_properties")
    @classmethod
    def _nothing_of_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(value.keys() & RESERVED)
        if taken:
            raise ValueError(f"can't hold `{taken[0]}`: the program sets that itself")
        return value

    def parameters(self) -> dict[str, object]:
        """Return those that are set, under the names of the API."""
        named = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": self.stop_sequences,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
        }
        known = {name: value for name, value in named.items() if value is not None}
        return {**known, **self.additional_properties}


class Model(_Written):
    """`model` of a prompt file. `provider`, `apiType` and `connection` describe; flags decide."""

    id: str | None = None
    provider: str | None = None
    api_type: Literal["chat"] = "chat"
    connection: dict[str, Any] | None = None
    options: Options = Field(default_factory=Options)


class Property(_Written):
    """An input or output of a prompt file."""

    name: str
    kind: Literal["string", "integer", "float", "number", "boolean", "array", "object"] = "string"
    description: str | None = None
    required: bool = True
    default: Any = None
    example: Any = None
    enum_values: list[Any] | None = None
    items: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None

    def json_schema(self) -> dict[str, Any]:
        """Write it as a JSON Schema."""
        result: dict[str, Any] = {"type": "number" if self.kind == "float" else self.kind}
        if self.description:
            result["description"] = self.description
        if self.enum_values:
            result["enum"] = self.enum_values
        if self.items:
            result["items"] = self.items
        if self.properties:
            result["properties"] = self.properties
        return result


class FrontMatter(_Written):
    """The YAML part of a prompt file."""

    name: str = "prompt"
    display_name: str | None = None
    description: str | None = None
    version: str | None = None
    authors: list[str] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    model: Model = Field(default_factory=Model)
    inputs: list[Property] = Field(default_factory=list)
    outputs: dict[str, Any] | None = None
    sample: dict[str, Any] = Field(default_factory=dict)
    template: dict[str, Any] | str | None = None

    def about(self) -> dict[str, Any]:
        """Return what it says that decides no request: a description, authors, a sample, ..."""
        said = self.model_dump(
            by_alias=True,
            exclude_defaults=True,
            exclude={"name": True, "inputs": True, "outputs": True, "model": {"id", "options"}},
        )
        return {key: value for key, value in said.items() if value}

    @field_validator("inputs", mode="before")
    @classmethod
    def _inputs_by_name(cls, value: object) -> object:
        return _named(value)

    @field_validator("outputs", mode="before")
    @classmethod
    def _outputs_as_schema(cls, value: object) -> object:
        if isinstance(value, dict) and (
            "properties" in value or isinstance(value.get("type"), str)
        ):
            return value
        if value is None:
            return value
        entries = _named(value)
        if not isinstance(entries, list):
            raise ValueError("must be a JSON Schema or a list of properties")
        properties = [Property.model_validate(entry) for entry in entries]
        return {
            "type": "object",
            "properties": {item.name: item.json_schema() for item in properties},
            "required": [item.name for item in properties if item.required],
        }

    @field_validator("outputs")
    @classmethod
    def _outputs_as_text(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        _check_words(value, "outputs")
        return value


def _check_words(part: object, where: str) -> None:
    """Raise ValueError where YAML has made something else of a word: `yes` is true to it, and no
    answer that is a text could ever be that.
    """
    if isinstance(part, Mapping):
        texts = part.get("type") in ("string", ["string", "null"])
        values = part.get("enum") if texts else None
        listed = values if isinstance(values, list) else []
        words = [*part, *(value for value in listed if value is not None)]
        wrong = next((word for word in words if not isinstance(word, str)), None)
        if wrong is not None:
            raise ValueError(
                f"has {str(wrong).lower()} for a text in {where}: put it in quotes "
                "(yes is true in YAML, no false)"
            )
        for name, inner in part.items():
            _check_words(inner, f"{where}/{name}")
    elif isinstance(part, list):
        for inner in part:
            _check_words(inner, where)
    elif isinstance(part, date):
        raise ValueError(f"has the date {part} in {where}: put it in quotes")


def _named(value: object) -> object:
    """Take `{name: {kind: ...}}` for `[{name: name, kind: ...}]`; Prompty knows both."""
    if not isinstance(value, dict):
        return value
    return [
        {"name": name, **(entry if isinstance(entry, dict) else {"default": entry})}
        for name, entry in value.items()
    ]


Templates = tuple[tuple[Role, str], ...]


def read(source: str, *, name: str, origin: str) -> tuple[FrontMatter, Templates, Templates]:
    """Read a prompt file: what its front matter says, its messages as templates by role, and those
    that merge.

    `name` is the prompt's where it has none of its own. Raises UsageError saying where `origin` is
    wrong.
    """
    source = with_plain_lines(source)
    found = _FRONT_MATTER.match(source)
    if found is None and source.startswith("---"):
        raise UsageError(f"{origin}: the front matter has no closing `---` line")
    front = _front_matter(found.group(1) if found else "", name, origin)
    body, *merging = _REDUCE_LINE.split(source[found.end() :] if found else source)
    if len(merging) > 1:
        raise UsageError(f"{origin}: there is more than one `reduce:` line")
    return front, _split(body), _split(merging[0]) if merging else ()


def with_plain_lines(text: str) -> str:
    """End the lines of a text as Python and Jinja2 do, whatever system it comes from."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _front_matter(text: str, name: str, origin: str) -> FrontMatter:
    from pipeline.prompting import yamls

    data = yamls.read(text, origin=origin, what="the front matter is", line=2) or {}
    if not isinstance(data, dict):
        raise UsageError(f"{origin}: the front matter is not YAML with `key: value` lines")
    try:
        return FrontMatter.model_validate({"name": name, **data})
    except ValidationError as error:
        key, problem = first_problem(error)
        raise UsageError(f"{origin}: `{key}` {problem}") from error


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return the key that is wrong, and what is wrong with it."""
    first = error.errors()[0]
    if first["type"] == "extra_forbidden":
        problem = "is not a key of a prompt file"
    else:
        problem = first["msg"].removeprefix("Value error, ")
    return ".".join(str(part) for part in first["loc"]), problem


def _split(body: str) -> Templates:
    """Cut the body at its role lines; without any, the whole of it is a user's message."""
    before, *parts = _ROLE_LINE.split(body)
    messages = [("user", before)] if before.strip() else []
    messages += zip(parts[::2], parts[1::2], strict=True)
    return tuple((role, _ESCAPED.sub(r"\1\2", text).strip()) for role, text in messages)  # type: ignore[misc]  # the pattern's roles


def write(front: str, templates: Templates, merging: Templates) -> str:
    """Return the text of a prompt file, of a front matter in YAML."""
    parts = [f"---\n{front}---", *_written(templates)]
    if merging:
        parts += ["reduce:\n", *_written(merging)]
    return "\n".join(parts)


def _written(templates: Templates) -> list[str]:
    return [f"{role}:\n{_escaped(text)}\n" for role, text in templates]


def _escaped(text: str) -> str:
    return _LOOKALIKE.sub(r"\1\\\2", text)
