from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.formats import FORMATS, WRITTEN, Format, format_of, named
from pipeline.sources.files.walk import is_hidden


@pytest.mark.parametrize("line", FORMATS.values(), ids=list(FORMATS))
def test_what_a_format_names_is_there(line: Format) -> None:
    assert callable(named(line.reader))
    assert line.writer is None or callable(named(line.writer))


@pytest.mark.parametrize("suffix", WRITTEN)
def test_the_journal_of_every_format_is_no_document(suffix: str) -> None:
    assert is_hidden(f"out{suffix}.journal")
    assert is_hidden(f"out{suffix}.gz.journal-wal")


def test_a_packed_name_says_what_is_in_it() -> None:
    assert format_of(Path("a.CSV.gz")) is FORMATS[".csv"]
    assert format_of(Path("a.gz")) is None
