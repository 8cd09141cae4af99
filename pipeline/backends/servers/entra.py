"""Signs in by Entra ID: access tokens for Azure, each used until shortly before it expires."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Protocol

from pipeline.errors import AccessError, UnreachableError, UsageError, needs
from pipeline.showing import keep

SCOPE = "https://cognitiveservices.azure.com/.default"
EARLY_SECONDS = 300.0  # before it expires, or at half of its life, a token is renewed
PAUSE_SECONDS = 30.0  # between attempts at that
_WAY = re.compile(r"\w+Credential: (.*)")  # of those that azure-identity lists
_ABSENT = re.compile(r"unavailable|not (?:found|installed)|could not be found|requires? the")
ADVICE = (
    "sign in with `az login`, or run where there is a managed identity or a service principal "
    "(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET)"
)


class AccessToken(Protocol):
    """A token as azure.core gives it."""

    @property
    def token(self) -> str:
        """Return what is sent."""

    @property
    def expires_on(self) -> int:
        """Return when it expires, in Unix seconds."""


class Credential(Protocol):
    """What gives tokens, as azure.core has it. It is called in a thread, and may block."""

    def get_token(self, *scopes: str) -> AccessToken:
        """Return a token for these scopes."""

    def close(self) -> None:
        """Let go of connections."""


class Entra:
    """Gives access tokens by a credential, and renews them."""

    def __init__(self, credential: Credential, clock: Callable[[], float] = time.time) -> None:
        self._credential = credential
        self._clock = clock
        self._token = ""
        self._expires_on = self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    async def token(self) -> str:
        """Return a token that is good. Raises AccessError if there never was one, UnreachableError
        if there is none any more.
        """
        if self._clock() >= self._renew_at:
            async with self._renewing:
                if self._clock() >= self._renew_at:
                    await self._renew()
        return self._token

    async def replace(self, refused: str) -> bool:
        """Get another token than one that a server refuses; return whether there is one."""
        async with self._renewing:
            if self._token == refused:
                await self._renew()
        return self._token != refused

    async def close(self) -> None:
        """Let go of connections."""
        await asyncio.to_thread(self._credential.close)

    async def _renew(self) -> None:
        try:
            given = await asyncio.to_thread(self._credential.get_token, SCOPE)
        except Exception as error:  # each kind of credential has errors of its own
            self._fail(error)
            return
        keep(given.token)
        now = self._clock()
        self._token, self._expires_on = given.token, float(given.expires_on)
        early = min(EARLY_SECONDS, (self._expires_on - now) / 2)
        self._renew_at = max(self._expires_on - early, now + PAUSE_SECONDS)

    def _fail(self, error: Exception) -> None:
        """Go on with the token that there is, as long as it is good."""
        now, said = self._clock(), _reason(error)
        if not self._token:
            raise AccessError(f"Entra ID gives no token ({said}); {ADVICE}") from error
        if now >= self._expires_on:
            raise UnreachableError(f"Entra ID gives no new token: {said}") from error
        self._renew_at = min(now + PAUSE_SECONDS, self._expires_on)


def open_entra() -> Entra:
    """Sign in by what this machine has. Raises UsageError if the extra isn't installed."""
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise UsageError(needs("--auth entra", "entra")) from error
    return Entra(DefaultAzureCredential())


def _reason(error: Exception) -> str:
    """Return in a line why there is no token: of several ways, the first that was there to try."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ways = [match for line in lines if (match := _WAY.match(line))]
    if not ways:
        return lines[0].rstrip(".") if lines else type(error).__name__
    tried = (match[0].rstrip(".") for match in ways if not _ABSENT.search(match[1]))
    return next(tried, "no way to sign in was found")
