"""`--review` and `pipeline review`: rows go to a person, and what the person says comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import filelock
import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from pipeline.outputs.tables import write_table
from pipeline.review import workbook_out as reviewing
from pipeline.review.corrections import Corrections, key_of
from pipeline.sources.opening import open_source
from pipeline.sources.tables.jsonl import Number
from pipeline.sources.tables.workbook import Padded
from pipeline.types import Column
from tests.running import Ended, column, pipeline, read_rows, write_rows
from tests.server import Server

LABELS = "Hello,Bye"
Sheets = dict[str, list[list[object]]]


def table(folder: Path, texts: list[str]) -> None:
    write_rows(
        folder / "in.csv", [{"id": f"{i:03}", "text": text} for i, text in enumerate(texts, 1)]
    )


def classify(
    folder: Path, *options: object, output: str = "out.csv", labels: str = LABELS
) -> Ended:
    """Classify with the model that says what it is told, if that is a label."""
    command = ("classify", "in.csv", "--labels", labels, "--model", "echo", "-o", output)
    return pipeline(*command, *options, folder=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make four rows, of which the model gets two."""
    table(tmp_path, ["Hello", "Bye", "Hello again", "So long"])
    return tmp_path


def sheets(path: Path) -> Sheets:
    book = CalamineWorkbook.from_path(str(path))
    return {
        name: [list(row) for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False)]
        for name in book.sheet_names
    }


def say(
    path: Path, said: Mapping[str, object] | Callable[[list[object]], str], *, copied: str = ""
) -> None:
    """Fill in the first column by the texts, as a person does, and save it as Excel would. The row
    of one text may be `copied` to the end.
    """
    found = sheets(path)
    header, *rows = found["review"]
    text = header.index("text")
    for row in rows:
        row[0] = said(row) if callable(said) else said.get(str(row[text]), "")
    found["review"] += [["Bye", *row[1:]] for row in rows if row[text] == copied]
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        for name, lines in found.items():
            sheet = book.add_worksheet(name)
            for place, line in enumerate(lines):
                sheet.write_row(place, 0, line)


