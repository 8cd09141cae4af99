"""How many tokens a message is and what tokens cost. The only place where money is computed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline import vision
from pipeline.errors import UsageError
from pipeline.types import Message, Record, Usage
from pipeline.vendors import OPENAI_URL, Vendor, is_regional, plain_name, vendor_of

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice
    from splintr import AnyTokenizer

DEFAULT_MODEL = "gpt-6-luna"
# What OpenAI's regional hosts add, for models since 2026-03-05
# (https://developers.openai.com/api/docs/guides/data-residency).
REGIONAL = Decimal("1.10")
_WITHOUT_SURCHARGE = re.compile(r"(ft:)?(gpt-(3|4|5(\.[1-3])?(-|$))|o\d|chatgpt-4)")

# What a chat adds to its texts: 3 tokens a message and 3 to start the reply
# (https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken).
TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3

_MILLION = Decimal(1_000_000)
# Families by the tokenizer they use (https://github.com/openai/tiktoken/blob/main/tiktoken/model.py);
# those of other makers by what their model cards say.
_ENCODINGS = (
    (r"gpt-(3\.5|35|4(?![o.]))", "cl100k_base"),
    (r"(ft:)?(gpt-4o|gpt-4\.|gpt-[5-9]|o[1-9]|chatgpt-|gpt-oss)", "o200k_base"),
    (r"(meta-)?llama-?3", "llama3"),
    (r"deepseek", "deepseek_v3"),
    (r"qwen", "qwen3"),
    (r"mistral|mixtral|ministral", "mistral_v3"),
    (r"gemma", "gemma3"),
    (r"phi-?4", "phi4"),
)


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts tokens offline. `exact` is False where the model's own tokenizer isn't known.

    `image_rule` is how the model sizes and counts images.
    """

    encoding: str
    exact: bool
    image_rule: vision.Rule

    def count(self, text: str) -> int:
        """Count the tokens of a text; nothing in it is read as a special token."""
        tokenizer = _tokenizer(self.encoding)
        try:
            return len(tokenizer.encode_ordinary(text))
        except UnicodeEncodeError:  # half a surrogate pair
            return len(tokenizer.encode_ordinary(text.encode("utf-8", "replace").decode()))

    def count_messages(self, messages: Iterable[Message]) -> int:
        """Estimate the prompt tokens of a chat: the server adds a few that it doesn't publish."""
        tokens = TOKENS_PER_REPLY
        for message in messages:
            fixed = message.role in ("system", "developer")  # mostly the same for all documents
            count = self._count_again if fixed else self.count
            tokens += TOKENS_PER_MESSAGE + count(message.text)
            for image in message.images:
                tokens += self.image_rule.tokens(image)
        return tokens

    @lru_cache(maxsize=16)  # noqa: B019  # a counter is a small value, not a thing that leaks
    def _count_again(self, text: str) -> int:
        return self.count(text)


def counter(model: str) -> Counter:
    """Find the tokenizer of a model, and how it counts images."""
    name = plain_name(model)
    for pattern, encoding in _ENCODINGS:
        if re.match(pattern, name):
            return Counter(encoding, encoding.endswith("_base"), vision.rule(model))
    return Counter("o200k_base", False, vision.rule(model))


@cache
def _tokenizer(encoding: str) -> AnyTokenizer:
    from splintr import Tokenizer

    return Tokenizer.from_pretrained(encoding)


