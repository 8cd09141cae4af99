"""Which rows count, and when two cells are the same."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.evaluation.gold import read, seen
from pipeline.evaluation.pairs import Expected, Pair
from pipeline.outputs.tables import write_table
from pipeline.types import Column

RUN = ["status", "error", "model", "cost_usd", "latency_seconds"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("  a \u00a0 b\t", "a b"),
        ("e\u0301", "é"),
        ("\ufeffbug\u200b", "bug"),
        ("Bug", "Bug"),
        (True, "true"),
        (3, "3"),
        (3.0, "3"),
        ("3.0", "3"),
        (3.25, "3.25"),
        ("007", "007"),
        ("007.0", "007.0"),
        ("1.10", "1.10"),
        (Decimal("3.00"), "3"),
        (date(2026, 1, 31), "2026-01-31"),
        ("NA", "NA"),
        (["a"], '["a"]'),
    ],
)
def test_a_cell_as_a_reader_sees_it(cell: object, text: str) -> None:
    assert seen(cell) == text


@pytest.mark.parametrize("suffix", ["csv", "tsv", "xlsx", "parquet", "jsonl"])
def test_each_format_says_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    names = ["id", "text", "gold", "label", "confidence", *RUN]
    cells = [
        ("007", "Hello", "a", "a", 0.5, "ok", None, "m", Decimal("0.0000125"), 1.0),
        ("008", "It is wrong", "a", "b", None, "ok", None, "m", Decimal("0.5"), 1.0),
        ("009", "Bye", "a", None, None, "failed", "no", None, None, None),
        ("010", "Nobody said", None, "b", 1.0, "ok", None, "m", Decimal(0), 1.0),
        ("011", "Spaces", "a  b", "a b", 1.0, "ok", None, "m", Decimal(0), 1.0),
    ]
    kinds = {"cost_usd": "decimal", "confidence": "number", "latency_seconds": "number"}
    columns = [Column(name, kinds.get(name, "text")) for name in names]  # type: ignore[arg-type]
    write_table(path, columns, [dict(zip(names, row, strict=True)) for row in cells])
    found = read(str(path), Expected.parse("gold"), on="id")
    assert (found.blank, found.unreadable, found.pairs) == (1, 0, (Pair("label", "gold"),))
    assert [row.key for row in found.rows] == ["007", "008", "009", "011"]
    first, second, third, last = found.rows
    assert (first.right, first.status, first.spelled) == (True, "ok", False)
    assert (first.cost_usd, first.confidence, first.text) == (Decimal("0.0000125"), 0.5, "")
    assert (second.right, second.text, second.confidence) == (False, "It is wrong", None)
    assert (third.predicted, third.status, third.cost_usd) == (("",), "failed", None)
    assert (last.right, last.spelled) == (True, True)


def test_a_line_that_cannot_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("gold,label\na,a\na,b,c,d\n")
    found = read(str(path), Expected.parse("gold"))
    assert (len(found.rows), found.unreadable) == (1, 1)


def test_fields_may_be_written_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text(
        "gold_a,gold_b,a,b\n"
        '"1,000.00",€12.50,1000,12.5\n'
        "ACME Ltd,Invoice,Acme  ltd,invoice\n"
        '"1,00",12.5 $,100,12.5\n'
        "31/01/2026,n/a,2026-01-31,\n"
    )
    found = read(str(path), Expected.parse("a=gold_a", "b=gold_b"))
    assert [
        tuple(wanted == given for wanted, given in zip(row.expected, row.predicted, strict=True))
        for row in found.rows
    ] == [(True, True), (True, True), (False, True), (False, False)]


def test_a_label_may_be_written_in_another_case(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("gold,label\nBug,bug\nBUG,bug\nbug,bug\nUS,US\nUs,us\nuS,praise\n")
    found = read(str(path), Expected.parse("gold"))
    assert [row.right for row in found.rows] == [True, True, True, True, False, False]
    assert [row.spelled for row in found.rows] == [True, True, False, False, False, False]
    path.write_text('gold,label\n"Bug, Praise","[""bug"", ""praise""]"\n')
    (row,) = read(str(path), Expected.parse("gold")).rows
    assert row.right


def test_a_label_may_be_written_with_punctuation_around_it(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("gold,label\nbilling!,billing\n'Bug'.,bug\nA*,A\nok,ok\nok!,OK!\nok.,ok\n")
    found = read(
        str(path), Expected.parse("gold")
    )  # of `ok.` nobody knows whether it is `ok` or `OK!`
    assert [row.right for row in found.rows] == [True, True, False, True, True, False]
    assert [row.spelled for row in found.rows] == [True, True, False, False, True, False]


def test_what_is_expected_may_be_a_set_with_commas_in_its_labels(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(
        '{"gold": "Bug, billing, refunds", "label": ["billing, refunds", "bug"]}\n'
        '{"gold": "billing; bug", "label": ["billing, refunds", "bug"]}\n'
    )
    assert [row.right for row in read(str(path), Expected.parse("gold")).rows] == [True, False]


def test_a_cell_that_nests_without_end_is_a_wrong_answer(tmp_path: Path) -> None:
    path, deep = tmp_path / "out.csv", "[" * 100_000
    path.write_text(f"gold,label\nbug,{deep}\n{deep},bug\n")
    assert [row.right for row in read(str(path), Expected.parse("gold")).rows] == [False, False]


def test_values_of_fields_are_the_same_where_their_numbers_are(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("gold_a,gold_b,a,b\n1.50,007,1.5,007\n1.5,007,1.5,7\n1.5,,1.50,\n,,,\n")
    found = read(str(path), Expected.parse("gold_a,gold_b"))
    assert [row.right for row in found.rows] == [True, False, True]
    assert found.blank == 1


def test_sets_of_labels_have_no_order_and_several_spellings(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(
        '{"gold": "bug; billing", "label": ["billing", "bug"]}\n'
        '{"gold": ["bug"], "label": ["bug", "bug"]}\n'
        '{"gold": "[\\"bug\\"]", "label": []}\n'
        '{"gold": "bug", "label": null}\n'
    )
    found = read(str(path), Expected.parse("gold"))
    assert found.several
    assert [row.expected for row in found.rows[:2]] == [('["billing", "bug"]',), ('["bug"]',)]
    assert [row.right for row in found.rows] == [True, True, False, False]
    assert [row.predicted for row in found.rows[2:]] == [("[]",), ("",)]


def test_a_label_in_brackets_is_no_set(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("gold,label\n[bug],[bug]\n[a,[b\n")
    found = read(str(path), Expected.parse("gold"))
    assert not found.several
    assert found.rows[0].expected == ("[bug]",)
