"""A label is the same label wherever it comes from: an answer, an example, gold, review or vote."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import xlsxwriter

from pipeline.engine.confidence import majority
from pipeline.errors import RejectedError, UsageError
from pipeline.evaluation.gold import is_known, is_right, read
from pipeline.evaluation.pairs import Expected, Pair
from pipeline.prompting.label_files import read_examples
from pipeline.prompting.labels import Label, Labels
from pipeline.prompting.schema import Checker
from pipeline.review.corrections import key_of
from pipeline.review.workbook_in import read_back

LABELS = ("billing", "café", "not spam", "refunds, returns", "US", "us")
ONE = [
    ("billing", "billing"),
    (" Billing ", "billing"),
    ("billing!", "billing"),
    ("'BILLING'.", "billing"),
    ("cafe\u0301", "café"),
    ("Not  spam", "not spam"),
    ("notspam", "not spam"),
    ("us", "us"),
    ("US", "US"),
    ("Us", None),
    ("bill", None),
]
SEVERAL = [
    ("billing", ["billing"]),
    ("Refunds, returns", ["refunds, returns"]),
    ("BILLING; refunds,returns | us", ["billing", "refunds, returns", "us"]),
    ("us, refunds, returns, 'billing'", ["us", "refunds, returns", "billing"]),
    ('["Billing!", "refunds, returns", "billing"]', ["billing", "refunds, returns"]),
    ("billing, refunds", None),
    ("billing, Us", None),
]


def table(path: Path, *lines: tuple[str, ...]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return str(path)


def answered(text: str, *, multi: bool) -> object:
    """What becomes of an answer; of several votes, which one wins."""
    item = {"type": "string", "enum": list(LABELS)}
    part = {"type": "array", "items": item, "uniqueItems": True} if multi else item
    said = text
    if multi:  # a model answers by the schema: it lists them as it spells them
        said = json.loads(text) if text.startswith("[") else Labels(LABELS).split(text)
    checker = Checker({"type": "object", "properties": {"label": part}})
    try:
        vote = checker.fit(json.dumps({"label": said})).content
    except RejectedError:
        return None
    assert majority([vote, '{"label": "other"}', vote], "label")[0] == vote
    return json.loads(vote)["label"]


def shown(folder: Path, text: str, *, multi: bool) -> object:
    """What an example that a person labelled so shows the model."""
    path = table(folder / "examples.csv", ("text", "label"), ("It is so.", text))
    labels = [Label(name) for name in LABELS]
    try:
        (example,), _ = read_examples(
            path, labels, name="label", text_column="text", multi=multi, shots=1
        )
    except UsageError:
        return None
    return json.loads(example.answer)["label"]


def gold(folder: Path, text: str, *, multi: bool) -> object:
    """Which label an answer has to be where this is expected, in the run and in `evaluate`."""
    pair = Pair("label", "gold", Labels(LABELS))
    if not is_known({"gold": text}, pair):
        return None
    whole = json.dumps(sorted(Labels(LABELS).split(text)), ensure_ascii=False)
    given = [whole] if multi else list(LABELS)
    right = [label for label in given if is_right({"gold": text, "label": label}, [pair])]
    rows = [(text, label) for label in given]
    if multi:
        rows += [("us", json.dumps(LABELS, ensure_ascii=False))]
    found = read(table(folder / "out.csv", ("gold", "label"), *rows), Expected.parse("gold")).rows
    assert [row.right for row in found][: len(given)] == [label in right for label in given]
    if not right:
        return None
    return json.loads(right[0]) if multi else right[0]


def reviewed(folder: Path, text: str, *, multi: bool) -> object:
    """What a correction that a person wrote so is taken for."""
    answer = '["us"]' if multi else "us"
    output = table(
        folder / "in.csv", ("text", "label", "status", "cost_usd"), ("It", answer, "ok", "")
    )
    key = key_of({"text": "It"}, ["text"], ".csv")
    with xlsxwriter.Workbook(folder / "look.xlsx") as book:
        for name, rows in {
            "review": [
                ("reviewed_label", "label", "why", "text", "row key"),
                (text, answer, "", "It", key),
            ],
            "labels": [("labels",), *((label,) for label in LABELS)],
            "about": [("name", "value"), ("input", "text"), ("answer", "label")],
        }.items():
            sheet = book.add_worksheet(name)
            for place, row in enumerate(rows):
                sheet.write_row(place, 0, row)
    try:
        taken = read_back(folder / "look.xlsx", Path(output))
    except UsageError:
        return None
    (row,) = taken.corrections.rows.values()
    said = str(row["reviewed_label"])
    return json.loads(said) if multi else said


@pytest.mark.parametrize(("text", "label"), ONE)
def test_one_label_is_the_same_everywhere(tmp_path: Path, text: str, label: str | None) -> None:
    assert answered(text, multi=False) == label
    assert shown(tmp_path, text, multi=False) == label
    assert gold(tmp_path, text, multi=False) == label
    assert reviewed(tmp_path, text, multi=False) == label


@pytest.mark.parametrize(("text", "labels"), SEVERAL)
def test_several_labels_are_the_same_everywhere(
    tmp_path: Path, text: str, labels: list[str] | None
) -> None:
    assert answered(text, multi=True) == labels
    assert shown(tmp_path, text, multi=True) == labels
    assert gold(tmp_path, text, multi=True) == (None if labels is None else sorted(labels))
    assert reviewed(tmp_path, text, multi=True) == labels
