"""Summaries and their judge: an ordinary run over an ordinary run's output, with its own cost."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.evaluation.judged import compare_scores, mean_interval, read_scores
from tests.running import asked, column, pipeline, read_rows, write_rows
from tests.server import Server

PRICE = ("--price", "1,1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of two documents and a table of two rows."""
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("The office in Leeds closes.")
    (texts / "b.txt").write_text("We buy two vans.")
    write_rows(
        tmp_path / "in.csv", [{"id": "1", "text": "It closes."}, {"id": "2", "text": "It opens."}]
    )
    return tmp_path


def judge(folder: Path, server: Server, *options: str) -> list[str]:
    command = ("-p", "judge", "--prefix", "judge_", "-o", "judged.csv")
    ended = pipeline(
        "run", *options, *command, "--base-url", server.base_url, *PRICE, folder=folder
    )
    return ended.errors


def test_summaries_of_a_table_are_judged(folder: Path, server: Server) -> None:
    where = ("--base-url", server.base_url, *PRICE)
    pipeline("summarize", "in.csv", "-o", "sums.csv", *where, folder=folder)
    assert judge(folder, server, "sums.csv") == []
    rows = read_rows(folder / "judged.csv")
    assert column(rows, "judge_status") == ["ok", "ok"]
    assert {"output", "cost_usd", "judge_score", "judge_missing", "judge_cost_usd"} <= set(rows[0])
    last = asked(server.tally)[-1]
    assert "It opens." in last and rows[1]["output"] in last
    told = pipeline("evaluate", "judged.csv", "--score", "judge_score", "--json", folder=folder)
    found = json.loads(told.out)
    assert found["rows"] == 2
    assert found["cost_usd"] == float(sum(Decimal(row["judge_cost_usd"]) for row in rows))


def test_summaries_of_a_folder_are_judged_beside_their_texts(folder: Path, server: Server) -> None:
    where = ("--base-url", server.base_url, *PRICE)
    pipeline("summarize", "texts", "-o", "sums.csv", *where, folder=folder)
    assert judge(folder, server, "texts", "--answers", "sums.csv") == []
    rows = read_rows(folder / "judged.csv")
    assert list(rows[0])[:3] == ["document", "output", "judge_unsupported"]
    assert column(rows, "output") == column(read_rows(folder / "sums.csv"), "output")
    last = asked(server.tally)[-1]
    assert "We buy two vans." in last and rows[1]["output"] in last


def test_a_document_without_an_answer_is_not_judged(folder: Path, server: Server) -> None:
    pipeline("summarize", "texts", "-o", "sums.csv", "--model", "echo", folder=folder)
    (folder / "texts" / "c.txt").write_text("It is new.")
    judge(folder, server, "texts", "--answers", "sums.csv")
    rows = read_rows(folder / "judged.csv")
    assert column(rows, "judge_status") == ["ok", "ok", "failed"]
    assert rows[2]["judge_error"] == "sums.csv has no answer for it"


def test_a_summary_is_not_judged_by_itself(folder: Path, server: Server) -> None:
    pipeline("summarize", "texts", "-o", "sums.csv", "--model", "echo", folder=folder)
    (line,) = judge(folder, server, "sums.csv", "--text-column", "output")
    assert line == (
        "error: prompt judge uses {{ text }} and {{ output }}, and the text of sums.csv is its "
        'column "output": name another with --text-column, or give the texts as INPUT and this '
        "table with --answers"
    )
    assert asked(server.tally) == []


def test_a_table_of_something_else_is_no_former_output(folder: Path, server: Server) -> None:
    (line,) = judge(folder, server, "texts", "--answers", "in.csv")
    assert line == "error: in.csv is no output of texts: it has no column document"


def scores(path: Path, cells: list[str]) -> Path:
    rows = [
        {
            "text": f"text {place}",
            "judge_missing": f"the date {place}",
            "judge_score": cell,
            "judge_status": "ok",
            "judge_error": "",
            "judge_cost_usd": "0.5",
        }
        for place, cell in enumerate(cells)
    ]
    return write_rows(path, rows)


def test_scores_have_a_mean_and_the_lowest_are_listed(tmp_path: Path) -> None:
    path = scores(tmp_path / "judged.csv", ["5", "1", "", "4", "2"])
    found = read_scores(str(path), "judge_score", worst=2)
    assert (found.rows, found.unscored, found.mean, found.cost_usd) == (4, 1, 3.0, Decimal("2.5"))
    assert [(low.name, low.score, low.said) for low in found.worst] == [
        ("judged.csv, line 3", 1, "the date 1"),
        ("judged.csv, line 6", 2, "the date 4"),
    ]
    assert 1 <= found.mean_interval.low < 3 < found.mean_interval.high <= 5


@pytest.mark.parametrize(
    ("worst", "lines"), [(0, []), (1, [3]), (3, [3, 5, 6]), (9, [3, 5, 6, 4, 2])]
)
def test_of_equal_scores_the_first_rows_are_listed(
    tmp_path: Path, worst: int, lines: list[int]
) -> None:
    path = scores(tmp_path / "judged.csv", ["5", "1", "4", "2", "2"])
    found = read_scores(str(path), "judge_score", worst=worst)
    assert [low.name for low in found.worst] == [f"judged.csv, line {line}" for line in lines]


