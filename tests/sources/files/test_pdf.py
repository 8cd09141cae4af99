"""PDFs as their readers see them: directions, comments, attached files, junk before the header."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.sources.files.directions import logical, read_pages
from pipeline.sources.files.extract import extract
from pipeline.sources.files.folder import FolderSource
from tests.sources.files.extracting import extracted
from tests.sources.files.papers import lines, paper, scattered
from tests.sources.samples import PNG, pdf

HEBREW = "דמי השכירות הם 700 אירו (נטו)."
ARABIC = "يبلغ الإيجار 700 يورو شهرا."
JAPANESE = "吾輩は猫である名前はまだ無い"
ENGLISH = "The rent is 700 euros a month and the notice period is four weeks."


def visual(text: str) -> str:
    """Return a line of Hebrew or Arabic as it is drawn: numbers stay, brackets are mirrored."""
    return text[::-1].replace("007", "700")


@pytest.mark.parametrize("text", [HEBREW, ARABIC])
def test_hebrew_and_arabic_come_in_the_order_of_reading(tmp_path: Path, text: str) -> None:
    letters = "".join(sorted({letter for letter in text if not letter.isascii()}))
    content = lines(visual(text), visual(text[:14]), letters=letters)
    found = extracted(tmp_path / "contract.pdf", paper(content, letters=letters))
    assert found.text == f"{text}\n{text[:14].rstrip()}\n"


def test_vertical_lines_come_in_the_order_of_reading(tmp_path: Path) -> None:
    letters = "".join(sorted(set(JAPANESE)))
    first = scattered(JAPANESE[:7], at=400, dx=0, dy=-14, letters=letters)
    second = scattered(JAPANESE[7:], at=380, dx=0, dy=-14, letters=letters)
    text = extracted(tmp_path / "contract.pdf", paper(f"{first} {second}", letters=letters)).text
    assert text.replace("\n", "") == JAPANESE


@pytest.mark.parametrize(
    "turn", ["0 1 -1 0 700 100", "0 -1 1 0 100 700", "-1 0 0 -1 600 700", "0 2 -2 0 700 10"]
)
def test_turned_lines_come_in_the_order_of_reading(turn: str) -> None:
    pages = read_pages(paper(f"q {turn} cm {lines(ENGLISH[:31], ENGLISH[31:])} Q"), [])
    assert pages == [(f"{ENGLISH[:31]}\n{ENGLISH[31:]}", True)]


def test_upright_lines_are_left_to_the_extractor() -> None:
    (page,) = read_pages(paper(lines(ENGLISH[:31], ENGLISH[31:])), [ENGLISH])
    assert not page.is_better


@pytest.mark.parametrize(("kept", "is_better"), [(0, True), (30, True), (60, False)])
def test_a_page_that_the_extractor_loses_is_read_anew(kept: int, is_better: bool) -> None:
    data = paper(lines(ENGLISH[:31], ENGLISH[31:]))
    (page,) = read_pages(data, [ENGLISH[:kept]])
    assert page == (f"{ENGLISH[:31]}\n{ENGLISH[31:]}", is_better)


def test_text_beside_a_page_is_not_on_it() -> None:
    data = paper(f"{lines('On the page.')} {lines('x' * 50).replace('20 300', '2000 300')}")
    (page,) = read_pages(data, ["On the page."])
    assert (page.text.strip(), page.is_better) == ("On the page.", False)


def test_a_scan_with_a_text_layer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(pdf("\fTyped by a scanner."))
    (document,) = FolderSource(path)
    assert (document.text, document.remark) == ("Typed by a scanner.\n", None)


def test_a_page_upside_down_is_read(tmp_path: Path) -> None:
    content = f"q -1 0 0 -1 600 700 cm {lines('The rent is due.', 'At once.')} Q"
    found = extracted(tmp_path / "contract.pdf", paper(content))
    assert found.text == "The rent is due.\nAt once.\n"


def test_a_page_whose_letters_were_scattered_is_read_anew(tmp_path: Path) -> None:
    content = f"q 0 -1 1 0 -400 600 cm {scattered(ENGLISH, at=0, dx=7.2, dy=0)} Q"
    assert extracted(tmp_path / "contract.pdf", paper(content)).text == f"{ENGLISH}\n"


@pytest.mark.parametrize(
    ("drawn", "leftward", "text"),
    [
        ("דבלב ann@mail.example.org :תבותכ", True, "כתובת: ann@mail.example.org בלבד"),
        ("םתחנ Service Agreement v2.1 םכסה", True, "הסכם Service Agreement v2.1 נחתם"),
        ("ףוס 30 20 10 םירפסמ", True, "מספרים 10 20 30 סוף"),
        ("ףוס 10:30 העשב 31/12/2024 ךיראת", True, "תאריך 31/12/2024 בשעה 10:30 סוף"),
        ("ללוכ 17% ₪ 1,250.50 ריחמ", True, "מחיר 1,250.50 ₪ 17% כולל"),
        ("]יאלמ[ )שדח( םגד", True, "דגם (חדש) [מלאי]"),
        ("[יאלמ] (שדח) םגד", True, "דגם (חדש) [מלאי]"),
        (".2345-0171 فتاهلا", True, "الهاتف 0171-2345."),
        ("דיינ 0171-2345 ןופלט", True, "טלפון 0171-2345 נייד"),
        ("The word םולש means peace (not הלחמ).", False, "The word שלום means peace (not מחלה)."),
        ("plain (words) 12", False, "plain (words) 12"),
    ],
)
def test_a_drawn_gets_back_its_order(drawn: str, leftward: bool, text: str) -> None:
    assert logical(drawn, leftward=leftward) == text


AT = "/Rect [50 500 90 520]"
QUADS = "/QuadPoints [20 312 70 312 20 298 70 298]"


def test_comments_follow_the_text(tmp_path: Path) -> None:
    data = paper(
        lines("The rent is due."),
        annotations=[
            f"/Subtype /FreeText {AT} /Contents (Typed on the page)",
            f"/Subtype /Text {AT} /Contents (M\xfcller:\nwhy so much?) /T (Ana Lima)",
            f"/Subtype /Highlight {AT} {QUADS} /Contents (Check)",
            f"/Subtype /Highlight {AT} {QUADS}",
            f"/Subtype /Stamp {AT} /Contents <FEFF20AC0035>",
            f"/Subtype /Popup {AT} /Contents (Again)",
            f"/Subtype /Link {AT} /Contents (A link)",
            f"/Subtype /Text {AT} /F 2 /Contents (Hidden)",
        ],
    )
    assert extracted(tmp_path / "contract.pdf", data).text == (
        "The rent is due.\n\n# Comments\n\n"
        "- page 1: Typed on the page\n"
        "- page 1, Ana Lima: Müller: why so much?\n"
        "- page 1, on “The ren”: Check\n"
        "- page 1: €5\n"
    )


def test_what_is_attached_is_read_or_named(tmp_path: Path) -> None:
    attached = {"terms.txt": b"Four weeks.", "logo.png": PNG, "rows.csv": b"id,text\n1,tea\n"}
    path = tmp_path / "contract.pdf"
    path.write_bytes(paper(lines("Rent."), attached=attached))
    (document,) = FolderSource(path)
    assert "# terms.txt\n\nFour weeks." in document.text
    assert "tea" in document.text
    assert document.remark == "not asked about: the files logo.png"


@pytest.mark.parametrize("start", [b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n  "])
def test_what_is_attached_is_read_after_blanks_and_under_any_name(
    tmp_path: Path, start: bytes
) -> None:
    data = start + paper(lines("Rent."), attached={"terms.txt": b"Four weeks."})
    assert extracted(tmp_path / "contract", data).text == "Rent.\n\n# terms.txt\n\nFour weeks."


def test_a_file_pinned_to_a_page_is_read(tmp_path: Path) -> None:
    file = "<< /Type /Filespec /F (terms.txt) /EF << /F 7 0 R >> >>"
    pin = f"/Subtype /FileAttachment /Rect [50 500 90 520] /FS {file}"
    data = paper(lines("Rent."), annotations=[pin], attached={"terms.txt": b"Four weeks."})
    data = data.replace(b"/Names << /EmbeddedFiles", b"/Other << /EmbeddedFiles")
    assert extracted(tmp_path / "contract.pdf", data).text == "Rent.\n\n# terms.txt\n\nFour weeks."


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("contract.pdf", b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n"),
        ("contract.pdf", b"x" * 900),
        ("contract.PDF", b"<?php /* not seen */ ?>\n"),
        ("contract.pdf", bytes(range(256))),
        ("contract.dat", bytes(range(256)) * 3),
        ("contract", b"\xef\xbb\xbf\r\n  "),
    ],
)
def test_a_pdf_is_read_whatever_stands_before_it(tmp_path: Path, name: str, junk: bytes) -> None:
    assert extracted(tmp_path / name, junk + pdf("Four weeks.")).text == "Four weeks.\n"


@pytest.mark.parametrize("name", ["make.py", "notes.md", "README", "log.txt"])
def test_text_about_pdfs_stays_text(tmp_path: Path, name: str) -> None:
    text = 'HEAD = b"%PDF-1.4"  # of a PDF\n'
    assert extracted(tmp_path / name, text.encode()).text == text


def test_a_form_that_only_adobe_shows_says_so(tmp_path: Path) -> None:
    path = tmp_path / "form.pdf"
    path.write_bytes(pdf("Please wait... If this message is not eventually replaced by the form"))
    assert extract(path).error == "a form that only Adobe Reader shows: print it to another PDF"
