"""Nothing of the working folder runs in the program's own process, however it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.running import SCRIPT, environment, read_rows, write_rows

# What is imported early, what is imported late, and what isn't there but is looked for.
# `python -m` itself imports contextlib, types, warnings and pkgutil, before the program begins.
NAMES = (
    *(
        "__future__",
        "signal",
        "socket",
        "pickle",
        "json",
        "typing",
        "sqlite3",
        "tempfile",
        "logging",
    ),
    *("typer", "click", "numpy", "openai", "orjson", "dotenv", "yaml", "filelock", "colorama"),
)
EVIL = 'open({marker!r}, "a").write(__name__ + "\\n")\nraise ImportError("not the one you want")\n'
WAYS = {
    "script": [SCRIPT],
    "module": [sys.executable, "-m", "pipeline"],
    "module, safe path": [sys.executable, "-P", "-m", "pipeline"],
    "entry point": [sys.executable, "-c", "from pipeline.__main__ import main; main()"],
}
RUN = ("run", "in.csv", "--instruction", "Say it.", "-o", "out.csv", "--model", "echo")


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """Make a folder that was downloaded: a table, and modules that leave a mark when they run."""
    folder = tmp_path / "download"
    folder.mkdir()
    write_rows(folder / "in.csv", [{"text": "Hello"}])
    for name in NAMES:
        text = EVIL.format(marker=str(tmp_path / "marker"))
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_no_module_of_the_working_folder_is_imported(download: Path, way: str) -> None:
    check(download, way)


@pytest.mark.parametrize("way", ["module", "entry point"])
@pytest.mark.parametrize("entry", ["", ".", "../download"])
def test_an_empty_or_relative_entry_of_pythonpath_counts_for_nothing(
    download: Path, way: str, entry: str
) -> None:
    (download / "typing.py").unlink()  # what Python itself imports from there isn't ours to stop
    check(download, way, PYTHONPATH=f"{entry}{os.pathsep}{os.path.abspath(os.sep)}")


def test_a_checkout_that_is_not_installed_runs_from_its_own_folder() -> None:
    code = "import sys; sys.path = [p for p in sys.path if p != {root!r}]; "
    code += "from pipeline.__main__ import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code.format(root=str(ROOT)), "--version"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("pipeline 0.1.0\n", "")


def check(download: Path, way: str, **env: str) -> None:
    """Check that a run ends well and leaves no mark."""
    ended = subprocess.run(
        [*WAYS[way], *RUN],
        cwd=download,
        env=environment(OPENAI_API_KEY="sk-key", **env),
        capture_output=True,
        text=True,
        check=False,
    )
    marker = download.parent / "marker"
    assert not marker.exists(), marker.read_text(encoding="utf-8")
    assert (ended.returncode, "rror" in ended.stderr) == (0, False), ended.stderr
    assert [row["output"] for row in read_rows(download / "out.csv")] == ["Hello"]
