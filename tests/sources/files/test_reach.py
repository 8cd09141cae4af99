"""What a cell of an image column can't reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import DocumentError
from pipeline.sources.files import images
from pipeline.sources.files.reach import MOST_CHARACTERS, Reach
from tests.pictures import write
from tests.running import pipeline, read_rows, write_rows
from tests.server import Server

DATA = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Make a folder for a table, with a picture in it and one beside it."""
    folder = tmp_path / "table"
    folder.mkdir()
    write(tmp_path, "table/in.png", "secret.png", "pics/a.png")
    return folder


def refusal(cell: str, reach: Reach) -> str:
    with pytest.raises(DocumentError) as raised:
        images.find(cell, reach)
    return str(raised.value)


def test_no_path_leads_out_of_the_tables_folder(table: Path) -> None:
    secret = table.parent / "secret.png"
    (table / "link.png").symlink_to(secret)
    (table / "up").symlink_to(table.parent)
    (table.parent / "table-2").mkdir()
    write(table.parent, "table-2/a.png")
    for cell in (
        str(secret),
        "../secret.png",
        "in.png/../../secret.png",
        "up/secret.png",
        "link.png",
        "../table-2/a.png",
        "/etc/passwd",
        f"{table}/../secret.png",
    ):
        assert refusal(cell, Reach(table)).endswith(
            f": the file lies outside of {table} (use --image-root to allow another folder)"
        )
    for cell in ("~/secret.png", "$HOME/secret.png"):
        assert "No such file" in refusal(cell, Reach(table))
    for cell in (f"file://{secret}", f"FILE:///{secret}", "local:///etc/passwd"):
        assert "give a file" in refusal(cell, Reach(table))


def test_links_and_paths_that_stay_in_the_folder_are_read(table: Path) -> None:
    (table / "link.png").symlink_to("in.png")
    alias = table.parent / "alias"
    alias.symlink_to(table)
    cells = ("in.png", "./in.png", "../table/in.png", "link.png", str(table / "in.png"))
    digests = {images.find(cell, Reach(alias))[0].digest for cell in cells}
    assert len(digests) == 1


def test_another_folder_is_allowed_by_naming_it(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pics = table.parent / "pics"
    for root in (pics, table.parent):
        assert images.find("../pics/a.png", Reach(table, root=root))
        assert images.find(str(pics / "a.png"), Reach(table, root=root))
    assert images.find("a.png", Reach(table, root=pics))  # its paths may start there, too
    assert "outside" in refusal(str(table / "in.png"), Reach(table, root=pics))
    assert "outside" in refusal("../secret.png", Reach(table, root=pics))
    monkeypatch.chdir(table)
    assert images.find("a.png", Reach(Path(), root=Path("../pics")))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("http://127.0.0.1:8080/a.png", "(use --image-host 127.0.0.1 to allow it)"),
        ("http://2130706433/a.png", "(use --image-host 2130706433 to allow it)"),
        ("http://169.254.169.254/latest/", "(use --image-host 169.254.169.254 to allow it)"),
        ("http://[::ffff:10.0.0.1]/", "(use --image-host ::ffff:10.0.0.1 to allow it)"),
        ("https://nas.local/a.png", "(use --image-host nas.local to allow it)"),
        ("http://a.test@127.0.0.1/", "not an address that is sent: it has a user name in it"),
        ("data:image/png,AAAA", "not base64 (data:image/...;base64,...)"),
        ("data:image/png;base64," + "A" * MOST_CHARACTERS, "over 50 MB in one cell"),
    ],
)
def test_an_address_that_is_not_sent_says_why(table: Path, cell: str, reason: str) -> None:
    assert refusal(cell, Reach(table)).endswith(reason)


def test_hosts_that_are_named_and_the_open_net_are_reached(table: Path) -> None:
    reach = Reach(table, hosts=["LOCALHOST", "[::1]", "10.0.0.1"])
    for cell in ("http://localhost:8/a", "http://[::1]/a", "http://10.0.0.1/a", "https://a.test/a"):
        assert images.find(cell, reach)[0].source == cell
    assert images.find(DATA, reach)[0].source == DATA
    assert "--image-host 10.0.0.2" in refusal("http://10.0.0.2/a", reach)


def test_rows_out_of_reach_fail_and_nothing_of_them_is_sent(table: Path, server: Server) -> None:
    cells = ["in.png", "../secret.png", "http://127.0.0.1/admin", "../pics/a.png"]
    write_rows(table / "in.csv", [{"photo": cell} for cell in cells])
    command = ["run", "in.csv", "--image-column", "photo", "--instruction", "What is it?"]
    command += ["-o", "out.csv", "--base-url", server.base_url]
    ended = pipeline(*command, folder=table)
    assert (ended.code, server.tally.answered) == (1, 1)
    assert [row["status"] for row in read_rows(table / "out.csv")] == ["ok"] + 3 * ["failed"]
    allowed = ["--image-root", f"..{os.sep}pics", "--image-host", "127.0.0.1"]
    pipeline(*command, *allowed, folder=table)
    statuses = [row["status"] for row in read_rows(table / "out.csv")]
    assert statuses == ["failed", "failed", "ok", "ok"]


def test_an_option_of_images_without_a_column_of_them_or_a_folder_is_refused(table: Path) -> None:
    write_rows(table / "in.csv", [{"text": "a", "photo": "in.png"}])
    command = ["run", "in.csv", "--instruction", "x", "-o", "out.csv", "--model", "echo"]
    ended = pipeline(*command, "--image-root", "..", folder=table)
    assert ended.errors == [
        "error: --image-root does nothing without --image-column: add that, or leave "
        "--image-root out"
    ]
    ended = pipeline(*command, "--image-column", "photo", "--image-root", "no", folder=table)
    assert ended.errors == ["error: --image-root no: there is no such folder"]
