from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.sources.files.extract import extract
from pipeline.sources.files.ligatures import restored
from tests.sources.files.papers import lines, paper


@pytest.mark.parametrize(
    "text",
    [
        "Ticket #deal in C#dev: wow!great",
        "See http://example.org/page#section and 5*x, width*height",
        'He said don"t and "quoted"x!',
        "!important #include @user!name 'a!b!c!d!e'",
        "We find #nd and find it, affix a!x office",
        "Yes! Great # of *stars*.",
    ],
)
def test_marks_between_letters_stay(tmp_path: Path, text: str) -> None:
    path = tmp_path / "contract.pdf"
    path.write_bytes(paper(lines(text)))
    assert extract(path).text == text + "\n"


def test_what_a_font_has_for_its_ligatures_stays_mended() -> None:
    raw = "The o!ce has a di!erent e!ect; we #nd a speci#c pro#t, #rst of all, and af#rm."
    text = "The office has a different effect; we find a specific profit, first of all, and affirm."
    assert restored(text, raw) == text


def test_words_that_were_so_before_stay() -> None:
    assert restored("find find find", "find #nd find") == "find #nd find"


def test_the_decoration_of_a_word_stays() -> None:
    assert restored("| **wowfigreat** | `attb` |", "wow!great a*b") == "| **wow!great** | `a*b` |"


def test_many_marks_take_no_longer() -> None:
    raw = "a" + "!b" * 10_000
    assert restored(raw, raw) == raw
