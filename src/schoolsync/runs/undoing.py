# ruff: noqa: S608  # what is put into these statements are names of ours
"""How the engine takes an earlier run back: it reads what that run applied and what is there now, and stores a plan.

The plan is held, approved and applied like any other. There is no snapshot behind it: the next run of the profile
reads the directory itself.
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pyarrow as pa

from schoolsync.plan import desired, guards, undo
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms
from schoolsync.plan.kinds import GUARDIANS, LINK_SIDES
from schoolsync.runs.stored_plan import Draft, Plans, is_let_go, release_of_batch
from schoolsync.targets.local import LocalDirectory

_OF = {"school": "schools", "class": "classes", "person": "people"}


def read(db: duckdb.DuckDBPyConnection, plans: Plans, applied: dict[int, int], run_number: int) -> None:
    """`undone.<op>_<table>`: the rows that a run has applied (its ledger), with their real keys."""
    db.execute("CREATE SCHEMA undone")
    plan = plans.latest()
    assert plan is not None, "a run that applied batches has a plan"
    let = plans.let(plan)
    for number, batch in enumerate(plan.batches):
        if not applied.get(number):
            continue
        released = release_of_batch(let, number) if is_let_go(plan.planned.holds, batch.op) else None
        some = None if released is None or released.whole else released
        rows = plans.explained(plan, number, picked=some)
        name = f"{batch.op}_{batch.table}"
        db.register("arrived", rows)
        there = db.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'undone' AND table_name = $1", [name])
        # What named a line of the run's own upload now names one of another run's.
        run = f"coalesce(upload_run, {int(run_number)})" if "upload_run" in rows.column_names else str(int(run_number))
        named = f"* {'EXCLUDE (upload_run)' if 'upload_run' in rows.column_names else ''}, {run}::BIGINT AS upload_run"
        chosen = f"SELECT {named}, '{batch.record}' AS record FROM arrived"
        if not there.fetchall():
            db.execute(f"CREATE TABLE undone.{name} AS {chosen} LIMIT 0")
        known = {
            column
            for (column,) in db.execute(
                "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'undone' AND table_name = $1", [name]
            ).fetchall()
        }
        for column, kind, *_ in db.execute(f"DESCRIBE {chosen}").fetchall():
            if column not in known:  # steps of pupils and teachers have other columns
                db.execute(f'ALTER TABLE undone.{name} ADD COLUMN "{column}" {kind}')
        db.execute(f"INSERT INTO undone.{name} BY NAME {chosen}")
        db.unregister("arrived")


def look(
    db: duckdb.DuckDBPyConnection,
    terms: Terms,
    directory: LocalDirectory,
    columns: Callable[[str], dict[str, type]],
) -> int:
    """`now.<table>`: what the directory holds of what the run touched; returns the position.

    `now.names` are the SIS IDs of the classes that the profile has under one that a marked class had.
    """
    db.execute("CREATE SCHEMA now")
    with directory.reading() as position:
        for link in LINK_TABLES:
            left, right = LINK_SIDES[link]
            _make(db, link)
            parts = [
                f'SELECT "{left}", "{right}" FROM undone.{op}_{link}'
                for op in ("link", "relink", "unlink")
                if _has(db, f"{op}_{link}")
            ]
            if parts:
                wanted = db.sql(" UNION ".join(parts)).to_arrow_table()
                with directory.pairs(link, columns(link), wanted) as rows:
                    _take(db, rows, link, left)
        for table in OBJECT_TABLES:
            _make(db, table)
            keys = [
                f"SELECT key FROM undone.{op}_{table}"
                for op in ("create", "remove", "expire", "bin", "unbin", "unlink", *undo.CHANGES)
                if _has(db, f"{op}_{table}")
            ]
            keys += [
                f'SELECT "{side}" FROM undone.{op}_{link}'
                for link in LINK_TABLES
                for side in LINK_SIDES[link]
                for op in ("link", "relink", "unlink")
                if _OF[side] == table and _has(db, f"{op}_{link}")
            ]
            if keys:
                wanted = db.sql(f"SELECT DISTINCT key AS value FROM ({' UNION ALL '.join(keys)}) AS q(key)")
                with directory.known(table, columns(table), by="key", values=wanted.to_arrow_table()) as rows:
                    _take(db, rows, table, "key")
        _look_into_bin(db, directory)
        db.execute("CREATE TABLE now.names (source_id VARCHAR)")
        if _has(db, "expire_classes"):
            wanted = db.sql("SELECT DISTINCT was_source_id AS value FROM undone.expire_classes").to_arrow_table()
            described: dict[str, type] = {"key": int, "source_id": str}
            mine = f"{terms.is_ours('profile')} AND source_id IS NOT NULL"
            with directory.having("classes", described, by="source_id", values=wanted, which=mine) as rows:
                db.register("arrived", rows)
                db.execute("INSERT INTO now.names SELECT source_id FROM arrived WHERE key <> -1")
                db.unregister("arrived")
    return position


def _look_into_bin(db: duckdb.DuckDBPyConnection, directory: LocalDirectory) -> None:
    """`now.bin`: what still lies in the bin of what the run put there or took out."""
    db.execute("CREATE TABLE now.bin (of_table VARCHAR, key BIGINT)")
    for table in OBJECT_TABLES:
        keys = [f"SELECT key AS value FROM undone.{op}_{table}" for op in ("bin", "unbin") if _has(db, f"{op}_{table}")]
        if not keys:
            continue
        wanted = db.sql(" UNION ".join(keys)).to_arrow_table()
        with directory.known(table, {"key": int, "binned_at": int}, by="key", values=wanted) as rows:
            db.register("arrived", rows)
            db.execute(
                "INSERT INTO now.bin SELECT $1, key FROM arrived WHERE key <> -1 AND binned_at IS NOT NULL", [table]
            )
            db.unregister("arrived")


def _make(db: duckdb.DuckDBPyConnection, table: str) -> None:
    described = ", ".join(
        f'"{name}" {kind}'
        for name, kind in desired.held_columns(table).items()  # type: ignore[arg-type]
    )
    place = "" if table in LINK_TABLES else ", of_school VARCHAR"
    db.execute(f"CREATE TABLE now.{table} ({described}{place})")


def _take(db: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader, table: str, first: str) -> None:
    db.register("arrived", rows)
    names = ", ".join(f'"{name}"' for name in desired.held_columns(table))  # type: ignore[arg-type]
    place = {"schools": ", source_id AS of_school", "classes": ", school_source_id AS of_school"}.get(
        table, ", school_source_id AS of_school" if table == "people" else ""
    )
    db.execute(f'INSERT INTO now.{table} BY NAME SELECT {names}{place} FROM arrived WHERE "{first}" <> -1')
    db.unregister("arrived")


def _has(db: duckdb.DuckDBPyConnection, name: str) -> bool:
    return bool(
        db.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'undone' AND table_name = $1", [name]).fetchall()
    )


def keep_names(db: duckdb.DuckDBPyConnection, draft: Draft, schema: str) -> None:
    """Store whom the keys of a plan's steps mean, from `<schema>.<table>`: for those who look at it."""
    for table in OBJECT_TABLES:
        columns = ", ".join(f'"{name}"' for name in desired.held_columns(table) if name != "owner")
        draft.add_snapshot(
            table, db.sql(f"SELECT {columns} FROM {schema}.{table} ORDER BY key").to_arrow_reader(16_384)
        )


