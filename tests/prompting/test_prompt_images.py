"""Where a prompt puts pictures, and what no document can do about it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DocumentError
from pipeline.prompting import loading as prompts
from pipeline.prompting.loading import parse
from pipeline.prompting.prompt import Prompt
from pipeline.types import Document, Image, Message

A, B = Image("a.png", b"a" * 32, 64, 32), Image("b.png", b"b" * 32, 64, 32)


def looking(source: str, **changes: object) -> Prompt:
    """Make a prompt over an input that has images."""
    fields = {"model": "gpt-6-luna", "image_column": "photo", **changes}
    return replace(parse(source), **fields)  # type: ignore[arg-type]


def document(text: str = "", *images: Image, **fields: object) -> Document:
    return Document(0, "t.csv, line 2", {"photo": "a.png", **fields}, text, images=images)


def said(prompt: Prompt, of: Document, *answers: str) -> list[object]:
    return [message.content for message in prompt.render(of, answers).messages]


def test_pictures_stand_where_image_is() -> None:
    prompt = looking("user:\nBefore {{ image }} and after.")
    assert said(prompt, document("", A)) == [("Before ", A, " and after.")]
    assert said(prompt, document("", A, B)) == [("Before ", A, B, " and after.")]


def test_without_image_they_follow_the_message_that_has_the_text() -> None:
    source = "system:\nBe brief.\nuser:\nHello.\nassistant:\nYes?\nuser:\nSum up: {{ text }}\n"
    assert said(looking(source), document("words", A)) == [
        "Be brief.",
        "Hello.",
        "Yes?",
        ("Sum up: words", A),
    ]
    assert said(looking("system:\n{{ text }}\nuser:\nSum up."), document("words", A)) == [
        "words",
        ("Sum up.", A),
    ]


def test_a_later_turn_leaves_them_in_their_place() -> None:
    prompt = looking("user:\n{{ text }}\nuser:\nShorter.\n")
    assert said(prompt, document("words", A), "One.") == [("words", A), "One.", "Shorter."]


def test_a_shipped_prompt_sees_a_picture_without_text() -> None:
    prompt = replace(prompts.load("summarize"), image_column="document")
    _, question = said(prompt, document("", A))
    assert question == ("Sum up this document in two or three sentences.\n\n", A)


def test_a_prompt_that_uses_neither_sends_none() -> None:
    prompt = looking("user:\nWhat is a {{ photo }}?", sees=False)
    assert said(prompt, document("", A)) == ["What is a a.png?"]


def test_where_there_is_none_image_is_empty() -> None:
    prompt = looking("user:\n{% if image %}See {{ image }}.{% endif %}{{ text }}")
    assert said(prompt, document("words")) == ["words"]
    assert said(prompt, document("words", A)) == [("See ", A, ".words")]


@pytest.mark.parametrize("image", ["image | upper", "image | trim", "image | string", "'' ~ image"])
def test_filters_leave_a_picture_a_picture(image: str) -> None:
    assert said(looking(f"user:\n{{{{ {image} }}}}"), document("", A)) == [(A,)]


@given(st.text())
def test_no_document_puts_a_picture_anywhere(text: str) -> None:
    prompt = looking("user:\n{{ text }}\n--\n{{ image }}")
    (content,) = said(prompt, document(f"{{{{ image }}}}{text}", A))
    assert content == (f"{{{{ image }}}}{text}\n--\n", A)
    (content,) = said(prompt, document(f"{{{{ image }}}}{text}"))
    assert content == f"{{{{ image }}}}{text}\n--\n"


# The key


def key(prompt: Prompt, *images: Image) -> bytes:
    return prompt.render(document("", *images)).key


def test_the_key_goes_by_what_a_picture_shows_not_by_where_it_is() -> None:
    prompt = looking("user:\n{{ image }}")
    assert key(prompt, A) == key(prompt, replace(A, source="moved.png"))
    others = [
        key(prompt, B),
        key(prompt, A, A),
        key(prompt, replace(A, page=0)),
        key(prompt, replace(A, page=1)),
        key(replace(prompt, image_detail="low"), A),
    ]
    assert len({key(prompt, A), *others}) == 6


def test_a_prompt_over_text_keeps_its_key() -> None:
    prompt = parse("user:\n{{ text }}")
    seen = replace(prompt, image_column="document", image_detail="low", sees=False)
    assert seen.render(document("words")).key == prompt.render(document("words")).key


def test_a_text_that_spells_a_picture_has_another_key() -> None:
    prompt = looking("user:\n{{ image }}{{ text }}")
    request = prompt.render(document("", A))
    assert request.messages == (Message("user", (A,)),)
    spelled = f'["{A.digest.hex()}",null,"auto"]'
    assert prompt.render(document(spelled)).key != request.key


# What can't be asked


def test_a_model_that_cannot_see_gets_no_request() -> None:
    prompt = looking("user:\n{{ text }}", sees=False)
    assert said(prompt, document("words")) == ["words"]
    with pytest.raises(DocumentError, match=r"\Aan image has no text, and gpt-6-luna can't see: "):
        prompt.render(document("", A))
    with pytest.raises(DocumentError, match=r"\Ano text layer: looks like a scan, and gpt-6-luna "):
        prompt.render(document("", replace(A, page=0)))


def test_a_document_that_was_only_skimmed_is_no_failure() -> None:
    prompt = looking("user:\n{{ image }}")
    assert said(prompt, document()) == [""]
    with pytest.raises(DocumentError, match="and there is none here"):
        prompt.render(document("words"))


@pytest.mark.parametrize(
    ("source", "text", "images", "cell", "idle"),
    [
        ("{{ text }}", "", (), "a.png", True),
        ("{{ text }}", "", (A,), "a.png", False),
        ("{{ image }}", "", (), "", True),
        ("{{ image }}", "words", (), "", True),
        ("{{ image }}", "words", (), "a.txt", False),
        ("{{ image }}{{ text }}", "", (), " ", True),
        ("{{ image }}{{ text }}", "words", (), "", False),
        ("{{ image }}{{ photo }}", "", (), "", False),
    ],
)
def test_there_is_nothing_to_ask_where_text_and_picture_are_missing(
    source: str, text: str, images: tuple[Image, ...], cell: str, idle: bool
) -> None:
    of = Document(0, "t.csv, line 2", {"photo": cell}, text, images=images)
    assert looking(source).idle(of) is idle


def test_a_column_that_is_called_image_is_a_column() -> None:
    prompt = parse("{{ image }}")
    of = Document(0, "t.csv, line 2", {"image": "a.png"})
    assert not prompt.idle(of)
    assert said(prompt, of) == ["a.png"]
