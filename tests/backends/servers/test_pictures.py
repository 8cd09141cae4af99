"""How pictures get ready to be sent: in processes, in little memory, and not too many for a row."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image as Pillow

from pipeline import vision
from pipeline.backends.servers.pictures import Pictures
from pipeline.errors import UnsentError
from pipeline.sources.files import images
from pipeline.types import Image
from tests.pictures import write
from tests.sources.files import attacks


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    made = Pictures(vision.rule("gpt-6-luna"))
    yield made
    made.close()


def test_an_address_starts_no_process(pictures: Pictures) -> None:
    before = psutil.Process().children()
    address = Image("https://a.example/b.png", b"")
    assert asyncio.run(pictures.urls([address])) == ["https://a.example/b.png"]
    assert psutil.Process().children() == before


def test_large_pictures_are_decoded_alone_and_in_turn(tmp_path: Path, pictures: Pictures) -> None:
    (tmp_path / "large.png").write_bytes(attacks.png(8000, 7000))  # 224 MB
    write(tmp_path, "small.jpg")
    (large,), (small,) = (images.read(tmp_path / name) for name in ("large.png", "small.jpg"))

    async def all_at_once() -> list[list[str]]:
        several = [[large, small], [small], [large]]
        return await asyncio.gather(*map(pictures.urls, several))

    sizes = [[_size(url) for url in urls] for urls in asyncio.run(all_at_once())]
    assert sizes == [[(1682, 1472), (64, 32)], [(64, 32)], [(1682, 1472)]]


def test_a_run_that_stops_leaves_the_processes_to_the_next(
    tmp_path: Path, pictures: Pictures
) -> None:
    write(tmp_path, "a.jpg")
    (image,) = images.read(tmp_path / "a.jpg")

    async def stopped() -> list[str]:
        tasks = [asyncio.create_task(pictures.urls([image])) for _ in range(8)]
        await asyncio.sleep(0)  # they begin
        for task in tasks[:-1]:
            task.cancel()
        return await tasks[-1]

    (url,) = asyncio.run(stopped())
    assert _size(url) == (64, 32)


def test_the_images_of_a_row_are_bounded_in_sum(pictures: Pictures) -> None:
    address = Image("data:image/png;base64," + "A" * 26_000_000, b"")
    assert len(asyncio.run(pictures.urls([address] * 3))) == 3
    with pytest.raises(UnsentError) as raised:
        asyncio.run(pictures.urls([address] * 4))
    assert str(raised.value) == (
        "its images come to over 100 MB: split it, or use --image-detail low"
    )


def _size(url: str) -> tuple[int, int]:
    with Pillow.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as found:
        return found.size
