"""What others notice while one tenant synchronizes a million people on the same machine.

Requests are due at fixed times whatever the server does, and a latency counts from when the request was due. Tenants
of 100 people synchronize one after the other: alone on the server first, then beside the large one.

make bench                                               # a million people on both databases; writes BESIDE.md
python -m benchmarks.beside --people 50000 --small 5     # a quick look, prints only
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg

from benchmarks.__main__ import free_port, machine
from benchmarks.many import Tenants
from benchmarks.million import durable_cluster
from benchmarks.server import BEGUN
from schoolsync.testing import rosters

RESULTS = Path(__file__).parent / "BESIDE.md"
PEOPLE, SMALL, ALONE = 1_000_000, 100, 20
EVERY = 0.1
"""Seconds between two requests of a kind."""
LONGEST = 100.0
"""Milliseconds that 99 of 100 requests, and every write transaction on shared tables, may take."""
SHARED = ("tenants", "profiles", "profile_status", "runs", "uploads", "upload_files", "audit", "audit_heads")
WATCH = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start)), 0) * 1000,
        coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start)) FILTER (WHERE a.query <> 'COMMIT'), 0) * 1000
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.mode = 'RowExclusiveLock' AND l.relation = ANY (%s::regclass[]::oid[])
"""


@dataclass
class Found:
    """What one database showed: milliseconds of every request, seconds of every small synchronization."""

    asked: dict[str, list[float]] = field(default_factory=dict)
    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    large: float = 0.0
    written: float | None = None  # the longest write transaction on shared tables that was seen, in milliseconds
    worked: float = 0.0  # the longest that was not yet at its commit, which waits for the disk


def main() -> int:
    """Measure on every database that is asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.beside", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--small", type=int, default=ALONE, help="small synchronizations alone")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    options = parser.parse_args()
    kinds = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name:
        size = {"people": options.people, "classes": options.people * 3 // 10, "enrollments": options.people * 9}
        rosters.write(Path(name, "large"), **size, seed=1)
        rosters.write(Path(name, "small"), people=SMALL, classes=30, enrollments=900, seed=2)
        for kind in kinds:
            folder = Path(name, kind)
            folder.mkdir()
            lines += _table(kind, _measure(kind, folder, Path(name), options.small))
    print("\n".join(lines))
    if (options.people, options.database) == (PEOPLE, "both"):
        RESULTS.write_text("\n".join([*_heading(options.people), *lines]), encoding="utf-8")
    return 0


def _measure(kind: str, folder: Path, rosters_in: Path, alone: int) -> Found:
    found, over = Found(), threading.Event()
    with ExitStack() as stack:
        url = None
        if kind == "postgresql":
            url = stack.enter_context(stack.enter_context(durable_cluster()).database())
        server = stack.enter_context(Tenants(folder, free_port(), {} if url is None else {"database_url": url}))
        tenants = [str(uuid.uuid4()) for _ in range(2)]
        (large, bearer), (idle, other) = server.profiles(tenants)
        _small(server, rosters_in / "small", found.alone, lambda: len(found.alone) >= alone)
        server.act_for(bearer)
        server.upload(large, rosters_in / "large")
        reader = server.bearer(tenants[0], roles=("EduRoster.Read.All",))
        asks: dict[str, tuple[str, str, str, dict[str, object] | None]] = {
            "GET profileStatus": ("GET", f"{large}/profileStatus", bearer, None),
            "PATCH profileStatus": ("PATCH", f"{idle}/profileStatus", other, {"statusMessage": "Seen by the monitor."}),
            "a page of 100 users": ("GET", "/v1.0/education/users", reader, None),
        }
        threads = []
        for name, (method, path, authorization, body) in asks.items():
            found.asked[name] = []
            given = (server.port, method, path, authorization, body, found.asked[name], over)
            threads.append(threading.Thread(target=_ask, args=given))
        if url is not None:
            threads.append(threading.Thread(target=_watch, args=(url, found, over)))
        began = time.perf_counter()
        server.http.post(f"{large}/start").raise_for_status()
        with _running(threads, over):
            _small(server, rosters_in / "small", found.beside, lambda: not _runs(server, large, bearer))
        found.large = time.perf_counter() - began
        server.act_for(bearer)
        status = server.status(large)["status"]
        if status != "success":
            raise RuntimeError(f"the large synchronization ended {status}")
    return found


@contextmanager
def _running(threads: list[threading.Thread], over: threading.Event) -> Iterator[None]:
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _runs(server: Tenants, profile: str, bearer: str) -> bool:
    server.act_for(bearer)
    return server.status(profile)["status"] in BEGUN


def _small(server: Tenants, roster: Path, seconds: list[float], enough: Callable[[], bool]) -> None:
    """Synchronize one small tenant after the other until it is enough."""
    while not enough():
        ((profile, _),) = server.profiles([str(uuid.uuid4())])
        server.upload(profile, roster)
        seconds.append(server.sync(profile))


def _ask(
    port: int,
    method: str,
    path: str,
    authorization: str,
    body: dict[str, object] | None,
    took: list[float],
    over: threading.Event,
) -> None:
    """One kind of request, again and again at fixed times."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        http.headers["Authorization"] = authorization
        http.request(method, path, json=body).raise_for_status()
        due = time.perf_counter()
        while not over.wait(max(0.0, due - time.perf_counter())):
            http.request(method, path, json=body).raise_for_status()
            took.append((time.perf_counter() - due) * 1000)
            due += EVERY