@dataclass(frozen=True, slots=True)
class Rates:
    """USD for a million tokens, from `above` prompt tokens on."""

    input: Decimal
    output: Decimal
    cached: Decimal
    cache_write: Decimal
    above: int = 0

    def saved(self, usage: Usage) -> Decimal:
        """Return how much less a usage costs than with no cache at all."""
        less = (self.input - self.cached) * usage.cached_tokens
        return (less - (self.cache_write - self.input) * usage.cache_write_tokens) / _MILLION

    def cost(self, usage: Usage) -> Decimal:
        """Price a usage; cached tokens are part of the prompt and have a price of their own."""
        plain = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
        return (
            self.input * max(plain, 0)
            + self.cached * usage.cached_tokens
            + self.cache_write * usage.cache_write_tokens
            + self.output * usage.completion_tokens
        ) / _MILLION


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price. `tiers` are in order of `above`; `source` says where it comes from."""

    tiers: tuple[Rates, ...]
    source: str

    def cost_usd(self, usage: Usage) -> Decimal:
        """Price what was used, at the tier of the whole prompt."""
        return self._tier(usage.prompt_tokens).cost(usage)

    def saved_usd(self, usage: Usage) -> Decimal:
        """Return how much less a usage costs than with no cache at all; less than 0 if more."""
        return self._tier(usage.prompt_tokens).saved(usage)

    def ceiling_usd(self, prompt_tokens: int, max_tokens: int) -> Decimal:
        """Price the most that a request can cost: nothing cached, the whole allowance used."""
        rates = self._tier(prompt_tokens)
        dearest = max(rates.input, rates.cache_write)
        return (dearest * prompt_tokens + rates.output * max_tokens) / _MILLION

    def times(self, factor: Decimal, why: str) -> Price:
        """Return a price that is so many times this one; `why` is added to its source."""
        tiers = tuple(
            Rates(
                input=rates.input * factor,
                output=rates.output * factor,
                cached=rates.cached * factor,
                cache_write=rates.cache_write * factor,
                above=rates.above,
            )
            for rates in self.tiers
        )
        return Price(tiers, f"{self.source}, {why}")

    def _tier(self, prompt_tokens: int) -> Rates:
        return next(
            (tier for tier in reversed(self.tiers) if prompt_tokens > tier.above), self.tiers[0]
        )

    def __str__(self) -> str:
        rates = self.tiers[0]
        return f"{rates.input.normalize():f}/{rates.output.normalize():f} USD per million tokens"


FREE = Price((Rates(Decimal(0), Decimal(0), Decimal(0), Decimal(0)),), "free")


def fixed_price(input_usd: Decimal, output_usd: Decimal) -> Price:
    """Make the price that the user gave, in USD per million tokens."""
    return Price((Rates(input_usd, output_usd, input_usd, input_usd),), "--price")


def total_usd(records: Iterable[Record]) -> Decimal | None:
    """Add up what answers cost; None if that of one isn't known."""
    costs = [record.cost_usd for record in records if record.usage is not None]
    return None if None in costs else sum(filter(None, costs), Decimal(0))


def read_price(given: str | Sequence[object] | Price, option: str) -> Price:
    """Read a price: two amounts in USD per million tokens, in and out."""
    if isinstance(given, Price):
        return given
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or len(parts) != 2:
        raise UsageError(
            f"{option} {given}: give two amounts, such as 0.15,0.60 (USD per million tokens, in "
            "and out)"
        )
    return fixed_price(read_amount(parts[0], option), read_amount(parts[1], option))


def read_amount(given: object, option: str) -> Decimal:
    """Read an amount in USD."""
    with suppress(InvalidOperation):
        amount = Decimal(str(given).strip().removeprefix("$"))
        if amount.is_finite() and amount >= 0:
            return amount
    raise UsageError(f"{option} {given}: give an amount in USD, of 0 or more")


@lru_cache(maxsize=256)  # replies name models, and may name others each time
def find_price(model: str, base_url: str, service_tier: str | None = None) -> Price | None:
    """Look up today's published price of a model at a server; None where there is none."""
    if _own_machine(base_url) or (address := _listed_at(base_url)) is None:
        return None
    from genai_prices import data_snapshot
    from genai_prices.types import Usage as LibraryUsage

    context = {"service_tier": service_tier} if service_tier else None
    try:
        found = data_snapshot.get_snapshot().calc(
            LibraryUsage(input_tokens=0), model, None, address, None, context
        )
    except (LookupError, ValueError):
        return None
    price = Price(_tiers(found.model_price), _source())
    if is_regional(base_url) and not _WITHOUT_SURCHARGE.match(model):
        return price.times(REGIONAL, "and 10% for the region")
    return price


