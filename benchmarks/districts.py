"""A state's districts in one PostgreSQL: what a person takes, and what a request takes while the database grows.

Three districts are synchronized, a small, a middle and a large one. Their rows are then copied to other tenants, inside
the database, until it has 2 000 000 people in 600 tenants: as many in each as 50 000 000 have in 15 000. On the way it
is asked again and again what any client asks, of tenants by chance, and what the next synchronization takes.

make bench                                                # 600 tenants; writes DISTRICTS.md
python -m benchmarks.districts --tenants 40 --asks 20     # a quick look, prints only
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from benchmarks.__main__ import free_port, machine
from benchmarks.many import Tenants
from benchmarks.million import durable_cluster
from schoolsync.testing import rosters

RESULTS = Path(__file__).parent / "DISTRICTS.md"
TENANTS, WANTED, ASKS = 600, 50_000_000, 200
SIZES = (500, 4_000, 32_667)
OF_TWENTY = (0,) * 12 + (1,) * 7 + (2,)
"""Which of the sizes twenty tenants have: 3 333 people on average, and half of all in the largest."""
LEVELS = (0.1, 0.5, 1.0)
OBJECTS = ("schools", "classes", "people")
LINKS = ("school_classes", "school_people", "class_people")
READS = "EduRoster.Read.All"


@dataclass
class Level:
    """What was found while the database had so many tenants and people."""

    tenants: int
    people: int
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # bytes of tables and of their indexes
    asked: dict[str, list[float]] = field(default_factory=dict)  # milliseconds of every request
    first: float = 0.0  # seconds of a first synchronization of 4 000 people ...
    changed: float = 0.0  # ... and of one with 1 % changed


def main() -> int:
    """Fill a database and measure on the way."""
    parser = argparse.ArgumentParser(prog="benchmarks.districts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tenants", type=int, default=TENANTS)
    parser.add_argument("--asks", type=int, default=ASKS, help="requests of each kind at each level")
    options = parser.parse_args()
    levels: list[Level] = []
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name, ExitStack() as stack:
        days = _rosters(Path(name))
        url = stack.enter_context(stack.enter_context(durable_cluster()).database())
        server = stack.enter_context(Tenants(Path(name), free_port(), {"database_url": url}))
        connection = stack.enter_context(psycopg.connect(url.replace("+psycopg", ""), autocommit=True))
        models = [_synchronized(server, roster)[0] for roster in days[:3]]
        made = 0
        for share in LEVELS:
            upto = max(int(options.tenants * share), made + 20)
            _copy(connection, models, made, upto)
            made = upto
            levels.append(_look(server, connection, days, options.asks))
            print(f"{levels[-1].tenants} tenants, {levels[-1].people:,} people", flush=True)
    text = _report(levels)
    print(text)
    if options.tenants >= TENANTS and options.asks >= ASKS:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


def _rosters(folder: Path) -> list[Path]:
    """Rosters of the three sizes, and the middle one a day later."""
    made = []
    for number, (people, churn) in enumerate([*((size, 0.0) for size in SIZES), (SIZES[1], 0.01)]):
        seed = min(number, 1) if churn else number
        made.append(folder / f"roster{number}")
        rosters.write(made[-1], people=people, classes=people * 3 // 10, enrollments=people * 9, seed=seed, churn=churn)
    return made


def _synchronized(server: Tenants, *days: Path) -> tuple[str, list[float]]:
    """A new tenant with these rosters, one after the other; its id and the seconds that each took."""
    tenant = str(uuid.uuid4())
    ((profile, _),) = server.profiles([tenant])
    seconds = []
    for roster in days:
        server.upload(profile, roster)
        seconds.append(server.sync(profile))
    return tenant, seconds


def _copy(connection: psycopg.Connection[tuple[object, ...]], models: list[str], made: int, upto: int) -> None:
    """More tenants with the rows of the models: other ids, all else the same."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS copies (number integer, of integer)")
    connection.execute("TRUNCATE copies")
    numbers = {row[0]: row[1] for row in connection.execute("SELECT id, number FROM tenants").fetchall()}
    for number in range(made, upto):
        of = numbers[models[OF_TWENTY[number % 20]]]
        connection.execute(
            "WITH made AS (INSERT INTO tenants (id, created) VALUES (%s, 0) RETURNING number) "
            "INSERT INTO copies SELECT number, %s FROM made",
            (str(uuid.uuid4()), of),
        )
    for table in ("profiles", "profile_status", "positions", *OBJECTS, *LINKS):
        columns = [
            str(name)
            for (name,) in connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
                (table,),
            ).fetchall()
        ]
        another = {"tenant": "c.number"}
        if table in OBJECTS:
            another["id"] = "md5(c.number || o.id)::uuid::text"
        values = [sql.SQL(another[name]) if name in another else sql.Identifier("o", name) for name in columns]
        connection.execute(
            sql.SQL(
                "INSERT INTO {table} ({names}) SELECT {values} FROM copies AS c JOIN {table} AS o ON o.tenant = c.of"
            ).format(
                table=sql.Identifier(table),
                names=sql.SQL(", ").join(map(sql.Identifier, columns)),
                values=sql.SQL(", ").join(values),
            )
        )
    connection.execute("VACUUM ANALYZE")


