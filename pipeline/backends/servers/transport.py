"""Posts bodies to one address: the SDK says where and how, aiohttp carries them.

The SDK builds one request, in rehearsal; its address and its headers, the key among them, serve
for all that follow. A reply that is an error goes back through the SDK, which makes its exception
of it. What comes back is bounded, headers and body. Sending each request through the SDK and its
HTTP client costs three to five times the CPU (benchmarks/rows.py measures both).
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai
import truststore

from pipeline.backends.servers.bodies import ENCODINGS, Bodies
from pipeline.errors import OversizedError, PackedError, TransientError, UnreachableError
from pipeline.showing import hide_json, keep_address, keep_header, shown

CONNECT_SECONDS = 30.0
ERROR_BYTES = 2**16  # of an error are read: its first words count
DEEPEST = 20  # lists and dicts in each other
LONGEST_WORD = 100  # characters of an error's code
# What belongs to the rehearsed request alone.
_OWN_HEADERS = {"host", "content-length", "connection", "idempotency-key", "accept-encoding"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a status, headers (any case), the body as it was before it was packed."""

    status: int
    headers: Mapping[str, str]
    content: bytes


_given: ContextVar[Reply] = ContextVar("_given")


class Rehearsal(httpx2.AsyncBaseTransport):
    """What the SDK's HTTP client sends by: notes the request, gives it the reply at hand."""

    built: httpx2.Request

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.built = request
        reply = _given.get()
        headers = {name: value for name, value in reply.headers.items() if _serves(name)}
        return httpx2.Response(reply.status, headers=_readable(headers), content=reply.content)


class Transport:
    """Posts to one path of a server. `open` it first.

    Without `account` nothing of the environment goes along.
    """

    def __init__(self, base_url: str, api_key: str, path: str, *, account: bool = True) -> None:
        keep_address(base_url)
        self.base_url = base_url
        self._path = path
        self._rehearsal = Rehearsal()
        self._bodies = Bodies()
        client = httpx2.AsyncClient(transport=self._rehearsal, trust_env=False)
        self._sdk = openai.AsyncOpenAI(
            api_key=api_key, base_url=base_url, max_retries=0, http_client=client
        )
        if not account:
            self._sdk.organization = self._sdk.project = None
            # NOTE: it has read OPENAI_CUSTOM_HEADERS; no argument keeps it from that.
            self._sdk._custom_headers = {}

    async def open(self) -> None:
        """Let the SDK build a request, and get ready to send more of its kind."""
        await self._through_sdk(Reply(200, {}, b"{}"))
        built = self._rehearsal.built
        # The SDK has made a header of a login in the address; with both, aiohttp would refuse.
        self._url = str(built.url.copy_with(username=None, password=None))
        self._headers = {
            name: value for name, value in built.headers.items() if name not in _OWN_HEADERS
        }
        for name, value in self._headers.items():
            keep_header(name, value)
        self._headers["accept-encoding"] = ENCODINGS
        self._proxy = _proxy(self._url)
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._session = aiohttp.ClientSession(
            # limit=0: how many are in flight is the gate's business.
            connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # it knows no bound
        )

    async def close(self) -> None:
        """Close the connections."""
        if hasattr(self, "_session"):
            await self._session.close()
        await self._sdk.close()

    async def post(self, body: bytes, timeout_seconds: float, most_bytes: int) -> Reply:
        """Post a body. Raises openai.APIStatusError for a status of 300 or more, UnreachableError
        when no reply came, OversizedError or another TransientError when it can't be taken.
        """
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=self._headers,
                proxy=self._proxy,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS),
            ) as response:
                reply = await self._read(response, most_bytes)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._unreachable(_reason(error), lost=False) from error
        except TimeoutError as error:
            raise self._unreachable(f"no answer in {timeout_seconds:.0f} s", lost=True) from error
        except aiohttp.ClientResponseError as error:  # its text has the address, with a password
            said = shown(" ".join(error.message.split()))[:200]
            problem = f"the reply isn't HTTP that can be read ({said})"
            raise TransientError(problem, lost=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(_reason(error), lost=True) from error
        if reply.status >= 300:
            content = hide_json(_shallow(reply.content))
            await self._through_sdk(replace(reply, content=content))
        return reply

    async def _read(self, response: aiohttp.ClientResponse, most_bytes: int) -> Reply:
        good = response.status < 300
        try:
            most_bytes = most_bytes if good else ERROR_BYTES
            content, problem = await self._bodies.read(response, most_bytes)
        except PackedError:
            if good:
                raise
            content, problem = b"", None  # an error's status says enough
        if good and problem is not None:
            raise OversizedError(f"HTTP {response.status}, but the reply is {problem}")
        return Reply(response.status, response.headers, content)

    async def _through_sdk(self, reply: Reply) -> None:
        """Give the SDK a reply, as if it had just come; of an error it makes its exception."""
        token = _given.set(reply)
        try:
            await self._sdk.post(
                self._path,
                cast_to=httpx2.Response,
                content=b"{}",
                options={"security": {"bearer_auth": True}},
            )
        except openai.APIStatusError as error:  # what it calls a text may be anything
            error.code, error.param = _word(error.code), _word(error.param)
            raise
        finally:
            _given.reset(token)

    def _unreachable(self, reason: str, *, lost: bool) -> UnreachableError:
        return UnreachableError(f"{self.base_url} can't be reached: {reason}", lost=lost)


def _serves(name: str) -> bool:
    """Say whether a header is one that somebody looks at; an encoding or a cookie is none."""
    name = name.lower()
    return name in ("location", "retry-after", "retry-after-ms") or name.startswith("x-ratelimit-")


def _readable(headers: Mapping[str, str]) -> dict[str, str]:
    """Replace what isn't ASCII: a value may be any bytes."""
    return {
        name: value.encode("ascii", "replace").decode("ascii") for name, value in headers.items()
    }


def _word(data: object) -> str | None:
    return shown(data)[:LONGEST_WORD] if isinstance(data, str) else None


def _shallow(content: bytes) -> bytes:
    """Leave out of an error what lies deeper than anybody looks: the SDK can't write it down."""
    try:
        return json.dumps(_cut(json.loads(content), DEEPEST)).encode()
    except (ValueError, RecursionError):  # the SDK will find no JSON either
        return content


def _cut(data: Any, depth: int) -> Any:
    if not isinstance(data, dict | list):
        return data
    if not depth:
        return None
    if isinstance(data, list):
        return [_cut(item, depth - 1) for item in data]
    return {name: _cut(item, depth - 1) for name, item in data.items()}


def _proxy(url: str) -> str | None:
    """Find the proxy of the environment once; aiohttp's `trust_env` looks for each request anew,
    in files too, which costs more than the request.
    """
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    keep_address(proxy or "")
    return proxy


def _reason(error: BaseException) -> str:
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
