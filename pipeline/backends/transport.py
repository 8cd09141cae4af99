"""The HTTP client under the SDK: one aiohttp POST for each request.

httpx2's own pool, auth and event layers cost three times the CPU of everything else that a row
needs (benchmarks/rows.py). The SDK reads little of a request and of a good response, and is given
just that; for an error it gets the whole thing, from which it makes its exceptions.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import httpx2
import truststore


class Outgoing:
    """What the SDK reads of a request that it had built."""

    __slots__ = ("content", "headers", "method", "timeout", "url")

    def __init__(
        self, method: str, url: str, headers: dict[str, str], content: bytes, timeout: float | None
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.content = content
        self.timeout = timeout


class Incoming:
    """What the SDK, and we, read of a good response."""

    __slots__ = ("content", "headers", "request", "status_code")

    def __init__(
        self, status_code: int, headers: Mapping[str, str], content: bytes, request: Outgoing
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.content = content
        self.request = request

    def raise_for_status(self) -> Incoming:
        return self


class Transport(httpx2.AsyncClient):
    """An `http_client` for AsyncOpenAI that sends by aiohttp. Not for streams."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._proxy = _proxy(base_url)
        self._session: aiohttp.ClientSession | None = None

    def build_request(  # type: ignore[override]  # the SDK's one way of calling it
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content: bytes = b"",
        timeout: httpx2.Timeout | float | None = None,
        **_: Any,
    ) -> httpx2.Request:
        """Keep the parts as they are; aiohttp wants them so."""
        seconds = timeout.read if isinstance(timeout, httpx2.Timeout) else timeout
        return cast(httpx2.Request, Outgoing(method, url, dict(headers), content, seconds))

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Send it. Raises httpx2's ConnectError when nothing was sent, ReadError or ReadTimeout
        when the answer was lost on its way.
        """
        sent = cast(Outgoing, request)
        try:
            async with self._open().request(
                sent.method,
                sent.url,
                data=sent.content,
                headers=sent.headers,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=sent.timeout, sock_connect=30),
            ) as reply:
                content = await reply.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise httpx2.ConnectError(_reason(error)) from error
        except TimeoutError as error:
            raise httpx2.ReadTimeout(f"no answer in {sent.timeout:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.ReadError(_reason(error)) from error
        if reply.status < 300:
            return cast(httpx2.Response, Incoming(reply.status, reply.headers, content, sent))
        return httpx2.Response(
            reply.status,
            headers=[
                (name, value)
                for name, value in reply.headers.items()
                if name.lower() != "content-encoding"  # aiohttp has decoded it
            ],
            content=content,
            request=httpx2.Request(sent.method, sent.url),
        )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._session = aiohttp.ClientSession(
                # limit=0: how many are in flight is the gate's business.
                connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=60),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
        await super().aclose()


def _proxy(url: str) -> str | None:
    """Find the proxy of the environment once; aiohttp's `trust_env` looks for each request anew,
    in files too, which costs more than the request.
    """
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _reason(error: BaseException) -> str:
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
