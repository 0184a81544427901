# ruff: noqa: S608  # what is put into these statements are names of ours and numbers; values are bound or ingested
"""A tenant's SQLite file through the bulk driver.

This process must never load `sqlite3`: the driver brings an SQLite of its own, and two of them break each other's
locks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import adbc_driver_sqlite.dbapi as driver
import pyarrow as pa

from schoolsync.errors import Refusal, WorldError
from schoolsync.store.release import SCHEMA_VERSION
from schoolsync.targets.bulk import Row, Value, selected

BUSY_MS = 10_000
_DAILY = ("cache_size=-32768", "wal_autocheckpoint=8000")  # KiB of memory; pages
_LOADING = ("cache_size=-131072", "wal_autocheckpoint=64000")  # a page is then written once rather than with each batch
_PRAGMAS = (
    f"busy_timeout={BUSY_MS}",  # none at all until it is said
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    *_DAILY,
    f"journal_size_limit={64 << 20}",
    "temp_store=MEMORY",
)
_ASIDE = "indexes_aside"
"""The table of indexes that a first load has set aside. It is there only as long as some are."""
_READ_ROWS = 32_768


class SqliteFile:
    """One tenant's file; made when it is not there."""

    temporary = "temp."

    def __init__(self, path: Path) -> None:
        with _world():
            self._connection = _opened(path)
            try:
                self._prepare(path)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def execute(self, statement: str, values: Sequence[Value] | None = None) -> list[Row]:
        """Run one statement and return what it answers."""
        with _world():
            return _run(self._connection, statement, values)

    def change(self, statement: str) -> int:
        """Run one INSERT, UPDATE or DELETE; how many rows it wrote."""
        self.execute(statement)
        ((count,),) = self.execute("SELECT changes()")
        return int(count)

    def ingest(self, table: str, rows: pa.Table) -> None:
        """Append rows to a table."""
        with _world(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append")

    def learn(self, table: str, tenant: int) -> None:
        """Nothing: a new file is told what to expect (`store.ddl`)."""

    def load(self, table: str) -> None:
        """Set the indexes aside that keep nothing apart: made of all rows at once, they take a fraction of the time.

        What is unique stays so at any moment, and what has changed is found by its position.
        """
        indexes = self.execute(
            "SELECT l.name, m.sql FROM pragma_index_list($1) AS l JOIN sqlite_master AS m ON m.name = l.name "
            "WHERE NOT l.\"unique\" AND l.name <> $1 || '_position' ORDER BY l.name",
            (table,),
        )
        self.execute(f"CREATE TABLE IF NOT EXISTS {_ASIDE} (name TEXT PRIMARY KEY, tbl TEXT, made_by TEXT, stat TEXT)")
        for name, statement in indexes:
            self.execute(
                f"INSERT INTO {_ASIDE} SELECT $1, $2, $3, (SELECT stat FROM sqlite_stat1 WHERE idx = $1)",
                (name, table, statement),
            )
            self.execute(f'DROP INDEX "{name}"')
        self._set(_LOADING)

    def complete(self) -> None:
        """Make the indexes that were set aside, one after the other, so that nobody waits for all of them."""
        if not self._aside():
            return
        self._set(_LOADING)
        while self._aside():
            with self.writing():
                self._make_one()
        self.execute("ANALYZE sqlite_master")  # this connection knows again what it is told to expect
        self._set(_DAILY)
        self.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _aside(self) -> bool:
        """Whether indexes are set aside."""
        return bool(self.execute("SELECT 1 FROM sqlite_master WHERE name = $1", (_ASIDE,)))

    def _make_one(self) -> None:
        if not self._aside():  # somebody else was quicker
            return
        found = self.execute(f"SELECT name, made_by FROM {_ASIDE} ORDER BY name LIMIT 1")
        if not found:
            self.execute(f"DROP TABLE {_ASIDE}")
            return
        ((name, statement),) = found
        self.execute(str(statement))
        expected = f"SELECT tbl, name, stat FROM {_ASIDE} WHERE name = $1 AND stat IS NOT NULL"
        self.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) {expected}", (name,))
        self.execute(f"DELETE FROM {_ASIDE} WHERE name = $1", (name,))

    def stage(self, name: str, rows: pa.Table) -> None:
        """Put rows into a new temporary table."""
        self.execute(f"DROP TABLE IF EXISTS temp.{name}")
        with _world(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, rows, mode="create", temporary=True)

    def looked_up(self, table: str, name: str, tenant: int, on: Mapping[str, str]) -> str:
        """A join that SQLite walks from left to right."""
        same = " AND ".join(f'{name}."{column}" = {value}' for column, value in on.items())
        return f"CROSS JOIN {table} AS {name} ON {name}.tenant = {tenant} AND {same}"

    def met(self, staged: str, table: str, tenant: int, on: Sequence[str], *, joined: bool = False) -> str:
        """What an index leads to."""
        if joined:
            return " AND ".join([f"{table}.tenant = {tenant}", *(f'{table}."{name}" = b."{name}"' for name in on)])
        names = ", ".join(f'"{name}"' for name in on)
        return f"(tenant, {names}) IN (SELECT {tenant}, {names} FROM temp.{staged})"

    @contextmanager
    def read(self, columns: Mapping[str, type], source: str) -> Iterator[pa.RecordBatchReader]:
        """Rows of a query whose first row is made up and gives every column its type.

        The driver takes the types from the first rows it sees, and a column that begins with NULLs would be numbers.
        """
        made_up = ", ".join(
            f"""{-1 if kind is int else "''"} AS "{name.rpartition(".")[2]}\"""" for name, kind in columns.items()
        )
        names = ", ".join(selected(name) for name in columns)
        with _world(), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_READ_ROWS)})
            cursor.execute(f"SELECT {made_up} UNION ALL SELECT {names} {source}")
            yield cursor.fetch_record_batch()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Everything read inside is of one moment."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            self.execute("ROLLBACK")

    def _set(self, pragmas: Sequence[str]) -> None:
        for pragma in pragmas:
            self.execute(f"PRAGMA {pragma}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A write transaction."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def _prepare(self, path: Path) -> None:
        """Make the tables unless they are there. Raises Refusal when they are of another release."""
        if not self.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'"):
            # Loads SQLAlchemy, which costs half the start of an engine; the worker has usually made the file before.
            from schoolsync.store.ddl import directory_statements

            with self.writing():
                for statement in directory_statements():
                    self.execute(statement)
        ((version, oldest),) = self.execute("SELECT version, oldest FROM schema_version")
        if not oldest <= SCHEMA_VERSION <= version:
            raise Refusal(
                f"The directory {path.name} serves the schemas {oldest} to {version}, not this release's "
                f"{SCHEMA_VERSION}: type “schoolsync db upgrade” of the newest release, and run that one."
            )


class ControlFile:
    """The control database, to look at: this process never writes it, and never makes it.

    Nobody waits here for whoever looks. A run at work is ended by its worker alone, between two batches; before another
    worker begins, the engines of the one before have ended (`runs.scratches`).
    """

    holding = ""

    def __init__(self, path: Path) -> None:
        with _world():
            self._connection = driver.connect(f"{path.resolve().as_uri()}?mode=rw", autocommit=True)
            for pragma in (f"busy_timeout={BUSY_MS}", "query_only=ON"):
                _run(self._connection, f"PRAGMA {pragma}")

    def execute(self, statement: str, values: Sequence[Value] | None = None) -> list[Row]:
        """Run one query and return what it answers."""
        with _world():
            return _run(self._connection, statement, values)

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()


def _opened(path: Path) -> driver.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = driver.connect(str(path), autocommit=True)  # transactions are ours to begin
    for pragma in _PRAGMAS:
        _run(connection, f"PRAGMA {pragma}")
    return connection


def _run(connection: driver.Connection, statement: str, values: Sequence[Value] | None = None) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        if cursor.description is None:
            return []
        return list(cursor.fetchall())


@contextmanager
def _world() -> Iterator[None]:
    """A database that fails us is the world's doing. The driver's own words stay out: they may hold people's data."""
    try:
        yield
    except driver.Error as problem:
        kind = type(problem).__name__
        raise WorldError(f"The directory file cannot be read or written now ({kind}). Is its disk full?") from problem
