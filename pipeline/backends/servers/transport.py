"""Posts bodies to one address: the SDK says where and how, aiohttp carries them.

The SDK builds one request, in rehearsal; its address and its headers, the key among them, serve
for all that follow. What comes back is bounded, headers and body. Sending each request through the
SDK and its HTTP client costs three to five times the CPU (benchmarks/rows.py measures both).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, urljoin, urlsplit, urlunsplit

import aiohttp
import httpx2
import openai

from pipeline.backends.servers.bodies import ENCODINGS, Bodies
from pipeline.backends.servers.entra import Entra
from pipeline.backends.servers.proxies import find_proxy
from pipeline.backends.servers.trust import trusting
from pipeline.errors import (
    AccessError,
    BackendError,
    OversizedError,
    PackedError,
    TransientError,
    UnreachableError,
)
from pipeline.showing import keep_address, keep_header, shown
from pipeline.vendors import Vendor, vendor_of

CONNECT_SECONDS = 30.0
ERROR_BYTES = 2**16  # of an error are read: its first words count
MOST_REDIRECTS = 5
# Of a request that is sent again with its body: a 303 asks for another.
_REDIRECTS, _MOVED = {301, 302, 307, 308}, {301, 308}
_UNAUTHORIZED, _PROXY_LOGIN = 401, 407
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
# What belongs to the rehearsed request alone.
_OWN_HEADERS = {"host", "content-length", "connection", "idempotency-key", "accept-encoding"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a status, headers (any case), the body as it was before it was packed."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Rehearsal(httpx2.AsyncBaseTransport):
    """What the SDK's HTTP client sends by: notes the request, and sends nothing."""

    built: httpx2.Request

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.built = request
        return httpx2.Response(200, content=b"{}")


