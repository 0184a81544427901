"""The Graph API under load, beside bare handlers of the same framework and server in the same run.

make bench                                                            # a million requests; writes benchmarks/API.md
python -m benchmarks.api --rounds 1 --seconds 2 --requests 20000      # a quick look, prints only
python -m benchmarks.api --database sqlite                            # one database alone
python -m benchmarks.api --watch postgresql                           # memory over all requests on this one alone

The load comes from a process of its own (`benchmarks.load`), the floors from another (`benchmarks.bare`).
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psutil

from benchmarks.__main__ import MIB, free_port, machine
from benchmarks.load import NUMBER, Measured, Order
from benchmarks.million import durable_cluster
from benchmarks.server import Server
from schoolsync.testing import rosters

DATABASES = ("sqlite", "postgresql")
RESULTS = Path(__file__).parent / "API.md"
CONNECTIONS = 16
PEOPLE = 2000
IDLE = 10_000
REQUESTS = 1_000_000
ROUNDS, SECONDS = 3, 4.0
SHARE = 0.8  # of the highest rate, for the latency
FLAT = 1.1  # what memory at the end may be of what it was after the first tenth


class Client:
    """The process that loads."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def run(self, order: Order) -> Measured:
        """Do the order. Raises RuntimeError when an answer was no success."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        measured = Measured(**json.loads(self._process.stdout.readline()))
        if measured.failed or not measured.answers:
            raise RuntimeError(f"answers by status: {measured.statuses}")
        return measured


@dataclass
class Work:
    """One kind of request and its floor."""

    name: str
    floor_name: str
    ours: list[str]
    floor: list[str]
    bare: list[float] = field(default_factory=list)  # requests a second, by round
    rates: list[float] = field(default_factory=list)
    paced: Measured | None = None

    @property
    def ratio(self) -> float:
        return statistics.median(ours / bare for ours, bare in zip(self.rates, self.bare, strict=True))


@dataclass
class Found:
    """What one database showed."""

    works: list[Work]
    memory: list[tuple[int, float]] = field(default_factory=list)  # requests so far, MiB of all processes
    crowded: Measured | None = None


def main() -> int:
    """Measure on every database that is here."""
    parser = argparse.ArgumentParser(prog="benchmarks.api", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="over which memory is watched")
    parser.add_argument(
        "--watch", choices=[*DATABASES, "both"], default="both", help="where; a tenth of the requests go to the other"
    )
    parser.add_argument("--idle", type=int, default=IDLE, help="open connections beside those at work")
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both")
    options = parser.parse_args()
    kinds = DATABASES if options.database == "both" else (options.database,)
    whole = options.rounds >= ROUNDS and options.seconds >= SECONDS and options.database == options.watch == "both"
    whole = whole and options.requests >= REQUESTS and options.idle >= IDLE
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name, ExitStack() as stack:
        roster = Path(name, "roster")
        rosters.write(roster, people=PEOPLE, classes=PEOPLE // 10, enrollments=PEOPLE * 3, seed=1)
        for kind in kinds:
            folder = Path(name, kind)
            folder.mkdir()
            url = (
                stack.enter_context(stack.enter_context(durable_cluster()).database()) if kind == "postgresql" else None
            )
            requests = options.requests if options.watch in (kind, "both") else options.requests // 10
            lines += _table(kind, _measure(folder, roster, url, options, requests))
    print("\n".join(lines))
    if whole:
        RESULTS.write_text("\n".join([*_heading(options), *lines]), encoding="utf-8")
    return 0


def _measure(folder: Path, roster: Path, url: str | None, options: argparse.Namespace, requests: int) -> Found:
    settings = {} if url is None else {"database_url": url}
    with Server(folder, free_port(), settings) as server, Client() as client:
        profiles = [server.create_profile() for _ in range(CONNECTIONS)]
        server.upload(profiles[0], roster)
        server.sync(profiles[0])
        reader = server._token("--role", "EduRoster.Read.All")
        found = Found(_works(server, profiles, reader))
        asked = 0
        with _bare(folder, server, url) as port:
            for _ in range(options.rounds):
                for work in found.works:
                    for rates, at, texts in ((work.bare, port, work.floor), (work.rates, server.port, work.ours)):
                        client.run(Order(at, texts, CONNECTIONS, 0.5))  # the first requests open what stays open
                        measured = client.run(Order(at, texts, CONNECTIONS, options.seconds))
                        rates.append(measured.per_second)
                        asked += measured.answers if at == server.port else 0
        for work in found.works:
            rate = SHARE * statistics.median(work.rates)
            work.paced = client.run(Order(server.port, work.ours, CONNECTIONS, options.seconds, rate))
            asked += work.paced.answers
        status = found.works[0].ours
        if options.idle:
            found.crowded = client.run(Order(server.port, status, CONNECTIONS, options.seconds, idle=options.idle))
            asked += found.crowded.answers
        found.memory.append((asked, _memory(server)))
        # What is left of the requests, one in sixteen of them a page of people and one a written status.
        mixed = [*status[:-2], found.works[1].ours[0], found.works[2].ours[0]]
        while asked < requests:
            most = min(max(requests // 10, 1), requests - asked)
            asked += client.run(Order(server.port, mixed, CONNECTIONS, 600, most=max(most, CONNECTIONS))).answers
            found.memory.append((asked, _memory(server)))
    return found


def _works(server: Server, profiles: list[str], reader: str) -> list[Work]:
    admin = server.http.headers["Authorization"].removeprefix("Bearer ")
    written = {"errorCount": NUMBER.decode(), "statusMessage": "Seen by the monitor."}
    body = json.dumps(written).replace(f'"{NUMBER.decode()}"', NUMBER.decode())
    return [
        Work(
            "GET profileStatus",
            "a fixed object",
            [_request("GET", f"{profile}/profileStatus", admin) for profile in profiles],
            [_request("GET", "/status", admin)],
        ),
        Work(
            "PATCH profileStatus",
            "one row, committed",
            [_request("PATCH", f"{profile}/profileStatus", admin, body) for profile in profiles],
            [_request("PATCH", f"/status/{number}", admin, body) for number in range(CONNECTIONS)],
        ),
        Work(
            "a page of 100 users",
            "the rows fetched and encoded",
            [_request("GET", "/v1.0/education/users", reader)],
            [_request("GET", "/users", reader)],
        ),
    ]


def _request(method: str, path: str, token: str, body: str = "") -> str:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Accept: application/json",
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body])


@contextmanager
def _bare(folder: Path, server: Server, url: str | None) -> Iterator[int]:
    """The floors' server; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare", server._data, str(port), server.tenant]
    with (folder / "bare.log").open("wb") as log:
        process = subprocess.Popen([*command, *([url] if url else [])], stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "bare.log").read_text()) from None
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def _memory(server: Server) -> float:
    """MiB of all processes of the installation, shared pages shared out."""
    supervisor = psutil.Process(server.process.pid)
    everyone = [supervisor, *supervisor.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in everyone) / MIB


