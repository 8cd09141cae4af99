"""What a server says went wrong: its words, its codes, its parameters, wherever they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pipeline.backends.apis.wire import load
from pipeline.errors import TransientError
from pipeline.showing import hide, shown
from pipeline.types import Levels, Usage

LONGEST_WORDS = 300  # characters that are told
_LONGEST_CODE = 100
_DEEPEST = 8  # objects in each other are looked into
_MOST_ITEMS = 5  # of a list
# Where words stand, the most telling first.
_WORDS = (
    *("error", "errors", "detail", "details", "message", "Message", "msg", "error_message"),
    *("errorMessage", "error_description", "description", "reason", "fault", "faultstring"),
    *("exception", "cause", "title"),
)
_CODES = (
    "code",
    "type",
    "status",
    "error_code",
    "reason",
    "errorCode",
    "status_code",
    "statusCode",
)
_PHRASES = {status.phrase.lower() for status in HTTPStatus}
# Words that say nothing.
_EMPTY = _PHRASES | {"error", "provider returned error", "none", "null", "true", "invalid_argument"}
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.I | re.S)
_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|!--)\b", re.I)
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]{0,500}>", re.I | re.S)
_NAMED_STATUS = re.compile(
    r"(?:\A|\b(?:status|status code|error code|code|http|error)[\s:=(]{1,3})([45]\d\d)\b", re.I
)
# What a code in words is as a status.
_STATUSES = (
    (402, re.compile(r"insufficient_(?:quota|credit|balance|fund)|payment|billing")),
    (429, re.compile(r"rate_?limit|too_many_requests|resource_exhausted|throttl")),
    (401, re.compile(r"unauthenticated|unauthori[sz]ed|authentication|invalid_api_key|api_key")),
    (403, re.compile(r"permission|forbidden|access_denied")),
    (404, re.compile(r"not_found|no_such_model")),
    (529, re.compile(r"overloaded")),
    (400, re.compile(r"invalid|bad_request|unsupported|context_length|content|validation")),
    (503, re.compile(r"unavailable")),
    (504, re.compile(r"time_?out|deadline")),
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error as a server tells it, in one line fit to be shown. `status` is 0 if none is told.

    `name` is what it calls the error, `codes` are all its codes in small letters. `params` are the
    parameters that it names, and `generated` is an answer that it could not use.
    """

    text: str = ""
    status: int = 0
    name: str = ""
    codes: frozenset[str] = frozenset()
    params: tuple[str, ...] = ()
    generated: str | None = None


class ErrorReplyError(TransientError):
    """A reply of a good status that is an error."""

    def __init__(self, told: Complaint, *, levels: Levels | None, usage: Usage | None) -> None:
        super().__init__(f"HTTP 200, but an error: {told.text}", levels=levels, usage=usage)
        self.told = told


def read_complaint(content: bytes) -> Complaint:
    """Read the body of an error, whatever it is."""
    try:
        return complaint(load(content))
    except ValueError:
        text = content.decode("utf-8-sig", "replace")
        title = _TITLE.search(text)
        return Complaint(_line(title[1] if title and title[1].strip() else _TAG.sub(" ", text)))


def is_foreign(content: bytes) -> bool:
    """Return whether a whole reply is of something else than an API of ours: a page for people, or
    other JSON.
    """
    if _PAGE.match(content):
        return True
    try:
        data = load(content)
    except ValueError:
        return False
    return not (isinstance(data, dict) and "choices" in data)


def complaint(data: Any) -> Complaint:
    """Read an error that came as JSON."""
    objects = list(_objects(data, _DEEPEST))
    words = list(dict.fromkeys(_words(data, _DEEPEST)))
    telling = [text for text in words if text.lower() not in _EMPTY] or words
    codes = [code for each in objects for name in _CODES if (code := _code(each.get(name)).lower())]
    names = (_code(each.get("code")) for each in objects)
    generated = (each.get("failed_generation") for each in objects)
    return Complaint(
        text=_line(": ".join(telling[:3]) if telling else json.dumps(data) if data else ""),
        status=next(filter(None, map(_status, codes)), 0) or _status_in(telling),
        name=next((name for name in names if not name.isdigit() and name), ""),
        codes=frozenset(codes),
        params=tuple(param for each in objects for param in _params(each)),
        generated=next((hide(text) for text in generated if isinstance(text, str)), None),
    )


def _line(text: str) -> str:
    return shown(" ".join(text[: 20 * LONGEST_WORDS].split()))[:LONGEST_WORDS]


def _objects(data: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield all objects in an error, the outer ones first."""
    data = _unpacked(data)
    if not depth:
        return
    if isinstance(data, dict):
        yield data
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    for value in [*inner][: 4 * _MOST_ITEMS]:
        yield from _objects(value, depth - 1)


def _words(data: Any, depth: int) -> Iterator[str]:
    """Yield the words of an error; those of who is behind the server come first."""
    data = _unpacked(data)
    if isinstance(data, str):
        if data.strip():
            yield data.strip()
    elif isinstance(data, list) and depth:
        for item in data[:_MOST_ITEMS]:
            yield from _words(item, depth - 1)
    elif isinstance(data, dict) and depth:
        metadata = data.get("metadata")
        if isinstance(metadata, dict):
            yield from _words(metadata.get("raw"), depth - 1)
        where = [str(step) for step in data["loc"]] if isinstance(data.get("loc"), list) else []
        for name in _WORDS:
            for text in _words(data.get(name), depth - 1):
                yield f"{'.'.join(where)}: {text}" if where else text


def _unpacked(data: Any) -> Any:
    """Return what is in a text that is JSON itself."""
    if isinstance(data, str) and data.lstrip().startswith(("{", "[")):
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return data
    return data


def _code(data: Any) -> str:
    if isinstance(data, bool) or not isinstance(data, str | int | float):
        return ""
    return shown(str(data))[:_LONGEST_CODE].strip()


def _status(code: str) -> int:
    """Return the status that a code stands for: 429, "429", "Too Many Requests", RATE_LIMIT."""
    number = re.search(r"(?<!\d)[45]\d\d(?!\d)", code)
    if number:
        return int(number[0])
    phrase = next((each.value for each in HTTPStatus if each.phrase.lower() == code), 0)
    plain = re.sub(r"[^a-z]+", "_", code)
    if phrase >= 400:
        return phrase
    return next((status for status, words in _STATUSES if words.search(plain)), 0)


def _status_in(words: list[str]) -> int:
    """Return the status that words begin with, or name as one."""
    found = (_NAMED_STATUS.search(text) for text in words)
    return next((int(match[1]) for match in found if match), 0)


def _params(data: dict[str, Any]) -> Iterator[str]:
    """Yield the parameters that an object names, by their first or last names."""
    for name in ("param", "parameter", "field"):
        if isinstance(data.get(name), str):
            yield data[name].removeprefix("body.").split(".")[0].split("[")[0]
    if isinstance(data.get("loc"), list):
        yield from (step for step in data["loc"] if isinstance(step, str) and step != "body")
