# ruff: noqa: S608  # what is put into these statements are names of ours and numbers; values are bound or ingested
"""The built-in directory as a target: a tenant's SQLite file, read and written in bulk through Arrow.

Every batch is one short transaction that also carries its line in the ledger and the proof that no newer attempt has
taken over, so a batch is applied once or not at all. This process must never load `sqlite3`: the driver brings an
SQLite of its own, and two of them break each other's locks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi as driver
import pyarrow as pa
import pyarrow.compute as pc

from schoolsync.errors import WorldError
from schoolsync.store.ddl import directory_statements
from schoolsync.store.tables import SCHEMA_VERSION

BUSY_MS = 10_000
_PRAGMAS = (
    f"busy_timeout={BUSY_MS}",  # none at all until it is said
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "cache_size=-32768",
    "wal_autocheckpoint=8000",  # pages: a first load then copies a page back once rather than again and again
    "temp_store=MEMORY",
)
_READ_ROWS = 32_768
_OBJECTS = frozenset({"schools", "classes", "people"})
_SIDES = {
    "school_classes": (("school", "schools"), ("class", "classes")),
    "school_people": (("school", "schools"), ("person", "people")),
    "class_people": (("class", "classes"), ("person", "people")),
}

Value = int | str
Row = tuple[Any, ...]  # as the driver gives it


class SupersededError(Exception):
    """A newer attempt or a newer run of the same profile works on the directory: ours leaves everything alone."""


class UnknownBatchError(Exception):
    """The ledger has this batch from another plan: what is stored and what was applied do not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes."""

    profile: int
    living: tuple[int, ...]  # numbers of the tenant's profiles
    run: str
    fence: int
    now: int  # ticks: when the run was asked for

    def may_take(self, owner: str) -> str:
        """The condition that a row of `owner` may be written: ours, nobody's, or one of a profile that is gone."""
        others = sorted({*self.living} - {self.profile})
        return f"({owner} IS NULL OR {owner} NOT IN ({', '.join(map(str, others))}))" if others else "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the directory answers to who begins to plan or to apply."""

    position: int
    first_key: int  # of the keys that were asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch of a plan."""

    plan: str
    number: int
    op: str  # create, update, link, relink, unlink, remove
    table: str
    position: int  # the directory's position if nobody else has written since the plan was made


