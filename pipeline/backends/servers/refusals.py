"""A server's refusal in words of ours: the SDK's errors become our own here, once."""

from __future__ import annotations

from collections.abc import Mapping

import openai

from pipeline.backends.servers.headers import read_levels, retry_after
from pipeline.errors import (
    AccessError,
    BackendError,
    FatalError,
    LimitError,
    RejectedError,
    TransientError,
)
from pipeline.showing import shown
from pipeline.types import Request

# Codes of https://platform.openai.com/docs/guides/error-codes
_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
OVERLOADED = 529
TOO_LONG = "context_length_exceeded"
_BUSY = {408, 409, 425}
_BLIND = "image input is not supported"  # llama.cpp says it with status 500


def explain(
    error: openai.APIStatusError,
    request: Request,
    base_url: str,
    body: Mapping[str, object],
) -> BackendError:
    """Return the error of ours that a refusal of this request, sent as this body, is."""
    status, said = error.status_code, words(error)
    headers = error.response.headers
    levels = read_levels(headers)
    if error.code in _QUOTA or status == 402:
        return FatalError(
            f"the account has no quota left ({said}); "
            "add credit or raise the limit with the provider"
        )
    wait = retry_after(headers)
    if status == 429:
        return LimitError(f"HTTP 429: {said}", levels=levels, retry_after_seconds=wait)
    if status in _BUSY or (status >= 500 and _BLIND not in said):
        return TransientError(
            f"HTTP {status}: {said}",
            levels=levels,
            retry_after_seconds=wait,
            overloaded=status == OVERLOADED,
        )
    if status < 400:
        where = error.response.headers.get("location", "elsewhere")
        return AccessError(f"{base_url} redirects to {where}: give that as --base-url")
    code = f" {error.code}" if error.code else ""
    if status == 401:
        return AccessError(f"{base_url} refuses the key (HTTP 401: {said}); check OPENAI_API_KEY")
    if status == 403:
        return AccessError(
            f"{base_url} refuses to answer (HTTP 403{code}: {said}); "
            "check what OPENAI_API_KEY is allowed to do"
        )
    if status == 404 and (error.code == "model_not_found" or "model" in said.lower()):
        return AccessError(
            f"{base_url} doesn't know model {request.model!r} (HTTP 404: {said}); "
            "see `pipeline models`, --model and --base-url"
        )
    if status == 404:
        return AccessError(
            f"{base_url} has no chat completions (HTTP 404: {said}); "
            "check --base-url: it mostly ends in /v1"
        )
    if error.param in body and error.param not in ("messages", "model"):
        return AccessError(f"{request.model} refuses `{error.param}` (HTTP {status}: {said})")
    hint = "; --chunk-tokens N asks part by part" if error.code == TOO_LONG else ""
    return RejectedError(f"HTTP {status}{code}: {said}{hint}", levels=levels)


def words(error: openai.APIStatusError) -> str:
    """Return the server's words in one short line."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    text = str(said or error.response.reason_phrase or "no reason given")
    return shown(" ".join(text.split()))[:300]
