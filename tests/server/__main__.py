"""The server as a process: `python -m tests.server --behaviour '{"latency_seconds": 0.2}'`.

Prints its base URL on the first line and that of its control port on the second, and runs until it
is ended, or with `--with-stdin` until its standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from .behaviour import Behaviour, load
from .site import HOST, Site


async def serve(behaviour: Behaviour, port: int, *, with_stdin: bool) -> None:
    site = Site(behaviour, time.monotonic)
    await site.open(port)
    print(f"http://{HOST}:{site.port}/v1\nhttp://{HOST}:{site.control_port}", flush=True)
    over = asyncio.Event()
    if with_stdin:
        fileno = sys.stdin.fileno()

        def read() -> None:
            if not os.read(fileno, 1024):
                over.set()

        asyncio.get_running_loop().add_reader(fileno, read)
    await over.wait()
    await site.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", default="{}", help="JSON: the fields of Behaviour to set")
    parser.add_argument("--with-stdin", action="store_true", help="end when standard input does")
    given = parser.parse_args()
    asyncio.run(serve(load(given.behaviour.encode()), given.port, with_stdin=given.with_stdin))


if __name__ == "__main__":
    main()
