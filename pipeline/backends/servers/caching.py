"""What requests share is written to the server's cache once, and then read
(https://developers.openai.com/api/docs/guides/prompt-caching).

A write costs more than what isn't kept, a read a tenth. So one request writes. Those that are sent
before its answer is there neither write nor read: nobody waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.types import Usage

LEAST_TOKENS = 1024  # are kept
_MOST_WRITES = 8  # besides three for each read: then the server loses what it is given
_REFUSED = re.compile(r"prompt_cache_breakpoint|\bcontent\b")


@dataclass(slots=True)
class CacheMark:
    """Whether a request is marked where what it shares ends; `usage` is what came of it."""

    on: bool
    usage: Usage | None = None


class Caching:
    """Says which requests are marked. `off`: none is any more."""

    def __init__(self) -> None:
        self.off = False
        self._writing: set[str] = set()
        self._written: set[str] = set()
        self._writes = self._reads = 0

    @contextmanager
    def marking(self, key: str) -> Iterator[CacheMark]:
        """Give the mark of a request that shares what this key stands for."""
        writes = key not in self._written
        mark = CacheMark(not self.off and not (writes and key in self._writing))
        if not mark.on or not writes:
            yield mark
        else:
            self._writing.add(key)
            try:
                yield mark
            finally:
                self._writing.discard(key)
        if mark.on and mark.usage is not None:
            self._written.add(key)
            self._count(mark.usage)

    def refused(self, words: str) -> bool:
        """Return whether a refusal of a marked request is about its mark; then none is any more."""
        self.off = self.off or _REFUSED.search(words) is not None
        return self.off

    def _count(self, usage: Usage) -> None:
        """Count writes and reads: servers may lose what they kept, or spread it over machines."""
        self._writes += usage.cache_write_tokens > 0
        self._reads += usage.cached_tokens > 0
        self.off = self.off or self._writes > _MOST_WRITES + 3 * self._reads


def is_explicit(parameters: Mapping[str, object]) -> bool:
    """Return whether nothing is kept but what is marked."""
    options = parameters.get("prompt_cache_options")
    return isinstance(options, Mapping) and options.get("mode") == "explicit"
