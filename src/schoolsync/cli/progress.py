"""How far a run is, while a command waits for it: a bar that moves on a terminal, plain lines anywhere else.

It goes to standard error, so that what a script reads from standard output stays clean; with --json there is none.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from schoolsync.cli.words import duration, size

EVERY = 10.0
"""Seconds between two plain lines about the same stage."""
WIDTH = 80
"""Columns of a terminal that does not say how many it has."""
BAR = 20
NARROW = 50
"""Terminals with fewer columns get the percentage without the bar."""


class Progress:
    """Tells how far runs are. Called with what the server says of one; ended by a run that has ended or waits."""

    def __init__(self, *, quiet: bool) -> None:
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._quiet = quiet
        self._stage: str | None = None
        self._said = 0.0
        self._shown = 0  # columns that the line takes

    def sending(self, name: str, *, done: int, total: int, seconds: float) -> None:
        """So many bytes of all files have been sent, `name` is at work."""
        parts = [f"{size(done)} of {size(total)}"]
        if seconds >= 1 and done:
            parts += [f"{size(done / seconds)}/s", f"{duration((total - done) * seconds / done)} left"]
        self._tell("sending", f"sending {name}", parts, done=done, total=total)

    def over(self) -> None:
        """Nothing is at work any more: a line that moved goes."""
        if self._terminal and self._shown:
            print(f"\r{'':<{self._shown}}", end="\r", file=sys.stderr, flush=True)
            self._shown = 0

    def __call__(self, run: dict[str, Any]) -> None:  # a run as JSON: values of any type
        if run["ended"] or run["state"] in {"held", "paused"}:
            self.over()
            return
        stage = run["stage"] if run["stage"] and run["state"] != "queued" else run["state"]
        done = run["progress"]
        parts = []
        if done["rowsTotal"]:
            parts.append(f"{done['rowsDone']:,} of {done['rowsTotal']:,} rows")
        if done["rate"] is not None:
            parts.append(f"{done['rate']:,.0f} rows/s")
        if done["secondsLeft"] is not None:
            parts.append(f"{duration(done['secondsLeft'])} left")
        elif done["stageSecondsLeft"] is not None:
            parts.append(f"{duration(done['stageSecondsLeft'])} left in this stage")
        self._tell(stage, stage, parts, done=done["rowsDone"], total=done["rowsTotal"])

    def _tell(self, stage: str, doing: str, parts: list[str], *, done: int, total: int | None) -> None:
        if self._quiet:
            return
        if self._terminal:
            columns = _columns() - 1  # in the last column some terminals begin a new line
            text = "  ".join([doing, *_bar(done, total, columns), *parts])[:columns]
            print(f"\r{text:<{min(self._shown, columns)}}", end="", file=sys.stderr, flush=True)
            self._shown = len(text)
            return
        now = time.monotonic()
        if stage != self._stage or now - self._said >= EVERY:
            print("  ".join([doing, *parts]), file=sys.stderr, flush=True)
            self._stage, self._said = stage, now


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or WIDTH
    except OSError:
        return WIDTH


def _bar(done: int, total: int | None, columns: int) -> list[str]:
    """How much of all is done, drawn in what the terminal can show; nothing where nobody knows how much that is."""
    if not total:
        return []
    share = min(max(done / total, 0.0), 1.0)
    percent = f"{share:4.0%}"
    if columns < NARROW:
        return [percent]
    full, empty = "█░" if (sys.stderr.encoding or "").lower().replace("-", "") == "utf8" else "#-"
    filled = int(share * BAR)
    return [f"{full * filled}{empty * (BAR - filled)} {percent}"]
