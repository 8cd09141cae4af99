"""How a server is asked for answers of a schema: by the strictest way that it knows.

Which that is, the server's own replies tell, once for all of a run: a refusal that names the way,
or answers in which nobody has looked at it. A request's key stays the same whichever it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import openai
import orjson

from pipeline.prompting import schema

Rung = Literal["json_schema", "tools", "json_object", "words"]
RUNGS: tuple[Rung, ...] = ("json_schema", "tools", "json_object", "words")
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
# Refusals that are about the request's content, whatever their words.
_CONTENT = {"context_length_exceeded", "content_policy_violation", "content_filter"}
_MISSHAPEN = 0.1  # of the answers may be, before the way is taken for one that nobody looks at
INSTRUCTION = (
    "\n\nAnswer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}"
)


class Formats:
    """The way to ask, as far as this run has found it out. `notices` tell the user."""

    def __init__(self, model: str, notices: list[str]) -> None:
        self.rung: Rung = RUNGS[0]
        self._model = model
        self._notices = notices
        self._shaped = 0
        self._misshapen = 0

    def write(self, body: dict[str, Any], response_format: Mapping[str, Any], rung: Rung) -> None:
        """Ask for answers of a schema in this way. Other formats are left as they are."""
        asked = response_format.get("json_schema")
        if asked is None or rung == "json_schema":
            body["response_format"] = response_format
            return
        name, wanted = asked["name"], asked["schema"]
        if rung == "tools":
            function = {"name": name, "description": "Give the answer.", "parameters": wanted}
            body["tools"] = [{"type": "function", "function": function}]
            body["tool_choice"] = {"type": "function", "function": {"name": name}}
            return
        if rung == "json_object":
            body["response_format"] = {"type": "json_object"}
        text = INSTRUCTION.format(schema=orjson.dumps(wanted).decode())
        body["messages"] = _with_instruction(body["messages"], text)

    def read(
        self, content: str | None, response_format: Mapping[str, Any], rung: Rung
    ) -> str | None:
        """Take an answer as it was asked for, and learn from its shape; cut-off ones have none."""
        asked = response_format.get("json_schema")
        if asked is None or not (content or "").strip():
            return content
        text = content or ""
        if rung in ("json_schema", "tools") and not self._constrained(text, asked["schema"], rung):
            self._lower(rung, "json_object", "is ignored")
        if RUNGS.index(self.rung) < RUNGS.index("json_object"):
            return text
        return (
            text if schema.shaped(text, asked["schema"]) else schema.extract(text, asked["schema"])
        )

    def _constrained(self, content: str, wanted: schema.Schema, rung: Rung) -> bool:
        """Say whether somebody looks at the schema, by what has come back so far."""
        if rung != self.rung:
            return True
        if schema.shaped(content, wanted):
            self._shaped += 1
            return True
        self._misshapen += 1
        return self._misshapen <= self._shaped * _MISSHAPEN

    def after(self, rung: Rung, error: openai.APIStatusError) -> Rung | None:
        """Give the way to try after a refusal; None if the refusal is not about the way.

        One that names it is learned from at once. One that doesn't may be about anything: as long
        as no answer has come by this way, the next may be tried, and `learn` told if it works.
        """
        if rung == "words" or error.code in _CONTENT:
            return None
        if RUNGS.index(self.rung) > RUNGS.index(rung):
            return self.rung
        lower = RUNGS[RUNGS.index(rung) + 1]
        if _names(rung, error):
            self._lower(rung, lower, f"is refused (HTTP {error.status_code}: {_message(error)})")
            return lower
        vague = error.status_code in (400, 422) and not error.param
        return lower if vague and not self._shaped else None

    def learn(self, rung: Rung, error: openai.APIStatusError) -> None:
        """Note that this way works, and that the ones before it were refused."""
        if RUNGS.index(rung) > RUNGS.index(self.rung):
            problem = f"is refused (HTTP {error.status_code}: {_message(error)})"
            self._lower(self.rung, rung, problem)

    def _lower(self, rung: Rung, lower: Rung, problem: str) -> None:
        if RUNGS.index(self.rung) >= RUNGS.index(lower):
            return
        self.rung = lower
        self._shaped = self._misshapen = 0
        self._notices.append(
            f"{self._model}: {_SAID[rung]} {problem}; answers are asked for by {_SAID[lower]}"
        )


def _names(rung: Rung, error: openai.APIStatusError) -> bool:
    if error.status_code not in (400, 404, 415, 422, 500, 501):
        return False
    param = error.param or ""
    if param:
        return param.split(".")[0].split("[")[0] in _PARAMS[rung]
    return _NAMES[rung].search(_message(error).lower()) is not None


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error.message).split())[:200]


def _with_instruction(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Add a text to the last message: any model reads that, and not all read a system message."""
    *before, last = messages
    content = last["content"]
    if isinstance(content, str):
        return [*before, {**last, "content": content + text}]
    return [*before, {**last, "content": [*content, {"type": "text", "text": text.strip()}]}]


def called(message: Mapping[str, Any]) -> str | None:
    """Give the arguments of the function that an answer calls; None if it calls none."""
    calls = message.get("tool_calls") or ()
    function = calls[0]["function"] if calls else message.get("function_call")
    arguments = function["arguments"] if function else None
    if arguments is None or isinstance(arguments, str):
        return arguments
    return orjson.dumps(arguments).decode()
