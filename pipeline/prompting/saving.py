"""A prompt as a file that a person likes to read, and that loads into the same prompt."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.errors import UsageError
from pipeline.prompting import prompty
from pipeline.prompting.loading import MOST_BYTES, names_shipped, parse
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.prompty import FrontMatter
from pipeline.scratch import Scratch

_ORDER = (
    *("name", "displayName", "description", "version", "authors", "tags", "metadata"),
    *("model", "inputs", "outputs", "sample", "template"),
)
_WORDS = {"type": "kind", "enum": "enumValues"}  # of a JSON Schema, in a list of properties
_WIDTH = 100
_SHORT = 80  # characters of a list in a line
_BREAKS = re.compile("[\r\x85\u2028\u2029]")  # read as line feeds unless they are escaped


class _Dumper(yaml.SafeDumper):
    """Writes texts as people do; what is there twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        values = list(sequence)
        short = len(str(values)) < _SHORT and not any(isinstance(v, dict | list) for v in values)
        return super().represent_sequence(tag, values, flow_style=short or flow_style)

    def text(self, text: str) -> yaml.Node:
        style = '"' if _BREAKS.search(text) else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.text)


def save(prompt: Prompt, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a prompt file; see `Prompt.save`."""
    if names_shipped(path):
        raise UsageError(
            f"{path} would be the name of a shipped prompt: call the file {path}.prompty"
        )
    text = write(prompt)
    _check(prompt, parse(text, origin=f"prompt {prompt.name} can't be saved"))
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise UsageError(
            f"prompt {prompt.name} can't be saved: {half!r} in it is half a character"
        ) from error
    if len(content) > MOST_BYTES:
        raise UsageError(
            f"prompt {prompt.name} can't be saved: a file has at most {MOST_BYTES // 10**6} MB"
        )
    if not overwrite and os.path.lexists(path):
        raise UsageError(f"{path} exists: choose another name, or overwrite=True")
    file = Path(os.path.realpath(path))
    try:
        if file.exists() and not file.is_file():  # a folder, or a device
            raise OSError(errno.EINVAL, "it is not a regular file")
        _replace(file, content)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with Scratch(path.parent) as folder:
        draft = folder / path.name
        draft.write_bytes(content)
        draft.replace(path)


def _check(prompt: Prompt, read: Prompt) -> None:
    """Raise UsageError if a file would be another prompt."""
    names = [field.name for field in fields(Prompt) if field.compare]
    lost = [name for name in names if getattr(prompt, name) != getattr(read, name)]
    if lost:
        what = "labels or instruction" if lost[0] == "settings" else lost[0]
        raise UsageError(
            f"prompt {prompt.name} can't be saved: a prompt file doesn't hold its {what}; "
            "save it as it was made or loaded"
        )


def write(prompt: Prompt) -> str:
    """Return the text of a prompt file."""
    about = dict(prompt.about)
    options = {name: _number(value) for name, value in _set(prompt.options).items()}
    model = {"id": prompt.model, **about.pop("model", {}), "options": options}
    front = {
        "name": prompt.name,
        **about,
        "model": {name: value for name, value in model.items() if value not in (None, {})},
        "inputs": [_set(item) for item in prompt.inputs],
        "outputs": None if prompt.outputs is None else _listed(prompt.outputs),
    }
    kept = {name: front[name] for name in _ORDER if front.get(name) or name == "name"}
    try:
        text = yaml.dump(kept, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    except yaml.YAMLError as error:
        raise UsageError(f"prompt {prompt.name} can't be saved: {error}") from error
    return prompty.write(text, prompt.templates, prompt.merging)


def _set(written: BaseModel) -> dict[str, Any]:
    """Return what isn't as it would be anyway, by the words of a prompt file."""
    return written.model_dump(by_alias=True, exclude_defaults=True)


def _number(value: object) -> object:
    """Write `temperature: 0`, which is a float all the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _listed(outputs: Mapping[str, Any]) -> object:
    """Return a schema as a list of properties, if that says all of it."""
    required = outputs.get("required", ())
    entries = [
        {"name": name, **{_WORDS.get(word, word): value for word, value in part.items()}}
        | ({} if name in required else {"required": False})
        for name, part in outputs["properties"].items()
        if isinstance(part, Mapping)
    ]
    for entry in entries:
        if entry.get("kind") == "string":
            del entry["kind"]
    try:
        same = FrontMatter(outputs=entries).outputs == outputs  # type: ignore[arg-type]
    except ValidationError:
        same = False
    return entries if same else outputs
