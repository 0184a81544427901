# ruff: noqa: S608  # what is put into these statements are names of ours
"""How the engine reads what it needs to synchronize one person, class, school or kind alone.

From the kept roster and the directory come the one that is meant, whatever it is linked to, and nothing else, so the
time it takes follows the one and not the district.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from schoolsync.plan import alone
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms
from schoolsync.plan.kinds import LINK_SIDES, LinkTable, ObjectTable
from schoolsync.plan.policy import Only
from schoolsync.runs import arrivals, snapshots
from schoolsync.targets.local import LocalDirectory

_KINDS: dict[str, ObjectTable] = {"school": "schools", "section": "classes", "student": "people", "teacher": "people"}
_OBJECTS: dict[str, ObjectTable] = {"school": "schools", "class": "classes", "person": "people"}


def read(db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory, only: Only) -> int:
    """Fill the roster and `alone.<table>` with what is needed; the directory's position at that moment."""
    with directory.reading() as position:
        if only.source_id is None:
            _kind(db, terms, directory, only.kind)
        else:
            _objects(db, terms, directory, _KINDS[only.kind], "source_id", pa.table({"value": [only.source_id]}))
        if only.kind == "school" and only.source_id is not None:
            _school(db, terms, directory, only.source_id)
        alone.choose(db, only)
        alone.load(db)
        for table in OBJECT_TABLES:
            wanted = db.sql(alone.mentioned(table)).to_arrow_table()
            if wanted.num_rows:
                _objects(db, terms, directory, table, "source_id", wanted)
        for link in LINK_TABLES:
            for side in LINK_SIDES[link]:
                _links(db, terms, directory, link, side)
        for link in LINK_TABLES:
            for side in LINK_SIDES[link]:
                keys = db.sql(
                    f'SELECT DISTINCT "{side}" AS value FROM alone.{link} '
                    f'WHERE "{side}" NOT IN (SELECT key FROM alone.{_OBJECTS[side]})'
                ).to_arrow_table()
                if keys.num_rows:
                    _objects(db, terms, directory, _OBJECTS[side], "key", keys)
    return position


def _kind(db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory, kind: str) -> None:
    """All objects of a kind that the profile owns."""
    table = _KINDS[kind]
    which = terms.is_ours("profile") if table != "people" else f"{terms.is_ours('profile')} AND primary_role = '{kind}'"
    with directory.owned(table, arrivals.columns(table), which) as rows:
        db.register("arrived", rows)
        db.execute(f"INSERT INTO alone.{table} BY NAME SELECT * FROM arrived WHERE key <> -1")
        db.unregister("arrived")


def _school(db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory, source_id: str) -> None:
    """The classes and people of a school: those that name it, and those that are linked to it."""
    named = pa.table({"value": [source_id]})
    for table in ("classes", "people"):
        _objects(db, terms, directory, table, "school_source_id", named)
    keys = db.sql("SELECT key AS value FROM alone.schools").to_arrow_table()
    for link, side, table in (("school_classes", "class", "classes"), ("school_people", "person", "people")):
        types: dict[str, type] = {side: int, "owner": int}
        with directory.having(link, types, by="school", values=keys) as rows:
            arrivals.keep(db, rows, "arrivals", types)
        ends = db.sql(f'SELECT "{side}" AS value FROM arrivals WHERE {terms.is_ours("owner")}').to_arrow_table()
        db.execute("DROP TABLE arrivals")
        _objects(db, terms, directory, table, "key", ends)  # type: ignore[arg-type]  # as above


def _objects(
    db: duckdb.DuckDBPyConnection,
    terms: Terms,
    directory: LocalDirectory,
    table: ObjectTable,
    by: str,
    values: pa.Table,
) -> None:
    types = arrivals.columns(table)
    with directory.having(table, types, by=by, values=values) as rows:
        db.register("arrived", rows)
        db.execute(
            f"INSERT INTO alone.{table} BY NAME SELECT * FROM arrived WHERE key <> -1 AND {terms.is_ours('owner')} "
            f"AND key NOT IN (SELECT key FROM alone.{table})"
        )
        db.unregister("arrived")


def _links(db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory, table: LinkTable, side: str) -> None:
    """The profile's links of the objects in focus, and those of profiles that are gone."""
    kind = {"school": "'school'", "class": "'section'", "person": "o.primary_role"}[side]
    keys = db.sql(f"""
        SELECT o.key AS value FROM alone.{_OBJECTS[side]} AS o
        LEFT JOIN alone.rekeyed AS k ON k.kind = {kind} AND k.old_id = o.source_id
        WHERE ({kind}, coalesce(k.new_id, o.source_id)) IN (SELECT (kind, source_id) FROM alone.focus)
    """).to_arrow_table()
    if not keys.num_rows:
        return
    left, right = LINK_SIDES[table]
    with directory.having(table, arrivals.columns(table), by=side, values=keys) as rows:
        db.register("arrived", rows)
        db.execute(
            f"INSERT INTO alone.{table} BY NAME SELECT a.* FROM arrived AS a ANTI JOIN alone.{table} AS h "
            f'ON h."{left}" = a."{left}" AND h."{right}" = a."{right}" WHERE a."{left}" <> -1 '
            f"AND ({terms.is_ours('a.owner')} OR {terms.is_orphaned('a.owner')})"
        )
        db.unregister("arrived")


def left_by(snapshot: Path) -> dict[str, str]:
    """What the last whole run left of every table, as relations."""
    return {
        table: snapshots.relation(snapshot, table)
        for table in (*OBJECT_TABLES, *LINK_TABLES)
        if snapshots.files(snapshot, table)
    }
