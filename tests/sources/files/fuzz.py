"""Runs over folders of damaged documents and pictures, and what of it must not happen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline.sources.files.kinds import kind
from tests.mutations import damaged
from tests.pictures import HEIC, picture
from tests.running import PRICE, read_rows, run_here
from tests.server import Server
from tests.sources.files.attacks import ico, saved
from tests.sources.kinds import GOOD

# What an error of a row says if the process that read the file didn't live to say it.
_ENDS = ("reading it crashed", "reading it took", "takes more memory", "not read: ")
_BATCH = 250


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a damaged file: the error of its row, or none; `is_end` if its reader died."""

    name: str
    error: str
    is_end: bool


def sound() -> Mapping[str, bytes]:
    """Make a document or a picture of each format that isn't text."""
    documents = {
        name: file.data
        for name, file in GOOD.items()
        if kind(file.data[:8192], Path(name).suffix) != "text"
    }
    return {**documents, **_pictures()}


def _pictures() -> Mapping[str, bytes]:
    drawn, other = picture(64, 32), picture(64, 32, left=(255, 255, 255))
    film = {"save_all": True, "append_images": [other]}
    exif = Image.Exif()
    exif[274], exif[270] = 6, "a picture"
    scan = [picture(620, 877).convert(mode) for mode in ("RGB", "L", "1")]
    return {
        "a.jpg": saved(drawn, "JPEG", exif=exif),
        "progressive.jpg": saved(drawn, "JPEG", progressive=True),
        "print.jpg": saved(drawn.convert("CMYK"), "JPEG"),
        "a.png": saved(drawn, "PNG"),
        "clear.png": saved(drawn.convert("RGBA"), "PNG", exif=exif),
        "few.png": saved(drawn.convert("P"), "PNG", transparency=0),
        "deep.png": saved(Image.new("I;16", (64, 32), 9000), "PNG"),
        "a.gif": saved(drawn, "GIF"),
        "film.gif": saved(drawn, "GIF", **film),
        "a.webp": saved(drawn, "WEBP", exif=exif),
        "film.webp": saved(drawn, "WEBP", **film),
        "a.avif": saved(drawn, "AVIF"),
        "a.bmp": saved(drawn, "BMP"),
        "plain.tif": saved(drawn, "TIFF"),
        "pages.tif": saved(drawn, "TIFF", compression="tiff_lzw", **film),
        "fax.tif": saved(drawn.convert("1"), "TIFF", compression="group4"),
        "photo.tif": saved(drawn, "TIFF", compression="jpeg"),
        "a.heic": HEIC,
        "a.ico": ico(16),
        "scan.pdf": saved(scan[0], "PDF", save_all=True, append_images=scan[1:], resolution=75),
    }


def fuzz(folder: Path, count: int, seed: int = 0) -> Iterator[Outcome]:
    """Run the program over so many damaged files, and yield what becomes of each.

    An error that nobody foresaw, or a row that is missing, is an AssertionError.
    """
    files = list(damaged(sound(), count, seed))
    with Server() as server:
        for start in range(0, count, _BATCH):
            yield from _run(folder / str(start), server, dict(files[start : start + _BATCH]))


def _run(folder: Path, server: Server, files: Mapping[str, bytes]) -> Iterator[Outcome]:
    (folder / "in").mkdir(parents=True)
    for name, data in files.items():
        (folder / "in" / name).write_bytes(data)
    ended = run_here(
        *("run", folder / "in", "-o", folder / "out.csv", "--instruction", "Answer.", "--quiet"),
        *("-m", "gpt-6-luna", "--base-url", server.base_url, "--price", ",".join(PRICE)),
    )
    assert ended.code in (0, 1), ended.err
    assert "unexpected" not in ended.err
    rows = {row["document"]: row for row in read_rows(folder / "out.csv")}
    assert rows.keys() == files.keys()
    assert {row["status"] for row in rows.values()} <= {"ok", "failed"}
    for name, row in rows.items():
        yield Outcome(name, row["error"], any(end in row["error"] for end in _ENDS))
    shutil.rmtree(folder)
