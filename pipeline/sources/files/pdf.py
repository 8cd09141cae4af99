"""The text of a PDF as its reader sees it, made from what the extractor has read of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from pipeline.errors import DocumentError
from pipeline.sources.base import Extracted
from pipeline.sources.files.archives import Read, read_all
from pipeline.sources.files.comments import attached, read_comments
from pipeline.sources.files.directions import read_pages
from pipeline.sources.files.ligatures import restored

# What stands in a form of Adobe's for programs that don't know such forms.
_NO_FORM = re.compile(r"Please wait\.\.\.\s*If this message is not eventually replaced")


def as_read(data: bytes, text: str, pages: Sequence[str], fields: Mapping[str, str]) -> str:
    """Return the text with what the extractor has made of it undone.

    That are pages that it reads badly, and what it takes for ligatures.
    `fields` are those of a form, which the text has behind its pages.
    """
    if _NO_FORM.search(text):
        raise DocumentError("a form that only Adobe Reader shows: print it to another PDF")
    drawn = read_pages(data, pages)
    if any(page.is_better for page in drawn):
        parts = [
            own.text if own and own.is_better else page
            for page, own in zip_longest(pages, drawn[: len(pages)])
        ]
        parts += [f"{name}: {value}" for name, value in fields.items()]
        text = "\n\n".join(part.strip("\n") for part in parts) + "\n"
    return restored(text, "\n".join(page.text for page in drawn))


def with_comments(data: bytes, text: str) -> str:
    """Return the text with the comments on it."""
    comments = read_comments(data)
    return "\n".join([text, "# Comments\n", *comments, ""]) if comments else text


def with_attached(found: Extracted, data: bytes, read: Read) -> Extracted:
    """Return what was read of a PDF with the files attached to it."""
    if not found.text:
        return found  # a scan
    files = read_all(attached(data), read)
    text = "\n".join(filter(None, [found.text, files.text]))
    return replace(found, text=text, left_out=files.left_out)
