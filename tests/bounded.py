"""Children whose processor time and memory the system bounds: a test of either needs no clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_LIMITS = """
import resource, sys
seconds, megabytes = int(sys.argv.pop(1)), int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
"""
_PROGRAM = "from pipeline.cli import main\nsys.argv[0] = 'pipeline'\nmain()"


def run(
    code: str, *arguments: object, seconds: int = 10, megabytes: int = 1500, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run code that may take so many seconds of a processor and so much memory."""
    pytest.importorskip("resource", reason="no limits of a process on Windows")
    limits = (str(seconds), str(megabytes))
    return subprocess.run(
        [sys.executable, "-c", _LIMITS + code, *limits, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def pipeline(
    *arguments: object, seconds: int = 10, megabytes: int = 1500, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run the program so."""
    return run(_PROGRAM, *arguments, seconds=seconds, megabytes=megabytes, cwd=cwd)
