"""How long questions about one person, class or school take in a big directory, and to synchronize one alone.

make bench                                                # a hundred thousand people, 30 runs; writes EXPLAINING.md
python -m benchmarks.explaining --people 20000 --runs 3   # a quick look, prints only

Through the HTTP API of a real server, as the commands ask. The floor is a bare read of the newest upload's files.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.__main__ import free_port, machine
from benchmarks.server import Server
from schoolsync.testing import rosters

RESULTS = Path(__file__).parent / "EXPLAINING.md"
PEOPLE = 100_000
RUNS = 30
LIMIT, ALONE_LIMIT = 1.0, 2.0
"""Seconds: for a question, and for synchronizing one."""


def main() -> int:
    """Synchronize a roster and days of churn, then ask and synchronize single ones."""
    parser = argparse.ArgumentParser(prog="benchmarks.explaining", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    size = {"people": options.people, "classes": options.people * 3 // 10, "enrollments": options.people * 9}
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name:
        folder = Path(name)
        days = [folder / f"day{number}" for number in range(2)]
        for number, day in enumerate(days):
            rosters.write(day, **size, seed=1, churn=0.001 * number)
        with Server(folder, free_port()) as server:
            profile = server.create_profile()
            for number in range(options.runs):
                server.upload(profile, days[number % 2])
                server.sync(profile)
            lines = _asked(server, profile.rpartition("/")[2], days[(options.runs - 1) % 2], options.rounds)
    print("\n".join(lines))
    if options.people == PEOPLE and options.runs >= RUNS:
        heading = [
            "# Questions about one among a hundred thousand",
            "",
            f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {size['people']:,} people, {size['classes']:,} "
            f"classes, {size['enrollments']:,} enrollments, {options.runs} runs with 0.1 % changed each time, "
            f"{options.rounds} rounds.",
            machine(),
            "",
        ]
        RESULTS.write_text("\n".join([*heading, *lines, ""]), encoding="utf-8")
    return 0


def _asked(server: Server, profile: str, day: Path, rounds: int) -> list[str]:
    token = server._token("--scope", "schoolsync.access", "--user", "ada@bench.example", "--role", "schoolsync.admin")
    headers = {"Authorization": f"Bearer {token}"}
    own = f"/schoolsync/v1/profiles/{profile}"

    def explain(one: str, inside: str | None = None) -> None:
        more = {} if inside is None else {"in": inside}
        server.http.get(f"{own}/explain", params={"object": one, **more}, headers=headers).raise_for_status()

    def alone(kind: str, one: str) -> None:
        body = {"kind": kind, "object": one}
        begun = server.http.post(f"{own}/sync-one", json=body, headers=headers).raise_for_status().json()["run"]
        while server.http.get(f"{own}/runs/{begun}", headers=headers).json()["state"] not in {"done", "failed"}:
            time.sleep(0.01)

    link = _row(day / "StudentEnrollment.csv", 1000)
    section, pupil = link["Section SIS ID"], link["SIS ID"]
    school = _row(day / "School.csv", 1)["SIS ID"]
    first = _seconds(lambda: explain(pupil))
    asked: dict[str, Callable[[], None]] = {
        "explain a person": lambda: explain(pupil),
        "explain a person in a class": lambda: explain(pupil, section),
        "explain a class": lambda: explain(section),
        "explain a school": lambda: explain(school),
        "explain what nobody knows": lambda: explain("nobody-like-this"),
    }
    ones: dict[str, Callable[[], None]] = {
        "synchronize a person alone": lambda: alone("person", pupil),
        "synchronize a class alone": lambda: alone("class", section),
    }
    files = sorted(day.glob("*.csv"))
    floor = statistics.median(_seconds(lambda: [path.read_bytes() for path in files]) for _ in range(rounds))
    rows = [f"| bare read of the upload's files | {floor:.3f} | | 1.0 | floor |"]
    rows.append(f"| the first question, which starts the reader | {first:.2f} | | {first / floor:.0f} | |")
    for limit, works in ((LIMIT, asked), (ALONE_LIMIT, ones)):
        for name, work in works.items():
            times = [_seconds(work) for _ in range(rounds)]
            median = statistics.median(times)
            rows.append(
                f"| {name} | {median:.2f} | {min(times):.2f}–{max(times):.2f} | {median / floor:.0f} | {limit:.0f} s |"
            )
    return ["| work | median s | range s | × the read | to reach |", "| --- | --- | --- | --- | --- |", *rows]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _row(path: Path, number: int) -> dict[str, str]:
    with path.open(encoding="utf-8-sig", newline="") as content:
        return next(row for place, row in enumerate(csv.DictReader(content), 1) if place >= number)


if __name__ == "__main__":
    sys.exit(main())
