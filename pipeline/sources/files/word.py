"""A Word document as Word shows it: what the extractor passes over is written into its body.

Deleted, moved and hidden text goes; headers, footers, notes, comments, numbers and what lies in
parts of its own become plain paragraphs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count
from posixpath import basename
from xml.etree.ElementTree import Element, SubElement

from pipeline.errors import DocumentError
from pipeline.sources.files.archives import Read
from pipeline.sources.files.ooxml import (
    CHART,
    COMPATIBILITY,
    DIAGRAM,
    DRAWING,
    RELATIONS,
    WORD,
    Package,
    examine,
    parsed,
    serialized,
    text_of,
    value,
)
from pipeline.sources.files.symbols import has_symbols, symbol, unsymbolized
from pipeline.sources.files.word_numbers import Numbering, roman

_UNSEEN = frozenset(
    f"{WORD}{name}" for name in ("del", "moveFrom", "footnoteRef", "endnoteRef", "annotationRef")
)
# What is written otherwise than it is shown, and the private codes of fonts of symbols.
_TRACES = re.compile(
    rb"AlternateContent|vanish|[:<](?:del|moveFrom|sym|ffData|numPr|cr|ptab)[ />]"
    rb"|[:<](?:altChunk|relIds|chart|OLEObject) |\xef[\x80-\x83]|&#x[fF]0"
)
_PARTS = re.compile(r"/(?:header\d*|footer\d*|footnotes|endnotes|comments)\.xml$")
_CHANGES = _UNSEEN | {f"{WORD}vanish"}
_OFF = frozenset({"0", "false", "off"})
_OBJECT = "{urn:schemas-microsoft-com:office:office}OLEObject"
# What lies in other parts, by the attribute that names the part.
_ELSEWHERE = {
    f"{WORD}altChunk": "id",
    f"{CHART}chart": "id",
    f"{DIAGRAM}relIds": "dm",
    _OBJECT: "id",
}
_HOLDERS = frozenset(f"{WORD}{name}" for name in ("body", "tc", "txbxContent", "sdtContent"))
_NOTES = {"footnotes": "footnoteReference", "endnotes": "endnoteReference"}
_SPACES = {f"{WORD}cr": f"{WORD}br", f"{WORD}ptab": f"{WORD}tab"}
_BOXES = {True: "☒", False: "☐"}


def as_shown(data: bytes, read: Read) -> bytes:
    """Return a Word document with all that Word shows of it in its body; any other as it is."""
    return examine(data, partial(_rewritten, read=read)) or data


def _rewritten(package: Package, read: Read) -> bytes | None:
    name = _main(package)
    source = package.read(name)
    if not source or b"<!DOCTYPE" in source:  # which Word doesn't open either
        return None
    document = _Document(package, name, read)
    return None if document.is_plain(source) else document.rewritten(source)


def _main(package: Package) -> str:
    """Return the name of the part that is the document itself."""
    for name in package.targets("").values():
        if name.endswith("document.xml") or name.endswith("document2.xml"):
            return name
    return "word/document.xml"


class _Document:
    """A document while it is rewritten."""

    def __init__(self, package: Package, name: str, read: Read) -> None:
        self._package = package
        self._name = name
        self._read = read
        self._targets = package.targets(name)
        styles = self._part("styles")
        self._hidden = _hidden_styles(styles)
        self._numbering = Numbering(self._part("numbering"), styles)
        self._replaced: dict[str, bytes] = {}

    def is_plain(self, source: bytes) -> bool:
        """Return whether its XML is what it shows."""
        styles = {*self._hidden, *self._numbering.styles}
        return not (
            _TRACES.search(source)
            or any(map(_PARTS.search, self._targets.values()))
            or any(f'"{style}"'.encode() in source for style in styles)
        )

    def rewritten(self, source: bytes) -> bytes:
        """Return the document with another body."""
        root = parsed(source)
        body = root.find(f"{WORD}body")
        if body is None:
            raise ValueError("no body")
        self._reduce(root)
        _number(body, self._numbering)
        notes = [*self._notes(body), *self._comments(body)]
        self._include(body)
        headers, footers = self._margins(body)
        for at, text in enumerate(headers):
            body.insert(at, _paragraph(text))
        body.extend(map(_paragraph, [*notes, *footers]))
        self._replaced[self._name] = serialized(root)
        return self._package.replaced(self._replaced)

    def _part(self, kind: str) -> Element:
        return self._package.xml(next(self._names(kind), ""))

    def _names(self, kind: str) -> Iterator[str]:
        return (name for name in self._targets.values() if name.endswith(f"/{kind}.xml"))

    def _reduce(self, root: Element) -> None:
        """Leave what is shown: each part of the text once."""
        elements = list(root.iter())
        tags = {element.tag for element in elements}
        if f"{COMPATIBILITY}AlternateContent" in tags:
            for element in elements:
                if any(child.tag == f"{COMPATIBILITY}AlternateContent" for child in element):
                    element[:] = [inner for child in element for inner in _chosen(child)]
        if self._hidden or _CHANGES & tags:
            _join_paragraphs(root)
            for element in root.iter():
                if not all(map(self._is_seen, element)):
                    element[:] = filter(self._is_seen, element)
        for run in root.iter(f"{WORD}r"):
            _write_symbols(run)

    def _is_seen(self, element: Element) -> bool:
        if element.tag == f"{WORD}tr":
            return element.find(f"{WORD}trPr/{WORD}del") is None
        if element.tag == f"{WORD}p":
            style = value(element.find(f"{WORD}pPr/{WORD}pStyle"))
            if style in self._hidden:
                element[:] = [c for c in element if c.tag != f"{WORD}r" or _is_hidden(c) is False]
        if element.tag == f"{WORD}r":
            hidden = _is_hidden(element)
            style = value(element.find(f"{WORD}rPr/{WORD}rStyle"))
            return not (style in self._hidden if hidden is None else hidden)
        return element.tag not in _UNSEEN

    def _notes(self, body: Element) -> Iterator[str]:
        """Yield the foot- and endnotes with their numbers, which their references become."""
        for kind, reference in _NOTES.items():
            texts = {_id(note): text_of(note) for note in self._taken(kind)}
            numbers = count(1)
            for mark in body.iter(f"{WORD}{reference}"):
                custom = mark.get(f"{WORD}customMarkFollows", "0") not in _OFF
                number = next(numbers) if not custom else 0
                label = "*" if custom else str(number) if kind == "footnotes" else roman(number)
                if text := texts.get(_id(mark), "").strip():
                    yield f"[^{label}]: {text}"
                _become(mark, f"[^{label}]")

    def _comments(self, body: Element) -> Iterator[str]:
        comments = {_id(comment): comment for comment in self._taken("comments")}
        for number, mark in enumerate(list(body.iter(f"{WORD}commentReference")), 1):
            comment = comments.get(_id(mark))
            _become(mark, f"[comment {number}]")
            if comment is not None and (text := text_of(comment).strip()):
                author = comment.get(f"{WORD}author", "")
                yield f"[comment {number}{author and f', {author}'}]: {text}"

    def _taken(self, kind: str) -> Element:
        """Return a part, reduced to what is shown, and take it out of the document."""
        part = self._part(kind)
        self._reduce(part)
        self._replaced |= dict.fromkeys(self._names(kind), b"")
        return part

    def _include(self, body: Element) -> None:
        """Write the texts of other parts behind the paragraphs that show them."""
        for parent in list(body.iter()):
            if parent.tag in _HOLDERS:
                parent[:] = [e for child in parent for e in (child, *self._behind(child))]

    def _behind(self, element: Element) -> Iterator[Element]:
        if element.tag == f"{WORD}altChunk":
            name = self._targets.get(element.get(f"{RELATIONS}id", ""), "")
            yield from map(_paragraph, self._chunk(name).strip().split("\n\n"))
        elif element.tag == f"{WORD}p":
            for shown in element.iter():
                reference = _ELSEWHERE.get(shown.tag)
                target = self._targets.get(shown.get(f"{RELATIONS}{reference}", ""), "")
                if target and shown.tag == _OBJECT:
                    text = self._chunk(target) or f"[embedded file {basename(target)}]"
                    yield from map(_paragraph, text.strip().split("\n\n"))
                elif target and (texts := _drawn(self._package.xml(target))):
                    yield _paragraph(", ".join(texts))
                if target:
                    shown.clear()  # what lies in a box is passed twice

    def _chunk(self, name: str) -> str:
        try:
            return self._read(self._package.read(name), name).text if name else ""
        except DocumentError:
            return ""

    def _margins(self, body: Element) -> tuple[list[str], list[str]]:
        """Return the lines of the headers and of the footers, each once; no mere page numbers."""
        even = _is_on(self._part("settings").find(f"{WORD}evenAndOddHeaders"))
        lines: dict[str, dict[str, None]] = {"header": {}, "footer": {}}
        for section in body.iter(f"{WORD}sectPr"):
            kinds = {"default", *(["even"] if even else [])}
            kinds |= {"first"} if _is_on(section.find(f"{WORD}titlePg")) else set()
            for margin, found in lines.items():
                for reference in section.iter(f"{WORD}{margin}Reference"):
                    if reference.get(f"{WORD}type", "default") in kinds:
                        found |= dict.fromkeys(self._margin(reference))
        return list(lines["header"]), list(lines["footer"])

    def _margin(self, reference: Element) -> Iterable[str]:
        part = self._package.xml(self._targets.get(reference.get(f"{RELATIONS}id", ""), ""))
        self._reduce(part)
        lines = map(str.strip, text_of(part).split("\n"))
        return (line for line in lines if line and not line.isdigit())


def _hidden_styles(styles: Element) -> frozenset[str]:
    """Return the ids of the styles whose text isn't shown."""
    listed = styles.findall(f"{WORD}style")
    hidden: frozenset[str] = frozenset()
    for _ in listed:  # styles rest on each other
        before, hidden = (
            hidden,
            frozenset(
                style.get(f"{WORD}styleId", "")
                for style in listed
                if (_is_hidden(style), value(style.find(f"{WORD}basedOn")) in hidden)
                in ((True, True), (True, False), (None, True))
            ),
        )
        if hidden == before:
            break
    return hidden


