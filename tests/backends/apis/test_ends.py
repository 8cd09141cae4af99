"""How answers end, in the words of the servers there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backends.apis.ends import End, end_of

ENDS = {
    End.WHOLE: "stop STOP eos end_turn stop_sequence tool_calls function_call COMPLETE completed "
    "eos_token FinishReason.STOP FINISH_REASON_STOP REASON_STOP toolUse end-of-turn none",
    End.CUT: "length max_tokens MAX_TOKENS maxTokens max-output-tokens incomplete truncated "
    "FinishReason.MAX_TOKENS token_limit max_length cutoff",
    End.FULL: "model_length model_context_window_exceeded context_length context_window_full",
    End.FILTERED: "content_filter content_filtered SAFETY RECITATION blocklist PROHIBITED_CONTENT "
    "SPII IMAGE_SAFETY refusal guardrail_intervened ERROR_TOXIC sensitive",
    End.BROKEN: "error insufficient_system_resource abort cancelled OTHER network_error "
    "time_limit rate_limit repetition_truncation MALFORMED_FUNCTION_CALL pause_turn "
    "FINISH_REASON_UNSPECIFIED LANGUAGE whatever 停止",
}


@pytest.mark.parametrize(
    ("reason", "end"), [(word, end) for end, words in ENDS.items() for word in words.split()]
)
def test_an_end_is_known_however_it_is_spelled(reason: str, end: End) -> None:
    assert end_of(reason) is end
    assert end_of(f" {reason.upper() if '_' in reason else reason} ") is end


@pytest.mark.parametrize("reason", [None, "", " ", "null"])
def test_no_reason_is_a_good_end(reason: str | None) -> None:
    assert end_of(reason) is End.WHOLE


@given(st.text(alphabet="qxyz_-", min_size=5))
def test_an_unknown_word_is_no_good_end(reason: str) -> None:
    assert end_of(f"q{reason}") is End.BROKEN
