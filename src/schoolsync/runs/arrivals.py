"""Rows of the directory as they are put into the tables that a plan is made from."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from schoolsync.plan import desired
from schoolsync.plan.kinds import LinkTable, ObjectTable


def columns(table: ObjectTable | LinkTable) -> dict[str, type]:
    """The columns that are read from the directory, and whether they are numbers or text."""
    return {name: str if kind == "VARCHAR" else int for name, kind in desired.held_columns(table).items()}


def take(db: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader, table: ObjectTable | LinkTable) -> None:
    """Put rows of the directory into `held`."""
    first = next(iter(desired.held_columns(table)))
    db.register("arrived", rows)
    db.execute(f'INSERT INTO held.{table} BY NAME SELECT * FROM arrived WHERE "{first}" <> -1')  # noqa: S608  # ours
    db.unregister("arrived")


def add(db: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader, table: LinkTable) -> None:
    """Put links into `held` that are not there yet."""
    left, right = list(desired.held_columns(table))[:2]
    db.register("arrived", rows)
    db.execute(
        f"INSERT INTO held.{table} BY NAME SELECT a.* FROM arrived AS a ANTI JOIN held.{table} AS h "  # noqa: S608  # ours
        f'ON h."{left}" = a."{left}" AND h."{right}" = a."{right}" WHERE a."{left}" <> -1'
    )
    db.unregister("arrived")


def keep(db: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader, table: str, columns: dict[str, type]) -> None:
    """Keep rows of the directory as a table of their own."""
    first = next(iter(columns))
    db.register("arrived", rows)
    db.execute(f'CREATE OR REPLACE TABLE {table} AS SELECT * FROM arrived WHERE "{first}" <> -1')  # noqa: S608  # ours
    db.unregister("arrived")


def count(db: duckdb.DuckDBPyConnection, table: str) -> int:
    ((count,),) = db.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608  # a name of ours
    return int(count)
