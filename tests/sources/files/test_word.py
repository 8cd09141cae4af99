"""Word documents as Word shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.sources.files.extract import extract
from tests.sources.files.extracting import extracted
from tests.sources.files.letters import SPACES, letter, p, part, r
from tests.sources.samples import docx, packed, xlsx

BOX = "<w:txbxContent>{}</w:txbxContent>"
OLD_BOX = f"<w:pict><v:textbox>{BOX}</v:textbox></w:pict>"
TWICE = (
    "<mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><wps:wsp><wps:txbx>{0}</wps:txbx>"
    "</wps:wsp></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox>{0}</v:textbox></w:pict>"
    "</mc:Fallback></mc:AlternateContent>"
)
CHANGE = 'w:id="1" w:author="Ana"'
STYLES = part(
    "styles",
    '<w:style w:type="character" w:styleId="Secret"><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="character" w:styleId="More"><w:basedOn w:val="Secret"/></w:style>'
    '<w:style w:type="character" w:styleId="Open"><w:basedOn w:val="Secret"/>'
    '<w:rPr><w:vanish w:val="0"/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Note"><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Clause"><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr>'
    "</w:pPr></w:style>"
    '<w:style w:type="paragraph" w:styleId="Sub"><w:basedOn w:val="Clause"/><w:pPr><w:numPr>'
    '<w:ilvl w:val="1"/></w:numPr></w:pPr></w:style>',
)


def change(kind: str, text: str) -> str:
    return f"<w:{kind} {CHANGE}>{r(text)}</w:{kind}>"


def read(folder: Path, body: str, **parts: str | bytes) -> list[str]:
    named = {name.replace("_", "."): content for name, content in parts.items()}
    found = extracted(folder / "contract.docx", letter(body, named))
    return found.text.strip().split("\n\n")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (p("Rent ", change("del", "<w:delText>500</w:delText>"), "700."), "Rent 700."),
        (p("Rent ", change("ins", "700"), "."), "Rent 700."),
        (p("One.", change("moveFrom", "Two."), change("moveTo", "Two.")), "One.Two."),
        (p("One", properties=f"<w:rPr><w:del {CHANGE}/></w:rPr>") + p(" line."), "One line."),
        (p("Open", r("hidden", "<w:vanish/>"), "."), "Open."),
        (p("Open", r(" too", '<w:vanish w:val="0"/>'), "."), "Open too."),
        (p("Open", r("hidden", '<w:rStyle w:val="Secret"/>'), "."), "Open."),
        (p("Open", r("hidden", '<w:rStyle w:val="More"/>'), "."), "Open."),
        (p("Open", r(" too", '<w:rStyle w:val="Open"/>'), "."), "Open too."),
        (p("hidden", properties='<w:pStyle w:val="Note"/>') + p("Open."), "Open."),
        (
            p(
                "hidden",
                r("Open.", '<w:vanish w:val="false"/>'),
                properties='<w:pStyle w:val="Note"/>',
            ),
            "Open.",
        ),
        (p(r("<w:t>one</w:t><w:cr/><w:t>two</w:t><w:ptab/><w:t>x</w:t>")), "one two x"),
        (p("x", r('<w:sym w:font="Wingdings" w:char="F0FC"/>'), " done"), "x✓ done"),
        (p(r('<w:sym w:font="Symbol" w:char="F061"/>'), "-ray"), "α-ray"),
        (p(r("\uf0fe", '<w:rFonts w:ascii="Wingdings"/>'), " done"), "☑ done"),
        (p(r('<w:sym w:font="Logos" w:char="F041"/>'), " logo"), "\ufffd logo"),
        (
            p(r('<w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:default w:val="0"/>'
                "<w:checked/></w:checkBox></w:ffData></w:fldChar>"),
              r("<w:instrText> FORMCHECKBOX </w:instrText>"),
              r('<w:fldChar w:fldCharType="end"/>'), " yes"),
            "☒ yes",
        ),
        (
            p(r('<w:fldChar w:fldCharType="begin"><w:ffData><w:ddList><w:result w:val="1"/>'
                '<w:listEntry w:val="Rome"/><w:listEntry w:val="Oslo"/></w:ddList></w:ffData>'
                "</w:fldChar>"),
              r('<w:fldChar w:fldCharType="end"/>'), " office"),
            "Oslo office",
        ),
        (p(r(TWICE.format(BOX.format(p("In the box.")))), "Beside."), "In the box.\n\nBeside."),
        (
            p(r(OLD_BOX.format(p("In the box."))), "Beside."),
            "In the box.\n\nBeside.",
        ),
        (
            "<w:tbl><w:tr><w:trPr><w:del/></w:trPr><w:tc>" + p("Gone") + "</w:tc></w:tr>"
            "<w:tr><w:tc>" + p("Here") + "</w:tc></w:tr></w:tbl>" + p("End."),
            "| Here |\n| --- |\n\nEnd.",
        ),
    ],
)  # fmt: skip
def test_text_is_read_once_if_word_shows_it(tmp_path: Path, body: str, shown: str) -> None:
    assert read(tmp_path, body, styles_xml=STYLES) == shown.split("\n\n")


def test_notes_and_comments_have_their_numbers(tmp_path: Path) -> None:
    body = p(
        "A", r('<w:footnoteReference w:id="7"/>'),
        " b", r('<w:footnoteReference w:id="9" w:customMarkFollows="1"/>'),
        " c", r('<w:endnoteReference w:id="7"/>'),
        " d", r('<w:footnoteReference w:id="8"/>'),
        " e", r('<w:commentReference w:id="0"/>'),
    )  # fmt: skip
    foot = "".join(
        f'<w:footnote w:id="{at}">{p(r("<w:footnoteRef/>"), text)}</w:footnote>'
        for at, text in [(7, "First."), (8, "Second."), (9, "Starred.")]
    )
    assert read(
        tmp_path,
        body,
        footnotes_xml=part("footnotes", foot),
        endnotes_xml=part("endnotes", f'<w:endnote w:id="7">{p("Last.")}</w:endnote>'),
        comments_xml=part(
            "comments",
            f'<w:comment w:id="0" w:author="Ana">{p("Why?")}{p("Really?")}</w:comment>',
        ),
    ) == [
        "A[^1] b[^*] c[^i] d[^2] e[comment 1]",
        "[^1]: First.",
        "[^*]: Starred.",
        "[^2]: Second.",
        "[^i]: Last.",
        "[comment 1, Ana]: Why? Really?",
    ]


SECTION = "<w:sectPr>{}</w:sectPr>"
MARGIN = '<w:{0}Reference w:type="{1}" r:id="{2}.xml"/>'


@pytest.mark.parametrize(
    ("switch", "settings", "shown"),
    [
        ("", "", ["Every page", "Text.", "The end"]),
        ("<w:titlePg/>", "", ["Every page", "First page", "Text.", "The end"]),
        ('<w:titlePg w:val="0"/>', "", ["Every page", "Text.", "The end"]),
        ("", "<w:evenAndOddHeaders/>", ["Every page", "Even page", "Text.", "The end"]),
    ],
)
def test_headers_and_footers_stand_around_the_text(
    tmp_path: Path, switch: str, settings: str, shown: list[str]
) -> None:
    margins = (
        MARGIN.format("header", "default", "header")
        + MARGIN.format("header", "first", "header1")
        + MARGIN.format("header", "even", "header2")
        + MARGIN.format("footer", "default", "footer")
    )
    section = SECTION.format(margins + switch)
    body = p("Text.", properties=section) + section
    assert (
        read(
            tmp_path,
            body,
            header_xml=part("hdr", p("Every page") + p(r("hidden", "<w:vanish/>"))),
            header1_xml=part("hdr", p(r(TWICE.format(BOX.format(p("First page")))))),
            header2_xml=part("hdr", p("Even page")),
            footer_xml=part("ftr", p("The end") + p("3")),
            settings_xml=part("settings", settings),
        )
        == shown
    )


@pytest.mark.parametrize(
    ("name", "chunk"),
    [
        ("chunk_htm", b"<html><body><p>From a <b>page</b>.</p></body></html>"),
        ("chunk_docx", docx("From a page.")),
        ("chunk_txt", "From a page.".encode("utf-16")),
        ("chunk_mht", b"Content-Type: text/html\n\n<p>From a page.</p>"),
    ],
)
def test_included_files_are_read_where_they_are(tmp_path: Path, name: str, chunk: bytes) -> None:
    body = p("Before.") + f'<w:altChunk r:id="{name.replace("_", ".")}"/>' + p("After.")
    text = read(tmp_path, body, **{name: chunk})
    assert [part.replace("*", "") for part in text] == ["Before.", "From a page.", "After."]


def test_diagrams_and_charts_give_their_texts(tmp_path: Path) -> None:
    graphic = "<w:drawing><a:graphic><a:graphicData>{}</a:graphicData></a:graphic></w:drawing>"
    body = p(r(graphic.format('<dgm:relIds r:dm="data1.xml"/>'))) + p(
        r(graphic.format('<c:chart r:id="chart1.xml"/>'))
    )
    value = "<c:pt><c:v>{}</c:v></c:pt>"
    assert read(
        tmp_path,
        body + p("End."),
        data1_xml=f"<dgm:dataModel {SPACES}><a:t>Plan</a:t><a:t>Build</a:t></dgm:dataModel>",
        chart1_xml=f"<c:chartSpace {SPACES}><a:t>Sales</a:t>{value.format('East')}"
        f"{value.format('19.2')}</c:chartSpace>",
    ) == ["Plan, Build", "Sales, East, 19.2", "End."]


@pytest.mark.parametrize(
    ("name", "embedded", "shown"),
    [
        ("sheet1.xlsx", xlsx(["tea", 4]), "## Prices\n\n| tea | 4 | | --- | --- |"),
        ("object1.bin", b"\xd0\xcf\x11\xe0", "[embedded file object1.bin]"),
    ],
)
def test_an_embedded_object_is_read_or_named(
    tmp_path: Path, name: str, embedded: bytes, shown: str
) -> None:
    body = p("See:", r(f'<w:object><o:OLEObject r:id="{name}"/></w:object>')) + p("End.")
    found = extracted(tmp_path / "contract.docx", letter(body, {name: embedded}))
    assert found.text == f"See:\n\n{shown}\n\nEnd.\n"


def numbered(text: str, level: int, list_id: int = 1) -> str:
    return p(
        text, properties=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list_id}"/></w:numPr>'
    )


def level(at: int, kind: str, text: str, more: str = "") -> str:
    return (
        f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/>'
        f'<w:lvlText w:val="{text}"/>{more}</w:lvl>'
    )


NUMBERING = part(
    "numbering",
    '<w:abstractNum w:abstractNumId="0">'
    + level(0, "upperRoman", "%1.")
    + level(1, "decimal", "%1.%2", "<w:isLgl/>")
    + level(2, "lowerLetter", "(%3)")
    + level(3, "decimalZero", "%4)", '<w:lvlRestart w:val="1"/>')
    + level(4, "bullet", "\uf0b7")
    + "</w:abstractNum>"
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0">'
    '<w:startOverride w:val="4"/></w:lvlOverride></w:num>',
)


def test_lists_and_headings_have_the_numbers_that_word_computes(tmp_path: Path) -> None:
    body = (
        numbered("Term", 0)
        + p("Start", properties='<w:pStyle w:val="Sub"/>')
        + numbered("End", 1)
        + numbered("by notice", 2)
        + numbered("deep", 3)
        + numbered("by death", 2)
        + numbered("deeper", 3)
        + p("Rent", properties='<w:pStyle w:val="Clause"/>')
        + numbered("Amount", 1)
        + numbered("deep", 3)
        + p("Not in the list.")
        + numbered("Annex", 0, 2)
        + numbered("Last", 0, 2)
    )
    assert read(tmp_path, body, numbering_xml=NUMBERING, styles_xml=STYLES) == [
        "I. Term",
        "1.1 Start",
        "1.2 End",
        "(a) by notice",
        "01) deep",
        "(b) by death",
        "02) deeper",
        "II. Rent",
        "2.1 Amount",
        "01) deep",
        "Not in the list.",
        "IV. Annex",
        "V. Last",
    ]


@pytest.mark.parametrize(
    "text", ["C:\\new\\.git", "a <b> `c` + 1", "1. one", "2024. A year", "\\\\"]
)
def test_no_backslash_is_added(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, p(text.replace("<", "&lt;"))) == [text]


def test_the_strict_variant_is_read(tmp_path: Path) -> None:
    body = p("Rent ", change("moveFrom", "500"), "700.")
    spaces = SPACES.replace(
        "schemas.openxmlformats.org/wordprocessingml/2006", "purl.oclc.org/ooxml/wordprocessingml"
    )
    path = tmp_path / "contract.docx"
    document = f"<w:document {spaces}><w:body>{body}</w:body></w:document>"
    path.write_bytes(packed({"[Content_Types].xml": "<Types/>", "word/document.xml": document}))
    assert extract(path).text == "Rent 700.\n"


DEEP = "".join(f"<x a='{at * 7919 % 10007}'>" for at in range(5000)) + "</x>" * 5000


@pytest.mark.parametrize("xml", ["<w:document", "<!DOCTYPE x><x/>", "<x/>", DEEP])
def test_a_damaged_document_is_left_to_the_extractor(tmp_path: Path, xml: str) -> None:
    path = tmp_path / "contract.docx"
    path.write_bytes(packed({"[Content_Types].xml": "<Types/>", "word/document.xml": xml}))
    assert extract(path).error in (
        "damaged, or not what its name says",
        "there is no text in it",
        "too large to be read",
    )
