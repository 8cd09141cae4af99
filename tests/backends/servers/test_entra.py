"""Access tokens of Entra ID: got, used, renewed in time, and never shown."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.backends.servers.entra import SCOPE, Entra
from pipeline.errors import AccessError, PipelineError, UnreachableError
from tests.identity import IdentityServer
from tests.running import Ended, pipeline, read_rows, texts, write_rows
from tests.server import Fault, Server


@dataclass
class Given:
    token: str
    expires_on: int


@dataclass
class Credential:
    """A credential of azure.core's protocol, whose tokens are good for an hour."""

    now: float = 1000.0
    calls: list[tuple[str, ...]] = field(default_factory=list)
    error: Exception | None = None
    closed: bool = False
    life: int = 3600

    def get_token(self, *scopes: str) -> Given:
        self.calls.append(scopes)
        if self.error is not None:
            raise self.error
        return Given(f"token-{len(self.calls)}", int(self.now) + self.life)

    def close(self) -> None:
        self.closed = True


def tokens(credential: Credential, *moments: float) -> list[str]:
    """Ask for a token at these moments."""

    async def ask() -> list[str]:
        entra = Entra(credential, clock=lambda: credential.now)
        found = []
        for credential.now in moments:
            try:
                found.append(await entra.token())
            except PipelineError as error:
                found.append(type(error).__name__)
        await entra.close()
        return found

    return asyncio.run(ask())


def test_a_token_is_used_until_shortly_before_it_expires() -> None:
    credential = Credential()
    moments = (0.0, 1.0, 3299.0, 3300.0, 3301.0, 6599.0, 6600.0)
    assert tokens(credential, *moments) == [f"token-{n}" for n in (1, 1, 1, 2, 2, 2, 3)]
    assert credential.calls == [(SCOPE,)] * 3
    assert credential.closed


def test_a_token_that_is_short_lived_is_used_for_half_of_its_life() -> None:
    assert tokens(Credential(life=100), 0, 49, 50, 99, 100) == [
        f"token-{n}" for n in (1, 1, 2, 2, 3)
    ]


def test_a_token_that_cannot_be_renewed_is_used_as_long_as_it_is_good() -> None:
    credential = Credential()

    async def ask() -> list[str]:
        entra = Entra(credential, clock=lambda: credential.now)
        found = [await entra.token()]
        credential.error = ValueError("the endpoint is away")
        for credential.now in (4400.0, 4410.0, 4599.0):
            found.append(await entra.token())
        assert len(credential.calls) == 3  # not at each request
        credential.now = 4600.0
        with pytest.raises(UnreachableError, match="no new token: the endpoint is away"):
            await entra.token()
        credential.error = None
        return [*found, await entra.token()]

    assert asyncio.run(ask()) == ["token-1"] * 4 + ["token-5"]


def test_many_requests_renew_it_once() -> None:
    credential = Credential()

    async def ask() -> set[str]:
        entra = Entra(credential, clock=lambda: credential.now)
        return set(await asyncio.gather(*(entra.token() for _ in range(50))))

    assert asyncio.run(ask()) == {"token-1"}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("", "ValueError"),
        ("tenant not found\nmore", "tenant not found"),
        (
            "Failed.\nAttempted credentials:\n\tOneCredential: One authentication unavailable.\n"
            "\tAzureCliCredential: Please run 'az login' to set up an account.\nSee elsewhere.",
            "AzureCliCredential: Please run 'az login' to set up an account",
        ),
        ("Failed.\n\tACredential: A unavailable.\n\tBCredential: B not found on path", "no way to"),
    ],
)
def test_without_any_token_the_way_on_is_said_in_a_line(message: str, told: str) -> None:
    credential = Credential(error=ValueError(message))
    with pytest.raises(AccessError) as caught:
        asyncio.run(Entra(credential).token())
    assert f"Entra ID gives no token ({told}" in str(caught.value)
    assert "az login" in str(caught.value)


# The whole of it: azure-identity's own credential, by an endpoint as Azure's services have one.


