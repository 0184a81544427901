"""The roster engine as a process of its own: reads a job and one question after another from standard input.

It holds DuckDB, Arrow and the directory's bulk driver, and never `sqlite3`: two SQLite libraries in one process would
break each other's locks. Answers are JSON lines on standard output; logs go to standard error. When the worker is
gone it ends at once.
"""

from __future__ import annotations

import os
import queue
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from schoolsync import fault_points, loading
from schoolsync.runs import lifeline, scratches
from schoolsync.runs.job import Failed, Job

BEHIND = 5
"""How much the engine of a large run falls behind the API and small runs, by nice: a third of their share of a core."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One question of the worker."""

    stage: str  # open, extract, validate, plan, apply, finish, close
    job: Job | None = None  # with open
    batch: int | None = None  # with apply


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far a stage is."""

    done: int
    total: int


class Result(msgspec.Struct, frozen=True, tag="result"):
    """A stage is done; `value` is one of the answers of `runs.job`, or true."""

    value: msgspec.Raw


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """A stage cannot be done."""

    failed: Failed


Answer = Progress | Result | Failure


def main() -> int:
    """Answer until the worker goes. The heavy libraries are loaded before the first question comes."""
    sys.stdout = sys.stderr  # nothing but answers may reach the worker
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    # Questions are read by a thread of their own, so that the worker's end is noticed in the middle of a stage.
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    lifeline.watch(lifeline.lines(), asked.put)
    with loading.at_once():
        from schoolsync.runs.checking import StageFailed, told
        from schoolsync.runs.stages import Stages
    if asked.empty():
        _get_ready()

    def say(answer: Answer) -> None:
        try:
            out.write(msgspec.json.encode(answer) + b"\n")
        except BrokenPipeError:
            os._exit(0)  # the worker has just gone

    stages: Stages | None = None
    behind = False
    while True:
        ask = msgspec.json.decode(asked.get(), type=Ask)
        try:
            result: Any = True  # or one of the answers of `runs.job`
            if ask.stage == "open":
                assert ask.job is not None
                if ask.job.large and not behind:
                    os.nice(BEHIND)  # of this thread and of those it begins; nobody may take it back
                    behind = True
                with told():
                    scratches.attend(Path(ask.job.scratch).parent)
                    fault_points.anew()
                    stages = Stages(ask.job, lambda done, total: say(Progress(done, total)))
            elif ask.stage == "close":
                if stages is not None:
                    stages.close()
                    stages = None
                say(Result(msgspec.Raw(msgspec.json.encode(sys.maxsize if behind else _resident()))))
                continue
            else:
                assert stages is not None, "a job comes first"
                result = stages.apply(ask.batch or 0) if ask.stage == "apply" else getattr(stages, ask.stage)()
            fault_points.reach(f"engine-{ask.stage}")
            say(Result(msgspec.Raw(msgspec.json.encode(result))))
            if stages is not None:
                stages.go_ahead()
        except StageFailed as problem:
            say(Failure(problem.failed))


def _get_ready() -> None:
    """Do while nobody waits what most runs need."""
    from schoolsync import roster_engine

    roster_engine.open_ahead()
    import_module("schoolsync.targets.sqlite")


def _resident() -> int:
    """Bytes of memory that this process has; where that is not told, more than anybody allows."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        return sys.maxsize
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
