"""Folders to measure with: small texts in their thousands, and documents of the usual formats."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.job import WORDS
from tests.sources.samples import docx, eml, pdf, pptx, xlsx


def write_small_files(folder: Path, count: int) -> Path:
    """Write texts that differ, a thousand in a folder."""
    generator = random.Random(count)
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.txt"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"file {number} {_words(generator, 45)}", encoding="utf-8")
    return folder


def write_documents(folder: Path, count: int) -> Path:
    """Write documents of the usual formats, a few pages each, and a few that can't be read."""
    generator = random.Random(count)
    folder.mkdir(parents=True)
    makers = {
        "pdf": lambda: pdf(*(_page(generator) for _ in range(generator.randrange(1, 12)))),
        "docx": lambda: docx(*(_words(generator, 80) for _ in range(generator.randrange(4, 60)))),
        "html": lambda: _html(generator).encode(),
        "xlsx": lambda: xlsx(*([_words(generator, 3), 7, 0.5] for _ in range(300))),
        "pptx": lambda: pptx(*(_words(generator, 40) for _ in range(12))),
        "eml": lambda: eml("Offer", "Ana", _words(generator, 300), "offer.pdf"),
        "txt": lambda: _words(generator, 2000).encode(),
    }
    weights = {"pdf": 10, "docx": 6, "html": 3, "xlsx": 2, "pptx": 1, "eml": 2, "txt": 2}
    kinds = [kind for kind in makers for _ in range(weights[kind])]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        data = makers[kind]()
        (folder / f"{number:05}.{kind}").write_bytes(data[:99] if number % 97 == 0 else data)
    return folder


def _words(generator: random.Random, count: int) -> str:
    return " ".join(generator.choices(WORDS, k=count))


def _page(generator: random.Random) -> str:
    return ") Tj 0 -14 Td (".join(_words(generator, 12) for _ in range(45))


def _html(generator: random.Random) -> str:
    rows = "".join(
        f"<tr><td>{_words(generator, 2)}</td><td>{n}</td></tr><p class='x'>{_words(generator, 60)}"
        for n in range(80)
    )
    return f"<html><head><title>Page</title></head><body><table>{rows}</table></body></html>"