def _is_hidden(element: Element) -> bool | None:
    """Return whether a run or a style says that its text is hidden; None if it says nothing."""
    said = element.find(f"{WORD}rPr/{WORD}vanish")
    return None if said is None else _is_on(said)


def _is_on(element: Element | None) -> bool:
    return element is not None and element.get(f"{WORD}val", "1") not in _OFF


def _id(element: Element) -> str:
    return element.get(f"{WORD}id", "")


def _chosen(element: Element) -> list[Element]:
    """Return what stands for an element: of a choice, its first that has anything in it."""
    if element.tag != f"{COMPATIBILITY}AlternateContent":
        return [element]
    return next((list(choice) for choice in element if len(choice)), [])


def _join_paragraphs(root: Element) -> None:
    """Join paragraphs whose break was deleted or moved away."""
    for parent in list(root.iter()):
        open_paragraph: Element | None = None
        kept: list[Element] = []
        for child in parent:
            if open_paragraph is not None and child.tag == f"{WORD}p":
                open_paragraph.extend(c for c in child if c.tag != f"{WORD}pPr")
            else:
                kept.append(child)
                open_paragraph = child if child.tag == f"{WORD}p" else None
            if open_paragraph is not None and not _is_break_deleted(child):
                open_paragraph = None
        if len(kept) < len(parent):
            parent[:] = kept


