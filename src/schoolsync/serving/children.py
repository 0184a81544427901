"""How a process of the house is started, and one that is started ahead: before anybody has read the command line.

A server in memory is to be there at once, and its API process can load what it is made of meanwhile. Until its first
line comes it knows nothing and does nothing; when that never comes, it ends. Standard library alone.
"""

from __future__ import annotations

import os
import subprocess
import sys

MEMORY = "schoolsync.serving.memory"
"""The module that a server in memory consists of."""
SEEDED = "seeded"
"""The word that tells it to have a roster engine ready."""

_ahead: subprocess.Popen[bytes] | None = None


def start(module: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a process of the house; its first line is what it is told to do."""
    return subprocess.Popen(
        [sys.executable, "-m", "schoolsync.serving.start", module, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
    )


def start_ahead(words: list[str]) -> None:
    """Start what a command line is going to need, where a glance at it tells."""
    global _ahead
    if words[:1] == ["serve"] and "--memory" in words:
        seeded = any(word.partition("=")[0] == "--seed-roster" for word in words)
        _ahead = start(MEMORY, *([SEEDED] if seeded else []))


def started(module: str, *words: str) -> subprocess.Popen[bytes]:
    """The process that was started ahead, if it is of this module, or one that is started now with `words`."""
    global _ahead
    process, _ahead = _ahead if module == MEMORY else None, None
    return process or start(module, *words)
