"""What the console's pages and searches take with ten thousand profiles and ten million people in one tenant.

A roster of 100 000 people is synchronized. Then its profile is copied, with twenty ended runs each, and its schools,
classes and people, inside the SQLite files and while the server rests. Each page is asked again and again before and
after, by somebody with every role, about objects by chance.

make bench                                                            # writes PAGES.md; 15 GB of disk, some minutes
python -m benchmarks.pages --profiles 1000 --people 200000 --asks 20  # a quick look, prints only
"""

from __future__ import annotations

import argparse
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from benchmarks.__main__ import free_port, machine
from benchmarks.server import Server
from schoolsync.testing import rosters

RESULTS = Path(__file__).parent / "PAGES.md"
BASE = 100_000
PROFILES, PEOPLE, ASKS = 10_000, 10_000_000, 100
RUNS = 20
LINKED = 1_000_000
"""So many people have places in classes; the others are at a school alone, which spares most of the disk."""
LIMIT = 1_000.0
"""Milliseconds that p99 of no page may reach."""
STATUSES = ("success",) * 94 + ("error",) * 3 + ("validationError",) * 2 + ("quarantined",)
ROLES = ("viewer", "operator", "approver", "admin", "auditor")
HOUR = 36_000_000_000


@dataclass
class Level:
    """What was found with so many profiles and people."""

    profiles: int
    people: int
    bytes: int
    asked: dict[str, list[float]] = field(default_factory=dict)


