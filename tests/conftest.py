"""Fixtures that every test may use. Nothing of the program's own is replaced here."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    # `pytest`, unlike `python -m pytest`, doesn't put the root there, where `tests.server` is.
    sys.path.insert(0, str(ROOT))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As of a shell's background job; what the tests start would ignore Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

from tests import running  # noqa: E402
from tests.places import S3, serve_s3  # noqa: E402
from tests.server import Server  # noqa: E402


@pytest.fixture
def server() -> Iterator[Server]:
    """Run an OpenAI server on loopback that answers rightly until told otherwise."""
    with Server() as started:
        yield started


@pytest.fixture(autouse=True, scope="module")
def _ended() -> Iterator[None]:
    yield
    running.end_all()


@pytest.fixture(scope="session")
def _s3() -> Iterator[S3]:
    with serve_s3() as started:
        yield started


@pytest.fixture
def s3(_s3: S3) -> S3:
    """Give an S3 server on loopback that is empty."""
    _s3.reset()
    return _s3
