"""How a server is asked for answers of a schema: by the strictest way that it knows.

Which that is, the server's own replies tell, once for all of a run: a refusal that names the way,
or answers in which nobody has looked at it. A request's key stays the same whichever it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.backends.apis.base import RUNGS, Rung
from pipeline.backends.servers.refusals import Refusal, Subject
from pipeline.prompting.schema import extract, shaped
from pipeline.prompting.strictness import strictly

_SAID: dict[Rung, str] = {
    "json_schema": "`response_format: json_schema`",
    "tools": "function calling",
    "json_object": "`response_format: json_object`",
    "words": "words",
}
# What a refusal of each says, in the words of the servers there are.
_NAMES: dict[Rung, re.Pattern[str]] = {
    "json_schema": re.compile(r"response.?format|json.?schema|schema|structured|grammar|guided"),
    "tools": re.compile(r"\btools?\b|tool_|function"),
    "json_object": re.compile(r"response.?format|json.?object|json mode|grammar|guided"),
    "words": re.compile(r"(?!)"),
}
_PARAMS: dict[Rung, tuple[str, ...]] = {
    "json_schema": ("response_format",),
    "tools": ("tools", "tool_choice"),
    "json_object": ("response_format",),
    "words": (),
}
_CONSTRAINED: tuple[Rung, ...] = ("json_schema", "tools")
_MISSHAPEN = 0.1  # of the answers may be, before the way is taken for one that nobody looks at


class Formats:
    """The way to ask, as far as this run has found it out. `notices` tell the user."""

    def __init__(self, model: str, notices: list[str]) -> None:
        self.rung: Rung = RUNGS[0]
        self._model = model
        self._notices = notices
        self._shaped = 0
        self._misshapen = 0

    def read(
        self, content: str, schema: Mapping[str, object], rung: Rung
    ) -> tuple[str, Mapping[str, object] | None]:
        """Return an answer as it was asked for, and what it says if it has the right shape.

        Learns from its shape, which those that are cut off don't have.
        """
        wanted = strictly(schema)
        values = shaped(content, wanted)
        if rung == self.rung and rung in _CONSTRAINED:
            self._count(rung, right=values is not None)
        if values is not None or self.rung in _CONSTRAINED:
            return content, values
        return extract(content, wanted), None

    def _count(self, rung: Rung, *, right: bool) -> None:
        """Count an answer: if too many are misshapen, nobody looks at the schema."""
        self._shaped += right
        self._misshapen += not right
        if self._misshapen > self._shaped * _MISSHAPEN and not right:
            self._lower(rung, "json_object", "is ignored")

    def after(self, rung: Rung, refusal: Refusal) -> Rung | None:
        """Return the way to try after a refusal, or None if the refusal isn't about the way.

        One that names it is learned from at once. One that doesn't may be about anything: as long
        as no answer has come by this way, the next may be tried, and `learn` told if it works.
        """
        if rung == "words" or refusal.subject is not Subject.REST:
            return None
        if RUNGS.index(self.rung) > RUNGS.index(rung):
            return self.rung
        lower = RUNGS[RUNGS.index(rung) + 1]
        if _names(rung, refusal):
            self._lower(rung, lower, f"is refused (HTTP {refusal.status}: {refusal.words[:200]})")
            return lower
        vague = refusal.status in (400, 422) and not refusal.told.params
        return lower if vague and not self._shaped else None

    def learn(self, rung: Rung, refusal: Refusal) -> None:
        """Note that this way works, and that the ones before it were refused."""
        if RUNGS.index(rung) > RUNGS.index(self.rung):
            problem = f"is refused (HTTP {refusal.status}: {refusal.words[:200]})"
            self._lower(self.rung, rung, problem)

    def _lower(self, rung: Rung, lower: Rung, problem: str) -> None:
        if RUNGS.index(self.rung) >= RUNGS.index(lower):
            return
        self.rung = lower
        self._shaped = self._misshapen = 0
        self._notices.append(
            f"{self._model}: {_SAID[rung]} {problem}; answers are asked for by {_SAID[lower]}"
        )


def _names(rung: Rung, refusal: Refusal) -> bool:
    if refusal.status not in (400, 404, 415, 422, 500, 501):
        return False
    if refusal.told.params:
        return any(param in _PARAMS[rung] for param in refusal.told.params)
    return _NAMES[rung].search(refusal.words.lower()) is not None