@pytest.fixture
def identity() -> Iterator[IdentityServer]:
    with IdentityServer() as started:
        yield started


def ask(folder: Path, server: Server, identity: IdentityServer | None, *options: object) -> Ended:
    (folder / "ask.prompty").write_text("user:\n{{ text }}\n")
    write_rows(folder / "in.csv", [{"text": text} for text in texts(5)])
    env: dict[str, str] = {} if identity is None else identity.environment
    base = f"{server.base_url.removesuffix('/v1')}/openai/v1"
    arguments = ["run", "in.csv", "-p", "ask.prompty", "-o", "out.csv", *options]
    return pipeline(
        *arguments,
        "--base-url",
        base,
        "--auth",
        "entra",
        "--model",
        "sorting",
        folder=folder,
        **env,
    )


def signed(server: Server) -> list[str | None]:
    return [record.header("authorization") for record in server.tally.records]


def test_a_run_signs_in_with_tokens_in_place_of_a_key(
    tmp_path: Path, server: Server, identity: IdentityServer
) -> None:
    ended = ask(tmp_path, server, identity)
    assert ended.code == 0, ended.err
    assert set(signed(server)) == {f"Bearer {identity.token(1)}"}
    assert server.tally.records[0].header("api-key") is None
    assert identity.asked == [SCOPE.removesuffix("/.default")]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert identity.token(1).encode() not in kept
    assert identity.token(1) not in ended.err + ended.out


def test_a_token_that_is_repeated_by_the_server_is_hidden(
    tmp_path: Path, server: Server, identity: IdentityServer
) -> None:
    fault = Fault(
        "invalid_api_key", message=f"Access denied to {identity.token(1)}, {identity.token(2)}"
    )
    server.change(faults=(fault,))
    ended = ask(tmp_path, server, identity)
    assert ended.code == 2
    assert "Access denied to ***" in ended.err
    assert "OPENAI_API_KEY" not in ended.err
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert identity.token(1) not in ended.err
    assert identity.token(1).encode() not in kept


def test_a_token_that_is_refused_in_mid_run_is_replaced(
    tmp_path: Path, server: Server, identity: IdentityServer
) -> None:
    server.change(faults=(Fault("invalid_api_key", at=(3,)),))
    identity.life_seconds = 60  # so that azure-identity doesn't keep it
    ended = ask(tmp_path, server, identity, "--max-concurrency", 1)
    assert ended.code == 0, ended.err
    assert len(set(signed(server))) == 2
    assert [row["status"] for row in read_rows(tmp_path / "out.csv")] == ["ok"] * 5


def test_without_a_way_to_sign_in_nothing_is_sent(tmp_path: Path, server: Server) -> None:
    ended = ask(tmp_path, server, None)
    assert ended.code == 2
    (line,) = ended.errors
    assert "Entra ID gives no token (no way to sign in was found); sign in with `az login`" in line
    assert server.tally.received == 0


def test_a_missing_extra_is_named(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    ended = ask(tmp_path, server, None)
    assert ended.code == 2
    assert "--auth entra needs the extra `entra`, which isn't installed" in ended.errors[0]


@pytest.mark.parametrize("address", [(), ("--base-url", "https://api.openai.com/v1")])
def test_entra_needs_an_address_of_azure(tmp_path: Path, address: tuple[str, ...]) -> None:
    (tmp_path / "in.csv").write_text("text\none\n")
    arguments: list[Any] = ["summarize", "in.csv", "-o", "out.csv", "--auth", "entra", *address]
    ended = pipeline(*arguments, folder=tmp_path)
    assert ended.code == 2
    assert "--base-url https://NAME.openai.azure.com" in ended.errors[0]


def test_entra_does_nothing_for_a_model_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\none\n")
    arguments = ["summarize", "in.csv", "-o", "out.csv", "--auth", "entra", "--model", "echo"]
    ended = pipeline(*arguments, folder=tmp_path)
    assert (ended.code, "leave it out" in ended.err) == (2, True)
