"""What PostgreSQL expects of a tenant that has come since it last counted."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

import psycopg
import pyarrow as pa

from schoolsync.targets.local import LEARNED, Batch, LocalDirectory, Writer, open_directory

from ..databases import Cluster

TENANT = "11111111-1111-4111-8111-111111111111"
PEOPLE, CLASSES, EACH = LEARNED, LEARNED, 3
WRITER = Writer(profile=1, living=(1,), run="a run", fence=1, now=1)
READ = """
    SELECT coalesce(sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)), 0)::bigint FROM pg_stat_user_tables
    WHERE relname IN ('people', 'classes', 'class_people')
"""
OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'schoolsync engine' AND datname = current_database()
"""


def fill(connection: psycopg.Connection[tuple[object, ...]], tenants: Iterable[int]) -> None:
    """Tenants with people, classes and who is in them."""
    listed = ", ".join(f"({tenant})" for tenant in tenants)
    for table, many, role in (("people", PEOPLE, ", 'student'"), ("classes", CLASSES, "")):
        named = ", primary_role" if role else ""
        connection.execute(
            f"INSERT INTO {table} (tenant, key, id, profile, created, changed, position{named}) "
            f"SELECT t, k, t || '-' || k, 1, 0, 0, 0{role} "
            f"FROM (VALUES {listed}) AS o(t), generate_series(1, {many}) AS k"
        )
    connection.execute(
        "INSERT INTO class_people (tenant, class, person, profile, member, teacher) "
        f"SELECT DISTINCT t, 1 + (k + j * 7) % {CLASSES}, k, 1, true, false "
        f"FROM (VALUES {listed}) AS o(t), generate_series(1, {PEOPLE}) AS k, generate_series(1, {EACH}) AS j"
    )


def grown(directory: LocalDirectory) -> int:
    """Give a new tenant people, classes and who is in them; how many batches that took."""
    keys = pa.array(range(1, PEOPLE + 1))
    ids = pa.array([f"11-{key}" for key in range(1, PEOPLE + 1)])
    classes = pa.array(range(1, CLASSES + 1))
    each = [(1 + (key + j * 7) % CLASSES, key) for key in range(1, PEOPLE + 1) for j in range(1, EACH + 1)]
    flag = pa.array([True] * len(each))
    made = {
        "people": {"key": keys, "id": ids, "primary_role": pa.array(["student"] * PEOPLE)},
        "classes": {"key": classes, "id": pa.array([f"11-{key}" for key in range(1, CLASSES + 1)])},
        "class_people": {
            "class": pa.array([one for one, _ in each]),
            "person": pa.array([person for _, person in each]),
            "member": flag,
            "teacher": pa.array([False] * len(each)),
        },
    }
    directory.claim(WRITER)
    for number, (table, columns) in enumerate(made.items()):
        op = "link" if table == "class_people" else "create"
        batch = Batch(plan="p", number=number, op=op, table=table, position=number)
        directory.apply(WRITER, batch, pa.table(columns))
    return len(made)


def work(directory: LocalDirectory, done: int) -> None:
    """A plan's look-ups and batches over a few rows each, after so many batches."""
    keys = list(range(1, PEOPLE, 20))
    pairs = pa.table({"class": [1 + (key + 7) % CLASSES for key in keys], "person": keys})
    ids = pa.table({"value": [f"11-{key}" for key in keys]})
    with directory.reading():
        with directory.known("people", {"key": int}, by="id", values=ids) as rows:
            assert rows.read_all().num_rows == len(keys)
        with directory.pairs("class_people", {"person": int}, pairs) as rows:
            assert rows.read_all().num_rows == len(keys)
    named = pa.table({"key": keys, "given_name": ["Ada"] * len(keys)})
    batches = [("update", "people", named), ("unlink", "class_people", pairs), ("link", "class_people", _linked(pairs))]
    for number, (op, table, rows) in enumerate(batches, done):
        directory.apply(WRITER, Batch(plan="p", number=number, op=op, table=table, position=number), rows)
        assert directory.rows_applied("a run")[number] == len(keys)


def _linked(pairs: pa.Table) -> pa.Table:
    flag = pa.array([True] * pairs.num_rows)
    return pairs.append_column("member", flag).append_column("teacher", flag)


def test_a_new_tenants_rows_are_looked_up_one_by_one(postgresql: Cluster) -> None:
    """What a batch reads is what it changes, not all that a tenant has whom PostgreSQL had not counted."""
    with postgresql.database() as url, psycopg.connect(url, autocommit=True) as connection:
        fill(connection, range(1, 11))
        connection.execute("ANALYZE")
        with closing(open_directory(url, tenant=11, tenant_id=TENANT)) as directory:
            done = grown(directory)
        begun = _read(connection)
        with closing(open_directory(url, tenant=11, tenant_id=TENANT)) as directory:
            work(directory, done)
        assert _read(connection) - begun < PEOPLE
        # What the API asks finds its way as well.
        plan = connection.execute("EXPLAIN SELECT * FROM people WHERE tenant = 11 AND id = '11-1'").fetchall()
        assert any("people_tenant_id_key" in str(line) for line in plan), plan


def _read(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """How many rows of the directory have been read; engines tell that when they go."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    while connection.execute(OPEN).fetchone() != (0,):
        time.sleep(0.01)
    ((found,),) = connection.execute(READ).fetchall()
    return int(str(found))
