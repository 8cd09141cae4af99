"""The child process of the embedded model: serve one model file until standard input ends.

Not imported by the program: llama.cpp crashes a process that ends while it answers, so it has one
of its own, which ends without cleaning up.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from xllamacpp import CommonParams, Server


def main(file: str, context_tokens: str) -> None:
    """Print the address once the model is loaded, then serve."""
    params = CommonParams()
    params.model.path = file
    params.n_parallel = 1  # more at once gain nothing on one thread
    params.n_ctx = int(context_tokens)
    params.warmup = False
    params.cpuparams.n_threads = _threads()
    params.cpuparams_batch.n_threads = _threads()
    params.verbosity = -1
    params.model_alias = {Path(file).stem}  # what `model` of the replies says
    params.sampling.penalty_repeat = 1.15  # so small a model says one thing over and over
    params.sampling.penalty_last_n = 256
    server = Server(params)
    print(server.listening_address, flush=True)  # noqa: T201  # its parent reads it
    sys.stdin.read()
    os._exit(0)


def _threads() -> int:
    """Leave half of the cores free: two threads on two cores wait for each other (13 x slower)."""
    return max(1, (os.cpu_count() or 1) // 2)
