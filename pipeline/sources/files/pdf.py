"""The text of a PDF as its reader sees it, made from what the extractor has read of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from pipeline.errors import DocumentError
from pipeline.sources.files.comments import attached, read_comments
from pipeline.sources.files.directions import is_suspect, read_pages

# What stands in a form of Adobe's for programs that don't know such forms.
_NO_FORM = re.compile(r"Please wait\.\.\.\s*If this message is not eventually replaced")


def upright(data: bytes, text: str, pages: Sequence[str], fields: Mapping[str, str]) -> str:
    """Return the text with the pages read anew whose lines don't run from left to right.

    `fields` are those of a form, which the text has behind its pages.
    """
    if _NO_FORM.search(text):
        raise DocumentError("a form that only Adobe Reader shows: print it to another PDF")
    turned = read_pages(data) if is_suspect(text) else {}
    if not turned:
        return text
    parts = [turned.get(number, page) for number, page in enumerate(pages, 1)]
    parts += [f"{name}: {value}" for name, value in fields.items()]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def with_comments(data: bytes, text: str) -> str:
    """Return the text with the comments on it."""
    comments = read_comments(data)
    return "\n".join([text, "# Comments\n", *comments, ""]) if comments else text


def unread(data: bytes, read: Collection[str]) -> list[str]:
    """Return the names of the files attached to it whose text wasn't read."""
    return [name for name in attached(data) if name not in read]
