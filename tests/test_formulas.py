"""What a model answers is never a formula in a spreadsheet, and is read again as it was."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from pipeline.sources.tables.written import Guarded, guard, unguard
from tests.review.test_review import say
from tests.running import Ended, column, pipeline, read_rows, run_here, write_rows

FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://127.0.0.1/?"&A1,"more")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "- a point of a list",
    "@SUM(1+1)",
    "\t=1+1",
    "\rtext",
    "\n=1+1",
    "  =1+1",
    "\u00a0=1+1",
    "\ufeff=1+1",
    "\u200b=1+1",
    "\x00=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1+1",
    "\uff20a",
    "\ufe661+1",
    "+49 170 1234567",
    "-5%",
    "=",
    "-",
]
PLAIN = ["", "a", " padded", "-5", "+3.2", "-0.5e-7", "-.5", "+1.", "5-3", "a=b", "'=1+1", "[-1]"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe_and_loses_it_again(text: str) -> None:
    guarded = guard(text)
    assert guarded == f"'{text}"
    assert guard(guarded) == guarded
    again = unguard(guarded)
    assert (type(again), again) == (Guarded, text)


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert guard(text) == text


@pytest.mark.parametrize("text", ["'", "'a'", "''=1", "'-5", "'' - a"])
def test_an_apostrophe_of_its_own_stays(text: str) -> None:
    assert unguard(text) == text


def run(folder: Path, source: str, output: str, *options: object) -> Ended:
    """Have each row answered with its text."""
    (folder / "say.prompty").write_text("---\nname: say\n---\nuser:\n{{ text }}")
    command = ("run", folder / source, "-p", folder / "say.prompty", "--model", "echo", "-o")
    return run_here(*command, folder / output, *options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"=id": "=2", "text": text} for text in ["=1+1", "-5", "plain", "@x", "'=mine"]]
    write_rows(tmp_path / "in.csv", rows)
    return tmp_path


@pytest.mark.parametrize("output", ["out.csv", "out.tsv"])
def test_answers_are_no_formulas_and_the_input_stays_as_it_was(folder: Path, output: str) -> None:
    assert run(folder, "in.csv", output).code == 0
    cut = "\t" if output.endswith("tsv") else ","
    lines = [line.split(cut)[:3] for line in (folder / output).read_text().splitlines()]
    assert lines == [
        ["=id", "text", "output"],
        ["=2", "=1+1", "'=1+1"],
        ["=2", "-5", "-5"],
        ["=2", "plain", "plain"],
        ["=2", "@x", "'@x"],
        ["=2", "'=mine", "'=mine"],
    ]


def test_safe_csv_guards_the_input_too(folder: Path) -> None:
    assert run(folder, "in.csv", "out.csv", "--safe-csv").code == 0
    lines = [line.split(",")[:3] for line in (folder / "out.csv").read_text().splitlines()]
    assert lines[:3] == [["'=id", "text", "output"], ["'=2", "'=1+1", "'=1+1"], ["'=2", "-5", "-5"]]


def test_safe_csv_does_nothing_for_a_workbook(folder: Path) -> None:
    ended = run(folder, "in.csv", "out.xlsx", "--safe-csv")
    assert ended.errors == [
        f"error: --safe-csv is for .csv and .tsv, and {folder / 'out.xlsx'} is none: leave it out"
    ]


def test_other_formats_hold_the_answers_as_they_are(folder: Path) -> None:
    run(folder, "in.csv", "out.jsonl")
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [row["output"] for row in rows] == ["=1+1", "-5", "plain", "@x", "'=mine"]
    run(folder, "in.csv", "out.xlsx")
    with ZipFile(folder / "out.xlsx") as book:
        assert "<f>" not in book.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.parametrize("options", [[], ["--safe-csv"]])
def test_an_output_is_an_input_with_its_true_answers(folder: Path, options: list[str]) -> None:
    run(folder, "in.csv", "out.csv", *options)
    texts = column(read_rows(folder / "out.csv"), "output")
    again = ("--text-column", "output", "--prefix", "b_")
    run(folder, "out.csv", "next.jsonl", *again)
    rows = [json.loads(line) for line in (folder / "next.jsonl").read_text().splitlines()]
    assert [row["b_output"] for row in rows[:4]] == ["=1+1", "-5", "plain", "@x"]
    assert [row["output"] for row in rows[:4]] == ["=1+1", "-5", "plain", "@x"]
    run(folder, "out.csv", "next.csv", *again)
    rows = read_rows(folder / "next.csv")
    assert column(rows, "output") == column(rows, "b_output") == texts
    first = [line.split(",")[:3] for line in (folder / "out.csv").read_text().splitlines()]
    assert [line.split(",")[:3] for line in (folder / "next.csv").read_text().splitlines()] == first


def test_a_judge_sees_the_true_answers(folder: Path) -> None:
    run(folder, "in.csv", "out.csv")
    (folder / "judge.prompty").write_text("---\nname: judge\n---\nuser:\n<{{ output }}>")
    command = ("run", folder / "in.csv", "--answers", folder / "out.csv", "--model", "echo")
    ended = run_here(
        *(*command, "-p", folder / "judge.prompty", "-o", folder / "judged.jsonl"),
        *("--prefix", "judge_", "--text-column", "text"),
    )
    assert ended.code == 0
    rows = [json.loads(line) for line in (folder / "judged.jsonl").read_text().splitlines()]
    assert [row["judge_output"] for row in rows[:4]] == ["<=1+1>", "<-5>", "<plain>", "<@x>"]


def test_the_names_of_a_prompts_outputs_are_no_formulas(folder: Path) -> None:
    (folder / "p.prompty").write_text(
        '---\noutputs: [{name: "=1+1"}, {name: "-b"}]\n---\nuser:\n@{{ text }}\n'
    )
    command = ("run", folder / "in.csv", "-p", folder / "p.prompty", "--model", "echo")
    write_rows(folder / "in.csv", [{"text": "a"}])
    assert run_here(*command, "-o", folder / "out.csv").code == 0
    rows = read_rows(folder / "out.csv")
    assert list(rows[0])[:3] == ["text", "'=1+1", "'-b"]
    assert (rows[0]["'=1+1"], rows[0]["'-b"]) == ("'@a", "'@a")
    told = pipeline(
        *("evaluate", "out.csv", "--expected", "text", "--predicted", "=1+1", "--json"),
        folder=folder,
    )
    assert json.loads(told.out)["rows"] == 1


@pytest.mark.parametrize("options", [[], ["--safe-csv"]])
def test_labels_that_look_like_formulas_are_evaluated_and_reviewed(
    tmp_path: Path, options: list[str]
) -> None:
    labels = ["=a", "@b", "-1", "c"]
    texts = ["=a", "@b", "-1", "c", "=other"]
    rows = [{"text": text, "gold": text if text in labels else "c"} for text in texts]
    write_rows(tmp_path / "in.csv", rows)
    classify = ("classify", "in.csv", "--labels", ",".join(labels), "--model", "echo")
    command = (*classify, "-o", "out.csv", *options)
    ended = pipeline(*command, "--expected", "gold", "--review", "look.xlsx", folder=tmp_path)
    assert "accuracy" in ended.err
    before = read_rows(tmp_path / "out.csv")
    assert column(before, "label")[:4] == ["'=a", "'@b", "-1", "c"]
    told = pipeline("evaluate", "out.csv", "--expected", "gold", "--json", folder=tmp_path)
    found = json.loads(told.out)
    assert (found["rows"], found["accuracy"]) == (5, 0.8)
    say(tmp_path / "look.xlsx", {"=a": "@b", "c": "c", "=other": "=a"})
    ended = pipeline("review", "look.xlsx", folder=tmp_path)
    assert ended.out.startswith("3 rows reviewed, 1 answer corrected -> out.csv")
    after = read_rows(tmp_path / "out.csv")
    assert [{name: row[name] for name in before[0]} for row in after] == before
    assert column(after, "reviewed_label") == ["'@b", "", "", "c", "'=a"]
    assert column(after, "final_label") == ["'@b", "'@b", "-1", "c", "'=a"]
    assert column(read_rows(tmp_path / "out.reviewed.csv"), "reviewed_label") == ["'@b", "c", "'=a"]
    written = (tmp_path / "out.csv").read_bytes()
    pipeline(*command, folder=tmp_path)
    assert (tmp_path / "out.csv").read_bytes() == written
    kept = read_rows(tmp_path / "out.reviewed.csv")
    write_rows(tmp_path / "shown.csv", [{**row, "gold": ""} for row in kept])
    gold = ("classify", "out.reviewed.csv", "--labels", ",".join(labels), "--model", "echo")
    ended = pipeline(
        *(*gold, "--text-column", "text", "-o", "next.csv", "--expected", "reviewed_label"),
        *("--examples", "shown.csv"),
        folder=tmp_path,
    )
    assert (ended.errors, "accuracy    66.7%" in ended.err) == ([], True), ended.err
