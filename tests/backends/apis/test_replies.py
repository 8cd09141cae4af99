"""Token counts that can't be, and replies of any shape."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from pipeline.backends.apis.base import FAR_TOKENS, FRAME_BYTES, HIDDEN_TOKENS, MOST_BYTES, Asked
from pipeline.backends.apis.replies import read_response
from pipeline.backends.apis.usages import DOUBTED, UNBELIEVED
from pipeline.backends.base import Answered
from pipeline.backends.lanes.live import Live
from pipeline.backends.opening import Limits, open_lane
from pipeline.costs import fixed_price
from pipeline.engine.judge import Judge
from pipeline.errors import TransientError, UnreadableError
from pipeline.types import Response, Usage
from tests.backends.asking import MODEL, complete_all, completion, request
from tests.server import Fault, Server

INF, NAN = float("inf"), float("nan")
PROMPT, ANSWER = 1_000, 50
ASKED = Asked(PROMPT, max_tokens=ANSWER)


def connect(server: Server, max_cost_usd: str | None = None) -> Live:
    cap = Decimal(max_cost_usd) if max_cost_usd else None
    return open_lane(
        MODEL,
        base_url=server.base_url,
        api_key="sk-test",
        limits=Limits(max_cost_usd=cap, patience_seconds=1),
        price=fixed_price(Decimal(3), Decimal(17)),
    )


def usage(prompt: object, answer: object, *, total: object = None, **details: object) -> bytes:
    return completion(
        usage={
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": total,
            "prompt_tokens_details": {
                name: details[name] for name in details if name != "reasoning_tokens"
            },
            "completion_tokens_details": {
                name: details[name] for name in details if name == "reasoning_tokens"
            },
        }
    )


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (usage(7, 2), Usage(7, 2)),
        (usage(7.0, 2.0), Usage(7, 2)),
        (usage(0, 0), Usage()),
        (usage(7, 2, cached_tokens=7.0, reasoning_tokens=2), Usage(7, 2, 7, 0, 2)),
        (usage(7, 2, cached_tokens=3, cache_write_tokens=4), Usage(7, 2, 3, 4)),
        (usage(7, 2, cached_tokens=None, reasoning_tokens=None), Usage(7, 2)),
        # Some servers count thoughts apart, as their total shows.
        (usage(7, 2, reasoning_tokens=30, total=39), Usage(7, 32, 0, 0, 30)),
        (usage(7, 20, reasoning_tokens=5, total=32), Usage(7, 25, 0, 0, 5)),
        (usage(7, 20, reasoning_tokens=5, total=27), Usage(7, 20, 0, 0, 5)),
        (usage(7, 2, total=39), Usage(7, 32, 0, 0, 30)),
        (usage(7, None, total=39), Usage(7, 32, 0, 0, 32)),
        # Others count what they have cached apart.
        (usage(7, 2, cached_tokens=30, total=39), Usage(37, 2, 30)),
        (usage("7", "2.0", total="9"), Usage(7, 2)),
        (completion(usage={"input_tokens": 7, "output_tokens": 2}), Usage(7, 2)),
        (completion(x_groq={"usage": {"prompt_tokens": 7, "completion_tokens": 2}}), Usage(7, 2)),
    ],
)
def test_token_counts_are_read(reply: bytes, expected: Usage) -> None:
    notes: list[str] = []
    assert read_response(reply, asked=ASKED, note=notes.append).usage == expected
    assert notes == []


@pytest.mark.parametrize(
    "reply",
    [
        usage(-7, 2),
        usage(7, -2),
        usage(7.5, 2),
        usage("seven", 2),
        usage("nan", 2),
        usage(True, 2),
        usage(7, False),
        usage(None, 2),
        usage([7], 2),
        usage({"n": 7}, 2),
        usage(7, 2, cached_tokens=8),
        usage(7, 2, cached_tokens=4, cache_write_tokens=4),
        usage(7, 2, cached_tokens=-1),
        usage(7, 2, cached_tokens="many"),
        usage(7, 2, reasoning_tokens=3),
        usage(7, 2, reasoning_tokens=3, total=9),
        usage(7, 2, reasoning_tokens=3, total="many"),
        usage(NAN, 2),
        usage(7, INF),
        usage(-INF, 2),
        usage(10**400, 2),
        usage(10**12, 2),
        usage(2**64, 2),
        usage(1e300, 2),
        usage(7, 10**9),
        usage(PROMPT + HIDDEN_TOKENS + 1, 2),
        usage(7, ANSWER + HIDDEN_TOKENS + 1),
        completion(usage=[]),
        completion(usage="none"),
        completion(usage=7),
        completion(usage={"prompt_tokens": 7}),
        completion(
            usage={"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": [1]}
        ),
    ],
)
def test_token_counts_that_cannot_be_are_not_believed(reply: bytes) -> None:
    notes: list[str] = []
    assert read_response(reply, asked=ASKED, note=notes.append).usage is None
    assert notes == [UNBELIEVED]


@pytest.mark.parametrize(
    "reply", [usage(PROMPT + FAR_TOKENS + 1, 2), usage(7, ANSWER + FAR_TOKENS + 1)]
)
def test_token_counts_that_nothing_explains_are_believed_and_told(reply: bytes) -> None:
    notes: list[str] = []
    assert read_response(reply, asked=ASKED, note=notes.append).usage is not None
    assert notes == [DOUBTED]


def test_of_a_reply_of_no_use_no_impossible_count_is_billed() -> None:
    with pytest.raises(TransientError) as caught:
        read_response(
            completion(choices=[], usage=json.loads(usage(10**9, 2))["usage"]), asked=ASKED
        )
    assert caught.value.lost


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (Asked(9, max_tokens=9), FRAME_BYTES, 2 * FRAME_BYTES),
        (Asked(9, max_tokens=1000, alternatives=20), 5_000_000, 10_000_000),
        (Asked(9), 2**17 * 40, 10_000_000),
        (Asked(9, max_tokens=10**9), MOST_BYTES, MOST_BYTES),
        (Asked(9, alternatives=20), MOST_BYTES, MOST_BYTES),
    ],
)
def test_a_reply_is_as_long_as_what_was_asked_allows(asked: Asked, least: int, most: int) -> None:
    assert least <= asked.most_bytes <= most


def counting(prompt: object, answer: object, **conditions: object) -> Fault:
    """Answer with these counts."""
    return Fault(
        "status",
        status=200,
        payload=usage(prompt, answer),
        **conditions,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("count", [-1, 10**12, "many", True, 1e300])
def test_what_is_not_believed_is_taken_for_the_worst(server: Server, count: object) -> None:
    server.change(faults=(counting(count, 2),))
    backend = connect(server, "1")
    (item,) = complete_all(backend, [request(max_tokens=9)]).values()
    assert isinstance(item.answer, Response)
    assert (item.usage, item.cost_usd) == (None, None)
    budget = backend.gate.budget
    prompt = backend.server.most_tokens(request(max_tokens=9)) * 4  # a token a byte
    assert (budget.spent_usd, budget.reserved_usd) == (0, 0)
    assert budget.unsure_usd == budget.ceiling_usd(prompt, 9)
    assert [UNBELIEVED in notice for notice in backend.server.notices] == [True]


def test_counts_of_a_million_times_ours_do_not_use_the_cap_up(server: Server) -> None:
    """All 50 rows cost 0.003 USD by what is counted of the others."""
    server.change(faults=(counting(10**7, 2, contains="odd"),))
    many = [request(f"{'odd' if n % 2 else 'even'} {n}", max_tokens=9) for n in range(50)]
    backend = connect(server, "0.03")
    found = complete_all(backend, many)
    assert all(isinstance(item.answer, Response) for item in found.values())
    assert len(found) == 50


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS"])
def test_an_answer_that_was_cut_off_in_a_character_is_cut_off(reason: str) -> None:
    choice = {"message": {"content": "one caf@"}, "finish_reason": reason}
    told = completion(choices=[choice], usage={"prompt_tokens": 7, "completion_tokens": 2})
    response = read_response(told.replace(b"@", b"\xc3"))
    assert (response.content, response.finish_reason) == ("one caf\ufffd", reason)
    assert response.usage == Usage(7, 2)


@pytest.mark.parametrize(
    "choice",
    [{"message": {"content": "caf@"}, "finish_reason": "stop"}, {"message": {"content": "caf@"}}],
)
def test_any_other_answer_that_is_not_utf_8_is_no_answer(choice: object) -> None:
    told = completion(choices=[choice], usage={"prompt_tokens": 7, "completion_tokens": 2})
    with pytest.raises(UnreadableError) as caught:
        read_response(told.replace(b"@", b"\xc3"))
    assert caught.value.usage == Usage(7, 2)


def test_a_row_cut_off_in_a_character_is_asked_with_more_room(server: Server) -> None:
    cut = completion(choices=[{"message": {"content": "caf@"}, "finish_reason": "length"}])
    fault = Fault("status", status=200, payload=cut.replace(b"@", b"\xc3"), times=1)
    server.change(faults=(fault,))
    asked = Judge().again([Judge().settle(answered(server, max_tokens=5), [])])
    assert asked is not None and asked.max_tokens == 20


def answered(server: Server, **changes: object) -> Answered:
    return complete_all(connect(server), [request(**changes)])["one two three"]
