"""Whole runs against a server whose replies may be anything: no row of theirs ends the run."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.backends.apis.test_shapes import GOOD, ODD, mutants, paths, put, written
from tests.running import Job, column, counts, job, texts
from tests.server import Fault, Server

ROWS = 60
ERROR = {"error": {"message": "No.", "type": "invalid", "param": "seed", "code": "none"}}
NAMES = (
    "content-type",
    "content-language",
    "location",
    "server",
    "set-cookie",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-request-id",
    "x-should-retry",
)
VALUES = (
    "",
    "nan",
    "-1",
    "1e300",
    "\xff\xfe",
    "a" * 8000,
    "[1]",
    "text/html; charset=hex",
    "9" * 99,
)
SCHEMA = """---
name: ask
model:
  options: {maxOutputTokens: 20}
outputs:
  type: object
  properties: {label: {type: string}, score: {type: integer}}
---
user:
{{ text }}
"""


def once(number: int, payload: bytes, status: int = 200, **headers: str) -> Fault:
    """Let the first reply to a row be this."""
    return Fault(
        "status",
        status=status,
        payload=payload,
        headers=headers,
        contains=f"ticket {number} is",
        times_per_request=1,
        billed=status == 200,
    )


def settled(made: Job, *options: object) -> dict[str, int]:
    """Run, and return how many rows came to what, of which none may have surprised us."""
    ended = made.run("--max-concurrency", 20, *options)
    assert ended.code in (0, 1), ended.err
    assert ended.errors == []
    rows = made.rows()
    assert len(rows) == ROWS
    for row in rows:
        assert "unexpected" not in row["error"]
        assert row["error"] or row["status"] == "ok"
    return counts(column(rows, "status"))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("prompt", [None, SCHEMA], ids=["text", "schema"])
def test_completions_of_any_shape_do_not_end_a_run(
    tmp_path: Path, server: Server, seed: int, prompt: str | None
) -> None:
    changed = [once(number, written(mutant)) for number, mutant in enumerate(mutants(ROWS, seed))]
    server.change(faults=tuple(changed))
    made = job(tmp_path, server, texts(ROWS), **({"prompt": prompt} if prompt else {}))
    assert settled(made, "--max-cost", 5)["ok"] > ROWS / 3


@pytest.mark.parametrize("status", [400, 418, 422, 429, 500, 529, 599])
def test_errors_of_any_shape_do_not_end_a_run(tmp_path: Path, server: Server, status: int) -> None:
    draw = Random(status)
    places = paths(ERROR)
    bodies: list[Any] = [put(ERROR, draw.choice(places), draw.choice(ODD)) for _ in range(ROWS)]
    bodies[0] = "[" * 10_000
    bodies[1] = put(ERROR, ("error", "code"), json.loads("[" * 900 + "]" * 900))
    limits = {"x-ratelimit-limit-requests": "9999", "x-ratelimit-remaining-requests": "9998"}
    changed = [
        once(number, body.encode() if number == 0 else written(body), status, **limits)
        for number, body in enumerate(bodies)
    ]
    server.change(faults=tuple(changed))
    settled(job(tmp_path, server, texts(ROWS)))


@pytest.mark.parametrize("status", [200, 400, 500])
def test_headers_of_any_kind_do_not_end_a_run(tmp_path: Path, server: Server, status: int) -> None:
    draw = Random(status)
    changed = [
        once(
            number,
            written(GOOD),
            status,
            **{draw.choice(NAMES): draw.choice(VALUES) for _ in range(3)},
        )
        for number in range(ROWS)
    ]
    server.change(faults=tuple(changed))
    settled(job(tmp_path, server, texts(ROWS)))
