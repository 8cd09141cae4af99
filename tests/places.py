"""Places on loopback: an S3 server (moto's) and a web server. Nothing of ours is replaced."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

ACCOUNT = "123456789012"  # moto's own


@dataclass(slots=True)
class S3:
    """A running S3 server; `env` leads there, `calls` are the requests that it got."""

    url: str
    env: dict[str, str]
    calls: list[str] = field(default_factory=list)

    def put(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Put objects into a bucket, made if there is none (0.1 ms each)."""
        backend = self._backend()
        if bucket not in backend.buckets:
            backend.create_bucket(bucket, "us-east-1")
        for key, data in objects.items():
            backend.put_object(bucket, key, data)

    def get(self, bucket: str) -> dict[str, bytes]:
        """Give all that is in a bucket."""
        keys = self._backend().buckets[bucket].keys
        return {name: key.value for name, key in keys.items()}

    def uploads(self, bucket: str) -> list[str]:
        """List the uploads that were begun and neither ended nor thrown away."""
        return list(self._backend().buckets[bucket].multiparts)

    def remove(self, bucket: str, key: str) -> None:
        """Take an object away."""
        self._backend().delete_object(bucket, key)

    def reset(self) -> None:
        """Forget all buckets and calls."""
        self._backend().reset()
        self.calls.clear()

    @contextmanager
    def denying(self) -> Iterator[None]:
        """Let nobody do anything for a while."""
        self._permit_first(0)
        try:
            yield
        finally:
            self._permit_first(10**9)

    def _permit_first(self, count: int) -> None:
        plain = {"Content-Type": "text/plain"}
        asked = Request(f"{self.url}/moto-api/reset-auth", str(count).encode(), plain)
        urlopen(asked, timeout=10).close()

    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"]


@contextmanager
def serve_s3() -> Iterator[S3]:
    """Run an S3 server."""
    from moto.server import ThreadedMotoServer

    calls: list[str] = []
    log = logging.getLogger("werkzeug")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(_Note(calls))
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        env = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        yield S3(url, env, calls)
    finally:
        server.stop()


class _Note(logging.Handler):
    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self._calls = calls

    def emit(self, record: logging.LogRecord) -> None:
        self._calls.append(record.getMessage())


@dataclass(frozen=True, slots=True)
class Page:
    """What a web server answers for a path. `length` is the length that it says, `location` where
    it sends who asks.
    """

    body: bytes = b""
    kind: str = "application/octet-stream"
    status: int = 200
    length: int | None = None
    location: str | None = None


@contextmanager
def serve_web(pages: Mapping[str, Page]) -> Iterator[str]:
    """Run a web server; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = self._begin()
            self.wfile.write(page.body)

        def do_HEAD(self) -> None:
            self._begin()

        def log_message(self, *_: object) -> None:
            pass

        def _begin(self) -> Page:
            page = pages.get(self.path.partition("?")[0], Page(status=404))
            self.send_response(page.status)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(page.length or len(page.body)))
            if page.location is not None:
                self.send_header("Location", page.location)
            self.end_headers()
            return page

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
