"""The program's way in, `pipeline` or `python -m pipeline`.

First of all the working folder leaves the places that modules are imported from: in a folder that
somebody downloaded, a `socket.py` or `numpy.py` would be run in place of the real one.
"""

import os
import sys


def main() -> None:
    """Run the command line, with nothing of the working folder in it."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    named = os.environ.get("PYTHONPATH", home).split(os.pathsep)
    # An empty entry is the working folder; `site` has written them all as absolute paths.
    relative = {os.path.abspath(entry) for entry in named if not os.path.isabs(entry)} - {home}
    sys.path[:] = [entry for entry in sys.path if os.path.isabs(entry) and entry not in relative]
    from pipeline.cli import main as run

    run()


if __name__ == "__main__":
    if not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(__file__)):
        del sys.path[0]  # of `python -m`: the working folder, unless we are run from there
    main()
