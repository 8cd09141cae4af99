from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from pipeline.sources.files.extract import extract
from pipeline.sources.files.folder import FolderSource
from tests.sources.files.letters import letter, p, r
from tests.sources.samples import PNG, docx, eml, epub, odf, packed, xlsx

FILES: dict[str, str | bytes] = {
    "b/page.html": '<meta charset="iso-8859-1"><p>“Tea” – 5 €</p>'.encode("cp1252"),
    "b/contract.docx": letter(p("Open", r("hidden", "<w:vanish/>"), ".")),
    "a.eml": eml("Offer", "Ana", "We offer."),
    "c.zip": packed({"d.txt": "El niño comió piña ayer".encode("cp1252")}),
    "photo.png": PNG,
    "__MACOSX/._a.eml": b"\0\5\x16\7",
}
TEXT = (
    "# a.eml\n\nSubject: Offer\nFrom: Ana <a@example.org>\nTo: b@example.org\n\nWe offer.\n\n\n"
    "# b/contract.docx\n\nOpen.\n\n\n"
    "# b/page.html\n\n“Tea” – 5 €\n\n\n"
    "# c.zip\n\n# d.txt\n\nEl niño comió piña ayer"
)


def tarred(files: dict[str, str | bytes], mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("pack.zip", packed(FILES)),
        ("pack", packed(FILES)),
        ("pack.tar", tarred(FILES, "w")),
        ("pack.tar.gz", tarred(FILES, "w:gz")),
        ("pack.tgz", tarred(FILES, "w:gz")),
    ],
    ids=["zip", "no suffix", "tar", "tar.gz", "tgz"],  # what is packed has its time in it
)
def test_files_in_an_archive_are_read_as_any_other(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    (document,) = FolderSource(path)
    assert (document.text, document.remark) == (TEXT, "not asked about: the files photo.png")


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("letter.docx", docx("Four weeks."), "Four weeks."),
        ("prices.xlsx", xlsx(["tea", 4]), "| tea | 4 |"),
        ("letter.odt", odf("text", "<text:p>Four weeks.</text:p>"), "Four weeks."),
        ("novel.epub", epub("Four weeks.", title="", author=""), "Four weeks."),
    ],
)
def test_a_document_that_is_packed_is_no_archive(
    tmp_path: Path, name: str, data: bytes, text: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    found = extract(path)
    assert text in found.text
    assert "# " + name not in found.text
    assert found.left_out == ()


def test_archives_that_lie_too_deep_are_named(tmp_path: Path) -> None:
    data: bytes = packed({"a.txt": "Innermost."})
    for _ in range(8):
        data = packed({"inner.zip": data, "b.txt": "Beside."})
    path = tmp_path / "pack.zip"
    path.write_bytes(data)
    found = extract(path)
    assert found.text.count("Beside.") == 5
    assert "Innermost." not in found.text
    assert found.left_out == ("inner.zip",)


def test_a_damaged_file_in_an_archive_is_named(tmp_path: Path) -> None:
    data = packed({"a.txt": "x" * 50, "b.txt": "Whole."}, stored=["a.txt"])
    path = tmp_path / "pack.zip"
    path.write_bytes(data.replace(b"x" * 50, b"y" * 50))
    found = extract(path)
    assert (found.text, found.left_out) == ("# b.txt\n\nWhole.", ("a.txt",))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("pack.zip", packed({"a.png": PNG}), "there is no text in it"),
        ("pack.zip", packed({}), "there is no text in it"),
        ("pack.tar", tarred({"a.txt": "x"}, "w")[:515], "damaged, or not what its name says"),
        ("a.txt.gz", gzip.compress(b"Tea.", mtime=0)[:12], "damaged, or not what its name says"),
        ("a.txt.gz", gzip.compress(b"", mtime=0), "there is no text in it"),
    ],
    ids=["picture", "nothing", "cut tar", "cut gz", "empty gz"],
)
def test_an_archive_without_text_says_why(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert extract(path).error == message


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.txt")
    member.size = 10**12
    path = tmp_path / "pack.tar"
    path.write_bytes(member.tobuf() + bytes(1024))
    assert extract(path).error == "it unpacks to more than 500 MB"
