from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import fsspec
import PIL.Image
import pytest

from pipeline.errors import PipelineError
from pipeline.sources.base import Source
from pipeline.sources.opening import open_source
from pipeline.types import Column, Document
from tests.places import S3, Page, serve_web
from tests.sources.samples import pdf


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """Give a file system in memory, as fsspec has it: memory://."""
    files = fsspec.filesystem("memory")
    files.pipe({"/docs/a.txt": b"text of a", "/docs/b/c.md": b"text of c"})
    yield files
    files.rm("/", recursive=True)


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    s3.put("bucket", {f"in/{number:05}.txt": b"text %d" % number for number in range(2500)})
    s3.calls.clear()
    return "s3://bucket/in"


def names(source: Source) -> list[str]:
    return [document.name for document in source]


UNKNOWN = {"title": "", "author": "", "pages": None}


@pytest.mark.usefixtures("memory")
def test_a_folder_elsewhere_is_a_folder(tmp_path: Path) -> None:
    source = open_source("memory://docs", fetch_to=tmp_path)
    assert (source.name, source.text_column) == ("docs", "document")
    assert source.columns == (Column("document", "text"),)
    assert list(source) == [
        Document(0, "a.txt", {"document": "a.txt"}, "text of a", metadata=UNKNOWN),
        Document(1, "b/c.md", {"document": "b/c.md"}, "text of c", metadata=UNKNOWN),
    ]
    assert source.fraction() == 1.0
    assert not source.changed()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "glob", "found"),
    [
        ("memory://docs/", None, ["a.txt", "b/c.md"]),
        ("memory://docs", "*.md", ["b/c.md"]),
        ("memory://docs/*.txt", None, ["a.txt"]),
        ("memory://docs/*/*", None, ["b/c.md"]),
        ("memory://*/a.txt", None, ["docs/a.txt"]),
        ("memory://docs/b/c.md", None, ["c.md"]),
    ],
)
@pytest.mark.usefixtures("memory")
def test_patterns_are_those_of_a_folder(
    tmp_path: Path, uri: str, glob: str | None, found: list[str]
) -> None:
    assert names(open_source(uri, glob=[glob] if glob else [], fetch_to=tmp_path)) == found


def test_a_file_address_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "my table.csv").write_text("id,text\n007,a\n", encoding="utf-8")
    (document,) = open_source(f"{tmp_path.as_uri()}/my%20table.csv")
    assert document.fields == {"id": "007", "text": "a"}
    assert names(open_source(f"{tmp_path.as_uri()}/*.csv")) == ["my table.csv"]


def test_the_order_and_what_is_left_out_are_those_of_a_folder(
    tmp_path: Path, memory: fsspec.AbstractFileSystem, s3: S3, bucket: str
) -> None:
    files = ["a/b.txt", "a.txt", "a-b/c.txt", "a-b.txt", "é.txt", "Z.txt", "a/b/c.txt"]
    files += [".h/x.txt", "a/.h", "~$a.txt", "b.csv.journal", "b.csv.journal-wal"]
    for name in files:
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
        memory.pipe(f"/order/{name}", name.encode())
    s3.put("bucket", {f"order/{name}": name.encode() for name in files})
    here = names(open_source(str(tmp_path / "docs")))
    assert here == ["Z.txt", "a-b.txt", "a-b/c.txt", "a.txt", "a/b.txt", "a/b/c.txt", "é.txt"]
    assert names(open_source("memory://order", fetch_to=tmp_path)) == here
    assert names(open_source("s3://bucket/order", fetch_to=tmp_path)) == here


def test_a_bucket_is_listed_and_fetched_as_far_as_it_is_read(
    tmp_path: Path, s3: S3, bucket: str
) -> None:
    source = open_source(bucket, fetch_to=tmp_path)
    documents = iter(source)
    assert [next(documents).text for _ in range(3)] == ["text 0", "text 1", "text 2"]
    lists = [call for call in s3.calls if "list-type=2" in call and "max-keys=1&" not in call]
    fetched = [call for call in s3.calls if "GET /bucket/in/" in call]
    assert len(lists) == 2  # a page to see that there is something, a page to read
    assert len(fetched) < 40
    assert len(list(tmp_path.iterdir())) < 30
    assert source.fraction() == 3 / 2500
    source.skim()
    left = list(documents)
    assert len(left) == 2497
    assert {document.text or document.error for document in left} == {None}
    assert left[-1].name == "02499.txt"
    assert not source.changed()


