"""Small files of real formats, made by the tests that read them."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import xlsxwriter

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_MIME = "application/vnd.openxmlformats-officedocument"
_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_DC = "http://purl.org/dc/elements/1.1/"


def pdf(*pages: str, title: str = "", author: str = "", protected: bool = False) -> bytes:
    """Make a PDF of a line a page; one without is a scanned picture, one of a space is blank.

    A line behind a form feed is the invisible text of a scan.
    """
    numbers = [5 + 2 * page for page in range(len(pages))]
    kids = " ".join(f"{number} 0 R" for number in numbers)
    pixels = zlib.compress(bytes(range(64)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Type /XObject /Subtype /Image /Width 8 /Height 8 /ColorSpace /DeviceGray "
        f"/BitsPerComponent 8 /Filter /FlateDecode /Length {len(pixels)} >>\n".encode()
        + b"stream\n" + pixels + b"\nendstream",
    ]  # fmt: skip
    for number, line in zip(numbers, pages, strict=True):
        drawn = f"BT /F1 12 Tf 72 720 Td ({line.strip()}) Tj ET" if line.strip() else ""
        drawn = drawn if line else "q 612 0 0 792 0 0 cm /I Do Q"
        if line.startswith("\f"):
            drawn = f"q 612 0 0 792 0 0 cm /I Do Q {drawn.replace('BT', 'BT 3 Tr')}"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R >> /XObject << /I 4 0 R >> >> >>".encode(),
            f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream".encode(),
        ]
    objects.append(f"<< /Title ({title}) /Author ({author}) >>".encode())
    trailer = f"/Info {len(objects)} 0 R"
    if protected:  # no password opens it, and no reader gets so far as to notice
        junk = "ab" * 32
        objects.append(f"<< /Filter /Standard /V 1 /R 2 /O <{junk}> /U <{junk}> /P -44 >>".encode())
        trailer += f" /Encrypt {len(objects)} 0 R /ID [<00> <00>]"
    data, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + f"xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


def tar(count: int) -> bytes:
    """Make a tar file of so many files of a character each."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(count):
            part = tarfile.TarInfo(f"{number}.txt")
            part.size = 1
            archive.addfile(part, io.BytesIO(b"x"))
    return file.getvalue()


def packed(
    parts: Mapping[str, str | bytes], *, stored: Sequence[str] = (), unpacked: int | None = None
) -> bytes:
    """Make a zip file, in the order of its parts; those `stored` aren't compressed.

    `unpacked` is the size in bytes that it says each part has, whatever the truth is.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            how = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, compress_type=how)
        for part in archive.infolist():
            part.file_size = part.file_size if unpacked is None else unpacked
    return file.getvalue()


def gz(data: bytes, *, times: int) -> bytes:
    """Make a gzip file of the same bytes again and again; its checksum holds for once only."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
    end = struct.pack("<II", zlib.crc32(data), len(data))
    return b"\x1f\x8b\x08" + bytes(7) + block * times + packer.flush() + end


def docx(
    *paragraphs: str, title: str = "", author: str = "", pages: int = 1, dtd: str = ""
) -> bytes:
    """Make a Word document of plain paragraphs; `dtd` stands before its XML."""
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    document = f'{dtd}<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
    return packed(
        {
            **_package("word/document.xml", f"{_MIME}.wordprocessingml.document.main+xml"),
            "word/document.xml": document,
            **_properties(title, author, f"<Pages>{pages}</Pages>"),
        }
    )


def pptx(*slides: str, title: str = "", author: str = "") -> bytes:
    """Make a PowerPoint presentation of a text a slide."""
    numbers = range(1, len(slides) + 1)
    listed = "".join(f'<p:sldId id="{255 + n}" r:id="rId{n}"/>' for n in numbers)
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/slide" Target="slides/slide{n}.xml"/>'
        for n in numbers
    )
    parts: dict[str, str | bytes] = {
        **_package(
            "ppt/presentation.xml",
            f"{_MIME}.presentationml.presentation.main+xml",
            {f"ppt/slides/slide{n}.xml": f"{_MIME}.presentationml.slide+xml" for n in numbers},
        ),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{_SLIDES}" xmlns:r="{_OFFICE}">'
        f"<p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": _relationships(links),
        **_properties(title, author, f"<Slides>{len(slides)}</Slides>"),
    }
    for number, text in zip(numbers, slides, strict=True):
        parts[f"ppt/slides/slide{number}.xml"] = (
            f'<p:sld xmlns:p="{_SLIDES}" xmlns:a="{_DRAWING}"><p:cSld><p:spTree>'
            '<p:sp><p:nvSpPr><p:cNvPr id="2" name="t"/></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/>'
            f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
            "</p:spTree></p:cSld></p:sld>"
        )
    return packed(parts)


