"""Patterns of paths: globs, and the lines of an ignore file, which are read as git reads them.

Both come from strangers, so nothing here goes back on its steps: once a `*` has found what follows
it, it stays there, which is right because the first place leaves the most room for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.errors import UsageError

_FOLDERS = "(?:[^/]*+/)*"
_TOKEN = re.compile(
    r"(?P<stars>\*+)|(?P<any>\?)|\\(?P<escaped>.)"
    r"|\[(?P<negated>[!^]?+)(?P<inside>\]?+(?:\[:[a-z]*:\]|\\.|[^]\\])*+)\]|(?P<plain>[^[\\])",
    re.DOTALL,
)
_MEMBER = re.compile(r"\[:(?P<kind>[a-z]*):\]|\\?(?P<low>.)(?:-\\?(?P<high>.))?", re.DOTALL)
_KINDS = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t-\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
# In a glob, a backslash and a bracket that nothing closes are what they are.
_PLAIN_IN_GLOBS = re.compile(r"\\|\[(?![!^]?+\]?+[^]/]*+\])")
_DEEP_NAME = re.compile(r"(^|/)\*\*(?=[^/*])")


def matcher(*globs: str) -> Callable[[str], object]:
    """Make a test of relative paths: `*` and `?` stay in a folder, `**` goes through any number."""
    plain = (_PLAIN_IN_GLOBS.sub(r"\\\g<0>", glob) for glob in globs)
    deep = [_DEEP_NAME.sub(r"\1**/*", glob) for glob in plain]  # `**.txt` is `**/*.txt`
    try:
        return _compile("|".join(map(_translate, deep)))
    except ValueError as error:
        raise UsageError(f"the pattern {' or '.join(globs)} {error}") from error


class _Rule(NamedTuple):
    """A line of an ignore file: which paths it is about, and whether they are left out."""

    fits: Callable[[str], object]
    of_folders: bool
    leaves_out: bool


class Ignore:
    """What lines in the syntax of `.gitignore` leave out.

    Paths are relative to where the lines hold; those of folders end in `/`. Raises UsageError
    naming `origin` for a line that is no pattern.
    """

    def __init__(self, lines: Iterable[str], origin: str) -> None:
        rules = [_rule(line, origin) for line in lines]
        self._latest_first = [rule for rule in reversed(rules) if rule]

    def decide(self, path: str) -> bool | None:
        """Say whether the last line about this path leaves it out; None if there is none."""
        bare = path.removesuffix("/")
        is_folder = bare != path
        for rule in self._latest_first:
            if (is_folder or not rule.of_folders) and rule.fits(bare):
                return rule.leaves_out
        return None

    def covers(self, path: str) -> bool:
        """Return whether a path is left out, by itself or with a folder that it lies in."""
        return any(self.decide(path[:end]) for end in _ends(path))


def _ends(path: str) -> Iterator[int]:
    yield from (place + 1 for place, character in enumerate(path) if character == "/")
    yield len(path)


def _rule(line: str, origin: str) -> _Rule | None:
    pattern = _trimmed(line)
    if not pattern or pattern.startswith("#"):
        return None
    leaves_out = not pattern.startswith("!")
    pattern = pattern if leaves_out else pattern[1:]
    path = pattern.removesuffix("/")
    anchored = path.removeprefix("/") if "/" in path else f"**/{path}"
    try:
        if not path:
            raise ValueError("names nothing")
        fits = _compile(_translate(anchored))
    except ValueError as error:
        raise UsageError(f"{origin}: not a pattern as in .gitignore: {line!r} {error}") from error
    return _Rule(fits, pattern.endswith("/"), leaves_out)


def _trimmed(line: str) -> str:
    """Leave out the spaces at the end, unless a backslash keeps the last of them."""
    bare = line.rstrip(" ")
    kept = (len(bare) - len(bare.rstrip("\\"))) % 2 and bare != line
    return f"{bare} " if kept else bare


def _compile(expression: str) -> Callable[[str], object]:
    return re.compile(expression, re.DOTALL).fullmatch


def _translate(pattern: str) -> str:
    """Write a pattern as a regular expression of a whole path."""
    runs: list[list[str]] = [[]]  # of names, with any number of folders between one and the next
    for name in pattern.split("/"):
        if name == "**":
            runs.append([])
        else:
            runs[-1].append(_name(name))
    first, *others = ("/".join(run) for run in runs)
    if not others:
        return first
    between = "".join(f"(?>{_FOLDERS}?{run}/)" for run in others[:-1] if run)
    last = f"{_FOLDERS}{others[-1]}" if others[-1] else ".+"
    return f"{first}/{between}{last}" if first else between + last


def _name(pattern: str) -> str:
    """Write a pattern of a name. Raises ValueError for an open bracket or a lone backslash."""
    first, *others = _between_stars(pattern)
    if not others:
        return first
    middle = "".join(f"(?>[^/]*?{part})" for part in others[:-1])
    last = rf"(?>[^/]*{others[-1]}(?=/|\Z))" if others[-1] else "[^/]*+"
    return first + middle + last


def _between_stars(pattern: str) -> Sequence[str]:
    parts = [""]
    end = 0
    while end < len(pattern):
        token = _TOKEN.match(pattern, end)
        if token is None:
            raise ValueError(
                "has an open bracket" if pattern[end] == "[" else "ends in a backslash"
            )
        end = token.end()
        if token["stars"]:
            parts.append("")
        else:
            parts[-1] += _character(token)
    return parts


def _character(token: re.Match[str]) -> str:
    if token["any"]:
        return "[^/]"
    if token["inside"] is None:
        return re.escape(token["escaped"] or token["plain"])
    members = "".join(map(_member, _MEMBER.finditer(token["inside"])))
    if token["negated"]:
        return f"[^/{members}]"
    return f"(?!/)[{members}]" if members else "(?!)"


def _member(member: re.Match[str]) -> str:
    """Write what is in brackets: a character, a range, which may be empty, or a kind."""
    kind, low, high = member["kind"], member["low"], member["high"] or member["low"]
    if kind is not None and kind not in _KINDS:
        raise ValueError(f"has an unknown class [:{kind}:]")
    if kind is not None:
        return _KINDS[kind]
    return f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
