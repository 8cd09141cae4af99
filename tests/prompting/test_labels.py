"""The one rule of which texts name the same label, and the one way to list several."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.prompting import labels as rule
from pipeline.prompting.labels import Labels, alike, array, bare, tidy
from tests import bounded

LEVELS = (tidy, alike, rule._joined, bare)
# Case that changes length, accents apart, what has no width, marks that move when they are folded.
NASTY = "aAbB sSßẞİıςΣσ\u0345α\u1fb3ﬁé e\u0301\u200b\u00ad\u00a0\n.,;|!*\"'`“[]3.0-+"
texts = st.one_of(st.text(NASTY, max_size=12), st.text(max_size=12))
lists = st.lists(texts, max_size=6)


@given(texts)
@example("3. 0!")
@example("**!")
def test_each_level_of_the_rule_is_idempotent_and_holds_the_ones_before(text: str) -> None:
    for level in LEVELS:
        assert level(level(text)) == level(text)
    for finer, coarser in pairwise(LEVELS):
        assert coarser(finer(text)) == finer(coarser(text)) == coarser(text)


@given(lists)
def test_a_label_names_itself_whatever_the_others_are(names: list[str]) -> None:
    assert [Labels(names).find(name) for name in names] == names


@given(lists, texts)
def test_a_text_names_one_label_at_the_most_in_whatever_order_they_are(
    names: list[str], text: str
) -> None:
    found = Labels(names).find(text)
    assert Labels(reversed(names)).find(text) == found
    assert found is None or found in names
    as_near = {level: [name for name in names if level(name) == level(text)] for level in LEVELS}
    if text in names:
        assert found == text
    elif not any(as_near.values()):
        assert found is None
    else:
        nearest = next(set(near) for near in as_near.values() if near)
        assert found == (nearest.pop() if len(nearest) == 1 else None)


@given(lists)
def test_an_array_of_labels_lists_them_each_once(names: list[str]) -> None:
    assert Labels(names).split(json.dumps(names)) == list(dict.fromkeys(names))


@given(lists, texts)
def test_what_was_listed_lists_the_same_again(names: list[str], text: str) -> None:
    labels = Labels(names)
    once = labels.split(text)
    assert labels.split(json.dumps(once)) == once


@given(st.lists(st.text("abcXYZ é3", min_size=1).map(str.strip).filter(bool)), st.data())
def test_labels_are_listed_with_any_separator(names: list[str], data: st.DataObject) -> None:
    said = "".join(name + data.draw(st.sampled_from([",", "; ", " | "])) for name in names)
    assert Labels(names).split(said) == list(dict.fromkeys(names))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("billing", "billing"),
        ("  Billing\n", "billing"),
        ("billing!", "billing"),
        ('"bill ing".', "billing"),
        ("**Billing:**", "billing"),
        ("“billing”", "billing"),
        ("cafe\u0301", "café"),
        ("CAFÉ\u200b", "café"),
        ("not  Spam", "not spam"),
        ("NotSpam", "not spam"),
        ("A", "A"),
        ("a*", "A*"),
        ("us", "us"),
        ("US.", None),
        ("Us", None),
        ("3.0", "3"),
        ("B*", None),
        ("bills", None),
        ("", None),
        ("!", None),
    ],
)
def test_a_text_names_the_nearest_label(text: str, label: str | None) -> None:
    labels = Labels(["billing", "café", "not spam", "A", "A*", "B", "US", "us", "3"])
    assert labels.find(text) == label
    assert labels.spell(text) == (text if label is None else label)


def test_a_near_label_that_is_not_in_the_list_is_not_taken_for_a_grade() -> None:
    assert Labels(["A", "C"]).find("A*") is None
    assert Labels(["A", "C"]).find("C++") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bug", ["bug"]),
        ("Bug, praise!; BUG | other", ["bug", "praise", "other"]),
        ("billing, refunds", ["billing, refunds"]),
        ("bug, Billing,refunds, praise", ["bug", "billing, refunds", "praise"]),
        ("billing, bug", ["billing", "bug"]),
        ("a|b;c|bug", ["a|b;c", "bug"]),
        ('["Bug", null, "billing, refunds", "x, y"]', ["bug", "billing, refunds", "x, y"]),
        ('[3, true, 1.0, {"a": [1, 2]}]', ["3", "true", "1", '{"a":[1,2]}']),
        ("[bug]", ["[bug]"]),
        ('["bug", "praise"', ['["bug"', "praise"]),
        ('["x"]', ['["x"]']),
        (" ,; |", []),
        ("[]", []),
        ("", []),
    ],
)
def test_several_labels_of_a_text_are_told_apart(text: str, found: list[str]) -> None:
    assert Labels(["bug", "praise", "billing, refunds", "a|b;c", '["x"]']).split(text) == found


@pytest.mark.parametrize("text", ["[" * 100_000, '["' + "[" * 100_000, f"[{'9' * 10_000}]"])
def test_an_array_that_nothing_can_read_is_a_text(text: str) -> None:
    assert array(text) is None
    assert Labels(["bug"]).split(text) == [text]


def test_a_text_is_split_in_time_that_grows_with_its_length() -> None:
    done = bounded.run(
        "from pipeline.prompting.labels import Labels\n"
        "labels = Labels(['a', 'b, c', *(f'{n}' + '!' * n for n in range(2_000))])\n"
        "for text in ('a,' * 300_000, '*' * 500_000, ' ' * 500_000 + '!', 'e\\u0301' * 300_000):\n"
        "    print(len(labels.split(text)))\n"
        "same = Labels('x' * 10 + '!' * n for n in range(3_000))\n"
        "print(sum(same.find(f'X' * 10 + '!' * n) is not None for n in range(3_000)))",
        seconds=20,
    )
    assert done.stdout.split() == ["1", "1", "1", "1", "3000"], done.stderr
