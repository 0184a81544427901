"""The same loads by other means: dlt, and what is usually written with pandas and SQLAlchemy, beside ours in one run.

Three days of a roster: the first load, the same files again, and one percent changed. The others merge the files by
their keys into tables of the same shape; they check, plan, explain and guard nothing. All processes are warm: what a
process imports is not counted, and each goes through the three days in one.

make bench                                               # 100 000 people; writes PEERS.md
python -m benchmarks.peers --people 5000 --rounds 1      # a quick look, prints only
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.databases import Cluster

from benchmarks.__main__ import free_port, machine
from benchmarks.million import durable_cluster
from benchmarks.server import Server
from schoolsync.testing import rosters

RESULTS = Path(__file__).parent / "PEERS.md"
LOCK = Path(__file__).parents[1] / "requirements" / "peers.txt"
PEOPLE = 100_000
DAYS = ("first", "unchanged", "1 % changed")

KEYS = """
import json, sys, time
from pathlib import Path
target, days = sys.argv[1], [Path(one) for one in sys.argv[2:]]
KEYS = {
    "School": ["SIS ID"], "Section": ["SIS ID"],
    "Student": ["SIS ID", "School SIS ID"], "Teacher": ["SIS ID", "School SIS ID"],
    "StudentEnrollment": ["Section SIS ID", "SIS ID"], "TeacherRoster": ["Section SIS ID", "SIS ID"],
}
def name(text):
    return text.lower().replace(" ", "_")
def timed(load):
    for day in days:
        began = time.perf_counter()
        load(day)
        print(json.dumps(time.perf_counter() - began), flush=True)
"""
DLT = (
    KEYS
    + """
import dlt
import pyarrow as pa
from pyarrow import csv
def table(path):
    names = path.read_bytes().split(b"\\n", 1)[0].decode().strip().split(",")
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return csv.read_csv(path, convert_options=texts)
def resource(day, file, keys):
    rows = [table(day / f"{file}.csv")]
    return dlt.resource(rows, name=name(file), write_disposition="merge", primary_key=[name(key) for key in keys])
made = dlt.destinations.postgres(target) if target.startswith("postgres") else dlt.destinations.duckdb(target)
pipeline = dlt.pipeline("roster", destination=made, dataset_name="roster", pipelines_dir=sys.argv[0] + ".d")
timed(lambda day: pipeline.run([resource(day, file, keys) for file, keys in KEYS.items()]))
"""
)
PANDAS = (
    KEYS
    + """
import pandas as pd
import sqlalchemy as sa
engine = sa.create_engine(target.replace("postgresql://", "postgresql+psycopg://"))
def load(day):
    with engine.begin() as connection:
        for file, keys in KEYS.items():
            rows = pd.read_csv(day / f"{file}.csv", dtype=str).rename(columns=name)
            table, of = name(file), [name(key) for key in keys]
            there = sa.inspect(connection).has_table(table)
            into = f"new_{table}" if there else table
            rows.to_sql(into, connection, index=False, if_exists="replace", chunksize=10_000)
            if not there:
                connection.exec_driver_sql(f"ALTER TABLE {table} ADD PRIMARY KEY ({', '.join(of)})")
                continue
            names, others = ", ".join(rows.columns), [one for one in rows.columns if one not in of]
            change = ", ".join(f"{one} = excluded.{one}" for one in others)
            connection.exec_driver_sql(
                f"INSERT INTO {table} ({names}) SELECT {names} FROM new_{table} ON CONFLICT ({', '.join(of)}) "
                + (f"DO UPDATE SET {change}" if others else "DO NOTHING")
            )
            connection.exec_driver_sql(
                f"DELETE FROM {table} AS t WHERE NOT EXISTS (SELECT 1 FROM new_{table} AS n WHERE "
                + " AND ".join(f"n.{one} = t.{one}" for one in of) + ")"
            )
            connection.exec_driver_sql(f"DROP TABLE new_{table}")
