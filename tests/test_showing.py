"""What may be shown: no secret, however it is spelled, and nothing that a terminal obeys."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from html import escape
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DocumentError, TransientError, UsageError
from pipeline.showing import MARK, Secrets, say, say_json, shown

KEY = "sk-proj-aB3dE6/gH9_x+Y"
OBEYED = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F)]
OBEYED += [chr(code) for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xDFFF, 0xD800)]


def secrets(*texts: str) -> Secrets:
    made = Secrets()
    for text in texts:
        made.add(text)
    return made


@pytest.mark.parametrize(
    "spelled",
    [
        KEY,
        KEY.replace("-", "\\u002d"),
        KEY.replace("-", "\\\\u002D"),
        "".join(f"\\u{ord(letter):04x}" for letter in KEY),
        "".join(f"\\x{ord(letter):02x}" for letter in KEY),
        quote(KEY, safe=""),
        quote(quote(KEY, safe=""), safe=""),
        "".join(f"%{ord(letter):02x}" for letter in KEY),
        KEY.replace("/", "\\/"),
        KEY.replace("-", "\\-").replace("_", "\\_"),  # as Markdown has it
        KEY.replace("-", "&#45;").replace("/", "&#x2F;").replace("+", "&#043;"),
    ],
)
def test_a_secret_is_hidden_however_it_is_spelled(spelled: str) -> None:
    assert secrets(KEY).hide(f"key={spelled}, or not") == f"key={MARK}, or not"


def test_a_secret_in_a_page_is_hidden() -> None:
    secret = """a&b<c>d"e'f&amp"""
    for spelled in (secret, escape(secret), escape(escape(secret)), escape(secret, quote=False)):
        assert secrets(secret).hide(f"<p>{spelled}; & more") == f"<p>{MARK}; & more"


def test_what_is_part_of_many_texts_is_no_secret() -> None:
    known = secrets("none", "x", "", "ollama", "LM-Studio")
    text = "none of x asks ollama or LM-Studio"
    assert known.hide(text) == text


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("http://me:hunt%40er2@host:8000/v1", "hunt@er2"),
        ("http://me:hunt%40er2@host:8000/v1", "hunt%40er2"),
        ("http://me:hunt@er2@host/v1", "hunt@er2"),
        ("http://me:hunter2@host", b64encode(b"me:hunter2").decode()),
        ("https://glpat-aB3dE6gH9xYz12@host/t.csv", "glpat-aB3dE6gH9xYz12"),
        ("https://host/t.csv?a=b&sig=aB3%2FdE6gH9xYz12kk%3D", "aB3/dE6gH9xYz12kk="),
        ("https://host/t.csv?X-Amz-Signature=0123456789abcdef01", "0123456789abcdef01"),
    ],
)
def test_what_gives_access_to_an_address_is_a_secret(address: str, secret: str) -> None:
    known = Secrets()
    known.add_address(address)
    assert known.hide(f"the server said {secret}!") == f"the server said {MARK}!"


@pytest.mark.parametrize("address", ["http://host:8000/v1", "s3://bucket/a:b/c@d", "http://h/?q=1"])
def test_an_address_that_anyone_may_know_has_no_secret(address: str) -> None:
    known = Secrets()
    known.add_address(address)
    assert known.hide(f"see {address}") == f"see {address}"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("https://host/t.csv?sig=abc&x=1", "https://host/t.csv?..."),
        ("run 'https://host/t.csv?sig=abc' -o out.csv", "run 'https://host/t.csv?...' -o out.csv"),
        ("sftp://me:secret@host/t.csv", "sftp://me@host/t.csv"),
        ("http://me:secret@host:8000/v1 is away", "http://***@host:8000/v1 is away"),
        ("https://a-token@host/t.csv", "https://***@host/t.csv"),
        ("http://localhost:8000/v1/@me", "http://localhost:8000/v1/@me"),
        ("s3://bucket/what?/*.pdf", "s3://bucket/what?/*.pdf"),
        ("abfs://box@account/t.csv", "abfs://box@account/t.csv"),
        ("Wrong key: sk-proj-********abcd.", "Wrong key: ***."),
        ("Wrong key: sk-proj-aB3dE6gH9xYz12kkMM.", "Wrong key: ***."),
        ("sk-slovakia-2024-customers.csv, task-1", "sk-slovakia-2024-customers.csv, task-1"),
        ("contracts/", "contracts/"),
        ("\x1b]0;owned\x07\x9b31m\x7f", r"\u001b]0;owned\u0007\u009b31m\u007f"),
        ("gpj.\u202eexe\u2066", r"gpj.\u202eexe\u2066"),
        ("one\r\ntwo\u2028three\tfour", r"one\r\ntwo\u2028three\tfour"),
        ("caf\udce9", r"caf\udce9"),
        ("naïve 日本 👩‍👩‍👧 שלום", "naïve 日本 👩‍👩‍👧 שלום"),
    ],
)
def test_what_is_shown(text: str, seen: str) -> None:
    assert shown(text) == seen
    for error in (UsageError(text), DocumentError(text), TransientError(text, lost=True)):
        assert str(error) == seen


