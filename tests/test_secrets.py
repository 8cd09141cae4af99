"""The key, and passwords of addresses, are nowhere to be seen, whatever the server repeats.

Each place of a reply where they may stand, in each spelling, with each option that shows more.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from tests.running import PRICE, PROMPT, Ended, job, pipeline, query, read_rows
from tests.server import Fault, Server

KEY = "sk-proj-aB3dE6gH9xY/zK"
PASSWORD = "correct-horse@Battery<9&"
LOGIN = f"me:{quote(PASSWORD, safe='')}"
OPTIONS = {
    "plain": (),
    "debug": ("--debug",),
    "log": ("--json-log", "--debug"),
    "quiet": ("-q",),
    "review": ("--review", "review.xlsx"),
}


def units(text: str) -> str:
    return "".join(f"\\u{ord(letter):04X}" for letter in text)


# How a server may repeat a secret, written as a part of a JSON string.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "header": lambda secret: f"Authorization: Bearer {secret}",
    "address": lambda secret: f"http://me:{quote(secret, safe='')}@proxy:3128/v1",
    "percent": lambda secret: "".join(f"%{ord(letter):02x}" for letter in secret),
    "escaped": units,
    "hyphen escaped": lambda secret: secret.replace("-", "\\u002d").replace("/", "\\/"),
    "escaped twice": lambda secret: units(secret).replace("\\", "\\\\"),
    "page": lambda secret: escape(secret, quote=False),
    "base64": lambda secret: b64encode(f"me:{secret}".encode()).decode(),
}
OUTPUTS = "outputs:\n  - name: said\n"
SCHEMA_PROMPT = PROMPT.replace("---\nuser:", f"{OUTPUTS}---\nuser:")


def completion(leak: str, **changes: str) -> str:
    """Write a completion in whose parts something is repeated; what isn't named is harmless."""
    parts = {
        "content": '"fine"',
        "refusal": "null",
        "finish_reason": '"stop"',
        "model": '"gpt-6-luna"',
        "service_tier": '"default"',
        "tool_calls": "null",
        "logprobs": "null",
        **{name: value.replace("%s", leak) for name, value in changes.items()},
    }
    message = ", ".join(f'"{name}": {parts[name]}' for name in ("content", "refusal", "tool_calls"))
    choice = ", ".join(f'"{name}": {parts[name]}' for name in ("finish_reason", "logprobs"))
    rest = ", ".join(f'"{name}": {parts[name]}' for name in ("model", "service_tier"))
    usage = '{"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}'
    return f'{{"choices": [{{"message": {{{message}}}, {choice}}}], {rest}, "usage": {usage}}}'


def quoted(text: str, leak: str) -> str:
    """Write a JSON string with a part that has its escapes already."""
    return f'"{text.replace("%s", leak)}"'


def failing(status: int, **fields: str) -> Callable[[str], Fault]:
    """Make an error in which one field repeats something."""

    def make(leak: str) -> Fault:
        named = {"message": "No.", "code": None, "type": "invalid", "param": None}
        parts = {
            name: quoted(fields[name], leak) if name in fields else json.dumps(value)
            for name, value in named.items()
        }
        body = ", ".join(f'"{name}": {value}' for name, value in parts.items())
        return Fault("status", status=status, payload=f'{{"error": {{{body}}}}}'.encode())

    return make


def answering(**changes: str) -> Callable[[str], Fault]:
    return lambda leak: Fault("status", status=200, payload=completion(leak, **changes).encode())


def saying(body: str, status: int = 200) -> Callable[[str], Fault]:
    return lambda leak: Fault("status", status=status, payload=body.replace("%s", leak).encode())


def header(name: str, status: int) -> Callable[[str], Fault]:
    """Put it into a header, as far as one takes it."""
    return lambda leak: Fault("status", status=status, headers={name: f"http://other/{leak}/v1"})


