"""What each fault is on the wire, and whether one strikes a request."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import orjson

from .answers import messages
from .behaviour import Body, Fault, Kind


@dataclass(frozen=True, slots=True)
class Status:
    """An error as OpenAI sends it. It is never billed unless the fault says so."""

    status: int
    code: str | None = None
    type: str = "invalid_request_error"
    message: str = "The request failed."
    param: str | None = None


STATUSES: dict[Kind, Status] = {
    "bad_request": Status(400, message="The request is not valid."),
    "context_length_exceeded": Status(
        400, "context_length_exceeded", message="Your input is too long.", param="messages"
    ),
    "content_policy_violation": Status(
        400, "content_policy_violation", message="Your prompt was refused by the safety system."
    ),
    "unsupported_parameter": Status(
        400, "unsupported_parameter", message="This model does not support this parameter."
    ),
    "invalid_api_key": Status(401, "invalid_api_key", message="Incorrect API key provided."),
    "forbidden": Status(
        403, "unsupported_country_region_territory", "request_forbidden", "Not allowed here."
    ),
    "model_not_found": Status(404, "model_not_found", message="The model does not exist."),
    "request_timeout": Status(408, None, "timeout", "Timed out."),
    "conflict": Status(409, None, "conflict", "Try again."),
    "unprocessable": Status(422, message="Unprocessable."),
    "rate_limit_exceeded": Status(429, "rate_limit_exceeded", "requests", "Rate limit reached."),
    "insufficient_quota": Status(
        429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."
    ),
    "billing_hard_limit_reached": Status(
        429, "billing_hard_limit_reached", message="Billing hard limit has been reached."
    ),
    "internal_error": Status(500, None, "server_error", "The server had an error."),
    "bad_gateway": Status(502),
    "unavailable": Status(503, None, "server_error", "The engine is currently overloaded."),
    "overloaded": Status(529, "overloaded", "overloaded_error", "Overloaded."),
    "status": Status(500),
}

HTML = b"<html><head><title>Bad Gateway</title></head><body><h1>cloudflare</h1></body></html>"


def _edit(change: Callable[[Body], None]) -> Callable[[Body], bytes]:
    def edited(completion: Body) -> bytes:
        change(completion)
        return orjson.dumps(completion)

    return edited


def _choice(completion: Body) -> Body:
    return cast(list[Body], completion["choices"])[0]


def _message(completion: Body) -> Body:
    return cast(Body, _choice(completion)["message"])


def _refuse(completion: Body) -> None:
    _message(completion).update(content=None, refusal="I can't help with that.")


def _filter(completion: Body) -> None:
    _choice(completion).update(finish_reason="content_filter")
    _message(completion).update(content="")


def _mistype(completion: Body) -> None:
    usage = {"prompt_tokens": "many", "completion_tokens": None, "total_tokens": [1]}
    completion["usage"] = usage


def _broken_text(completion: Body) -> bytes:
    _message(completion).update(content="@broken@")
    return orjson.dumps(completion).replace(b"@broken@", b"caf\xe9 \xff")


@dataclass(frozen=True, slots=True)
class Mangled:
    """A 200 that isn't what was asked for. `readable` says that its usage reaches the client."""

    make: Callable[[Body], bytes]
    billed: bool = True
    readable: bool = False


MANGLED: dict[Kind, Mangled] = {
    "empty_body": Mangled(lambda completion: b""),
    "empty_object": Mangled(lambda completion: b"{}"),
    "error_object": Mangled(
        lambda completion: b'{"error":{"message":"Upstream failed.","code":502}}', billed=False
    ),
    "null": Mangled(lambda completion: b"null"),
    "list": Mangled(lambda completion: b"[]"),
    "html": Mangled(lambda completion: HTML, billed=False),
    "not_json": Mangled(lambda completion: orjson.dumps(completion)[:-40]),
    "invalid_utf8": Mangled(_broken_text, readable=True),
    "choices_null": Mangled(
        _edit(lambda completion: completion.update(choices=None)), readable=True
    ),
    "choices_empty": Mangled(
        _edit(lambda completion: completion.update(choices=[])), readable=True
    ),
    "usage_missing": Mangled(_edit(lambda completion: completion.__delitem__("usage"))),
    "usage_null": Mangled(_edit(lambda completion: completion.update(usage=None))),
    "usage_mistyped": Mangled(_edit(_mistype)),
    "refusal": Mangled(_edit(_refuse), readable=True),
    "content_filter": Mangled(_edit(_filter), readable=True),
    "content_empty": Mangled(
        _edit(lambda completion: _message(completion).update(content="")), readable=True
    ),
    "content_null": Mangled(
        _edit(lambda completion: _message(completion).update(content=None)), readable=True
    ),
}


