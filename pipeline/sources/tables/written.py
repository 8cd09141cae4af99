"""Tables that a run has written: how one is told by its columns, and what is no formula in it.

Spreadsheets run a text of a CSV file that begins like a formula. So a run puts an apostrophe before
such texts of others, and takes it for no part of them where it reads one of its own tables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

REVIEWED, FINAL = "reviewed_", "final_"  # columns of what a person has said

# What OWASP names, and the wide and small forms that a spreadsheet takes for the same; before them
# may be what it leaves out: spaces, control characters, and what has no width.
_FORMULA = re.compile(
    r"[\t\n\r]|[\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]*"
    r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class Guarded(str):
    """A text that has an apostrophe before it in its file. Written to CSV, it has it again."""

    __slots__ = ()


def guard(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula."""
    if text[:1].isalnum() or not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def unguard(text: str) -> str:
    """Take the apostrophe of `guard` away: what stands after it is Guarded."""
    if text[:1] == "'" and guard(text[1:]) == text:
        return Guarded(text[1:])
    return text


def is_written(names: Sequence[str]) -> bool:
    """Return whether a table with these columns is an output, or holds the corrections of one."""
    return find_prefix(names) is not None or any(name.startswith(REVIEWED) for name in names)


def find_prefix(names: Sequence[str]) -> str | None:
    """Find what a run put before the names of its columns; None where no run wrote them."""
    ends = [name.removesuffix("status") for name in names if name.endswith("status")]
    known = set(names)
    written = [start for start in ends if f"{start}cost_usd" in known]
    return written[-1] if written else None