def main() -> int:
    """Synchronize, ask, fill, ask again."""
    parser = argparse.ArgumentParser(prog="benchmarks.pages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profiles", type=int, default=PROFILES)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--base", type=int, default=BASE, help="people who are synchronized")
    parser.add_argument("--asks", type=int, default=ASKS, help="requests for each page at each level")
    options = parser.parse_args()
    levels = []
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name:
        folder = Path(name)
        rosters.write(
            folder / "roster", people=options.base, classes=options.base * 3 // 10, enrollments=options.base * 9, seed=1
        )
        server = Server(folder, free_port())
        with server:
            profile = server.create_profile()
            server.upload(profile, folder / "roster")
            server.sync(profile)
            print(f"{options.base:,} people are synchronized", flush=True)
            levels.append(_look(server, folder, options.asks))
        began = time.perf_counter()
        _more_profiles(folder, options.profiles)
        _more_people(folder, options.people // options.base)
        print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
        with server:
            levels.append(_look(server, folder, options.asks))
    text = _report(levels, options.asks)
    print(text)
    if (options.profiles, options.people) == (PROFILES, PEOPLE) and options.asks >= ASKS:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


# --- filling --------------------------------------------------------------------------------------------------------


def _control(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "data" / "control.db")


def _directory(folder: Path) -> sqlite3.Connection:
    (path,) = (folder / "data" / "directory").glob("*.db")
    return sqlite3.connect(path)


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _copied(db: sqlite3.Connection, table: str, source: str, **other: str) -> None:
    """Rows of a table once more, with other values in some columns; `source` is what follows FROM, the rows being o."""
    names = _columns(db, table)
    values = [other.get(name, f'o."{name}"') for name in names]
    quoted = ", ".join(f'"{name}"' for name in names)
    db.execute(f'INSERT INTO "{table}" ({quoted}) SELECT {", ".join(values)} FROM {source}')


def _more_profiles(folder: Path, profiles: int) -> None:
    """Copies of the one profile, each with its status and its ended runs."""
    with closing(_control(folder)) as db, db:
        db.execute("CREATE TEMP TABLE many (n INTEGER PRIMARY KEY, id TEXT, status TEXT)")
        db.execute("CREATE TEMP TABLE times (r INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO times VALUES (?)", [(number,) for number in range(1, RUNS + 1)])
        db.executemany(
            "INSERT INTO many VALUES (?, ?, ?)",
            [
                (number, f"{number:08x}-0000-4000-8000-000000000000", STATUSES[number % 100])
                for number in range(2, profiles + 1)
            ],
        )
        _copied(
            db,
            "profiles",
            "many AS m JOIN profiles AS o ON o.number = 1 AND o.tenant > 0",
            id="m.id",
            number="m.n",
            display_name="'District ' || ((m.n * 7919) % 10007) || ' of ' || char(65 + m.n % 26)",
            scheduled=f"o.changed + 100000 * {HOUR}",
        )
        for table in ("profile_status", "profile_conditions"):
            more = {"status": "m.status", "own_status": "m.status"} if table == "profile_status" else {}
            _copied(
                db,
                table,
                f"many AS m JOIN {table} AS o JOIN profiles AS p ON p.id = o.profile AND p.number = 1",
                profile="m.id",
                **more,
            )
        _copied(
            db,
            "runs",
            "many AS m JOIN times AS t JOIN runs AS o JOIN profiles AS p ON p.id = o.profile AND p.number = 1",
            profile="m.id",
            id="substr(m.id, 1, 9) || printf('%04x', t.r) || substr(o.id, 14)",
            number="t.r",
            began=f"o.began - (20 - t.r) * 24 * {HOUR}",
            ended=f"o.ended - (20 - t.r) * 24 * {HOUR} - m.n",
        )


def _more_people(folder: Path, times: int) -> None:
    """Copies of every school, class and person, at places of their own."""
    with closing(_directory(folder)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -2000000")
        indexes = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        for index, _ in indexes:
            db.execute(f'DROP INDEX "{index}"')
        ((step,),) = db.execute("SELECT last_key + 1 FROM positions").fetchall()
        ((base,),) = db.execute("SELECT count(*) FROM people").fetchall()
        for number in range(1, times):
            moved = number * step
            named = {
                column: f"CASE WHEN o.{column} IS NULL THEN NULL ELSE '{number}-' || o.{column} END"
                for column in ("source_id", "external_id", "student_external_id", "teacher_external_id")
            }
            given = {
                "key": f"o.key + {moved}",
                "id": f"printf('%08x-0000-4000-8000-%012x', {number}, o.key)",
                "account_name": f"'{number}-' || o.account_name",
                "user_principal_name": f"'{number}-' || o.user_principal_name",
                **named,
            }
            for table in ("schools", "classes", "people"):
                mine = {name: value for name, value in given.items() if name in _columns(db, table)}
                _copied(db, table, f"{table} AS o WHERE o.key < {step} ORDER BY o.key", **mine)
            links = {"school_classes": ("school", "class"), "school_people": ("school", "person")}
            if number * base < LINKED:
                links["class_people"] = ("class", "person")
            for table, sides in links.items():
                mine = {side: f'o."{side}" + {moved}' for side in sides}
                _copied(db, table, f'{table} AS o WHERE o."{sides[0]}" < {step} ORDER BY o."{sides[0]}"', **mine)
            db.commit()
        db.execute(f"UPDATE positions SET last_key = last_key + {times * step}")
        for _, statement in indexes:
            db.execute(statement)
        db.execute("ANALYZE")
        db.commit()


# --- asking ---------------------------------------------------------------------------------------------------------


def _look(server: Server, folder: Path, asks: int) -> Level:
    with closing(_control(folder)) as control, closing(_directory(folder)) as directory:
        ((profiles,),) = control.execute("SELECT count(*) FROM profiles WHERE tenant > 0").fetchall()
        ((people,),) = directory.execute("SELECT count(*) FROM people").fetchall()
        size = sum(path.stat().st_size for path in (folder / "data").rglob("*.db"))
        level = Level(profiles, people, size)
        chance = random.Random(7)
        ids = [row[0] for row in control.execute("SELECT id FROM profiles WHERE tenant > 0 ORDER BY number")]
        rows: dict[str, list[tuple[str, str | None]]] = {}
        for table, column in (("schools", "display_name"), ("classes", "display_name"), ("people", "account_name")):
            ((highest,),) = directory.execute(f"SELECT max(key) FROM {table}").fetchall()
            rows[table] = [
                directory.execute(
                    f"SELECT id, {column} FROM {table} WHERE key >= ? ORDER BY key LIMIT 1",
                    (chance.randint(1, highest),),
                ).fetchone()
                for _ in range(40)
            ]
    pages = _pages(chance, ids, rows)
    with httpx.Client(base_url=server.http.base_url, follow_redirects=True, timeout=300) as http:
        _sign_in(server, http)
        for name, path in pages.items():
            for number in range(-2, asks):  # the first are not counted
                asked = path()
                began = time.perf_counter()
                answer = http.get(f"/console{asked}")
                if answer.status_code != 200:
                    raise RuntimeError(f"{asked}: {answer.status_code}")
                if number >= 0:
                    level.asked.setdefault(name, []).append((time.perf_counter() - began) * 1000)
            series = sorted(level.asked[name])
            print(f"  {name}: {statistics.median(series):.1f}, {_p99(series):.1f} ms", flush=True)
    return level


def _sign_in(server: Server, http: httpx.Client) -> None:
    """With a code that the operator answers, as somebody without an account does."""
    http.post("/console/sign-in", data={"tenant": server.tenant})
    code = re.findall(r'class="code">([A-Z]+-[A-Z]+)<', http.get("/console/sign-in/wait").text)[0]
    command = [sys.executable, "-m", "schoolsync", "device", "approve", code, "--tenant", server.tenant]
    command += ["--data-dir", str(server.folder / "data"), "--user", "ada@bench.example"]
    for role in ROLES:
        command += ["--role", f"schoolsync.{role}"]
    subprocess.run(command, check=True, capture_output=True)
    http.get("/console/sign-in/wait").raise_for_status()


def _pages(
    chance: random.Random, profiles: list[str], rows: dict[str, list[tuple[str, str | None]]]
) -> dict[str, Callable[[], str]]:
    """The address of each page, about something by chance."""
    first = profiles[0]

    def one(kind: str) -> str:
        return chance.choice(rows[kind])[0]

    def called(kind: str) -> str:
        return str(chance.choice(rows[kind])[1])

    def profile() -> str:
        return chance.choice(profiles)

    return {
        "home": lambda: "",
        "home, somewhere in the list": lambda: f"?after={profile()}",
        "home, a name searched": lambda: f"?search=District+{chance.randint(1, 10_000)}",
        "home, a name that nobody has": lambda: "?search=nowhere",
        "home, those that have failed": lambda: "?status=error",
        "home, those that need a person": lambda: "?attention=true",
        "a profile": lambda: f"/profiles/{profile()}",
        "its runs": lambda: f"/profiles/{profile()}/runs",
        "its settings": lambda: f"/profiles/{profile()}/settings/guards",
        "its connection": lambda: f"/profiles/{profile()}/connection",
        "a run": lambda: f"/profiles/{first}/runs/1",
        "its plan, of 100 000 people": lambda: f"/profiles/{first}/runs/1/plan",
        "its findings": lambda: f"/profiles/{first}/runs/1/findings",
        "directory: schools": lambda: "/directory",
        "directory: classes": lambda: "/directory?kind=classes",
        "directory: people": lambda: "/directory?kind=people",
        "directory: people, somewhere in the list": lambda: f"/directory?kind=people&after={chance.randint(1, 90_000)}",
        "directory: a person by sign-in name": lambda: f"/directory?kind=people&search={called('people')}",
        "directory: a person by a part of the name": lambda: "/directory?kind=people&search=berg",
        "directory: a name that nobody has": lambda: "/directory?kind=people&search=zzzzqx",
        "directory: a class by a part of the name": lambda: "/directory?kind=classes&search=8",
        "a school": lambda: f"/directory/schools/{one('schools')}",
        "its people": lambda: f"/directory/schools/{one('schools')}?kind=people",
        "a class": lambda: f"/directory/classes/{one('classes')}",
        "a person": lambda: f"/directory/people/{one('people')}",
        "why somebody is here": lambda: f"/directory/why?profile={first}&object={one('people')}",
        "change history": lambda: "/activity/changes",
        "change history of a person": lambda: f"/activity/changes?object={one('people')}",
        "audit log": lambda: "/activity",
        "system": lambda: "/system",
        "notices": lambda: "/notices",
    }


def _p99(series: list[float]) -> float:
    return series[min(len(series) - 1, int(len(series) * 0.99))]


def _report(levels: list[Level], asks: int) -> str:
    small, large = levels
    lines = [
        "# The console's pages with ten thousand profiles and ten million people",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}: SQLite, one tenant, {asks} requests for each page "
        "after each other, client and server on one machine. "
        f"{small.profiles:,} profile and {small.people:,} people, then {large.profiles:,} profiles with {RUNS} ended "
        f"runs each and {large.people:,} people, of whom {min(LINKED, large.people):,} are in classes: "
        f"{large.bytes / 1e9:.1f} GB. No page may have a p99 of {LIMIT / 1000:.0f} s.",
        machine(),
        "",
        f"| page | {small.people:,} people: p50, p99 ms | {large.people:,} people: p50, p99 ms | |",
        "| --- | --- | --- | --- |",
    ]
    for name, found in large.asked.items():
        before, after = sorted(small.asked[name]), sorted(found)
        reached = "" if _p99(after) < LIMIT else "over the limit"
        lines.append(
            f"| {name} | {statistics.median(before):.1f}, {_p99(before):.1f} | {statistics.median(after):.1f}, "
            f"{_p99(after):.1f} | {reached} |"
        )
    lines += [
        "",
        "A search by a part of a name reads 200 000 names at a time, and offers to go on: it takes as long in a "
        "directory of any size above that.",
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
