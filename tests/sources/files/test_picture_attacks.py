"""A folder of files that attack whoever decodes them, beside good ones: each has its row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import bounded
from tests.pictures import lying, scan, write
from tests.running import PRICE, column, read_rows, write_rows
from tests.server import Server
from tests.sources.files import attacks
from tests.sources.files.fuzz import fuzz
from tests.sources.samples import docx

# What a hang comes to where the system gives each process a few seconds of a processor.
ENDED = "reading it crashed or takes more memory than one file may have: it may be damaged"
DECODERS = """
import json
from pipeline.cli import app
sys.argv[0] = "pipeline"
try:
    app()
except SystemExit as end:
    names = {name.partition(".")[0] for name in sys.modules}
    print(json.dumps([end.code, sorted(names & {"PIL", "pi_heif", "pypdfium2", "xberg"})]))
"""


def command(server: Server, *arguments: str) -> list[str]:
    given = ["-o", "out.csv", "-m", "gpt-6-luna", "--base-url", server.base_url]
    return [*arguments, *given, "--price", ",".join(PRICE)]


def good(folder: Path) -> Sequence[str]:
    """Write good files; give their names."""
    write(folder, "a.jpg", "b.png", "c.heic", "d.webp")
    lying(folder / "e.jpg", 4000, 3000)
    scan(folder / "f.pdf", pages=2)
    (folder / "g.docx").write_bytes(docx("Two days."))
    (folder / "h.txt").write_text("words", "utf-8")
    return ["a.jpg", "b.png", "c.heic", "d.webp", "e.jpg", "f.pdf", "g.docx", "h.txt"]


def test_each_attack_has_its_row_beside_good_files_in_little_memory(
    tmp_path: Path, server: Server
) -> None:
    names = good(attacks.write(tmp_path / "in"))
    ended = bounded.pipeline(
        *command(server, "summarize", "in"), seconds=6, megabytes=1500, cwd=tmp_path
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 1, ended.stderr
    rows = {row["document"]: row for row in read_rows(tmp_path / "out.csv")}
    assert rows.keys() == {*attacks.ATTACKS, *names}
    assert {name: rows[name]["error"] for name in names} == dict.fromkeys(names, "")
    for name, attack in attacks.ATTACKS.items():
        expected = ENDED if attack.error == attacks.HANGS else attack.error
        assert rows[name]["error"].startswith(expected), (name, rows[name]["error"])
        assert bool(rows[name]["error"]) == bool(expected), (name, rows[name]["error"])
        assert rows[name]["status"] == ("failed" if expected else "ok")


@pytest.mark.parametrize("arguments", [["in"], ["in/t.csv", "--image-column", "photo"]])
def test_the_main_process_loads_nothing_that_decodes(
    tmp_path: Path, server: Server, arguments: list[str]
) -> None:
    good(tmp_path / "in")
    write_rows(tmp_path / "in/t.csv", [{"photo": name} for name in ("a.jpg", "c.heic", "f.pdf")])
    asked = command(server, "run", *arguments, "--instruction", "What is it?")
    ended = bounded.run(DECODERS, *asked, seconds=60, megabytes=4000, cwd=tmp_path)
    assert json.loads(ended.stdout) == [0, []], ended.stderr
    assert set(column(read_rows(tmp_path / "out.csv"), "status")) == {"ok"}
    assert server.tally.received >= 3


def test_damaged_documents_and_pictures_have_their_rows(tmp_path: Path) -> None:
    outcomes = list(fuzz(tmp_path, 150, seed=0))
    assert [outcome for outcome in outcomes if outcome.is_end] == []
    assert {bool(outcome.error) for outcome in outcomes} == {True, False}
