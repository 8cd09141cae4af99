"""A run that knows some right answers writes what its confidence is worth beside what it was."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.calibrated import Calibrated, Known
from pipeline.evaluation.calibration import brier, calibrate, ece, unseen
from tests.running import Ended, column, pipeline, query, read_rows, write_rows
from tests.server import Fault, Server

# The model says `bug` of all, and boasts: how sure it is, and of how many rows it is right.
SURE = {"high": (0.9, 0.7), "low": (0.6, 0.4)}
ROWS = 60  # of each sort; every third has no known answer
ESCALATE = ("--escalate", "big", "--escalate-price", "10,20")


def answer(body: dict[str, Any]) -> str:
    sort = body["messages"][-1]["content"].partition(" ")[0]
    if body["model"] == "big":
        return '{"label":"praise"}  '
    return f'{{"label":"bug"}}{" " * round(SURE[sort][0] * 100)}'


def spaces(text: str) -> list[Any]:
    """Say how sure an answer is by the spaces at its end."""
    sure = (len(text) - len(text.rstrip())) / 100
    names = ("bug", "praise") if "bug" in text else ("praise", "bug")
    share = sure if "bug" in text else 0.8
    seen = [
        {"token": name, "logprob": math.log(part)}
        for name, part in zip(names, (share, 1 - share), strict=True)
    ]
    begun = {"token": '{"label":"', "logprob": 0.0, "top_logprobs": []}
    return [begun, {**seen[0], "top_logprobs": seen}, {**begun, "token": '"}'}]


def table(folder: Path, rows: int = ROWS) -> None:
    write_rows(
        folder / "in.csv",
        [
            {
                "text": f"{sort} {number}",
                "gold": "" if number % 3 == 2 else "bug" if number < right * rows else "praise",
            }
            for number in range(rows)
            for sort, (_, right) in SURE.items()
        ],
    )


@pytest.fixture
def folder(tmp_path: Path, server: Server) -> Path:
    server.change(answer=answer, logprobs=spaces)
    table(tmp_path)
    return tmp_path


def classify(folder: Path, server: Server, *options: object) -> Ended:
    return pipeline(
        *("classify", "in.csv", "--labels", "bug,praise", "-o", "out.csv", "--model", "small"),
        *("--base-url", server.base_url, "--price", "1,2", "--text-column", "text", *options),
        folder=folder,
    )


def numbers(rows: Iterable[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def test_the_confidence_that_is_written_is_what_it_is_worth(folder: Path, server: Server) -> None:
    ended = classify(folder, server, "--confidence", "--expected", "gold")
    assert (ended.code, ended.errors) == (0, [])
    rows = read_rows(folder / "out.csv")
    assert list(rows[0])[:5] == ["text", "gold", "label", "confidence", "raw_confidence"]
    raw = numbers(rows, "raw_confidence")
    assert raw == [SURE[row["text"].split()[0]][0] for row in rows]
    gold = [row for row in rows if row["gold"]]
    sure, right = numbers(gold, "raw_confidence"), [row["gold"] == "bug" for row in gold]
    learned = calibrate(sure, right)
    assert learned is not None
    # Rows that nobody has labelled have what all labelled ones teach, the others what others do.
    blank = [row for row in rows if not row["gold"]]
    whole = learned.apply(numbers(blank, "raw_confidence"))
    assert numbers(blank, "confidence") == pytest.approx(whole, abs=1e-4)
    others = unseen(sure, right)
    assert numbers(gold, "confidence") == pytest.approx(others, abs=1e-4)
    assert len(set(column(gold, "confidence"))) > len(set(column(blank, "confidence"))) == 2
    assert (
        "the confidence of small is calibrated on 80 rows with a known answer (Platt scaling): "
        f"expected calibration error {ece(sure, right):.3f} (Brier score "
        f"{brier(sure, right):.4f}) -> {ece(others, right):.3f} "
        f"(Brier score {brier(others, right):.4f})"
    ) in ended.lines
    assert ece(others, right) < 0.1 < ece(sure, right)


def test_a_confidence_that_tells_nothing_is_said_to() -> None:
    known = [Known(i, "m", 0.9 + i % 7 / 100, i % 3 > 0) for i in range(90)]
    first, second = Calibrated(known).notes
    assert first.startswith("the confidence of m is calibrated on 90 rows")
    assert second == (
        "the confidence of m hardly tells right answers from wrong ones: calibrated, it is near "
        "67%, the share of right answers, in all rows; raw_confidence still ranks them"
    )
    telling = [Known(i, "m", 0.99 if i % 3 else 0.8, i % 3 > 0) for i in range(90)]
    assert len(Calibrated(telling).notes) == 1


def test_an_evaluation_is_not_fooled_by_it(folder: Path, server: Server) -> None:
    ended = classify(folder, server, "--confidence", "--expected", "gold", "--prefix", "ai_")
    (said,) = [line for line in ended.lines if "is calibrated on" in line]
    before, after = re.findall(r"([0-9.]+) \(Brier", said)
    rows = read_rows(folder / "out.csv")
    assert "ai_raw_confidence" in rows[0]
    told = pipeline("evaluate", "out.csv", "--expected", "gold", folder=folder).out
    assert (
        f"(column ai_raw_confidence), 55.0% correct; expected calibration error (ECE) {before}"
        in told
    )
    assert f"{after} once calibrated on these labels" in told


def test_the_journal_keeps_what_the_model_showed(folder: Path, server: Server) -> None:
    command = ("--confidence", "--expected", "gold")
    assert classify(folder, server, *command).code == 0
    first = read_rows(folder / "out.csv")
    shown = query(folder / "out.csv.journal", "SELECT DISTINCT confidence FROM results ORDER BY 1")
    assert shown == [(0.6,), (0.9,)]
    # The same again writes the same, and a run that knows no answers what the model showed.
    (folder / "out.csv").unlink()
    assert classify(folder, server, *command).code == 0
    assert read_rows(folder / "out.csv") == first
    assert classify(folder, server, "--confidence").code == 0
    rows = read_rows(folder / "out.csv")
    assert "raw_confidence" not in rows[0]
    assert column(rows, "confidence") == column(first, "raw_confidence")
    assert server.tally.received == 2 * ROWS


def learn(confidence: Iterable[float], right: Iterable[bool]) -> Calibrated:
    rows = enumerate(zip(confidence, right, strict=True))
    return Calibrated([Known(place, "small", sure, bool(hit)) for place, (sure, hit) in rows])


def test_what_is_true_already_is_left_as_it_is() -> None:
    # 45 of 50 rows of 0.9 are right, and 30 of 50 of 0.6: nothing has a lower Brier score.
    found = learn([0.9] * 50 + [0.6] * 50, [True] * 45 + [False] * 5 + [True] * 30 + [False] * 20)
    assert [found.apply(place, "small", 0.9) for place in (0, 200)] == [0.9, 0.9]
    (note,) = found.notes
    assert note.startswith(
        "the confidence of small stays as it is: calibrated on 100 rows with a known answer it "
        "would be no better: expected calibration error 0.000 (Brier score 0.1650) -> "
    )


def test_a_lower_calibration_error_alone_is_no_reason_to_calibrate() -> None:
    random = np.random.default_rng(5)
    sure = random.uniform(0.5, 1, 60).round(4)
    right = random.random(60) < sure
    others = unseen(sure, right)
    assert ece(others, right) < ece(sure, right)
    assert brier(others, right) > brier(sure, right)
    assert learn(sure.tolist(), right.tolist()).apply(99, "small", 0.9) == 0.9


def test_too_few_known_answers_leave_it_as_it_is(folder: Path, server: Server) -> None:
    table(folder, rows=6)
    ended = classify(folder, server, "--confidence", "--expected", "gold")
    rows = read_rows(folder / "out.csv")
    assert column(rows, "confidence") == column(rows, "raw_confidence") == ["0.9", "0.6"] * 6
    assert (
        "the confidence of small stays as it is: of 8 rows with a known answer 6 are right, "
        "and calibration takes 5 right and 5 wrong"
    ) in ended.lines


def test_what_has_no_answer_has_no_confidence(folder: Path, server: Server) -> None:
    refuse = Fault("content_filter", where=lambda body: body["messages"][-1]["content"] == "low 1")
    server.change(faults=(refuse,))
    ended = classify(folder, server, "--confidence", "--expected", "gold")
    assert ended.code == 1
    assert any("calibrated on 79 rows" in line for line in ended.lines)
    (row,) = [row for row in read_rows(folder / "out.csv") if row["text"] == "low 1"]
    assert (row["status"], row["confidence"], row["raw_confidence"]) == ("failed", "", "")


def test_the_threshold_is_of_what_the_model_showed_and_each_model_has_its_own(
    folder: Path, server: Server
) -> None:
    ended = classify(folder, server, *ESCALATE, "--below", 0.85, "--expected", "gold")
    assert ended.code == 0
    rows = read_rows(folder / "out.csv")
    # Calibrated, 0.9 is less than 0.85, too: yet those answers stand.
    assert {row["model"] for row in rows if row["text"].startswith("high")} == {"small"}
    assert {row["model"] for row in rows if row["text"].startswith("low")} == {"big"}
    assert set(column(rows, "raw_confidence")) == {"0.9", "0.8"}
    lines = [line for line in ended.lines if "is calibrated on 40 rows" in line]
    assert [re.findall("confidence of (small|big)", line) for line in lines] == [["small"], ["big"]]
    for model, share in (("small", 0.7), ("big", 0.6)):
        blank = [row for row in rows if row["model"] == model and not row["gold"]]
        assert numbers(blank, "confidence") == pytest.approx([share] * len(blank), abs=0.03)


def test_several_labels_are_right_in_any_order(tmp_path: Path, server: Server) -> None:
    server.change(answer=lambda body: '{"labels":["bug","praise"]}')
    gold = ["praise, bug", "bug"] * 10 + [""]
    rows = [{"text": f"text {number}", "gold": each} for number, each in enumerate(gold)]
    write_rows(tmp_path / "in.csv", rows)
    ended = classify(tmp_path, server, "--multi", "--votes", 2, "--expected", "gold")
    assert (ended.code, ended.errors) == (0, [])
    *_, last = read_rows(tmp_path / "out.csv")
    assert (last["labels"], last["raw_confidence"]) == ('["bug","praise"]', "1.0")
    assert float(last["confidence"]) == pytest.approx(0.5, abs=0.01)


def test_without_scikit_learn_nothing_is_sent(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # importing it raises ImportError
    ended = classify(folder, server, "--confidence", "--expected", "gold")
    assert ended.code == 2
    assert ended.errors[0].startswith("error: this needs the extra `evaluate`")
    assert server.tally.received == 0
