"""`pipeline evaluate`, as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from sklearn.metrics import confusion_matrix, f1_score

from tests.running import pipeline, write_rows

GOLD = ["bug", "bug", "bug", "praise", "praise", "billing", "billing", "bug"]
FIRST = ["bug", "bug", "praise", "praise", "bug", "billing", "", "bug"]
SECOND = ["bug", "bug", "bug", "praise", "praise", "billing", "billing", "praise"]
CONFIDENCE = [0.9, 0.8, 0.95, 0.7, 0.6, 0.99, "", 0.5]


def table(path: Path, said: list[str], cost: str = "0.001") -> Path:
    rows = [
        {
            "id": f"{number:03}",
            "text": f"ticket {number}",
            "gold": gold,
            "label": label,
            "confidence": str(sure),
            "status": "ok" if label else "failed",
            "error": "" if label else "no answer",
            "cost_usd": cost if label else "",
        }
        for number, (gold, label, sure) in enumerate(zip(GOLD, said, CONFIDENCE, strict=True))
    ]
    return write_rows(path, [*rows, {**rows[0], "gold": ""}])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make two tables of answers to the same rows."""
    table(tmp_path / "a.csv", FIRST)
    table(tmp_path / "b.csv", SECOND, cost="0.003")
    return tmp_path


def test_the_text_has_every_figure(folder: Path) -> None:
    ended = pipeline("evaluate", "a.csv", "--expected", "gold", "--worst", 2, folder=folder)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        """\
a.csv: `label` against `gold`
rows        8 with a correct answer to compare; 1 without, left out
accuracy    62.5%  (95% interval 30.6% to 86.3%, Wilson; 5 of 8 correct)
macro-F1    0.639   (95% interval 0.200 to 1.000, bootstrap of 9,999 samples)
no answer   1 row, counted as wrong (1 failed); 71.4% of the answered rows are correct
baseline    always answering `bug` scores 50.0%; these answers are not significantly better
cost        0.0070 USD: 0.00088 USD per row, 0.0014 USD per correct row

label    precision  recall     F1  expected  given
bug          0.750   0.750  0.750         4      4
billing      1.000   0.500  0.667         2      1
praise       0.500   0.500  0.500         2      2

expected \\ given  billing  bug  praise  (none)
billing                 1    .       .       1
bug                     .    3       1       0
praise                  .    1       1       0

confidence  0.777 on average, 71.4% correct; expected calibration error (ECE) 0.377
            too few correct, or too few wrong, answers to calibrate it

worst rows (confident and wrong)
  a.csv, line 4: bug expected, praise given, confidence 0.95: ticket 2
  a.csv, line 6: praise expected, bug given, confidence 0.60: ticket 4
"""
    )


def test_json_has_the_figures_of_scikit_learn(folder: Path) -> None:
    ended = pipeline("evaluate", "a.csv", "--expected", "gold", "--json", folder=folder)
    found = json.loads(ended.out)
    names = list(found["labels"])
    said = [label or "(none)" for label in FIRST]
    assert names == ["billing", "bug", "praise"]
    assert found["confusion_matrix"] == confusion_matrix(GOLD, said, labels=names).tolist()
    assert found["macro_f1"] == f1_score(GOLD, said, labels=names, average="macro")
    assert (found["accuracy"], found["cost_usd"], found["rows"]) == (0.625, 0.007, 8)
    assert found["labels"]["billing"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "expected": 2,
        "predicted": 1,
        "unanswered": 1,
    }
    assert found["worst_rows"][0] == {
        "row": "a.csv, line 4",
        "expected": "bug",
        "predicted": "praise",
        "status": "ok",
        "confidence": 0.95,
        "text": "ticket 2",
    }


def test_two_tables_are_compared(folder: Path) -> None:
    ended = pipeline("evaluate", "a.csv", "b.csv", "--expected", "gold", folder=folder)
    assert ended.out.splitlines()[0] == "8 rows: 4 correct in both, 0 wrong in both"
    assert ended.out.splitlines()[-1] == (
        "Too few rows to tell: a.csv costs 2.12 USD less per 1,000 rows, but may be more than "
        "2 percentage points less accurate (-66.4 to +26.4; McNemar's test, p = 0.62). "
        "If both are equally accurate, about 12,000 rows would show it."
    )
    told = pipeline("evaluate", "a.csv", "b.csv", "--expected", "gold", "--json", folder=folder)
    found = json.loads(told.out)
    assert [item["output"] for item in found["outputs"]] == ["a.csv", "b.csv"]
    assert (found["comparison"]["only_first"], found["comparison"]["only_second"]) == (1, 3)
    assert found["comparison"]["p_value"] == 0.625
    assert found["comparison"]["take"] is None


