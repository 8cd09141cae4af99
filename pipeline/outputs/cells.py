"""A cell as text and as JSON, the same in every format."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal

import orjson

from pipeline.sources.decoding import clean
from pipeline.sources.tables.jsonl import Number
from pipeline.sources.tables.values import Duration, Scaled

Rows = Iterable[Mapping[str, object]]

_LEAST, _MOST = -(2**63), 2**64 - 1  # the integers orjson takes: int64 and uint64


def to_text(value: object) -> str:
    """Write a cell as text; None is the empty text, nested values are JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return str(value) if isinstance(value, Scaled) else _fixed(value)
    if isinstance(value, timedelta):
        return str(Duration.of(value))
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, (dict, list, tuple)):
        return to_json(value).decode()
    return str(value)


def to_json(value: object) -> bytes:
    """Write a cell or a row as compact JSON in UTF-8, its integers and decimals in full."""
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:
        return orjson.dumps(_exact(value), default=_plain)


def _fixed(number: Decimal) -> str:
    text = format(number, "f")  # not normalize(): it rounds to 28 digits
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _plain(value: object) -> object:
    if isinstance(value, Number):
        return orjson.Fragment(str(value))
    if not isinstance(value, Decimal):
        return to_text(value)
    return orjson.Fragment(to_text(value)) if value.is_finite() else None


def _exact(value: object) -> object:
    """Rebuild what orjson refuses: long integers, lone surrogates, deep nesting, odd keys.

    Each level becomes a fragment of its own, since orjson stops at 254 levels.
    """
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        pairs = {clean(to_text(key)): item for key, item in value.items()}
        return _fragment(dict(zip(pairs, map(_exact, pairs.values()), strict=True)))
    if isinstance(value, (list, tuple)):
        return _fragment(list(map(_exact, value)))
    # NOTE: not `in range(...)`, which walks through the range for a Padded number.
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return orjson.Fragment(str(value))
    if isinstance(value, (date, time)):
        return value.isoformat()  # orjson takes no time zone of its own making
    return value


def _fragment(value: object) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value, default=_plain))
