from __future__ import annotations

import codecs
import io

import pytest

from pipeline.errors import DocumentError, UsageError
from pipeline.sources.decoding import decode, examine, looks_binary

FRENCH = "Le café était déjà fermé, où est passée la clé ?"
RUSSIAN = "Привет мир, как дела сегодня"
JAPANESE = "名前,年齢\n佐藤太郎,30\n三木英子,25\n"
ENCODED = [
    ("plain ASCII\r\nwith two lines\n", "ascii"),
    (FRENCH, "utf-8"),
    (FRENCH, "utf-8-sig"),
    (FRENCH, "utf-16"),
    (FRENCH, "utf-32"),
    ("id,text\n1,hello there\n", "utf-16-le"),
    ("id,text\n1,hello there\n", "utf-16-be"),
    (JAPANESE, "utf-16-le"),
    ("El niño comió una piña ayer", "cp1252"),
    ("“Smart quotes” — it’s fine", "cp1252"),
    ("Le café était déjà fermé, l’été à la plage coûte 5 €", "cp1252"),
    ("perché è così, città", "cp1252"),
    ("Заказ iPhone не пришёл, верните деньги", "cp1251"),
    ("Příliš žluťoučký kůň úpěl ďábelské ódy", "cp1250"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8-r"),
    (JAPANESE, "cp932"),
    ("日本語のテキストです", "euc_jp"),
    ("你好，世界，今天天气很好", "gb18030"),
    ("안녕하세요 세계 오늘은", "euc_kr"),
]


@pytest.mark.parametrize(("text", "encoding"), ENCODED)
def test_text_is_decoded_whatever_its_encoding(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(("text", "encoding"), ENCODED)
def test_a_table_is_decoded_whatever_its_encoding(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    assert data.decode(examine(io.BytesIO(data), "t.csv").encoding) == text


def test_an_accent_far_behind_the_beginning_is_still_seen() -> None:
    data = b"an ordinary line of text\n" * 100_000 + "Müller möchte zurück\n".encode("cp1252")
    assert examine(io.BytesIO(data), "t.csv").encoding == "Windows-1252"
    assert decode(data)[-21:] == "Müller möchte zurück\n"


def test_a_stray_byte_in_a_utf8_document_costs_one_character() -> None:
    assert decode("déjà vu à Orléans ".encode() + b"\xff!") == "déjà vu à Orléans \ufffd!"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "a,b\néé,éé\n1,".encode() + b"\xff\n",
            "t.csv, line 3: byte 16 of the file is not UTF-8 text; "
            "name its encoding with --encoding, or save the file as UTF-8 "
            "(--encoding-errors replace reads such bytes as \ufffd)",
        ),
        (
            codecs.BOM_UTF8 + b"a\n\xe9\n",
            "t.csv, line 2: byte 5 of the file is not UTF-8 text; "
            "name its encoding with --encoding, or save the file as UTF-8 "
            "(--encoding-errors replace reads such bytes as \ufffd)",
        ),
        (
            codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le") + b"\x00\xd8a\x00",
            "t.csv, line 2: byte 6 of the file is not UTF-16 text; "
            "name its encoding with --encoding, or save the file as UTF-8 "
            "(--encoding-errors replace reads such bytes as \ufffd)",
        ),
        (
            b"PK\x03\x04" + bytes(range(256)) * 4,
            "t.csv is not text; give a file with the suffix of its format, such as .xlsx or .pdf",
        ),
    ],
)
def test_a_table_with_bytes_that_do_not_decode_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        examine(io.BytesIO(data), "t.csv")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("data", "damaged"),
    [
        ("a\néé,éé\n1,".encode() + b"\xff\n2,b\n3,caf\xc3", (3, 5)),
        (codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le") + b"c", (2,)),
        ("éé\n".encode() + b"\xff" + b"x" * (1 << 20) + b"\xff\n", (2,)),
    ],
    ids=["cut off", "cut off in UTF-16", "a long line"],
)
def test_each_damaged_line_is_numbered_once(data: bytes, damaged: tuple[int, ...]) -> None:
    script = examine(io.BytesIO(data), "t.csv", errors="replace")
    assert (script.damaged, script.errors) == (damaged, "replace")


def test_a_character_across_two_chunks_is_not_a_fault() -> None:
    data = b"x" * ((1 << 20) - 1) + "é".encode() * 10
    assert examine(io.BytesIO(data), "t.csv").encoding == "utf-8"


@pytest.mark.parametrize("at", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_fault_across_two_chunks_has_its_offset(at: int) -> None:
    data = "éééé".encode() + b"x" * (at - 8) + b"\xc3("
    with pytest.raises(UsageError, match=f"line 1: byte {at} of the file"):
        examine(io.BytesIO(data), "t.csv")


@pytest.mark.parametrize(
    ("data", "binary"),
    [
        (b"", False),
        (b"text", False),
        (b"a log line\n" * 20 + b"\0", False),
        ("wide".encode("utf-16"), False),
        ("wide".encode("utf-16-le"), False),
        (b"\x7fELF\x02\x01\x01" + bytes(30), True),
        (b"PK\x03\x04\x14\x00\x06\x00\xe9\xfe\xa7", True),
        (b"SQLite format 3\0" + bytes(40), True),
        (b"abc" + bytes(100), True),
    ],
)
def test_binary_data_is_told_from_text(data: bytes, binary: bool) -> None:
    assert looks_binary(data) is binary


def test_binary_data_is_not_a_document() -> None:
    with pytest.raises(DocumentError) as raised:
        decode(b"\x7fELF\x02\x01\x01" + bytes(100))
    assert str(raised.value) == "not text, and not a document format that can be read"
