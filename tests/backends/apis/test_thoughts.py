"""What open models think aloud is no part of their answers; what they say of it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backends.apis.thoughts import spoken

JSON = '{"label": "billing"}'
DRAFT = '{"label": "praise"}'


@pytest.mark.parametrize(
    "said",
    [
        "Okay, the user wants it.\n</think>\n\nbilling",
        "thinking about money </think> billing",
        "<think>\n\n</think>\n\nbilling",
        "<think>a</think>\n\n<think>b</think>billing",
        "<think>Use <think> maybe.</think>\nbilling",
        "<think>I must close with </think> and answer.</think>billing",
        "<Think>a</THINK>billing",
        '<thinking duration="3">money</thinking>\nbilling',
        "<thought>x</thought>billing",
        "<reasoning>x</reasoning>billing",
        "<scratchpad>x</scratchpad>billing",
        "<thinking>a<reflection>b</reflection>c</thinking><output>billing</output>",
        "<think>x</think><answer>billing</answer>",
        "<think>x</think>\n<response>\nbilling\n</response>\n",
        "<seed:think>x</seed:think>billing",
        "[THINK]x[/THINK]billing",
        "◁think▷x◁/think▷billing",
        "<|begin_of_thought|>x<|end_of_thought|>\n<|begin_of_solution|>billing<|end_of_solution|>",
        "<|START_THINKING|>x<|END_THINKING|><|START_RESPONSE|>billing<|END_RESPONSE|>",
        "<|inner_prefix|>x<|inner_suffix|>billing",
        "<unused94>thought\nx<unused95>billing",
        "<|channel>thought\nx<channel|>billing<turn|>",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
        "<|channel|>final<|message|>billing<|return|>",
        "hm<|end|><|start|>assistant<|channel|>final<|message|>billing",
        "analysisThe user wants it.assistantfinalbilling",
        "Here's my thought process: x\nHere's my response: billing",
        "billing<|im_end|>",
        "billing</im_end/>",
        "billing</s>",
        "<s>billing</s>",
        "billing<|eot_id|><|endoftext|>\n",
        "billing<end_of_turn>\n",
        "billing<｜end▁of▁sentence｜>",
        "billing<|im_end|>\n<|im_start|>user\nAnd the next one?",
        "<|im_start|>assistant\nbilling<|im_end|>",
        "billing\n<think>\nLet me look at it again",
    ],
)
def test_thoughts_and_end_tokens_are_left_out(said: str) -> None:
    assert spoken(said) == "billing"


@pytest.mark.parametrize(
    "said",
    [
        f"<think>\nCould be {DRAFT}?\n</think>\n\n{JSON}",
        f"It could be {DRAFT}.\n</think>\n{JSON}<|im_end|>",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant"
        f"<|channel|>final <|constrain|>json<|message|>{JSON}",
        f"{JSON}</s>",
    ],
)
def test_a_draft_in_thoughts_is_not_the_answer(said: str) -> None:
    assert spoken(said) == JSON


@pytest.mark.parametrize(
    "said",
    ["<think>never ends", "<|channel|>analysis<|message|>hm", "[THINK] and so on", "◁think▷hm"],
)
def test_thoughts_that_are_cut_off_are_no_answer(said: str) -> None:
    assert spoken(said) == ""


@pytest.mark.parametrize(
    "said",
    [
        "No <think> in it.",
        "`<think>` opens and `</think>` closes thoughts.",
        "It writes “<think>” and '</think>' around them.",
        '{"summary": "it writes <think>x</think> often"}',
        "Is it <b>bold</b>, and [1] a note?",
        "The price was <s>10</s>",
        "",
    ],
)
def test_an_answer_may_speak_of_thoughts(said: str) -> None:
    assert spoken(said) == said


ABOUT = ["A text about <think> and </think>, and about <|im_end|>."]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("It writes <think> before and </think> after.",) * 2,
        ("<think> is a tag that models write.",) * 2,
        ("Example:\n```\n<think>\nx\n</think>\n```\nEnd",) * 2,
        ("A turn ends with <|im_end|> or so.",) * 2,
        ("<think>hm</think>The <think> tag.", "The <think> tag."),
        ("<think>\nOf </think>.\n</think>\nThe </think> closes.", "The </think> closes."),
        ("hmm\n</think>\n\nThe <think> tag", "The <think> tag"),
    ],
)
def test_less_is_cut_where_the_prompt_speaks_of_thoughts(said: str, answer: str) -> None:
    assert spoken(said, ABOUT) == answer


@given(st.text(alphabet=st.sampled_from("<>/|[]◁▷`\n think THINK")))
def test_any_answer_is_read(said: str) -> None:
    assert spoken(spoken(said)) is not None


@given(st.text(alphabet="abc .,\n\"'{}[]()1"))
def test_an_answer_without_marks_stays_as_it_is(said: str) -> None:
    assert spoken(said) == said