@cache
def find_window(model: str, base_url: str) -> int | None:
    """Look up how many tokens a model reads at one price; None where that isn't known.

    Where long prompts cost more, the window ends for us where they do.
    """
    if _own_machine(base_url) or (address := _listed_at(base_url)) is None:
        return None
    from genai_prices import data_snapshot

    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(model, None, None, address)
    except LookupError:
        return None
    price = find_price(model, base_url)
    tiers = [rates.above for rates in price.tiers if rates.above] if price else []
    windows = [found.context_window] if found.context_window else []
    return min([*windows, *tiers], default=None)


def _listed_at(base_url: str) -> str | None:
    """Return the address by which the list of prices knows a server; None if it knows none there.

    The list compares beginnings: api.openai.com.example would be OpenAI, and a path with a dot in
    it a host.
    """
    if vendor_of(base_url) is Vendor.OPENAI:
        return OPENAI_URL
    from genai_prices import data_snapshot

    parts = urlsplit(base_url)
    host = f"https://{parts.hostname or ''}".removesuffix(".")
    address = f"{host}{parts.path.replace('.', '_')}"
    for provider in data_snapshot.get_snapshot().providers:
        if match := re.match(provider.api_pattern, address):
            rest = host[match.end() :]  # https://api.moonshot. has several endings
            known = not rest or (match[0].endswith(".") and rest.isalpha())
            return address if known else None
    return None


def _own_machine(base_url: str) -> bool:
    """Nobody publishes prices and windows of what runs there."""
    return (urlsplit(base_url).hostname or "") in ("127.0.0.1", "localhost", "::1")


def _tiers(price: ModelPrice) -> tuple[Rates, ...]:
    from genai_prices.types import TieredPrices

    parts = (price.input_mtok, price.output_mtok, price.cache_read_mtok, price.cache_write_mtok)
    starts = {tier.start for part in parts if isinstance(part, TieredPrices) for tier in part.tiers}

    def rates(above: int) -> Rates:
        def at(part: object, default: Decimal) -> Decimal:
            if isinstance(part, TieredPrices):
                passed = [tier.price for tier in part.tiers if tier.start <= above]
                return passed[-1] if above and passed else part.base
            return part if isinstance(part, Decimal) else default

        paid = at(price.input_mtok, Decimal(0))
        return Rates(
            input=paid,
            output=at(price.output_mtok, Decimal(0)),
            cached=at(price.cache_read_mtok, paid),
            cache_write=at(price.cache_write_mtok, paid),
            above=above,
        )

    return tuple(rates(above) for above in sorted({0, *starts}))


@cache
def _source() -> str:
    """Name the price library and the day of the newest price in it."""
    from importlib.metadata import version

    from genai_prices import data_snapshot

    models = [model for item in data_snapshot.get_snapshot().providers for model in item.models]
    variants = [variant.constraint for model in models for variant in model.price_variants or []]
    days = [getattr(constraint, "start_date", None) for constraint in variants]
    newest = max(day for day in days if day is not None and day <= date.today())
    return f"genai-prices {version('genai-prices')} of {newest}"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model whose price is published."""

    name: str
    provider: str
    context_window: int | None
    price: Price | None


def known_models(provider: str = "openai") -> list[KnownModel]:
    """List the models of a provider whose token prices are published."""
    from genai_prices import data_snapshot

    found = [item for item in data_snapshot.get_snapshot().providers if item.id == provider]
    return [
        KnownModel(model.id, provider, model.context_window, _listed(model))
        for item in found
        for model in item.models
    ]


def _listed(model: ModelInfo) -> Price | None:
    price = model.get_prices(datetime.now().astimezone())
    if price.input_mtok is None or price.output_mtok is None:
        return None
    return Price(_tiers(price), _source())


def usd(amount: Decimal) -> str:
    """Write an amount so that small ones keep their first digits."""
    if amount == 0:
        return "0 USD"
    digits = 2 if amount >= 1 else max(2, -amount.adjusted() + 1)
    return f"{amount:,.{digits}f} USD"
