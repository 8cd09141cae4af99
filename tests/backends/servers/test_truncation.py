"""A prompt of which the server has read a part is no prompt that was answered."""

from __future__ import annotations

import pytest

from pipeline.backends.opening import open_lane
from pipeline.backends.servers.truncation import Truncation
from pipeline.types import Response, Usage
from tests.backends.asking import MODEL, complete, request
from tests.server import Server

WORDS = "a text about a contract and its many parts. "  # of 10 tokens and 44 characters


def problem(
    tokens: int, told: int, *, cached: int = 0, truncation: Truncation | None = None
) -> str | None:
    """Send some tokens, and be told of others."""
    asked = request(WORDS * (tokens // 10))
    seen = truncation or Truncation()
    return seen.problem(asked, Usage(told, 5, cached), lambda: tokens)


@pytest.mark.parametrize(
    ("tokens", "told"), [(21_000, 2_048), (21_000, 4_096), (40_000, 8_192), (9_000, 1_500)]
)
def test_a_count_that_nothing_explains_is_told(tokens: int, told: int) -> None:
    words = f"the server read {told:,} of about {tokens:,} prompt tokens"
    assert problem(tokens, told) == words


@pytest.mark.parametrize(
    ("tokens", "told", "cached"),
    [
        (21_000, 21_000, 0),
        (21_000, 8_000, 0),  # another tokenizer
        (21_000, 9_216, 0),  # by chance as many as a window has
        (2_000, 1_024, 0),
        (1_200, 100, 0),  # too few to tell
        (21_000, 0, 0),  # not told
        (21_000, 1_000, 20_000),  # some count what was cached apart
    ],
)
def test_another_tokenizer_is_no_reason(tokens: int, told: int, cached: int) -> None:
    assert problem(tokens, told, cached=cached) is None


def test_our_own_count_is_not_made_if_bytes_tell_that_it_would_change_nothing() -> None:
    def count() -> int:
        pytest.fail("counting costs time")

    assert Truncation().problem(request(WORDS * 8), Usage(55, 5), count) is None


def test_once_the_servers_count_is_known_less_is_enough() -> None:
    truncation = Truncation()
    assert problem(500, 490, truncation=truncation) is None
    other = request("x" + WORDS * 600)
    assert truncation.problem(other, Usage(4_096, 5), lambda: 6_000) is not None
    assert truncation.problem(other, Usage(5_900, 5), lambda: 6_000) is None


def test_a_server_that_counts_only_what_is_new_is_believed() -> None:
    truncation = Truncation()
    for number in range(3):
        asked = request(f"{WORDS * 2000}{number}")
        told = 20_000 if number == 0 else 12
        assert truncation.problem(asked, Usage(told, 5), lambda: 20_000) is None


def test_an_answer_to_a_part_of_its_prompt_has_its_problem(server: Server) -> None:
    server.change(prompt_tokens=2_048)
    lane = open_lane(MODEL, base_url=server.base_url, api_key="sk-test")
    (answer,) = complete(lane, request(WORDS * 2_000))
    assert isinstance(answer, Response)
    assert answer.problem is not None and answer.problem.startswith("the server read 2,048 of")
    assert answer.advice is not None and "OLLAMA_CONTEXT_LENGTH" in answer.advice