def test_the_workbook_offers_the_labels(folder: Path) -> None:
    ended = classify(folder, "--review", "look.xlsx", "--rows", 3)
    assert ended.lines[-1] == (
        "3 rows to review -> look.xlsx: enter the correct answers in the first column, save, "
        "then run: pipeline review look.xlsx"
    )
    found = sheets(folder / "look.xlsx")
    assert found["review"][0] == ["reviewed_label", "label", "why", "text", "id", "row key"]
    assert len(found["review"]) == 1 + 3
    assert found["labels"] == [["labels"], ["Hello"], ["Bye"]]
    assert found["about"] == [
        ["name", "value"],
        ["output", "out.csv"],
        ["answer", "label"],
        ["input", "id"],
        ["input", "text"],
    ]
    with ZipFile(folder / "look.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        workbook = book.read("xl/workbook.xml").decode()
        styles = book.read("xl/styles.xml").decode()
    assert re.search(r'<dataValidation type="list" [^>]*sqref="A2:A4">', sheet)
    assert "<formula1>labels!$A$2:$A$3</formula1>" in sheet
    assert workbook.count('state="hidden"') == 2
    assert '<col min="6" max="6" width="0" hidden="1"' in sheet
    formats = re.findall(r'<xf numFmtId="(\d+)"', styles.partition("<cellXfs")[2])
    cells = re.findall(r'<c r="A[234]" s="(\d+)"/>', sheet)
    assert [formats[int(style)] for style in cells] == ["49"] * 3  # text


@pytest.mark.parametrize(
    ("prompt", "count"),
    [("{{ text }}", 2), ("{{ id }} {{ text }}", 6), ("{{ row.id }}", 6), ("{{ Its_Kind }}", 3)],
)
def test_one_row_of_those_that_look_the_same_to_the_model(
    tmp_path: Path, prompt: str, count: int
) -> None:
    (tmp_path / "p.prompty").write_text(f"---\nname: p\n---\nuser:\n{prompt}\n")
    rows = [
        {"id": str(i), "Its Kind": "abc"[i % 3], "text": ("Hello", "Bye")[i % 2]} for i in range(6)
    ]
    write_rows(tmp_path / "in.csv", rows)
    command = ("run", "in.csv", "-p", "p.prompty", "--model", "echo", "-o", "out.csv")
    pipeline(*command, "--text-column", "text", "--review", "look.xlsx", folder=tmp_path)
    assert len(sheets(tmp_path / "look.xlsx")["review"]) == 1 + count


def test_nothing_is_written_where_all_was_reviewed(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say_all(folder / "look.xlsx", "Bye")
    pipeline("review", "look.xlsx", folder=folder)
    before = (folder / "look.xlsx").read_bytes()
    ended = classify(folder, "--review", "look.xlsx")
    assert ended.lines[-1] == "no row is left to review: look.xlsx was not written"
    assert (folder / "look.xlsx").read_bytes() == before


def test_a_review_is_not_written_over_the_output(folder: Path) -> None:
    ended = classify(folder, "--review", "out.xlsx", output="out.xlsx")
    assert (ended.code, ended.errors) == (
        2,
        ["error: --review out.xlsx: that is the output; name another file for the review"],
    )
    assert not (folder / "out.xlsx").exists()


def test_what_a_person_says_comes_back_for_good(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    before = read_rows(folder / "out.csv")
    say(folder / "look.xlsx", {"Hello": "Hello", "So long": "Bye"})
    ended = pipeline("review", "look.xlsx", folder=folder)
    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "2 rows reviewed, 1 answer corrected -> out.csv: columns reviewed_label, final_label",
            "2 rows reviewed in total -> out.reviewed.csv: test your next prompt on them, "
            "with --expected reviewed_label",
        ],
    )
    rows = read_rows(folder / "out.csv")
    assert column(rows, "reviewed_label") == ["Hello", "", "", "Bye"]
    assert column(rows, "final_label") == ["Hello", "Bye", before[2]["label"], "Bye"]
    assert [{name: row[name] for name in before[0]} for row in rows] == before
    assert (folder / "out.reviewed.csv").read_text() == (
        "id,text,reviewed_label\n001,Hello,Hello\n004,So long,Bye\n"
    )
    written = (folder / "out.csv").read_bytes()
    assert classify(folder).code == ended.code
    assert (folder / "out.csv").read_bytes() == written


def test_a_workbook_that_was_taken_back_is_written_anew(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx", "--rows", 2)
    say_all(folder / "look.xlsx", "bye")
    before = (folder / "look.xlsx").read_bytes()
    refused = classify(folder, "--review", "look.xlsx")
    assert (refused.code, refused.errors) == (
        2,
        [
            "error: look.xlsx has corrections that haven't been read back: run `pipeline review "
            "look.xlsx` first, or choose another name for --review"
        ],
    )
    assert (folder / "look.xlsx").read_bytes() == before
    first = {str(row[3]) for row in sheets(folder / "look.xlsx")["review"]}
    pipeline("review", "look.xlsx", folder=folder)
    assert classify(folder, "--review", "look.xlsx").errors == []
    second = {str(row[3]) for row in sheets(folder / "look.xlsx")["review"]}
    assert first & second == {"text"}
    assert len(second) == 1 + 2


def test_a_review_is_no_change_by_hand(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"So long": "Bye"})
    pipeline("review", "look.xlsx", folder=folder)
    before = sorted(folder.iterdir())
    assert "was changed" not in classify(folder).err
    assert sorted(folder.iterdir()) == before


def test_a_review_keeps_what_was_changed_by_hand_for_the_next_run(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    (folder / "out.csv").write_text(changed := (folder / "out.csv").read_text() + "\n")
    say(folder / "look.xlsx", {"So long": "Bye"})
    (line,) = pipeline("review", "look.xlsx", folder=folder).lines
    assert line.startswith("out.csv was changed after the last run: that version is kept as out-")
    assert (folder / line.rpartition(" ")[2]).read_text() == changed


def test_a_review_waits_for_a_run_on_its_output(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"So long": "Bye"})
    journal, output = folder / "out.csv.journal", (folder / "out.csv").read_bytes()
    with filelock.FileLock(f"{journal}.lock"):
        ended = pipeline("review", "look.xlsx", folder=folder)
    assert ended.code == 2
    assert "is writing to this output: wait for it" in ended.errors[0]
    assert (folder / "out.csv").read_bytes() == output
    assert not (folder / "out.reviewed.csv").exists()


def test_a_correction_is_withdrawn_by_deleting_its_row(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"Hello": "Bye", "So long": "Bye"})
    pipeline("review", "look.xlsx", folder=folder)
    kept = read_rows(folder / "out.reviewed.csv")
    write_rows(folder / "out.reviewed.csv", [row for row in kept if row["text"] != "Hello"])
    classify(folder)
    assert column(read_rows(folder / "out.csv"), "reviewed_label") == ["", "", "", "Bye"]


