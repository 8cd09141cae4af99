from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest
import xlsxwriter

from pipeline.processes.pool import Pool
from pipeline.sources.base import Extracted
from pipeline.sources.files.extract import extract, extract_all, extract_several
from pipeline.types import Image
from tests.pictures import picture, scan, write
from tests.sources.samples import PNG, docx, pdf

PICTURE = "not a picture that can be read; it may be damaged"


@pytest.mark.parametrize("suffix", [".txt", ".md", ".csv", ".json", ".xml", ".py", ".odd", ""])
def test_text_comes_out_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes('# A, "b"\r\n\r\n\t{"é": <1>}  \n'.encode())
    assert extract(path).text == '# A, "b"\r\n\r\n\t{"é": <1>}  \n'


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_text_of_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes("El niño comió una piña ayer".encode(encoding))
    assert extract(path).text == "El niño comió una piña ayer"


def test_a_pdf_gives_the_text_of_all_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "contract.pdf"
    path.write_bytes(pdf("Notice period: four weeks.", "Signed in Lisbon."))
    assert extract(path).text == "Notice period: four weeks.\n\nSigned in Lisbon.\n"


@pytest.mark.parametrize("name", ["contract", "contract.dat", "contract.txt", "a?b#c%20d.PDF"])
def test_a_pdf_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pdf("Notice period: four weeks."))
    assert extract(path).text == "Notice period: four weeks.\n"


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"contract-\xff.pdf")
    path.write_bytes(pdf("Notice period: four weeks."))
    assert extract(path).text == "Notice period: four weeks.\n"


def test_a_word_document_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.docx"
    path.write_bytes(docx("Remote work policy", "Für alle: two days a week."))
    assert extract(path).text == "Remote work policy\n\nFür alle: two days a week.\n"


def test_a_workbook_is_read_as_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Prices")
        sheet.write_row(0, 0, ["item", "price"])
        sheet.write_row(1, 0, ["tea", 4])
    assert extract(path).text == "## Prices\n\n| item | price |\n| --- | --- |\n| tea | 4 |\n"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<h1>Prices</h1><p>Tea <b>4 €</b></p>", "# Prices\n\nTea **4 €**\n"),
        (
            '<head><title>Our\n prices &amp; terms</title><meta name="x" content="y"></head>'
            "<body><p>Tea</p></body>",
            "# Our prices & terms\n\nTea\n",
        ),
        ("<head><title>Prices</title></head><body><h1>Prices</h1></body>", "# Prices\n"),
        ("<p>Tea</p><script>alert(1)</script><style>p {}</style>", "Tea\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_page_gives_its_title_and_its_text(
    tmp_path: Path, page: str, text: str, encoding: str
) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(f"<html>{page}</html>".encode(encoding))
    assert extract(path).text == text


def test_a_page_that_declares_nonsense_is_read(tmp_path: Path) -> None:
    path = tmp_path / "page.htm"
    path.write_bytes(b'<html><meta charset="unicode_escape"><p>Tea \\ud800</p></html>')
    assert extract(path).text == "Tea \\ud800\n"


def test_xml_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    path.write_bytes('<?xml version="1.0" encoding="windows-1250"?><a>Škoda</a>'.encode("cp1250"))
    assert extract(path).text == '<?xml version="1.0" encoding="windows-1250"?><a>Škoda</a>'


