"""A new API is one new class: a run speaks it, and everything else stays as it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

import pipeline
from tests.backends.apis.toy import Toy


class Handler(BaseHTTPRequestHandler):
    """Answers with the words backwards; the first time it says nothing."""

    asked: list[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(f"{self.path} {body['ask']}")
        words = body["ask"].split()
        reply = {"said": " ".join(reversed(words)), "words": [len(words)] * 2}
        data = json.dumps(reply if len(self.asked) > 1 else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def served(asked: list[str]) -> Iterator[str]:
    handler = type("Asked", (Handler,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def test_a_run_speaks_an_api_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "")
    asked: list[str] = []
    frame = pd.DataFrame({"text": ["one two", "three four"]})
    with served(asked) as url:
        for _ in range(2):  # the second time from the journal
            found = pipeline.run(
                frame,
                instruction="Turn it round.",
                api=Toy(),
                model="toy",
                base_url=url,
                price=(1, 2),
                max_concurrency=1,
            )
    assert list(found["output"]) == ["two one", "four three"]
    assert list(found["model"]) == ["toy-1"] * 2
    assert list(found["attempts"]) == [2, 1]
    assert found["cost_usd"].tolist() == pytest.approx([6e-6, 6e-6])
    assert sorted(asked) == ["/v1/toy one two"] * 2 + ["/v1/toy three four"]
