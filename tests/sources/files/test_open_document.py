"""OpenDocument texts and presentations as they are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sources.files.extracting import extracted
from tests.sources.samples import packed

SPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (
        ("office", "office"),
        ("text", "text"),
        ("draw", "drawing"),
        ("style", "style"),
        ("presentation", "presentation"),
    )
)
SECRET = (
    '<office:automatic-styles><style:style style:name="Secret"><style:text-properties '
    'text:display="none"/></style:style></office:automatic-styles>'
)


def read(folder: Path, content: str, *, kind: str = "text", margins: str = "") -> list[str]:
    body = f"<office:body><office:{kind}>{content}</office:{kind}></office:body>"
    found = extracted(
        folder / "contract.odt",
        packed(
            {
                "mimetype": f"application/vnd.oasis.opendocument.{kind}",
                "content.xml": f"<office:document-content {SPACES}>{SECRET}{body}"
                "</office:document-content>",
                "styles.xml": f"<office:document-styles {SPACES}><office:master-styles>"
                f"<style:master-page>{margins}</style:master-page></office:master-styles>"
                "</office:document-styles>",
            },
            stored=["mimetype"],
        ),
    )
    return found.text.strip().split("\n\n")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ('<text:p>Open<text:span text:style-name="Secret">hidden</text:span>.</text:p>', "Open."),
        ('<text:p text:style-name="Secret">hidden</text:p><text:p>Open.</text:p>', "Open."),
        (
            '<text:p>Open<text:hidden-text text:is-hidden="true">x</text:hidden-text>.</text:p>',
            "Open.",
        ),
        (
            "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p>"
            "</text:deletion></text:changed-region></text:tracked-changes><text:p>Open.</text:p>",
            "Open.",
        ),
        ('<text:p>two<text:s text:c="2"/>words<text:s/>here</text:p>', "two words here"),
        ("<text:p><text:ruby><text:ruby-base>漢字</text:ruby-base><text:ruby-text>かんじ"
         "</text:ruby-text></text:ruby></text:p>", "漢字"),
        (
            "<text:p>Beside<draw:frame><draw:text-box><text:p>In the box.</text:p></draw:text-box>"
            "</draw:frame> it.</text:p>",
            "Beside it.|In the box.",
        ),
    ],
)  # fmt: skip
def test_text_is_read_once_if_it_is_shown(tmp_path: Path, content: str, shown: str) -> None:
    text = [" ".join(part.split()) for part in read(tmp_path, content)]
    assert text == shown.split("|")


def test_notes_comments_and_margins_stand_around_the_text(tmp_path: Path) -> None:
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>A note.</text:p></text:note-body></text:note>"
    )
    comment = (
        '<office:annotation><dc:creator xmlns:dc="http://purl.org/dc/elements/1.1/">Ana'
        "</dc:creator><text:p>Why?</text:p></office:annotation>"
    )
    margins = (
        "<style:header><text:p>Header</text:p></style:header>"
        '<style:header-first style:display="false"><text:p>Not shown</text:p></style:header-first>'
        "<style:footer><text:p>Footer</text:p><text:p>1</text:p></style:footer>"
    )
    assert read(tmp_path, f"<text:p>A{note} b{comment}.</text:p>", margins=margins) == [
        "Header",
        "A[^1] b[comment 1].",
        "[^1]: A note.",
        "[comment 1, Ana]: Why?",
        "Footer",
    ]


def test_text_in_shapes_of_a_slide_is_read(tmp_path: Path) -> None:
    slide = (
        '<draw:page draw:name="s"><draw:custom-shape><text:p>In a shape.</text:p>'
        "</draw:custom-shape></draw:page>"
    )
    assert "In a shape." in read(tmp_path, slide, kind="presentation")
