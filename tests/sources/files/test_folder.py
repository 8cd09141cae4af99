from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.sources.files.folder import FolderSource
from pipeline.sources.files.walk import walk
from pipeline.types import Column, Document
from tests.sources.samples import pdf

UNKNOWN = {"title": "", "author": "", "pages": None}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "docs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"text of {name}", encoding="utf-8")
        return tmp_path / "docs"

    return make


def names(source: FolderSource) -> list[str]:
    return [document.name for document in source]


def test_files_are_documents_in_the_order_of_their_paths(make: Callable[..., Path]) -> None:
    source = FolderSource(make("b.txt", "a/z.txt", "a/b/c.md", "a.txt", "Z.txt"))
    assert (source.name, source.text_column) == ("docs", "document")
    assert source.columns == (Column("document", "text"),)
    order = ["Z.txt", "a.txt", "a/b/c.md", "a/z.txt", "b.txt"]
    assert list(source) == [
        Document(i, name, {"document": name}, f"text of {name}", metadata=UNKNOWN)
        for i, name in enumerate(order)
    ]


def test_hidden_files_and_folders_are_left_out(make: Callable[..., Path]) -> None:
    folder = make("a.txt", ".hidden", ".git/config", "b/.DS_Store", "~$letter.docx", "b/c.txt")
    assert names(FolderSource(folder)) == ["a.txt", "b/c.txt"]


def test_a_hidden_folder_that_is_asked_for_is_read(make: Callable[..., Path]) -> None:
    assert names(FolderSource(make(".notes/a.txt") / ".notes")) == ["a.txt"]


def test_the_files_of_the_run_are_left_out(make: Callable[..., Path]) -> None:
    folder = make("a.txt", "out.csv", "out.csv.journal", "b/out.csv")
    (folder / "link.csv").symlink_to("out.csv")
    here = Path(os.path.relpath(folder))
    source = FolderSource(
        folder, exclude_paths=[folder / "out.csv", here / "b" / ".." / "out.csv.journal"]
    )
    assert names(source) == ["a.txt", "b/out.csv"]


def test_what_is_called_a_journal_and_is_no_output_s_is_a_document(
    make: Callable[..., Path],
) -> None:
    ours = ["a.csv", "a.csv.journal", "a.csv.journal-wal", "b.csv.gz", "b.csv.gz.journal"]
    theirs = ["2024.journal", "2024/may.txt", "my.journal/c.txt", "notes", "notes.journal"]
    assert names(FolderSource(make(*ours, *theirs))) == theirs


def test_links_are_not_followed_out_of_the_folder_nor_in_a_loop(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make("a.txt", "b/c.txt")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "docs2").mkdir()
    (tmp_path / "docs2" / "secret.txt").write_text("secret", encoding="utf-8")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "out").symlink_to(tmp_path / "docs2")
    (folder / "sly.txt").symlink_to(tmp_path / "docs2" / "secret.txt")
    (folder / "b" / "loop").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "broken.txt").symlink_to("nothing")
    (folder / "inside.txt").symlink_to("b/c.txt")
    assert [(d.name, d.text) for d in FolderSource(folder)] == [
        ("a.txt", "text of a.txt"),
        ("b/c.txt", "text of b/c.txt"),
        ("inside.txt", "text of b/c.txt"),
    ]


def test_a_folder_may_itself_be_a_link(make: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(make("a.txt"))
    source = FolderSource(tmp_path / "link")
    assert (source.name, names(source)) == ("link", ["a.txt"])


def test_what_is_neither_file_nor_folder_is_left_out(make: Callable[..., Path]) -> None:
    folder = make("a.txt")
    os.mkfifo(folder / "pipe.txt")
    assert names(FolderSource(folder)) == ["a.txt"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["a.txt"]),
        ("**", ["a.txt", "b/c.txt", "b/d/e.txt", "b/d/f.md"]),
        ("**/*.txt", ["a.txt", "b/c.txt", "b/d/e.txt"]),
        ("b/*", ["b/c.txt"]),
        ("b/**", ["b/c.txt", "b/d/e.txt", "b/d/f.md"]),
        ("b/**/e.txt", ["b/d/e.txt"]),
        ("*/d/?.[mt]*", ["b/d/e.txt", "b/d/f.md"]),
        ("*/d/[!e].*", ["b/d/f.md"]),
        ("*.pdf", []),
    ],
)
def test_a_pattern_picks_files(make: Callable[..., Path], pattern: str, found: list[str]) -> None:
    folder = make("a.txt", "b/c.txt", "b/d/e.txt", "b/d/f.md")
    assert names(FolderSource(folder, patterns=[[pattern]])) == found