def test_too_few_rows_for_a_promise_say_how_many_are_needed(folder: Path) -> None:
    command = ("evaluate", "a.csv", "--expected", "gold", "--accuracy", "0.95")
    assert pipeline(*command, folder=folder).out.splitlines()[-1] == (
        "8 rows with a correct answer to compare can't promise that at least 95% of answers are "
        "correct (95% confidence): it takes at least 59, more if any kept answer is wrong"
    )
    found = json.loads(pipeline(*command, "--json", folder=folder).out)["cascade"]
    assert (found["threshold"], found["rows_needed"], found["enough"]) == (None, 59, False)


def test_a_promise_has_its_threshold(folder: Path) -> None:
    command = ("evaluate", "a.csv", "--expected", "gold", "--accuracy", "0.55")
    told = pipeline(*command, "--confidence", "0.85", folder=folder).out
    assert told.splitlines()[-2:] == [
        "With --below 0.7, at least 55% of answers are correct (85% confidence): 5 of 8 rows "
        "(62.5%) keep the first answer, 3 go to the stronger model. "
        "1 kept answer is wrong; 1 is allowed.",
        "This holds if the rows with a known answer are a random sample, and counts what the "
        "stronger model says as correct.",
    ]
    both = pipeline(*command[:2], "b.csv", *command[2:], "--confidence", "0.85", folder=folder)
    assert both.out.splitlines()[-2:] == [
        "With --below 0.96, at least 55% of answers are correct (85% confidence): 1 of 8 rows "
        "(12.5%) keep the first answer, 7 go to the stronger model. "
        "1 answer is wrong; 1 is allowed.",
        "This holds if the rows with a known answer are a random sample.",
    ]


