"""An endpoint of a managed identity on loopback, as Azure's App Service has one for its programs
(https://learn.microsoft.com/azure/app-service/overview-managed-identity).
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

_SECRET = "the endpoint's own secret"


class IdentityServer:
    """Gives tokens, each another, to who knows its secret, for the resources in `asked`."""

    def __init__(self) -> None:
        self.life_seconds = 3600
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What a program finds in its environment there."""
        address = f"http://127.0.0.1:{self._server.server_port}/token"
        return {"IDENTITY_ENDPOINT": address, "IDENTITY_HEADER": _SECRET}

    def token(self, number: int) -> str:
        """Return the token that is given first, second, ..."""
        return f"eyJ0-of-the-{self._server.server_port}-number-{number}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers.get("X-IDENTITY-HEADER") == _SECRET
                resource = parse_qs(urlsplit(self.path).query).get("resource", [""])[0]
                server.asked.append(resource)
                given = {
                    "access_token": server.token(len(server.asked)),
                    "expires_on": str(int(time.time()) + server.life_seconds),
                    "resource": resource,
                    "token_type": "Bearer",
                }
                data = json.dumps(given if known else {"error": "unauthorized"}).encode()
                self.send_response(200 if known else 401)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None: ...

        return Handler