def test_the_interval_of_many_different_scores_takes_little_memory() -> None:
    different = Counter({Decimal(score): 1 for score in range(4000)})
    tracemalloc.start()
    try:
        mean_interval(different)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200e6  # all resamples at once are 320 MB


def test_the_interval_of_a_mean_is_that_of_many_rows() -> None:
    # 400 rows, half 4 and half 5: the normal approximation is 4.5 +- 1.96 * 0.5 / 20.
    found = mean_interval(Counter({Decimal(4): 200, Decimal(5): 200}))
    assert found.low == pytest.approx(4.451, abs=0.005)
    assert found.high == pytest.approx(4.549, abs=0.005)
    alone = mean_interval(Counter({Decimal(4): 1}))
    assert (alone.low, alone.high) == (4, 4)


def test_the_text_of_scores(tmp_path: Path) -> None:
    scores(tmp_path / "judged.csv", ["5", "5", "", "4"])
    command = ("evaluate", "judged.csv", "--score", "judge_score", "--worst", 1)
    assert pipeline(*command, folder=tmp_path).out == (
        """\
judged.csv: `judge_score` of 3 rows; 1 row without a score left out
mean        4.67  (95% interval 4.00 to 5.00, bootstrap of 9,999 samples)
          5       2  66.7%
          4       1  33.3%
judging     2.00 USD

worst rows
  judged.csv, line 5: 4: the date 3
"""
    )


def test_two_judged_tables_are_compared_row_by_row(tmp_path: Path) -> None:
    scores(tmp_path / "a.csv", ["3"] * 8 + ["5", ""])
    scores(tmp_path / "b.csv", ["4"] * 7 + ["3", "4", "5"])
    scores(tmp_path / "short.csv", ["4"])
    command = ("evaluate", "a.csv", "b.csv", "--score", "judge_score")
    found = json.loads(pipeline(*command, "--json", folder=tmp_path).out)["comparison"]
    # Seven wins, one loss: 2 * (1 + 8) / 2 ** 8.
    assert (found["rows"], found["second_wins"], found["first_wins"]) == (9, 7, 1)
    assert found["p_value"] == pytest.approx(18 / 256)
    assert (found["take"], found["difference"]) == (None, pytest.approx(6 / 9))
    scores(tmp_path / "b.csv", ["4"] * 8 + ["5", ""])
    assert pipeline(*command, folder=tmp_path).out.splitlines()[-1] == (
        "Take b.csv: b.csv scores +0.89 against a.csv on average (+0.67 to +1.00; "
        "sign test, p = 0.0078)."
    )
    (line,) = pipeline(*command[:2], "short.csv", *command[3:], folder=tmp_path).errors
    assert line.startswith("error: a.csv and short.csv don't have the same rows: name the column")
    by_text = pipeline(*command, "--on", "text", "--json", folder=tmp_path)
    assert json.loads(by_text.out)["comparison"]["rows"] == 9


@pytest.mark.parametrize(
    ("first", "second", "take"),
    [
        (["4"] * 8 + ["5"], ["3"] * 8 + ["5"], "a.csv"),
        (["3"] * 8 + ["5"], ["4"] * 8 + ["5"], "b.csv"),
        # Four large losses outweigh sixteen small wins, which alone are no chance.
        (["5"] * 4 + ["3"] * 16, ["1"] * 4 + ["3.5"] * 16, None),
        (["1"] * 4 + ["3.5"] * 16, ["5"] * 4 + ["3"] * 16, None),
        # A mean that is higher by ten large wins, of as many wins as losses.
        (["1"] * 20, ["9"] * 10 + ["0.9"] * 10, None),
        (["3"], ["3"], None),
    ],
)
def test_wins_and_the_mean_must_agree_on_which_to_take(
    tmp_path: Path, first: list[str], second: list[str], take: str | None
) -> None:
    judged = [
        read_scores(str(scores(tmp_path / name, cells)), "judge_score")
        for name, cells in (("a.csv", first), ("b.csv", second))
    ]
    found = compare_scores(replace(judged[0], name="a.csv"), replace(judged[1], name="b.csv"))
    assert found.take == take
    assert found.verdict.startswith(f"Take {take}: " if take else "Can't tell which is better: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give the column of the right answers, --expected, or of scores, --score"),
        (("--score", "judge_score", "--expected", "text"), "give the column of the right answers"),
        (("--score", "scores"), 'judged.csv has no column "scores"'),
        (("--score", "text"), 'judged.csv: no row has a number in "text"'),
    ],
)
def test_a_column_without_scores_is_an_error(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    scores(tmp_path / "judged.csv", ["5"])
    (line,) = pipeline("evaluate", "judged.csv", *options, folder=tmp_path).errors
    assert line.startswith(f"error: {message}")
