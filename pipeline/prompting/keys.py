"""What a request is known by in the journal: all that decides its answer, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import orjson

from pipeline.prompting.content import Content
from pipeline.types import Message

# Another recipe makes every journal there is outdated: all of it would be paid for again.
RECIPE = 2


def key(
    server: str,
    model: str,
    messages: Sequence[Message],
    parameters: Mapping[str, object],
    name: str,
    schema: Mapping[str, object] | None,
    votes: int,
) -> bytes:
    """Return the key of a request for answers of a schema, which goes by this name.

    The answer's bound is no part of it: a whole answer stands, however long it might have been.
    Nor is how the answer came.
    """
    said = [
        (each.role, each.content if isinstance(each.content, str) else _shown(each.content))
        for each in messages
    ]
    asked = (RECIPE, server, model, said, parameters, name, schema, votes)
    try:
        identity = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a lone surrogate, which orjson refuses
        identity = repr(asked).encode("utf-8", "surrogatepass")
    return hashlib.sha256(identity).digest()


def _shown(content: Content) -> list[object]:
    """Return what of a content decides the answer: of an image what it shows, not where it is."""
    return [
        part if isinstance(part, str) else (part.digest.hex(), part.page, part.detail)
        for part in content
    ]
