"""Named places in a run at which tests end or freeze a process; in production every one of them is an empty call.

A test names a file in the environment and writes into it which points shall kill, one a line, such as `engine-apply 3`
for the third batch of a run in a process. Whoever reaches the first of them takes its line out and dies: one line is
one death. With `freeze` behind it the process is stopped (SIGSTOP) until the test, which may do to the world what it
likes meanwhile, has it go on. docs/operations.md lists the points. Beside that file, in one that ends in
`.trace`, processes say what they begin, so that a test can tell what was begun twice.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "SCHOOLSYNC_FAULT_POINTS"

POINTS: Mapping[str, str] = {
    "worker-taken": "a run was taken up, nothing was begun",
    "engine-extract": "the files are read, nobody knows yet",
    "engine-validate": "the rules have run, nobody knows yet",
    "worker-verified": "the verification is written down, the step is not",
    "engine-plan": "the plan is stored, nobody knows yet",
    "worker-planned": "the plan is written down, the step is not",
    "engine-writing": "a batch and its ledger entry are written, not committed",
    "engine-apply": "a batch and its ledger entry are committed, nobody knows yet",
    "worker-applied": "a batch is written down, the step is not",
    "engine-finish": "the snapshot is kept, nobody knows yet",
    "worker-finished": "the end is written down, the step is not",
}

_file = os.environ.get(VARIABLE)
_reached: Counter[str] = Counter()


def _nothing(point: str) -> None:
    """What a point is when no test has asked for more."""


def _untold(what: str) -> None:
    """What is begun, when no test asks."""


def anew() -> None:
    """Count from the beginning: the process begins another run."""
    _reached.clear()


def _deadly(point: str) -> None:
    assert _file is not None, "only an armed process gets here"
    _reached[point] += 1
    with contextlib.suppress(OSError):
        first, *others = Path(_file).read_text("utf-8").splitlines()
        name, freezes, _ = first.partition(" freeze")
        if name in {point, f"{point} {_reached[point]}"}:
            Path(_file).unlink()
            if others:
                Path(_file).write_text("\n".join(others), "utf-8")
            os.kill(os.getpid(), signal.SIGSTOP if freezes else signal.SIGKILL)


def _tell(what: str) -> None:
    assert _file is not None, "only an armed process gets here"
    with contextlib.suppress(OSError), Path(f"{_file}.trace").open("a", encoding="utf-8") as trace:
        trace.write(f"{what}\n")


reach = _nothing if _file is None else _deadly
begin = _untold if _file is None else _tell
