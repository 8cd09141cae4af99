"""Prompts that are there already: those that ship, files of people's own, an instruction."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.prompting import prompty, schema
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.prompty import FrontMatter, Templates
from pipeline.prompting.templates import used
from pipeline.regular import read_file

SHIPPED = Path(__file__).parents[1] / "prompts"
if not SHIPPED.exists():  # a checkout: the wheel holds them inside the package
    SHIPPED = Path(__file__).parents[2] / "prompts"

MOST_BYTES = 10_000_000  # of a prompt file
MERGE = (
    "The document was too long to be read at once: this was asked about each of its parts in turn. "
    "Make one answer for the whole document of the answers to its parts."
)
PARTS = "{% for part in parts %}Part {{ loop.index }}:\n{{ part }}\n\n{% endfor %}"


def load(name: str | os.PathLike[str]) -> Prompt:
    """Read a prompt that ships with the program, by its name, or a prompt file."""
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"a prompt is the path of a file or a name, not {name!r}")
    path = _shipped(os.fspath(name)) if names_shipped(name) else Path(name)
    try:
        data = read_file(path, MOST_BYTES)
        source = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(f"can't read the prompt file {path}: {reason}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"the prompt file {path} is over {MOST_BYTES // 10**6} MB")
    return parse(source, name=path.stem, origin=str(path))


def names_shipped(name: str | os.PathLike[str]) -> bool:
    """Return whether this is the name of a shipped prompt: a text without a slash or a suffix,
    whatever files there are.
    """
    return isinstance(name, str) and Path(name).name == name and not Path(name).suffix


def _shipped(name: str) -> Path:
    paths = {path.stem: path for path in SHIPPED.glob("*.prompty")}
    if name in paths:
        return paths[name]
    example = os.path.join(os.curdir, name)
    raise UsageError(
        f"no shipped prompt is called {name!r}, they are {', '.join(sorted(paths))}; "
        f"for a file write its path: {example}"
    )


def parse(source: str, *, name: str = "prompt", origin: str = "prompt") -> Prompt:
    """Read a prompt from text. Raises UsageError saying where `origin` is wrong."""
    front, templates, merging = prompty.read(source, name=name, origin=origin)
    try:
        return assemble(front, templates, merging)
    except UsageError as error:
        raise UsageError(f"{origin}: {error}") from error


def assemble(front: FrontMatter, templates: Templates, merging: Templates) -> Prompt:
    """Make a prompt of the parts of a prompt file. Raises UsageError if it can't be asked."""
    prompt = Prompt(
        name=front.name,
        templates=templates,
        merging=merging,
        model=front.model.id,
        options=front.model.options,
        inputs=tuple(front.inputs),
        outputs=front.outputs,
        about=front.about(),
    )
    if prompt.outputs is not None:
        schema.check(prompt.outputs)
    for _, text in (*templates, *merging):
        used(text)
    if not prompt.turns:
        raise UsageError("there is no `user:` message to ask")
    return prompt


def from_instruction(instruction: str) -> Prompt:
    """Make a prompt of one sentence: the instruction, then the document."""
    return Prompt(
        name="instruction",
        templates=(("system", "{{ instruction }}"), ("user", "{{ text }}")),
        merging=(("system", "{{ instruction }}\n\n" + MERGE), ("user", PARTS)),
        settings={"instruction": instruction},
    )
