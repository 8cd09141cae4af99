"""What the documentation says is so: files and links exist, options are options."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

from pipeline.engine.rows import ACCOUNT, CHUNKS
from pipeline.prompting.loading import parse
from tests.conftest import ROOT
from tests.docs_answers import fitting
from tests.server import Server

COMMANDS = ("run", "summarize", "classify", "extract", "estimate", "models", "evaluate", "review")
# Options of other programs: pip and uv.
OTHERS = {"--dist", "--no-deps", "--reinstall"}
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path: path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
}


def usage(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def after(marker: str) -> str:
    """Give the one line of the code block after a marker."""
    found = re.search(rf"<!-- {marker} -->\n```sh\n(.+)\n```", README)
    assert found, marker
    return found.group(1)


def test_the_file_map_names_what_is_there_and_all_of_the_package() -> None:
    table = README[README.index("| where | what |") :]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    paths = {name if "/" in name else f"pipeline/{name}" for name in named}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    parts = {path.name for path in (ROOT / "pipeline").iterdir() if not path.name.startswith("_")}
    listed = {path.rstrip("/").rpartition("/")[2] for path in paths}
    assert sorted(parts - listed - {"py.typed", "prompts"}) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_explains_itself(command: str) -> None:
    assert usage(command).startswith(f"Usage: python -m pipeline {command}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings}
        assert not anchor or anchor in anchors, link


def test_every_page_is_linked() -> None:
    linked = {page for page in PAGES if f"]({page.relative_to(ROOT).as_posix()})" in README}
    assert linked == set(PAGES) - {ROOT / "README.md"}


def test_every_option_of_the_documentation_is_one() -> None:
    known = usage() + "".join(usage(command) for command in COMMANDS)
    text = "\n".join(PAGES.values())
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert sorted(option for option in options - OTHERS if option not in known) == []


def test_every_column_of_the_readme_is_one() -> None:
    table = README[README.index("## What comes out") : README.index("Duplicate rows")]
    named = set(re.findall(r"`([a-z_]+)`", table)) - {
        "output",
        "outputs",
        "ok",
        "failed",
        "skipped",
    }
    assert named == {column.name for column in (*ACCOUNT, *CHUNKS)}


def test_the_prompt_of_the_documentation_is_one() -> None:
    found = re.search(r"```yaml\n(---\n.+?)```", PAGES[ROOT / "docs" / "prompts.md"], re.DOTALL)
    assert found
    read = parse(found.group(1))
    assert [column.name for column in read.columns] == ["urgency", "reason"]


def test_nobody_is_told_to_install_a_package_of_this_name_from_an_index() -> None:
    code = sorted((ROOT / "pipeline").rglob("*.py"))
    for page in (*PAGES, *code):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(install|add|run|uvx|--with|--from)\b.*document-pipeline", text), (
            page
        )
        assert "document-pipeline[" not in text, page


def test_the_lines_that_set_up_need_python_alone_and_install_what_is_locked() -> None:
    setup = "python3 -m venv .venv && .venv/bin/pip install -q -r requirements-uv.lock && "
    setup += ".venv/bin/uv pip install -q -p .venv --no-deps -r requirements.lock "
    rest = "-r requirements-remote.lock -r requirements-dev.lock "
    build = "-b requirements.lock -e . && .venv/bin/"
    assert after("try").startswith(f"{setup}{build}pipeline classify data/tickets.csv ")
    assert after("test") == f"{setup}{rest}{build}pytest -n logical --dist worksteal"


def test_the_code_of_the_page_on_python_runs(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.change(answer=fitting)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-documentation")
    code = re.findall(r"```python\n(.+?)```", PAGES[ROOT / "docs" / "python.md"], re.DOTALL)
    assert len(code) > 5
    page = ModuleType("page_on_python")
    monkeypatch.setitem(sys.modules, page.__name__, page)  # where pydantic looks names up
    for block in code:
        block = block.replace("max_cost=", "price=(1, 2), max_cost=")  # this server has no prices
        exec(compile(block, "page", "exec"), page.__dict__)
    assert server.tally.billed.requests


def test_the_notebook_runs_on_the_embedded_model(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "docs" / "python.ipynb", as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert (tmp_path / "pipeline.journal").exists()
