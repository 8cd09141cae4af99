"""How an answer came to its end, in any server's words. Only a good end makes it a value."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache


class End(Enum):
    """The ends of answers."""

    WHOLE = "whole"
    CUT = "cut off at the allowance"
    FULL = "cut off where the context window is full"
    FILTERED = "stopped by a filter"
    BROKEN = "broken off"


# As they are once case, signs and the name of the enum are off.
_WHOLE = {
    *("", "none", "null", "stop", "stopped", "stop_sequence", "stop_token", "stop_string"),
    *("stop_word", "stop_words", "natural_stop", "end_of_sequence", "endoftext", "eos_found"),
    *("eos", "eos_token", "end", "end_turn", "end_of_turn", "end_of_text", "eot", "eot_id"),
    *("complete", "completed", "done", "finish", "finished", "success", "natural", "normal"),
    *("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
}
# The first that fits counts.
_OTHERS = (
    (
        End.FILTERED,
        re.compile(
            r"filter|safety|recitation|block|prohibit|spii|refus|moderat|guardrail|flagged|toxic"
            r"|sensitive|policy|violat|censor"
        ),
    ),
    (End.BROKEN, re.compile(r"time|repeti|error|resource|malformed|unexpected|rate_|quota")),
    (End.FULL, re.compile(r"model_length|context|window")),
    (End.CUT, re.compile(r"length|max|tokens?_limit|limit|incomplete|truncat|cut_?off")),
)


@lru_cache(maxsize=256)  # all answers of a run end alike
def end_of(reason: str | None) -> End:
    """Return the end that a finish reason tells of. No reason at all is a good one."""
    plain = _plain(reason or "")
    if plain in _WHOLE:
        return End.WHOLE
    return next((end for end, words in _OTHERS if words.search(plain)), End.BROKEN)


def _plain(reason: str) -> str:
    r"""Write MAX_TOKENS, maxTokens, max-tokens and FinishReason.MAX_TOKENS as max_tokens."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", reason.strip())
    words = re.sub(r"[\W_]+", "_", words.lower()).strip("_")
    return re.sub(r"^(?:(?:finish|stop)_)?reason_", "", words)
