"""A server that is reached by HTTP: the OpenAI API, or any other that speaks it, through the SDK.

What its refusals tell of how it wants to be asked is learned once for all of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import orjson

from pipeline.access import Auth
from pipeline.backends.apis.base import Api, Asked, Manner, Rung
from pipeline.backends.apis.chat import Chat
from pipeline.backends.apis.complaints import ErrorReplyError, is_foreign, read_complaint
from pipeline.backends.apis.ends import End, end_of
from pipeline.backends.apis.messages import names
from pipeline.backends.apis.replies import THOUGHTS_ONLY
from pipeline.backends.apis.thoughts import spoken
from pipeline.backends.base import Server
from pipeline.backends.servers.caching import LEAST_TOKENS, Caching, is_explicit
from pipeline.backends.servers.entra import Entra
from pipeline.backends.servers.formats import Formats
from pipeline.backends.servers.learning import NO_LOGPROBS, Learner
from pipeline.backends.servers.levels import read_levels
from pipeline.backends.servers.manners import (
    find_manner,
    writes_cache,
)
from pipeline.backends.servers.pictures import Pictures
from pipeline.backends.servers.refusals import (
    Refusal,
    Subject,
    explain,
    refusal_inside,
    refusal_of,
)
from pipeline.backends.servers.schema_limits import check_limits
from pipeline.backends.servers.transport import Reply, Transport
from pipeline.backends.servers.truncation import ADVICE, Truncation
from pipeline.costs import TOKENS_PER_REPLY, Counter, Price, find_price
from pipeline.errors import AccessError, PackedError, TransientError, UnsentError
from pipeline.prompting.strictness import strictly
from pipeline.showing import keep
from pipeline.types import Request, Response, Usage
from pipeline.vendors import Vendor, vendor_of, without_version

IMAGE_TOKENS = 20_000  # no rule counts more for one
MOST_DENIED = 5  # of one row after the other, and no answer: then it isn't about what they ask
MOST_FOREIGN = 5


class Online(Server):
    """A server that is reached by HTTP, and speaks an `api`.

    `name` is what a key calls it, if that isn't its address.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        api_key: str,
        counter: Counter,
        price: Price | None,
        window_tokens: int | None = None,
        name: str | None = None,
        api: Api | None = None,
        manner: Manner | None = None,
        account: bool = True,
        entra: Entra | None = None,
    ) -> None:
        super().__init__(counter=counter, price=price, window_tokens=window_tokens)
        self.model = model
        self.base_url = base_url.rstrip("/")
        self.name = name or self.base_url
        self.api = api or Chat()
        keep(api_key)
        self._auth = Auth.KEY if entra is None else Auth.ENTRA
        self._transport = Transport(
            self.base_url, api_key, self.api.path, account=account, entra=entra
        )
        self._pictures = Pictures(counter.image_rule)
        manner = manner or find_manner(model, self.base_url)
        self._learner = Learner(manner, self.base_url, self._notice)
        self._formats = Formats(model, self.notices)
        self._caching = Caching()
        self._prefix_tokens: dict[str, int] = {}
        self._answers = 0
        self._denied = 0  # since the last answer
        self._foreign = 0
        self._truncation = Truncation()

    @property
    def identity(self) -> str:
        return f"{self.api.name} {without_version(self.name)}"

    async def open(self) -> None:
        await self._transport.open()

    async def close(self) -> None:
        self._pictures.close()
        await self._transport.close()

    def body(self, request: Request) -> Mapping[str, object]:
        """Return the body; a file's image stands in it by its name."""
        marks = request.prefix is not None and self._keeps(request)
        return self._body(request, names(request), self._formats.rung, marks=marks)

    def _body(
        self, request: Request, urls: Sequence[str], rung: Rung, *, marks: bool = False
    ) -> dict[str, object]:
        manner = self._learner.asked_by(rung)
        if marks and not self._caching.off:
            manner = replace(manner, marks=True)
        return self.api.body(request, urls, manner)

    async def complete(self, request: Request, timeout_seconds: float) -> Response:
        if request.prefix is None or not self._keeps(request):
            return await self._complete(request, timeout_seconds)
        with self._caching.marking(request.prefix.key) as mark:
            response = await self._complete(request, timeout_seconds, marks=mark.on)
            mark.usage = response.usage
        return response

    async def _complete(
        self, request: Request, timeout_seconds: float, *, marks: bool = False
    ) -> Response:
        urls = await self._pictures.urls(request.images) if (shown := names(request)) else ()
        rung = self._formats.rung
        first: Refusal | None = None
        while True:
            body = self._body(request, shown, rung, marks=marks)
            sent = _encode(self._body(request, urls, rung, marks=marks) if urls else body)
            # A token of the prompt has a byte at least.
            asked = _asked(request, body, len(sent) + IMAGE_TOKENS * len(shown))
            answer = await self._ask(sent, asked, timeout_seconds)
            if isinstance(answer, Response):
                if first is not None:
                    self._formats.learn(rung, first)
                return self._taken(answer, request, body, rung)
            if answer.subject is Subject.SHAPE and request.schema is not None:
                return _misshapen(answer, self.model)
            if answer.of_the_body:
                refused = marks and not self._caching.off and self._caching.refused(answer.words)
                if refused or self._learner.learn(answer, body):
                    continue
            # Others in flight may have found out the same; the body then differs by now.
            if self._body(request, shown, rung, marks=marks) != body:
                continue
            lower = self._formats.after(rung, answer) if request.schema is not None else None
            if lower is None:
                if first is not None and answer.status in (400, 422):
                    answer = first  # it wasn't the format
                self._denied += answer.status == 403 and answer.subject is Subject.REST
                fatal = not self._answers or self._denied >= MOST_DENIED
                raise explain(answer, request, self.base_url, body, fatal=fatal, auth=self._auth)
            rung, first = lower, first or answer

    async def _ask(self, sent: bytes, asked: Asked, timeout_seconds: float) -> Response | Refusal:
        try:
            reply = await self._transport.post(sent, timeout_seconds, asked.most_bytes)
        except PackedError as error:
            if error.unasked and not self._answers:  # it packs all of them so
                raise AccessError(f"{self.base_url}: {error}") from error
            raise
        if reply.status >= 300:
            return refusal_of(reply)
        levels = read_levels(reply.headers)
        try:
            response = self.api.read(reply.content, levels, asked=asked, note=self._notice)
        except ErrorReplyError as error:
            return refusal_inside(error.told, reply, error.usage)
        except TransientError:
            if is_foreign(reply.content) and not self._answers:
                self._count_foreign(reply)
            raise
        self._answers += 1
        self._denied = 0
        return response

    def _count_foreign(self, reply: Reply) -> None:
        """Raise AccessError if nothing else has come: no waiting mends that."""
        self._foreign += 1
        if self._foreign >= MOST_FOREIGN:
            said = read_complaint(reply.content).text[:100]
            raise AccessError(
                f"{self.base_url} answers, but not as an API ('{said}'): check --base-url, and "
                "whether a proxy or a portal wants you to log in first"
            )

    def _taken(
        self, response: Response, request: Request, body: Mapping[str, object], rung: Rung
    ) -> Response:
        """Take an answer for what was asked, and learn from it how the server answers."""
        self._learner.meet(response.model)
        if body.get("logprobs") and not response.tokens and response.content:
            self._notice(NO_LOGPROBS)
        self._save(response)
        problem = self._truncation.problem(
            request, response.usage, lambda: self.count_tokens(request)
        )
        if problem is not None:
            return replace(response, problem=problem, advice=ADVICE)
        if response.content:
            response = _without_thoughts(response, request)
            if "stop" in self._learner.manner.refused:
                response = _stopped(response, request.parameters.get("stop"))
        if request.schema is None or not _is_whole(response):
            return response
        content, values = self._formats.read(response.content or "", request.schema, rung)
        return replace(response, content=content, values=values)

    def _save(self, response: Response) -> None:
        """Add up what the server's cache has saved, or cost where nobody reads it."""
        usage = response.usage
        if usage is None or not (usage.cached_tokens or usage.cache_write_tokens):
            return
        price = self._price_of(response.service_tier, response.model)
        if price is not None:
            self.saved_usd += price.saved_usd(usage)

    def _notice(self, text: str) -> None:
        notice = f"{self.model} {text}"
        if notice not in self.notices:
            self.notices.append(notice)

    def cost_usd(
        self, usage: Usage, service_tier: str | None = None, model: str = ""
    ) -> Decimal | None:
        price = self._price_of(service_tier, model)
        return None if price is None else price.cost_usd(usage)

    def _price_of(self, service_tier: str | None, model: str) -> Price | None:
        """Return the price of the tier that the server says it used.

        By the model that the reply names if a name of the user's own was asked for: that of a
        deployment of Azure, or of what a gateway chooses from.
        """
        if self.price is not None and self.price.source == "--price":
            return self.price
        tier = None if service_tier in ("default", "auto") else service_tier
        named = model if self.price is None or vendor_of(self.base_url) is Vendor.AZURE else ""
        price = named and find_price(named, self.base_url, tier)
        if not price and self.price is not None and tier is not None:
            price = find_price(self.model, self.base_url, tier)
        return price or self.price

    def _keeps(self, request: Request) -> bool:
        """Return whether the server keeps what this request shares with others, if it is marked."""
        if request.prefix is None or request.prefix.key not in self.shared:
            return False
        return self.shared_tokens(request) > 0

    def shared_tokens(self, request: Request) -> int:
        prefix = request.prefix
        if prefix is None or not is_explicit(self._learner.manner.taken(request.parameters)):
            return 0
        tokens = self._prefix_tokens.get(prefix.key)
        if tokens is None:
            tokens = self.counter.count_messages(prefix.messages) - TOKENS_PER_REPLY
            kept = tokens + self._schema_tokens(request.schema) >= LEAST_TOKENS
            tokens = self._prefix_tokens[prefix.key] = tokens if kept else 0
        return tokens

    def written_tokens(self, request: Request, most_tokens: int, *, begins: bool) -> int:
        if not is_explicit(self._learner.manner.taken(request.parameters)):
            return most_tokens if writes_cache(self.model) else 0
        shared = self.shared_tokens(request) if begins else 0
        return shared + self._schema_tokens(request.schema) if shared else 0

    def check(self, parameters: Mapping[str, object], schema: Mapping[str, object] | None) -> None:
        if schema is not None and vendor_of(self.base_url) is not Vendor.OTHER:
            check_limits(strictly(schema), self.base_url)
        taken = self._learner.manner.taken(parameters)
        for name in parameters.keys() - taken.keys():
            if name == "logprobs":
                self._notice(NO_LOGPROBS)
            elif name != "top_logprobs":
                self._notice(f"does not take `{name}`: it is asked without")

    def thinking_tokens(self, parameters: Mapping[str, object]) -> int:
        return self._learner.manner.thinking_tokens(parameters)