def unsupported(body: Body, efforts: tuple[str, ...]) -> Status | None:
    """Say what of a body a model doesn't take that reasons with these efforts."""
    effort = body.get("reasoning_effort", "medium")
    if not efforts or effort == "none" in efforts:
        return None
    if effort not in efforts:
        offered = ", ".join(f"'{name}'" for name in efforts)
        message = f"Unsupported value: '{effort}'. Supported values are: {offered}."
        return Status(400, "unsupported_value", message=message, param="reasoning_effort")
    for name in ("temperature", "top_p", "logprobs"):
        if name in body:
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            return Status(400, "unsupported_parameter", message=message, param=name)
    return None


def error_body(status: Status) -> bytes:
    error = {
        "message": status.message,
        "type": status.type,
        "param": status.param,
        "code": status.code,
    }
    return orjson.dumps({"error": error})


def status_of(fault: Fault) -> Status | None:
    """Give the error that the fault is, with what it overrules, or None if it isn't one."""
    known = STATUSES.get(fault.kind)
    if known is None:
        return None
    return Status(
        status=fault.status or known.status,
        code=fault.code or known.code,
        type=known.type,
        message=fault.message or known.message,
        param=fault.param or known.param,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as the conditions of a fault see it."""

    body: Body
    digest: str
    number: int
    attempt: int
    answers: int


class Faults:
    """Finds the fault that strikes a request, and counts how often each has."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self.faults = faults
        self.unread = any(fault.kind == "reset_unread" for fault in faults)
        self._seed = seed
        self._struck: Counter[object] = Counter()

    def strike(self, asked: Asked) -> Fault | None:
        for position, fault in enumerate(self.faults):
            if fault.kind != "reset_unread" and self._applies(position, fault, asked):
                return fault
        return None

    def strike_unread(self, number: int) -> bool:
        """Say whether to reset the connection before the body is read, by its number alone."""
        asked = Asked({}, "", number, number, 0)
        return any(
            self._applies(position, fault, asked)
            for position, fault in enumerate(self.faults)
            if fault.kind == "reset_unread"
        )

    def _applies(self, position: int, fault: Fault, asked: Asked) -> bool:
        if not _matches(fault, asked):
            return False
        ours = (position, asked.digest)
        if fault.times is not None and self._struck[position] >= fault.times:
            return False
        if fault.times_per_request is not None and self._struck[ours] >= fault.times_per_request:
            return False
        if fault.probability < 1 and self._draw(position, asked) >= fault.probability:
            return False
        if fault.times is not None:
            self._struck[position] += 1
        if fault.times_per_request is not None:
            self._struck[ours] += 1
        return True

    def _draw(self, position: int, asked: Asked) -> float:
        return draw(f"{self._seed} {position} {asked.digest} {asked.attempt}")


def draw(name: str) -> float:
    """Give a number in [0, 1) that is always the same for a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest()) / 2**56


def _matches(fault: Fault, asked: Asked) -> bool:
    if asked.number <= fault.after or (fault.at and asked.number not in fault.at):
        return False
    if fault.after_answers is not None and asked.answers < fault.after_answers:
        return False
    if fault.has is not None and fault.has not in asked.body:
        return False
    text = fault.contains
    if text is not None and not any(text in message for message in messages(asked.body)):
        return False
    return fault.where is None or fault.where(asked.body)
