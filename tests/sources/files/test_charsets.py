from __future__ import annotations

import pytest

from pipeline.sources.files.charsets import codec_of, decode_page, decode_xml

PAGE = '<html><head><meta charset="{}"></head><body>{}</body></html>'
FRENCH = "Où est le garçon qui a déjà mangé tous les gâteaux à la crème ?"
RUSSIAN = "Вчера мы гуляли в парке и кормили белок. Завтра поедем на дачу. " * 3
JAPANESE = "日本語のテキスト"


@pytest.mark.parametrize(
    ("declared", "encoding", "text"),
    [
        ("iso-8859-1", "cp1252", "“Tea” – it’s 5 €…"),
        (" US-ASCII\t", "cp1252", "“Tea”"),
        ("latin1", "cp1252", "Œuvre™"),
        ("iso-8859-2", "iso-8859-2", "Zażółć gęślą jaźń"),
        ("iso-8859-9", "cp1254", "“Çağrı”"),
        ("x-cp1257", "cp1257", "Šeši ąžuolai"),
        ("tis-620", "cp874", "“ราคา”"),
        ("visual", "iso-8859-8", "םולש"),
        ("koi8", "koi8-r", "Вчера"),
        ("x-mac-roman", "mac-roman", "Thé “glacé”"),
        ("gb2312", "gb18030", "朱镕基"),
        ("cn-big5", "big5hkscs", "碁銹"),
        ("ks_c_5601-1987", "cp949", "똠방각하"),
        ("shift_jis", "cp932", "①番 髙橋 ㈱"),
        ("euc-jp", "euc-jp", JAPANESE),
        ("iso-2022-jp", "iso-2022-jp", JAPANESE),
    ],
)
def test_a_page_is_decoded_by_its_label_as_browsers_read_it(
    declared: str, encoding: str, text: str
) -> None:
    page = PAGE.format(declared, text)
    assert decode_page(page.encode(encoding)) == page


@pytest.mark.parametrize(
    ("declared", "encoding", "text"),
    [
        ("iso-8859-1", "utf-8", FRENCH),
        ("gb2312", "utf-8", FRENCH),
        ("utf-8", "cp1251", RUSSIAN),
        ("shift_jis", "cp1251", RUSSIAN),
        ("no-such-encoding", "cp1251", RUSSIAN),
        ("utf-8", "utf-16", FRENCH),
        ("windows-1251", "utf-8-sig", FRENCH),
        ("utf-16", "ascii", "plain words"),
        ("unicode", "utf-8", FRENCH),
        ("ucs-2", "ascii", "an even or an odd length"),
    ],
)
def test_a_page_that_lies_is_decoded_as_it_is(declared: str, encoding: str, text: str) -> None:
    page = PAGE.format(declared, text)
    assert decode_page(page.encode(encoding)) == page


@pytest.mark.parametrize(
    "label",
    [
        "utf-7",
        "punycode",
        "idna",
        "unicode_escape",
        "raw_unicode_escape",
        "rot13",
        "hex",
        "zlib",
        "base64",
        "mbcs",
        "undefined",
        "utf_8_sig",
        "cp037",
        "hz-gb-2312",
        "replacement",
    ],
)
def test_no_other_label_is_obeyed(label: str) -> None:
    page = PAGE.format(label, "1 +AD4- 0, a+-b, C:\\new \\x41, nopqr-, <>")
    assert codec_of(label) is None
    assert decode_page(page.encode()) == page


@pytest.mark.parametrize(
    "head",
    [
        "<meta charset=windows-1250>",
        "<META CharSet = 'Windows-1250' />",
        '<meta http-equiv="Content-Type" content="text/html; charset=windows-1250">',
        "<meta content='text/html;charset = \"windows-1250\"' http-equiv=content-type>",
        '<?xml version="1.0" encoding="windows-1250"?>',
        '<!-- <meta charset="utf-7"> --><meta charset="windows-1250">',
        '<!--> <meta charset="windows-1250">',
        '<title data-x="a > b">x</title><meta charset="windows-1250">',
        '<meta name="description" content="charset=koi8-r"><meta charset="windows-1250">',
        '<meta data-charset="koi8-r"><meta charset="windows-1250">',
        '<meta charset="bogus"><meta charset="windows-1250">',
        f'<!--{"x" * 5000}--><meta charset="windows-1250">',
    ],
)
def test_a_label_is_found_in_each_of_its_forms(head: str) -> None:
    page = f"{head}<p>Příliš žluťoučký kůň"
    assert decode_page(page.encode("cp1250")) == page


def test_what_came_with_a_page_comes_before_what_it_says() -> None:
    page = PAGE.format("windows-1251", "Škoda, že")
    assert decode_page(page.encode("cp1250"), "windows-1250") == page


def test_an_undefined_byte_costs_itself_only() -> None:
    page = PAGE.format("windows-1252", "Thé glacé \ufffd à volonté")
    assert decode_page(page.encode("cp1252", "replace").replace(b" ? ", b" \x81 ")) == page


@pytest.mark.parametrize("head", ["<!--", "<meta ", '<a "', "<a '", "<a b", "<"])
def test_a_page_of_unfinished_markup_takes_no_longer(head: str) -> None:
    page = head * 500_000
    assert decode_page(page.encode()) == page


def test_xml_is_decoded_by_its_declaration() -> None:
    text = "<?xml version='1.0' encoding='iso-8859-1'?><a>5 €</a>"
    assert decode_xml(text.encode("cp1252")) == text
    assert decode_xml(b"encoding='utf-7' +AD4-") == "encoding='utf-7' +AD4-"
