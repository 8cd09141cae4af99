"""Inputs and outputs that live elsewhere, as a user names them on the command line."""

from __future__ import annotations

import csv
import io
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.places import S3, Page, serve_web
from tests.running import PROMPT, Ended, asked, counts, pipeline
from tests.server import Server
from tests.sources.samples import pdf

FILES = {
    "in/a.txt": b"first",
    "in/a/x.md": b"second",
    "in/a/y.pdf": pdf("third"),
    "in/z.txt": b"fourth",
}
NAMES = ["a.txt", "a/x.md", "a/y.pdf", "z.txt"]
TABLE = b'id,text,note\r\n007,first,NA\r\n008,"sec,ond",\r\n'


@pytest.fixture
def bucket(s3: S3) -> str:
    s3.put("bucket", FILES | {"in/.hidden": b"x", "in/b.csv.journal": b"x", "in/folder/": b""})
    s3.calls.clear()
    return "bucket"


class Elsewhere:
    """A folder to run commands in, whose user's data folder is known."""

    def __init__(self, folder: Path, server: Server, s3: S3) -> None:
        self.folder = folder
        self.journals = folder / "data" / "document-pipeline" / "journals"
        self.server = server
        self._env = {**s3.env, "XDG_DATA_HOME": str(folder / "data"), "TMPDIR": str(folder / "tmp")}
        (folder / "tmp").mkdir()
        (folder / "ask.prompty").write_text(PROMPT, encoding="utf-8")

    def run(self, input: str, output: str, *options: str, **env: str) -> Ended:
        server = ["--base-url", self.server.base_url, "--price", "1,1"]
        prompt = self.folder / "ask.prompty"
        return pipeline(
            *("run", input, "-p", prompt, "-o", output, *server, *options),
            folder=self.folder,
            **self._env | env,
        )

    def command(self, *arguments: str) -> Ended:
        return pipeline(*arguments, folder=self.folder, **self._env)

    def left(self) -> list[str]:
        """List what is left in the folder for temporary files."""
        return [path.name for path in (self.folder / "tmp").iterdir()]


@pytest.fixture
def here(tmp_path: Path, server: Server, s3: S3) -> Elsewhere:
    return Elsewhere(tmp_path, server, s3)


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def test_a_bucket_is_read_and_written(here: Elsewhere, s3: S3, bucket: str) -> None:
    ended = here.run("s3://bucket/in", "s3://bucket/out.csv")
    assert (ended.code, ended.errors) == (0, [])
    out = rows(s3.get(bucket)["out.csv"])
    assert [(row["document"], row["status"]) for row in out] == [(name, "ok") for name in NAMES]
    assert [text.strip() for text in asked(here.server.tally)] == [
        "first",
        "second",
        "third",
        "fourth",
    ]
    journal = here.journals / "s3" / "bucket" / "out.csv.journal"
    assert ended.lines[0] == f"the journal of s3://bucket/out.csv is {journal}"
    assert "4 rows: 4 ok -> s3://bucket/out.csv" in ended.lines
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]
    assert s3.uploads(bucket) == []
    assert here.left() == []


def test_the_same_command_goes_on_from_another_folder(
    here: Elsewhere, s3: S3, bucket: str, tmp_path: Path
) -> None:
    here.run("s3://bucket/in", "s3://bucket/in/out.csv")
    s3.put(bucket, {"in/new.txt": b"new"})
    here.server.reset()
    here.folder = tmp_path / "other"
    here.folder.mkdir()
    (here.folder / "ask.prompty").write_text(PROMPT, encoding="utf-8")
    ended = here.run("s3://bucket/in", "s3://bucket/in/out.csv")
    assert ended.code == 0
    assert asked(here.server.tally) == ["new"]
    out = rows(s3.get(bucket)["in/out.csv"])
    assert [row["document"] for row in out] == ["a.txt", "a/x.md", "a/y.pdf", "new.txt", "z.txt"]


