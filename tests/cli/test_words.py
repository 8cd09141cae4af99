"""The plan in words."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipeline.cli.words import describe_plan
from pipeline.engine.build import open_run
from pipeline.engine.settings import Settings
from pipeline.prompting.loading import parse


def planned(folder: Path, texts: list[str], seconds: float) -> str:
    settings = Settings(
        input=pd.DataFrame({"text": texts}),
        prompt=parse("user:\n{{ text }}\n"),
        text_column="text",
        model="echo",
        journal=str(folder / "kept.journal"),
    )
    with open_run(settings, dry=True) as run:
        return describe_plan(run.plan(seconds), run)


@pytest.mark.parametrize(
    ("texts", "seconds", "told"),
    [
        (["", ""], 60.0, "2 rows, 2 are empty: nothing to ask"),
        (
            [""] * 500 + ["one"] * 500,
            -1.0,  # the first rows are all that is read of it
            "about 1,000 rows, 1,000 are empty: nothing to ask about the rows read so far; the run "
            "reads the rest",
        ),
    ],
)
def test_a_plan_without_requests_says_of_how_many_rows(
    tmp_path: Path, texts: list[str], seconds: float, told: str
) -> None:
    assert planned(tmp_path, texts, seconds) == told