def xlsx(*rows: Sequence[object], title: str = "", author: str = "") -> bytes:
    """Make a workbook of a sheet."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        book.set_properties({"title": title, "author": author})
        sheet = book.add_worksheet("Prices")
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return file.getvalue()


def odf(kind: str, content: str, *, title: str = "", author: str = "") -> bytes:
    """Make an OpenDocument: `kind` is text, spreadsheet or presentation."""
    spaces = " ".join(f'xmlns:{name}="{_ODF}:{name}:1.0"' for name in ("office", "text", "table"))
    spaces += f' xmlns:draw="{_ODF}:drawing:1.0" xmlns:dc="{_DC}"'
    spaces += ' xmlns:xlink="http://www.w3.org/1999/xlink"'
    body = f"<office:body><office:{kind}>{content}</office:{kind}></office:body>"
    meta = f"<dc:title>{title}</dc:title><dc:creator>{author}</dc:creator>"
    mime = f"application/vnd.oasis.opendocument.{kind}"
    files = "".join(f'<m:file-entry m:full-path="{n}.xml"/>' for n in ("content", "meta"))
    return packed(
        {
            "mimetype": mime,
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="{_ODF}:manifest:1.0">'
            f'<m:file-entry m:full-path="/" m:media-type="{mime}"/>{files}</m:manifest>',
            "content.xml": f"<office:document-content {spaces}>{body}</office:document-content>",
            "meta.xml": f"<office:document-meta {spaces}><office:meta>{meta}</office:meta>"
            "</office:document-meta>",
        },
        stored=["mimetype"],
    )


def epub(chapter: str, *, title: str, author: str) -> bytes:
    """Make an e-book of a chapter."""
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container version="1.0" '
            'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
            'full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
            "</container>",
            "book.opf": f'<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
            f'xmlns:dc="{_DC}"><dc:title>{title}</dc:title><dc:creator>{author}</dc:creator>'
            '</metadata><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/>'
            '</manifest><spine><itemref idref="c"/></spine></package>',
            "c.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml"><body>'
            f"<h1>Chapter 1</h1><p>{chapter}</p></body></html>",
        },
        stored=["mimetype"],
    )


def rtf(text: str, *, title: str = "", author: str = "") -> bytes:
    """Make a rich text."""
    coded = "".join(c if c.isascii() else f"\\u{ord(c)}?" for c in text)
    info = rf"{{\info{{\title {title}}}{{\author {author}}}}}"
    return rf"{{\rtf1\ansi\deff0{{\fonttbl{{\f0 Arial;}}}}{info}\f0 {coded}\par}}".encode()


def eml(subject: str, sender: str, body: str, *attachments: str) -> bytes:
    """Make a mail."""
    from email.message import EmailMessage

    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = (
        f"{sender} <a@example.org>",
        "b@example.org",
        subject,
    )
    mail.set_content(body)
    for name in attachments:
        mail.add_attachment(b"attached", maintype="application", subtype="pdf", filename=name)
    if attachments:
        mail.set_boundary("part")
    return mail.as_bytes()


def notebook(text: str, code: str, output: str) -> bytes:
    """Make a Jupyter notebook of a text and a cell of code."""
    said = {"output_type": "stream", "name": "stdout", "text": [output]}
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": [code]}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [text]},
        {**cell, "outputs": [said]},
    ]
    book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book).encode()


def _package(main: str, kind: str, others: Mapping[str, str] | None = None) -> dict[str, str]:
    kinds = {main: kind, **(others or {})}
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{mime}"/>' for name, mime in kinds.items()
    )
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
        "_rels/.rels": _relationships(
            f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="{main}"/>'
        ),
    }


def _relationships(links: str) -> str:
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'


def _properties(title: str, author: str, counts: str) -> dict[str, str]:
    core = f"{_PACKAGE}/metadata/core-properties"
    extended = "http://schemas.openxmlformats.org/officeDocument/2006/extended-properties"
    return {
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{core}" xmlns:dc="{_DC}">'
        f"<dc:title>{title}</dc:title><dc:creator>{author}</dc:creator></cp:coreProperties>",
        "docProps/app.xml": f'<Properties xmlns="{extended}">{counts}</Properties>',
    }