def test_a_correction_finds_its_row_wherever_it_is(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"So long": "Bye"})
    pipeline("review", "look.xlsx", folder=folder)
    write_rows(
        folder / "in.csv",
        [{"id": "004", "text": "So long"}, {"id": "009", "text": "So long"}],
    )
    classify(folder)
    assert column(read_rows(folder / "out.csv"), "reviewed_label") == ["Bye", ""]


def test_a_second_review_shows_other_rows_and_adds_to_the_first(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"So long": "Bye", "Hello": "Hello"})
    pipeline("review", "look.xlsx", folder=folder)
    classify(folder, "--review", "more.xlsx")
    header, *rows = sheets(folder / "more.xlsx")["review"]
    assert sorted(str(row[header.index("text")]) for row in rows) == ["Bye", "Hello again"]
    say(folder / "more.xlsx", {"Hello again": "Hello"})
    ended = pipeline("review", "more.xlsx", folder=folder)
    assert ended.out.splitlines()[1].startswith("3 rows reviewed in total")
    assert column(read_rows(folder / "out.csv"), "reviewed_label") == ["Hello", "", "Hello", "Bye"]


def test_what_was_reviewed_is_gold_for_the_next_evaluation(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"Hello": "Hello", "Bye": "Hello"})
    pipeline("review", "look.xlsx", folder=folder)
    told = pipeline("evaluate", "out.csv", "--expected", "reviewed_label", "--json", folder=folder)
    assert (json.loads(told.out)["rows"], json.loads(told.out)["accuracy"]) == (2, 0.5)
    gold = ("classify", "out.reviewed.csv", "--text-column", "text", "--labels", LABELS)
    next_one = pipeline(
        *gold, "--model", "echo", "-o", "next.csv", "--expected", "reviewed_label",
        "--review", "again.xlsx", folder=folder,
    )  # fmt: skip
    assert "accuracy    50.0%" in next_one.err
    # The column is the input's own here, so the next review has another.
    assert sheets(folder / "again.xlsx")["review"][0][0] == "reviewed_label_2"
    say(folder / "again.xlsx", {"Bye": "Bye"})
    pipeline("review", "again.xlsx", folder=folder)
    rows = read_rows(folder / "next.csv")
    assert column(rows, "reviewed_label") == ["Hello", "Hello"]
    assert sorted(column(rows, "reviewed_label_2")) == ["", "Bye"]


@pytest.mark.parametrize("suffix", ["xlsx", "parquet", "jsonl", "tsv"])
def test_each_format_of_output_takes_corrections(folder: Path, suffix: str) -> None:
    output = f"out.{suffix}"
    classify(folder, "--review", "look.xlsx", output=output)
    say(folder / "look.xlsx", {"So long": "Bye"})
    assert pipeline("review", "look.xlsx", folder=folder).code == 0
    told = ("evaluate", output, "--expected", "reviewed_label", "--predicted", "final_label")
    found = json.loads(pipeline(*told, "--json", folder=folder).out)
    assert (found["rows"], found["accuracy"]) == (1, 1.0)


