"""The provider without its wires: takes a request's bytes, gives the reply, keeps the tally."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from . import answers
from .behaviour import Behaviour, Body, Fault, Latency
from .buckets import Clock, RateLimit, Refusal
from .caching import NOTHING, Found, PromptCache
from .faults import (
    HTML,
    MANGLED,
    STATUSES,
    Asked,
    Faults,
    Status,
    draw,
    error_body,
    status_of,
    unsupported,
)
from .tally import Bill, Record, Tally, digest

Manner = Literal["whole", "truncated", "drip", "flood", "closed", "reset"]
Outcome = Literal["sent", "abandoned", "lost"]
_NORMAL = statistics.NormalDist()


@dataclass(slots=True)
class Reply:
    """What goes back, how and when, and what is charged for it."""

    status: int
    payload: bytes = b""
    headers: dict[str, str] | None = None
    content_type: str = "application/json"
    manner: Manner = "whole"
    wait_seconds: float = 0.0
    drip_seconds: float = 0.0
    answers: bool = False
    bill: Bill | None = None
    found: Found = NOTHING
    readable: bool = True
    code: str | None = None
    number: int = 0
    body: str = ""


@dataclass(slots=True)
class Waiter:
    """Someone who waits until so much has been received and billed."""

    received: int
    billed: int
    wake: Callable[[], None]


class Provider:
    """Decides on requests. `clock` is that of the limits; latencies are real."""

    def __init__(self, behaviour: Behaviour, clock: Clock) -> None:
        self._clock = clock
        self._promised = 0
        self._waiters: list[Waiter] = []
        self._cache = PromptCache()
        self.tally = Tally()
        self.behaviour = behaviour
        self.limit = RateLimit(behaviour.limits, clock)
        self.faults = Faults(behaviour.faults, behaviour.seed)
        self.busy: Callable[[], bool] = lambda: False
        self.apply(behaviour)

    def apply(self, behaviour: Behaviour) -> None:
        """Change the behaviour; limits and faults that stay keep their levels and counts."""
        if behaviour.limits != self.behaviour.limits:
            self.limit = RateLimit(behaviour.limits, self._clock)
        if behaviour.faults != self.behaviour.faults or behaviour.seed != self.behaviour.seed:
            self.faults = Faults(behaviour.faults, behaviour.seed)
        self.behaviour = behaviour
        self.tally.records = type(self.tally.records)(self.tally.records, behaviour.record)

    def reset(self) -> None:
        """Begin the tally, and with it the numbers and attempts that faults go by, again."""
        in_flight = self.tally.in_flight
        self.tally = Tally(in_flight=in_flight, max_in_flight=in_flight)
        self.faults = Faults(self.behaviour.faults, self.behaviour.seed)
        self._promised = 0
        self.apply(self.behaviour)

    def wait(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)
        self._wake()

    def receive(self, head: bytes, raw: bytes) -> Reply:
        """Take a chat request and decide on it; `settle` must follow, once."""
        tally = self.tally
        tally.received += 1
        tally.in_flight += 1
        if tally.in_flight > tally.max_in_flight:
            tally.max_in_flight = tally.in_flight
        name = digest(raw)
        tally.received_by_body[name] += 1
        reply = self._decide(head, raw, name)
        reply.body = name
        reply.number = tally.received
        if self.behaviour.record:
            self._record(head, raw, 0 if reply.manner in ("reset", "closed") else reply.status)
        if self._waiters:
            self._wake()
        return reply

    def resets_unread(self) -> bool:
        """Say whether to break the connection of the next request before its body is read."""
        if not self.faults.unread or not self.faults.strike_unread(self.tally.received + 1):
            return False
        self.tally.received += 1
        self.tally.resets += 1
        return True

    def settle(self, reply: Reply, outcome: Outcome) -> None:
        """Count how a request ended, and charge it."""
        tally = self.tally
        tally.in_flight -= 1
        if outcome == "abandoned":
            tally.abandoned += 1
        elif outcome == "lost":
            tally.lost += 1
        elif reply.manner in ("reset", "closed"):
            tally.resets += 1
        else:
            tally.statuses[reply.status] += 1
            if reply.code:
                tally.codes[reply.code] += 1
        self._charge(reply, outcome)
        if self._waiters:
            self._wake()

    def _charge(self, reply: Reply, outcome: Outcome) -> None:
        if reply.bill is None or outcome == "lost":
            return
        if outcome == "sent":
            self._cache.keep(reply.found)
            self.tally.charge(reply.body, reply.bill, readable=reply.readable)
        elif self.behaviour.bill_abandoned:
            self.tally.charge(reply.body, reply.bill, readable=False)

    def latest_headers(self, reply: Reply) -> dict[str, str]:
        """Give the headers to send, with the levels of now where those are what is told."""
        headers = reply.headers or {}
        if self.behaviour.limits.headers_of == "reply" and self.limit.buckets:
            return headers | self.limit.headers()
        return headers

    def models(self, head: bytes) -> Reply:
        if not self._knows(head):
            return _error(STATUSES["invalid_api_key"])
        listed = [
            {"id": name, "object": "model", "created": 1_795_000_000, "owned_by": "tests"}
            for name in self.behaviour.models
        ]
        return Reply(200, orjson.dumps({"object": "list", "data": listed}))

    def _knows(self, head: bytes) -> bool:
        """Say whether the request carries the key, if one is required."""
        key = self.behaviour.require_key
        if key is None:
            return True
        lines = (line.partition(b":") for line in head.split(b"\r\n"))
        headers = {name.lower(): value.strip() for name, _, value in lines}
        if b"/openai/deployments/" in head:
            return headers.get(b"api-key") == key.encode()
        return headers.get(b"authorization") == b"Bearer " + key.encode()

    def _decide(self, head: bytes, raw: bytes, name: str) -> Reply:
        if not self._knows(head):
            return _error(STATUSES["invalid_api_key"])
        try:
            body: Body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return _error(Status(400, message="The body is not JSON."))
        if not isinstance(body, dict) or not body.get("messages") or body.get("stream"):
            return _error(Status(400, message="A body has messages, and no stream here."))
        prompt = answers.prompt_tokens(body, self.behaviour.prompt_tokens)
        refusal = self._admit(body, prompt)
        if refusal is not None:
            return refusal
        headers = self.limit.headers() if self.limit.buckets else None
        reply = self._misfit(body, prompt) or self._answer(body, name, prompt)
        reply.headers = {**(headers or {}), **(reply.headers or {})}
        return reply

    def _admit(self, body: Body, prompt: int) -> Reply | None:
        if self.behaviour.overflow_status and self.busy():
            status = replace(STATUSES["overloaded"], status=self.behaviour.overflow_status)
            return _error(status)
        if not self.limit.buckets:
            return None
        refusal = self.limit.admit(prompt + (answers.max_tokens(body) or 0))
        return None if refusal is None else self._limited(refusal)

    def _limited(self, refusal: Refusal) -> Reply:
        status = Status(429, "rate_limit_exceeded", refusal.what, refusal.message)
        reply = _error(status)
        reply.headers = self.limit.headers() | self.limit.retry_headers(refusal)
        return reply

    def _misfit(self, body: Body, prompt: int) -> Reply | None:
        """Refuse what a model of this size, or none at all, would."""
        known = self.behaviour.models
        if self.behaviour.known_models_only and body.get("model") not in known:
            return _error(STATUSES["model_not_found"])
        refused = unsupported(body, self.behaviour.efforts)
        if refused is not None:
            return _error(refused)
        kind = answers.format_of(body)
        if kind in self.behaviour.refuses:
            param = "tools" if kind == "tools" else "response_format"
            named = Status(
                400, message=f"Invalid parameter: '{param}' of type '{kind}' is not supported."
            )
            return _error(Status(400) if self.behaviour.vague else replace(named, param=param))
        longest = self.behaviour.context_tokens
        if longest is not None and prompt + (answers.max_tokens(body) or 0) > longest:
            return _error(STATUSES["context_length_exceeded"])
        return None

    def _answer(self, body: Body, name: str, prompt: int) -> Reply:
        tally = self.tally
        attempt = tally.received_by_body[name]
        fault = None
        if self.faults.faults:
            asked = Asked(body, name, tally.received, attempt, self._promised)
            fault = self.faults.strike(asked)
        status = status_of(fault) if fault else None
        if fault and status and not fault.billed:
            return _filled(fault, _failed(fault, status))
        found = self._cache.find(body, prompt) if self.behaviour.writes_cache else NOTHING
        completion = answers.complete(
            body, self.behaviour, number=tally.received, prompt=prompt, found=found
        )
        wait = self._latency(body, f"{name} {attempt}", completion.bill.completion_tokens)
        if fault is None:
            self._promised += 1
            payload = orjson.dumps(completion.body)
            return Reply(
                200, payload, wait_seconds=wait, answers=True, bill=completion.bill, found=found
            )
        if status:
            reply = _failed(fault, status)
            reply.bill, reply.readable = completion.bill, False
            return _filled(fault, reply)
        reply = _filled(fault, _faulty(fault, completion, wait))
        reply.found = found if reply.bill is not None else NOTHING
        self._promised += reply.bill is not None
        return reply

    def _latency(self, body: Body, name: str, tokens: int) -> float:
        latency = self.behaviour.latency_seconds
        if isinstance(latency, Latency):
            at = _NORMAL.inv_cdf(max(1e-9, draw(f"latency {self.behaviour.seed} {name}")))
            seconds = latency.median_seconds * math.exp(latency.sigma * at)
            return seconds + latency.per_token_seconds * tokens
        return latency(body) if callable(latency) else latency

    def _record(self, head: bytes, raw: bytes, status: int) -> None:
        body = raw.decode("utf-8", "replace")
        self.tally.records.append(Record(time.monotonic(), status, head.decode("latin-1"), body))

    def _wake(self) -> None:
        tally = self.tally
        for waiter in self._waiters[:]:
            if tally.received >= waiter.received and tally.billed.requests >= waiter.billed:
                self._waiters.remove(waiter)
                waiter.wake()


def _error(status: Status) -> Reply:
    return Reply(status.status, error_body(status), code=status.code)


def _failed(fault: Fault, status: Status) -> Reply:
    reply = _error(status)
    if fault.kind == "bad_gateway":
        reply.payload, reply.content_type = HTML, "text/html"
    reply.headers = dict(fault.headers)
    reply.wait_seconds = fault.seconds
    return reply


def _faulty(fault: Fault, completion: answers.Completion, wait: float) -> Reply:
    """Make the reply of a fault that isn't an error status."""
    mangled = MANGLED.get(fault.kind)
    reply = Reply(200, headers=dict(fault.headers), wait_seconds=wait, answers=True)
    billed = True
    if mangled:
        reply.payload, billed, reply.readable = (
            mangled.make(completion.body),
            mangled.billed,
            mangled.readable,
        )
        reply.content_type = "text/html" if fault.kind == "html" else reply.content_type
    else:
        reply.payload = orjson.dumps(completion.body)
        billed = _wire(reply, fault)
    if billed if fault.billed is None else fault.billed:
        reply.bill = completion.bill
    return reply


def _filled(fault: Fault, reply: Reply) -> Reply:
    """Send the fault's own body, if it has one."""
    if fault.payload is not None:
        reply.payload = fault.payload
    return reply


def _wire(reply: Reply, fault: Fault) -> bool:
    """Set how the bytes go, and say whether that is billed unless told otherwise."""
    if fault.kind == "hang":
        reply.wait_seconds += fault.seconds
    elif fault.kind == "drip":
        reply.manner, reply.drip_seconds = "drip", fault.seconds
    elif fault.kind == "flood":
        reply.manner, reply.drip_seconds, reply.readable = "flood", fault.seconds, False
        reply.status = fault.status or reply.status
    elif fault.kind == "truncated":
        reply.manner, reply.readable = "truncated", False
    elif fault.kind in ("reset", "closed"):
        reply.manner, reply.readable = fault.kind, False
        return False
    return True
