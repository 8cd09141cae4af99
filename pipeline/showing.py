"""What may be shown, to a person or in a file: no secret, and no character that a terminal obeys.

All that came from outside passes here: replies where they come in, errors where they are made, and
whatever is printed. Cells of the input are written as they were read.
"""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

MARK = "***"  # in place of a secret
LEAST_CHARACTERS = 6  # what is shorter is no secret: it is in any text by chance
_MOST_CHARACTERS = 4000  # of a line
_TOKEN_CHARACTERS = 16  # from here on a name or a value of an address may be a secret by itself
# What servers that want no key are given.
_PLACEHOLDERS = {"ollama", "lm-studio", "not-needed", "no-key-required", "sk-no-key-required"}

# Repetitions are bounded: nobody can send a text that takes long.
_PORT = r"(?!\d{1,5}(?:[/?#\s'\"]|$))"
_LOGIN = re.compile(rf"://([^\s/@:'\"]{{0,200}}):{_PORT}([^\s'\"]{{0,500}})@")
_USER = re.compile(r"\b(https?|socks\w{0,2})://([^\s/@?#'\"]{1,500})@", re.I)
_QUERY = re.compile(r"\b(https?://[^\s?#'\"]{1,2000})\?[^\s'\"]+", re.I)
_SIGNING = re.compile(r"(sig|signature|token|credential|key|secret|password)$", re.I)
_OPENING = re.compile(rf"auth|cookie|{_SIGNING.pattern}", re.I)  # of a header
# Keys that are not ours, and ours as providers abbreviate it: sk-abc***xyz.
_MIXED = r"(?=[\w-]{0,200}\d)(?=[\w-]{0,200}[A-Z])(?=[\w-]{0,200}[a-z])"
_KEY = re.compile(rf"\bsk-(?:[\w.-]{{0,100}}\*[\w.*-]{{0,200}}(?<=[\w*])|{_MIXED}[\w-]{{20,200}})")
# Control characters, separators of lines, what turns the direction of writing, halves of pairs.
_OBEYED = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


class Secrets:
    """Texts that must not be seen, however they are spelled: as they are, in JSON, in a URL."""

    def __init__(self) -> None:
        self._texts: tuple[str, ...] = ()
        self._pattern = re.compile(r"(?!)")
        self._signs: tuple[re.Pattern[str], ...] = ()

    def add(self, secret: str) -> None:
        """Keep this secret from now on."""
        secret = secret.strip()
        known = secret in self._texts or secret.lower() in _PLACEHOLDERS
        if known or len(secret) < LEAST_CHARACTERS:
            return
        self._texts = tuple(sorted((*self._texts, secret), key=len, reverse=True))
        self._pattern = re.compile("|".join("".join(map(_spelling, each)) for each in self._texts))
        self._signs = _signs("".join(self._texts))

    def add_address(self, address: str) -> None:
        """Keep the passwords, tokens and signatures of an address."""
        for secret in _secrets_of(address):
            self.add(secret)
            self.add(unquote(secret))

    def add_header(self, name: str, value: str) -> None:
        """Keep what a header of a request lets in by: a key, a token, a cookie."""
        if _OPENING.search(name):
            self.add(value.rpartition(" ")[2])

    def hide(self, text: str) -> str:
        """Leave the secrets out of a text."""
        while self._may_be_in(text):
            rest = self._pattern.sub(MARK, text)
            if rest == text:
                break
            text = rest
        return text

    def hide_all(self, data: Any) -> Any:
        """Leave the secrets out of all texts in lists and dicts."""
        if isinstance(data, str):
            return self.hide(data)
        if isinstance(data, (list, tuple)):
            return [self.hide_all(item) for item in data]
        if isinstance(data, dict):
            return {self.hide_all(name): self.hide_all(value) for name, value in data.items()}
        return data

    def _may_be_in(self, text: str) -> bool:
        """Look quickly: nearly no text has a secret in it, or a letter of one that is escaped."""
        for secret in self._texts:
            if secret in text:
                return True
        if "\\" not in text and "%" not in text and "&" not in text:
            return False
        return any(sign.search(text) for sign in self._signs)


_kept = Secrets()
keep = _kept.add
keep_address = _kept.add_address
keep_header = _kept.add_header
hide = _kept.hide