def answered(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write a table of answers where `x` is right, with what its rows have of their own."""
    usual = {"gold": "x", "label": "x", "confidence": "0.9", "status": "ok", "error": ""}
    cells = [{"text": f"t{n}", **usual, "cost_usd": "0", **row} for n, row in enumerate(rows)]
    return write_rows(path, [{name: str(cell) for name, cell in row.items()} for row in cells])


def test_what_the_first_model_fails_at_goes_to_the_stronger_one(tmp_path: Path) -> None:
    """It is part of the promise: the stronger model may be wrong where the first has failed."""
    fails = [number % 5 == 0 for number in range(400)]
    failed = {"label": "", "confidence": "", "status": "failed"}
    answered(tmp_path / "a.csv", [failed if fail else {} for fail in fails])
    answered(tmp_path / "b.csv", [{"label": "y"} if fail else {} for fail in fails])
    command = ("--expected", "gold", "--accuracy", "0.95")
    both = pipeline("evaluate", "a.csv", "b.csv", *command, folder=tmp_path).out
    assert both.splitlines()[-1] == (
        "No threshold promises that at least 95% of answers are correct (95% confidence): "
        "the stronger model itself is wrong in 80 of 400 rows; 12 are allowed."
    )
    alone = json.loads(pipeline("evaluate", "a.csv", *command, "--json", folder=tmp_path).out)
    assert (alone["cascade"]["rows"], alone["cascade"]["kept"]) == (400, 320)


def test_a_row_that_was_skipped_is_no_part_of_a_promise(tmp_path: Path) -> None:
    """Its text is empty: no model is asked it."""
    skipped = {"label": "", "confidence": "", "status": "skipped"}
    answered(tmp_path / "a.csv", [{}] * 99 + [skipped])
    command = ("evaluate", "a.csv", "--expected", "gold", "--accuracy", "0.95", "--json")
    assert json.loads(pipeline(*command, folder=tmp_path).out)["cascade"]["rows"] == 99


def test_each_model_has_a_calibration_and_no_threshold_is_of_several(tmp_path: Path) -> None:
    sorts = [("small", "0.9", "y"), ("small", "0.9", "x"), ("big", "0.6", "x")]
    answered(
        tmp_path / "a.csv",
        [{"model": model, "confidence": sure, "label": label} for model, sure, label in sorts * 20],
    )
    command = ("evaluate", "a.csv", "--expected", "gold")
    told = pipeline(*command, folder=tmp_path).out
    assert (
        "confidence  0.900 on average of 40 rows by small, 50.0% correct; "
        "expected calibration error (ECE) 0.400\n"
    ) in told
    assert "confidence  0.600 on average of 20 rows by big, 100.0% correct" in told
    found = json.loads(pipeline(*command, "--json", folder=tmp_path).out)["calibration"]
    assert [(item["model"], item["rows"]) for item in found] == [("small", 40), ("big", 20)]
    (line,) = pipeline(*command, "--accuracy", "0.9", folder=tmp_path).errors
    assert line == (
        "error: a.csv has answers of big, small, and --accuracy chooses by the confidence of one: "
        "give it a run of the first model alone, without --escalate"
    )


def test_reviewed_rows_promise_nothing(tmp_path: Path) -> None:
    answered(tmp_path / "a.csv", [{"reviewed_label": "x"}] * 100)
    command = ("evaluate", "a.csv", "--expected", "reviewed_label")
    assert "note        the reviewed rows were picked" in pipeline(*command, folder=tmp_path).out
    (line,) = pipeline(*command, "--accuracy", "0.9", folder=tmp_path).errors
    assert line == (
        "error: --accuracy needs known labels of rows chosen at random: those in reviewed_label "
        "were chosen for review, most of them because they were unsure. Label rows chosen at "
        "random in a column of another name"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.csv", "--expected", "nothing"), 'a.csv has no column "nothing"'),
        (("no.csv", "--expected", "gold"), "there is no file or folder no.csv"),
        (("a.csv", "a.csv", "a.csv", "--expected", "gold"), "3 tables: compare two at a time"),
        (
            ("a.csv", "--expected", "gold", "--accuracy", "95"),
            "--accuracy 95: give a share between",
        ),
        (("plain.csv", "--expected", "gold", "--accuracy", "0.9"), "plain.csv has no column `conf"),
        (("empty.csv", "--expected", "gold"), 'empty.csv: column "gold" is empty in every row'),
    ],
)
def test_bad_input_is_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "plain.csv").write_text("gold,label\na,a\n")
    (folder / "empty.csv").write_text("gold,label\n,a\n")
    ended = pipeline("evaluate", *arguments, folder=folder)
    (line,) = ended.errors
    assert line.startswith(f"error: {message}")
    assert (ended.code, ended.out) == (2, "")


def test_without_scikit_learn_the_error_says_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # importing it raises ImportError
    ended = pipeline("evaluate", "a.csv", "--expected", "gold", folder=folder)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: this needs the extra `evaluate`, which isn't installed: see Install in the README\n"
    )


def test_what_is_expected_is_never_taken_for_the_text(tmp_path: Path) -> None:
    gold = "Electronics > Audio > Headphones and Earphones"
    rows = [{"sku": f"{n}", "product": "earphones", "category": gold} for n in range(3)]
    write_rows(tmp_path / "in.csv", rows)
    (tmp_path / "labels.csv").write_text(f"name\n{gold}\nother\n")
    command = ("classify", "in.csv", "--labels", "labels.csv", "-o", "out.csv", "--model", "echo")
    ended = pipeline(*command, "--expected", "category", folder=tmp_path)
    assert ended.code == 2
    assert "which column of in.csv is the text?" in ended.err


def test_the_same_texts_in_another_order_are_not_compared(tmp_path: Path) -> None:
    """Sorted by what is expected they look like the same rows."""
    rows = [
        {"text": f"a long enough text {number}", "gold": gold, "label": label}
        for number, (gold, label) in enumerate(
            [("bug", "bug"), ("bug", "praise"), ("Praise", "praise"), ("Praise", "bug")]
        )
    ]
    write_rows(tmp_path / "a.csv", rows)
    write_rows(tmp_path / "b.csv", [rows[1], rows[0], *rows[2:]])
    write_rows(tmp_path / "c.csv", [{**row, "label": row["label"].title()} for row in rows])
    compared = pipeline("evaluate", "a.csv", "b.csv", "--expected", "gold", folder=tmp_path)
    assert compared.errors == [
        "error: a.csv and b.csv have the same texts in another order: "
        "name the column that tells their rows apart with --on, such as --on id"
    ]
    keyed = ("evaluate", "a.csv", "b.csv", "--expected", "gold", "--on", "text")
    assert pipeline(*keyed, folder=tmp_path).code == 0
    # However each spells its labels.
    ended = pipeline("evaluate", "a.csv", "c.csv", "--expected", "gold", folder=tmp_path)
    assert ended.out.splitlines()[0] == "4 rows: 2 correct in both, 2 wrong in both"


def test_labels_that_are_never_given_are_said(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [{"gold": gold, "label": "yes"} for gold in ("TRUE", "FALSE")])
    ended = pipeline("evaluate", "a.csv", "--expected", "gold", folder=tmp_path)
    assert "note: no answer is one of the expected labels, such as `FALSE`" in ended.out
