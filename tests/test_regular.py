"""Files of a stranger's folder that are pipes, devices, or links to what holds the key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.regular import is_of_system
from tests.running import PROMPT, Job, job, pipeline, pipeline_process, texts
from tests.server import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and named pipes")
KEY = "sk-of-the-environment"
LINKS = {
    "a pipe": os.mkfifo if hasattr(os, "mkfifo") else None,
    "a device": lambda file: file.symlink_to("/dev/zero"),
    "the environment": lambda file: file.symlink_to("/proc/self/environ"),
}


@pytest.fixture
def two(tmp_path: Path, server: Server) -> Job:
    return job(tmp_path, server, texts(2))


@pytest.mark.parametrize("made", LINKS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("odd.prompty", ("-p", "odd.prompty")),
        ("odd.yaml", ("-p", "classify", "--labels", "odd.yaml")),
    ],
)
def test_settings_that_are_no_file_are_a_line(
    two: Job, name: str, options: tuple[str, ...], made: str
) -> None:
    make: Callable[[Path], None] | None = LINKS[made]
    assert make is not None
    make(two.folder / name)
    command = "classify" if "--labels" in options else "run"
    wanted = options[2:] if command == "classify" else options
    arguments = (command, "in.csv", *wanted, "-o", "out.csv", "--model", "echo")
    ended = pipeline_process(*arguments, folder=two.folder, OPENAI_API_KEY=KEY)
    kind = "prompt file" if command == "run" else "labels"
    line = f"error: can't read the {kind} {name}: it is not a regular file"
    assert (ended.code, ended.lines) == (2, [line])


def test_a_prompt_file_without_an_end_is_a_line(two: Job) -> None:
    with (two.folder / "odd.prompty").open("wb") as file:
        file.truncate(1 << 40)
    ended = pipeline(
        "run", "in.csv", "-p", "odd.prompty", "-o", "out.csv", "--model", "echo", folder=two.folder
    )
    assert ended.lines == ["error: the prompt file odd.prompty is over 10 MB"]


def test_a_prompt_may_come_from_another_command(two: Job) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb"):
        with open(writing, "wb") as pipe:
            pipe.write(PROMPT.encode())
        name = f"/dev/fd/{reading}"
        ended = pipeline(
            "run", "in.csv", "-p", name, "-o", "out.csv", "--model", "echo", folder=two.folder
        )
    assert ended.code == 0


@pytest.mark.parametrize("name", ["tickets.csv", "notes.txt", "all"])
@pytest.mark.parametrize("command", ["run", "estimate"])
def test_an_input_that_leads_to_the_environment_is_refused(
    two: Job, name: str, command: str
) -> None:
    target = "/proc/self" if name == "all" else "/proc/self/environ"
    (two.folder / name).symlink_to(target)
    output = ("-o", "new.csv") if command == "run" else ()
    arguments = (command, name, "--instruction", "Say it.", *output, "--model", "echo")
    ended = pipeline_process(*arguments, folder=two.folder, OPENAI_API_KEY=KEY)
    assert (ended.code, len(ended.errors)) == (2, 1)
    assert f"error: {name} leads to /proc/" in ended.err
    assert not (two.folder / "new.csv").exists()


def test_an_output_in_a_folder_of_the_system_is_a_line(two: Job) -> None:
    output = "/proc/self/out.csv"
    arguments = ("run", "in.csv", "-p", "ask.prompty", "-o", output, "--model", "echo")
    ended = pipeline_process(*arguments, folder=two.folder)
    reason = "Permission denied; choose another name or folder for it"
    assert ended.lines == [f"error: can't write the output {output}: {reason}"]


def test_a_file_that_is_only_reached_through_proc_is_no_file_of_the_system(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.touch()
    with file.open() as opened:
        assert not is_of_system(Path(f"/proc/self/fd/{opened.fileno()}"))
    assert is_of_system(Path("/proc/self/environ")) and is_of_system(Path("/sys"))
