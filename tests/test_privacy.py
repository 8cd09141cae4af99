"""What leaves the machine: the rows and the key, to one server, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.running import ROOT, environment
from tests.server import Server

# Runs the command line and says each address that it looks up or connects to.
WATCH = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
places = Path(sys.argv.pop(1))
sys.argv[0] = "pipeline"
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = args[1] if event != "socket.getaddrinfo" else args[:2]
        with places.open("a") as file:
            print(json.dumps(list(address)[:2], default=str), file=file)
sys.addaudithook(watch)
from pipeline.cli import main
main()
"""
HEADERS = {
    "host",
    "authorization",
    "accept",
    "accept-encoding",
    "content-type",
    "content-length",
    "user-agent",
    # The OpenAI library tells its version, the system, the processor and the version of Python.
    "x-stainless-lang",
    "x-stainless-package-version",
    "x-stainless-os",
    "x-stainless-arch",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-async",
    "x-stainless-retry-count",
    "x-stainless-read-timeout",
}


def watched(folder: Path, *command: str, **variables: str) -> set[tuple[object, ...]]:
    """Run a command; return the hosts and ports that it turned to."""
    places = folder / "places"
    places.touch()
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(ROOT), str(places), *command],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {tuple(json.loads(line)) for line in places.read_text().splitlines()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text("id,text\n1,Hello\n2,Bye\n")
    return tmp_path


def test_a_run_turns_to_its_server_alone(folder: Path, server: Server) -> None:
    command = (
        "summarize",
        "in.csv",
        "-o",
        "out.csv",
        "--base-url",
        server.base_url,
        "--model",
        "gpt-6-luna",
    )
    places = watched(folder, *command, OPENAI_API_KEY="sk-mine")
    assert places == {("127.0.0.1", urlsplit(server.base_url).port)}


def test_without_a_server_nothing_is_turned_to(folder: Path) -> None:
    assert watched(folder, "summarize", "in.csv", "-o", "out.csv", "--model", "echo") == set()
    estimate = ("estimate", "in.csv", "-p", "summarize", "--model", "gpt-6-luna")
    assert watched(folder, *estimate, OPENAI_API_KEY="sk-mine") == set()
    assert watched(folder, "models") == set()


def test_a_request_says_nothing_of_the_machine_but_its_kind(folder: Path, server: Server) -> None:
    command = (
        "summarize",
        "in.csv",
        "-o",
        "out.csv",
        "--base-url",
        server.base_url,
        "--model",
        "m",
    )
    watched(folder, *command, OPENAI_API_KEY="sk-mine")
    for record in server.tally.records:
        lines = record.head.split("\r\n")[1:]
        names = {line.partition(":")[0].lower() for line in lines if line}
        assert names - HEADERS == set()
        assert str(folder) not in record.head + record.body