def shown(text: str) -> str:
    """Make a text fit to be shown, on one line that a person may read."""
    if len(text) > 10 * _MOST_CHARACTERS:  # of what is sent to us nobody knows how long it is
        text = text[: 5 * _MOST_CHARACTERS] + text[-5 * _MOST_CHARACTERS :]
    text = _OBEYED.sub(_name, text)
    while (rest := _kept.hide(without_login(_KEY.sub(MARK, text)))) != text:
        text = rest
    if len(text) > _MOST_CHARACTERS:  # such as one that names all columns of a table
        text = f"{text[: _MOST_CHARACTERS // 2]} ... {text[-_MOST_CHARACTERS // 2 :]}"
    return text


def say(*lines: str, err: bool = False) -> None:
    """Print lines, on standard output or on standard error."""
    _print("\n".join(map(shown, lines)), err)


def say_json(data: object, *, err: bool = False) -> None:
    """Print data for programs: on standard error, which is a log of lines, as one line in ASCII."""
    text = json.dumps(_kept.hide_all(data), ensure_ascii=err, indent=None if err else 2)
    _print("\n".join(_OBEYED.sub(_code, line) for line in text.split("\n")), err)


def _print(text: str, err: bool) -> None:
    try:
        print(text, file=sys.stderr if err else sys.stdout, flush=True)
    except (OSError, ValueError):
        if not err:  # who reads the results has gone; who only watches may
            raise


def without_login(text: str) -> str:
    """Leave out of addresses what may be a secret: who logs in, and queries."""
    if "://" not in text:
        return text
    text = _USER.sub(rf"\1://{MARK}@", text)
    text = _LOGIN.sub(r"://\1@", text)
    return _QUERY.sub(r"\1?...", text)


def _name(match: re.Match[str]) -> str:
    return _SHORT.get(match[0]) or _code(match)


def _code(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _secrets_of(address: str) -> Iterator[str]:
    for user, password in _LOGIN.findall(address):
        yield password
        yield b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    yield from (user for _, user in _USER.findall(address) if len(user) >= _TOKEN_CHARACTERS)
    for name, value in parse_qsl(address.partition("?")[2]):
        if _SIGNING.search(name) and len(value) >= _TOKEN_CHARACTERS:
            yield value


def _spelling(letter: str) -> str:
    r"""Write a pattern of a letter, or of what stands for it: \u002d, \x2d, %2D, \-, &#45;."""
    units, raw = _codes(letter)
    in_json = "".join(rf"\\{{1,8}}u{unit}" for unit in units)
    in_python = "".join(rf"\\{{1,8}}x{byte}" for byte in raw)
    in_url = "".join(f"%(?:25){{0,4}}{byte}" for byte in raw)
    if letter.isalnum():
        return f"(?:{letter}|{in_json}|{in_python}|{in_url})"
    plain = rf"\\{{0,8}}{re.escape(letter)}"
    # The entity first: one of `&` begins as it does itself.
    return f"(?:{_entity(letter)}|{plain}|{in_json}|{in_python}|{in_url})"


def _entity(letter: str) -> str:
    """Write a pattern of a sign in HTML, escaped once or more: &amp;, &#38;, &#x26;amp;."""
    code = ord(letter)
    ways = [_ENTITIES.get(letter, f"#{code}"), f"#0{{0,4}}{code}", f"#[xX]0{{0,4}}(?i:{code:x})"]
    return f"&(?:amp;){{0,4}}(?:{'|'.join(ways)});"


def _signs(letters: str) -> tuple[re.Pattern[str], ...]:
    """Write patterns of what tells that one of these letters may be escaped.

    Each begins with one character, which `re` then looks for first: 40 times as fast.
    """
    codes = [_codes(letter) for letter in sorted(set(letters))]
    units = "|".join(unit for each, _ in codes for unit in each)
    raw = "|".join(byte for _, each in codes for byte in each)
    others = "".join(f"|{re.escape(each)}" for each in sorted(set(letters)) if not each.isalnum())
    return (
        re.compile(rf"\\(?:u(?:{units})|x(?:{raw}){others})"),
        re.compile(f"%(?:25|{raw})"),
        re.compile("&(?:amp|lt|gt|quot|apos|#[0-9a-fA-FxX]{1,9});"),
    )


def _codes(letter: str) -> tuple[list[str], list[str]]:
    """Return the patterns of a letter's units in UTF-16 and its bytes in UTF-8, in hexadecimal."""
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    raw = letter.encode("utf-8", "surrogatepass")
    codes = [units[at : at + 4] for at in range(0, len(units), 4)], [f"{byte:02x}" for byte in raw]
    each, one = ([re.sub("[a-f]", _either, code) for code in part] for part in codes)
    return each, one


def _either(digit: re.Match[str]) -> str:
    return f"[{digit[0]}{digit[0].upper()}]"