def test_what_was_not_read_does_not_change_a_folder(tmp_path: Path, s3: S3, bucket: str) -> None:
    source = open_source(bucket, fetch_to=tmp_path)
    assert len(list(islice(source, 3))) == 3
    s3.put("bucket", {"in/99999.txt": b"new"})
    assert not source.changed()
    s3.put("bucket", {"in/00001.txt": b"other"})
    assert source.changed()


@pytest.mark.parametrize("change", ["added", "removed", "written"])
def test_a_folder_that_changes_says_so(
    tmp_path: Path, memory: fsspec.AbstractFileSystem, change: str
) -> None:
    source = open_source("memory://docs", fetch_to=tmp_path)
    assert len(list(source)) == 2
    if change == "removed":
        memory.rm("/docs/a.txt")
    else:
        memory.pipe("/docs/d.txt" if change == "added" else "/docs/a.txt", b"new")
    assert source.changed()


def test_a_table_that_changes_says_so(tmp_path: Path, memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe("/t.csv", b"id,text\n007,a\n")
    source = open_source("memory://t.csv", fetch_to=tmp_path)
    memory.pipe("/t.csv", b"id,text\n008,b\n")
    assert [document.fields["id"] for document in source] == ["007"]
    assert source.changed()


def test_a_file_that_cannot_be_fetched_fails_alone(tmp_path: Path, s3: S3, bucket: str) -> None:
    s3.put("bucket", {f"few/{number:02}.txt": b"text" for number in range(60)})
    documents = iter(open_source("s3://bucket/few", fetch_to=tmp_path))
    first = next(documents)  # by now all are listed, and some are fetched
    s3.remove("bucket", "few/55.txt")
    assert {d.name: d.error for d in (first, *documents) if d.error} == {
        "55.txt": "s3://bucket/few/55.txt can't be read: The specified key does not exist; "
        "check the address"
    }
    assert list(tmp_path.iterdir()) == []


def test_the_files_of_a_folder_keep_their_formats(
    tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    memory.pipe("/mixed/a.pdf", pdf("from a PDF"))
    memory.pipe("/mixed/no suffix", b"plain")
    memory.pipe("/mixed/" + "x" * 300 + ".txt", b"long")
    texts = [document.text.strip() for document in open_source("memory://mixed", fetch_to=tmp_path)]
    assert texts == ["from a PDF", "plain", "long"]


def test_a_picture_stays_until_it_has_been_looked_at(
    tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    png = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), "teal").save(png, "PNG")
    memory.pipe({"/mixed/a.png": png.getvalue(), "/mixed/b.txt": b"text"})
    picture, text = open_source("memory://mixed", fetch_to=tmp_path)
    assert [Path(image.source).read_bytes() for image in picture.images] == [png.getvalue()]
    assert (text.text, len(list(tmp_path.iterdir()))) == ("text", 1)


def test_a_page_of_the_web_is_a_document(tmp_path: Path) -> None:
    page = Page(b"<title>Tariffs</title><p>Steel</p>", "text/html; charset=utf-8")
    with serve_web({"/": page, "/news/steel": page}) as web:
        for address, name in ((f"{web}/", "index.html"), (f"{web}/news/steel", "steel.html")):
            (document,) = open_source(address, fetch_to=tmp_path)
            assert (document.name, document.text.split()) == (name, ["Tariffs", "Steel"])


def test_a_table_of_the_web_that_breaks_off_is_not_taken_for_a_shorter_one(tmp_path: Path) -> None:
    page = Page(b"id,text\n007,a\n", "text/csv", length=1000)
    with serve_web({"/t.csv": page}) as web, pytest.raises(PipelineError) as raised:
        open_source(f"{web}/t.csv", fetch_to=tmp_path)
    assert str(raised.value).startswith(f"{web}/t.csv can't be read: ")


@pytest.mark.usefixtures("memory")
def test_an_error_about_a_fetched_file_names_its_address(tmp_path: Path) -> None:
    with pytest.raises(PipelineError) as raised:
        open_source("memory://docs/a.txt", text_column="text", fetch_to=tmp_path)
    assert str(raised.value) == (
        'memory://docs/a.txt is not a table and has no column "text"; leave --text-column out'
    )
