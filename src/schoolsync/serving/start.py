"""`python -m schoolsync.serving.start MODULE`: a process of the house, started faster than by its own name.

While modules are loaded everything stays, so looking for garbage is wasted; and libraries that others load because they
happen to be installed, for what the house never does, are left out. Saves a third of the time until a server answers.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

COLOURS = ("rich",)
"""structlog loads it for coloured tracebacks on a terminal, which our logs never are."""
MODELS = ("pydantic", "attr", "attrs")
"""Litestar loads them for models that our handlers, which take and answer plain values, have none of."""


def main() -> int:
    """Load the module that the command line names and run its `main`."""
    module = load(sys.argv[1])
    from schoolsync.runs.processes import run

    return run(module.main)


def load(name: str) -> Any:  # the module: what is in it is the caller's to know
    """Load a module as the first that a process does."""
    gc.disable()
    with without(*COLOURS, *MODELS):
        module = import_module(name)
    gc.freeze()
    gc.enable()
    return module


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Inside, these modules are not to be had, as if they were not installed; those that are loaded already stay."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to say it
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


if __name__ == "__main__":
    sys.exit(main())
