"""Who reads what a run says may go away, or never have been there: its output is written.

Where standard output is the result, a full one is an error with its line.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.running import SCRIPT, environment, read_rows, write_rows

ROWS = 300
RUN = ("run", "in.csv", "--instruction", "x", "--model", "echo", "-o", "out.csv")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@full
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


@full
@pytest.mark.parametrize(
    "command",
    [
        ("models",),
        ("--help",),
        ("--version",),
        (*RUN, "--dry-run"),
        ("estimate", *RUN[1:-2]),
        ("evaluate", "in.csv", "--expected", "gold"),
        ("evaluate", "in.csv", "--expected", "gold", "--json"),
    ],
    ids=lambda command: " ".join(command[-2:]),
)
def test_what_cannot_be_written_to_a_full_standard_output_is_a_line(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    row = {"text": "a"} if "echo" in command else {"text": "a", "output": "a", "gold": "a"}
    write_rows(tmp_path / "in.csv", [row])
    with open("/dev/full", "w") as stdout:
        done = subprocess.run(
            [SCRIPT, *command],
            cwd=tmp_path,
            env=environment(),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: standard output can't be written: No space left on device"
    )
    assert done.stderr.count("error") == 1