def test_a_file_matches_one_of_several_patterns_of_each_kind(make: Callable[..., Path]) -> None:
    folder = make("a.txt", "b/c.md", "b/d.txt", "b/e.pdf", "b/f/g.md")
    patterns = [["b/*"], ["**/*.txt", "**/*.md"]]
    assert names(FolderSource(folder, patterns=patterns)) == ["b/c.md", "b/d.txt"]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("*.md", ["a.txt", "b/c.txt", "b/d/e.txt"]),
        ("b/", ["a.txt"]),
        ("/d", ["a.txt", "b/c.txt", "b/d/e.txt", "b/d/f.md"]),
        ("d", ["a.txt", "b/c.txt"]),
        ("*.txt\n!c.txt", ["b/c.txt", "b/d/f.md"]),
        ("# a comment\n\n*.txt  \n", ["b/d/f.md"]),
        ("b/**/e.*", ["a.txt", "b/c.txt", "b/d/f.md"]),
        ("\ufeffa.txt\r\nb/d/\r\n", ["b/c.txt"]),
        ("", ["a.txt", "b/c.txt", "b/d/e.txt", "b/d/f.md"]),
    ],
)
def test_an_ignore_file_leaves_files_out_as_git_does(
    make: Callable[..., Path], lines: str, found: list[str]
) -> None:
    folder = make("a.txt", "b/c.txt", "b/d/e.txt", "b/d/f.md")
    (folder / ".pipelineignore").write_text(lines, encoding="utf-8", newline="")
    assert names(FolderSource(folder)) == found


def test_an_ignore_file_deeper_down_overrules_those_above(make: Callable[..., Path]) -> None:
    folder = make("a.txt", "a.md", "b/a.txt", "b/a.md", "b/c/a.txt", "b/c/a.md")
    (folder / ".pipelineignore").write_text("*.txt", encoding="utf-8")
    (folder / "b" / ".pipelineignore").write_text("!a.txt\n/a.md", encoding="utf-8")
    assert names(FolderSource(folder)) == ["a.md", "b/a.txt", "b/c/a.md", "b/c/a.txt"]


def test_what_is_excluded_is_left_out_whatever_an_ignore_file_says(
    make: Callable[..., Path],
) -> None:
    folder = make("a.txt", "b/c.txt", "b/d.md", "e.md")
    (folder / ".pipelineignore").write_text("!*\ne.md", encoding="utf-8")
    assert names(FolderSource(folder, exclude=["*.txt", "!b/c.txt"])) == ["b/c.txt", "b/d.md"]