def test_a_prefix_is_part_of_the_names(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx", "--prefix", "ai_")
    say(folder / "look.xlsx", {"So long": "Bye"})
    pipeline("review", "look.xlsx", folder=folder)
    assert list(read_rows(folder / "out.csv")[0])[-2:] == ["reviewed_ai_label", "final_ai_label"]


def test_a_folder_can_be_reviewed(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("Hello")
    (texts / "b.txt").write_text("Bye")
    command = ("classify", "texts", "--labels", LABELS, "--model", "echo", "-o", "out.csv")
    assert pipeline(*command, "--review", "look.xlsx", folder=tmp_path).code == 0
    say_all(tmp_path / "look.xlsx", "Hello")
    pipeline("review", "look.xlsx", folder=tmp_path)
    assert column(read_rows(tmp_path / "out.csv"), "final_label") == ["Hello", "Hello"]


@pytest.mark.parametrize(
    "taken", ["why", "row key", "ocr_confidence", "final_label", "reviewed_label", "a  b", "about"]
)
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_the_input_may_have_any_columns(tmp_path: Path, taken: str, suffix: str) -> None:
    rows = [{taken: "mine", "text": "Hello"}, {taken: "yours", "text": "Bye"}]
    write_rows(tmp_path / "in.csv", rows)
    classify(tmp_path, "--review", "look.xlsx", "--text-column", "text", output=f"out.{suffix}")
    say(tmp_path / "look.xlsx", {"Hello": "Bye"})
    ended = pipeline("review", "look.xlsx", folder=tmp_path)
    assert (ended.code, ended.errors) == (0, [])
    number = "_2" if taken.endswith("_label") else ""
    assert ended.out.splitlines()[0].endswith(
        f": columns reviewed_label{number}, final_label{number}"
    )
    pipeline("run", f"out.{suffix}", *TO_CSV, folder=tmp_path)
    found = read_rows(tmp_path / "copy.csv")
    assert column(found, taken) == ["mine", "yours"]
    assert column(found, f"final_label{number}") == ["Bye", "Bye"]
    assert column(found, f"reviewed_label{number}") == ["Bye", ""]


TO_CSV = (
    *("-o", "copy.csv", "--instruction", "?", "--model", "echo"),
    *("--prefix", "z_", "--text-column", "text"),
)


def test_an_output_of_the_prompt_may_have_the_name_of_ours(folder: Path) -> None:
    (folder / "p.prompty").write_text(
        "---\noutputs: [{name: label}, {name: final_label}, {name: why}]\n---\nuser:\n"
        '{"label": "{{ text }}", "final_label": "x", "why": "y"}\n'
    )
    command = ("run", "in.csv", "-p", "p.prompty", "--model", "echo", "-o", "out.csv")
    assert pipeline(*command, "--review", "look.xlsx", folder=folder).code == 0
    given = column(read_rows(folder / "out.csv"), "final_label")
    say(folder / "look.xlsx", {"So long": "Bye"})
    for again in (("review", "look.xlsx"), command, ("review", "look.xlsx")):
        assert pipeline(*again, folder=folder).code == 0
        rows = read_rows(folder / "out.csv")
        assert column(rows, "final_label") == given
        assert column(rows, "final_label_2") == [*column(rows, "label")[:3], "Bye"]


def test_a_column_that_the_input_has_by_now_is_not_written_over(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"So long": "Bye"})
    write_rows(folder / "in.csv", [{"id": "004", "text": "So long", "final_label": "mine"}])
    classify(folder)
    before = (folder / "out.csv").read_bytes()
    (line,) = pipeline("review", "look.xlsx", folder=folder).errors
    assert line == (
        "error: out.csv has a column final_label of its input by now: it is of another input"
    )
    assert (folder / "out.csv").read_bytes() == before


def test_an_output_that_was_sorted_and_has_more_rows_takes_corrections(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"So long": "Bye", "Hello": "Bye"})
    rows = read_rows(folder / "out.csv")
    write_rows(folder / "out.csv", [{**rows[0], "id": "new"}, *reversed(rows)])
    pipeline("review", "look.xlsx", folder=folder)
    assert column(read_rows(folder / "out.csv"), "reviewed_label") == ["", "Bye", "", "", "Bye"]


