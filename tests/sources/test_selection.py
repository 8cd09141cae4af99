from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.sources.opening import open_source
from pipeline.sources.selection import select


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, str]:
    """Make a folder and a table of the same ten texts."""
    folder = tmp_path / "docs"
    folder.mkdir()
    texts = [f"text {number}" for number in range(10)]
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    table = tmp_path / "in.csv"
    table.write_text("\n".join(["text", *texts]), encoding="utf-8")
    return {"folder": str(folder), "table": str(table)}


@pytest.mark.parametrize("kind", ["folder", "table"])
@pytest.mark.parametrize(
    ("limit", "sample", "count"),
    [(None, None, 10), (3, None, 3), (99, None, 10), (None, 4, 4), (None, 99, 10), (5, 2, 2)],
)
def test_some_documents_are_taken_in_their_order(
    inputs: dict[str, str], kind: str, limit: int | None, sample: int | None, count: int
) -> None:
    chosen = select(open_source(inputs[kind]), limit=limit, sample=sample)
    numbers = [int(document.text.removeprefix("text ")) for document in chosen]
    assert len(numbers) == count
    assert numbers == sorted(set(numbers))
    assert all(number < (limit or 10) for number in numbers)
    assert chosen.fraction() == 1.0


@pytest.mark.parametrize("kind", ["folder", "table"])
@pytest.mark.parametrize(("limit", "sample"), [(None, 8), (8, 99)])
def test_how_much_has_been_read_is_of_the_sample(
    inputs: dict[str, str], kind: str, limit: int | None, sample: int
) -> None:
    """An estimate goes by it, where the input takes too long to be looked through."""
    chosen = select(open_source(inputs[kind]), limit=limit, sample=sample)
    documents = iter(chosen)
    for _ in range(2):
        next(documents)
    assert chosen.fraction() == 0.25


def test_a_folder_and_a_table_are_sampled_alike(inputs: dict[str, str]) -> None:
    samples = [
        [document.text for document in select(open_source(uri), sample=3)]
        for uri in inputs.values()
    ]
    assert samples[0] == samples[1]


def test_files_that_are_not_chosen_are_never_read(inputs: dict[str, str]) -> None:
    source = select(open_source(inputs["folder"]), limit=8, sample=2)
    (wanted, *_) = select(open_source(inputs["folder"]), limit=8, sample=2)
    for file in Path(inputs["folder"]).iterdir():
        if file.name != wanted.name:
            file.unlink()
    assert [document.error for document in source] == [
        None,
        "the file can't be read: No such file or directory",
    ]
