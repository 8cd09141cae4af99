"""What is said to a server: where, and in which words. An API is pure: it keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pipeline.types import Levels, Request, Response, Usage

Rung = Literal["json_schema", "tools", "json_object", "words"]
RUNGS: tuple[Rung, ...] = ("json_schema", "tools", "json_object", "words")
"""The ways to ask for an answer of a schema, the strictest first."""


LONGEST_TOKENS = 2**17  # no model answers with more
# What a server may count and nobody sees: templates, tools, web pages, thoughts.
HIDDEN_TOKENS = 200_000
ALTERNATIVE_BYTES = 256  # that a token takes in log-probabilities
TOKEN_BYTES = 64  # and in an answer: escaped, and told twice where a model thinks aloud
FRAME_BYTES = 2**20  # of a reply besides its answer
MOST_BYTES = 32 * 2**20  # of any reply
FAR_TOKENS = 1_000  # more than can be explained are worth a word


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""How hard a model can be told to think, the least first."""
# What it thinks with beyond its answer: a guess at the most, for the longest answer has both in it.
_THOUGHTS = dict(zip(EFFORTS, (0, 1024, 2048, 8192, 16_384, 32_768, 32_768), strict=True))
SAMPLING = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
"""What a model of OpenAI's doesn't take while it thinks."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a server and its model want to be asked, as far as that is known.

    `bound` is what the API calls the longest answer, `defaults` are parameters that a request may
    set otherwise, `refused` those that are left out, `lowered` the most that is taken of others.
    `efforts` are those that a model which reasons takes, the least first. With `marks` it is told
    where what a request shares with others ends: it keeps that.
    """

    rung: Rung = RUNGS[0]
    bound: str = "max_tokens"
    defaults: Mapping[str, object] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    lowered: Mapping[str, object] = field(default_factory=dict)
    efforts: tuple[str, ...] = ()
    marks: bool = False

    def taken(self, wanted: Mapping[str, object]) -> dict[str, object]:
        """Return parameters as this server takes them."""
        parameters = {**self.defaults, **wanted}
        for name in self.lowered.keys() & parameters.keys():
            parameters[name] = self.lowered[name]
        refused = self.refused
        if "reasoning_effort" in parameters:
            effort = parameters["reasoning_effort"] = self._effort(parameters["reasoning_effort"])
            if self.efforts and "reasoning_effort" not in refused and effort != "none":
                refused |= SAMPLING
        for name in refused & parameters.keys():
            del parameters[name]
        return parameters

    def thinking_tokens(self, wanted: Mapping[str, object]) -> int:
        """Return how many tokens a model may think with, besides its answer."""
        effort = self.taken(wanted).get("reasoning_effort", "medium")
        return _THOUGHTS.get(str(effort), 0) if self.efforts else 0

    def _effort(self, wanted: object) -> object:
        """Return the effort that comes next to the one that is wanted, if that isn't taken."""
        if not self.efforts or wanted in self.efforts or wanted not in EFFORTS:
            return wanted
        at = EFFORTS.index(str(wanted))
        higher = (effort for effort in self.efforts if EFFORTS.index(effort) > at)
        return next(higher, self.efforts[-1])


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as far as a reply can be judged by it.

    `prompt_tokens` are the most that it can have, `alternatives` how many log-probabilities are
    told besides that of each token; None for none at all.
    """

    prompt_tokens: int
    max_tokens: int | None = None
    alternatives: int | None = None

    @property
    def most_bytes(self) -> int:
        """Return how long a reply can be, with all that is told of its answer."""
        each = TOKEN_BYTES
        if self.alternatives is not None:
            each += (1 + self.alternatives) * ALTERNATIVE_BYTES
        return min(FRAME_BYTES + each * (self.max_tokens or LONGEST_TOKENS), MOST_BYTES)

    def believes(self, usage: Usage) -> bool:
        """Return True if a usage is possible."""
        return usage.prompt_tokens <= self.prompt_tokens + HIDDEN_TOKENS and (
            usage.completion_tokens <= (self.max_tokens or LONGEST_TOKENS) + HIDDEN_TOKENS
        )

    def doubts(self, usage: Usage) -> bool:
        """Return True if a usage is far more than what was asked for explains."""
        return usage.prompt_tokens > self.prompt_tokens + FAR_TOKENS or (
            self.max_tokens is not None and usage.completion_tokens > self.max_tokens + FAR_TOKENS
        )


class Api(Protocol):
    """An API. Its `name` is part of each request's key, its `path` follows the server's address."""

    name: str
    path: str

    def body(self, request: Request, urls: Sequence[str], manner: Manner) -> dict[str, object]:
        """Return the body of a request, with these addresses for its images."""

    def read(
        self,
        content: bytes,
        levels: Levels | None,
        *,
        asked: Asked,
        note: Callable[[str], None],
    ) -> Response:
        """Read a reply, and `note` what is strange about its usage.

        Raise TransientError if a good status brought no answer.
        """
