"""Tokens counted as the server does, money to the last digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from genai_prices import Usage as LibraryUsage
from genai_prices import calc_price
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.costs import (
    DEFAULT_MODEL,
    FREE,
    Price,
    counter,
    find_price,
    find_window,
    fixed_price,
    known_models,
    read_price,
)
from pipeline.errors import UsageError
from pipeline.types import Message, Usage
from pipeline.vendors import OPENAI_URL

# Models without and with a price for cached input, and with a dearer tier for long prompts.
MODELS = ["gpt-6-luna", "gpt-6.1-sol", "gpt-5.4-pro", "gpt-4o-mini", "gpt-4-turbo", "o3"]
TIERS = [None, "flex", "priority"]
LONG = 272_000


def price_of(model: str, tier: str | None = None) -> Price:
    price = find_price(model, OPENAI_URL, tier)
    assert price is not None
    return price


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt = draw(st.integers(0, 3 * LONG))
    cached = draw(st.integers(0, prompt))
    completion = draw(st.integers(0, 200_000))
    return Usage(
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=completion,
        reasoning_tokens=draw(st.integers(0, completion)),
    )


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("model", MODELS)
@settings(deadline=None, max_examples=25)
@given(usage=usages())
@example(usage=Usage())
@example(usage=Usage(prompt_tokens=1))
@example(usage=Usage(prompt_tokens=LONG, completion_tokens=1000, cached_tokens=7))
@example(usage=Usage(prompt_tokens=LONG + 1, completion_tokens=1000, cached_tokens=7))
@example(usage=Usage(prompt_tokens=LONG + 1, completion_tokens=1, cached_tokens=LONG + 1))
def test_a_cost_is_that_of_the_price_library(model: str, tier: str | None, usage: Usage) -> None:
    theirs = calc_price(
        LibraryUsage(
            input_tokens=usage.prompt_tokens,
            cache_read_tokens=usage.cached_tokens,
            output_tokens=usage.completion_tokens,
        ),
        model,
        provider_id="openai",
        price_context={"service_tier": tier} if tier else None,
    )
    assert price_of(model, tier).cost_usd(usage) == theirs.total_price


def test_what_is_written_to_the_cache_has_its_price() -> None:
    usage = Usage(prompt_tokens=1000, cached_tokens=100, cache_write_tokens=300)
    theirs = calc_price(
        LibraryUsage(input_tokens=1000, cache_read_tokens=100, cache_write_tokens=300),
        "claude-sonnet-4-5",
        provider_id="anthropic",
    )
    price = find_price("claude-sonnet-4-5", "https://api.anthropic.com/v1")
    assert price is not None
    assert price.cost_usd(usage) == theirs.total_price


def test_cached_input_costs_less() -> None:
    price = price_of(DEFAULT_MODEL)
    plain = price.cost_usd(Usage(prompt_tokens=1_000_000))
    # All of a prompt of a million is at the tier of long ones, the cached part too.
    cached = price.cost_usd(Usage(prompt_tokens=1_000_000, cached_tokens=1_000_000))
    assert cached * 10 == plain


def test_reasoning_is_part_of_the_completion() -> None:
    price = price_of(DEFAULT_MODEL)
    with_reasoning = Usage(completion_tokens=10, reasoning_tokens=9)
    assert price.cost_usd(with_reasoning) == price.cost_usd(Usage(completion_tokens=10))


@settings(deadline=None)
@given(items=st.lists(usages(), max_size=20))
def test_costs_are_exact(items: list[Usage]) -> None:
    """A sum of costs is the cost of the sum; no cent is lost on the way."""
    price = fixed_price(Decimal("0.1"), Decimal("0.7"))
    total = sum((price.cost_usd(usage) for usage in items), Decimal(0))
    assert total == price.cost_usd(sum(items, Usage()))


def test_a_cost_is_a_decimal_to_the_last_digit() -> None:
    price = fixed_price(Decimal("0.1"), Decimal("0.5"))
    assert price.cost_usd(Usage(prompt_tokens=1, completion_tokens=1)) == Decimal("0.0000006")


@pytest.mark.parametrize(
    "given", ["0.15,0.60", "$0.15, $0.60", (0.15, 0.6), [Decimal("0.15"), "0.60"]]
)
def test_a_price_is_two_amounts(given: str | tuple[float, float]) -> None:
    assert read_price(given, "--price") == fixed_price(Decimal("0.15"), Decimal("0.60"))


@pytest.mark.parametrize("given", ["1", "1,2,3", "", "a,b", "1,-2", "nan,1", (1,), (1, "inf"), 3])
def test_what_is_no_price_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match=r"^--price .*: give (two amounts|an amount)"):
        read_price(given, "--price")


@pytest.mark.parametrize(("model", "url"), [("no-such-model", OPENAI_URL), ("", OPENAI_URL)])
def test_an_unknown_model_has_no_price(model: str, url: str) -> None:
    assert find_price(model, url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/v1",
        "http://localhost/v1",
        "http://[::1]:80/v1",
        "https://LOCALHOST/v1",
    ],
)
def test_ones_own_machine_has_no_price(url: str) -> None:
    assert find_price("gpt-6-luna", url) is None


def test_a_given_price_is_the_price() -> None:
    price = fixed_price(Decimal("0.15"), Decimal("0.60"))
    assert price.cost_usd(
        Usage(prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=500_000)
    ) == Decimal("0.45")
    assert (str(price), price.source) == ("0.15/0.6 USD per million tokens", "--price")


def test_a_price_says_where_it_comes_from() -> None:
    price = price_of(DEFAULT_MODEL)
    assert str(price) == "0.1/0.5 USD per million tokens"
    name, of = price.source.split(" of ")
    assert name == "genai-prices 0.2.3"
    assert len(of) == len("2026-11-22")


def test_free_is_free() -> None:
    assert FREE.cost_usd(Usage(prompt_tokens=10**9, completion_tokens=10**9)) == 0


@settings(deadline=None)
@given(usage=usages(), model=st.sampled_from(MODELS), more=st.integers(0, 1000))
def test_no_request_costs_more_than_its_ceiling(usage: Usage, model: str, more: int) -> None:
    price = price_of(model)
    ceiling = price.ceiling_usd(usage.prompt_tokens, usage.completion_tokens + more)
    assert price.cost_usd(usage) <= ceiling


def test_a_ceiling_reckons_with_what_the_cache_charges() -> None:
    price = find_price("claude-sonnet-4-5", "https://api.anthropic.com/v1")
    assert price is not None
    usage = Usage(prompt_tokens=1000, cache_write_tokens=1000)
    assert price.ceiling_usd(1000, 0) == price.cost_usd(usage)


def test_the_default_model_is_known_with_its_context() -> None:
    (model,) = [model for model in known_models() if model.name == DEFAULT_MODEL]
    assert (model.provider, model.context_window, model.price) == (
        "openai",
        1_050_000,
        price_of(DEFAULT_MODEL),
    )


# Tokens. The counts are tiktoken's, which needs a network to be asked again.


@pytest.mark.parametrize(
    ("model", "text", "tokens"),
    [
        ("gpt-6-luna", "", 0),
        ("gpt-6-luna", "hello world", 2),
        ("gpt-6-luna", "tiktoken is great!", 6),
        ("gpt-4", "tiktoken is great!", 6),
        ("gpt-4o", "antidisestablishmentarianism", 6),
        ("gpt-4", "antidisestablishmentarianism", 6),
        ("gpt-4o", "2 + 2 = 4", 7),
        ("gpt-4", "2 + 2 = 4", 7),
        ("gpt-4o", "お誕生日おめでとう", 8),
        ("gpt-4", "お誕生日おめでとう", 9),
    ],
)
def test_tokens_are_those_of_the_models_tokenizer(model: str, text: str, tokens: int) -> None:
    counted = counter(model)
    assert counted.exact
    assert counted.count(text) == tokens


@pytest.mark.parametrize("special", ["<|endoftext|>", "<|im_start|>", "<|fim_prefix|>"])
def test_special_tokens_in_a_text_are_text(special: str) -> None:
    assert counter("gpt-6-luna").count(special) > 1


@pytest.mark.parametrize(
    ("model", "encoding", "exact"),
    [
        ("gpt-6-luna", "o200k_base", True),
        ("gpt-4o-mini", "o200k_base", True),
        ("gpt-4.1-nano", "o200k_base", True),
        ("o3", "o200k_base", True),
        ("ft:gpt-4o-mini:me::x", "o200k_base", True),
        ("openai/gpt-4o", "o200k_base", True),
        ("gpt-4", "cl100k_base", True),
        ("gpt-4-turbo", "cl100k_base", True),
        ("gpt-3.5-turbo", "cl100k_base", True),
        ("meta-llama/Llama-3.3-70B", "llama3", False),
        ("Qwen/Qwen3-8B", "qwen3", False),
        ("something-else", "o200k_base", False),
    ],
)
def test_a_model_has_its_tokenizer(model: str, encoding: str, exact: bool) -> None:
    found = counter(model)
    assert (found.encoding, found.exact) == (encoding, exact)


def test_a_chat_adds_three_tokens_a_message_and_three_for_the_reply() -> None:
    messages = [Message("system", "hello world"), Message("user", "hello world")]
    assert counter("gpt-6-luna").count_messages(messages) == 3 + 2 * (3 + 2)


def test_half_of_a_surrogate_pair_can_be_counted() -> None:
    assert counter("gpt-6-luna").count("a\ud800b") > 0


@pytest.mark.parametrize("region", ["eu", "us", "jp", "somewhere-new"])
@pytest.mark.parametrize("model", ["gpt-6-luna", "gpt-6.1-sol", "gpt-5.4"])
def test_a_regional_host_costs_a_tenth_more(region: str, model: str) -> None:
    url = f"https://{region}.api.openai.com/v1"
    there, at_home = find_price(model, url), find_price(model, OPENAI_URL)
    assert there is not None and at_home is not None
    used = Usage(10_000, 1000, 3000, 2000)
    assert there.cost_usd(used) == at_home.cost_usd(used) * Decimal("1.1")
    assert find_window(model, url) == find_window(model, OPENAI_URL)


@pytest.mark.parametrize("model", ["gpt-4.1", "o3", "gpt-5-mini", "gpt-5.2"])
def test_models_before_march_2026_have_no_surcharge(model: str) -> None:
    there = find_price(model, "https://eu.api.openai.com/v1")
    assert there is not None
    assert there == find_price(model, OPENAI_URL)


def test_a_host_that_only_looks_regional_is_not_openai() -> None:
    assert find_price("gpt-6-luna", "https://eu-api.openai.com/v1") is None


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("gpt-6-luna", "https://api.openai.com.evil.test/v1"),
        ("gpt-6-luna", "https://api.openai.com@evil.test/v1"),
        ("gpt-6-luna", "https://evil.test/api.openai.com"),
        ("gpt-6-luna", "https://api.openai.community/v1"),
        ("gpt-6-luna", "https://me.openai.azure.com.evil.test/openai/v1"),
        ("llama-3.3-70b-versatile", "https://api.groq.com.evil.test/openai/v1"),
        ("gemini-2.5-flash", "https://evil.test/x.googleapis.com/v1beta/openai"),
        ("mistral-large-latest", "https://api.mistral.ai.evil.test"),
        ("moonshot-v1-8k", "https://api.moonshot.evil.test/v1"),
    ],
)
def test_a_host_that_only_begins_like_a_providers_has_no_prices(model: str, url: str) -> None:
    assert find_price(model, url) is None
    assert find_window(model, url) is None


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("gpt-6-luna", "https://api.openai.com:443/v1"),
        ("gpt-6-luna", "https://me.openai.azure.com/openai/deployments/x?api-version=1"),
        ("llama-3.3-70b-versatile", "https://api.groq.com/openai/v1"),
        ("gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta/openai"),
        ("mistral-large-latest", "https://api.mistral.ai./v1"),
        ("moonshot-v1-8k", "https://api.moonshot.cn/v1"),
        ("openai/gpt-5", "https://openrouter.ai/api/v1"),
    ],
)
def test_a_providers_host_has_its_prices(model: str, url: str) -> None:
    assert find_price(model, url) is not None
