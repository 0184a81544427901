"""How processes of the house load what they are made of: at once, and without what they never use.

While modules are loaded everything stays, so looking for garbage is wasted; and libraries that others load because they
happen to be installed, for what the house never does, are left out. Standard library alone.
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
MODELS = ("pydantic", "attr", "attrs", "annotated_types")
"""Litestar loads them for models that our handlers, which take and answer plain values, have none of."""


def load(name: str) -> Any:  # the module: what is in it is the caller's to know
    """Load a module as one of the first that a process does."""
    with at_once(), without(*COLOURS, *MODELS):
        return import_module(name)


@contextmanager
def at_once() -> Iterator[None]:
    """Inside, modules are loaded and nobody looks for garbage; what was made stays for as long as the process."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


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
