from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.sources.files.patterns import Ignore, matcher
from pipeline.sources.files.walk import walk
from tests import bounded

TREE = (
    *("a", "b.txt", "ab.txt", "aab", "a b", "b ", "x-y", "[a]", "a]b", "#c", "!d", "a*b", "\\e"),
    *("d/a", "d/b.txt", "d/ab/a", "d/ab/b.txt", "d/d/a", "d/d/d/b.txt", "d/d/ab/x-y"),
    *("e/a", "e/f/b.txt", "e/f/d/a", "e/d/f/d/ab.txt", "ab/b.txt/a", "1/A", "1/9/-"),
)


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("a+b (1).txt", "a+b (1).txt", True),
        ("*.txt", "line\nbreak.txt", True),
        ("**/a", "a", True),
        ("**/a", "xa", False),
        ("[a]", "[a]", False),
        ("[", "[", True),
        ("[!]", "[!]", True),
        ("a[b", "a[b", True),
        ("[\\d]", "7", False),
        ("[\\d]", "\\", True),
        ("a\\*", "a\\bc", True),
        ("[!a]", "/", False),
        ("*.txt", "a.TXT", False),
        ("a/**.txt", "a/b/c.txt", True),
        ("a/**/b/**/c", "a/x/b/c/b/y/c", True),
        ("**", "a/b/c", True),
        ("?", "é", True),
    ],
)
def test_a_pattern_means_what_it_says(pattern: str, path: str, fits: bool) -> None:
    assert bool(matcher(pattern)(path)) is fits


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("!", "names nothing"),
        ("/", "names nothing"),
        ("!/", "names nothing"),
        ("a[b", "has an open bracket"),
        ("[!]", "has an open bracket"),
        ("a\\", "ends in a backslash"),
        ("[[:digits:]]", "has an unknown class [:digits:]"),
    ],
)
def test_a_line_that_would_do_nothing_in_git_is_refused(line: str, problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        Ignore([line], "ignore")
    assert str(raised.value) == f"ignore: not a pattern as in .gitignore: {line!r} {problem}"


def test_what_lies_in_a_folder_that_is_left_out_is_covered() -> None:
    ignore = Ignore(["drafts/", "!drafts/a.txt", "*.log", "!b.log"], "ignore")
    paths = ("drafts/a.txt", "x/drafts/y/z.txt", "drafts", "a.log", "x/b.log")
    assert [ignore.covers(path) for path in paths] == [True, True, False, True, False]


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    if not shutil.which("git"):
        pytest.skip("git is not on this machine, and it is what ignore files are compared with")
    with tempfile.TemporaryDirectory() as folder:
        for path in TREE:
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        subprocess.run(["git", "init", "-q", folder], check=True, env=alone())
        yield Path(folder)


def alone() -> dict[str, str]:
    """Give an environment in which git has no configuration."""
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return {**{k: v for k, v in os.environ.items() if not k.startswith("GIT_")}, **nothing}


def kept_by_git(folder: Path) -> set[str]:
    command = ["git", "ls-files", "-z", "--others", "--exclude-per-directory=.pipelineignore"]
    listed = subprocess.run(command, cwd=folder, check=True, capture_output=True, env=alone())
    return {path for path in listed.stdout.decode().split("\0") if path} - {".pipelineignore"}


# Not `d**/a`: what git does is not what it says of it, for it cuts off `d` before it looks.
CHARACTERS = (
    *("a", "b", "d", "x", "1", "9", "A", ".", "-", "#", " ", "!", "]", "*", "?"),
    *("\\a", "\\*", "\\[", "\\ ", "[a-b]", "[!a]", "[^b-d]", "[]a]", "[a-]", "[z-a]"),
    *("[[:alpha:]]", "[[:digit:]-]", "[\\]]", "[*?]", "[!/]"),
)
NAMES = st.one_of(
    st.sampled_from(["a", "b.txt", "ab", "d", "e", "f", "*", "**", "?", "*.txt", "a*", "[ab]"]),
    st.lists(st.sampled_from(CHARACTERS), min_size=1, max_size=5)
    .map("".join)
    .filter(lambda name: "**" not in name),
)
LINES = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(NAMES, min_size=1, max_size=5).map("/".join),
    st.sampled_from(["", "", "/"]),
    st.sampled_from(["", "", " ", "\r"]),
)


def refused(line: str) -> bool:
    try:
        Ignore([line.removesuffix("\r")], "ignore")
    except UsageError:
        return True
    return False


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(LINES.filter(lambda line: not refused(line)), min_size=1, max_size=4))
def test_an_ignore_file_leaves_out_what_git_leaves_out(tree: Path, lines: list[str]) -> None:
    (tree / ".pipelineignore").write_text("\n".join(lines), encoding="utf-8", newline="")
    assert {file.path for file in walk(tree)} == kept_by_git(tree)


@pytest.mark.parametrize("line", ["a**", "**b", "d/**b.txt", "**/**/a", "d/**/**", "***"])
def test_stars_that_are_no_name_of_their_own_are_one_star(tree: Path, line: str) -> None:
    (tree / ".pipelineignore").write_text(line, encoding="utf-8")
    assert {file.path for file in walk(tree)} == kept_by_git(tree)


HOSTILE = [
    "a*" * 28 + "b",
    "*" * 45_000 + "b",
    "*?" * 22_000 + "b",
    "[!b]*" * 9_000 + "b",
    "**/a/" * 9_000 + "b",
    "**/*a*/" * 7_000 + "b",
    "*a**b**c*" * 5_000 + "d",
    "(a+)+" * 9_000 + "b",
    "[" + "a-z" * 15_000 + "]*b",
]
WALKED = """
from pathlib import Path
from pipeline.sources.files.walk import walk
folder, glob = Path(sys.argv[1]), sys.argv[2:]
print(len(list(walk(folder, patterns=[glob] if glob else []))))
"""


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    inner = folder.joinpath(*["a"] * 200)
    inner.mkdir(parents=True)
    for name in ("a" * 250, "a.txt", "aaaaaaaaaa" * 20 + ".txt"):
        (inner / name).touch()
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("pattern", HOSTILE, ids=lambda pattern: pattern[:9])
def test_no_pattern_holds_up_the_walk(deep: Path, pattern: str) -> None:
    (deep / ".pipelineignore").write_text(f"{pattern}\n{pattern[:-1]}c/\n", encoding="utf-8")
    walked = bounded.run(WALKED, deep, seconds=10, megabytes=1000)
    assert walked.stdout == "6\n", walked.stderr
    walked = bounded.run(WALKED, deep, pattern, seconds=10, megabytes=1000)
    assert walked.stdout == "0\n", walked.stderr


def test_an_ignore_file_that_is_too_long_is_refused(deep: Path) -> None:
    file = deep / ".pipelineignore"
    file.write_text("a.txt\n" * 20_000, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        list(walk(deep))
    assert str(raised.value) == f"{file} is over 100 kB; name folders in it, or use wildcards"


@pytest.mark.parametrize(
    ("make", "reason"),
    [(os.mkfifo, "it is not a regular file"), (os.mkdir, os.strerror(errno.EISDIR))],
    ids=["a pipe", "a folder"],
)
def test_an_ignore_file_that_is_no_file_is_refused(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    file = tmp_path / ".pipelineignore"
    make(file)
    with pytest.raises(UsageError) as raised:
        list(walk(tmp_path))
    assert str(raised.value) == f"{file} can't be read: {reason}"
