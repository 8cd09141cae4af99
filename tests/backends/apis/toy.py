"""An API of thirty lines: what it takes to speak another one. Nothing in `pipeline/` knows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from pipeline.backends.apis.base import Asked, Manner
from pipeline.errors import TransientError
from pipeline.types import Levels, Request, Response, Usage


class Toy:
    """Takes {"ask": ...}, replies {"said": ..., "words": [in, out]}."""

    name = "toy"
    path = "/toy"

    def body(self, request: Request, urls: Sequence[str], manner: Manner) -> dict[str, object]:
        return {"ask": request.messages[-1].text, **manner.taken(request.parameters)}

    def read(
        self, content: bytes, levels: Levels | None, *, asked: Asked, note: Callable[[str], None]
    ) -> Response:
        reply = orjson.loads(content)
        if "said" not in reply:
            raise TransientError("the toy said nothing")
        return Response(reply["said"], "stop", "toy-1", Usage(*reply["words"]), levels=levels)
