"""How long a plan takes beside the bare parse of the same files, with one percent of the roster changed.

make bench                                               # a million people, nine million enrollments; writes PLANS.md
python -m benchmarks.plans --people 100000 --rounds 1    # a quick look, prints only

The engine works in this process as it does in its own; the peak memory is that of the process, reading and checking
included.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.__main__ import FLOOR
from schoolsync import ticks
from schoolsync.plan.policy import Policy
from schoolsync.runs.job import Base, Job, JobFile, Planned
from schoolsync.runs.stages import Stages
from schoolsync.testing import rosters

RESULTS = Path(__file__).parent / "PLANS.md"
PEOPLE = 1_000_000
ARENAS = "2"
"""Memory is given out as in an engine of ours, which is begun with this (`runs.engines`)."""
NOW = ticks.parse("2026-09-01T06:00:00Z")
POLICY = Policy(profile_name="Bench", domains={"student": "pupils.example", "teacher": "staff.example"})


def main() -> int:
    """Write two days of a roster, apply the first, and time the plan of the second."""
    parser = argparse.ArgumentParser(prog="benchmarks.plans", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="700MiB", help="memory_limit of the engine")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if os.environ.get("MALLOC_ARENA_MAX") != ARENAS:
        os.environ["MALLOC_ARENA_MAX"] = ARENAS
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.plans", *sys.argv[1:]])
    size = {"people": options.people, "classes": options.people // 4, "enrollments": options.people * 9}
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name:
        folder = Path(name)
        rosters.write(folder / "monday", **size)
        rosters.write(folder / "tuesday", **size, churn=0.01)
        _, base = _sync(folder, "monday", options, None)
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak so far is the first synchronization's
        floors, readings, plans = [], [], []
        planned = None
        for number in range(options.rounds):
            floors.append(_floor(folder / "tuesday"))
            reading, seconds, planned = _plan(folder, f"tuesday-{number}", options, base)
            readings.append(reading)
            plans.append(seconds)
        floor, read, plan = (statistics.median(one) for one in (floors, readings, plans))
        assert planned is not None
        memory = _peak()
        lines = [
            "| | seconds, median | of all rounds | times the floor | limit |",
            "| --- | --- | --- | --- | --- |",
            f"| bare DuckDB parse of the six files (process) | {floor:.2f} | {_span(floors)} | 1.0 | floor |",
            f"| reading and checking; the roster is kept, printed and counted | {read:.2f} | {_span(readings)} | "
            f"{read / floor:.2f} | - |",
            f"| plan with 1 % changed | {plan:.2f} | {_span(plans)} | {plan / floor:.2f} | 2.5 |",
            "",
            f"Peak memory of the process, reading and checking included: {memory:.0f} MiB (limit 1024).",
            f"Steps: {planned.steps}; held: {planned.held or 'no'}.",
        ]
        print("\n".join(lines))
        if options.people == PEOPLE and options.rounds >= 3:
            RESULTS.write_text("\n".join([*_heading(options), *lines, ""]), encoding="utf-8")
    return 0


def _peak() -> float:
    """The most memory that the process had since `clear_refs`, in MiB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _span(values: list[float]) -> str:
    return f"{min(values):.2f}–{max(values):.2f}"


def _heading(options: argparse.Namespace) -> list[str]:
    when, machine = datetime.now(UTC).date(), f"{os.cpu_count()} cores, Python {platform.python_version()}"
    return [
        "# Planning a million people",
        "",
        f"Written by `make bench` on {when}: {machine}; {options.people:,} people, {options.people * 9:,} enrollments, "
        f"{options.rounds} rounds, {options.threads} threads, `memory_limit` {options.memory}.",
        "",
    ]


def _floor(folder: Path) -> float:
    begun = time.perf_counter()
    files = [str(path) for path in sorted(folder.glob("*.csv"))]
    subprocess.run([sys.executable, "-c", FLOOR, *files], check=True)
    return time.perf_counter() - begun


def _job(folder: Path, day: str, run: str, options: argparse.Namespace, base: Base | None) -> Job:
    files = sorted((folder / day).glob("*.csv"))
    return Job(
        tenant=1,
        tenant_id="0f1e2d3c-4b5a-4697-8877-665544332211",
        profile=1,
        profile_id="bench",
        living=(1,),
        run=run,
        fence=1,
        format="sds-v1",
        files=tuple(
            JobFile(
                name=path.name,
                path=str(path),
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                size=path.stat().st_size,
            )
            for path in files
        ),
        policy=POLICY,
        directory=str(folder / "directory" / "bench.db"),
        folder=str(folder / "runs" / run),
        scratch=str(folder / "scratch" / run),
        base=base,
        ignore_findings=False,
        now=NOW + (0 if base is None else ticks.PER_SECOND),
        memory_limit=options.memory,
        threads=options.threads,
        batch_rows=100_000,
        max_rows=100_000_000,
    )


def _sync(folder: Path, day: str, options: argparse.Namespace, base: Base | None) -> tuple[Planned, Base]:
    stages = Stages(_job(folder, day, day, options, base), lambda done, total: None)
    stages.extract()
    stages.validate()
    stages.go_ahead()
    planned = stages.plan()
    for batch in range(planned.batches):
        stages.apply(batch)
    finished = stages.finish()
    stages.close()
    assert finished.snapshot is not None
    return planned, Base(
        run=day, snapshot=finished.snapshot, input_hash=finished.input_hash, position=finished.position
    )


def _plan(folder: Path, run: str, options: argparse.Namespace, base: Base) -> tuple[float, float, Planned]:
    """Seconds that reading and checking take, seconds of the plan, and what is planned."""
    stages = Stages(_job(folder, "tuesday", run, options, base), lambda done, total: None)
    began = time.perf_counter()
    stages.extract()
    stages.validate()
    stages.go_ahead()
    begun = time.perf_counter()
    planned = stages.plan()
    seconds = time.perf_counter() - begun
    stages.close()
    return begun - began, seconds, planned


if __name__ == "__main__":
    sys.exit(main())
