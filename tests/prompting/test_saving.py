"""A prompt as a file asks the same, reads well, and takes the place of no other file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from pipeline.errors import DocumentError, UsageError
from pipeline.prompting.labels import Example
from pipeline.prompting.loading import SHIPPED, from_instruction, parse
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.saving import write
from pipeline.types import Document

ROW = Document(0, "a row", {"subject": "Hello", "text": "It crashes."}, "It crashes.")


def keys(prompt: Prompt) -> list[bytes]:
    turns = [prompt.render(ROW, ["An answer."] * turn).key for turn in range(len(prompt.turns))]
    return [*turns, prompt.merge(ROW, ["a"]).key] if prompt.merging else turns


class Line(BaseModel):
    sku: str
    count: int = Field(ge=1, description="How many.")


class Ticket(BaseModel):
    topic: Literal["billing", "bug"]
    due: date | None
    lines: list[Line]


FILE = """\
---
name: triage
description: Says how urgent a ticket is.
authors: [Ada, Bo]
model:
  id: gpt-6-luna
  options:
    temperature: 0
    maxOutputTokens: 200
    additionalProperties:
      reasoning_effort: low
inputs:
  - name: product
    default: our shop
outputs:
  - name: urgency
    enumValues: [low, high]
  - name: reason
    description: One sentence.
  - name: days
    kind: integer
    required: false
sample:
  text: |-
    Hello,

    it crashes.
---
system:
You triage tickets for {{ product }}.

user:
{{ subject }}: {{ text }}

reduce:

