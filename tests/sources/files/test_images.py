"""What is made of a picture's file: it is found, and sent upright and sized, or says why not."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageChops

from pipeline import vision
from pipeline.errors import DocumentError
from pipeline.sources.files import images, pixels
from pipeline.sources.files.reach import Reach
from pipeline.types import Detail, Image
from tests.pictures import RED, colours, lying, picture, scan, seen, write
from tests.sources.files import attacks

RULE = vision.rule("gpt-6-luna")


def sent(path: Path, detail: Detail = "auto") -> list[Pillow.Image]:
    """Give the pictures of a file as a server gets them."""
    found = [replace(image, detail=detail) for image in images.read(path)]
    content = [
        {"type": "image_url", "image_url": {"url": images.encode(image, RULE)}} for image in found
    ]
    shown = list(seen({"messages": [{"content": content}]}))
    sizes = [Image("", b"", *picture.size, detail=detail) for picture in shown]
    assert list(map(RULE.tokens, sizes)) == list(map(RULE.tokens, found))
    return shown


def problem(path: Path) -> str:
    with pytest.raises(DocumentError) as raised:
        [images.encode(image, RULE) for image in images.read(path)]
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("suffix", [*sorted(images.SUFFIXES - {".heif", ".ico"})])
def test_a_picture_of_any_format_is_sent(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, f"photo{suffix}")
    (picture,) = sent(tmp_path / f"photo{suffix}")
    assert picture.size == (64, 32)
    assert colours(picture) == ("red", "blue")


@pytest.mark.parametrize(
    ("mode", "name"),
    [("1", "a.tif"), ("L", "a.png"), ("P", "a.gif"), ("I;16", "a.png"), ("CMYK", "a.jpg")],
)
def test_a_picture_of_any_kind_of_colours_is_sent(tmp_path: Path, mode: str, name: str) -> None:
    picture(64, 32, left=(255, 255, 255)).convert("L" if mode == "I;16" else mode).save(
        tmp_path / name
    )
    if mode == "I;16":
        drawn = Pillow.new(mode, (64, 32), 65_535)
        drawn.paste(0, (32, 0, 64, 32))
        drawn.save(tmp_path / name)
    left, right = colours(sent(tmp_path / name)[0])
    assert left == "white"
    assert right in ("blue", "black")


@pytest.mark.parametrize("side", [64, 4000])
@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif"])
def test_a_photo_is_turned_as_its_camera_was_held(tmp_path: Path, suffix: str, side: int) -> None:
    path = lying(tmp_path / f"photo{suffix}", side, side // 2)
    (picture,) = sent(path)
    assert picture.width == 2 * picture.height
    assert colours(picture) == ("red", "blue")


@pytest.mark.parametrize("side", [64, 4000])
def test_what_can_be_seen_through_lies_on_white(tmp_path: Path, side: int) -> None:
    picture(side, side, left=(*RED, 0)).save(tmp_path / "logo.png")
    assert colours(sent(tmp_path / "logo.png")[0]) == ("white", "blue")


@pytest.mark.parametrize(
    ("detail", "size"),
    [
        ("low", (512, 384)),
        ("high", (1824, 1368)),
        ("auto", (1824, 1368)),
        ("original", (3669, 2752)),
    ],
)
def test_a_large_picture_is_sized_down(
    tmp_path: Path, detail: Detail, size: tuple[int, int]
) -> None:
    write(tmp_path, "photo.jpg", width=4000, height=3000)
    assert [picture.size for picture in sent(tmp_path / "photo.jpg", detail)] == [size]


def test_what_every_server_takes_as_it_is_stays_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "a.png")
    for path in sorted(tmp_path.iterdir()):
        (image,) = images.read(path)
        url = images.encode(image, RULE)
        assert base64.b64decode(url.partition(",")[2]) == path.read_bytes()


def test_all_pages_of_a_tiff_and_the_first_of_a_film_are_sent(tmp_path: Path) -> None:
    frames = [picture(64, 32), picture(64, 32, left=(255, 255, 255))]
    for name in ("fax.tif", "film.gif", "film.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    first, second = ("red", "blue"), ("white", "blue")
    assert [colours(page) for page in sent(tmp_path / "fax.tif")] == [first, second]
    assert [colours(page) for page in sent(tmp_path / "film.gif")] == [first]
    assert [colours(page) for page in sent(tmp_path / "film.webp")] == [first]


@pytest.mark.parametrize("name", ["a.tif", "a.pdf"])
def test_a_scan_of_too_many_pages_says_so(tmp_path: Path, name: str) -> None:
    page = Pillow.new("L", (10, 10))
    pages = [page] * pixels.MOST_PAGES
    page.save(tmp_path / name, save_all=True, append_images=pages)
    assert problem(tmp_path / name) == (
        "a scan of more than 50 pages: split it, no more go into one request"
    )
    page.save(tmp_path / name, save_all=True, append_images=pages[:-1])
    assert len(images.read(tmp_path / name)) == 50


def test_a_page_is_drawn_in_the_pixels_that_it_was_scanned_in(tmp_path: Path) -> None:
    scan(tmp_path / "coarse.pdf", width=620, height=877)
    assert [page.size for page in sent(tmp_path / "coarse.pdf")] == [(620, 877)]
    scan(tmp_path / "fine.pdf", width=2480, height=3508)
    (page,) = sent(tmp_path / "fine.pdf")
    assert page.size == RULE.fit((2480, 3508), "high")
    assert colours(page) == ("red", "blue")


def test_a_file_that_changes_between_finding_and_sending_is_not_sent(tmp_path: Path) -> None:
    write(tmp_path, "photo.png")
    (found,) = images.read(tmp_path / "photo.png")
    write(tmp_path, "photo.png", width=65)
    with pytest.raises(DocumentError) as raised:
        images.encode(found, RULE)
    assert str(raised.value) == ("photo.png changed while the run was going on: run the same again")
    (tmp_path / "photo.png").unlink()
    with pytest.raises(DocumentError) as raised:
        images.encode(found, RULE)
    assert str(raised.value) == "photo.png can't be read any more: No such file or directory"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.heic", "a.tif", "a.gif"])
def test_a_file_that_is_cut_off_is_not_sent(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 3 // 4])
    assert problem(tmp_path / name).startswith(("the picture is damaged: ", "not a picture"))


def test_a_bomb_is_not_opened(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    assert problem(tmp_path / "bomb.png") == "a picture of far too many pixels: scale it down"


def test_a_picture_sized_strip_by_strip_is_as_if_sized_at_once(tmp_path: Path) -> None:
    drawn = Pillow.linear_gradient("L").rotate(30).resize((5000, 3000))
    drawn.save(tmp_path / "a.png")
    (found,) = sent(tmp_path / "a.png")
    whole = drawn.resize(found.size, Pillow.Resampling.LANCZOS).convert("RGB")
    extremes = ImageChops.difference(found, whole).getextrema()
    assert max(most for _, most in extremes) <= 8  # which is what a JPEG changes


@pytest.mark.parametrize(
    ("size", "how", "is_decoded"),
    [
        ((13_000, 13_400), {}, True),
        ((13_300, 13_300), {}, False),
        ((60_000, 10_000), {"colours": 0}, True),
        ((70_100, 10_000), {"colours": 0}, False),
        ((200_000_000, 1), {}, False),
    ],
)
def test_a_picture_is_bounded_by_the_memory_that_decoding_it_takes(
    tmp_path: Path, size: tuple[int, int], how: dict[str, int], is_decoded: bool
) -> None:
    (tmp_path / "a.png").write_bytes(attacks.png(*size, data=b"", **how))
    if is_decoded:
        (image,) = images.read(tmp_path / "a.png")
        assert (image.width, image.height) == size
    else:
        assert problem(tmp_path / "a.png").startswith("a picture of ")
        assert "scale it down" in problem(tmp_path / "a.png")


@pytest.mark.parametrize("is_progressive", [True, False])
def test_a_jpeg_may_be_larger_if_it_can_be_decoded_in_part(
    tmp_path: Path, is_progressive: bool
) -> None:
    data = attacks.saved(Pillow.new("RGB", (64, 64)), "JPEG", progressive=is_progressive)
    at = data.index(b"\xff\xc2" if is_progressive else b"\xff\xc0") + 5
    (tmp_path / "a.jpg").write_bytes(
        data[:at] + struct.pack(">HH", 12_240, 16_320) + data[at + 4 :]
    )
    if is_progressive:
        assert problem(tmp_path / "a.jpg") == (
            "a picture of 16,320 x 12,240 pixels is too large to decode: "
            "scale it down to 3,669 x 2,752, models see no more"
        )
    else:
        assert len(images.read(tmp_path / "a.jpg")) == 1


def test_a_picture_that_carries_more_than_its_pixels_is_written_anew(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    data = (tmp_path / "a.png").read_bytes()
    stray = b"\0\0\0\0IEND\xaeB`\x82" + bytes(21_000_000)
    (tmp_path / "a.png").write_bytes(data[:-12] + stray)
    (image,) = images.read(tmp_path / "a.png")
    assert len(images.encode(image, RULE)) < 10_000


# The cells of an image column


def test_a_cell_names_files_addresses_or_several(tmp_path: Path) -> None:
    write(tmp_path, "pics/a.png", "pics/b.png")
    reach = Reach(tmp_path)
    assert images.find(None, reach) == images.find(" ", reach) == ()
    (a,) = images.find("pics/a.png", reach)
    (b,) = images.find(str(tmp_path / "pics/b.png"), reach)
    assert (a.source, b.source) == (str(tmp_path / "pics/a.png"), str(tmp_path / "pics/b.png"))
    assert a.digest == b.digest
    (web,) = images.find("https://a.example/b.png", reach)
    assert (web.source, web.width, web.height) == ("https://a.example/b.png", 0, 0)
    assert images.find(["pics/a.png", "https://a.example/b.png"], reach) == (a, web)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("gone.png", "image gone.png: the file can't be read: No such file or directory"),
        (".", "image .: not a file"),
        ("a.txt", "image a.txt: not a picture that can be read; it may be damaged"),
        (7, "image 7: the file can't be read: No such file or directory"),
        ("s3://b/a", "image s3://b/a: give a file, or an address with http:// or https://"),
        ("x" * 5000, f"image {'x' * 80}...: the file can't be read: File name too long"),
        ("a\0b", "image a\\u0000b: the file can't be read: embedded null byte"),
        (["", ["a.txt"]], "image ['a.txt']: the file can't be read: No such file or directory"),
    ],
)
def test_a_cell_that_names_no_picture_says_why(tmp_path: Path, cell: object, message: str) -> None:
    (tmp_path / "a.txt").write_text("words", encoding="utf-8")
    with pytest.raises(DocumentError) as raised:
        images.find(cell, Reach(tmp_path))
    assert str(raised.value) == message


def test_a_cell_is_bounded_in_what_it_names(tmp_path: Path) -> None:
    address = "https://a.example/b.png"
    assert len(images.find([address] * 500, Reach(tmp_path))) == 500
    with pytest.raises(DocumentError) as raised:
        images.find([address] * 501, Reach(tmp_path))
    assert str(raised.value) == "over 500 images in one row: split it"


def test_a_list_in_a_list_is_no_name_however_deep(tmp_path: Path) -> None:
    deep: list[object] = ["a.png"]
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(DocumentError) as raised:
        images.find(deep, Reach(tmp_path))
    assert str(raised.value).startswith("image [[[[[[[...]]]]]]]: the file can't be read")