def count(
    db: duckdb.DuckDBPyConnection, directory: LocalDirectory, terms: Terms, draft: Draft, tallies: Callable[[], None]
) -> None:
    """Count what the guards judge: taking back may take away, too."""
    db.execute("CREATE SCHEMA planned")
    guards.prepare(db)
    tallies()
    db.execute("CREATE TABLE planned.own AS SELECT 'section' AS kind, source_id, key FROM now.classes")
    db.execute("CREATE TABLE planned.targets AS SELECT 'section' AS kind, key FROM now.classes WHERE stays")
    db.execute("CREATE TABLE planned.measured (key BIGINT, teacher BOOLEAN, n BIGINT)")
    for name in ("stale", "spared"):
        db.execute(f'CREATE TABLE planned.class_people_{name} ("class" BIGINT, kind VARCHAR, ended BOOLEAN)')
    db.execute("CREATE TABLE planned.others (kind VARCHAR, source_id VARCHAR, key BIGINT)")
    db.execute(
        "CREATE TABLE planned.renumbered (kind VARCHAR, old_id VARCHAR, new_id VARCHAR, id VARCHAR, of_school VARCHAR)"
    )
    parts: list[str] = []
    for path, op, table, record in draft.files():
        if op in ("remove", "update"):
            gone = int(op == "remove")
            parts.append(f"SELECT '{record}', of_school, {gone}, {1 - gone} FROM read_parquet('{path}')")
        if op == "unlink" and table == "class_people":
            parts.append(f"SELECT kind, NULL, 1, 0 FROM read_parquet('{path}')")
            db.execute(f"""INSERT INTO planned.class_people_stale
                SELECT "class", kind, false FROM read_parquet('{path}')""")
        if op == "unlink" and record:  # guardians
            parts.append(f"SELECT '{record}', of_school, 1, 0 FROM read_parquet('{path}')")
    if not parts:
        return
    db.execute("CREATE TABLE planned.moving (kind VARCHAR, of_school VARCHAR, gone BIGINT, changed BIGINT)")
    db.execute(f"INSERT INTO planned.moving {' UNION ALL '.join(parts)}")
    db.execute("CREATE TABLE planned.present (kind VARCHAR, of_school VARCHAR, n BIGINT)")
    _count_present(db, directory, terms)
    db.execute("""
        INSERT INTO planned.endangered
        WITH counted AS (
            SELECT kind, of_school, n AS held, 0 AS going, 0 AS changing FROM planned.present
            UNION ALL SELECT kind, of_school, 0, gone, changed FROM planned.moving
        )
        SELECT kind, CASE WHEN grouping(of_school) = 0 THEN coalesce(of_school, '') END,
            sum(held), sum(going), 0, sum(changing), 1
        FROM counted GROUP BY GROUPING SETS ((kind, of_school), (kind))
    """)
    guards.count_classes(db)