# What fails or answers a row, so that each row can repeat another spelling.
PLACES: dict[str, Callable[[str], Fault]] = {
    "message": failing(400, message="wrong: %s"),
    "message at its end": failing(400, message="x" * 250 + " wrong: %s"),
    "code": failing(400, code="%s"),
    "param": failing(400, param="%s", message="wrong"),
    "type": failing(400, type="%s"),
    "error without words": saying('{"error": "%s"}', 400),
    "error that is a list": saying('[{"message": "%s"}]', 422),
    "error as text": saying("wrong %s", 400),
    "content": answering(content='"the key is %s."'),
    "thoughts": answering(content='"<think>%s</think> the key is %s"'.replace("%s</", "x</")),
    "refusal": answering(refusal='"not with %s"', content="null"),
    "model": answering(model='"%s"'),
    "finish reason": answering(finish_reason='"%s"'),
    "finish reason of nothing": answering(finish_reason='"%s"', content='""'),
    "service tier": answering(service_tier='"%s"'),
    "function call": answering(
        tool_calls='[{"function": {"name": "f", "arguments": "{\\"said\\": \\"%s\\"}"}}]'
    ),
    "function call as object": answering(
        tool_calls='[{"function": {"name": "f", "arguments": {"said": "%s", "k": 1}}}]'
    ),
    "tokens": answering(
        logprobs='{"content": [{"token": "%s", "logprob": -0.1, "top_logprobs": []}]}'
    ),
}
# What is asked for with a schema: its notices, and answers that are decoded a second time.
STRUCTURED: dict[str, Callable[[str], Fault]] = {
    "format notice": failing(400, message="response_format %s"),
    "format notice of a param": failing(400, param="response_format", message="%s"),
    "an answer that the server refuses": saying(
        '{"error": {"message": "No.", "failed_generation": "%s"}}', 400
    ),
    "structured content": answering(content='"{\\"said\\": \\"%s\\"}"'),
    "misshapen content": answering(content='"{\\"other\\": \\"%s\\"}"'),
    "a name in the content": answering(content='"{\\"%s\\": 1}"'),
}
# What ends the run, or is tried again until it does.
FATAL: dict[str, Callable[[str], Fault]] = {
    "wrong key": failing(401, message="Incorrect API key provided: %s."),
    "forbidden": failing(403, message="not with %s", code="%s"),
    "no model": failing(404, message="no model for %s", code="model_not_found"),
    "nothing there": failing(404, message="%s"),
    "quota": failing(429, message="%s", code="insufficient_quota"),
    "elsewhere": header("location", 307),
    "unavailable": failing(503, message="%s is overloaded"),
    "not a completion": saying("%s"),
    "an error with status 200": saying('{"error": {"message": "%s"}}'),
    "a list": saying('["%s"]'),
}


def undone(text: str) -> str:
    """Undo the escapes of a text, one after the other, and keep what each of them gives."""
    versions = [text]
    for _ in range(3):
        text = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
        versions += [text, re.sub(r"\\+(.)", r"\1", text), unquote(text), unescape(text)]
    return "\n".join(versions)


def everything(ended: Ended, folder: Path) -> str:
    """Give all that a run has left: what it printed, and the bytes of its files."""
    left = [ended.out, ended.err]
    for path in folder.rglob("*"):
        if path.is_file():
            left.append(path.read_bytes().decode("latin-1"))
            if path.suffix == ".xlsx":
                with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as book:
                    left += [book.read(name).decode() for name in book.namelist()]
    return "\n".join(left)


def check(ended: Ended, folder: Path) -> None:
    """See that no secret is left anywhere."""
    left = undone(everything(ended, folder))
    for secret in (KEY, PASSWORD, quote(PASSWORD, safe="")):
        at = left.find(secret)
        assert at < 0, left[max(at - 100, 0) : at + 50]
    assert b64encode(f"me:{PASSWORD}".encode()).decode() not in left


