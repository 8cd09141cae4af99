"""Options that do nothing by themselves say so, and name what they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import run_here, write_rows

CLASSIFY = ("classify", "in.csv", "--labels", "Hello,Bye", "-o", "out.csv", "--model", "echo")
ESTIMATE = ("estimate", "in.csv", "--instruction", "Say it.", "--model", "echo")
EVALUATE = ("evaluate", "in.csv")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "in.csv", [{"text": "Hello", "gold": "Hello", "label": "Hello"}])
    return tmp_path


@pytest.mark.parametrize(
    ("command", "alone", "partner"),
    [
        (CLASSIFY, ("--shots", 3), "--examples TABLE"),
        (CLASSIFY, ("--below", 0.85), "--escalate MODEL"),
        (CLASSIFY, ("--accuracy", 0.9), "--escalate MODEL"),
        (CLASSIFY, ("--escalate-price", "1,2"), "--escalate MODEL"),
        (CLASSIFY, ("--rows", 200), "--review"),
        (ESTIMATE, ("--escalate", "big"), "--labels"),
        (ESTIMATE, ("--confidence",), "--labels"),
        (ESTIMATE, ("--multi",), "--labels"),
        (ESTIMATE, ("--other",), "--labels"),
        (ESTIMATE, ("--votes", 3), "--labels"),
        (ESTIMATE, ("--examples", "in.csv"), "--labels"),
        (EVALUATE, ("--confidence", 0.9, "--expected", "gold"), "--accuracy"),
        (EVALUATE, ("--on", "text", "--expected", "gold"), "a second OUTPUT"),
        (EVALUATE, ("--accuracy", 0.9, "--score", "gold"), "--expected"),
        (EVALUATE, ("--predicted", "label", "--score", "gold"), "--expected"),
    ],
)
def test_an_option_that_does_nothing_alone_is_an_error(
    folder: Path, command: tuple[str, ...], alone: tuple[object, ...], partner: str
) -> None:
    ended = run_here(*command, *alone)
    assert ended.errors == [
        f"error: {alone[0]} does nothing without {partner}: add that, or leave {alone[0]} out"
    ]
    assert (ended.code, (folder / "out.csv").exists()) == (2, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--escalate", "big", "--accuracy", 0.9, "--below", 0.8, "--expected", "gold"),
            "--accuracy finds what --below says: give one of them",
        ),
        (("--image-detail", "low"), "--image-detail does nothing without images: leave it out"),
    ],
)
def test_what_another_option_makes_idle_is_an_error(
    folder: Path, options: tuple[object, ...], message: str
) -> None:
    ended = run_here(*CLASSIFY, "--text-column", "text", "--prefix", "ai_", *options)
    assert (ended.code, ended.errors) == (2, [f"error: {message}"])