def test_a_text_that_excel_cannot_hold_is_found_again(folder: Path) -> None:
    long = "So long " * 5_000
    table(folder, ["Hello", "1 " + long, "2 " + long])
    classify(folder, "--review", "look.xlsx", output="out.xlsx")
    say(folder / "look.xlsx", lambda row: "Bye" if row[4] == "002" else "")
    ended = pipeline("review", "look.xlsx", folder=folder)
    assert (ended.code, ended.out.splitlines()[0]) == (
        0,
        "1 row reviewed, 1 answer corrected; out.xlsx has several "
        "sheets, which only a run can write: run the command that wrote it again to add the "
        "columns reviewed_label, final_label; nothing is asked again",
    )
    classify(folder, output="out.xlsx")
    header, *rows = sheets(folder / "out.xlsx")["rows"]
    assert [row[header.index("reviewed_label")] for row in rows] == ["", "Bye", ""]


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        ("Bye", ["Bye"]),
        ('["Bye", "Hello"]', ["Bye", "Hello"]),
        (" hello ;bye", ["Hello", "Bye"]),
        ("Well, well, Bye!", ["Well, well", "Bye"]),
        ("Well, Bye", None),
        ("Well, well | Bye", ["Well, well", "Bye"]),
        ("well,  well", ["Well, well"]),
        ("Byee, Hello", None),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_several_labels_are_read_and_written_as_the_answers_are(
    folder: Path, said: str, labels: list[str] | None, suffix: str
) -> None:
    (folder / "labels.csv").write_text('name\nHello\nBye\n"Well, well"\n')
    table(folder, ["Hello", "So long"])
    with Server() as server:
        server.change(answer=lambda body: '{"labels":["Bye"]}')
        ended = pipeline(
            *("classify", "in.csv", "--labels", "labels.csv", "--multi", "--model", "m"),
            *("--base-url", server.base_url, "-o", f"out.{suffix}", "--review", "look.xlsx"),
            folder=folder,
        )
    assert ended.code == 0
    say(folder / "look.xlsx", {"So long": said})
    ended = pipeline("review", "look.xlsx", folder=folder)
    if labels is None:
        (line,) = ended.errors
        assert re.match(r"error: look\.xlsx, row \d: `(Well|Byee)` is not one of the labels", line)
        return
    corrected = "0 answers" if labels == ["Bye"] else "1 answer"
    assert ended.out.startswith(f"1 row reviewed, {corrected} corrected -> ")
    pairs = (
        [(row["labels"], row["final_labels"]) for row in read_rows(folder / "out.csv")]
        if suffix == "csv"
        else [
            (json.dumps(row["labels"]), json.dumps(row["final_labels"]))
            for row in map(json.loads, (folder / "out.jsonl").read_text().splitlines())
        ]
    )
    assert pairs[0] == ('["Bye"]', '["Bye"]')
    assert (pairs[1][0], json.loads(pairs[1][1])) == ('["Bye"]', labels)


def test_a_choice_among_the_fields_is_a_list_to_choose_from(folder: Path) -> None:
    command = ("extract", "in.csv", "--fields", "kind: invoice|receipt", "--model", "echo")
    pipeline(*command, "-o", "out.csv", "--review", "look.xlsx", folder=folder)
    found = sheets(folder / "look.xlsx")
    assert found["labels"] == [["labels"], ["invoice"], ["receipt"]]
    with ZipFile(folder / "look.xlsx") as book:
        assert '<dataValidation type="list"' in book.read("xl/worksheets/sheet1.xml").decode()


def say_all(path: Path, label: str) -> None:
    found = sheets(path)
    for row in found["review"][1:]:
        row[0] = label
    with xlsxwriter.Workbook(path) as book:
        for name, lines in found.items():
            sheet = book.add_worksheet(name)
            for place, line in enumerate(lines):
                sheet.write_row(place, 0, line)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--review", "look.csv"), "--review look.csv: name an .xlsx file"),
        (("--review", "no/look.xlsx"), "the folder of the output no/look.xlsx doesn't exist"),
    ],
)
def test_what_cannot_be_done_afterwards_stops_it_before(
    folder: Path, options: tuple[str, ...], message: str
) -> None:
    ended = classify(folder, *options)
    (line,) = ended.errors
    assert line.startswith(f"error: {message}")
    assert (ended.code, (folder / "out.csv").exists()) == (2, False)


@pytest.mark.parametrize("expected", ["gold", "label", "label=gold"])
def test_what_is_expected_is_a_column_of_the_input(folder: Path, expected: str) -> None:
    ended = classify(folder, "--expected", expected)
    name = expected.rpartition("=")[2]
    assert ended.errors == [f'error: in.csv has no column "{name}"; its columns are: id, text']
    assert (ended.code, (folder / "out.csv").exists()) == (2, False)


@pytest.mark.parametrize(
    ("expected", "wanted"),
    [
        ("gold", 'column "gold" is'),
        ("label=gold,label=more", 'columns "gold" and "more" are'),
    ],
)
def test_an_input_that_expects_nothing_is_not_asked_about(
    folder: Path, expected: str, wanted: str
) -> None:
    write_rows(folder / "in.csv", [{"text": "Hello", "gold": " ", "more": ""}])
    ended = classify(folder, "--expected", expected, "--text-column", "text")
    assert ended.errors == [f"error: in.csv: {wanted} empty in every row"]
    assert (ended.code, sorted(path.name for path in folder.iterdir())) == (2, ["in.csv"])


