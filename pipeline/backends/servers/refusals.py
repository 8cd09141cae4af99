"""What a server's refusal is about, by its words and codes, and the error of ours that it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from http import HTTPStatus

from pipeline.access import Auth
from pipeline.backends.apis.complaints import Complaint, read_complaint
from pipeline.backends.servers.headers import retry_after, wait_in_words
from pipeline.backends.servers.levels import read_levels
from pipeline.backends.servers.transport import Reply
from pipeline.errors import (
    AccessError,
    BackendError,
    FatalError,
    LimitError,
    RejectedError,
    TransientError,
)
from pipeline.types import Request, Usage

OVERLOADED = 529
LOOKED_AT = 10_000  # bytes of a body
_NOWHERE = {"", "not found", "404 page not found", "404 not found", "method not allowed"}
_BUSY = {408, 409, 425}
_NAME = r"[\w.:/@\-'\"` ]{0,120}"


class Subject(Enum):
    """What refusals are about, whatever their status."""

    QUOTA = auto()
    LENGTH = auto()
    CONTENT = auto()
    SHAPE = auto()
    KEY = auto()
    MODEL = auto()
    BLIND = auto()
    REST = auto()


# Codes of https://platform.openai.com/docs/guides/error-codes, and words of the servers there are.
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_QUOTA = re.compile(
    r"insufficient[ _](?:quota|balance|credits?|funds)|(?:credit )?balance is (?:too )?low"
    r"|(?:credits?|balance|quota) (?:\w+ ){0,3}(?:exhausted|depleted|used up|ran out|insufficient)"
    r"|(?:out of|no(?: more| remaining)?|not enough|lack of) (?:credits?|funds|balance|quota)\b"
    r"|more credits\b|can only afford|余额不足|欠费|payment required|billing hard limit"
    r"|billing (?:\w+ ){0,4}(?:not active|inactive|disabled)"
    r"|(?:requires?|enable|activate) billing|account (?:\w+ ){0,4}(?:in arrears|overdue)"
)
_FREE_QUOTA = re.compile(r"insufficient[ _](?:quota|balance|credits?|funds)|credit balance")
_LENGTH_CODES = {
    *("context_length_exceeded", "exceed_context_size_error", "string_above_max_length"),
    *("request_too_large", "context_window_exceeded", "prompt_too_long", "input_too_long"),
}
_LENGTH = re.compile(
    r"context[ _-]?(?:length|size|window|limit)|(?:prompt|input|message|conversation|text|content"
    r"|request)s? (?:\w+ ){0,4}(?:(?:is|are|was) )?(?:\w+ )?too (?:long|large)"
    r"|too (?:long|large) for (?:the |this )?model"
    r"|request(?: entity| body)? too large|payload too large|too many (?:input |prompt )?tokens"
    r"|(?:exceed|larger|greater|longer|more|above|over|beyond)\w*\b[^.]{0,80}"
    r"(?:context|max(?:imum)?[ _](?:\w+[ _]){0,3}(?:tokens?|length)|token limit|tokens? allowed)"
    r"|maximum (?:\w+ ){0,3}(?:tokens|length)|must have less than \d+ tokens"
    r"|reduce the (?:length|size)|`inputs` tokens|prompt token count|input token count"
    r"|token count (?:\w+ ){0,5}exceeds"
)
_RATE = re.compile(r"rate.?limit|per (?:minute|second|hour|day)\b")
_BOUND = re.compile(
    r"max_(?:completion_|new_|output_)?tokens\W{0,3}(?:\w+ ){0,6}?(?:is too|must|should|<)"
)
_CONTENT_CODES = {
    *("content_policy_violation", "content_filter", "responsibleaipolicyviolation", "safety"),
    *("data_inspection_failed", "content_blocked", "moderation_blocked", "input_flagged"),
}
_CONTENT = re.compile(
    r"flagged|moderation|content (?:management )?polic|content[ _]filter|safety (?:system|polic)"
    r"|inappropriate|harmful|data inspection|content exists risk|sensitive content"
)
_SHAPE_CODES = {"json_validate_failed", "tool_use_failed", "output_parse_failed"}
_SHAPE = re.compile(
    r"failed_generation|generated json|failed to (?:generate|validate) json"
    r"|(?:model|output|generation|response) (?:\w+ ){0,4}(?:does not|doesn't|did not|didn't)"
    r" (?:match|conform|fit)"
)
_KEY_CODES = {
    *("invalid_api_key", "api_key_invalid", "unauthenticated", "authentication_error"),
    *("invalid_authentication", "unauthorized", "account_deactivated", "api_key_expired"),
}
_BAD = (
    r"(?:not valid|invalid|incorrect|expired|missing|wrong|revoked|disabled|not found|required"
    r"|malformed|unknown|no )"
)
_KEY = re.compile(
    rf"(?:api[ _-]?key|access token|auth token|credentials?)\b[^.]{{0,60}}{_BAD}"
    rf"|{_BAD}[^.]{{0,30}}(?:api[ _-]?key|access token|auth token|credentials?)"
    r"|authentication (?:failed|required|error)|unauthori[sz]ed|not authenticated"
)
_MODEL_CODES = {"model_not_found", "invalid_model", "model_not_available", "deploymentnotfound"}
_MODEL = re.compile(
    rf"(?:model|deployment)\b{_NAME}\b(?:not found|(?:does not|doesn't|not) exist|unknown"
    r"|(?:is not|isn't|not) (?:available|loaded|deployed|served|supported by any|a valid model)"
    r"|has been (?:deprecated|decommissioned|removed|retired)|decommissioned)"
    r"|(?:no such|unknown|invalid|unrecogni[sz]ed|could not find|can't find|cannot find) (?:the )?"
    r"(?:model|deployment)|is not a valid model|no (?:allowed )?(?:endpoints|providers) (?:found"
    r"|are available) for|no model\b"
)
_WHO = re.compile(
    r"permission|privilege|(?:not|un)[ _-]?(?:authori[sz]ed|enabled|activated)|countr(?:y|ies)"
    r"|region|territory|subscription|organi[sz]ation|workspace|project|tenant|suspended|deactivated"
    r"|credential|\broles?\b|\bip\b|firewall rules|network"
)
_BLIND = re.compile(r"image input is not supported")  # llama.cpp says it with status 500


_LOGINS = {
    Auth.KEY: ("the key", "check OPENAI_API_KEY"),
    Auth.ENTRA: (
        "the sign-in by Entra ID",
        "you need the role Cognitive Services OpenAI User at this resource",
    ),
}
_ALLOWED = {
    Auth.KEY: "check what OPENAI_API_KEY is allowed to do",
    Auth.ENTRA: _LOGINS[Auth.ENTRA][1],
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that is an error. `status` is that of the reply, or what a good one says inside."""

    status: int
    told: Complaint
    headers: Mapping[str, str]
    usage: Usage | None = None
    asked_seconds: float | None = None  # to wait, by its body

    @property
    def words(self) -> str:
        """What the server says, in one short line."""
        if self.told.text:
            return self.told.text
        return next(
            (known.phrase for known in HTTPStatus if known == self.status), "no reason given"
        )

    @property
    def _is_rate(self) -> bool:
        return self.status == 429 or _RATE.search(self.told.text.lower()) is not None

    @property
    def of_the_body(self) -> bool:
        """Whether another body might mend it."""
        return self.subject is Subject.REST and self.status not in (401, 403, 429)

    @property
    def of_a_number(self) -> bool:
        """Whether it is about how large the longest answer is, not about what it is called."""
        return _BOUND.search(self.told.text.lower()) is not None

    @property
    def concerns_all(self) -> bool:
        """Whether it is about who asks, or from where, not about what is asked."""
        return _WHO.search(" ".join([self.told.text.lower(), *self.told.codes])) is not None

    def named(self, body: Mapping[str, object]) -> list[str]:
        """List the parameters of a body that it speaks of."""
        told = [name for name in self.told.params if name in body]
        return told or [name for name in body if _mentions(self.told.text, name)]

    @property
    def subject(self) -> Subject:
        """What it is about."""
        words, codes, status = self.told.text.lower(), self.told.codes, self.status
        if status == 402 or codes & _QUOTA_CODES:
            return Subject.QUOTA
        if (_FREE_QUOTA if status == 429 else _QUOTA).search(words):
            return Subject.QUOTA
        if codes & _SHAPE_CODES or self.told.generated is not None or _SHAPE.search(words):
            return Subject.SHAPE
        if codes & _LENGTH_CODES or status == 413:
            return Subject.LENGTH
        if _LENGTH.search(words) and ("too large" in words or not self._is_rate):
            return Subject.LENGTH
        if status == 429:
            return Subject.REST
        if codes & _CONTENT_CODES or (status < 500 and _CONTENT.search(words)):
            return Subject.CONTENT
        if status == 401 or codes & _KEY_CODES or (status < 500 and _KEY.search(words)):
            return Subject.KEY
        if codes & _MODEL_CODES or (status < 500 and _MODEL.search(words)):
            return Subject.MODEL
        return Subject.BLIND if _BLIND.search(words) else Subject.REST


