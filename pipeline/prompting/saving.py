"""A prompt as a file that a person likes to read, and that loads into the same prompt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UsageError
from pipeline.prompting.loading import parse
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.prompty import Templates

# What would be taken for the start of another message.
_SPLITS = re.compile(r"^[ \t]*(?:system|developer|user|assistant|reduce):[ \t]*$", re.MULTILINE)
_RAW = re.compile(r"\{%[-+]?\s*raw\b")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def save(prompt: Prompt, path: Path, *, overwrite: bool = False) -> None:
    """Write a prompt file; see `Prompt.save`."""
    if prompt.settings or prompt.examples:
        raise UsageError(
            f"prompt {prompt.name} has labels, examples or an instruction of a call in it: "
            "save it as it was before"
        )
    text = written(prompt)
    read = parse(text, name=prompt.name, origin=str(path))
    same = (read.model, read.options, read.outputs, _roles(read.templates), _roles(read.merging))
    if same != (
        *(prompt.model, prompt.options, prompt.outputs),
        *(_roles(prompt.templates), _roles(prompt.merging)),
    ):
        raise UsageError(f"prompt {prompt.name} can't be written as a prompt file: {path}")
    try:
        with path.open("w" if overwrite else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} exists: choose another name, or overwrite=True") from error
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from error


def written(prompt: Prompt) -> str:
    """Give the text of a prompt file."""
    options = prompt.options.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    model = {"id": prompt.model, "options": options}
    front: dict[str, Any] = {
        "name": prompt.name,
        "model": {name: value for name, value in model.items() if value},
        "inputs": [item.model_dump(by_alias=True, exclude_defaults=True) for item in prompt.inputs],
        "outputs": prompt.outputs,
    }
    kept = {name: value for name, value in front.items() if value}
    head = yaml.dump(
        json.loads(json.dumps(kept)),  # no anchors: what is there twice is written twice
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    parts = [f"---\n{head}---", *_messages(prompt.templates)]
    if prompt.merging:
        parts += ["reduce:", *_messages(prompt.merging)]
    return "\n\n".join(parts) + "\n"


def _messages(templates: Templates) -> list[str]:
    return [f"{role}:\n{_escaped(text)}" for role, text in templates]


def _escaped(text: str) -> str:
    """Write lines that would begin another message as what a template makes of them."""
    if _RAW.search(text) and _SPLITS.search(text):
        raise UsageError(
            "a message has {% raw %} and a line that is a role, such as `user:`: a prompt file "
            "can't hold both"
        )
    return _SPLITS.sub(lambda line: f"{{{{ {json.dumps(line[0])} }}}}", text)


def _roles(templates: Templates) -> list[tuple[str, str]]:
    """Give the messages, as far as they are the same whether escaped or not."""
    return [(role, _escaped(text)) for role, text in templates]