def _misshapen(refusal: Refusal, model: str) -> Response:
    """Take what the server couldn't make fit for an answer that doesn't fit."""
    return Response(
        content=refusal.told.generated or "",
        finish_reason=None,
        model=model,
        usage=refusal.usage or Usage(),
        problem=f"the server couldn't make the answer fit ({refusal.words})",
        levels=read_levels(refusal.headers),
    )


def _without_thoughts(response: Response, request: Request) -> Response:
    content = spoken(response.content or "", (message.text for message in request.messages))
    if content == response.content:
        return response
    thoughts = not content and end_of(response.finish_reason) is End.CUT
    problem = THOUGHTS_ONLY if thoughts else response.problem
    return replace(response, content=content, problem=problem)


def _is_whole(response: Response) -> bool:
    if response.refusal or response.problem or not (response.content or "").strip():
        return False
    return end_of(response.finish_reason) is End.WHOLE


def _stopped(response: Response, stop: object) -> Response:
    """Cut an answer where the server would have stopped, if it took `stop`."""
    words = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else ()
    content = response.content or ""
    places = [content.find(word) for word in words if word and word in content]
    if not places:
        return response
    return replace(response, content=content[: min(places)], finish_reason="stop")


def _asked(request: Request, body: Mapping[str, object], prompt_tokens: int) -> Asked:
    """Return what a reply can be judged by."""
    alternatives = body.get("top_logprobs", 0) if body.get("logprobs") else None
    return Asked(
        prompt_tokens=prompt_tokens,
        max_tokens=request.max_tokens,
        alternatives=alternatives if isinstance(alternatives, int) else None,
    )


def _encode(body: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise UnsentError(f"the request can't be written as JSON: {error}") from error
