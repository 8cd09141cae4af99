"""Labels and labelled examples, from the command line and from files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.prompting import loading as prompts
from pipeline.prompting.label_files import read_examples, read_labels
from pipeline.prompting.labels import Label
from pipeline.types import Column, Document, Message
from tests import bounded
from tests.running import column, pipeline, read_rows, write_rows
from tests.server import Server

YAML_LIST = """
- name: billing
  description: Money, invoices and refunds.
  examples: ["I was charged twice.", "Where is my invoice?"]
- bug
"""
YAML_MAP = """
labels:
  billing:
    description: Money, invoices and refunds.
    examples: I was charged twice. | Where is my invoice?
  bug:
"""
TABLE = (
    "Label,Description,Examples\n"
    'billing,"Money, invoices and refunds.",I was charged twice. | Where is my invoice?\nbug,,\n'
)


@pytest.mark.parametrize(
    ("name", "text"), [("l.yaml", YAML_LIST), ("l.yml", YAML_MAP), ("l.csv", TABLE)]
)
def test_labels_come_from_files(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    labels = read_labels(str(path))
    assert [(label, label.description, label.examples) for label in labels] == [
        (
            "billing",
            "Money, invoices and refunds.",
            ("I was charged twice.", "Where is my invoice?"),
        ),
        ("bug", "", ()),
    ]


def test_labels_are_text_whatever_yaml_makes_of_them(tmp_path: Path) -> None:
    (tmp_path / "l.yaml").write_text("[yes, no, 007, null]")
    assert read_labels(str(tmp_path / "l.yaml")) == ["yes", "no", "007", "null"]


def test_labels_of_the_command_line_are_names() -> None:
    assert read_labels(" billing, bug ,,praise") == ["billing", "bug", "praise"]
    assert read_labels("a,b", other=True) == ["a", "b", "other"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("one", "--labels one: give at least two labels, each once"),
        ("", "--labels : give at least two labels, each once"),
        ("a,A", "--labels a,A: 'a' is there twice; give each label once"),
        ("a,other", "--labels a,other: 'other' is there twice; give each label once"),
        ("none.yaml", "can't read the labels none.yaml: No such file or directory"),
        ("none.csv", "there is no file or folder none.csv; check the path"),
    ],
)
def test_what_is_no_choice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        read_labels(given, other=given == "a,other")
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "are not YAML"),
        ("7", "are no list of labels"),
        ("- {name: a, meaning: b}", "`meaning` is not known"),
        ("- {description: a}", "a label has no name"),
        ("a: 1\nb: 2\na: 3\n", "l.yaml, line 3: the labels are not YAML: `a` is there twice"),
        (
            "x0: &x0 [a, b]\n"
            + "".join(f"x{n}: &x{n} [{f'*x{n - 1}, ' * 9}]\n" for n in range(1, 20)),
            "l.yaml, line 7: the labels are not YAML: aliases (`*name`) unfold to too much",
        ),
        ("[" * 100_000, "l.yaml, line 1: the labels are not YAML: it goes over 220 levels deep"),
        ("- a\n" * 100_000, "the labels are too long: over 200,000 characters of YAML"),
        ("\n".join(f"- l{n}" for n in range(20_000)), "20,000 labels; give at most 10,000"),
        ("\0" * 100, "not text, and not a document format that can be read"),
    ],
)
def test_a_file_of_labels_that_is_none_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "l.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_labels(str(tmp_path / "l.yaml"))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "rows", "cell"), [("--labels", 100_001, "a"), ("--examples", 101, "a" * 10**6)]
)
def test_a_table_that_is_held_whole_may_not_be_endless(
    tmp_path: Path, option: str, rows: int, cell: str
) -> None:
    path = tmp_path / "t.csv"
    with path.open("w") as file:
        file.write("name,text\n")
        file.writelines(f"{cell},t{n}\n" for n in range(rows))
    with pytest.raises(UsageError) as caught:
        if option == "--labels":
            read_labels(str(path))
        else:
            labels = [Label("a"), Label("b")]
            read_examples(str(path), labels, name="label", text_column=None, multi=False, shots=3)
    assert str(caught.value) == (
        f"{option} {path}: over 100,000 rows or 100 million characters; give fewer"
    )


def test_a_cell_of_examples_is_cut_in_time_that_grows_with_its_length(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,examples\na," + " " * 500_000 + "x\nb, y | z |\n")
    done = bounded.run(
        "from pipeline.prompting.label_files import read_labels\n"
        "print([label.examples for label in read_labels(sys.argv[1])])",
        path,
        seconds=20,
    )
    assert done.stdout == "[('x',), ('y', 'z')]\n", done.stderr


def test_a_table_that_names_no_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("id,text\n1,Where is my invoice?\n2,It crashes\n")
    with pytest.raises(UsageError) as caught:
        read_labels(str(path))
    assert str(caught.value) == (
        f"--labels {path}: a table of labels needs a column `name`, and may have `description` "
        "and `examples`; its first line says: id, text"
    )


def test_a_first_line_that_may_be_a_label_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("billing\nbug\npraise\n")
    with pytest.raises(UsageError, match="billing; is that a label\\? Put a line `name` above it"):
        read_labels(str(path))
    path.write_text("name\nbilling\nbug\npraise\n")
    assert read_labels(str(path)) == ["billing", "bug", "praise"]


def said(prompt: prompts.Prompt, text: str = "a text") -> tuple[Message, ...]:
    return prompt.render(Document(0, "row 1", {"text": text}, text)).messages


def test_the_model_is_told_what_labels_mean(tmp_path: Path) -> None:
    (tmp_path / "l.yaml").write_text(YAML_LIST)
    labels = read_labels(str(tmp_path / "l.yaml"), other=True)
    prompt = prompts.load("classify").limit("label", labels)
    prompt.check(["text"])
    assert said(prompt)[0].content == (
        "You classify texts. Choose the one label that fits the text best. "
        "The labels are: billing, bug, other.\n"
        "- billing: Money, invoices and refunds. "
        'Such as: ["I was charged twice.", "Where is my invoice?"]\n'
        "- other: None of the other labels fits."
    )


def test_several_labels_are_a_list() -> None:
    prompt = prompts.load("classify").limit("label", ["a", "b"], multi=True)
    assert prompt.columns == [Column("labels", "json")]
    assert said(prompt)[0].content == (
        "You classify texts. Choose all the labels that fit the text. The labels are: a, b."
    )
    wanted: Any = prompt.render(Document(0, "", {}, "x")).schema
    assert wanted["properties"] == {
        "labels": {
            "type": "array",
            "items": {"type": "string", "enum": ["a", "b"]},
            "minItems": 1,
            "uniqueItems": True,
        }
    }


def gold(path: Path, rows: list[tuple[str, str]], name: str = "gold") -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("id", "text", name), *((i, *row) for i, row in enumerate(rows))]
        )
    return str(path)


ROWS = [("t1", "bug"), ("t2", "bug"), ("t3", "Billing"), ("t4", "billing"), ("t5", "bug")]


@pytest.mark.parametrize("name", ["gold", "label"])
def test_examples_are_taken_label_by_label(tmp_path: Path, name: str) -> None:
    labels = read_labels("billing,bug")
    found, left_out = read_examples(
        gold(tmp_path / "g.csv", ROWS, name),
        labels,
        name="label",
        text_column=None,
        multi=False,
        shots=3,
    )
    assert left_out == []
    assert [(item.document.text, json.loads(item.answer)["label"]) for item in found] == [
        ("t1", "bug"),
        ("t3", "billing"),
        ("t2", "bug"),
        ("t4", "billing"),  # one more, for when one of the others is asked
    ]


def test_examples_without_labels_are_refused(tmp_path: Path) -> None:
    path = gold(tmp_path / "g.csv", [("t1", "spam"), ("t2", "bug")])
    with pytest.raises(UsageError) as caught:
        read_examples(
            path,
            read_labels("billing,bug"),
            name="label",
            text_column=None,
            multi=False,
            shots=3,
        )
    assert str(caught.value) == (
        f"--examples {path}: no column holds the labels billing, bug; name it `label`"
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("t1", "spam"), ("t2", "ham"), ("t3", "spam")], "'spam', 'ham'"),
        ([("t1", ""), ("", "bug")], "nothing"),
    ],
)
def test_examples_of_which_none_can_be_shown_are_refused(
    tmp_path: Path, rows: list[tuple[str, str]], said: str
) -> None:
    gold(tmp_path / "g.csv", rows, "label")
    write_rows(tmp_path / "in.csv", [{"text": "t1"}])
    ended = pipeline(
        *("classify", "in.csv", "--labels", "billing,bug", "-o", "out.csv", "--model", "echo"),
        *("--examples", "g.csv", "--text-column", "text"),
        folder=tmp_path,
    )
    assert (ended.code, ended.errors) == (
        2,
        [
            'error: --examples g.csv: no text has one of the labels billing, bug in "label", '
            f"which says {said}"
        ],
    )


def test_examples_that_are_left_out_are_counted(tmp_path: Path) -> None:
    rows = [*ROWS, ("t6", "nope"), ("t7", ""), ("t8", "none")]
    gold(tmp_path / "g.csv", rows, "label")
    write_rows(tmp_path / "in.csv", [{"text": "t1"}])
    ended = pipeline(
        *("classify", "in.csv", "--labels", "billing,bug", "-o", "out.csv", "--model", "echo"),
        *("--examples", "g.csv"),
        folder=tmp_path,
    )
    assert ended.lines[0] == (
        "2 of 7 examples have a label that is none of the labels (the first: 'nope'): left out"
    )


def test_an_example_is_never_shown_for_itself(tmp_path: Path, server: Server) -> None:
    gold(tmp_path / "g.csv", ROWS)
    write_rows(tmp_path / "in.csv", [{"text": text} for text in ("T1 ", "t3", "t9")])
    ended = pipeline(
        *("classify", "in.csv", "--labels", "billing,bug", "-o", "out.csv"),
        *("--examples", "g.csv", "--shots", 2, "--base-url", server.base_url),
        folder=tmp_path,
    )
    assert (ended.code, ended.errors) == (0, [])
    shown = {}
    for record in server.tally.records:
        body: Any = record.json
        _, *examples, question = [message["content"] for message in body["messages"]]
        shown[question] = list(zip(examples[::2], examples[1::2], strict=True))
    bug, billing = '{"label": "bug"}', '{"label": "billing"}'
    assert shown == {
        "T1 ": [("t3", billing), ("t2", bug)],
        "t3": [("t1", bug), ("t2", bug)],
        "t9": [("t1", bug), ("t3", billing)],
    }


def test_an_example_is_not_shown_for_a_part_of_itself(tmp_path: Path) -> None:
    long = " ".join(f"Sentence {number}." for number in range(100))
    path = gold(tmp_path / "g.csv", [(long, "bug"), ("short", "bug"), ("other", "billing")])
    labels = read_labels("billing,bug")
    examples, _ = read_examples(
        path, labels, name="label", text_column="text", multi=False, shots=2
    )
    prompt = prompts.load("classify").limit("label", labels)
    prompt = replace(prompt, examples=examples, shots=2)
    for text, shown in ((long[500:1000], ["other", "short"]), ("Sentence 3.", [long, "other"])):
        messages = said(prompt, text)
        assert [message.content for message in messages[1:-1:2]] == shown


def test_labels_are_found_in_what_a_server_says_that_cannot_be_told(
    tmp_path: Path, server: Server
) -> None:
    """No format is known to it, and it answers in words: a label is a label all the same."""
    answers = {"t1": "BUG", "t2": "Billing.", "t3": '```\n{"label": "bill ing"}\n```', "t4": "bug"}
    server.change(
        refuses=("json_schema", "tools", "json_object"),
        answer=lambda body: answers[str(body["messages"][1]["content"])[:2]],  # type: ignore[index]
    )
    write_rows(tmp_path / "in.csv", [{"text": text} for text in answers])
    ended = pipeline(
        *("classify", "in.csv", "--labels", "billing,bug", "-o", "out.csv"),
        *("--base-url", server.base_url),
        folder=tmp_path,
    )
    assert ended.code == 0
    assert column(read_rows(tmp_path / "out.csv"), "label") == ["bug", "billing", "billing", "bug"]
    assert sum("answers are asked for by words" in line for line in ended.lines) == 1


def test_several_labels_and_other_come_as_json(tmp_path: Path, server: Server) -> None:
    said = {"t1": '{"labels": ["bug", "Billing", "bug"]}', "t2": '{"labels": ["other"]}'}
    server.change(answer=lambda body: said[str(body["messages"][1]["content"])])  # type: ignore[index]
    write_rows(tmp_path / "in.csv", [{"text": text} for text in said])
    ended = pipeline(
        *("classify", "in.csv", "--labels", "billing,bug", "--multi", "--other", "-o", "out.csv"),
        *("--base-url", server.base_url),
        folder=tmp_path,
    )
    assert ended.code == 0
    assert column(read_rows(tmp_path / "out.csv"), "labels") == ['["bug","billing"]', '["other"]']