def _look(server: Tenants, connection: psycopg.Connection[tuple[object, ...]], days: list[Path], asks: int) -> Level:
    ((tenants, people),) = connection.execute(
        "SELECT (SELECT count(*) FROM tenants), (SELECT count(*) FROM people)"
    ).fetchall()
    level = Level(int(str(tenants)), int(str(people)))
    for table in (*OBJECTS, *LINKS):
        ((rows, indexes),) = connection.execute(
            "SELECT pg_table_size(%s::regclass), pg_indexes_size(%s::regclass)", (table, table)
        ).fetchall()
        level.sizes[table] = int(str(rows)), int(str(indexes))
    for number in range(-(asks // 10) - 1, asks):  # the first are not counted
        for name, path, tenant in _questions(connection):
            server.act_for(server.bearer(tenant, roles=(READS,)))
            began = time.perf_counter()
            server.http.get(path).raise_for_status()
            if number >= 0:
                level.asked.setdefault(name, []).append((time.perf_counter() - began) * 1000)
    _, (level.first, level.changed) = _synchronized(server, days[1], days[3])
    return level


def _questions(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[str, str, str]]:
    """What clients ask of a tenant by chance: name, path, tenant."""
    ((tenant, number),) = connection.execute(
        "SELECT t.id, t.number FROM tenants AS t JOIN positions AS p ON p.tenant = t.number "
        "OFFSET floor(random() * (SELECT count(*) FROM positions)) LIMIT 1"
    ).fetchall()
    ((person, given),) = connection.execute(
        "SELECT id, student_external_id FROM people WHERE tenant = %s AND key >= %s "
        "AND student_external_id IS NOT NULL ORDER BY key LIMIT 1",
        (number, random.randint(1, 400)),
    ).fetchall()
    ((group,),) = connection.execute(
        "SELECT id FROM classes WHERE tenant = %s ORDER BY key LIMIT 1 OFFSET 20", (number,)
    ).fetchall()
    education = "/v1.0/education"
    wanted = quote(f"student/externalId eq '{given}'")
    return [
        ("a person by id", f"{education}/users/{person}", str(tenant)),
        ("a person by the SIS's id", f"{education}/users?$filter={wanted}", str(tenant)),
        ("a page of 100 people", f"{education}/users", str(tenant)),
        ("the people of a class", f"{education}/classes/{group}/members", str(tenant)),
        ("the first page of classes that changed", f"{education}/classes/delta", str(tenant)),
    ]


def _report(levels: list[Level]) -> str:
    last = levels[-1]
    held = {name: (rows / last.people, indexes / last.people) for name, (rows, indexes) in last.sizes.items()}
    each = sum(rows + indexes for rows, indexes in held.values())
    lines = [
        "# A state's districts in one PostgreSQL",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. Twenty tenants have {SIZES[0]:,} people (12), "
        f"{SIZES[1]:,} (7) and {SIZES[2]:,} (1), three classes for ten of them and nine enrollments for each; server, "
        "worker, database and client on one machine, the database with `shared_buffers` of 256 MB.",
        machine(),
        "",
        "## What a person takes",
        "",
        f"Bytes for one of {last.people:,} people in {last.tenants} tenants, and all of them for {WANTED:,} people.",
        "",
        "| table | rows | indexes | for 50 000 000 people |",
        "| --- | --- | --- | --- |",
        *(
            f"| `{name}` | {rows:,.0f} | {indexes:,.0f} | {(rows + indexes) * WANTED / 1e9:,.1f} GB |"
            for name, (rows, indexes) in held.items()
        ),
        f"| all | {each:,.0f} | | {each * WANTED / 1e9:,.0f} GB |",
        "",
        "## What a request takes",
        "",
        "Milliseconds, median and p95, of tenants by chance. The last column is the line through the medians over the "
        f"logarithm of the people, at {WANTED:,}, or the highest of them where they have not grown: what a request "
        "reads lies in one tenant, and an index grows by a level when it has some hundred times the entries.",
        "",
        f"| request | {' | '.join(f'{level.people:,} people' for level in levels)} | {WANTED:,}, extrapolated |",
        f"| --- |{' --- |' * (len(levels) + 1)}",
    ]
    for name in last.asked:
        series = [sorted(level.asked[name]) for level in levels]
        shown = [f"{statistics.median(one):.1f}, {one[int(len(one) * 0.95)]:.1f}" for one in series]
        points = [(level.people, statistics.median(one)) for level, one in zip(levels, series, strict=True)]
        lines.append(f"| {name} | {' | '.join(shown)} | {_at(points, WANTED):.1f} |")
    for name, series in (
        ("s: a first synchronization of 4 000 people", [level.first for level in levels]),
        ("s: the same with 1 % changed", [level.changed for level in levels]),
    ):
        points = list(zip((level.people for level in levels), series, strict=True))
        lines.append(f"| {name} | {' | '.join(f'{one:.2f}' for one in series)} | {_at(points, WANTED):.2f} |")
    return "\n".join([*lines, ""])


def _at(points: list[tuple[int, float]], people: int) -> float:
    """The least-squares line through the points over the logarithm of the people, at so many people."""
    slope, intercept = statistics.linear_regression([math.log2(n) for n, _ in points], [value for _, value in points])
    return slope * math.log2(people) + intercept


if __name__ == "__main__":
    sys.exit(main())