def test_a_long_text_takes_no_longer_than_its_length() -> None:
    known = secrets("-" + KEY, "%25" + KEY)
    for piece in ("\\", "%25", "://a:", "sk-", "https://", "http://a?", "sk-a1A"):
        known.hide(piece * 50_000)
        shown(piece * 50_000)


def test_lines_are_printed_as_lines_and_no_line_makes_two(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("first", "second\nerror: not ours")
    say("third\x1b[2J", err=True)
    printed = capsys.readouterr()
    assert printed.out == "first\nsecond\\nerror: not ours\n"
    assert printed.err == "third\\u001b[2J\n"


@pytest.mark.parametrize("err", [False, True])
def test_json_stays_what_it_says(err: bool, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"text": "".join(OBEYED) + "é", "rows": [1, None, ["a"]]}
    say_json(data, err=err)
    printed = capsys.readouterr()
    text = printed.err if err else printed.out
    assert json.loads(text) == data
    assert not set(text) & (set(OBEYED) - {"\n"})
    assert text.isascii() == err
    assert text.count("\n") == (1 if err else 10)


# Whatever comes

LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp"))
SECRETS = st.text(LETTERS, min_size=6, max_size=12).filter(lambda text: len(text.strip()) >= 6)
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\\%@:/?\x1b\r\n\u202e*")), max_size=40)
SPELLINGS = st.sampled_from(
    [
        str,
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(json.dumps(text))[3:-3],
        lambda text: quote(text, safe=""),
        lambda text: quote(quote(text, safe=""), safe=""),
        lambda text: "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in text),
    ]
)


def meant(text: str) -> list[str]:
    """List what a text may be meant to say: as it is, and with its escapes undone."""
    unescaped = text
    for _ in range(3):
        unescaped = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), unescaped)
        paired = unescaped.encode("utf-16", "surrogatepass")
        unescaped = paired.decode("utf-16", "replace")
    return [text, unescaped, unquote(text), unquote(unquote(text))]


@given(SECRETS, TEXTS, SPELLINGS, TEXTS)
def test_a_secret_never_stays(secret: str, before: str, spell: object, after: str) -> None:
    known = secrets(secret.strip())
    hidden = known.hide(f"{before}{spell(secret.strip())}{after}")  # type: ignore[operator]
    assert known.hide(hidden) == hidden
    rest = [text for text in meant(hidden) if secret.strip() in text]
    # What stood around it may make it up again only by being one of its spellings in part.
    assert not rest or secret.strip() in "".join(meant(before + MARK + after))


@given(TEXTS)
def test_what_is_shown_is_one_line_that_no_terminal_obeys(text: str) -> None:
    seen = shown(text)
    assert not set(seen) & set(OBEYED)
    assert shown(seen) == seen


@given(st.text("htps://:@?#a1 '\"sk-*\\", max_size=40))
def test_addresses_are_shown_the_same_twice(text: str) -> None:
    assert shown(shown(text)) == shown(text)


@given(TEXTS)
def test_without_secrets_nothing_changes(text: str) -> None:
    assert Secrets().hide(text) == text
