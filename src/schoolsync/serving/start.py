"""`python -m schoolsync.serving.start MODULE`: a process of the house, started faster than by its own name.

While modules are loaded everything stays, so looking for garbage is wasted; and what would be loaded for coloured
tracebacks on a terminal, which our logs never are, is left out. Saves a sixth of the time until a server answers.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Any

_UNUSED = "rich"  # structlog loads it when it is there


def main() -> int:
    """Load the module that the command line names and run its `main`."""
    module = load(sys.argv[1])
    from schoolsync.runs.processes import run

    return run(module.main)


def load(name: str) -> Any:  # the module: what is in it is the caller's to know
    """Load a module as the first that a process does."""
    gc.disable()
    sys.modules[_UNUSED] = None  # type: ignore[assignment]  # the documented way to say: not to be had
    module = import_module(name)
    del sys.modules[_UNUSED]
    gc.freeze()
    gc.enable()
    return module


if __name__ == "__main__":
    sys.exit(main())