def leak(place: Callable[[str], Fault], spelling: str) -> list[Fault]:
    """Make a server repeat the key, and to whoever asks with `password` the password."""
    made = [(place(SPELLINGS[spelling](secret)), secret) for secret in (KEY, PASSWORD)]
    return [
        Fault(
            fault.kind,
            status=fault.status,
            payload=fault.payload,
            headers=fault.headers,
            contains=f"{spelling} of {'key' if secret == KEY else 'password'}",
        )
        for fault, secret in made
    ]


def run(
    folder: Path, server: Server, texts: list[str], options: tuple[str, ...], prompt: str = PROMPT
) -> Ended:
    made = job(folder, server, texts, prompt=prompt)
    base_url = server.base_url.replace("://", f"://{LOGIN}@")
    command = ["run", "in.csv", "-p", "ask.prompty", "-o", made.output, "--base-url", base_url]
    command += ["--price", ",".join(PRICE), "--patience", "0", *options]
    return pipeline(*command, folder=folder, OPENAI_API_KEY=KEY)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("place", [*PLACES, *STRUCTURED])
def test_a_row_never_has_a_secret(tmp_path: Path, server: Server, place: str, option: str) -> None:
    make = {**PLACES, **STRUCTURED}[place]
    server.change(faults=tuple(fault for each in SPELLINGS for fault in leak(make, each)))
    texts = [f"{each} of {secret}" for each in SPELLINGS for secret in ("key", "password")]
    prompt = SCHEMA_PROMPT if place in STRUCTURED else PROMPT
    ended = run(tmp_path, server, texts, OPTIONS[option], prompt)
    rows = read_rows(tmp_path / "out.csv")
    assert [row["text"] for row in rows] == texts
    assert {row["status"] for row in rows} <= {"ok", "failed"}
    assert ended.code in (0, 1)
    check(ended, tmp_path)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("place", FATAL)
def test_what_ends_a_run_never_tells_a_secret(
    tmp_path: Path, server: Server, place: str, spelling: str
) -> None:
    if place == "elsewhere" and "escaped" in spelling:
        pytest.skip("a header has no escapes")
    server.change(faults=tuple(leak(FATAL[place], spelling)))
    turn = [*FATAL].index(place) + [*SPELLINGS].index(spelling)
    secret, option = ("key", "password")[turn % 2], ("debug", "log", "quiet")[turn % 3]
    # So many that the server is given up at once, where it is only said to be away.
    texts = [f"{spelling} of {secret}: {number}" for number in range(12)]
    ended = run(tmp_path, server, texts, OPTIONS[option])
    assert ended.code in (2, 4)
    assert "rror" in ended.err
    check(ended, tmp_path)


def test_answers_without_secrets_stay_as_they_are(tmp_path: Path, server: Server) -> None:
    said = "100%25 \\u0041 sk-learn https://me:pw@host/?sig=1 \x1b[31m \u202e \u2028 \x9b"
    server.change(answer=lambda body: said)
    assert run(tmp_path, server, ["a"], ()).code == 0
    assert read_rows(tmp_path / "out.csv")[0]["output"] == said


def test_an_input_that_has_the_key_stays_as_it_is(tmp_path: Path, server: Server) -> None:
    assert run(tmp_path, server, [f"my key is {KEY}"], ()).code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert row["text"] == f"my key is {KEY}"
    assert KEY not in row["output"]


def test_the_command_in_the_journal_has_no_secret(tmp_path: Path, server: Server) -> None:
    ended = run(tmp_path, server, ["a"], ("--instruction", KEY))
    assert ended.code == 2  # two prompts; the journal isn't there yet
    assert run(tmp_path, server, ["a"], ("--prefix", KEY)).code == 0
    ((command,),) = query(tmp_path / "out.csv.journal", "SELECT command FROM runs")
    assert "--base-url http://***@127.0.0.1" in str(command)
    assert "--prefix '***'" in str(command) or "--prefix ***" in str(command)
    (tmp_path / "out.csv").unlink()  # it has a column of that name, by the user's own wish
    check(ended, tmp_path)


