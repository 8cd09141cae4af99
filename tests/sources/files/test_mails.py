"""Mails and saved pages: every part that a mail program shows is read or named."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest

from pipeline.sources.files.extract import extract
from pipeline.sources.files.folder import FolderSource
from tests.sources.files.extracting import extracted
from tests.sources.samples import PNG, docx, pdf

HEAD = b"Subject: Offer\nFrom: Ana Lima <a@example.org>\n"
SHOWN = "Subject: Offer\nFrom: Ana Lima <a@example.org>\n\n"
GERMAN = "Größere Büros für München, fünf Straßen weiter"
RUSSIAN = "Вчера мы гуляли в парке и кормили белок. Завтра поедем на дачу."


def mail(body: str = "See below.", subject: str = "Offer") -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"] = subject, "Ana Lima <a@example.org>"
    message.set_content(body)
    return message


@pytest.mark.parametrize(
    ("kind", "encoding", "body"),
    [
        ("", "cp1252", GERMAN),
        ("", "utf-8", GERMAN),
        ("Content-Type: text/plain\n", "cp1251", RUSSIAN),
        ("Content-Type: text/plain; charset=iso-8859-1\n", "cp1252", "“Tea” – 5 €"),
        ("Content-Type: text/plain; charset=us-ascii\n", "cp1252", GERMAN),
        ("Content-Type: text/plain; charset=unknown-8bit\n", "cp1252", GERMAN),
        ("Content-Type: text/plain; charset=gb2312\n", "gb18030", "朱镕基"),
        ("Content-Type: text/plain; charset=ks_c_5601-1987\n", "cp949", "똠방각하"),
        ("Content-Type: text/plain\n", "iso-2022-jp", "日本語のテキスト"),
        ("Content-Type: text/plain; charset=utf-7\n", "utf-7", GERMAN),
        ("Content-Type: text/plain; charset=punycode\n", "ascii", "plain words-here"),
        ("Content-Type: text/html; charset=iso-8859-1\n", "cp1252", "“Tea” – 5 €"),
    ],
)
def test_a_body_is_decoded_as_it_is_declared_or_guessed(
    tmp_path: Path, kind: str, encoding: str, body: str
) -> None:
    data = HEAD + kind.encode() + b"\n" + body.encode(encoding)
    assert extracted(tmp_path / "offer.eml", data).text == f"{SHOWN}{body}\n"


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"=?iso-8859-1?Q?=93Tee=94_f=FCr_5_=80?=", "“Tee” für 5 €"),
        (b"=?gb2312?B?1uzpRrv5?= =?utf-8?q?_=C3=A9?=", "朱镕基 é"),
        (GERMAN.encode(), GERMAN),
        (GERMAN.encode("cp1252"), GERMAN),
        (b"Re: =?punycode?q?Tea?=\n and more", "Re: Tea and more"),
        (b"=?utf-8?b?broken", "=?utf-8?b?broken"),
    ],
)
def test_a_header_is_decoded_as_it_is_meant(tmp_path: Path, header: bytes, subject: str) -> None:
    data = b"Subject: " + header + b"\n\nTea."
    assert extracted(tmp_path / "offer.eml", data).text == f"Subject: {subject}\n\nTea.\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_mail_saved_in_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    data = (HEAD.decode() + f"\n{GERMAN}").encode(encoding)
    assert extracted(tmp_path / "offer.eml", data).text == f"{SHOWN}{GERMAN}\n"


def test_a_mail_in_a_mail_is_read_with_its_headers(tmp_path: Path) -> None:
    outer, middle = mail(subject="Fwd: Fwd: Offer"), mail("Middle.", "Fwd: Offer")
    middle.add_attachment(mail("Inner.", "Innermost"))
    outer.add_attachment(middle)
    text = extracted(tmp_path / "offer.eml", outer.as_bytes()).text
    for part in ("Subject: Fwd: Offer\n", "Middle.", "Subject: Innermost\n", "Inner."):
        assert part in text


def test_what_is_attached_is_read_or_named(tmp_path: Path) -> None:
    message = mail()
    for name, data in {
        "terms.docx": docx("Four weeks."),
        "contract.pdf": pdf("Signed in Lisbon."),
        "inner.eml": mail("Attached as a file.").as_bytes(),
        "grüße.txt": GERMAN.encode("cp1252"),
        "photo.png": PNG,
        "winmail.dat": b"\x78\x9f\x3e\x22\0\0",
        "scan.pdf": pdf(""),
    }.items():
        message.add_attachment(data, maintype="application", subtype="x", filename=name)
    path = tmp_path / "offer.eml"
    path.write_bytes(message.as_bytes())
    (document,) = FolderSource(path)
    for part in (
        "# terms.docx\n\nFour weeks.",
        "# contract.pdf\n\nSigned in Lisbon.",
        "# inner.eml\n\nSubject: Offer\n",
        "Attached as a file.",
        f"# grüße.txt\n\n{GERMAN}",
        f"  photo.png ({len(PNG)} bytes)",
    ):
        assert part in document.text
    assert document.remark == ("not asked about: the files photo.png, winmail.dat, scan.pdf")


def test_the_last_alternative_is_read_and_the_pictures_of_a_page_are_its_own(
    tmp_path: Path,
) -> None:
    message = mail("As plain text.")
    message.add_alternative("<p>As <b>a page</b>.</p>", subtype="html")
    page = message.get_payload()[1]  # type: ignore[index]
    assert isinstance(page, EmailMessage)
    page.add_related(PNG, "image", "png", cid="<logo>")
    path = tmp_path / "offer.eml"
    path.write_bytes(message.as_bytes())
    (document,) = FolderSource(path)
    assert document.text == SHOWN + "As **a page**.\n"
    assert document.remark is None


def test_a_picture_that_is_shown_in_the_text_is_not_missed(tmp_path: Path) -> None:
    message = mail()
    message.set_content('<p>Logo: <img src="cid:logo"></p>', subtype="html")
    message.add_attachment(PNG, "image", "png", filename="logo.png", cid="<logo>")
    message.add_attachment(PNG, "image", "png", filename="photo.png", cid="<photo>")
    path = tmp_path / "offer.eml"
    path.write_bytes(message.as_bytes())
    (document,) = FolderSource(path)
    assert document.remark == "not asked about: the files photo.png"


def test_a_file_without_a_label_is_read_beside_pictures_in_the_text(tmp_path: Path) -> None:
    message = mail()
    message.set_content('<p>Logo: <img src="cid:logo"></p>', subtype="html")
    message.add_attachment(PNG, "image", "png", filename="logo.png", cid="<logo>")
    message.add_attachment(docx("Four weeks."), "application", "x", filename="terms.docx")
    text = extracted(tmp_path / "offer.eml", message.as_bytes()).text
    assert "# terms.docx\n\nFour weeks." in text


def test_an_empty_page_leaves_the_plain_text(tmp_path: Path) -> None:
    message = mail("As plain text.")
    message.add_alternative(" ", subtype="html")
    assert extracted(tmp_path / "offer.eml", message.as_bytes()).text == SHOWN + "As plain text.\n"


def test_why_a_mail_was_not_delivered_is_read(tmp_path: Path) -> None:
    data = (
        HEAD + b"Content-Type: multipart/report; boundary=b\n\n--b\n\nSorry.\n--b\n"
        b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n--b--\n"
    )
    text = extracted(tmp_path / "offer.eml", data).text
    assert "Sorry." in text
    assert "Action: failed" in text


@pytest.mark.parametrize(
    "kind", ["multipart/encrypted; boundary=b", "application/pkcs7-mime; name=smime.p7m"]
)
def test_a_mail_that_is_encrypted_says_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "offer.eml"
    path.write_bytes(HEAD + f"Content-Type: {kind}\n\n--b\n\nVersion: 1\n--b--\n".encode())
    assert extract(path).error == "encrypted or signed so that its text can't be read here"


def test_mails_that_lie_too_deep_within_each_other_are_named(tmp_path: Path) -> None:
    message = mail("Innermost.", "Mail 0")
    for number in range(1, 30):
        outer = mail(f"Mail {number}.", f"Mail {number}")
        outer.add_attachment(message)
        message = outer
    path = tmp_path / "offer.eml"
    path.write_bytes(message.as_bytes())
    (document,) = FolderSource(path)
    assert document.remark == "not asked about: the files Mail 8"


def test_parts_that_lie_too_deep_within_each_other_are_an_error(tmp_path: Path) -> None:
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (at, at) for at in range(5000)
    )
    path = tmp_path / "offer.eml"
    path.write_bytes(HEAD + nested)
    assert extract(path).error in (
        "its parts lie too deep within each other",
        "reading it takes more memory than one file may have",
    )


def test_all_mails_of_a_mailbox_are_read(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box.mbox")
    box.add(mail(GERMAN, "First").as_bytes())
    box.add(mail("From here on it is mine.\n\nFrom now on.", "Second").as_bytes())
    box.close()
    text = extracted(tmp_path / "box.mbox", (tmp_path / "box.mbox").read_bytes()).text
    assert text.startswith(
        f"# Mail 1\n\nSubject: First\nFrom: Ana Lima <a@example.org>\n\n{GERMAN}"
    )
    assert "# Mail 2\n\nSubject: Second\n" in text
    assert "# Mail 3" not in text


@pytest.mark.parametrize("name", ["page.mht", "page.MHTML"])
@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n",
        'Content-Type: multipart/related; type="text/html"; boundary=b\n\n--b\n'
        "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n",
    ],
)
def test_a_saved_page_is_read_as_a_page(tmp_path: Path, name: str, head: str) -> None:
    page = "<html><head><title>Menu</title></head><p>Caf=C3=A9 =E2=82=AC5</p>\n--b--\n"
    data = f"From: <Saved by Blink>\nMIME-Version: 1.0\n{head}{page}".encode()
    assert extracted(tmp_path / name, data).text.startswith("# Menu\n\nCafé €5")


def test_a_saved_page_without_a_page_says_so(tmp_path: Path) -> None:
    path = tmp_path / "page.mht"
    path.write_bytes(HEAD + b"\nOnly text.")
    assert extract(path).error == "there is no page in it"
