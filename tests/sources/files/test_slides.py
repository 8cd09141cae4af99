"""Presentations with what stands beside their slides."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.sources.files.extracting import extracted
from tests.sources.samples import packed, pptx

SPACES = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
    'xmlns:p188="http://schemas.microsoft.com/office/powerpoint/2018/8/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)


def with_parts(parts: Mapping[str, str], links: Mapping[int, str]) -> bytes:
    """Add parts to a presentation of two slides; `links` are the parts of each slide."""
    with zipfile.ZipFile(io.BytesIO(pptx("Ship in May.", "Ship in June."))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    added: dict[str, str | bytes] = {**files, **parts}
    for number, target in links.items():
        added[f"ppt/slides/_rels/slide{number}.xml.rels"] = (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="n" Type="x" Target="../{target}"/></Relationships>'
        )
    return packed(added)


def read(folder: Path, data: bytes) -> str:
    found = extracted(folder / "plan.pptx", data)
    assert found.pages == 2
    return found.text


def shape(kind: str, *paragraphs: str) -> str:
    text = "".join(f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in paragraphs)
    return (
        f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
        f"<p:txBody>{text}</p:txBody></p:sp>"
    )


def test_notes_follow_their_slide(tmp_path: Path) -> None:
    notes = (
        f"<p:notes {SPACES}>{shape('body', 'Say why.', 'Smile.')}{shape('sldNum', '1')}</p:notes>"
    )
    data = with_parts(
        {"ppt/notesSlides/notesSlide1.xml": notes}, {1: "notesSlides/notesSlide1.xml"}
    )
    assert read(tmp_path, data) == (
        "## Ship in May.\n\nNotes: Say why.\nSmile.\n\n## Ship in June.\n"
    )


@pytest.mark.parametrize(
    ("comment", "authors"),
    [
        (
            '<p:cmLst {0}><p:cm authorId="0"><p:text>Too late?</p:text></p:cm></p:cmLst>',
            '<p:cmAuthorLst {0}><p:cmAuthor id="0" name="Ana"/></p:cmAuthorLst>',
        ),
        (
            '<p188:cmLst {0}><p188:cm authorId="{{A}}"><p188:txBody><a:p><a:r><a:t>Too late?</a:t>'
            "</a:r></a:p></p188:txBody></p188:cm></p188:cmLst>",
            '<p188:authorLst {0}><p188:author id="{{A}}" name="Ana"/></p188:authorLst>',
        ),
    ],
)
def test_comments_follow_their_slide(tmp_path: Path, comment: str, authors: str) -> None:
    name = "commentAuthors" if "cmAuthorLst" in authors else "authors"
    parts = {
        "ppt/comments/comment1.xml": comment.format(SPACES),
        f"ppt/{name}.xml": authors.format(SPACES),
    }
    data = with_parts(parts, {2: "comments/comment1.xml"})
    assert read(tmp_path, data).endswith("## Ship in June.\n\nComment, Ana: Too late?\n")


def test_diagrams_give_their_texts(tmp_path: Path) -> None:
    slide = (
        f"<p:sld {SPACES}><p:cSld><p:spTree>{shape('body', 'Steps')}<p:graphicFrame><a:graphic>"
        '<a:graphicData><dgm:relIds r:dm="n"/></a:graphicData></a:graphic></p:graphicFrame>'
        "</p:spTree></p:cSld></p:sld>"
    )
    steps = "".join(
        f"<dgm:t><a:p><a:r><a:t>{t}</a:t></a:r></a:p></dgm:t>" for t in ("Plan", "Build")
    )
    data = with_parts(
        {
            "ppt/slides/slide1.xml": slide,
            "ppt/diagrams/data1.xml": f"<dgm:dataModel {SPACES}>{steps}</dgm:dataModel>",
        },
        {1: "diagrams/data1.xml"},
    )
    assert "Steps\n\nPlan, Build\n" in read(tmp_path, data)


def test_a_damaged_part_costs_itself_only(tmp_path: Path) -> None:
    parts = {"ppt/notesSlides/notesSlide1.xml": "<p:notes"}
    data = with_parts(parts, {1: "notesSlides/notesSlide1.xml"})
    assert "Ship in May." in read(tmp_path, data)
