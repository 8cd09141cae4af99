"""Files that a test writes and reads at once."""

from __future__ import annotations

from pathlib import Path

from pipeline.sources.base import Extracted
from pipeline.sources.files.extract import extract


def extracted(path: Path, data: bytes) -> Extracted:
    """Write a file and read it, without an error."""
    path.write_bytes(data)
    found = extract(path)
    assert found.error is None
    return found
