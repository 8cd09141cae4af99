"""A folder of every kind of file that there is, good and bad, and what becomes of each."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.sources.compound import doc, encrypted_office, msg, ppt, xls
from tests.sources.samples import (
    PNG,
    docx,
    eml,
    epub,
    gz,
    notebook,
    odf,
    packed,
    pdf,
    pptx,
    rtf,
    tar,
    xlsx,
)

DAMAGED = "damaged, or not what its name says"
PICTURE = "not a picture that can be read; it may be damaged"
UNKNOWN = "not text, and not a document format that can be read"
PROTECTED = "protected by a password"
TOO_LARGE = "it unpacks to more than 500 MB"
TOO_MANY = "it holds more than 10,000 files: unpack it"
TOO_DENSE = "it unpacks to more than 100 times its size: unpack it"
SPACE = "urn:oasis:names:tc:opendocument:xmlns:{}:1.0"


@dataclass(frozen=True, slots=True)
class Good:
    """A file with text: a part of it, and what it says of itself."""

    data: bytes
    text: str
    title: str = ""
    author: str = ""
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    """A file without text, and the reason in its row."""

    data: bytes
    error: str


ABOUT = {"title": "A contract", "author": "Ana Lima"}
LETTER = docx("Remote work policy", "Für alle: two days.", **ABOUT, pages=3)
SHEET = (
    '<table:table table:name="Prices"><table:table-row>'
    '<table:table-cell office:value-type="string"><text:p>tea</text:p></table:table-cell>'
    "</table:table-row></table:table>"
)
SLIDE = (
    '<draw:page draw:name="p"><draw:frame><draw:text-box><text:p>Ship in May.</text:p>'
    "</draw:text-box></draw:frame></draw:page>"
)
PAGE = (
    "<html><head><title>A contract</title><meta name='author' content='Ana Lima'></head>"
    "<body><p>Four weeks.</p></body></html>"
)
FLAT = (
    f'<office:document xmlns:office="{SPACE.format("office")}" '
    f'xmlns:text="{SPACE.format("text")}"><office:body><office:text><text:p>Four weeks.</text:p>'
    "</office:text></office:body></office:document>"
)
NOVEL = "<FictionBook><body><section><p>Four weeks.</p></section></body></FictionBook>"

GOOD: Mapping[str, Good] = {
    "contract.pdf": Good(pdf("Four weeks.", "Lisbon.", **ABOUT), "Lisbon.", **ABOUT, pages=2),
    "half-scanned.pdf": Good(pdf("Typed.", ""), "Typed.", pages=2),
    "policy.docx": Good(LETTER, "Für alle: two days.", **ABOUT, pages=3),
    "policy.doc": Good(doc("Four weeks.\rFür alle.\r"), "Four weeks.\nFür alle."),
    "about-passwords.doc": Good(doc("On EncryptedPackage.\r"), "On EncryptedPackage."),
    "slides.pptx": Good(pptx("Ship in May.", "Für alle.", **ABOUT), "Für alle.", **ABOUT, pages=2),
    "slides.ppt": Good(ppt("Ship in May.", "Für alle."), "Für alle.", pages=2),
    "prices.xlsx": Good(xlsx(["item", "price"], ["tea", 4], **ABOUT), "| tea | 4 |", **ABOUT),
    "prices.xls": Good(xls(("item", "price"), ("tea", "4 €")), "| tea | 4 € |"),
    "letter.odt": Good(odf("text", "<text:p>Four weeks.</text:p>", **ABOUT), "weeks", **ABOUT),
    "prices.ods": Good(odf("spreadsheet", SHEET, **ABOUT), "tea", **ABOUT),
    "slides.odp": Good(odf("presentation", SLIDE, **ABOUT), "Ship in May.", **ABOUT),
    "letter.fodt": Good(FLAT.encode(), "Four weeks."),
    "letter.rtf": Good(rtf("Für alle.", **ABOUT), "Für alle.", **ABOUT),
    "novel.epub": Good(epub("Four weeks.", **ABOUT), "# Chapter 1\n\nFour weeks.", **ABOUT),
    "novel.fb2": Good(NOVEL.encode(), "Four weeks."),
    "page.html": Good(PAGE.encode(), "# A contract\n\nFour weeks.", **ABOUT),
    "page.doc": Good(PAGE.encode(), "# A contract\n\nFour weeks.", **ABOUT),
    "offer.eml": Good(
        eml("A contract", "Ana Lima", "Two lines:\nfür alle.", "terms.pdf"),
        "lines:\nfür alle.\n\nAttachments:\n\n  terms.pdf",
        **ABOUT,
    ),
    "box.mbox": Good(
        b"From a\n" + eml("A contract", "Ana", "We offer."), "# Mail 1\n\nSubject: A contract"
    ),
    "page.mht": Good(
        b"Content-Type: text/html\n\n" + PAGE.encode(), "# A contract\n\nFour weeks.", **ABOUT
    ),
    "offer.msg": Good(
        msg("A contract", "Ana Lima", "We offer.", "terms.pdf"), "terms.pdf", **ABOUT
    ),
    "numbers.ipynb": Good(notebook("# Sums", "print(6 * 7)", "42\n"), "print(6 * 7)"),
    "marked.ipynb": Good(BOM_UTF8 + notebook("# Sums", "1", "1"), "# Sums"),
    "pack.zip": Good(packed({"a.txt": "Four weeks.", "b/policy.docx": LETTER}), "two days"),
    "letter.docx.gz": Good(
        gz(LETTER, times=1), "Remote work policy\n\nFür alle: two days.\n", **ABOUT, pages=3
    ),
    "notes.md": Good(b"# Notes\n\n- snake_case *stays*\n", "# Notes\n\n- snake_case *stays*\n"),
    "tool.py": Good(b'print("{{ text }} {% raw %}")\n', 'print("{{ text }} {% raw %}")\n'),
    "rows.csv": Good(b"id,text\n007,NA\n", "id,text\n007,NA\n"),
    "data.json": Good(b'{"a": [1, 2]}', '{"a": [1, 2]}'),
    "feed.xml": Good(b"<a><b>1</b></a>", "<a><b>1</b></a>"),
    "latin.txt": Good("El niño comió piña".encode("cp1252"), "El niño comió piña"),
    "japanese.txt": Good("日本語の文章です。".encode("shift_jis"), "日本語の文章です。"),
    "wide.log": Good("id\tüber\n".encode("utf-16"), "id\tüber\n"),
    "README": Good(b"No suffix.\n", "No suffix.\n"),
    "text.pdf": Good(b"Text under a wrong name.\n", "Text under a wrong name.\n"),
    "table.xls": Good(b"item\tprice\ntea\t4\n", "tea\t4\n"),
    "letter-in-truth.pdf": Good(LETTER, "two days", **ABOUT, pages=3),
}
ENTITIES = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefghi"))
BAD: Mapping[str, Bad] = {
    "empty.txt": Bad(b"", "the file is empty"),
    "empty.pdf": Bad(b"", "the file is empty"),
    "blank.txt": Bad(b" \n\t\n", "nothing but blank space"),
    "blank.docx": Bad(docx(""), "there is no text in it"),
    "no-pages.pdf": Bad(pdf(), "there are no pages in it: it may be damaged"),
    "protected.pdf": Bad(pdf("x", protected=True), PROTECTED),
    "protected.docx": Bad(encrypted_office(), PROTECTED),
    "protected.doc": Bad(doc("Four weeks.", encrypted=True), PROTECTED),
    "protected.xls": Bad(xls(("a", "b"), encrypted=True), PROTECTED),
    "protected.odt": Bad(
        packed({"META-INF/manifest.xml": "<encryption-data/>", "content.xml": b"\x8f\x01"}),
        PROTECTED,
    ),
    "cut.pdf": Bad(pdf("Four weeks.")[:9], DAMAGED),
    "cut.docx": Bad(LETTER[:400], DAMAGED),
    "cut.xlsx": Bad(xlsx(["tea", 4])[:900], DAMAGED),
    "cut.epub": Bad(epub("x", **ABOUT)[:300], DAMAGED),
    "cut.msg": Bad(msg("a", "b", "c")[:1500], DAMAGED),
    "cut.ipynb": Bad(notebook("# a", "b", "c")[:100], DAMAGED),
    "photo.png": Bad(PNG, PICTURE),
    "photo.pdf": Bad(PNG, PICTURE),
    "sound.wav": Bad(b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "sound or video has no text"),
    "program": Bad(b"\x7fELF\x02\x01\x01" + bytes(100), UNKNOWN),
    "zeros.bin": Bad(bytes(2000), UNKNOWN),
    "entities.docx": Bad(
        docx("&i;", dtd=f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]>'),
        "there is no text in it",
    ),
    "bomb.zip": Bad(packed({"a.txt": b"x"}, unpacked=600_000_000), TOO_LARGE),
    "many.zip": Bad(packed(dict.fromkeys(map(str, range(10_001)), "x")), TOO_MANY),
    "many.tar": Bad(tar(10_001), TOO_MANY),
    "dense.zip": Bad(packed({"a.txt": b"abc" * 1_000_000}), TOO_DENSE),
    "bomb.txt.gz": Bad(gz(bytes(10_000_000), times=60), TOO_LARGE),
}


def write(folder: Path) -> Path:
    """Write them all; give the folder."""
    folder.mkdir()
    for name, file in {**GOOD, **BAD}.items():
        (folder / name).write_bytes(file.data)
    return folder