def _watch(url: str, found: Found, over: threading.Event) -> None:
    """How old the oldest write transaction on shared tables is, twenty times a second."""
    longest = worked = 0.0
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        named = connection.execute("SELECT relname::text FROM pg_class WHERE relname = ANY (%s)", [list(SHARED)])
        tables = [name for (name,) in named]
        while not over.wait(0.05):
            ((age, before),) = connection.execute(WATCH, [tables]).fetchall()
            longest, worked = max(longest, float(age)), max(worked, float(before))
    found.written, found.worked = longest, worked


def _table(kind: str, found: Found) -> list[str]:
    rows = []
    for name, took in found.asked.items():
        took.sort()
        at = [took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99)]
        rows.append(
            f"| {name} | {len(took):,} | {at[0]:.1f} ms | {at[1]:.1f} ms | {took[-1]:.1f} ms | {LONGEST:.0f} ms |"
        )
    alone, beside = (_p95(series) for series in (found.alone, found.beside))
    lines = [
        f"## {'SQLite' if kind == 'sqlite' else 'PostgreSQL'}",
        "",
        f"The large synchronization took {found.large:.1f} s beside all this.",
        "",
        "| request | answers | median | p99 | longest | p99 to reach |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        f"First synchronizations of {SMALL} people: p95 {alone:.2f} s alone ({len(found.alone)} times), "
        f"{beside:.2f} s beside the large one ({len(found.beside)} times), "
        f"so {beside / alone:.1f} times as long. To reach: 3.",
    ]
    if found.written is not None:
        lines += [
            "",
            f"The oldest write transaction on shared tables that was seen: {found.written:.0f} ms; before its commit, "
            f"which waits for the disk, {found.worked:.0f} ms. To reach: {LONGEST:.0f} ms.",
        ]
    return [*lines, ""]


def _p95(series: list[float]) -> float:
    return statistics.quantiles(series, n=20)[-1] if len(series) > 1 else series[0]


def _heading(people: int) -> list[str]:
    return [
        "# Beside a large synchronization",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}: a first synchronization of {people:,} people with "
        f"{people * 3 // 10:,} classes and {people * 9:,} enrollments, and what others wait meanwhile on the same "
        f"machine. Each request is made {1 / EVERY:.0f} times a second.",
        machine(),
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
