"""An OpenDocument text or presentation as it is shown, as `word.py` does it for Word."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from xml.etree.ElementTree import Element, SubElement

from pipeline.sources.files.ooxml import Package, examine, parsed, serialized

_SPACE = "urn:oasis:names:tc:opendocument:xmlns:{}:1.0"
_TEXT, _DRAW, _OFFICE, _STYLE, _NOTES = (
    f"{{{_SPACE.format(name)}}}" for name in ("text", "drawing", "office", "style", "presentation")
)
_PREFIXES = {
    prefix: _SPACE.format(name)
    for prefix, name in (
        ("text", "text"),
        ("draw", "drawing"),
        ("office", "office"),
        ("style", "style"),
        ("presentation", "presentation"),
        ("table", "table"),
        ("svg", "svg-compatible"),
        ("fo", "xsl-fo-compatible"),
    )
} | {"dc": "http://purl.org/dc/elements/1.1/", "xlink": "http://www.w3.org/1999/xlink"}
_KINDS = (b"application/vnd.oasis.opendocument.text", b"application/vnd.oasis.opendocument.pres")
_CREATOR = "{http://purl.org/dc/elements/1.1/}creator"
_PARAGRAPHS = frozenset({f"{_TEXT}p", f"{_TEXT}h"})


def as_shown(data: bytes) -> bytes:
    """Return an OpenDocument with all that is shown of it in its body; any other as it is."""
    return examine(data, _rewritten) or data


def _rewritten(package: Package) -> bytes | None:
    if not package.read("mimetype").startswith(_KINDS):
        return None
    source = package.read("content.xml")
    if b"<!DOCTYPE" in source:
        return None
    root, styles = parsed(source), package.xml("styles.xml")
    body = root.find(f"{_OFFICE}body")
    if body is None or not len(body):
        return None
    _reduce(root, _hidden_styles([root, styles]))
    shown = body[0]
    notes = [*_notes(shown), *_comments(shown)]
    _unbox(shown)
    headers, footers = _margins(styles)
    for at, text in enumerate(headers):
        shown.insert(at, _paragraph(text))
    shown.extend(map(_paragraph, [*notes, *footers]))
    return package.replaced({"content.xml": serialized(root, _PREFIXES)})


def _hidden_styles(parts: list[Element]) -> set[str]:
    """Return the names of the styles whose text isn't shown."""
    return {
        style.get(f"{_STYLE}name", "")
        for part in parts
        for style in part.iter(f"{_STYLE}style")
        if any(p.get(f"{_TEXT}display") == "none" for p in style.iter(f"{_STYLE}text-properties"))
    }


def _reduce(root: Element, hidden: set[str]) -> None:
    """Take out what isn't shown, and write spaces as spaces."""
    for parent in list(root.iter()):
        kept: list[Element] = []
        for child in parent:
            text = _spaces(child)
            if text is None and _is_seen(child, hidden):
                kept.append(child)
                continue
            tail = (text or "") + (child.tail or "")
            if kept:
                kept[-1].tail = (kept[-1].tail or "") + tail
            else:
                parent.text = (parent.text or "") + tail
        parent[:] = kept


def _spaces(element: Element) -> str | None:
    if element.tag != f"{_TEXT}s":
        return None
    return " " * min(int(element.get(f"{_TEXT}c", "1")), 100)


def _is_seen(element: Element, hidden: set[str]) -> bool:
    if element.tag in (f"{_TEXT}ruby-text", f"{_TEXT}tracked-changes"):
        return False
    if element.tag in (f"{_TEXT}hidden-text", f"{_TEXT}hidden-paragraph"):
        return element.get(f"{_TEXT}is-hidden", "true") != "true"
    return element.get(f"{_TEXT}style-name") not in hidden


def _notes(body: Element) -> Iterator[str]:
    """Yield foot- and endnotes with their marks, which take their places."""
    for note in list(body.iter(f"{_TEXT}note")):
        mark = note.findtext(f"{_TEXT}note-citation") or ""
        text = " ".join(_lines(note))
        _become(note, f"[^{mark}]")
        yield f"[^{mark}]: {text}"


def _comments(body: Element) -> Iterator[str]:
    numbers = count(1)
    for comment in list(body.iter(f"{_OFFICE}annotation")):
        number, author = next(numbers), comment.findtext(_CREATOR) or ""
        text = " ".join(_lines(comment))
        _become(comment, f"[comment {number}]")
        yield f"[comment {number}{author and f', {author}'}]: {text}"


def _become(element: Element, text: str) -> None:
    tail = element.tail
    element.clear()
    element.tag, element.text, element.tail = f"{_TEXT}span", text, tail


def _unbox(body: Element) -> None:
    """Put the text of boxes behind the paragraph that they hang on, and text of shapes in boxes."""
    for shape in body.iter(f"{_DRAW}custom-shape"):
        paragraphs = [child for child in shape if child.tag in _PARAGRAPHS]
        if paragraphs:
            shape[:] = []
            shape.tag = f"{_DRAW}frame"
            SubElement(shape, f"{_DRAW}text-box").extend(paragraphs)
    for parent in list(body.iter()):
        if any(child.tag in _PARAGRAPHS for child in parent):
            parent[:] = [e for child in parent for e in (child, *_boxed(child))]


def _boxed(paragraph: Element) -> list[Element]:
    """Take the content of the boxes out of a paragraph."""
    if paragraph.tag not in _PARAGRAPHS:
        return []
    boxes = list(paragraph.iter(f"{_DRAW}text-box"))
    content = [child for box in boxes for child in box]
    for box in boxes:
        box[:] = []
    return content


def _margins(styles: Element) -> tuple[list[str], list[str]]:
    """Return the lines of the headers and of the footers, each once; no mere page numbers."""
    lines: dict[str, dict[str, None]] = {"header": {}, "footer": {}}
    for kind, found in lines.items():
        for name in (kind, f"{kind}-first", f"{kind}-left"):
            for margin in styles.iter(f"{_STYLE}{name}"):
                if margin.get(f"{_STYLE}display") != "false":
                    found |= dict.fromkeys(line for line in _lines(margin) if not line.isdigit())
    return list(lines["header"]), list(lines["footer"])


def _lines(element: Element) -> list[str]:
    """Return the paragraphs of an element that have text."""
    texts = ("".join(p.itertext()).strip() for p in element.iter() if p.tag in _PARAGRAPHS)
    return [text for text in texts if text]


def _paragraph(text: str) -> Element:
    paragraph = Element(f"{_TEXT}p")
    paragraph.text = text
    return paragraph
