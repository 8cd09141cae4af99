"""A prompt made in Python asks what it should, and a mistake in it is one line."""

from __future__ import annotations

import inspect
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from openai.types.chat import completion_create_params
from pydantic import BaseModel

from pipeline.errors import UsageError
from pipeline.prompting.loading import parse
from pipeline.prompting.making import PARAMETERS
from pipeline.prompting.prompt import Prompt
from pipeline.prompting.prompty import FrontMatter
from pipeline.types import Document, Image

ROW = Document(0, "a row", {"subject": "Hello", "text": "It crashes."}, "It crashes.")


def said(prompt: Prompt) -> list[tuple[str, str]]:
    return [(each.role, each.text) for each in prompt.render(ROW).messages]


def test_a_text_is_one_message_of_the_user() -> None:
    assert said(Prompt.make("Is this urgent? {{ text }}")) == [
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
        additional_properties={"top_k": 5},
    )
    request = prompt.render(ROW)
    assert [each.text for each in request.messages] == ["Be brief.", "Hello: It crashes."]
    assert request.parameters == {
        "temperature": 0,
        "stop": ["###"],
        "top_k": 5,
        "reasoning_effort": "low",
    }
    assert (request.model, request.max_tokens) == ("gpt-6-luna", 50)


def test_the_words_of_a_prompt_file_make_the_same_prompt_in_python() -> None:
    words: dict[str, Any] = {
        "name": "ask",
        "display_name": "Ask",
        "description": "Asks.",
        "version": "1.2",
        "authors": ["Ada"],
        "tags": ["mail"],
        "metadata": {"team": "support"},
        "model": "m",
        "provider": "openai",
        "api_type": "chat",
        "connection": {"kind": "key"},
        "temperature": 0.5,
        "top_p": 0.5,
        "max_output_tokens": 9,
        "seed": 7,
        "stop_sequences": ["END"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "additional_properties": {"reasoning_effort": "low"},
        "inputs": {"tone": "warm", "note": {"required": False, "description": "Any."}},
        "outputs": [{"name": "label", "enum_values": ["a", "b"]}],
        "sample": {"text": "Hi"},
        "template": "jinja2",
    }
    made = Prompt.make([("user", "{{ tone }} {{ text }}")], reduce="{{ parts }}", **words)
    file = parse(
        "---\n"
        "name: ask\ndisplayName: Ask\ndescription: Asks.\nversion: '1.2'\nauthors: [Ada]\n"
        "tags: [mail]\nmetadata: {team: support}\n"
        "model:\n"
        "  id: m\n  provider: openai\n  apiType: chat\n  connection: {kind: key}\n"
        "  options:\n"
        "    temperature: 0.5\n    topP: 0.5\n    maxOutputTokens: 9\n    seed: 7\n"
        "    stopSequences: [END]\n    frequencyPenalty: 0.1\n    presencePenalty: 0.2\n"
        "    additionalProperties: {reasoning_effort: low}\n"
        "inputs: {tone: warm, note: {required: false, description: Any.}}\n"
        "outputs: [{name: label, enumValues: [a, b]}]\n"
        "sample: {text: Hi}\ntemplate: jinja2\n"
        "---\n"
        "user:\n{{ tone }} {{ text }}\n\nreduce:\n{{ parts }}\n"
    )
    assert made == file
    assert made.about == file.about
    keys = {*FrontMatter.model_fields} - words.keys()
    assert keys == set(), "a key of a prompt file that Python can't give"


def test_what_the_api_takes_is_known_by_its_name() -> None:
    hints = get_type_hints(completion_create_params.CompletionCreateParamsNonStreaming)
    assert hints.keys() >= PARAMETERS


def test_a_default_stands_where_a_row_has_no_such_column() -> None:
    prompt = Prompt.make(
        "{{ tone }}, {{ since }}", inputs={"tone": "warm", "since": date(2026, 1, 31)}
    )
    prompt.check(["text"])
    assert said(prompt) == [("user", "warm, 2026-01-31")]


def test_turns_and_images_are_as_in_a_prompt_file() -> None:
    prompt = Prompt.make([("user", "Read {{ image }}"), ("user", "Sure?")])
    assert [column.name for column in prompt.columns] == ["output", "output_1"]
    assert prompt.variables == {"image"}
    image = Image("a.png", b"digest")
    shown = Document(0, "a row", {"picture": "a.png"}, images=(image,))
    looking = Prompt.make("Read {{ image }}", name="look")
    looking.check(["picture", "image"])
    (message,) = (
        Prompt(name="look", templates=looking.templates, image_column="picture")
        .render(shown)
        .messages
    )
    assert message.content == ("Read ", image)


def test_white_space_around_a_message_is_left_out_as_of_a_prompt_file() -> None:
    prompt = Prompt.make([("user", "\r\n\n  One\r\n two\r three  \n\n")])
    assert prompt.templates == (("user", "One\n two\n three"),)


class Tone(StrEnum):
    CALM = "calm"


def test_a_value_that_is_more_than_json_is_taken_for_what_it_is() -> None:
    prompt = Prompt.make("x", metadata={"tone": Tone.CALM, "tags": ("a", "b")}, stop=("a", "b"))
    assert prompt.about == {"metadata": {"tone": "calm", "tags": ["a", "b"]}}
    assert type(prompt.about["metadata"]["tone"]) is str
    assert prompt.options.stop_sequences == ["a", "b"]


def test_fields_and_a_schema_and_a_list_say_what_answers_are_made_of() -> None:
    fields = Prompt.make("{{ text }}", outputs="vendor, total: number")
    assert fields.outputs is not None
    assert fields == Prompt.make("{{ text }}", outputs=dict(fields.outputs))
    listed = Prompt.make(
        "{{ text }}", outputs=[{"name": "vendor"}, {"name": "total", "kind": "float"}]
    )
    assert [column.name for column in listed.columns] == ["vendor", "total"]


def test_a_word_that_is_none_is_left_out() -> None:
    assert Prompt.make("x", temperature=None, stop=None, description=None) == Prompt.make("x")


class Odd(BaseModel):
    name: Any


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"messages": 5}, "messages: give a text, or pairs of a role and a text"),
        ({"messages": {"role": "user", "content": "x"}}, "messages: give a text, or pairs"),
        ({"messages": ["x"]}, "messages, number 1: give a pair of a role and a text, or a dict"),
        ({"messages": ("user", "x")}, "messages, number 1: give a pair of a role and a text"),
        (
            {"messages": [{"role": "user", "content": "x", "name": "Ada"}]},
            "messages, number 1: give a pair of a role and a text, or a dict of `role` and",
        ),
        (
            {"messages": [("user", "x"), ("robot", "x")]},
            "messages, number 2: the role is one of system, developer, user, assistant, not",
        ),
        (
            {"messages": [("user", [{"type": "text"}])]},
            "messages, number 1: the content is a text; {{ image }} stands for an image",
        ),
        ({"messages": [("user", " \n")]}, "messages, number 1: the user message is empty"),
        ({"messages": ""}, "messages, number 1: the user message is empty"),
        ({"messages": []}, "there is no `user:` message to ask"),
        ({"messages": [("system", "x")]}, "there is no `user:` message to ask"),
        ({"messages": "{{ text"}, "in a message: unexpected end of template"),
        ({"reduce": [("user", 1)]}, "reduce, number 1: the content is a text"),
        ({"reduce": "{% if"}, "in a message: "),
        ({"temperature": "hot"}, "temperature: Input should be a valid number"),
        ({"temperature": float("nan")}, "model.options.temperature: a prompt can't hold nan"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than 0"),
        ({"max_output_tokens": 0}, "max_output_tokens: Input should be greater than 0"),
        (
            {"max_tokens": 1, "max_output_tokens": 1},
            "max_tokens and max_output_tokens are the same",
        ),
        ({"stop": 5}, "stop: Input should be a valid list"),
        ({"n": 3}, "n can't be chosen: the program sets that itself"),
        ({"response_format": {}}, "response_format can't be chosen: the program sets that itself"),
        ({"additional_properties": {"n": 3}}, "additional_properties: can't hold `n`"),
        ({"additional_properties": 3, "user": "me"}, "additional_properties: Input should be"),
        ({"temprature": 0}, "a prompt has no temprature (did you mean temperature?); what only"),
        ({"guided_regex": "x"}, "a prompt has no guided_regex; what only your server knows is"),
        ({"model": 5}, "model: Input should be a valid string"),
        ({"name": None}, "name: Input should be a valid string"),
        ({"name": "a", "authors": "Ada"}, "authors: Input should be a valid list"),
        ({"inputs": [{"name": "a", "defualt": 1}]}, "inputs.0.defualt: is not a key of a prompt"),
        ({"inputs": 5}, "inputs: Input should be a valid list"),
        ({"inputs": {1: "a"}}, "inputs: 1 is a key; keys are texts"),
        ({"inputs": {"a": {1, 2}}}, "inputs.a: a prompt can't hold {1, 2}"),
        ({"seed": 2**70}, "model.options.seed: a prompt can't hold 1180591620717411303424"),
        ({"outputs": int}, "outputs: give the class of a pydantic model, a JSON Schema, or fields"),
        ({"outputs": Odd(name=1)}, "outputs: give the class of a pydantic model"),
        ({"outputs": Odd}, "outputs: Odd.name may be anything: give it a type"),
        ({"outputs": "a: nmuber"}, "outputs: a can't be 'nmuber'"),
        ({"outputs": ""}, "outputs is empty"),
        ({"outputs": {"type": "array"}}, "outputs: the schema must be `type: object`"),
        ({"outputs": {"type": "object", "properties": {"a": 5}}}, "outputs: not a JSON Schema"),
        ({"outputs": {}}, "outputs: the schema must be `type: object`"),
        ({"outputs": {"type": "object", "properties": {1: {}}}}, "outputs.properties: 1 is a key"),
        ({"outputs": [5]}, "outputs: "),
    ],
)
def test_a_mistake_is_one_line(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        Prompt.make(**{"messages": "x", **wrong})
    assert str(raised.value).startswith(problem)
    assert "\n" not in str(raised.value)


def test_what_is_in_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["more"] = endless
    with pytest.raises(UsageError, match=r"^metadata.*: it goes over 100 levels deep$"):
        Prompt.make("x", metadata=endless)


def test_a_prompt_is_read_by_its_name_or_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.prompty"
    path.write_text("{{ text }}", encoding="utf-8")
    assert Prompt.load(path) == Prompt.load(str(path)) == Prompt.make("{{ text }}", name="mine")
    assert Prompt.load("classify").name == "classify"
    with pytest.raises(UsageError, match=r"^a prompt is the path of a file or a name, not None$"):
        Prompt.load(None)  # type: ignore[arg-type]


def test_help_says_what_a_prompt_is_what_it_takes_and_what_it_raises() -> None:
    said = inspect.getdoc(Prompt) or ""
    assert all(word in said for word in ("make", "load", "save", ">>> ", "pipeline.run"))
    said = inspect.getdoc(Prompt.make) or ""
    assert all(f"{word}:" in said for word in inspect.signature(Prompt.make).parameters)
    assert "UsageError" in said