def test_files_that_none_can_read_are_no_reason_to_refuse_the_output_again(
    here: Elsewhere, s3: S3, bucket: str
) -> None:
    s3.put(bucket, {"bad/a.txt": b"", "bad/b.txt": b""})
    assert here.run("s3://bucket/bad/", "s3://bucket/out.csv").code == 1
    assert [row["error"] for row in rows(s3.get(bucket)["out.csv"])] == ["the file is empty"] * 2
    s3.put(bucket, {"bad/a.txt": b"mended"})
    assert here.run("s3://bucket/bad/", "s3://bucket/out.csv").code == 1
    assert counts(row["status"] for row in rows(s3.get(bucket)["out.csv"])) == {
        "ok": 1,
        "failed": 1,
    }


@pytest.mark.parametrize(
    ("input", "found"),
    [
        ("s3://bucket/in/*.txt", ["a.txt", "z.txt"]),
        ("s3://bucket/in/**/*.md", ["a/x.md"]),
        ("s3://bucket/*/a/*", ["in/a/x.md", "in/a/y.pdf"]),
        ("s3://bucket/in/a/y.pdf", ["y.pdf"]),
    ],
)
def test_a_pattern_and_a_file_are_read(
    here: Elsewhere, bucket: str, input: str, found: list[str]
) -> None:
    assert here.run(input, "out.csv").code == 0
    out = rows((here.folder / "out.csv").read_bytes())
    assert [row["document"] for row in out] == found
    assert here.left() == []


