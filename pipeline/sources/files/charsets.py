"""The encodings that pages, mails and XML name, read as browsers read them: by the WHATWG's table.

A label outside of that table (`utf-7`, `punycode`, `unicode_escape`) is never obeyed.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8

from pipeline.sources.decoding import PROOF_BYTES, decode, is_marked

# https://encoding.spec.whatwg.org/#names-and-labels, by the Python codec that holds all characters
# of each. UTF-16 isn't here: what can read `<meta charset="utf-16">` as ASCII is UTF-8.
_LABELS_BY_CODEC = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 "
    "l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 "
    "l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 "
    "l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 "
    "iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 "
    "iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 "
    "iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e "
    "iso-8859-8-i iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 logical visual",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 "
    "iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 "
    "x-user-defined",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 "
    "iso_8859-9:1989 l5 latin5 windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 "
    "x-gbk",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022-jp-ext": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 "
    "ksc_5601 windows-949",
}
_CODECS = {label: codec for codec, labels in _LABELS_BY_CODEC.items() for label in labels.split()}
_MULTIBYTE = frozenset({"gb18030", "big5hkscs", "euc-jp", "iso2022-jp-ext", "cp932", "cp949"})
_SEVEN_BIT = "iso2022-jp-ext"  # ASCII bytes, which UTF-8 would take as they stand
_LIE = 0.05  # of the characters don't decode: the label is wrong

_HEAD_BYTES = 1 << 16
_QUOTED = rb"""(?>[^>"']++|"[^"]*+"|'[^']*+'|["'])*+"""
_TAG = re.compile(
    rb"<!---?>|<!--.*?(?:-->|\Z)|<meta(?=[\s/])(" + _QUOTED + rb")|<[/!?a-z]" + _QUOTED,
    re.I | re.S,
)
_ATTRIBUTE = re.compile(
    rb"""([^\s"'>/=]++)\s*+(?:=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++)))?+""", re.S
)
_CONTENT = re.compile(rb"""charset\s*=\s*["']?([^\s"';]+)""", re.I)
_XML = re.compile(
    rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([^"'>]{1,40})""", re.I
)


def codec_of(label: str) -> str | None:
    """Return the Python codec of an encoding's label, or None if browsers don't know the label."""
    return _CODECS.get(label.strip("\t\n\f\r \"'").lower())


def decode_page(data: bytes, label: str | None = None) -> str:
    """Decode a page of HTML; what came with it (`label`) comes before what it says itself."""
    return decode_labelled(data, (label and codec_of(label)) or _page_codec(data))


def decode_xml(data: bytes) -> str:
    """Decode text, by the declaration that XML begins with if there is one."""
    declared = _XML.match(data)
    return decode_labelled(data, codec_of(declared[1].decode("latin-1")) if declared else None)


def decode_labelled(data: bytes, codec: str | None) -> str:
    """Decode text of a declared encoding; a byte-order mark, proof of UTF-8 and an obvious lie
    overrule it.
    """
    if codec is None and b"\x1b$" in data and data.isascii():
        codec = _SEVEN_BIT  # which nothing else looks like
    if codec in (None, "utf-8") or is_marked(data) or _is_utf8(data, codec):
        return decode(data)
    text = data.decode(codec, "replace")
    return decode(data) if text.count("\ufffd") > _LIE * len(text) else text


def _is_utf8(data: bytes, codec: str) -> bool:
    """Return whether the bytes are UTF-8 whatever they declare. In an encoding of several bytes a
    character or two may look so by chance; in others that is never text.
    """
    if data.isascii():
        return codec != _SEVEN_BIT
    try:
        continued = len(data) - len(data.decode())
    except UnicodeDecodeError:
        return False
    return continued >= PROOF_BYTES or codec not in _MULTIBYTE


def _page_codec(data: bytes) -> str | None:
    """Return the codec that a page declares, or None if it declares none of those known."""
    head = data[:_HEAD_BYTES]
    if (xml := _XML.match(head)) and (codec := codec_of(xml[1].decode("latin-1"))):
        return codec
    for tag in _TAG.finditer(head.removeprefix(BOM_UTF8)):
        if tag[1] is not None and (codec := codec_of(_label(tag[1]).decode("latin-1"))):
            return codec
    return None


def _label(meta: bytes) -> bytes:
    """Return the encoding that a <meta> names, in either of its forms."""
    said: dict[bytes, bytes] = {}
    for name, *values in _ATTRIBUTE.findall(meta):
        said.setdefault(name.lower(), b"".join(values))
    if b"charset" in said:
        return said[b"charset"]
    if said.get(b"http-equiv", b"").strip().lower() != b"content-type":
        return b""
    content = _CONTENT.search(said.get(b"content", b""))
    return content[1] if content else b""
