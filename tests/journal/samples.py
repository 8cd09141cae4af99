"""Journals for tests: results to put into one, and how to open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from pipeline.journal.store import Store
from pipeline.types import Document, Message, Record, Request, Result, Usage


def request(name: str = "a", turn: int = 0) -> Request:
    """Make a request whose key is its document's name."""
    return Request(
        document=Document(0, name, {}),
        turn=turn,
        key=name.encode("utf-8", "surrogatepass").ljust(32),
        model="m",
        messages=(Message("user", name),),
        parameters={},
        max_tokens=None,
    )


def ok(name: str = "a", content: str = "answer", cost: str | None = "0.5") -> Result:
    return Result(
        request=request(name),
        status="ok",
        content=content,
        model="m-1",
        finish_reason="stop",
        usage=Usage(10, 5, 4, 2, 3),
        cost_usd=None if cost is None else Decimal(cost),
        attempts=1,
        latency_seconds=0.25,
    )


def failed(name: str = "a", error: str = "HTTP 400: no") -> Result:
    return Result(
        request=request(name), status="failed", error=error, attempts=1, latency_seconds=0.5
    )


def record(store: Store, name: str = "a") -> Record | None:
    """Look up the answer to a request; None if there is none."""
    key = request(name).key
    return store.get_all([key]).get(key)


def state(store: Store, name: str = "a") -> str:
    """Say of a request if it is `done`, or else `begun` or `new`."""
    if not store.unanswered([request(name)]):
        return "done"
    return "new" if record(store, name) is None else "begun"


def trail(store: Store, name: str = "a") -> list[Result]:
    """Give the answers that the next to a request is to follow on."""
    return [result for _, results in store.unanswered([request(name)]) for result in results]


def put(store: Store, *results: Result) -> None:
    store.put_all(results)


@contextmanager
def opened(output: Path, command: str = "pipeline run") -> Iterator[Store]:
    store = Store(output)
    store.open(command)
    try:
        yield store
    finally:
        store.close(0)
