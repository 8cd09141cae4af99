"""A prompt made in Python asks what it should, and as a file it asks the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from pipeline.errors import DocumentError, UsageError
from pipeline.prompting.loading import SHIPPED, parse
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.saving import written
from pipeline.types import Document

ROW = Document(0, "a row", {"subject": "Hello", "text": "It crashes."}, "It crashes.")


class Tone(Enum):
    CALM = "calm"
    ANGRY = "angry"


class Line(BaseModel):
    sku: str
    count: int = Field(ge=1, description="How many.")


class Ticket(BaseModel):
    """A ticket."""

    topic: Literal["billing", "bug"]
    tone: Tone
    due: date | None = None
    lines: list[Line]
    total: float


def keys(prompt: Prompt) -> list[bytes]:
    found = []
    answers: list[str] = []
    for _ in prompt.turns:
        found.append(prompt.render(ROW, answers).key)
        answers.append("An answer.")
    return found


def test_a_text_is_one_message_of_the_user() -> None:
    request = Prompt.make("Is this urgent? {{ text }}").render(ROW)
    assert [(each.role, each.text) for each in request.messages] == [
        ("user", "Is this urgent? It crashes.")
    ]


def test_messages_are_pairs_or_dicts_and_options_the_apis_own() -> None:
    prompt = Prompt.make(
        [("system", "Be brief."), {"role": "user", "content": "{{ subject }}: {{ text }}"}],
        model="gpt-6-luna",
        temperature=0,
        max_tokens=50,
        stop="###",
        reasoning_effort="low",
    )
    request = prompt.render(ROW)
    assert [each.text for each in request.messages] == ["Be brief.", "Hello: It crashes."]
    assert request.parameters == {"temperature": 0, "stop": ["###"], "reasoning_effort": "low"}
    assert (request.model, request.max_tokens) == ("gpt-6-luna", 50)


def test_a_pydantic_model_says_what_answers_are_made_of() -> None:
    prompt = Prompt.make("{{ text }}", outputs=Ticket)
    assert [column.name for column in prompt.columns] == ["topic", "tone", "due", "lines", "total"]
    answer = '{"topic": "bug", "tone": "angry", "lines": [{"sku": "a", "count": 2}], "total": 1.5}'
    assert prompt.answers([answer])["lines"] == [{"sku": "a", "count": 2}]
    assert "title" not in str(prompt.outputs)


def test_fields_and_a_schema_say_it_too() -> None:
    fields = Prompt.make("{{ text }}", outputs="vendor, total: number")
    assert fields.outputs is not None
    assert keys(fields) == keys(Prompt.make("{{ text }}", outputs=dict(fields.outputs)))


class Odd(BaseModel):
    """A model that is no JSON."""

    call: Callable[[], int]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"messages": [("robot", "x")]}, "messages, number 1: the role is one of"),
        ({"messages": ["x"]}, "messages, number 1: give a pair of a role and a text"),
        ({"messages": [("user", [{"type": "text"}])]}, "messages, number 1: the content is a text"),
        ({"messages": [("system", "x")]}, "messages: there is no user message to ask"),
        ({"messages": "{{ text"}, ""),
        ({"messages": "x", "temperature": "hot"}, "temperature: "),
        ({"messages": "x", "max_tokens": 0}, "max_output_tokens: "),
        ({"messages": "x", "n": 3}, "additional_properties: can't hold `n`"),
        ({"messages": "x", "outputs": int}, "outputs: give a pydantic model, a JSON Schema"),
        ({"messages": "x", "outputs": Odd}, "outputs: Odd has no JSON Schema"),
        ({"messages": "x", "outputs": {"type": "array"}}, "outputs: the schema must be"),
    ],
)
def test_a_mistake_is_one_line(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        Prompt.make(**wrong)
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


def test_a_saved_prompt_asks_the_same(tmp_path: Path) -> None:
    prompt = Prompt.make(
        [
            ("system", "Sort.\n---\nuser:\nnot a message\n\n  reduce:  "),
            ("user", "{{ subject }}\n{{ text }}"),
            ("user", "Sure?"),
        ],
        name="triage",
        model="gpt-6-luna",
        temperature=0.5,
        max_tokens=100,
        seed=7,
    )
    path = tmp_path / "triage.prompty"
    prompt.save(path)
    loaded = Prompt.load(path)
    assert keys(loaded) == keys(prompt)
    assert (loaded.name, loaded.options) == ("triage", prompt.options)
    with pytest.raises(UsageError, match="exists: choose another name"):
        prompt.save(path)
    prompt.save(path, overwrite=True)


def test_a_model_of_answers_is_saved_with_it(tmp_path: Path) -> None:
    prompt = Prompt.make("{{ text }}", outputs=Ticket, reduce="Merge: {{ parts }}")
    prompt.save(tmp_path / "a.prompty")
    loaded = Prompt.load(tmp_path / "a.prompty")
    assert keys(loaded) == keys(prompt)
    assert loaded.merge(ROW, ["a"]).key == prompt.merge(ROW, ["a"]).key


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.prompty")))
def test_a_shipped_prompt_is_the_same_once_it_was_saved(tmp_path: Path, name: str) -> None:
    prompt = Prompt.load(name)
    prompt.save(tmp_path / f"{name}.prompty")
    loaded = Prompt.load(tmp_path / f"{name}.prompty")
    same = ("templates", "merging", "options", "outputs", "inputs", "name")
    assert [getattr(loaded, each) for each in same] == [getattr(prompt, each) for each in same]


LINES = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            ["---", "user:", " system: ", "reduce:", "{{ text }}", "{# note #}", "", "\t", "a: b"]
        ),
    ),
    min_size=1,
    max_size=6,
).map("\n".join)


@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(
    said=st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), LINES), min_size=1)
)
def test_whatever_is_said_a_file_says_the_same(said: list[tuple[str, str]]) -> None:
    try:
        prompt = Prompt.make([*said, ("user", "{{ text }}")])
        asked = keys(prompt)
    except (UsageError, DocumentError):
        return  # no template at all
    assert keys(parse(written(prompt))) == asked


def test_what_a_call_has_put_into_a_prompt_is_not_saved(tmp_path: Path) -> None:
    limited = Prompt.load("classify").limit("label", ["a", "b"])
    with pytest.raises(UsageError, match="has labels, examples or an instruction"):
        limited.save(tmp_path / "a.prompty")
    assert not list(tmp_path.iterdir())
