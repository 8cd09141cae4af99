"""Who reads what a run says may go away, or never have been there: its output is written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.running import SCRIPT, environment, read_rows, write_rows

ROWS = 300


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("option", ["", "--json-log"])
@pytest.mark.parametrize(
    "end", ["2>/dev/full", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>&1 | head -c 1"]
)
def test_a_run_that_nobody_can_hear_is_written(tmp_path: Path, end: str, option: str) -> None:
    write_rows(tmp_path / "in.csv", [{"text": f"text {number}"} for number in range(ROWS)])
    command = f"{SCRIPT} run in.csv --instruction x --model echo -o out.csv {option} {end}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert [row["status"] for row in read_rows(tmp_path / "out.csv")] == ["ok"] * ROWS
