"""Word documents of several parts, written out as Word writes them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.sources.samples import packed

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SPACES = {
    "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "r": _OFFICE,
    "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
    "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
    "dgm": "http://schemas.openxmlformats.org/drawingml/2006/diagram",
    "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
    "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
    "o": "urn:schemas-microsoft-com:office:office",
    "v": "urn:schemas-microsoft-com:vml",
}
SPACES = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in _SPACES.items())


def letter(body: str, parts: Mapping[str, str | bytes] | None = None) -> bytes:
    """Make a Word document; a part's name is its id, too, such as `header1.xml`."""
    parts = parts or {}
    links = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{name.split(".")[0].rstrip("12")}" '
        f'Target="{name}"/>'
        for name in parts
    )
    main = f'<Relationship Id="m" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/>'
    relations = f'<Relationships xmlns="{_PACKAGE}/relationships">{{}}</Relationships>'
    return packed(
        {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/>'
            '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
            'officedocument.wordprocessingml.document.main+xml"/></Types>',
            "_rels/.rels": relations.format(main),
            "word/_rels/document.xml.rels": relations.format(links),
            "word/document.xml": f"<w:document {SPACES}><w:body>{body}</w:body></w:document>",
            **{f"word/{name}": content for name, content in parts.items()},
        }
    )


def part(kind: str, content: str) -> str:
    """Make the XML of a part."""
    return f"<w:{kind} {SPACES}>{content}</w:{kind}>"


def p(*runs: str, properties: str = "") -> str:
    """Make a paragraph of runs, each a text or XML."""
    inner = "".join(run if run.startswith("<") else r(run) for run in runs)
    return f"<w:p>{properties and f'<w:pPr>{properties}</w:pPr>'}{inner}</w:p>"


def r(text: str, properties: str = "") -> str:
    """Make a run of a text or of XML."""
    inner = text if text.startswith("<") else f'<w:t xml:space="preserve">{text}</w:t>'
    return f"<w:r>{properties and f'<w:rPr>{properties}</w:rPr>'}{inner}</w:r>"
