"""How far a run is, while a command waits for it: one line that moves on a terminal, plain lines anywhere else.

It goes to standard error, so that what a script reads from standard output stays clean; with --json there is none.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from schoolsync.cli.words import duration, size

EVERY = 10.0
"""Seconds between two plain lines about the same stage."""
WIDTH = 78


class Progress:
    """Tells how far runs are. Called with what the server says of one; ended by a run that has ended or waits."""

    def __init__(self, *, quiet: bool) -> None:
        self._terminal = sys.stderr.isatty()
        self._quiet = quiet
        self._stage: str | None = None
        self._said = 0.0

    def sending(self, name: str, *, done: int, total: int, seconds: float) -> None:
        """So many bytes of all files have been sent, `name` is at work."""
        parts = [f"sending {name}", f"{size(done)} of {size(total)}"]
        if seconds >= 1 and done:
            parts += [f"{size(done / seconds)}/s", f"{duration((total - done) * seconds / done)} left"]
        self._tell("sending", "  ".join(parts))

    def over(self) -> None:
        """Nothing is at work any more: a line that moved goes."""
        if self._terminal and not self._quiet:
            print(f"\r{'':<{WIDTH}}", end="\r", file=sys.stderr, flush=True)

    def __call__(self, run: dict[str, Any]) -> None:  # a run as JSON: values of any type
        if run["ended"] or run["state"] in {"held", "paused"}:
            self.over()
            return
        stage = run["stage"] if run["stage"] and run["state"] != "queued" else run["state"]
        done = run["progress"]
        parts = [stage]
        if done["rowsTotal"]:
            parts.append(f"{done['rowsDone']:,} of {done['rowsTotal']:,} rows")
        if done["rate"] is not None:
            parts.append(f"{done['rate']:,.0f} rows/s")
        if done["secondsLeft"] is not None:
            parts.append(f"{duration(done['secondsLeft'])} left")
        self._tell(stage, "  ".join(parts))

    def _tell(self, stage: str, text: str) -> None:
        if self._quiet:
            return
        if self._terminal:
            print(f"\r{text[:WIDTH]:<{WIDTH}}", end="", file=sys.stderr, flush=True)
            return
        now = time.monotonic()
        if stage != self._stage or now - self._said >= EVERY:
            print(text, file=sys.stderr, flush=True)
            self._stage, self._said = stage, now
