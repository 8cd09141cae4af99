"""The cache of prompts, as OpenAI's models keep one from gpt-5.6 on: prefixes that are marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from .behaviour import Body

LEAST_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Found:
    """What of a prompt is read from the cache, what is written to it, and under which names."""

    cached_tokens: int = 0
    written_tokens: int = 0
    names: tuple[bytes, ...] = ()


NOTHING = Found()


class PromptCache:
    """Prefixes that are kept: from the moment when the reply leaves that is charged for them."""

    def __init__(self) -> None:
        self._kept: set[bytes] = set()

    def find(self, body: Body, prompt_tokens: int) -> Found:
        """Look what a request marks, or if it doesn't say `explicit`, its whole prompt up."""
        options = body.get("prompt_cache_options")
        explicit = isinstance(options, dict) and options.get("mode") == "explicit"
        prefixes = dict(_marked(body))
        if not explicit:
            prefixes[_name(body, _messages(body))] = prompt_tokens
        kept = {name: tokens for name, tokens in prefixes.items() if tokens >= LEAST_TOKENS}
        cached = max((tokens for name, tokens in kept.items() if name in self._kept), default=0)
        longest = max(kept.values(), default=0)
        new = tuple(name for name in kept if name not in self._kept)
        return Found(cached, max(longest - cached, 0) if new else 0, new)

    def keep(self, found: Found) -> None:
        self._kept.update(found.names)


def _marked(body: Body) -> Iterator[tuple[bytes, int]]:
    """Yield a name for each prefix that is marked, and its tokens: its words, and three each."""
    before: list[Body] = []
    tokens = _schema_tokens(body)
    for message in _messages(body):
        content = message.get("content")
        parts: list[Body] = content if isinstance(content, list) else []
        text = ""
        for part in parts:
            text += str(part.get("text", ""))
            if "prompt_cache_breakpoint" in part:
                ended = {"role": message["role"], "content": text}
                yield _name(body, [*before, ended]), tokens + len(text.split()) + 3
        text = text if parts else str(content)
        before.append({"role": message["role"], "content": text})
        tokens += len(text.split()) + 3


def _schema_tokens(body: Body) -> int:
    shaped = {name: body[name] for name in ("response_format", "tools") if name in body}
    return len(orjson.dumps(shaped)) // 4 if shaped else 0


def _messages(body: Body) -> list[Body]:
    listed = body.get("messages")
    return listed if isinstance(listed, list) else []


def _name(body: Body, messages: list[Body]) -> bytes:
    asked = [body.get(name) for name in ("model", "tools", "response_format")]
    return orjson.dumps([*asked, messages])
