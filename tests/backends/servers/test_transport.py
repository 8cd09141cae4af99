"""Replies that are too large, packed, endless or no HTTP, from a real server."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline.backends.apis.base import FRAME_BYTES, MOST_BYTES
from pipeline.backends.lanes.live import Live
from pipeline.backends.opening import Limits, open_lane
from pipeline.backends.servers.bodies import TOGETHER_BYTES
from pipeline.backends.servers.transport import ERROR_BYTES
from pipeline.costs import fixed_price
from pipeline.errors import (
    AccessError,
    BackendError,
    FatalError,
    OversizedError,
    PackedError,
    RejectedError,
    TransientError,
    UnreachableError,
)
from pipeline.types import Request, Response
from tests.backends.asking import MODEL, complete, complete_all, request
from tests.server import Fault, Server

GOOD = json.dumps(
    {
        "model": "m",
        "choices": [{"message": {"content": "packed"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()
SHORT = request(max_tokens=9)
MEGABYTE = 2**20
BUFFERS = 8 * MEGABYTE  # of sockets and of HTTP, on both sides


def connect(server: Server, **limits: object) -> Live:
    return open_lane(
        MODEL,
        base_url=server.base_url,
        api_key="sk-test",
        limits=Limits(**limits),  # type: ignore[arg-type]
        price=fixed_price(Decimal(3), Decimal(17)),
    )


def answering(payload: bytes, **headers: str) -> Fault:
    """Answer with this body."""
    return Fault("status", status=200, payload=payload, headers=headers, billed=True)


def failure(server: Server, of: Request = SHORT) -> BackendError:
    with pytest.raises(BackendError) as caught:
        complete(connect(server), of)
    assert "\n" not in str(caught.value)
    return caught.value


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_a_packed_reply_is_unpacked(
    server: Server, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    server.change(faults=(answering(pack(GOOD), **{"content-encoding": encoding}),))
    (response,) = complete(connect(server), SHORT)
    assert response.content == "packed"


def test_only_what_can_be_unpacked_is_asked_for(server: Server) -> None:
    complete(connect(server), SHORT)
    (record,) = server.tally.records
    assert record.header("accept-encoding") == "gzip, deflate"


def bomb(megabytes: int) -> bytes:
    """Pack an answer of that many megabytes of spaces into a thousandth of them."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
    spaces = b" " * MEGABYTE
    return b"".join([*(packer.compress(spaces) for _ in range(megabytes)), packer.flush()])


@pytest.mark.parametrize("asked", [SHORT, request()])
def test_a_reply_that_unpacks_to_more_than_an_answer_takes_no_memory(
    server: Server, asked: Request
) -> None:
    server.change(faults=(answering(bomb(300), **{"content-encoding": "gzip"}),))
    tracemalloc.start()
    try:
        error = failure(server, asked)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, OversizedError)
    assert str(error).startswith("HTTP 200, but the reply is longer than the ")
    assert error.lost
    assert peak < 2 * MOST_BYTES


@pytest.mark.parametrize(("status", "most"), [(200, FRAME_BYTES), (503, ERROR_BYTES)])
def test_a_reply_without_an_end_is_broken_off(server: Server, status: int, most: int) -> None:
    server.change(faults=(Fault("flood", status=status, payload=b" " * 100_000),))
    error = failure(server)
    assert isinstance(error, OversizedError) == (status == 200)
    assert server.tally.flooded < 2 * most + BUFFERS


def test_a_reply_that_never_ends_is_waited_for_as_long_as_any(server: Server) -> None:
    server.change(faults=(Fault("flood", payload=b" ", seconds=0.05),))

    async def run() -> None:
        backend = connect(server)
        try:
            await backend.open()
            await backend.server.complete(SHORT, 0.5)
        finally:
            await backend.close()

    with pytest.raises(UnreachableError, match="no answer in") as caught:
        asyncio.run(run())
    assert caught.value.lost


def test_replies_that_are_read_at_once_share_their_memory(server: Server) -> None:
    """A hundred of them, each as long as it may be and never whole."""
    flood = Fault("flood", payload=b" " * 100_000, after=1)
    server.change(faults=(flood,))
    many = [request(str(number), max_tokens=2**17) for number in range(100)]
    tracemalloc.start()
    try:
        with pytest.raises(FatalError, match="the reply is "):
            complete_all(connect(server, patience_seconds=1), many)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.tally.received > 64
    assert peak < 1.5 * TOGETHER_BYTES


