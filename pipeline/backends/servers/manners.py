"""How a model wants to be asked, as far as its name and its address tell, and its refusals.

How hard it thinks belongs to the model, whoever serves it; what the longest answer is called, and
what is cached, to the address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from pipeline.backends.apis.base import EFFORTS, Manner
from pipeline.backends.servers.refusals import Refusal
from pipeline.vendors import Vendor, plain_name, vendor_of

# What OpenAI's models take, the first that matches
# (https://platform.openai.com/docs/guides/reasoning). Of those that aren't here it isn't known.
_REASONING = (
    (r"gpt-(6\.1-sol|6-astra)", "low"),
    (r"gpt-(5\.6|6)(?!-(cyber|rosalind))", "none"),
    (r"gpt-5(-mini|-nano)?(-20|$)", "minimal"),
    (r"(o1|o3|o3-mini|o4-mini)(-20|$)", "low"),
)
# Since then a prompt is written to a cache, at 1.25 times its price, unless it is asked not to be
# (https://platform.openai.com/docs/guides/prompt-caching).
_WRITES_CACHE = re.compile(r"gpt-(5\.[6-9]|[6-9])")
_UNCACHED = {"prompt_cache_options": {"mode": "explicit"}}


def find_manner(model: str, base_url: str) -> Manner:
    """Return how a model is asked at first."""
    vendor = vendor_of(base_url)
    # Some gateways stream unless they are told not to.
    defaults: dict[str, object] = {"stream": False}
    if vendor is Vendor.OPENAI and writes_cache(model):
        defaults |= _UNCACHED
    # Other servers mostly know the older name of the bound only.
    bound = "max_tokens" if vendor is Vendor.OTHER else "max_completion_tokens"
    return thinking_least(Manner(bound=bound, defaults=defaults), efforts_of(model))


def writes_cache(model: str) -> bool:
    """Return whether prompts to a model are written to a cache at a price."""
    return _WRITES_CACHE.match(plain_name(model)) is not None


@lru_cache(maxsize=64)
def efforts_of(model: str) -> tuple[str, ...]:
    """Return the efforts that a model takes, the least first; none of one that isn't known."""
    name = plain_name(model)
    found = (least for pattern, least in _REASONING if re.match(pattern, name))
    least = next(found, None)
    return () if least is None else EFFORTS[EFFORTS.index(least) :]


def thinking_least(manner: Manner, efforts: tuple[str, ...]) -> Manner:
    """Return the manner of a model that takes these efforts: it thinks as little as it can."""
    if not efforts:
        return manner
    defaults = {**manner.defaults, "reasoning_effort": efforts[0]}
    return replace(manner, defaults=defaults, efforts=efforts)


def with_other_effort(manner: Manner, refusal: Refusal, sent: object) -> Manner | None:
    """Return a manner without an effort that was refused; None if it isn't about its value."""
    if sent not in EFFORTS:
        return None
    effort, text = str(sent), refusal.told.text.lower()
    taken = tuple(name for name in EFFORTS if name != effort and _quotes(text, name))
    by_code = bool(refusal.told.codes & {"unsupported_value", "invalid_value"})
    if not (taken or by_code or _quotes(text, effort)):
        return None
    efforts = taken or tuple(name for name in manner.efforts or EFFORTS if name != effort)
    if not taken and effort == "none":
        efforts = tuple(name for name in efforts if name != "minimal")  # few models know it
    return replace(manner, efforts=efforts) if efforts else None


def without_thinking(manner: Manner, body: Mapping[str, object], base_url: str) -> Manner | None:
    """Return a manner in which a model may take `temperature` and its like: those that reason do if
    they are told not to. None if that was tried, or nobody knows that such a model answers there.
    """
    tried = "reasoning_effort" in body or "reasoning_effort" in manner.refused
    if tried or vendor_of(base_url) is Vendor.OTHER:
        return None
    return thinking_least(manner, EFFORTS)


def _quotes(text: str, word: str) -> bool:
    return re.search(rf"['\"`]{word}['\"`]", text) is not None
