"""Mails, and pages saved as mails are (`.mht`): their headers, their text, what is attached.

The standard library takes them apart; what is attached is read by whoever calls.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses
from typing import cast

from pipeline.errors import DocumentError
from pipeline.sources.base import Extracted
from pipeline.sources.decoding import decode, is_wide
from pipeline.sources.files.archives import Read
from pipeline.sources.files.charsets import codec_of, decode_labelled, decode_page

_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_DEEP = 20  # mails within mails
_UNNAMED = {"text/html": ".html", "text/calendar": ".ics", "application/pdf": ".pdf"}
_SIGNATURES = frozenset({"application/pgp-signature", "application/pkcs7-signature"})
_SIGNATURES |= {"application/x-pkcs7-signature", "application/pgp-keys"}
# Encodings of mails that no page of HTML may have.
_OF_MAILS = {"utf-7": "utf-7", "iso-2022-kr": "iso2022-kr", "hz-gb-2312": "hz"}
_BETWEEN = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\r\n\r\n))From [^\r\n]*\r?\n")
_CLOSED = "encrypted or signed so that its text can't be read here"


@dataclass(slots=True)
class _Mail:
    """What a mail has in it: its text, and the files and mails attached to it."""

    body: list[str] = field(default_factory=list)
    files: list[tuple[str, int]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_mails(data: bytes, suffix: str, read: Read) -> Extracted:
    """Read a mail, or all mails of a mailbox (`.mbox`). Raises DocumentError."""
    data = decode(data).encode() if is_wide(data) else data.removeprefix(BOM_UTF8)
    data = data.lstrip()
    try:
        if suffix != ".mbox":
            return _read(message_from_bytes(data), read, 0)
        mails = [_read(message_from_bytes(part), read, 0) for part in _BETWEEN.split(data) if part]
    except RecursionError as error:
        raise DocumentError("its parts lie too deep within each other") from error
    return Extracted(
        "\n\n".join(f"# Mail {number}\n\n{mail.text}" for number, mail in enumerate(mails, 1)),
        left_out=tuple(name for mail in mails for name in mail.left_out),
    )


def read_saved_page(data: bytes) -> str:
    """Return the HTML of a page that was saved with all that belongs to it."""
    try:
        pages = [p for p in message_from_bytes(data).walk() if p.get_content_type() == "text/html"]
    except RecursionError as error:
        raise DocumentError("its parts lie too deep within each other") from error
    if not pages:
        raise DocumentError("there is no page in it")
    return "\n".join(map(_text, pages))  # frames of a page follow it


def _read(message: Message, read: Read, depth: int) -> Extracted:
    mail = _Mail()
    _take(message, mail, read, depth)
    headers = [f"{name}: {value}" for name in _SHOWN if (value := _header(message, name))]
    body = "\n\n".join(text for text in mail.body if text.strip())
    parts = ["\n".join(headers), body.strip("\n")]
    if mail.files:
        parts += ["Attachments:", *(f"  {name} ({_size(size)})" for name, size in mail.files)]
    parts += [f"# {name}\n\n{text.strip()}" for name, text in mail.texts]
    if _is_closed(message) and not body and not mail.texts:
        raise DocumentError(_CLOSED)
    return Extracted(
        "\n\n".join(filter(None, parts)) + "\n",
        title=_header(message, "Subject")[:1000],
        author=_names(_header(message, "From"))[:1000],
        left_out=tuple(mail.left_out),
    )


def _is_closed(message: Message) -> bool:
    kind = message.get_content_type()
    return kind == "multipart/encrypted" or kind.endswith("pkcs7-mime")


def _take(part: Message, mail: _Mail, read: Read, depth: int) -> None:
    """Put what is in a part where it belongs."""
    kind = part.get_content_type()
    if _is_closed(part):
        mail.left_out.append("an encrypted or signed part")
    elif kind == "message/rfc822" and part.is_multipart():
        _take_mail(_parts(part)[0], mail, read, depth)
    elif kind.startswith("message/") and part.is_multipart():
        mail.body += [block.as_string() for block in _parts(part)]  # why it wasn't delivered
    elif kind == "multipart/alternative":
        _take_alternatives(_parts(part), mail, read, depth)
    elif kind == "multipart/related":
        _take_related(_parts(part), mail, read, depth)
    elif part.is_multipart():
        for inner in _parts(part):
            _take(inner, mail, read, depth)
    elif _is_body(part):
        mail.body.append(_body(part, read))
    else:
        _take_file(part, mail, read)


def _take_alternatives(parts: list[Message], mail: _Mail, read: Read, depth: int) -> None:
    """Take the last alternative that is text, as mail programs show it, and what is no text."""
    texts = [part for part in parts if _is_body(part) or part.is_multipart()]
    whole = [part for part in texts if part.is_multipart() or _text(part).strip()]
    for part in parts:
        if part in whole[-1:] or part not in texts:
            _take(part, mail, read, depth)


def _take_related(parts: list[Message], mail: _Mail, read: Read, depth: int) -> None:
    """Take a page, and what belongs to it if it isn't a picture in its text."""
    for at, part in enumerate(parts):
        if at == 0 or part.get_content_maintype() != "image":
            _take(part, mail, read, depth)


