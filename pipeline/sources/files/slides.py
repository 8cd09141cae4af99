"""What a PowerPoint presentation has beside its slides: notes, comments, the texts of diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from xml.etree.ElementTree import Element

from pipeline.sources.files.ooxml import DIAGRAM, DRAWING, RELATIONS, Package, examine

_MAIN = "ppt/presentation.xml"
_SLIDES = "{http://schemas.openxmlformats.org/presentationml/2006/main}"


def read_extras(data: bytes) -> list[list[str]]:
    """Return what belongs to each slide of a presentation; nothing if it's none, or has none."""
    extras = examine(data, _all_extras) or []
    return extras if any(extras) else []


def with_extras(slides: Sequence[str], extras: Sequence[Sequence[str]]) -> str:
    """Return the text of slides, each followed by what belongs to it."""
    parts = (
        part.strip("\n")
        for slide, more in zip_longest(slides, extras, fillvalue="")
        for part in (slide, *more)
    )
    return "\n\n".join(filter(None, parts)) + "\n"


def _all_extras(package: Package) -> list[list[str]]:
    return [list(_extras(package, name)) for name in _slides(package)]


def _slides(package: Package) -> Iterator[str]:
    """Yield the names of the slides, in their order."""
    targets = package.targets(_MAIN)
    for slide in package.xml(_MAIN).iter(f"{_SLIDES}sldId"):
        yield targets.get(slide.get(f"{RELATIONS}id", ""), "")


def _extras(package: Package, name: str) -> Iterator[str]:
    targets = package.targets(name)
    for diagram in package.xml(name).iter(f"{DIAGRAM}relIds"):
        data = package.xml(targets.get(diagram.get(f"{RELATIONS}dm", ""), ""))
        if lines := _lines(data):
            yield ", ".join(lines)
    for target in targets.values():
        if "/notesSlides/" in target:
            yield from _notes(package.xml(target))
        elif "omment" in target:
            yield from _comments(package.xml(target), _authors(package))


def _notes(part: Element) -> Iterator[str]:
    """Yield the notes of a speaker, without the number and the picture of the slide."""
    for shape in part.iter(f"{_SLIDES}sp"):
        place = shape.find(f"{_SLIDES}nvSpPr/{_SLIDES}nvPr/{_SLIDES}ph")
        kind = "body" if place is None else place.get("type", "body")
        if kind == "body" and (lines := _lines(shape)):
            yield "Notes: " + "\n".join(lines)


def _comments(part: Element, authors: dict[str, str]) -> Iterator[str]:
    """Yield the comments on a slide, of the old kind or of the new, and the replies to them."""
    for comment in part.iter():
        kind = comment.tag.rpartition("}")[2]
        if kind in ("cm", "reply"):
            text = " ".join(t.text or "" for t in comment.findall(f"{_SLIDES}text"))
            own = [child for child in comment if child.tag.endswith("}txBody")]
            text = text or " ".join(line for body in own for line in _lines(body))
            author = authors.get(comment.get("authorId", ""), "")
            if text.strip():
                yield f"Comment{author and f', {author}'}: {text}"


def _authors(package: Package) -> dict[str, str]:
    parts = (package.xml(f"ppt/{name}.xml") for name in ("commentAuthors", "authors"))
    return {author.get("id", ""): author.get("name", "") for part in parts for author in part}


def _lines(element: Element) -> list[str]:
    """Return the paragraphs of an element that have text."""
    lines = (
        "".join(inner.text or "" for inner in paragraph.iter(f"{DRAWING}t"))
        for paragraph in element.iter(f"{DRAWING}p")
    )
    return [line for line in lines if line.strip()]