@pytest.mark.parametrize("option", ["plain", "debug", "log", "quiet"])
def test_a_proxy_that_is_away_does_not_tell_its_password(tmp_path: Path, option: str) -> None:
    with Server() as server:
        closed = server.base_url.removesuffix("/v1").removeprefix("http://")
    made = job(tmp_path, server, ["a"])
    ended = pipeline(
        *["run", "in.csv", "-p", "ask.prompty", "-o", made.output, "--patience", "0"],
        *["--base-url", "http://example.invalid/v1", "--price", "1,1", *OPTIONS[option]],
        folder=tmp_path,
        OPENAI_API_KEY=KEY,
        http_proxy=f"http://{LOGIN}@{closed}",
        no_proxy="",
    )
    assert ended.code == 4
    assert "can't be reached" in ended.err
    check(ended, tmp_path)


def test_a_proxy_is_given_its_password_and_may_repeat_it(tmp_path: Path, server: Server) -> None:
    server.change(faults=tuple(leak(FATAL["wrong key"], "base64")))
    job(tmp_path, server, ["base64 of password"])
    proxy = server.base_url.removesuffix("/v1").replace("://", f"://{LOGIN}@")
    shutil.copy(tmp_path / "in.csv", tmp_path / "again.csv")
    ended = pipeline(
        *["run", "in.csv", "-p", "ask.prompty", "-o", "out.csv", "--debug", "--price", "1,1"],
        *["--base-url", "http://example.invalid/v1", "--patience", "0"],
        folder=tmp_path,
        OPENAI_API_KEY=KEY,
        http_proxy=proxy,
        no_proxy="",
    )
    assert ended.code != 0
    check(ended, tmp_path)


def test_the_login_of_an_address_goes_to_the_server(tmp_path: Path, server: Server) -> None:
    assert run(tmp_path, server, ["a"], ()).code == 0
    login = b64encode(f"me:{PASSWORD}".encode()).decode()
    (record,) = server.tally.records
    assert f"authorization: basic {login}".lower() in record.head.lower()
    assert KEY not in record.head


@pytest.mark.parametrize("options", [("--debug",), ("--debug", "--json-log")])
def test_debug_tells_where_a_run_was_ended(
    tmp_path: Path, server: Server, options: tuple[str, ...]
) -> None:
    server.change(faults=(Fault("invalid_api_key"),))
    ended = run(tmp_path, server, ["a"], options)
    told = ended.err
    if "--json-log" in options:
        (told,) = [
            line["traceback"] for line in map(json.loads, ended.lines) if "traceback" in line
        ]
    assert "Traceback (most recent call last):" in told
    assert "pipeline.errors.AccessError: http://***@127.0.0.1" in told
    assert "NoneType" not in told


@pytest.mark.parametrize("name", ["X-Api-Key", "api-key", "X-Auth-Token", "Cookie", "Auth"])
def test_a_key_in_a_header_of_the_users_own_is_hidden(
    tmp_path: Path, server: Server, name: str
) -> None:
    secret = "oNe-oF-tHe-gAtEwAy"
    repeated = job(tmp_path, server, ["say it", "fail"])
    server.change(
        faults=(
            replace(PLACES["message"](secret), contains="fail"),
            PLACES["content"](secret),
        )
    )
    headers = f"{name}: Bearer {secret}"
    ended = pipeline(*repeated.arguments(), folder=tmp_path, OPENAI_CUSTOM_HEADERS=headers)
    assert server.tally.records[0].header(name) == f"Bearer {secret}"
    assert secret not in ended.out + ended.err
    assert not [file for file in tmp_path.iterdir() if secret.encode() in file.read_bytes()]