def _is_break_deleted(paragraph: Element) -> bool:
    mark = paragraph.find(f"{WORD}pPr/{WORD}rPr")
    return mark is not None and any(child.tag in _UNSEEN for child in mark)


def _write_symbols(run: Element) -> None:
    """Write the marks and boxes of a run as text."""
    for child in list(run):
        if child.tag == f"{WORD}sym":
            code = int(child.get(f"{WORD}char", "0"), 16)
            _become(child, symbol(child.get(f"{WORD}font", ""), code))
        elif child.tag in _SPACES:
            child.tag = _SPACES[child.tag]
        elif child.tag == f"{WORD}t" and has_symbols(child.text or ""):
            fonts = run.find(f"{WORD}rPr/{WORD}rFonts")
            font = "" if fonts is None else fonts.get(f"{WORD}ascii", "")
            child.text = unsymbolized(child.text or "", font)
        elif child.tag == f"{WORD}fldChar" and (text := _form_field(child)):
            shown = Element(f"{WORD}t")
            shown.text = text
            run.insert(0, shown)  # before the field, of which the extractor has the result only


def _form_field(field: Element) -> str:
    """Return what a box or a list of an old form shows, which has no text of its own."""
    box = field.find(f"{WORD}ffData/{WORD}checkBox")
    if box is not None:
        checked = box.find(f"{WORD}checked")
        return _BOXES[_is_on(box.find(f"{WORD}default") if checked is None else checked)]
    entries = [value(e) or "" for e in field.findall(f"{WORD}ffData/{WORD}ddList/{WORD}listEntry")]
    chosen = value(field.find(f"{WORD}ffData/{WORD}ddList/{WORD}result")) or "0"
    return entries[int(chosen)] if chosen.isdecimal() and int(chosen) < len(entries) else ""


def _become(element: Element, text: str) -> None:
    """Make an element of a run its text."""
    element.clear()
    element.tag, element.text = f"{WORD}t", text


def _paragraph(text: str) -> Element:
    paragraph = Element(f"{WORD}p")
    for at, line in enumerate(text.split("\n")):
        run = SubElement(paragraph, f"{WORD}r")
        if at:
            SubElement(run, f"{WORD}br")
        SubElement(run, f"{WORD}t").text = line
    return paragraph


def _number(body: Element, numbering: Numbering) -> None:
    """Write its number before the text of each paragraph that has one."""
    for paragraph in body.iter(f"{WORD}p"):
        if label := numbering.label(paragraph):
            _unlist(paragraph)
            run = Element(f"{WORD}r")
            SubElement(run, f"{WORD}t").text = f"{label} "
            paragraph.insert(1, run)


def _unlist(paragraph: Element) -> None:
    """Take a paragraph out of its list, or the extractor would number it again."""
    properties = paragraph.find(f"{WORD}pPr")
    if properties is None:
        properties = Element(f"{WORD}pPr")
        paragraph.insert(0, properties)
    style = properties.find(f"{WORD}pStyle")
    for own in properties.findall(f"{WORD}numPr"):
        properties.remove(own)
    if style is not None and not (value(style) or "").startswith("Heading"):
        properties.remove(style)


def _drawn(part: Element) -> list[str]:
    """Return the texts of a diagram or a chart, and its numbers."""
    tags = (f"{DRAWING}t", f"{CHART}v")
    texts = [e.text or "" for e in part.iter() if e.tag in tags]
    return [text for text in texts if text.strip()]