def test_a_row_whose_reply_is_too_large_is_asked_about_once_more(server: Server) -> None:
    server.change(faults=(Fault("flood", payload=b" " * 100_000, contains="bad"),))
    backend = connect(server, max_cost_usd=Decimal(1))
    found = complete_all(backend, [request("good", max_tokens=9), request("bad", max_tokens=9)])
    assert isinstance(found["good"].answer, Response)
    assert found["bad"].attempts == 2
    assert "longer than the" in str(found["bad"].answer)
    assert found["bad"].cost_usd is None
    budget = backend.gate.budget
    assert (budget.reserved_usd, budget.unsure_usd > 0) == (0, True)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "\xff", "x" * 5000])
def test_a_packing_that_nobody_asked_for_ends_the_run_in_a_line(
    server: Server, encoding: str
) -> None:
    server.change(faults=(answering(GOOD, **{"content-encoding": encoding}),))
    error = failure(server)
    assert isinstance(error, AccessError)
    assert len(str(error)) < 300
    assert "which wasn't asked for and can't be read" in str(error)


def test_one_strange_packing_among_good_replies_is_asked_again(server: Server) -> None:
    strange = answering(GOOD, **{"content-encoding": "br"})
    server.change(faults=(Fault(**{**_fields(strange), "at": (3,)}),))
    found = complete_all(connect(server), [request(str(number)) for number in range(5)])
    assert all(isinstance(item.answer, Response) for item in found.values())


def _fields(fault: Fault) -> dict[str, object]:
    return {name: getattr(fault, name) for name in Fault.__dataclass_fields__ if name != "_"}


@pytest.mark.parametrize(
    "payload",
    [gzip.compress(GOOD)[:-9], gzip.compress(GOOD)[:-1], b"\x1f\x8b\x08", GOOD, b"\x00" * 99],
)
def test_what_is_packed_badly_is_asked_again(server: Server, payload: bytes) -> None:
    server.change(faults=(answering(payload, **{"content-encoding": "gzip"}),))
    error = failure(server)
    assert isinstance(error, PackedError)
    assert error.lost


@pytest.mark.parametrize("encoding", ["br", "gzip", "gzip, br"])
def test_an_error_says_what_it_is_however_it_is_packed(server: Server, encoding: str) -> None:
    fault = Fault("status", status=400, payload=b"no gzip", headers={"content-encoding": encoding})
    server.change(faults=(fault,))
    error = failure(server)
    assert isinstance(error, RejectedError)
    assert str(error) == "HTTP 400: Bad Request"


def test_the_words_of_an_error_are_unpacked(server: Server) -> None:
    body = gzip.compress(b'{"error": {"message": "Too many cooks."}}')
    headers = {"content-encoding": "gzip"}
    server.change(faults=(Fault("status", status=400, payload=body, headers=headers),))
    assert str(failure(server)) == "HTTP 400: Too many cooks."


@pytest.mark.parametrize(
    "headers",
    [
        {"x-long": "a" * 10 * MEGABYTE},
        {f"x-{number}": "a" for number in range(100_000)},
        {"bad header": "a"},
        {"x-split": "a\r\nno colon here"},
    ],
)
def test_headers_without_measure_are_a_line(server: Server, headers: dict[str, str]) -> None:
    server.change(faults=(answering(GOOD, **headers),))
    error = failure(server)
    assert isinstance(error, TransientError)
    assert not isinstance(error, UnreachableError)
    assert str(error).startswith("the reply isn't HTTP that can be read (")
    assert len(str(error)) < 300


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-limit-requests": "\xff", "retry-after": "\xe9"},
        {"location": "\xff\xfe"},
        {"set-cookie": "a=b; domain=\xff"},
        {"content-type": "text/plain; charset=hex"},
        {"content-type": "text/plain; charset=idna"},
        {"content-type": "application/json; charset=utf-7"},
        {"content-type": "a" * 8000},
    ],
)
def test_headers_of_any_bytes_do_no_harm(
    server: Server, status: int, headers: dict[str, str]
) -> None:
    server.change(faults=(Fault("status", status=status, payload=GOOD, headers=headers),))
    if status == 200:
        (response,) = complete(connect(server), SHORT)
        assert response.content == "packed"
    else:
        assert isinstance(failure(server), RejectedError)


def test_replies_of_no_use_are_let_go_of_while_their_rows_wait(server: Server) -> None:
    payload = b'{"choices": "%b"}' % (b"a" * 1_000_000)
    server.change(faults=(Fault("status", status=200, payload=payload, billed=True, after=1),))
    many = [request(str(number), max_tokens=9) for number in range(60)]
    tracemalloc.start()
    try:
        with pytest.raises(FatalError, match="not a chat completion"):
            complete_all(connect(server, patience_seconds=0.2), many)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.tally.received > 40
    assert peak < 60 * MEGABYTE