class LocalDirectory:
    """One tenant's directory file. Used by one thread; makes the file when it is not there."""

    def __init__(self, path: Path, *, tenant: int) -> None:
        self._tenant = tenant
        with _world():
            self._connection = _opened(path)
            try:
                _prepare(self._connection, path)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    # --- reading ---------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Everything read inside is of one moment; yields the directory's position at that moment."""
        with _world():
            self._execute("BEGIN")
            try:
                yield self.position()
            finally:
                self._execute("ROLLBACK")

    def position(self) -> int:
        """How many transactions have changed the directory."""
        with _world():
            rows = self._execute(f"SELECT position FROM positions WHERE tenant = {self._tenant}")
        return int(rows[0][0]) if rows else 0

    def is_empty(self, table: str) -> bool:
        """Whether there is not a single row."""
        return not self._execute(f"SELECT 1 FROM {table} WHERE tenant = {self._tenant} LIMIT 1")

    @contextmanager
    def owned(self, table: str, columns: Mapping[str, type], owners: str) -> Iterator[pa.RecordBatchReader]:
        """The rows of `table` whose owner meets `owners`, a condition over the column `profile`."""
        query = self._typed(columns, f"FROM {table} AS o WHERE o.tenant = {self._tenant} AND {owners}")
        with self._read(query) as reader:
            yield reader

    @contextmanager
    def known(
        self, table: str, columns: Mapping[str, type], *, by: str, values: pa.Table
    ) -> Iterator[pa.RecordBatchReader]:
        """The rows of `table` that have one of `values` (one column, `value`) in the indexed column `by`."""
        self._stage("wanted", values)
        found = f"FROM temp.wanted AS w CROSS JOIN {table} AS o ON o.tenant = {self._tenant} AND o.{by} = w.value"
        with self._read(self._typed({**columns, "w.value": str if by != "key" else int}, found)) as reader:
            yield reader
        self._execute("DROP TABLE temp.wanted")

    @contextmanager
    def pairs(self, table: str, columns: Mapping[str, type], wanted: pa.Table) -> Iterator[pa.RecordBatchReader]:
        """The rows of a table of links that link one of the `wanted` pairs (the two key columns)."""
        self._stage("wanted", wanted)
        (left, _), (right, _) = _SIDES[table]
        found = (
            f'FROM temp.wanted AS w CROSS JOIN {table} AS o ON o.tenant = {self._tenant} AND o."{left}" = w."{left}" '
            f'AND o."{right}" = w."{right}"'
        )
        with self._read(self._typed(columns, found)) as reader:
            yield reader
        self._execute("DROP TABLE temp.wanted")

    def _typed(self, columns: Mapping[str, type], source: str) -> str:
        """A query whose first row is made up and gives every column its type; whoever reads drops it (key -1).

        The driver takes the types from the first rows it sees, and a column that begins with NULLs would be numbers.
        """
        made_up = ", ".join(
            f"""{-1 if kind is int else "''"} AS "{name.rpartition(".")[2]}\"""" for name, kind in columns.items()
        )
        names = ", ".join(_selected(name) for name in columns)
        return f"SELECT {made_up} UNION ALL SELECT {names} {source}"

    @contextmanager
    def _read(self, query: str) -> Iterator[pa.RecordBatchReader]:
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_READ_ROWS)})
            cursor.execute(query)
            yield cursor.fetch_record_batch()

    # --- writing ---------------------------------------------------------------------------------------------------

    def claim(self, writer: Writer, *, keys: int = 0) -> Claim:
        """Make `writer` the only one who may write for its profile, and hand out `keys` new surrogate keys.

        Raises SupersededError when a newer attempt, or a newer run of the profile, has been here.
        """
        with self._writing():
            rows = self._execute(
                f"SELECT run, fence FROM fences WHERE tenant = {self._tenant} AND profile = {writer.profile}"
            )
            if rows and rows[0][0] == writer.run and rows[0][1] > writer.fence:
                raise SupersededError
            # Fences are counted run by run; across runs the later one counts, and the ledger knows when it was asked.
            newer = self._execute(
                "SELECT 1 FROM batches WHERE tenant = ? AND profile = ? AND run <> ? AND applied > ? LIMIT 1",
                (self._tenant, writer.profile, writer.run, writer.now),
            )
            if newer:
                raise SupersededError
            self._execute(
                "INSERT INTO fences (tenant, profile, run, fence) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (tenant, profile) DO UPDATE SET run = excluded.run, fence = excluded.fence",
                (self._tenant, writer.profile, writer.run, writer.fence),
            )
            self._execute(
                f"INSERT INTO positions (tenant, position, last_key) VALUES ({self._tenant}, 0, 0) "
                "ON CONFLICT DO NOTHING"
            )
            ((position, last),) = self._execute(
                f"UPDATE positions SET last_key = last_key + {int(keys)} WHERE tenant = {self._tenant} "
                "RETURNING position, last_key"
            )
        return Claim(position=position, first_key=last - keys + 1)

    def applied(self, run: str) -> dict[int, str]:
        """The batches of a run that are in the directory, with the hash of the plan they are from."""
        with _world():
            rows = self._execute("SELECT batch, plan FROM batches WHERE tenant = ? AND run = ?", (self._tenant, run))
        return {int(batch): str(plan) for batch, plan in rows}

    def rows_applied(self, run: str) -> dict[int, int]:
        """How many rows each batch of a run has written."""
        with _world():
            rows = self._execute("SELECT batch, rows FROM batches WHERE tenant = ? AND run = ?", (self._tenant, run))
        return {int(batch): int(count) for batch, count in rows}

    def apply(self, writer: Writer, batch: Batch, rows: pa.Table) -> None:
        """Apply one batch in one transaction; nothing happens when it was applied before.

        Raises SupersededError when a newer attempt has taken over. When somebody else has changed the directory since
        the plan was made, rows that no longer fit are passed over: the next plan sees that and makes it good.
        """
        with _world():
            if self._is_done(writer, batch):
                return
            if not _inserts(batch):  # staged before the lock is taken, to hold it the shorter
                self._stage("batch", rows)
        with self._writing():
            self._check_fence(writer)
            if self._is_done(writer, batch):
                return
            position = self.position()
            written = rows.num_rows
            if _inserts(batch):
                data = self._row_columns(writer, batch, rows, position + 1)
                if position == batch.position:
                    self._ingest(batch.table, data)
                else:
                    self._stage("batch", data)
                    self._execute(self._careful_insert(batch, data.column_names))
                    written = self._changes()
            else:
                if batch.op == "unlink" and batch.table == "class_people":
                    self._execute(self._remembered(writer, position + 1))
                self._execute(self._statement(writer, batch, rows.column_names, position + 1))
                written = self._changes()
            if batch.table == "class_people":
                self._touch_classes(rows, position + 1)
            self._execute(
                "INSERT INTO batches (tenant, run, batch, profile, plan, rows, position, applied) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(self._tenant, writer.run, batch.number, writer.profile),
                    *(batch.plan, written, position + 1, writer.now),
                ),
            )
            self._execute(f"UPDATE positions SET position = {position + 1} WHERE tenant = {self._tenant}")

    def _touch_classes(self, rows: pa.Table, position: int) -> None:
        """Classes change with their members: whoever follows the changes of classes finds them by their position."""
        touched = pc.unique(rows.column("class"))
        self._stage("touched", pa.table({"key": touched}))
        self._execute(
            f"UPDATE classes SET position = {position} WHERE tenant = {self._tenant} "
            "AND key IN (SELECT key FROM temp.touched)"
        )
        self._execute("DROP TABLE temp.touched")

    def _remembered(self, writer: Writer, position: int) -> str:
        """What is written down of links that the batch takes out of classes, before they go."""
        return (
            'INSERT OR IGNORE INTO removed_members (tenant, "class", position, id, removed) '
            f'SELECT o.tenant, o."class", {position}, p.id, {writer.now} FROM temp.batch AS b '
            f'JOIN class_people AS o ON o.tenant = {self._tenant} AND o."class" = b."class" AND o.person = b.person '
            "JOIN people AS p ON p.tenant = o.tenant AND p.key = o.person "
            f"WHERE o.profile IS NOT NULL AND {writer.may_take('o.profile')}"
        )

    def _changes(self) -> int:
        """How many rows the last statement wrote."""
        ((count,),) = self._execute("SELECT changes()")
        return int(count)

    def _check_fence(self, writer: Writer) -> None:
        rows = self._execute(
            f"SELECT run, fence FROM fences WHERE tenant = {self._tenant} AND profile = {writer.profile}"
        )
        if not rows or rows[0][0] != writer.run or rows[0][1] > writer.fence:
            raise SupersededError
        if rows[0][1] < writer.fence:
            self._execute(
                f"UPDATE fences SET fence = {writer.fence} WHERE tenant = {self._tenant} AND profile = {writer.profile}"
            )

    def _is_done(self, writer: Writer, batch: Batch) -> bool:
        rows = self._execute(
            "SELECT plan FROM batches WHERE tenant = ? AND run = ? AND batch = ?",
            (self._tenant, writer.run, batch.number),
        )
        if rows and rows[0][0] != batch.plan:
            raise UnknownBatchError
        return bool(rows)

    def _row_columns(self, writer: Writer, batch: Batch, rows: pa.Table, position: int) -> pa.Table:
        """The rows with the columns that are the same in all of them; columns without any value are left out."""
        empty = [name for name in rows.column_names if rows.column(name).null_count == rows.num_rows]
        rows = rows.drop_columns(empty)
        same = {"tenant": self._tenant, "profile": writer.profile}
        if batch.table == "class_people":
            same |= {"position": position}
        if batch.table in _OBJECTS:
            same |= {"active": 1, "created": writer.now, "changed": writer.now, "position": position}
        for name, value in same.items():
            rows = rows.append_column(name, pa.repeat(pa.scalar(value, pa.int64()), rows.num_rows))
        return rows

    def _careful_insert(self, batch: Batch, columns: Sequence[str]) -> str:
        """For a directory that changed under the plan: what is there already or has lost an end is passed over."""
        names = ", ".join(f'"{name}"' for name in columns)
        insert = f"INSERT OR IGNORE INTO {batch.table} ({names}) SELECT {names} FROM temp.batch AS b"
        if batch.table in _OBJECTS:
            return insert
        ends = " AND ".join(
            f'EXISTS (SELECT 1 FROM {table} AS o WHERE o.tenant = {self._tenant} AND o.key = b."{side}")'
            for side, table in _SIDES[batch.table]
        )
        return f"{insert} WHERE {ends}"

    def _statement(self, writer: Writer, batch: Batch, columns: Sequence[str], position: int) -> str:
        table = batch.table
        stamp = f"changed = {writer.now}, position = {position}"
        key = f"{table}.tenant = {self._tenant} AND {table}.key = b.key"
        if batch.op == "update":
            values = ", ".join(f"{name} = b.{name}" for name in columns if name != "key")
            return (
                f"UPDATE {table} SET {values}, profile = {writer.profile}, active = 1, {stamp} "
                f"FROM temp.batch AS b WHERE {key} AND {writer.may_take(f'{table}.profile')}"
            )
        if batch.op == "remove":
            return (
                f"UPDATE {table} SET active = 0, {stamp} FROM temp.batch AS b "
                f"WHERE {key} AND {table}.profile = {writer.profile}"
            )
        (left, _), (right, _) = _SIDES[table]
        if batch.op == "relink":
            flags = "".join(f", {name} = b.{name}" for name in columns if name in ("member", "teacher"))
            if table == "class_people":
                flags += f", position = {position}"
            return (
                f"UPDATE {table} SET profile = {writer.profile}{flags} FROM temp.batch AS b "
                f'WHERE {table}.tenant = {self._tenant} AND {table}."{left}" = b."{left}" '
                f'AND {table}."{right}" = b."{right}" AND {writer.may_take(f"{table}.profile")}'
            )
        assert batch.op == "unlink", batch.op
        return (
            f"DELETE FROM {table} WHERE profile IS NOT NULL AND {writer.may_take('profile')} "
            f'AND (tenant, "{left}", "{right}") IN (SELECT {self._tenant}, "{left}", "{right}" FROM temp.batch)'
        )

    # --- the driver ------------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A write transaction: committed at the end, rolled back on any exception."""
        with _world():
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._execute("ROLLBACK")
                raise
            self._execute("COMMIT")

    def _execute(self, statement: str, values: Sequence[Value] | None = None) -> list[Row]:
        return _run(self._connection, statement, values)

    def _ingest(self, table: str, rows: pa.Table) -> None:
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append")

    def _stage(self, table: str, rows: pa.Table) -> None:
        self._execute(f"DROP TABLE IF EXISTS temp.{table}")
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="create", temporary=True)


def _inserts(batch: Batch) -> bool:
    return batch.op in ("create", "link")


def _selected(name: str) -> str:
    if name == "owner":
        return "o.profile AS owner"
    if "." in name:
        return f"{name} AS {name.partition('.')[2]}"
    return f'o."{name}"'


def _opened(path: Path) -> driver.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = driver.connect(str(path), autocommit=True)  # transactions are ours to begin
    for pragma in _PRAGMAS:
        _run(connection, f"PRAGMA {pragma}")
    return connection


def _prepare(connection: driver.Connection, path: Path) -> None:
    """Make the tables unless they are there. Raises WorldError when another release has made them."""
    if not _run(connection, "SELECT 1 FROM sqlite_master WHERE name = 'schema_version'"):
        _run(connection, "BEGIN IMMEDIATE")
        for statement in directory_statements():
            _run(connection, statement)
        _run(connection, "COMMIT")
    ((version,),) = _run(connection, "SELECT version FROM schema_version")
    if version != SCHEMA_VERSION:
        raise WorldError(
            f"The directory {path.name} has schema {version}, this schoolsync knows {SCHEMA_VERSION}: "
            "use the schoolsync release that wrote it."
        )


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
