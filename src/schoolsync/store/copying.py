"""Everything that the databases of one installation hold, copied into those of another one.

Between SQLite files and a PostgreSQL, in either direction; table by table, through the one definition of the tables.
The target must be empty and gets all or nothing. Runs that a worker had taken up are queued in the copy: whoever works
there goes on with them behind the last batch in the directory's ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, text, update

from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings
from schoolsync.store import locks, schema
from schoolsync.store.control import Control, open_control
from schoolsync.store.control_tables import control as control_tables
from schoolsync.store.control_tables import installation, runs, tenants
from schoolsync.store.database import is_postgresql, postgresql_engine, world, writing
from schoolsync.store.directories import Directories
from schoolsync.store.directory_tables import directory as directory_tables

ROWS = 2000
_LOCAL = {"schema_version", "workers", "allowances"}
"""Tables that belong to one installation."""
_TAKEN_UP = ("extracting", "validating", "planning", "applying")
_LATER = 1000
"""Added to the fence of open runs: the directory, read after them, may know engines that began in between."""


def copy(source: Settings, target: Settings) -> dict[str, int]:
    """Copy; returns how many rows each table has got.

    Nobody may write to a SQLite source meanwhile, unless what is written may be missing: the control database is read
    before the directories. Raises UsageError when the target has anything in it.
    """
    counts: dict[str, int] = {}
    if target.database_url is not None:
        schema.prepare(postgresql_engine(target.database_url, target.database_connections))
    with ExitStack() as stack:
        here, there = open_control(source), open_control(target)
        stack.callback(here.close)
        stack.callback(there.close)
        reading = _Reading(source, here, stack)
        writes = stack.enter_context(_writing(target, there))
        if writes.control.execute(select(func.count()).select_from(tenants)).scalar_one():
            raise UsageError("The target has data already: copy into an empty one.")
        writes.control.execute(delete(installation))  # an empty one may have been served once
        for table in _own(control_tables.sorted_tables):
            counts[table.name] = _copy(table, reading.control(table), writes.control)
        hand_over(writes.control)
        if is_postgresql(writes.control):
            writes.control.execute(
                text(
                    "SELECT setval(pg_get_serial_sequence('tenants', 'number'), coalesce(max(number), 1)) FROM tenants"
                )
            )
        for number, tenant_id in writes.control.execute(select(tenants.c.number, tenants.c.id)).all():
            for table, rows in reading.directory(number, tenant_id):
                with writes.directory(tenant_id) as connection:
                    counts[table.name] = counts.get(table.name, 0) + _copy(table, rows, connection)
    return counts


def hand_over(connection: Connection) -> None:
    """Queue the runs of a copied control database that somebody works on where it was copied from."""
    connection.execute(update(runs).where(runs.c.ended.is_(None)).values(fence=runs.c.fence + _LATER))
    connection.execute(update(runs).where(runs.c.state.in_(_TAKEN_UP)).values(state="queued", worker=None))


def _own(tables: Sequence[Table]) -> list[Table]:
    return [table for table in tables if table.name not in _LOCAL]


class _Reading:
    """A source of one moment (a PostgreSQL) or of one moment per file (SQLite)."""

    def __init__(self, settings: Settings, control: Control, stack: ExitStack) -> None:
        self._settings = settings
        self._connection = stack.enter_context(control.read())
        _be_patient(self._connection)
        self._directories = Directories(settings)
        stack.callback(self._directories.close)

    def control(self, table: Table) -> Iterator[Row[Any]]:
        return _rows(self._connection, table, None)

    def directory(self, number: int, tenant_id: str) -> Iterator[tuple[Table, Iterator[Row[Any]]]]:
        if self._settings.database_url is not None:
            for table in _own(directory_tables.sorted_tables):
                yield table, _rows(self._connection, table, number)
        elif self._settings.directory_db(tenant_id).exists():
            with self._directories.read(tenant_id) as connection:
                for table in _own(directory_tables.sorted_tables):
                    yield table, _rows(connection, table, number)


def _be_patient(connection: Connection) -> None:
    """One side waits while the other writes: a PostgreSQL must not take that for a process that has stopped."""
    if is_postgresql(connection):
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _rows(connection: Connection, table: Table, number: int | None) -> Iterator[Row[Any]]:
    chosen = select(table) if number is None else select(table).where(table.c.tenant == number)
    with connection.execution_options(yield_per=ROWS).execute(chosen) as found:
        yield from found


class _Writing:
    """A target: one transaction in a PostgreSQL, one per file of SQLite."""

    def __init__(self, control: Connection, directories: Directories | None) -> None:
        self.control = control
        self._directories = directories

    @contextmanager
    def directory(self, tenant_id: str) -> Iterator[Connection]:
        if self._directories is None:
            yield self.control
        else:
            with self._directories.write(tenant_id) as connection:
                yield connection


@contextmanager
def _writing(settings: Settings, control: Control) -> Iterator[_Writing]:
    with world("target database"), writing(control.engine, locks.control(None)) as connection, ExitStack() as stack:
        directories = None
        _be_patient(connection)
        if settings.database_url is None:
            directories = Directories(settings)
            stack.callback(directories.close)
        yield _Writing(connection, directories)


def _copy(table: Table, rows: Iterator[Row[Any]], connection: Connection) -> int:
    return _copy_in(table, rows, connection) if is_postgresql(connection) else _insert(table, rows, connection)


def _copy_in(table: Table, rows: Iterator[Row[Any]], connection: Connection) -> int:
    """By COPY, many times faster than INSERT."""
    import psycopg

    names = ", ".join(f'"{column.name}"' for column in table.columns)
    count = 0
    raw: Any = connection.connection.driver_connection  # psycopg's own connection, inside this transaction
    try:
        with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as sink:
            for row in rows:
                sink.write_row(tuple(row))
                count += 1
    except psycopg.Error as problem:
        # Its own text may quote a row, and rows are people's.
        said = f" (SQLSTATE {problem.sqlstate})" if problem.sqlstate else ""
        raise WorldError(
            f"The target database does not take the table {table.name}{said}: nothing was copied."
        ) from None
    return count


def _insert(table: Table, rows: Iterator[Row[Any]], connection: Connection) -> int:
    count = 0
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(dict(row._mapping))
        if len(chunk) == ROWS:
            connection.execute(insert(table), chunk)
            count, chunk = count + len(chunk), []
    if chunk:
        connection.execute(insert(table), chunk)
    return count + len(chunk)