def test_a_run_says_how_right_it_is(folder: Path) -> None:
    write_rows(
        folder / "in.csv", [{"text": "Hello", "gold": "Hello"}, {"text": "Bye", "gold": "Hello"}]
    )
    options = ("--expected", "gold", "--text-column", "text")
    assert "accuracy    50.0%" in classify(folder, *options).err
    log = [json.loads(line) for line in classify(folder, *options, "--json-log").lines]
    (found,) = [line for line in log if line["event"] == "evaluation"]
    assert (found["accuracy"], found["confusion_matrix"]) == (0.5, [[0, 0], [1, 1]])


def test_a_run_says_how_right_each_of_its_fields_is(folder: Path) -> None:
    (folder / "p.prompty").write_text(
        "---\noutputs: [{name: vendor}, {name: total, kind: number}]\n---\nuser:\n{{ text }}\n"
    )
    gold = {"gold_vendor": "Acme", "gold_total": "11"}
    write_rows(folder / "in.csv", [{"text": "Acme", **gold}])
    command = ("run", "in.csv", "-p", "p.prompty", "--model", "echo", "-o", "out.csv", "--json-log")
    ended = pipeline(
        *command, "--expected", "vendor=gold_vendor,total=gold_total",
        "--text-column", "text", folder=folder,
    )  # fmt: skip
    found = next(line for line in map(json.loads, ended.lines) if line["event"] == "evaluation")
    assert {name: field["right"] for name, field in found["fields"].items()} == {
        "vendor": 1,
        "total": 0,
    }


def test_a_prompt_of_several_answers_cannot_be_reviewed(folder: Path) -> None:
    (folder / "p.prompty").write_text(
        "---\noutputs: [{name: vendor}, {name: total}]\n---\nuser:\n{{ text }}\n"
    )
    command = ("run", "in.csv", "-p", "p.prompty", "--model", "echo", "-o", "out.csv")
    ended = pipeline(*command, "--review", "look.xlsx", folder=folder)
    assert ended.errors == [
        "error: --review takes one answer, or one called `label`: this prompt has vendor, total"
    ]


def reviewed(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"So long": "Bye"})


def test_a_word_that_is_no_label_is_an_error(folder: Path) -> None:
    reviewed(folder)
    say(folder / "look.xlsx", {"So long": "Bey"})
    before = (folder / "out.csv").read_bytes()
    (line,) = pipeline("review", "look.xlsx", folder=folder).errors
    assert re.fullmatch(
        r"error: look\.xlsx, row \d: `Bey` is not one of the labels Bye, Hello", line
    )
    assert (folder / "out.csv").read_bytes() == before


