"""The wheel, installed as a user would: built, put into an empty environment by pip, and run."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(900)  # it downloads what a new user downloads
def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, folder=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    programs = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    run(programs / "python", "-m", "pip", "install", "-q", wheel, folder=tmp_path)
    assert run(programs / "pipeline", "--version", folder=tmp_path).startswith("pipeline 0.")
    (tmp_path / "in.csv").write_text("id,text\n007,Hello\n")
    labels = ("--labels", "Hello,Bye", "--model", "echo")
    run(programs / "pipeline", "classify", "in.csv", "-o", "out.csv", *labels, folder=tmp_path)
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("007,Hello,Hello,ok,")