def _mentions(text: str, name: str) -> bool:
    """Return True if words are about a parameter: one that is also a word must be quoted."""
    if "_" in name or name in ("temperature", "seed", "logprobs"):
        return re.search(rf"(?<!\w){name}(?!\w)", text) is not None
    return re.search(rf"['\"`]{name}['\"`]|\bbody\.{name}\b|(?<!\w){name} ?=", text) is not None


def refusal_of(reply: Reply) -> Refusal:
    """Read a reply of a bad status."""
    text = reply.content[:LOOKED_AT].decode("utf-8", "replace")
    told = read_complaint(reply.content)
    return Refusal(reply.status, told, reply.headers, asked_seconds=wait_in_words(text))


def refusal_inside(told: Complaint, reply: Reply, usage: Usage | None) -> Refusal:
    """Take an error in a reply of a good status for what it says; without a code it may pass."""
    return Refusal(told.status or reply.status, told, reply.headers, usage)


def explain(
    refusal: Refusal,
    request: Request,
    base_url: str,
    body: Mapping[str, object],
    *,
    fatal: bool = True,
    auth: Auth = Auth.KEY,
) -> BackendError:
    """Return the error of ours that a refusal of this request, sent as this body, is. What is
    refused concerns all requests, and is `fatal`, rather if none was answered yet. `auth` is how
    the user is known.
    """
    status, subject = refusal.status, refusal.subject
    levels, wait = read_levels(refusal.headers), retry_after(refusal.headers)
    wait = refusal.asked_seconds if wait is None else wait
    said = f"HTTP {status}: {refusal.words}"
    known = not fatal and status not in (401, 403, 404)  # the key and the model: rows were answered
    if subject is Subject.QUOTA or (subject in (Subject.KEY, Subject.MODEL) and not known):
        return _fatal(refusal, said, request.model, base_url, auth)
    name = f" {refusal.told.name}" if refusal.told.name else ""
    rejected = partial(RejectedError, levels=levels, usage=refusal.usage)
    if subject is Subject.LENGTH:
        return rejected(f"HTTP {status}{name}: {refusal.words}; {_shorter(refusal)}")
    if status == 429:
        return LimitError(said, levels=levels, retry_after_seconds=wait)
    if subject is Subject.REST and (status in _BUSY or status >= 500 or status < 300):
        return TransientError(
            said,
            levels=levels,
            retry_after_seconds=wait,
            usage=refusal.usage,
            overloaded=status == OVERLOADED,
        )
    if subject is Subject.REST and status == 403 and not (fatal or refusal.concerns_all):
        return rejected(f"HTTP {status}{name}: {refusal.words}")  # others are let in
    if subject is Subject.REST and (access := _access(refusal, said, base_url, auth)) is not None:
        return access
    refused = [param for param in refusal.named(body) if param not in ("messages", "model")]
    if fatal and subject is Subject.REST and refused:
        return AccessError(f"{request.model} refuses `{refused[0]}` ({said})")
    return rejected(f"HTTP {status}{name}: {refusal.words}")