def test_what_excel_makes_of_a_label_is_the_label(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx", labels="TRUE,3,Hello,Bye")
    said = {"Hello": True, "Bye": 3, "Hello again": "hello", "So long": 3.0}
    say(folder / "look.xlsx", said)
    assert pipeline("review", "look.xlsx", folder=folder).errors == []
    rows = read_rows(folder / "out.csv")
    assert column(rows, "reviewed_label") == ["TRUE", "3", "Hello", "3"]


@pytest.mark.parametrize("label", ["Hello", "Bye"])
def test_a_row_that_was_copied_counts_once_and_says_one_thing(folder: Path, label: str) -> None:
    table(folder, ["So long"])
    classify(folder, "--review", "look.xlsx")
    say(folder / "look.xlsx", {"So long": label}, copied="So long")
    ended = pipeline("review", "look.xlsx", folder=folder)
    if label == "Bye":
        assert ended.out.startswith("1 row reviewed, 1 answer corrected -> out.csv")
        assert "\n1 row reviewed in total" in ended.out
        return
    assert (ended.code, ended.errors) == (
        2,
        [
            "error: look.xlsx, row 2 says `Hello` and look.xlsx, row 3 says `Bye` for the same "
            "input: keep one of them"
        ],
    )
    assert not (folder / "out.reviewed.csv").exists()


def test_corrections_of_another_input_change_nothing(folder: Path) -> None:
    reviewed(folder)
    table(folder, ["Hello"])
    classify(folder)
    (line,) = pipeline("review", "look.xlsx", folder=folder).errors
    assert re.match(
        r"error: 1 of the 1 reviewed rows are not in out\.csv "
        r"\(the first: look\.xlsx, row \d\): its input has changed since; nothing was changed",
        line,
    )
    assert not (folder / "out.reviewed.csv").exists()


def test_what_is_not_a_workbook_to_review_is_an_error(folder: Path) -> None:
    (line,) = pipeline("review", "in.csv", folder=folder).errors
    assert (
        line == "error: in.csv was not written by --review: it doesn't have the columns of a review"
    )


def test_nothing_said_changes_nothing(folder: Path) -> None:
    classify(folder, "--review", "look.xlsx")
    ended = pipeline("review", "look.xlsx", folder=folder)
    assert ended.out == ("the first column of look.xlsx is empty; nothing was changed\n")
    assert not (folder / "out.reviewed.csv").exists()


def test_a_workbook_saved_as_csv_needs_the_name_of_its_output(folder: Path) -> None:
    reviewed(folder)
    header, *rows = sheets(folder / "look.xlsx")["review"]
    write_rows(
        folder / "look.csv",
        [dict(zip(map(str, header), map(str, row), strict=True)) for row in rows],
    )
    (line,) = pipeline("review", "look.csv", folder=folder).errors
    assert line == "error: which output does look.csv correct? name it with -o"
    assert pipeline("review", "look.csv", "-o", "out.csv", folder=folder).code == 0
    assert column(read_rows(folder / "out.csv"), "reviewed_label")[3] == "Bye"


# Which rows


def picked(rows: list[dict[str, object]], count: int, **said: str) -> list[tuple[object, str]]:
    corrections = Corrections(Path("out.csv"), ("id",), "label", "reviewed_label")
    if said:
        rows_of = [{"id": name, "reviewed_label": it} for name, it in said.items()]
        known = {key_of(row, ["id"]): row for row in rows_of}
        corrections = Corrections(Path("out.csv"), ("id",), "label", "reviewed_label", known)
    found = reviewing.pick(rows, corrections, prefix="", count=count)
    return [(item.row["id"], item.why) for item in found]


def row(name: str, label: str | None, sure: float | None = None, **cells: str) -> dict[str, object]:
    return {"id": name, "label": label, "confidence": sure, "status": "ok", "error": None, **cells}


def test_the_least_sure_come_first_and_each_reason_has_its_part() -> None:
    rows = [row(f"r{i}", "a", 0.5 + i / 1000) for i in range(100)]
    rows += [row("failed", None, status="failed", error="the model refused")]
    rows += [row("skipped", None, status="skipped")]
    rows += [row("rare", "b", 0.99)]
    found = picked(rows, 10)
    reasons = [why for _, why in found]
    assert found[0] == ("failed", "no answer: the model refused")
    assert found[1] == ("rare", "rare label: 1 row")
    assert reasons.count("picked at random") == 2
    assert [name for name, why in found if why.startswith("confidence")][:3] == ["r0", "r1", "r2"]
    assert (len(found), len(set(found))) == (10, 10)


def test_each_row_is_of_another_input() -> None:
    rows = [row(f"r{i}", "a", 0.1) for i in range(3)]
    rows += [row("r1", "a", 0.1), row("r1", "b", 0.05), row("r7", None), row("r7", None)]
    found = picked(rows * 20, 4)
    assert sorted(name for name, _ in found) == ["r0", "r1", "r2", "r7"]
    rows = [row(f"r{i}", "a", 0.5) for i in range(100)] * 2 + [row("r50", "a", 0.05)]
    assert ("r50", "confidence 0.05") in picked(rows, 10)


@pytest.mark.parametrize(("few", "rare"), [(2, True), (3, False)])
def test_a_label_of_two_rows_in_a_hundred_is_rare(few: int, rare: bool) -> None:
    rows = [row(str(i), "b" if i < few else "a") for i in range(100)]
    whys = {why for _, why in picked(rows, 10)}
    assert whys == {"picked at random", *([f"rare label: {few} rows"] if rare else [])}


def test_rows_without_a_confidence_are_picked_at_random() -> None:
    found = picked([row(f"r{i}", "a") for i in range(100)], 10)
    assert {why for _, why in found} == {"picked at random"}
    assert [name for name, _ in found] != [f"r{i}" for i in range(10)]


def test_there_are_never_more_rows_than_there_are() -> None:
    assert len(picked([row("1", "a"), row("2", None)], 10)) == 2
    assert picked([], 10) == []


def test_what_was_reviewed_is_not_shown_again() -> None:
    rows = [row("1", "a"), row("2", "a")]
    assert picked(rows, 10, **{"1": "a"}) == [("2", "picked at random")]


def test_texts_are_not_rare_for_being_different() -> None:
    found = picked([row(str(i), f"summary {i}") for i in range(20)], 10)
    assert {why for _, why in found} == {"picked at random"}


NASTY = [
    *(
        Number(text)
        for text in ("1.50", "2e-7", "1E5", "-0", "NaN", "1e400", "0.12345678901234567")
    ),
    *(3, 3.0, -0.0, 0.1, 1e16, 2**53 + 1, 12345678901234567890, float("nan"), float("inf"), True),
    *(
        None,
        "",
        "007",
        "1.10",
        "NA",
        "  two  spaces ",
        "e\u0301",
        "a\x07b",
        "\udcffx",
        "a\nb",
        "=1+1",
    ),
    *("x" * 40_000, "\U0001f600" * 20_000, date(2024, 1, 2), date(1850, 1, 1), time(3, 4, 5)),
    *(datetime(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 59, 999_600), timedelta(hours=30)),
    *(datetime(2024, 1, 2, 3, 4, tzinfo=UTC), Decimal("12.340"), Decimal("1E-7")),
    *([1, 2.5, "a"], {"a": Number("1.50")}, [], b"\xffab", Padded(7, 3)),
]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "xlsx", "parquet"])
@pytest.mark.parametrize("among", [[], [3], ["text"]], ids=["alone", "numbers", "texts"])
def test_a_key_is_the_same_of_the_row_its_output_and_its_correction(
    tmp_path: Path, suffix: str, among: list[object]
) -> None:
    """Each cell is in a column of its own, for whose kind the other row counts, too."""
    corrections = Corrections(tmp_path / f"out.{suffix}", (), "label", "reviewed_label")
    names = [f"cell {number}" for number in range(len(NASTY))]
    rows = [dict(zip(names, NASTY, strict=True)), *(dict.fromkeys(names, other) for other in among)]
    keys = []
    for path in (corrections.output, corrections.path, None):
        keys.append({name: corrections.key(rows[0], [name]) for name in names})
        if path:
            write_table(path, [Column(name) for name in names], rows)
            rows = [dict(document.fields) for document in open_source(str(path))]
    assert keys[1:] == keys[:1] * 2


