"""`python -m schoolsync.serving.start MODULE`: a process of the house, started a third faster than by its own name."""

from __future__ import annotations

import signal
import sys

from schoolsync.loading import load


def main() -> int:
    """Load the module that the command line names and run its `main`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor hears Ctrl-C and tells us
    module = load(sys.argv[1])
    from schoolsync.runs.processes import run

    return run(module.main)


if __name__ == "__main__":
    sys.exit(main())
