"""Making canonical tables of queries, the same for every format. Names of tables and files are ours or quoted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import duckdb

from schoolsync.roster.tables import TABLES
from schoolsync.sources.columns import EARLIER, LeftOut, Table, real_line

# Making a table of a query is faster than filling an empty one.
_FILL = "CREATE OR REPLACE TABLE roster.{kind} ({columns}) AS {select}"
_VIEW = "DROP TABLE roster.{kind}; CREATE VIEW roster.{kind} ({columns}) AS {select}"
_PLACED = """
SELECT * REPLACE (CASE WHEN line < 0 THEN file || '{earlier}' ELSE file END AS file, {line} AS line)
FROM ({select}) AS one({columns})
"""
_LEFT_OUT = """
INSERT INTO roster.left_out
    SELECT DISTINCT '{kind}', {role}, {source}, {other}, bad.rule, bad.file, bad.line
    FROM raw.bad AS bad LEFT JOIN {rows} AS one ON one.line = bad.line {joins} WHERE bad.file = {file}
"""
_RAW_TABLES = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'"


def fill(
    db: duckdb.DuckDBPyConnection, kind: str, selects: Sequence[str], *, view: bool = False, earlier: bool = False
) -> None:
    """Make the canonical table `kind` of the rows of all `selects`, whose columns come in its order.

    As a view it takes no memory, and is worked out whenever it is read: for long tables with cheap columns. With
    `earlier` rows say where they really stand, in this upload or in one before.
    """
    columns = ", ".join(TABLES[kind])
    select = " UNION ALL ".join(selects)
    if earlier:
        select = _PLACED.format(columns=columns, select=select, earlier=EARLIER, line=real_line("line"))
    db.execute((_VIEW if view else _FILL).format(kind=kind, columns=columns, select=select))


def leave_out(db: duckdb.DuckDBPyConnection, table: Table, records: Mapping[LeftOut, str], *, joins: str = "") -> None:
    """List what the bad rows of a table leave out; `records` says with which role, an expression over the row."""
    for one, role in records.items():
        query = _LEFT_OUT.format(
            kind=one.kind,
            role=role,
            source=f"one.{one.source}" if one.source in table.columns else "NULL",
            other=f"one.{one.other}" if one.other in table.columns else "NULL",
            rows=table.lined,
            joins=joins,
            file=literal(table.uploaded),
        )
        db.execute(query)


def forget(db: duckdb.DuckDBPyConnection, *, keep: Collection[str] = ()) -> None:
    """Give up the raw tables but those that views read."""
    for (name,) in db.execute(_RAW_TABLES).fetchall():
        if name not in keep:
            db.execute(f"DROP TABLE raw.{name}")


def forget_read(db: duckdb.DuckDBPyConnection) -> None:
    """Give up all raw tables, unless a canonical table is still a view over one of them."""
    if not db.execute("SELECT 1 FROM duckdb_views() WHERE schema_name = 'roster' AND NOT internal").fetchall():
        forget(db)


def literal(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
