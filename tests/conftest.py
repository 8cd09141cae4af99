"""Fixtures that every test may use. Nothing of the program's own is replaced here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    # `pytest`, unlike `python -m pytest`, doesn't put the root there, where `tests.server` is.
    sys.path.insert(0, str(ROOT))

from tests.server import Server  # noqa: E402


@pytest.fixture
def server() -> Iterator[Server]:
    """Run an OpenAI server on loopback that answers rightly until told otherwise."""
    with Server() as running:
        yield running
