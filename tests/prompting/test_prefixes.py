"""What the requests of a prompt begin with, whatever the document."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.prompting.labels import Example
from pipeline.prompting.loading import parse
from pipeline.prompting.prompt import Prompt
from pipeline.types import Document, Message

LONG = "rule " * 40


def document(text: str) -> Document:
    return Document(0, text, {"subject": "s", "text": text}, text)


def texts(prompt: Prompt, text: str = "hello") -> list[str] | None:
    found = prompt.render(document(text)).prefix
    return None if found is None else [message.text for message in found.messages]


@pytest.mark.parametrize(
    ("messages", "shared"),
    [
        ([("user", "{{ text }}")], None),
        ([("user", "Sort: {{ text }}")], ["Sort: "]),
        ([("system", LONG), ("user", "{{ text }}")], [LONG.strip()]),
        ([("system", LONG), ("user", "Text: {{ text }}")], [LONG.strip()]),  # not cut off for that
        ([("system", "Hi."), ("user", f"{LONG}: {{{{ text }}}}")], ["Hi.", f"{LONG}: "]),
        ([("system", "About {{ subject }}"), ("user", "{{ text }}")], ["About "]),
        ([("system", "{{ subject }}"), ("user", f"{LONG}{{{{ text }}}}")], None),
        ([("user", "{% if subject %}a{% endif %}{{ text }}")], None),
        ([("user", "Say {% set x = 'a' %}{{ x }}. {{ text }}")], ["Say "]),
        ([("user", "{# no #}{% raw %}{{ a }}{% endraw %} {{ text }}")], ["{{ a }} "]),
        ([("user", "{{ range(3) | list }} {{ text }}")], None),
        ([("user", " \n {{ text }}")], None),
        ([("user", "The same for all.")], ["The same for all."]),
        (
            [("system", "S"), ("user", "Q"), ("assistant", "A"), ("user", "{{ text }}")],
            ["S", "Q"],  # no mark can stand in an answer
        ),
        ([("system", "S"), ("user", "{{ text }}"), ("user", LONG)], ["S"]),
    ],
)
def test_a_prefix_ends_before_what_a_document_can_change(
    messages: list[tuple[str, str]], shared: list[str] | None
) -> None:
    assert texts(Prompt.make(messages)) == shared


def test_each_request_begins_with_its_prefix() -> None:
    prompt = Prompt.make([("system", "Be brief."), ("user", f"{LONG}{{{{ text }}}}!")])
    request = prompt.render(document("hello"))
    assert request.prefix is not None
    *whole, last = request.prefix.messages
    assert whole == [Message("system", "Be brief.")] == [*request.messages[:1]]
    assert request.messages[1].text == f"{last.text}hello!"


def test_labels_are_shared() -> None:
    listed = "{% for label in labels %}{{ label }}, {% endfor %}{{ text }}"
    made = Prompt.make([("user", listed)], outputs="label").limit("label", ["a", "b"])
    assert texts(made) == ["a, b, "]


def test_examples_are_shared_by_all_but_those_that_are_among_them() -> None:
    prompt = Prompt.make([("system", "S"), ("user", "Is it: {{ text }}")])
    examples = tuple(Example(document(text), "yes") for text in ("one", "two", "three"))
    shown = replace(prompt, examples=examples, shots=2)
    assert texts(shown) == ["S", "Is it: one", "yes", "Is it: two", "yes", "Is it: "]
    assert texts(shown, "three") == texts(shown)
    assert texts(shown, "two") is None


def test_the_turns_of_a_conversation_share_its_beginning() -> None:
    prompt = Prompt.make([("system", LONG), ("user", "{{ text }}"), ("user", "Shorter.")])
    first, second = prompt.render(document("a")), prompt.render(document("a"), ["b"])
    assert first.prefix == second.prefix
    assert first.prefix is not None


def test_merges_of_parts_share_what_is_theirs() -> None:
    prompt = parse(f"system:\nS\nuser:\n{{{{ text }}}}\nreduce:\n{LONG}\n{{{{ parts }}}}\n")
    merge = prompt.merge(document("a"), ["x", "y"])
    assert merge.prefix is not None
    assert merge.prefix.messages[-1].text.startswith(LONG.strip())
    assert merge.prefix.key != prompt.render(document("a")).prefix


def test_the_key_stands_for_model_messages_and_schema() -> None:
    def key(model: str = "m", system: str = "S", outputs: str = "a") -> str:
        messages = [("system", system), ("user", "{{ text }}")]
        made = Prompt.make(messages, outputs=outputs, model=model)
        prefix = made.render(document("hello")).prefix
        assert prefix is not None
        return prefix.key

    assert key() == key()
    assert len({key(), key(model="n"), key(system="T"), key(outputs="b")}) == 4