@pytest.mark.parametrize(
    ("lines", "exclude", "origin"),
    [("a\n!\n", [], "{}/.pipelineignore"), ("", ["!"], "--exclude")],
)
def test_a_pattern_that_is_none_is_refused(
    make: Callable[..., Path], lines: str, exclude: list[str], origin: str
) -> None:
    folder = make("a.txt")
    (folder / ".pipelineignore").write_text(lines, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        FolderSource(folder, exclude=exclude)
    message = f"{origin.format(folder)}: not a pattern as in .gitignore: "
    assert str(raised.value).startswith(message)


def test_a_file_without_text_has_an_error_and_the_rest_goes_on(
    make: Callable[..., Path],
) -> None:
    folder = make("a.txt", "z.txt", "gone.txt")
    (folder / "empty.txt").touch()
    (folder / "scan.pdf").write_bytes(pdf(" "))
    source = FolderSource(folder)
    (folder / "gone.txt").unlink()
    assert [(d.name, d.text, d.error) for d in source] == [
        ("a.txt", "text of a.txt", None),
        ("empty.txt", "", "the file is empty"),
        ("gone.txt", "", "the file can't be read: No such file or directory"),
        ("scan.pdf", "", "nothing but blank pages"),
        ("z.txt", "text of z.txt", None),
    ]


def test_a_name_that_is_not_utf8_can_be_written(make: Callable[..., Path]) -> None:
    folder = make("a.txt")
    (folder / os.fsdecode(b"\xe9t\xe9.txt")).write_text("summer", encoding="utf-8")
    source = FolderSource(folder)
    assert [(d.name, d.text) for d in source] == [
        ("a.txt", "text of a.txt"),
        ("\ufffdt\ufffd.txt", "summer"),
    ]
    assert not source.changed()


def test_the_fraction_counts_files(make: Callable[..., Path]) -> None:
    source = FolderSource(make("a", "b", "c", "d"))
    assert source.fraction() == 0.0
    assert [source.fraction() for _ in source] == [0.25, 0.5, 0.75, 1.0]


def test_only_the_files_that_are_kept_are_read(make: Callable[..., Path]) -> None:
    folder = make("a.txt", "b.txt", "c.txt")
    source = FolderSource(folder)
    source.keep([0, 2])
    (folder / "b.txt").unlink()
    assert len(source) == 2
    assert [(d.position, d.name, source.fraction()) for d in source] == [
        (0, "a.txt", 0.5),
        (1, "c.txt", 1.0),
    ]
    assert source.changed()  # a folder that lost a file isn't what it was


def test_a_document_says_its_title_its_author_and_its_pages(make: Callable[..., Path]) -> None:
    folder = make("a.txt")
    (folder / "b.pdf").write_bytes(pdf("One.", "Two.", title="A contract", author="Ana Lima"))
    (folder / "c.pdf").write_bytes(pdf("", title="A scan"))
    assert [document.metadata for document in FolderSource(folder)] == [
        UNKNOWN,
        {"title": "A contract", "author": "Ana Lima", "pages": 2},
        {"title": "A scan", "author": "", "pages": 1},
    ]


def test_skimming_reads_no_file_any_more(make: Callable[..., Path]) -> None:
    folder = make("a.txt", "b.txt")
    (folder / "c.pdf").write_bytes(pdf("from a PDF"))
    (folder / "d.pdf").touch()
    source = FolderSource(folder)
    documents = iter(source)
    assert next(documents).text == "text of a.txt"
    source.skim()
    assert [(d.position, d.name, d.text, d.error) for d in documents] == [
        (1, "b.txt", "", None),
        (2, "c.pdf", "", None),
        (3, "d.pdf", "", None),
    ]
    assert source.fraction() == 1.0


def test_skimming_from_the_start_reads_no_file(make: Callable[..., Path]) -> None:
    source = FolderSource(make("a.txt"))
    source.skim()
    assert list(source) == [Document(0, "a.txt", {"document": "a.txt"}, metadata=UNKNOWN)]


def write(path: Path) -> None:
    path.write_text("more text than there was before", encoding="utf-8")


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize(
    ("name", "change", "changed"),
    [
        ("a.txt", write, True),
        ("a.txt", touch, True),
        ("b/new.txt", write, True),
        ("a.txt", Path.unlink, True),
        (".hidden", write, False),
        ("new.pdf", write, False),
        ("out.txt", write, False),
    ],
)
def test_a_change_of_the_listed_files_is_noticed(
    make: Callable[..., Path], name: str, change: Callable[[Path], None], changed: bool
) -> None:
    folder = make("a.txt", "b/c.txt")
    source = FolderSource(folder, patterns=[["**/*.txt"]], exclude_paths=[folder / "out.txt"])
    assert not source.changed()
    change(folder / name)
    assert source.changed() is changed


def test_a_single_file_is_a_folder_of_one(make: Callable[..., Path]) -> None:
    path = make("a.txt", "b.txt") / "a.txt"
    source = FolderSource(path)
    assert source.name == "a.txt"
    (document,) = source
    assert (document.name, document.text) == ("a.txt", "text of a.txt")
    assert not source.changed()
    write(path)
    assert source.changed()


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        list(walk(tmp_path / "gone"))
    assert str(raised.value) == (
        f"the folder {tmp_path}/gone can't be listed: No such file or directory; "
        "make it readable, or leave it out with --exclude"
    )