def _take_mail(message: Message, mail: _Mail, read: Read, depth: int) -> None:
    name = _header(message, "Subject") or "mail"
    mail.files.append((name, len(message.as_bytes())))
    if depth == _DEEP:
        mail.left_out.append(name)
        return
    found = _read(message, read, depth + 1)
    mail.texts.append((name, found.text))
    mail.left_out += found.left_out


def _take_file(part: Message, mail: _Mail, read: Read) -> None:
    kind = part.get_content_type()
    data = _payload(part)
    name = _decoded(part.get_filename() or "") or f"unnamed{_UNNAMED.get(kind, '')}"
    mail.files.append((name, len(data)))
    if kind in _SIGNATURES or not data or _is_in_text(part, mail):
        return
    try:
        found = read(data, name)
    except DocumentError:
        found = Extracted()
    mail.left_out += found.left_out
    if found.text.strip():
        mail.texts.append((name, found.text))
    else:
        mail.left_out.append(name)


def _is_in_text(part: Message, mail: _Mail) -> bool:
    label = str(part.get("Content-ID", "")).strip("<> ")
    return bool(label) and any(f"cid:{label}" in text for text in mail.body)


def _is_body(part: Message) -> bool:
    named = part.get_content_disposition() == "attachment" or part.get_filename()
    return part.get_content_type() in ("text/plain", "text/html") and not named


def _body(part: Message, read: Read) -> str:
    text = _text(part)
    if part.get_content_type() == "text/html":
        return read(text.encode("utf-8-sig", "replace"), "body.html").text
    return text.replace("\r\n", "\n")


def _text(part: Message) -> str:
    label = str(part.get_param("charset", "") or "").strip().lower()
    data = _payload(part)
    if part.get_content_type() == "text/html":
        return decode_page(data, label)
    if label in _OF_MAILS:
        return data.decode(_OF_MAILS[label], "replace")
    return decode_labelled(data, codec_of(label))


def _payload(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _parts(part: Message) -> list[Message]:
    parts = part.get_payload()
    return cast(list[Message], parts) if isinstance(parts, list) else []


def _header(message: Message, name: str) -> str:
    """Return a header as it is meant; raw bytes in it are guessed at, as mail programs do."""
    values = (value for key, value in message.raw_items() if key.lower() == name.lower())
    return _decoded(str(next(values, "")))


def _decoded(raw: str) -> str:
    line = "".join(raw.splitlines())  # of which every line goes on the one before
    text = line if line.isascii() else decode(line.encode("utf-8", "surrogateescape"))
    with suppress(HeaderParseError, ValueError):  # else it is shown as it is
        text = "".join(_words(decode_header(text)))
    return " ".join(text.split())


def _words(words: Iterable[tuple[bytes | str, str | None]]) -> Iterator[str]:
    for word, label in words:
        if isinstance(word, str):
            yield word
        elif label is None:
            yield word.decode("raw-unicode-escape")  # as the library encodes what isn't encoded
        elif label.lower() in _OF_MAILS:
            yield word.decode(_OF_MAILS[label.lower()], "replace")
        else:
            yield decode_labelled(word, codec_of(label))


def _names(header: str) -> str:
    return ", ".join(name or address for name, address in getaddresses([header]))


def _size(count: int) -> str:
    return f"{count} bytes" if count < 1000 else f"{count / 1000:.0f} kB"