def test_a_page_in_the_encoding_that_it_declares_loses_no_character(tmp_path: Path) -> None:
    path = tmp_path / "page.htm"
    page = '<html><head><meta charset="shift_jis"></head><body><p>日本語</p></body></html>'
    path.write_bytes(page.encode("shift_jis"))
    assert extract(path).text == "日本語\n"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.txt", b"", "the file is empty"),
        ("empty.pdf", b"", "the file is empty"),
        ("empty.html", b"", "the file is empty"),
        ("blank.txt", b" \r\n\t\n", "nothing but blank space"),
        ("blank.html", b"<html><script>1</script></html>", "nothing but blank space"),
        ("blank.pdf", pdf(" ", " "), "nothing but blank pages"),
        ("pages.pdf", pdf(), "there are no pages in it: it may be damaged"),
        ("photo.jpg", b"\xff\xd8\xff\xe0", PICTURE),
        ("photo.JPG", b"\0\1\2\xff" * 9, PICTURE),
        ("photo", PNG, PICTURE),
        ("photo.pdf", PNG, PICTURE),
        ("sound.wav", b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "sound or video has no text"),
        (
            "program.bin",
            b"\x7fELF\x02\x01\x01" + bytes(100),
            "not text, and not a document format that can be read",
        ),
        ("cut.docx", b"PK\x03\x04 and more", "damaged, or not what its name says"),
        ("cut", b"PK\x03\x04 and more", "damaged, or not what its name says"),
        ("cut.pdf", b"%PDF-1.4\nand more\n", "damaged, or not what its name says"),
    ],
)
def test_a_file_without_text_says_why(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    found = extract(path)
    assert (found.text, found.error) == ("", message)


@pytest.mark.parametrize("name", ["photo.png", "photo", "photo.pdf", "photo.txt"])
def test_a_picture_has_images_instead_of_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    picture(64, 32).save(path, "PNG")
    found = extract(path)
    (image,) = found.images
    assert isinstance(image, Image)
    assert (image.source, image.width, image.height, image.page) == (str(path), 64, 32, None)
    assert image.digest == hashlib.sha256(path.read_bytes()).digest()
    assert (found.text, found.error) == ("", None)


def test_a_scan_has_its_pages_instead_of_text(tmp_path: Path) -> None:
    found = extract(scan(tmp_path / "scan.pdf", pages=3, width=620, height=877))
    assert (found.pages, found.scanned_pages) == (3, (1, 2, 3))
    assert [(image.page, image.width, image.height) for image in found.images] == [
        (page, 620, 877) for page in range(3)
    ]


def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    error = "the file can't be read: No such file or directory"
    assert extract(tmp_path / "gone.txt") == Extracted(error=error)


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    makers: dict[str, Callable[[Path], object]] = {
        "a.txt": lambda path: path.write_text("plain", encoding="utf-8"),
        "b.pdf": lambda path: path.write_bytes(pdf("from a PDF")),
        "c.png": lambda path: path.write_bytes(b"not one"),
        "d.html": lambda path: path.write_text("<p>from a page</p>", encoding="utf-8"),
        "e.pdf": lambda path: path.write_bytes(pdf(" ")),
        "f.gone": lambda path: None,
    }
    for name, make in makers.items():
        make(tmp_path / name)
    return [tmp_path / name for name in makers]


MIXED = [
    "plain",
    "from a PDF\n",
    PICTURE,
    "from a page\n",
    "nothing but blank pages",
    "the file can't be read: No such file or directory",
]


def said(found: Extracted) -> str:
    return found.error or found.text


def test_many_files_are_read_in_their_order(mixed: list[Path]) -> None:
    found = list(extract_all(mixed * 5))
    assert list(map(said, found)) == MIXED * 5
    failed = [bool(one.error) for one in found[:6]]
    assert failed == [False, False, True, False, True, True]


def test_files_are_read_from_a_background_thread(mixed: list[Path]) -> None:
    found: list[Extracted] = []
    thread = threading.Thread(target=lambda: found.extend(extract_all(mixed)))
    thread.start()
    thread.join()
    assert list(map(said, found)) == MIXED


def test_plain_text_starts_no_process(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("plain", encoding="utf-8")
    before = psutil.Process().children()
    texts = extract_all([path] * 3)
    assert next(texts).text == "plain"
    assert psutil.Process().children() == before
    assert [found.text for found in texts] == ["plain", "plain"]


def test_only_a_few_files_are_read_ahead(mixed: list[Path]) -> None:
    taken: list[Path] = []

    def paths() -> object:
        for path in mixed * 100:
            taken.append(path)
            yield path

    texts = extract_all(paths())  # type: ignore[arg-type]
    next(texts)
    texts.close()
    assert len(taken) <= 2 * (os.cpu_count() or 1) + 1


def test_leaving_early_ends_the_processes(mixed: list[Path]) -> None:
    before = set(psutil.Process().children())
    texts = extract_all(mixed * 10)
    for _ in range(3):
        next(texts)
    started = set(psutil.Process().children()) - before
    assert started
    texts.close()
    left = {process for process in started if process.is_running()}
    assert all("resource_tracker" in " ".join(process.cmdline()) for process in left)


def deadly(paths: Sequence[Path]) -> list[Extracted]:
    """Read files as usual, but die of one of this name."""
    if any(path.name == "deadly.png" for path in paths):
        os.kill(os.getpid(), signal.SIGKILL)
    return extract_several(paths)


def test_pictures_that_are_read_together_do_not_die_together(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(20)]
    write(tmp_path, *names, "deadly.png")
    paths = [tmp_path / name for name in [*names[:3], "deadly.png", *names[3:]]]
    found = list(extract_all(paths, readers=Pool(deadly)))
    assert [bool(one.images) for one in found] == [True] * 3 + [False] + [True] * 17
    assert found[3].error.startswith("reading it crashed")
