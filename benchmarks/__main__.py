"""First sync, unchanged second sync and a day's churn through the real API, beside the bare parse of the same files.

make bench                                          # 100 000 people, 3 rounds, writes benchmarks/RESULTS.md
python -m benchmarks --people 10000 --rounds 1      # a quick look, prints only
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.server import MemoryWatch, Server
from schoolsync.testing import rosters

FLOOR = """
import sys, duckdb
work = duckdb.connect()
for path in sys.argv[1:]:
    work.execute(f"CREATE OR REPLACE TABLE t AS SELECT * FROM read_csv('{path}', all_varchar=true, header=true)")
"""
RESULTS = Path(__file__).parent / "RESULTS.md"
MIB = 1024 * 1024


@dataclass
class Series:
    """One figure over the rounds."""

    name: str
    limit: str
    values: list[float] = field(default_factory=list)

    def row(self, floor: Series) -> str:
        median, low, high = statistics.median(self.values), min(self.values), max(self.values)
        ratio = median / statistics.median(floor.values)
        return f"| {self.name} | {median:.2f} | {low:.2f}–{high:.2f} | {ratio:.1f} | {self.limit} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    whole = options.people == 100_000 and options.rounds >= 3
    floor = Series("bare DuckDB parse of the six files (process)", "floor")
    first = Series("first sync", "10 s")
    second = Series("unchanged second sync", "2 s")
    churn = Series("1 % changed", "-")
    rss: list[int] = []
    pss: list[int] = []
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name:
        base, changed = Path(name, "base"), Path(name, "changed")
        size = {"people": options.people, "classes": options.people * 3 // 10, "enrollments": options.people * 9}
        rosters.write(base, **size, seed=1)
        rosters.write(changed, **size, seed=1, churn=0.01)
        for number in range(options.rounds):
            floor.values.append(_bare_parse(base))
            folder = Path(name, f"round{number}")
            folder.mkdir()
            with Server(folder, free_port()) as server:
                watch = MemoryWatch(server.process.pid)
                watch.start()
                profile = server.create_profile()
                for series, roster in ((first, base), (second, base), (churn, changed)):
                    server.upload(profile, roster)
                    series.values.append(server.sync(profile))
                watch.stopping.set()
                watch.join()
                rss.append(watch.peak_rss)
                pss.append(watch.peak_pss)
                arrived = {kind: server.count(kind) for kind in ("schools", "classes", "users")}
            shutil.rmtree(folder)
            print(f"round {number + 1}: arrived {arrived}", flush=True)
    lines = [
        f"{size['people']:,} people, {size['classes']:,} classes, {size['enrollments']:,} enrollments; "
        "seconds from sending `start` until `profileStatus` reads `success`, through the HTTP API.",
        "",
        "| work | median s | range s | × floor | to reach |",
        "| --- | --- | --- | --- | --- |",
        *(series.row(floor) for series in (floor, first, second, churn)),
        "",
        f"Peak memory of all processes together, median of the rounds: {statistics.median(pss) / MIB:.0f} MiB "
        f"(proportional set size), {statistics.median(rss) / MIB:.0f} MiB (resident set sizes added up, shared pages "
        "counted once per process). To reach: under 700 MiB.",
    ]
    print("\n".join(lines))
    if whole:
        RESULTS.write_text("\n".join([*_heading(options.rounds), *lines, ""]), encoding="utf-8")
    return 0


def _heading(rounds: int) -> list[str]:
    return [
        "# Measured",
        "",
        f"`make bench` on {datetime.now(UTC):%Y-%m-%d}, {rounds} rounds, each with a fresh server and data folder.",
        machine(),
        "Absolute seconds depend on the machine; the ratio to the floor, measured in the same run, travels better.",
        "The directory is the built-in one on the same machine (no network to a cloud directory is in these figures).",
        "",
    ]


def machine() -> str:
    """What the figures were measured on."""
    import duckdb

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"Machine: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB memory, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, DuckDB {duckdb.__version__}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _bare_parse(roster: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", FLOOR, *map(str, sorted(roster.glob("*.csv")))], check=True)
    return time.perf_counter() - began


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