def test_a_key_is_the_same_whatever_format_the_row_came_from() -> None:
    names = ["id", "total"]
    assert key_of({"id": "007", "total": 3}, names) == key_of({"total": "3", "id": "007"}, names)
    assert key_of({"id": "007", "total": 3.0}, names) == key_of({"id": "007", "total": 3}, names)
    assert key_of({"id": "7", "total": 3}, names) != key_of({"id": "007", "total": 3}, names)


def test_a_strangers_workbook_chooses_no_table_of_mine(tmp_path: Path) -> None:
    """It says by itself which output it corrects: only one beside it, that a run has written."""
    mine, download = tmp_path / "mine", tmp_path / "download"
    mine.mkdir()
    download.mkdir()
    write_rows(mine / "in.csv", [{"text": "one"}, {"text": "two"}])
    classify = ("classify", "in.csv", "--labels", "a,b", "--model", "echo", "-o", "out.csv")
    pipeline(*classify, "--review", "../download/look.xlsx", folder=mine)
    before = (mine / "out.csv").read_bytes()
    ended = pipeline("review", "look.xlsx", folder=download)
    assert ended.code == 2
    (error,) = ended.errors
    assert "lies elsewhere or wasn't written by a run: if that is right, name it with -o" in error
    assert (mine / "out.csv").read_bytes() == before
    assert sorted(path.name for path in download.iterdir()) == ["look.xlsx"]
    assert pipeline("review", "look.xlsx", "-o", "../mine/out.csv", folder=download).code == 0


@pytest.mark.parametrize("name", [".", "..", "/", "x" * 5_000, "a_x0000_b", "/proc/self/environ"])
def test_a_workbook_of_an_output_that_no_file_can_be_is_a_line(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / "in.csv", [{"text": "one"}, {"text": "two"}])
    classify = ("classify", "in.csv", "--labels", "a,b", "--model", "echo", "-o", "out.csv")
    pipeline(*classify, "--review", "look.xlsx", folder=tmp_path)
    with ZipFile(tmp_path / "look.xlsx") as made, ZipFile(tmp_path / "odd.xlsx", "w") as odd:
        for part in made.namelist():
            named = made.read(part).replace(b"<t>out.csv</t>", f"<t>{name}</t>".encode())
            odd.writestr(part, named)
    ended = pipeline("review", "odd.xlsx", folder=tmp_path)
    assert (ended.code, len(ended.errors)) == (2, 1)
    assert "wasn't written by a run: if that is right, name it with -o" in ended.errors[0]
