"""A million people from `start` to success on either database, beside the floors of the same run.

The floors: the bare DuckDB parse and bulk load of the same rows into tables without indexes, and the sha256 of the
files.

make bench                                               # a million people on both databases; writes MILLION.md
python -m benchmarks.million --people 20000 --rounds 1   # a quick look, prints only
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.databases import Cluster, binaries

from benchmarks.__main__ import MIB, free_port, machine
from benchmarks.server import MemoryWatch, Server
from schoolsync.testing import rosters

RESULTS = Path(__file__).parent / "MILLION.md"
PEOPLE = 1_000_000
MEMORY = 1536  # MiB, all processes of an installation
LOAD = """
import sys, duckdb
database, *files = sys.argv[1:]
if database.startswith("postgresql:"):
    import adbc_driver_postgresql.dbapi as driver
else:
    import adbc_driver_sqlite.dbapi as driver
work = duckdb.connect()
with driver.connect(database) as connection:
    for number, path in enumerate(files):
        rows = work.sql(f"SELECT * FROM read_csv('{path}', all_varchar=true, header=true)").to_arrow_reader(131072)
        with connection.cursor() as cursor:
            cursor.adbc_ingest(f"bare_{number}", rows, mode="create")
    connection.commit()
"""
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on"}
DURABLE |= {"shared_buffers": "256MB", "max_wal_size": "4GB", "max_connections": "50"}


@dataclass
class Times:
    """What one database took, over the rounds."""

    load: list[float] = field(default_factory=list)
    sha256: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    churn: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def main() -> int:
    """Write two days of a roster and synchronize both, on every database that is here."""
    parser = argparse.ArgumentParser(prog="benchmarks.million", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    options = parser.parse_args()
    kinds = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    found = {kind: Times() for kind in kinds}
    size = {"people": options.people, "classes": options.people * 3 // 10, "enrollments": options.people * 9}
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name, ExitStack() as stack:
        base, changed = Path(name, "base"), Path(name, "changed")
        rosters.write(base, **size, seed=1)
        rosters.write(changed, **size, seed=1, churn=0.01)
        cluster = stack.enter_context(durable_cluster()) if "postgresql" in kinds else None
        for number in range(options.rounds):
            for kind, times in found.items():
                folder = Path(name, f"{kind}{number}")
                folder.mkdir()
                _round(folder, cluster if kind == "postgresql" else None, base, changed, times)
                shutil.rmtree(folder)
                print(f"round {number + 1} on {kind}: first sync {times.first[-1]:.2f} s", flush=True)
    lines = [line for kind, times in found.items() for line in _table(kind, times)]
    print("\n".join(lines))
    if options.people == PEOPLE and options.rounds >= 3 and options.database == "both":
        RESULTS.write_text("\n".join([*_heading(options.rounds, size), *lines]), encoding="utf-8")
    return 0


@contextmanager
def durable_cluster() -> Iterator[Cluster]:
    """A PostgreSQL that loses nothing in a power cut, as in a district."""
    programs = binaries()
    if programs is None:
        raise SystemExit("There is no PostgreSQL here: install version 15 or newer, or ask for --database sqlite.")
    cluster = Cluster.start(programs, DURABLE)
    cluster.keep()  # it goes when we have gone, however we end
    held = cluster.hold()
    assert held is not None
    try:
        yield cluster
    finally:
        os.close(held)


def _round(folder: Path, cluster: Cluster | None, base: Path, changed: Path, times: Times) -> None:
    files = sorted(base.glob("*.csv"))
    with ExitStack() as stack:
        bare = str(folder / "bare.db") if cluster is None else stack.enter_context(cluster.database())
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", LOAD, bare, *map(str, files)], check=True)
        times.load.append(time.perf_counter() - began)
    (folder / "bare.db").unlink(missing_ok=True)
    began = time.perf_counter()
    for path in files:
        with path.open("rb") as content:
            hashlib.file_digest(content, "sha256")
    times.sha256.append(time.perf_counter() - began)
    with ExitStack() as stack:
        settings = {} if cluster is None else {"database_url": stack.enter_context(cluster.database())}
        server = stack.enter_context(Server(folder, free_port(), settings))
        watch = MemoryWatch(server.process.pid)
        watch.start()
        profile = server.create_profile()
        for series, roster in ((times.first, base), (times.second, base), (times.churn, changed)):
            server.upload(profile, roster)
            series.append(server.sync(profile))
        watch.stopping.set()
        watch.join()
        times.memory.append(watch.peak_pss / MIB)


def _table(kind: str, times: Times) -> list[str]:
    on_sqlite = kind == "sqlite"
    load, sha256 = statistics.median(times.load), statistics.median(times.sha256)
    rows = [
        ("bare parse and bulk load, no indexes (process)", times.load, load, "floor"),
        ("first sync", times.first, load, "30 s, 3 × the load" if on_sqlite else "35 s, 3 × the load"),
        ("unchanged second sync", times.second, load, f"{2 * sha256 + 1.5:.1f} s: 2 × sha256 + 1.5 s"),
        ("1 % changed", times.churn, load, "10 s" if on_sqlite else "12 s"),
        ("sha256 of the files", times.sha256, load, "floor"),
    ]
    return [
        f"## {'SQLite' if on_sqlite else 'PostgreSQL'}",
        "",
        "| work | median s | range s | × load | to reach |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {statistics.median(all_):.2f} | {min(all_):.2f}–{max(all_):.2f} "
            f"| {statistics.median(all_) / floor:.2f} | {limit} |"
            for name, all_, floor, limit in rows
        ),
        "",
        f"Peak memory of all our processes together (proportional set size): {max(times.memory):.0f} MiB. To reach: "
        f"under {MEMORY} MiB.{'' if on_sqlite else ' The PostgreSQL itself is not in it.'}",
        "",
    ]


def _heading(rounds: int, size: dict[str, int]) -> list[str]:
    return [
        "# A million people",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}, {rounds} rounds, each with a fresh server and "
        f"database: {size['people']:,} people, {size['classes']:,} classes, {size['enrollments']:,} enrollments; "
        "seconds from sending `start` until `profileStatus` reads `success`, through the HTTP API.",
        machine(),
        "The directory is the built-in one on the same machine (no network to a cloud directory is in these figures).",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