class Transport:
    """Posts to one path of a server. `open` it first.

    Without `account` nothing of the environment goes along. With `entra` its tokens are sent, and
    no key.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        path: str,
        *,
        account: bool = True,
        entra: Entra | None = None,
    ) -> None:
        keep_address(base_url)
        self.base_url = base_url
        self._path = path
        self._entra = entra
        self._key = api_key if vendor_of(base_url) is Vendor.AZURE else None
        self._answered = False
        self._rehearsal = Rehearsal()
        self._bodies = Bodies()
        client = httpx2.AsyncClient(transport=self._rehearsal, trust_env=False)
        parts = urlsplit(base_url)
        self._sdk = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=urlunsplit(parts._replace(query="", fragment="")),
            default_query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            max_retries=0,
            http_client=client,
        )
        if not account:
            self._sdk.organization = self._sdk.project = None
            # NOTE: it has read OPENAI_CUSTOM_HEADERS; no argument keeps it from that.
            self._sdk._custom_headers = {}

    async def open(self) -> None:
        """Let the SDK build a request, and get ready to send more of its kind."""
        await self._sdk.post(
            self._path,
            cast_to=httpx2.Response,
            content=b"{}",
            options={"security": {"bearer_auth": True}},
        )
        built = self._rehearsal.built
        # The SDK has made a header of a login in the address; with both, aiohttp would refuse.
        self._url = str(built.url.copy_with(username=None, password=None))
        headers = {name: value for name, value in built.headers.items() if name not in _OWN_HEADERS}
        for name, value in headers.items():
            keep_header(name, value)
        if self._entra is not None:
            await self._entra.token()  # without one nothing is asked
        elif self._key is not None:
            # Azure takes no key as `authorization`, but for its newest paths.
            headers.pop("authorization", None)
            headers["api-key"] = self._key
        headers["accept-encoding"] = ENCODINGS
        self._proxy = find_proxy(self._url)
        keep_address(self._proxy.url if self._proxy else "")
        self._session = aiohttp.ClientSession(
            # limit=0: how many are in flight is the gate's business.
            connector=aiohttp.TCPConnector(limit=0, ssl=trusting(), keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # it knows no bound
            headers=headers,
        )

    async def close(self) -> None:
        """Close the connections."""
        if hasattr(self, "_session"):
            await self._session.close()
        if self._entra is not None:
            await self._entra.close()
        await self._sdk.close()

    async def post(self, body: bytes, timeout_seconds: float, most_bytes: int) -> Reply:
        """Post a body, and return the reply whatever its status. Raises UnreachableError when none
        came, AccessError if none ever will, OversizedError or another TransientError when it can't
        be taken.
        """
        if self._entra is None:
            return await self._post(body, timeout_seconds, most_bytes, None)
        token = await self._entra.token()
        reply = await self._post(body, timeout_seconds, most_bytes, token)
        if reply.status == _UNAUTHORIZED and await self._entra.replace(token):
            token = await self._entra.token()
            reply = await self._post(body, timeout_seconds, most_bytes, token)
        return reply

    async def _post(
        self, body: bytes, timeout_seconds: float, most_bytes: int, token: str | None
    ) -> Reply:
        url = self._url
        for _ in range(MOST_REDIRECTS):
            try:
                reply = await self._send(url, body, timeout_seconds, most_bytes, token)
            except (aiohttp.ClientError, OSError) as error:
                raise self._failure(error, timeout_seconds) from error
            self._answered = True
            if reply.status not in _REDIRECTS:
                return reply
            after = _redirected(url, reply, self._path)
            if after is None:
                return reply
            if reply.status in _MOVED:
                self._url = after
            url = after
        return reply

    async def _send(
        self, url: str, body: bytes, timeout_seconds: float, most_bytes: int, token: str | None
    ) -> Reply:
        async with self._session.post(
            url,
            data=body,
            headers={"authorization": f"Bearer {token}"} if token else None,
            proxy=self._proxy.url if self._proxy else None,
            allow_redirects=False,
            timeout=_timeout(timeout_seconds),
        ) as response:
            return await self._read(response, most_bytes)

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

    def _failure(self, error: Exception, timeout_seconds: float) -> BackendError:
        """Return the error of ours that a failure to get a reply is."""
        if isinstance(error, aiohttp.ClientSSLError) and (insecure := _insecure(error)):
            return AccessError(f"{self._where}: {insecure}")
        if isinstance(error, aiohttp.ClientConnectorError) and self._is_unknown(error):
            return AccessError(f"{self._where}: {_reason(error)}; check {self._named}")
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return self._unreachable(_reason(error), lost=False)
        if isinstance(error, TimeoutError):
            return self._unreachable(f"no answer in {timeout_seconds:.0f} s", lost=True)
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return self._refused(error)
        if isinstance(error, aiohttp.ClientResponseError):
            said = shown(" ".join(error.message.split()))[:200]  # its text has the address
            return TransientError(f"the reply isn't HTTP that can be read ({said})", lost=True)
        return self._unreachable(_reason(error), lost=True)

    def _refused(self, error: aiohttp.ClientHttpProxyError) -> BackendError:
        said = f"the proxy refuses (HTTP {error.status}: {shown(error.message)[:200]})"
        if error.status == _PROXY_LOGIN:
            return AccessError(f"{self._where}: {said}; check {self._named}")
        return self._unreachable(said, lost=False)

    def _is_unknown(self, error: aiohttp.ClientConnectorError) -> bool:
        """Return True if nobody knows the host. Later on that may pass, as any outage does."""
        cause = error.os_error
        nobody = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
        return not self._answered and isinstance(cause, socket.gaierror) and cause.errno in nobody

    @property
    def _named(self) -> str:
        return self._proxy.name if self._proxy else "--base-url"

    @property
    def _where(self) -> str:
        by = f" by the proxy of {self._proxy.name}" if self._proxy else ""
        return f"{self.base_url} can't be reached{by}"

    def _unreachable(self, reason: str, *, lost: bool) -> UnreachableError:
        return UnreachableError(f"{self._where}: {reason}", lost=lost)


@lru_cache(maxsize=64)
def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)


def _redirected(url: str, reply: Reply, path: str) -> str | None:
    """Return where a redirect leads on the same host; None if it goes elsewhere."""
    if not reply.headers.get("location"):
        return None
    try:
        here, there = urlsplit(url), urlsplit(urljoin(url, reply.headers["location"]))
        upgraded = (here.scheme, there.scheme) == ("http", "https")
        same = (here.hostname, here.scheme, here.port) == (there.hostname, there.scheme, there.port)
        safe = here.hostname == there.hostname and upgraded and not (here.port or there.port)
    except ValueError:
        return None
    if not (same or safe) or there.username or not there.path.rstrip("/").endswith(path):
        return None
    return urlunsplit(there)


def _insecure(error: aiohttp.ClientSSLError) -> str | None:
    """Return what no waiting mends of a connection's security; None if it only broke."""
    reason = _reason(error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError) or "CERTIFICATE" in reason:
        return (
            f"its certificate isn't trusted ({reason}); if your company or your server has its own,"
            " name its file in SSL_CERT_FILE"
        )
    if any(sign in reason for sign in _NO_TLS):
        return f"it speaks no TLS ({reason}); does it begin with http:// rather than https://?"
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
