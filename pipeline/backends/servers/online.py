"""The OpenAI API, or any server that speaks its chat completions, through the SDK.

All that is foreign ends here: the SDK's errors become ours, once, and a reply becomes a Response
only when it is one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import openai
import orjson

from pipeline.backends.apis.messages import messages, names, shown
from pipeline.backends.apis.replies import Asked, read_response
from pipeline.backends.base import Backend
from pipeline.backends.servers.formats import Formats, Rung
from pipeline.backends.servers.headers import read_levels, retry_after
from pipeline.backends.servers.transport import Transport
from pipeline.costs import OPENAI_URL, Counter, Price, find_price
from pipeline.errors import (
    AccessError,
    BackendError,
    DocumentError,
    FatalError,
    LimitError,
    PackedError,
    RejectedError,
    TransientError,
    UnsentError,
)
from pipeline.limits.gate import Gate
from pipeline.sources.files import images
from pipeline.types import Request, Response, Usage

# Codes of https://platform.openai.com/docs/guides/error-codes
_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
OVERLOADED = 529
NO_LOGPROBS = (
    "gives no log-probabilities: confidence stays empty; "
    "--votes 5 asks five times and takes the share that agrees"
)
IMAGE_TOKENS = 20_000  # no rule counts more for one
FEW_LOGPROBS = 5  # what servers tell that don't tell 20
TOO_LONG = "context_length_exceeded"
_BUSY = {408, 409, 425}
_BLIND = "image input is not supported"  # llama.cpp says it with status 500
# What only steers how an answer is made. A model that doesn't take it is asked without.
_OPTIONAL = {
    "reasoning_effort",
    "temperature",
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
}


class Online(Backend):
    """A server that is reached by HTTP."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        api_key: str,
        gate: Gate,
        counter: Counter,
        price: Price | None,
        hedge: bool = True,
        window_tokens: int | None = None,
        server: str | None = None,
    ) -> None:
        super().__init__(
            gate=gate, counter=counter, price=price, hedge=hedge, window_tokens=window_tokens
        )
        self.model = model
        self.base_url = base_url.rstrip("/")
        self.server = server or self.base_url
        self._api_key = api_key
        self._transport = Transport(self.base_url, api_key)
        official = self.base_url == OPENAI_URL
        # Other servers mostly know the older name only.
        self._bound = "max_completion_tokens" if official else "max_tokens"
        # gpt-6 models reason unless told not to, and refuse `temperature` while they do.
        self._defaults: dict[str, object] = (
            {"reasoning_effort": "none"} if official and model.startswith("gpt-6") else {}
        )
        self._refused: set[str] = set()
        self._lowered: dict[str, object] = {}
        self._formats = Formats(model, self.notices)

    async def open(self) -> None:
        await self._transport.open()

    async def close(self) -> None:
        await self._transport.close()

    def body(self, request: Request) -> Mapping[str, object]:
        """Give the body; a file's image stands in it by its name."""
        return self._body(request, names(request), self._formats.rung)

    def _body(self, request: Request, urls: Sequence[str], rung: Rung) -> dict[str, object]:
        parameters = {**self._defaults, **request.parameters}
        parameters |= {name: at for name, at in self._lowered.items() if name in parameters}
        body: dict[str, object] = {
            "model": request.model,
            "messages": messages(request, urls),
            **{name: value for name, value in parameters.items() if name not in self._refused},
        }
        if request.max_tokens is not None:
            body[self._bound] = request.max_tokens
        if request.response_format is not None:
            self._formats.write(body, request.response_format, rung)
        return body

    async def complete(self, request: Request, timeout_seconds: float) -> Response:
        urls = await self._urls(request)
        rung = self._formats.rung
        refusal: openai.APIStatusError | None = None
        while True:
            body = self._body(request, names(request), rung)
            sent = _encode(self._body(request, urls, rung) if urls else body)
            asked = _asked(request, body, len(sent))
            try:
                reply = await self._transport.post(sent, timeout_seconds, asked.most_bytes)
            except PackedError as error:
                if error.unasked and not self.gate.circuit.answers:  # it packs all of them so
                    raise AccessError(f"{self.base_url}: {error}") from error
                raise
            except openai.APIStatusError as error:
                # Others in flight may have found out the same; the body then differs by now.
                if error.status_code == 400 and (
                    self._adapt(error, body) or self._body(request, names(request), rung) != body
                ):
                    continue
                lower = self._formats.after(rung, error) if request.response_format else None
                if lower is None:
                    if refusal is not None and error.status_code in (400, 422):
                        raise self._mapped(refusal, request) from error  # it wasn't the format
                    raise self._mapped(error, request) from error
                rung, refusal = lower, refusal or error
                continue
            if refusal is not None:
                self._formats.learn(rung, refusal)
            levels = read_levels(reply.headers)
            response = read_response(reply.content, levels, asked=asked, note=self._notice)
            if body.get("logprobs") and not response.tokens and response.content:
                self._miss_logprobs()
            return self._formatted(response, request, rung)

    def _miss_logprobs(self) -> None:
        self._notice(NO_LOGPROBS)

    def _notice(self, text: str) -> None:
        notice = f"{self.model} {text}"
        if notice not in self.notices:
            self.notices.append(notice)

    def _formatted(self, response: Response, request: Request, rung: Rung) -> Response:
        """Take the answer as it was asked for."""
        if request.response_format is None or response.refusal:
            return response
        if response.finish_reason in ("length", "content_filter"):
            return response
        content = self._formats.read(response.content, request.response_format, rung)
        return response if content is response.content else replace(response, content=content)

    async def _urls(self, request: Request) -> list[str]:
        """Read the request's images, in a thread. Raises UnsentError where one can't be."""
        found = shown(request)
        if not found:
            return []
        try:
            return await asyncio.to_thread(images.encode, found, self.counter.image_rule)
        except DocumentError as error:
            raise UnsentError(str(error)) from error

    def _adapt(self, error: openai.APIStatusError, body: Mapping[str, object]) -> bool:
        """Learn from a refusal how this model wants to be asked; False if it was none."""
        said = f"{error.param} {self._message(error)}"
        if "top_logprobs" in said and body.get("top_logprobs", FEW_LOGPROBS) != FEW_LOGPROBS:
            self._lowered["top_logprobs"] = FEW_LOGPROBS
            return True
        if "logprobs" in body and "logprobs" in said:
            self._refused |= {"logprobs", "top_logprobs"}
            self._miss_logprobs()
            return True
        if error.code not in ("unsupported_parameter", "unsupported_value", "unknown_parameter"):
            return False
        name = error.param or ""
        if name == self._bound and name in body:
            others = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
            if "bound" in self._refused:
                return False
            self._refused.add("bound")
            self._bound = others[name]
            return True
        if name not in _OPTIONAL or name in self._refused or name not in body:
            return False
        self._refused.add(name)
        if name not in self._defaults:
            self.notices.append(f"{body['model']} does not take `{name}`: it is asked without")
        return True

    def cost_usd(self, usage: Usage, service_tier: str | None = None) -> Decimal | None:
        """Price a usage at the tier that the server says it used."""
        ordinary = service_tier in (None, "default", "auto")
        if self.price is None or ordinary or self.price.source == "--price":
            return super().cost_usd(usage)
        price = find_price(self.model, self.base_url, service_tier) or self.price
        return price.cost_usd(usage)

    def _mapped(self, error: openai.APIStatusError, request: Request) -> BackendError:
        status, said = error.status_code, self._message(error)
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
            return AccessError(f"{self.base_url} redirects to {where}: give that as --base-url")
        code = f" {error.code}" if error.code else ""
        if status == 401:
            return AccessError(
                f"{self.base_url} refuses the key (HTTP 401: {said}); check OPENAI_API_KEY"
            )
        if status == 403:
            return AccessError(
                f"{self.base_url} refuses to answer (HTTP 403{code}: {said}); "
                "check what OPENAI_API_KEY is allowed to do"
            )
        if status == 404 and (error.code == "model_not_found" or "model" in said.lower()):
            return AccessError(
                f"{self.base_url} doesn't know model {request.model!r} (HTTP 404: {said}); "
                "see `pipeline models`, --model and --base-url"
            )
        if status == 404:
            return AccessError(
                f"{self.base_url} has no chat completions (HTTP 404: {said}); "
                "check --base-url: it mostly ends in /v1"
            )
        if error.param in self.body(request) and error.param not in ("messages", "model"):
            return AccessError(f"{request.model} refuses `{error.param}` (HTTP {status}: {said})")
        hint = "; --chunk-tokens N asks part by part" if error.code == TOO_LONG else ""
        return RejectedError(f"HTTP {status}{code}: {said}{hint}", levels=levels)

    def _message(self, error: openai.APIStatusError) -> str:
        """Give the server's words in one short line, without the key that some of them repeat."""
        body = error.body
        said = body.get("message") if isinstance(body, dict) else None
        text = str(said or error.response.reason_phrase or "no reason given")
        text = re.sub(r"\bsk-[\w*.-]*\w", "sk-...", text).replace(self._api_key, "...")
        return " ".join(text.split())[:300]


def _asked(request: Request, body: Mapping[str, object], sent_bytes: int) -> Asked:
    """Say what a reply can be judged by: a token of the prompt has a byte at least."""
    alternatives = body.get("top_logprobs", 0) if body.get("logprobs") else None
    return Asked(
        prompt_tokens=sent_bytes + IMAGE_TOKENS * len(shown(request)),
        max_tokens=request.max_tokens,
        alternatives=alternatives if isinstance(alternatives, int) else None,
    )


def _encode(body: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise UnsentError(f"the request can't be written as JSON: {error}") from error
