"""How sure an answer is: from the probabilities of its tokens, or from several answers."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.prompting.schema import plain
from pipeline.prompting.strictness import Schema
from pipeline.types import Token

_ROUNDING = 0.01  # a certain token may be as much over 0 as a log-probability


def choice(schema: Schema, only: str | None) -> tuple[str, list[str]] | None:
    """Find the output that is a choice, `only` this one or the first, and its values; None where
    there is none.
    """
    for name, part in schema["properties"].items():
        if only not in (None, name):
            continue
        values = [value for value in plain(part, schema).get("enum", ()) if isinstance(value, str)]
        if values:
            return name, values
    return None


def of_tokens(
    tokens: Sequence[Token], name: str, values: Sequence[str], chosen: str
) -> float | None:
    """Give the probability of the chosen value among all the values, 0 to 1.

    At each token of the value, of all that leads on to one of the values, the share is taken that
    leads to the chosen one, and to no other than the token that came: the model's distribution,
    renormalized over the values. None where the tokens aren't those of the value.
    """
    text = b"".join(token.text for token in tokens)
    found = [*re.finditer(rb"%b\s*:\s*\"" % re.escape(_json(name)), text)]
    if found:  # drafts in thoughts come before the answer
        start = found[-1].end()
        ends = {value: _folded(text[:start] + _json(value)[1:]) for value in values}
    elif _folded(text.strip()) == _folded(chosen.encode("utf-8", "surrogatepass")):
        start = len(text) - len(text.lstrip())  # the label alone, which was made JSON since
        ends = {value: _folded(text[:start] + _json(value)[1:-1]) for value in values}
    else:
        return None
    probability, place = 1.0, 0
    for token in tokens:
        before, place = text[:place], place + len(token.text)
        if place <= start:
            continue
        live = _live(before, ends)
        if chosen not in live:
            return None
        if len(live) == 1:  # it is decided, however the rest is spelled
            break
        taken = _live(before + token.text, ends)
        own = total = 0.0
        for other, logprob in {**token.others, token.text: token.logprob}.items():
            leads = _live(before + other, ends)
            total += _share(logprob) if leads else 0.0
            own += _share(logprob) if chosen in leads and leads <= taken else 0.0
        if chosen not in taken or not total > 0:
            return None
        probability *= own / total
    return _rounded(probability)


def _share(logprob: float) -> float:
    """Give a probability. -9999, which stands for one too small to be told, is none; what can't be
    one (NaN, or more than 1) is not a number.
    """
    return math.exp(logprob) if logprob <= _ROUNDING else math.nan


def _rounded(share: float) -> float:
    """Round to four digits of what is missing to 1: that tells the surest answers apart, too.

    Done once, here, so that a threshold is compared with the number that is written.
    """
    missing = 1 - share
    return round(share, 3 - math.floor(math.log10(missing))) if missing > 0 else 1.0


def _live(text: bytes, ends: Mapping[str, bytes]) -> set[str]:
    """Find the values that are still possible after a text, whatever its case."""
    said = _folded(text)
    return {value for value, end in ends.items() if end.startswith(said) or said.startswith(end)}


def _folded(text: bytes) -> bytes:
    """Give a text that ends anywhere in small letters."""
    return text.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")


def _json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")


def majority(
    contents: Sequence[str], name: str | None, *, asked: int | None = None
) -> tuple[str, float]:
    """Give the answer whose choice, the output of this name, came most often, the first of those,
    and its share of all that were `asked` for, 0 to 1. Without a name the answers are compared as a
    whole.
    """
    alike = [_said(content, name) for content in contents]
    ((most, count),) = Counter(alike).most_common(1)
    return contents[alike.index(most)], _rounded(count / (asked or len(contents)))


def _said(content: str, name: str | None) -> str:
    """Write what is compared, the same for all answers that say the same."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # words
        return content
    if name is not None:
        value = value.get(name)
    return json.dumps(_sorted(value), sort_keys=True)


def _sorted(value: object) -> object:
    """Take lists for sets: two labels are the same two in any order."""
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    return sorted(map(json.dumps, value)) if isinstance(value, list) else value