def _count_present(db: duckdb.DuckDBPyConnection, directory: LocalDirectory, terms: Terms) -> None:
    """What the profile has, by kind and school; memberships by kind alone, and by class (`planned.measured`)."""
    ours = terms.is_ours("profile")
    types: dict[str, dict[str, type]] = {
        "schools": {"key": int, "source_id": str},
        "classes": {"key": int, "school_source_id": str},
        "people": {"key": int, "school_source_id": str, "primary_role": str},
    }
    kinds = {"schools": "'school'", "classes": "'section'", "people": "primary_role"}
    with directory.reading():
        for table, columns in types.items():
            with directory.owned(table, columns, f"{ours} AND active") as rows:
                db.register("arrived", rows)
                db.execute(
                    f"INSERT INTO planned.present SELECT {kinds[table]}, {list(columns)[1]}, count(*) FROM arrived "
                    "WHERE key <> -1 GROUP BY ALL"
                )
                db.unregister("arrived")
        some = f"{ours} AND active AND related_contacts <> '[]'"
        with directory.owned("people", {"key": int, "school_source_id": str}, some) as rows:
            db.register("arrived", rows)
            db.execute(
                f"INSERT INTO planned.present SELECT '{GUARDIANS}', school_source_id, count(*) FROM arrived "
                "WHERE key <> -1 GROUP BY ALL"
            )
            db.unregister("arrived")
        with directory.owned("class_people", {"class": int, "person": int, "teacher": int}, ours) as rows:
            db.register("arrived", rows)
            db.execute(
                "INSERT INTO planned.measured SELECT class, teacher::BOOLEAN, count(*) FROM arrived "
                "WHERE class <> -1 GROUP BY ALL"
            )
            db.unregister("arrived")
        db.execute(
            "INSERT INTO planned.present SELECT CASE WHEN teacher THEN 'teacherRoster' ELSE 'studentEnrollment' END, "
            "NULL, sum(n) FROM planned.measured GROUP BY ALL"
        )