timed(load)
"""
)

Loader = Callable[[Path, list[Path]], list[float]]


def main() -> int:
    """Load three days by every means."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", type=Path, help="of an environment that has requirements/peers.txt already")
    options = parser.parse_args()
    size = {"people": options.people, "classes": options.people * 3 // 10, "enrollments": options.people * 9}
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        days = [folder / "base", folder / "base", folder / "changed"]
        rosters.write(days[0], **size, seed=1)
        rosters.write(days[2], **size, seed=1, churn=0.01)
        python = options.python or _environment(folder)
        cluster = stack.enter_context(durable_cluster())
        means: dict[str, Loader] = {
            "schoolsync, PostgreSQL": lambda place, all_: _ours(place, all_, cluster),
            "schoolsync, SQLite": lambda place, all_: _ours(place, all_, None),
            "dlt, PostgreSQL": lambda place, all_: _other(python, DLT, place, all_, cluster),
            "dlt, DuckDB": lambda place, all_: _other(python, DLT, place, all_, None),
            "pandas and SQLAlchemy, PostgreSQL": lambda place, all_: _other(python, PANDAS, place, all_, cluster),
        }
        found: dict[str, list[list[float]]] = {mean: [] for mean in means}
        for number in range(options.rounds):
            for place, (mean, load) in enumerate(means.items()):
                into = folder / f"{number}-{place}"
                into.mkdir()
                found[mean].append(load(into, days))
                print(f"{mean}: {', '.join(f'{one:.2f}' for one in found[mean][-1])} s", flush=True)
    text = _report(options.rounds, size, found)
    print(text)
    if options.people == PEOPLE and options.rounds >= 3:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


def _environment(folder: Path) -> Path:
    """The Python of a new environment with the others in it."""
    python = folder / "peers" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder / "peers")], check=True)
    pip = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--no-deps",
    ]
    subprocess.run([*pip, "-r", str(LOCK)], check=True)
    return python


def _ours(place: Path, days: list[Path], cluster: Cluster | None) -> list[float]:
    with ExitStack() as stack:
        settings = {} if cluster is None else {"database_url": stack.enter_context(cluster.database())}
        server = stack.enter_context(Server(place, free_port(), settings))
        profile = server.create_profile()
        seconds = []
        for day in days:
            server.upload(profile, day)
            seconds.append(server.sync(profile))
    return seconds


def _other(python: Path, code: str, place: Path, days: list[Path], cluster: Cluster | None) -> list[float]:
    script = place / "load.py"
    script.write_text(code, "utf-8")
    environment = {
        **os.environ,
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "HOME": str(place),
    }
    with ExitStack() as stack:
        target = str(place / "loaded.duckdb")
        if cluster is not None:
            # dlt insists on a password, which this server does not ask for.
            target = stack.enter_context(cluster.database()).replace("postgres@", "postgres:unasked@")
        command = [str(python), str(script), target, *map(str, days)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, cwd=place, text=True)
    return [float(json.loads(line)) for line in done.stdout.splitlines() if line[:1].isdigit()]


def _report(rounds: int, size: dict[str, int], found: dict[str, list[list[float]]]) -> str:
    ours = _medians(found["schoolsync, PostgreSQL"])
    lines = [
        "# Beside other means",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}, {rounds} rounds, each with a fresh database: "
        f"{size['people']:,} people, {size['classes']:,} classes, {size['enrollments']:,} enrollments. Median seconds. "
        "Ours, through the HTTP API, check, plan, explain, guard and keep checkpoints; the others do not.",
        f"{machine()} Others by requirements/peers.txt; ours is {version('schoolsync')}.",
        "",
        f"| means | {' | '.join(DAYS)} |",
        "| --- | --- | --- | --- |",
    ]
    for mean, rounds_ in found.items():
        lines.append(f"| {mean} | {' | '.join(f'{one:.2f}' for one in _medians(rounds_))} |")
    lines += [
        "",
        "| ours on PostgreSQL, of the time of | first | to reach | unchanged | to reach | 1 % changed | to reach |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for mean, wanted in (
        ("dlt, PostgreSQL", ("1.30", "0.33", "0.50")),
        ("dlt, DuckDB", ("1.30", "0.33", "0.50")),
        ("pandas and SQLAlchemy, PostgreSQL", ("0.33", "0.10", "-")),
    ):
        theirs = _medians(found[mean])
        shown = [f"{our / their:.2f} | {aim}" for our, their, aim in zip(ours, theirs, wanted, strict=True)]
        lines.append(f"| {mean} | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


def _medians(rounds: list[list[float]]) -> list[float]:
    return [statistics.median(day) for day in zip(*rounds, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