def _table(kind: str, found: Found) -> list[str]:
    lines = [
        f"## {'SQLite' if kind == 'sqlite' else 'PostgreSQL'}",
        "",
        "| request | a second | floor | floor a second | × floor | to reach | p99 at 80 % of the rate | to reach |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for work in found.works:
        assert work.paced is not None
        lines.append(
            f"| {work.name} | {statistics.median(work.rates):,.0f} | {work.floor_name} | "
            f"{statistics.median(work.bare):,.0f} | {work.ratio:.2f} | 0.50 | {work.paced.p99:.1f} ms at "
            f"{work.paced.per_second:,.0f} a second | 50 ms |"
        )
    last = found.memory[-1]
    # Those nearest to the beginning, a quarter, a half and the end.
    shown = [min(found.memory, key=lambda one, share=share: abs(one[0] - share * last[0])) for share in (0, 0.25, 0.5)]
    seen = ", ".join(f"{mib:.0f} MiB after {asked:,}" for asked, mib in dict.fromkeys([*shown, last]))
    most = max(mib for _, mib in found.memory)
    lines += [
        "",
        f"Memory of all processes (proportional set size) by requests: {seen}; at most {most:.0f} MiB. "
        f"To reach: no more than {FLAT:.1f} × as much at the end as at the beginning.",
    ]
    if found.crowded is not None:
        crowded = found.crowded
        lines += [
            "",
            f"With {crowded.idle:,} connections open beside them, the {CONNECTIONS} at work got "
            f"{crowded.per_second:,.0f} answers to GET profileStatus a second, p99 {crowded.p99:.1f} ms; each of the "
            "open ones was answered before and after.",
        ]
    return [*lines, ""]


def _heading(options: argparse.Namespace) -> list[str]:
    return [
        "# The API under load",
        "",
        f"`make bench` on {datetime.now(UTC):%Y-%m-%d}: medians of {options.rounds} rounds of {options.seconds:.0f} s, "
        f"{CONNECTIONS} connections from a second process on the same machine, one API process.",
        machine(),
        "The floors are bare handlers of the same framework and server with the same token check, through the same "
        "database driver without schoolsync above it; they run in turn with what they are compared with. A written "
        "status is on disk, with its entry in the audit log, before it is answered.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
