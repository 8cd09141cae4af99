"""What a message holds: a text, or texts and images in the order in which its template has them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from pipeline.types import Image

Content = str | tuple[str | Image, ...]

# What `{{ image }}` is while a message is filled in. No document can hold it: it is new each time
# that the program starts. Of digits alone, it survives most filters.
IMAGE = str(secrets.randbits(256))


def show(text: str, images: Iterable[Image]) -> Content:
    """Put images where a text has IMAGE, which it has."""
    first, *rest = text.split(IMAGE)
    parts: list[str | Image] = [first]
    for after in rest:
        parts += [*images, after]
    return tuple(part for part in parts if isinstance(part, Image) or part.strip())
