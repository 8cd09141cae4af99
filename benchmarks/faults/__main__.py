"""Play the scenarios and print the table."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.faults.scenarios import SCENARIOS


def main(letters: list[str]) -> int:
    """Play these scenarios, or all; give 1 if a target was missed."""
    missed = 0
    print("| | scenario | to reach | measured | |\n|---|---|---|---|---|")
    for scenario in SCENARIOS:
        if letters and scenario.letter not in letters:
            continue
        with tempfile.TemporaryDirectory() as folder:
            verdict = scenario.play(Path(folder))
        missed += not verdict.reached
        cells = (scenario.letter, scenario.what, scenario.target, verdict.measured)
        print(f"| {' | '.join(cells)} | {'yes' if verdict.reached else 'NO'} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
