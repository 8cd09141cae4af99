"""The parts of an Office document of 2007 and later, and which part refers to which."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Callable, Mapping
from typing import TypeVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pipeline.errors import DocumentError
from pipeline.sources.files.guards import TOO_DENSE, is_dense

_Result = TypeVar("_Result")

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
RELATIONS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_PREFIXES = {"w": WORD, "a": DRAWING, "c": CHART, "mc": COMPATIBILITY, "r": RELATIONS} | {
    "m": "{http://schemas.openxmlformats.org/officeDocument/2006/math}",
    "v": "{urn:schemas-microsoft-com:vml}",
    "wp": "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}",
    "wps": "{http://schemas.microsoft.com/office/word/2010/wordprocessingShape}",
    "pic": "{http://schemas.openxmlformats.org/drawingml/2006/picture}",
    "w14": "{http://schemas.microsoft.com/office/word/2010/wordml}",
}
# The strict variant of the format has other names for the same.
_STRICT = (
    (
        b"http://purl.oclc.org/ooxml/officeDocument/",
        b"http://schemas.openxmlformats.org/officeDocument/2006/",
    ),
    (
        b"http://purl.oclc.org/ooxml/wordprocessingml/",
        b"http://schemas.openxmlformats.org/wordprocessingml/2006/",
    ),
    (
        b"http://purl.oclc.org/ooxml/drawingml/",
        b"http://schemas.openxmlformats.org/drawingml/2006/",
    ),
)


class Package:
    """An Office document, whose parts are read when they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(data))
        self._names = frozenset(self._zip.namelist())
        if is_dense(self._zip.infolist(), data):
            raise DocumentError(TOO_DENSE)

    def read(self, name: str) -> bytes:
        """Return the bytes of a part; none if there is no such part."""
        return self._zip.read(name) if name in self._names else b""

    def xml(self, name: str) -> Element:
        """Return the XML of a part; an empty element if there is no such part."""
        data = self.read(name)
        return parsed(data) if data else Element("")

    def targets(self, name: str) -> dict[str, str]:
        """Return the names of the parts that a part refers to, by the ids it has for them."""
        folder, file = posixpath.split(name)
        relations = self.xml(posixpath.join(folder, "_rels", f"{file}.rels"))
        return {
            relation.get("Id", ""): posixpath.normpath(
                posixpath.join("/", folder, relation.get("Target", ""))
            )[1:]
            for relation in relations
            if relation.get("TargetMode") != "External"
        }

    def replaced(self, parts: Mapping[str, bytes]) -> bytes:
        """Return the document with other parts; one that is empty is left out."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name in self._zip.namelist():
                if data := parts[name] if name in parts else self._zip.read(name):
                    archive.writestr(name, data)
        return file.getvalue()


def examine(data: bytes, look: Callable[[Package], _Result | None]) -> _Result | None:
    """Return what `look` finds in a document; None if it is damaged or unpacks to too much."""
    try:
        return look(Package(data))
    except MemoryError:
        raise
    except Exception:  # a damaged archive can raise anything; it is for the extractor to judge
        return None


def parsed(data: bytes) -> Element:
    """Return the XML of a part that has been read."""
    for strict, usual in _STRICT:
        data = data.replace(strict, usual)
    return ElementTree.fromstring(data)


def text_of(element: Element) -> str:
    """Return the text of an element of Word's, a line for a paragraph."""
    parts: list[str] = []
    for inner in element.iter():
        if inner.tag == f"{WORD}p" and parts:
            parts.append("\n")
        elif inner.tag == f"{WORD}t":
            parts.append(inner.text or "")
        elif inner.tag in (f"{WORD}tab", f"{WORD}br", f"{WORD}tc"):
            parts.append(" ")
    return "".join(parts)


def serialized(root: Element, prefixes: Mapping[str, str] | None = None) -> bytes:
    """Return XML with the prefixes that readers look for: those of Word's files, or others."""
    own = {prefix: name[1:-1] for prefix, name in _PREFIXES.items()}
    for prefix, name in (prefixes or own).items():
        ElementTree.register_namespace(prefix, name)
    return str(ElementTree.tostring(root, "unicode")).encode()


def value(element: Element | None) -> str | None:
    """Return what one of Word's properties is set to."""
    return None if element is None else element.get(f"{WORD}val")
