"""What is built of the program: it holds what it should, is the same each time, and runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(folder: Path, target: str, result: Path) -> Path:
    """Return what is built of a folder: the only file of another."""
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", result, folder=folder)
    (file,) = result.iterdir()
    return file


@pytest.fixture
def littered(tmp_path: Path) -> Path:
    """Give a copy of the repository in which somebody has worked."""
    ignore = shutil.ignore_patterns(".*_cache", ".venv", ".git", ".hypothesis", "__pycache__")
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=ignore, copy_function=shutil.copyfile)
    for folder in (".", "pipeline", "pipeline/cli", "prompts", "data", "docs"):
        for name in (".env", "labels.csv.journal", "__pycache__/left.pyc"):
            (copy / folder / name).parent.mkdir(exist_ok=True)
            (copy / folder / name).write_text("OPENAI_API_KEY=sk-mine")
    return copy


def test_the_wheel_holds_the_package_its_prompts_and_the_licence(
    littered: Path, tmp_path: Path
) -> None:
    wheel = zipfile.ZipFile(build(littered, "wheel", tmp_path / "wheel"))
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.py")}
    prompts = {f"pipeline/prompts/{path.name}" for path in (ROOT / "prompts").glob("*.prompty")}
    assert names == code | prompts | {"pipeline/py.typed"}
    about = {name.partition("/")[2] for name in wheel.namelist()} - {
        name.partition("/")[2] for name in names
    }
    assert about == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_the_source_holds_no_key_and_nothing_that_a_run_left(
    littered: Path, tmp_path: Path
) -> None:
    with tarfile.open(build(littered, "sdist", tmp_path / "sdist")) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"LICENSE", "README.md", "SECURITY.md", "requirements.lock", "docs/sbom.json"} <= names
    assert [name for name in names if name.endswith((".env", ".journal", ".pyc"))] == []


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_what_is_built_is_the_same_wherever_it_is_built(
    target: str, littered: Path, tmp_path: Path
) -> None:
    here = build(ROOT, target, tmp_path / "here")
    elsewhere = build(littered, target, tmp_path / "elsewhere")
    assert here.read_bytes() == elsewhere.read_bytes()


@pytest.mark.timeout(900)  # it downloads what a new user downloads
def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    wheel = build(ROOT, "wheel", tmp_path / "wheel")
    venv.create(tmp_path / "env")
    programs = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    install = (sys.executable, "-m", "uv", "pip", "install", "-q", "-p", programs / "python")
    run(*install, wheel, folder=tmp_path)
    assert run(programs / "pipeline", "--version", folder=tmp_path).startswith("pipeline 0.")
    (tmp_path / "in.csv").write_text("id,text\n007,Hello\n")
    labels = ("--labels", "Hello,Bye", "--model", "echo")
    run(programs / "pipeline", "classify", "in.csv", "-o", "out.csv", *labels, folder=tmp_path)
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("007,Hello,Hello,ok,")