user:
{{ parts }}
"""


def test_a_file_is_written_as_people_write_it(tmp_path: Path) -> None:
    prompt = Prompt.make(
        [
            ("system", "You triage tickets for {{ product }}."),
            ("user", "{{ subject }}: {{ text }}"),
        ],
        reduce="{{ parts }}",
        name="triage",
        sample={"text": "Hello,\n\nit crashes."},
        description="Says how urgent a ticket is.",
        authors=["Ada", "Bo"],
        model="gpt-6-luna",
        reasoning_effort="low",
        max_tokens=200,
        temperature=0,
        inputs={"product": "our shop"},
        outputs=[
            {"name": "urgency", "enumValues": ["low", "high"]},
            {"name": "reason", "description": "One sentence."},
            {"name": "days", "kind": "integer", "required": False},
        ],
    )
    path = tmp_path / "triage.prompty"
    prompt.save(path)
    assert path.read_bytes() == FILE.encode()
    assert Prompt.load(path) == prompt
    assert write(parse(FILE)) == FILE


def test_a_schema_that_is_no_list_of_properties_is_written_as_it_is() -> None:
    prompt = Prompt.make("{{ text }}", outputs=Ticket)
    read = parse(write(prompt))
    assert read == prompt
    assert list((read.outputs or {})["properties"]) == ["topic", "due", "lines"]


def test_a_saved_prompt_asks_the_same(tmp_path: Path) -> None:
    prompt = Prompt.make(
        [
            ("system", "Sort.\n---\nuser:\nnot a message\n\n  reduce:  \n\\user:"),
            ("user", "{% raw %}{{\nuser:\n{% endraw %}{# \nuser:\n #}{{ 'a\nsystem:\nb' }}"),
            ("user", "Sure?"),
        ],
        name="triage",
        model="gpt-6-luna",
        temperature=0.5,
        max_tokens=100,
        seed=7,
        outputs=Ticket,
        reduce="reduce:",
    )
    path = tmp_path / "triage.prompty"
    prompt.save(path)
    loaded = Prompt.load(path)
    assert loaded == prompt
    assert keys(loaded) == keys(prompt)


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.prompty")))
def test_a_shipped_prompt_is_the_same_once_it_was_saved(tmp_path: Path, name: str) -> None:
    prompt, path = Prompt.load(name), tmp_path / "mine.prompty"
    prompt.save(path)
    assert Prompt.load(path) == prompt
    assert Prompt.load(path).about == prompt.about
    saved, shipped = path.read_text(encoding="utf-8"), SHIPPED / f"{name}.prompty"
    body = shipped.read_text(encoding="utf-8").partition("\n---\n")[2]
    assert saved.partition("\n---\n")[2] == body


SPECIAL = ["---", "user:", " system: ", "reduce:", "\\user:", "\\\\reduce: ", "\tassistant:\t"]
TEMPLATES = [
    "{{ text }}",
    "{# a",
    "#}",
    "{% raw %}",
    "{% endraw %}",
    "{%- if text %}",
    "{% endif %}",
]
ODD = ["", " ", "\t", "a: b", "- a", "\r", "\x85", "\u2028", "\xa0", "é 😀", "\ufeff", "\x00", "\\"]
LINES = st.lists(
    st.one_of(st.text(max_size=20), st.sampled_from([*SPECIAL, *TEMPLATES, *ODD])), max_size=6
)
MESSAGES = st.builds(str.join, st.sampled_from(["\n", "\r\n", "\n\n", "\r"]), LINES)


@settings(max_examples=300, deadline=None)
@given(
    said=st.lists(
        st.tuples(st.sampled_from(["system", "developer", "user", "assistant"]), MESSAGES)
    ),
    merging=st.lists(st.tuples(st.sampled_from(["system", "user"]), MESSAGES), max_size=2),
)
@example(said=[("user", "a\ruser:\rb")], merging=[("user", "\\reduce:")])
@example(said=[("user", "---\na\n---")], merging=[])
@example(said=[("system", "{% raw %}\nuser:\n{{ x }}{% endraw %}")], merging=[])
def test_whatever_is_said_a_file_says_the_same(
    said: list[tuple[str, str]], merging: list[tuple[str, str]]
) -> None:
    try:
        prompt = Prompt.make([*said, ("user", "{{ text }}")], reduce=merging)
    except UsageError:
        return  # no template at all
    read = parse(write(prompt))
    assert read == prompt
    try:
        asked = keys(prompt)
    except DocumentError:
        return
    assert keys(read) == asked


WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["yes", "No", "null", "~", "1", "1.0", "1e3", "12:30", "0o7", "2026-01-31", "="]
    ),
    st.sampled_from(
        [*SPECIAL, *ODD, "a\nb", "\n a\nb ", " a\n\n\n", "# a", "&a", "*a", "!a", "a " * 90]
    ),
    MESSAGES,
)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.dates()),
    lambda part: st.one_of(st.lists(part, max_size=3), st.dictionaries(WORDS, part, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=WORDS,
    default=VALUES,
    sample=st.dictionaries(WORDS, VALUES, max_size=3),
    description=WORDS,
    model=WORDS,
    stop=st.lists(WORDS, max_size=3),
    temperature=st.floats(0, 2),
    more=st.dictionaries(WORDS.filter(lambda word: word != "n"), VALUES, max_size=3),
)
def test_whatever_it_is_made_with_a_file_has_the_same(
    name: str,
    default: object,
    sample: Mapping[str, object],
    description: str,
    model: str,
    stop: list[str],
    temperature: float,
    more: Mapping[str, object],
) -> None:
    prompt = Prompt.make(
        "{{ a }}",
        name=name,
        inputs=[{"name": "a", "default": default, "required": False, "example": description}],
        sample=sample,
        description=description,
        model=model,
        stop=stop,
        temperature=temperature,
        additional_properties=more,
    )
    read = parse(write(prompt))
    assert repr(read) == repr(prompt)  # in which 1 is another than 1.0 and than true
    assert keys(read) == keys(prompt)


PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "number", "boolean", ["string", "null"]]),
        "description": WORDS,
        "enum": st.lists(WORDS, min_size=1, max_size=3, unique=True),
        "default": st.none(),
        "minLength": st.integers(0, 5),
    },
)


@settings(max_examples=200, deadline=None)
@given(
    properties=st.dictionaries(WORDS, PROPERTIES, min_size=1, max_size=4),
    required=st.one_of(st.none(), st.integers(0, 4)),
)
def test_whatever_answers_are_made_of_a_file_has_the_same(
    properties: dict[str, dict[str, Any]], required: int | None
) -> None:
    outputs: dict[str, Any] = {"type": "object", "properties": properties}
    if required is not None:
        outputs["required"] = list(properties)[:required]
    try:
        prompt = Prompt.make("{{ text }}", outputs=outputs)
    except UsageError:
        return  # no schema at all
    read = parse(write(prompt))
    assert read == prompt
    assert list((read.outputs or {})["properties"]) == list(properties)
    assert keys(read) == keys(prompt)


# What is not saved


def test_a_file_is_replaced_only_if_that_was_said(tmp_path: Path) -> None:
    path = tmp_path / "a.prompty"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        Prompt.make("x").save(path)
    assert str(raised.value) == f"{path} exists: choose another name, or overwrite=True"
    assert path.read_text(encoding="utf-8") == "mine"
    Prompt.make("x").save(path, overwrite=True)
    assert Prompt.load(path).templates == (("user", "x"),)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_what_it_names_is_replaced(tmp_path: Path) -> None:
    path, link = tmp_path / "a.prompty", tmp_path / "b.prompty"
    link.symlink_to(path)  # to nothing yet
    with pytest.raises(UsageError, match=r"exists: choose another name"):
        Prompt.make("x").save(link)
    Prompt.make("x").save(link, overwrite=True)
    assert link.is_symlink()
    assert Prompt.load(path) == Prompt.load(link)


@pytest.mark.parametrize("place", ["missing/a.prompty", "file/a.prompty", "folder.d", "pipe.d"])
def test_where_nothing_can_be_written_that_is_said_and_nothing_is_left(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.d").mkdir()
    getattr(os, "mkfifo", os.mkdir)(tmp_path / "pipe.d")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"^can't write .*") as raised:
        Prompt.make("x").save(tmp_path / place, overwrite=True)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_name_that_would_be_a_shipped_prompts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^triage would be the name of a shipped prompt"):
        Prompt.make("x").save("triage")
    Prompt.make("x").save("./triage")
    assert Prompt.load("./triage") == Prompt.make("x")


SHOWN = Example(ROW, "bug")


@pytest.mark.parametrize(
    ("prompt", "lost"),
    [
        (Prompt.load("classify").limit("label", ["a", "b"]), "labels or instruction"),
        (from_instruction("Sum up."), "labels or instruction"),
        (replace(Prompt.make("x"), examples=(SHOWN,)), "examples"),
        (replace(Prompt.make("x"), votes=5), "votes"),
        (replace(Prompt.make("x"), image_column="picture"), "image_column"),
        (replace(Prompt.make("x"), templates=(("user", "x "),)), "templates"),
    ],
)
def test_what_a_file_does_not_hold_is_named_and_nothing_is_written(
    tmp_path: Path, prompt: Prompt, lost: str
) -> None:
    with pytest.raises(UsageError) as raised:
        prompt.save(tmp_path / "a.prompty")
    assert str(raised.value) == (
        f"prompt {prompt.name} can't be saved: a prompt file doesn't hold its {lost}; "
        "save it as it was made or loaded"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        (Prompt.make("a \ud800 b"), r"'\ud800' in it is half a character"),
        (Prompt.make("x", description="a" * 200_001), "too long: over 200,000 characters"),
        (Prompt.make("a" * 10_000_001), "a file has at most 10 MB"),
        (replace(Prompt.make("x"), about={"sample": {"a": object()}}), "cannot represent"),
    ],
)
def test_what_no_file_can_hold_is_said_in_a_line(
    tmp_path: Path, prompt: Prompt, problem: str
) -> None:
    path = tmp_path / "a.prompty"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        prompt.save(path, overwrite=True)
    assert str(raised.value).startswith(f"prompt {prompt.name} can't be saved")
    assert problem.replace("\\", "\\\\") in str(raised.value).replace("\\", "\\\\")
    assert "\n" not in str(raised.value)
    assert path.read_text(encoding="utf-8") == "mine"