def test_a_table_of_a_bucket_comes_out_byte_for_byte(here: Elsewhere, s3: S3, bucket: str) -> None:
    s3.put(bucket, {"tickets.csv": TABLE})
    assert here.run("s3://bucket/tickets.csv", "out.csv", "--text-column", "text").code == 0
    lines = (here.folder / "out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("id,text,note,output,status,")
    assert lines[1].startswith("007,first,NA,")
    assert lines[2].startswith('008,"sec,ond",,')
    assert here.left() == []


def test_a_table_of_the_web_is_read_and_its_signature_shown_nowhere(here: Elsewhere) -> None:
    pages = {
        "/tickets.csv": Page(TABLE, "text/csv"),
        "/export": Page(TABLE, "text/csv"),
        "/denied.csv": Page(status=403),
    }
    with serve_web(pages) as web:
        for path in ("tickets.csv", "export"):
            address = f"{web}/{path}?signature=TOPSECRET"
            ended = here.run(address, f"{path}.csv", "--text-column", "text")
            assert (ended.code, ended.errors) == (0, [])
            out = (here.folder / f"{path}.csv").read_bytes()
            assert [row["id"] for row in rows(out)] == ["007", "008"]
            journal = here.folder / f"{path}.csv.journal"
            assert b"TOPSECRET" not in journal.read_bytes() + out
            with closing(sqlite3.connect(journal)) as connection:
                ((command,),) = connection.execute("SELECT command FROM runs").fetchall()
            assert f"{web}/{path}?..." in command
        ended = here.run(f"{web}/denied.csv?signature=TOPSECRET", "denied.csv")
    assert ended.code == 2
    assert ended.errors == [
        f"error: {web}/denied.csv?... can't be read: no permission (403 Forbidden); "
        "check the credentials"
    ]
    assert "TOPSECRET" not in ended.err


@pytest.mark.parametrize(
    ("input", "output", "message"),
    [
        (
            "s3://no-bucket/in/",
            "out.csv",
            "s3://no-bucket/in/ can't be read: The specified bucket does not exist; "
            "check the address",
        ),
        (
            "s3://bucket/none",
            "out.csv",
            "there is nothing at s3://bucket/none; check the address",
        ),
        (
            "s3://bucket/none/",
            "out.csv",
            "s3://bucket/none/ holds no files to read: check the address "
            "(hidden files and the run's own don't count)",
        ),
        (
            "s3://bucket/in/*.docx",
            "out.csv",
            "no file in s3://bucket/in matches *.docx; its files end in .md, .pdf, .txt",
        ),
        (
            "s3://bucket/in/a.txt",
            "s3://no-bucket/out.csv",
            "s3://no-bucket/out.csv can't be written: The specified bucket does not exist; "
            "check the address",
        ),
        (
            "s3://bucket/in/",
            "s3://bucket/out.xls",
            "the name of the output out.xls says no format: "
            "end it in .csv, .tsv, .xlsx, .parquet, .jsonl, .tab, .psv, .ndjson, such as out.xlsx",
        ),
        (
            "s3://bucket/in/",
            "https://127.0.0.1:1/out.csv",
            "https://127.0.0.1:1/out.csv can't be written: choose a place for files, or a path",
        ),
        (
            "http://127.0.0.1:1/in.csv",
            "out.csv",
            "http://127.0.0.1:1/in.csv can't be read: Cannot connect to host 127.0.0.1:1 "
            "ssl:default [Connect call failed ('127.0.0.1', 1)]; check the address and the network",
        ),
        (
            "sftp://host/in",
            "out.csv",
            "sftp://host/in can't be read: sftp:// needs more to be installed: "
            'SFTPFileSystem requires "paramiko" to be installed',
        ),
        (
            "nowhere://bucket/in",
            "out.csv",
            "nowhere://bucket/in can't be read: nowhere:// is no kind of address that is known",
        ),
    ],
)
def test_what_cannot_be_read_or_written_is_known_before_anything_is_asked(
    here: Elsewhere, bucket: str, input: str, output: str, message: str
) -> None:
    ended = here.run(input, output)
    assert (ended.code, ended.errors) == (2, [f"error: {message}"])
    assert asked(here.server.tally) == []
    assert not here.journals.exists()
    assert not (here.folder / "out.csv.journal").exists()
    assert here.left() == []


def test_an_output_written_by_somebody_else_stays(here: Elsewhere, s3: S3, bucket: str) -> None:
    s3.put(bucket, {"out.csv": b"theirs"})
    ended = here.run("s3://bucket/in", "s3://bucket/out.csv")
    journal = here.journals / "s3" / "bucket" / "out.csv.journal"
    assert (ended.code, ended.errors) == (
        2,
        [
            "error: s3://bucket/out.csv exists and wasn't written by this program "
            f"(it has no journal at {journal}): "
            "move it away, or choose another name for the output"
        ],
    )
    assert s3.get(bucket)["out.csv"] == b"theirs"
    assert asked(here.server.tally) == []


@pytest.mark.parametrize(
    ("input", "output", "what"),
    [
        ("s3://bucket/in/", "out.csv", "s3://bucket/in/ can't be read"),
        ("in.csv", "s3://bucket/out.csv", "s3://bucket/out.csv can't be written"),
    ],
)
def test_a_missing_permission_is_known_before_anything_is_asked(
    here: Elsewhere, s3: S3, bucket: str, input: str, output: str, what: str
) -> None:
    (here.folder / "in.csv").write_bytes(TABLE)
    with s3.denying():
        ended = here.run(input, output)
    assert ended.code == 2
    (error,) = ended.errors
    assert error.startswith(f"error: {what}: no permission (")
    assert "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE" in error
    assert asked(here.server.tally) == []


@pytest.mark.parametrize("missing", ["fsspec", "s3fs", "platformdirs"])
def test_without_the_extra_it_is_named(
    here: Elsewhere, bucket: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if known := sys.modules.get("fsspec.registry"):  # what an earlier test has found
        monkeypatch.delitem(known._registry, "s3", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)  # importing it raises ModuleNotFoundError
    ended = here.run("s3://bucket/in", "s3://bucket/out.csv")
    assert ended.code == 2
    (error,) = ended.errors
    assert " needs the extra `remote`, which isn't installed: see Install in the README" in error


def test_a_plan_of_a_bucket_is_made_and_nothing_written(
    here: Elsewhere, s3: S3, bucket: str
) -> None:
    ended = here.run("s3://bucket/in", "s3://bucket/out.csv", "--dry-run")
    assert ended.code == 0
    assert "4 rows, 4 requests to" in ended.lines[-1]
    assert "out.csv" not in s3.get(bucket)
    assert here.left() == []


GRADED = b"""id,text,gold,label,status,error,cost_usd
1,one,bug,bug,ok,,0.1
2,two,bug,praise,ok,,0.1
"""
SCORED = b"id,score\n1,4\n2,5\n"


def test_an_output_elsewhere_is_evaluated(here: Elsewhere, s3: S3, bucket: str) -> None:
    s3.put(bucket, {"out.csv": GRADED, "scores.csv": SCORED})
    ended = here.command("evaluate", "s3://bucket/out.csv", "--expected", "gold")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("s3://bucket/out.csv: `label` against `gold`\n")
    assert "1 of 2 correct" in ended.out
    with serve_web({"/out.csv": Page(GRADED, "text/csv")}) as web:
        address = f"{web}/out.csv?signature=TOPSECRET"
        ended = here.command("evaluate", "s3://bucket/out.csv", address, "--expected", "gold")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("2 rows: 1 correct in both, 1 wrong in both\n")
    assert "TOPSECRET" not in ended.out
    ended = here.command("evaluate", "s3://bucket/scores.csv", "--score", "score")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("s3://bucket/scores.csv")
    assert here.left() == []


def test_what_is_not_there_cannot_be_evaluated(here: Elsewhere, bucket: str) -> None:
    ended = here.command("evaluate", "s3://bucket/none.csv", "--expected", "gold")
    assert (ended.code, ended.out) == (2, "")
    assert ended.errors == ["error: there is nothing at s3://bucket/none.csv; check the address"]


@pytest.mark.parametrize(
    "command",
    [
        ("review", "s3://bucket/x.xlsx"),
        ("review", "look.xlsx", "-o", "s3://bucket/x.xlsx"),
        (
            "classify",
            "in.csv",
            "--labels",
            "a,b",
            "-o",
            "out.csv",
            "--review",
            "s3://bucket/x.xlsx",
        ),
        ("classify", "in.csv", "--labels", "s3://bucket/x.xlsx", "-o", "out.csv"),
        ("classify", "in.csv", "--labels", "s3://bucket/x.xlsx.yaml", "-o", "out.csv"),
        ("run", "in.csv", "-p", "judge", "--answers", "s3://bucket/x.xlsx", "-o", "out.csv"),
    ],
)
def test_what_has_to_be_on_this_machine_says_so(here: Elsewhere, command: tuple[str, ...]) -> None:
    (here.folder / "in.csv").write_bytes(TABLE)
    echo = () if command[0] == "review" else ("--model", "echo", "--text-column", "text")
    ended = here.command(*command, *echo)
    assert ended.code == 2
    (error,) = ended.errors
    assert error.startswith("error: s3://bucket/x.xlsx")
    assert error.endswith(" is an address: name a file of this machine")


def test_a_server_out_there_can_not_send_us_to_this_machine(tmp_path: Path) -> None:
    pages: dict[str, Page] = {"/secret.csv": Page(TABLE, "text/csv")}
    with serve_web(pages) as inside, serve_web(pages) as proxy:
        for number, target in enumerate((inside, inside.replace("127.0.0.1", "localhost"))):
            out_there = f"http://out-there-{number}.test/t.csv"
            pages[out_there] = Page(status=302, location=f"{target}/secret.csv")
            command = ["run", out_there, "--instruction", "x", "-o", "out.csv", "--model", "echo"]
            ended = pipeline(*command, folder=tmp_path, HTTP_PROXY=proxy, NO_PROXY="127.0.0.1")
            assert ended.errors == [
                f"error: {out_there} redirects to {target}/secret.csv, which is of this machine or "
                "its network: name that address itself if you trust it"
            ]
            assert ended.code == 2


def test_a_server_of_this_machine_may_send_us_on(tmp_path: Path) -> None:
    pages = {
        "/a.csv": Page(status=302, location="/b.csv"),
        "/b.csv": Page(TABLE, "text/csv"),
    }
    with serve_web(pages) as web:
        command = ["run", f"{web}/a.csv", "--instruction", "x", "-o", "out.csv", "--model", "echo"]
        assert pipeline(*command, folder=tmp_path).code == 0
