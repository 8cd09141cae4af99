"""Asks a backend as the engine does, for the tests of backends; makes the reply to one by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence

from pipeline.backends.base import Answered
from pipeline.backends.lanes.live import Live
from pipeline.types import Document, Message, Request, Response

MODEL = "gpt-6-luna"
TIMEOUT_SECONDS = 30.0


def request(text: str = "one two three", **changes: object) -> Request:
    """Make a request with one message."""
    fields: dict[str, object] = {
        "document": Document(0, text, {}, text),
        "turn": 0,
        "key": text.encode(),
        "model": MODEL,
        "messages": (Message("user", text),),
        "parameters": {},
        "max_tokens": None,
    }
    return Request(**{**fields, **changes})  # type: ignore[arg-type]


def completion(**changes: object) -> bytes:
    """Write a completion; NaN and the infinities as Python's JSON does."""
    choice = {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return json.dumps({"model": "m", "choices": [choice], **changes}).encode()


async def stream(requests: Iterable[Request]) -> AsyncIterator[Request]:
    for item in requests:
        yield item


def complete(backend: Live, *requests: Request) -> list[Response]:
    """Send requests one after the other, each once."""

    async def run() -> list[Response]:
        try:
            await backend.open()
            return [await backend.server.complete(item, TIMEOUT_SECONDS) for item in requests]
        finally:
            await backend.close()

    return asyncio.run(run())


def complete_all(backend: Live, requests: Sequence[Request]) -> dict[str, Answered]:
    """Ask all that there is; the answers by their documents' names."""

    async def run() -> dict[str, Answered]:
        try:
            await backend.open()
            answered = [
                item async for batch in backend.complete_all(stream(requests)) for item in batch
            ]
        finally:
            await backend.close()
        found = {item.request.document.name: item for item in answered}
        assert len(found) == len(answered)
        return found

    return asyncio.run(run())