def _fatal(refusal: Refusal, said: str, model: str, base_url: str, auth: Auth) -> FatalError:
    """Return what no waiting mends, whatever its status."""
    if refusal.subject is Subject.QUOTA:
        return FatalError(
            f"the account has no quota left ({refusal.words}); "
            "add credit or raise the limit with the provider"
        )
    if refusal.subject is Subject.KEY:
        login, advice = _LOGINS[auth]
        return AccessError(f"{base_url} refuses {login} ({said}); {advice}")
    return AccessError(
        f"{base_url} doesn't know model {model!r} ({said}); "
        "see `pipeline models`, --model and --base-url"
    )


def _access(refusal: Refusal, said: str, base_url: str, auth: Auth) -> AccessError | None:
    """Return what is wrong with the address or the account; None if it isn't that."""
    if refusal.status < 400:
        return _redirected(refusal, base_url)
    name = f" {refusal.told.name}" if refusal.told.name else ""
    if refusal.status == 403:
        return AccessError(
            f"{base_url} refuses to answer (HTTP 403{name}: {refusal.words}); {_ALLOWED[auth]}"
        )
    if refusal.status not in (404, 405):
        return None
    if refusal.told.text.lower() in _NOWHERE:
        return AccessError(
            f"{base_url} has no chat completions ({said}); check --base-url: it mostly ends in /v1"
        )
    return AccessError(
        f"{base_url} doesn't find what was asked ({said}); check --model, --base-url"
    )


def _redirected(refusal: Refusal, base_url: str) -> AccessError:
    where = refusal.headers.get("location", "elsewhere")
    base = re.sub(r"/chat/completions/?(?=\?|\Z)", "", where)
    return AccessError(f"{base_url} redirects to {where}: give {base} as --base-url")


def _shorter(refusal: Refusal) -> str:
    if _BOUND.search(refusal.told.text.lower()):
        return "lower --max-tokens, or --chunk-tokens N asks part by part"
    return "--chunk-tokens N asks part by part"
