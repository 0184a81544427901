"""The two databases: SQLite files, embedded, or one PostgreSQL (15 or newer) for any number of processes.

Everything that differs between them as a database is here: how a connection is made, how a transaction begins, whose
writes wait for whose, and what a failure is called. Queries are written once, for both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Select, create_engine, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.schema import Table

from schoolsync.errors import Invalid, TooCostly, WorldError
from schoolsync.store import locks

if TYPE_CHECKING:
    from sqlite3 import Connection as SqliteConnection

BUSY_MS = 10_000
"""How long a write waits for another one."""
_STEPS = 20_000
"""Steps of SQLite's machine between two looks at the clock: some milliseconds."""


def is_postgresql(connection: Connection) -> bool:
    """Which of the two a connection leads to."""
    return connection.dialect.name == "postgresql"


def sqlite_engine(path: Path) -> Engine:
    """Connections to one SQLite file."""
    # Parameters stay out of error texts: among them are people's data.
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False},
        hide_parameters=True,
        max_overflow=60,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


@cache
def postgresql_engine(url: str, connections: int) -> Engine:
    """Connections of this process to the PostgreSQL at `url`; whoever asks for the same gets the same."""
    return create_engine(
        driver_url(url),
        connect_args=connect_options(url),
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=BUSY_MS / 1000,
    )


def driver_url(url: str, **options: object) -> str:
    """`url` as SQLAlchemy wants it: with the name of the driver, and with options unless it says them itself."""
    parts = urlsplit(url)
    more = urlencode({name: value for name, value in options.items() if f"{name}=" not in parts.query})
    query = "&".join(part for part in (parts.query, more) if part)
    return urlunsplit(parts._replace(scheme="postgresql+psycopg", query=query))


def connect_options(url: str) -> dict[str, object]:
    """What every connection to PostgreSQL is opened with, unless the URL itself says otherwise.

    A process that stops in the middle of a transaction must not hold its locks for long, and whoever is at the one end
    must notice when the machine at the other end is gone.
    """
    said = urlsplit(url).query
    chosen: dict[str, object] = {"application_name": "schoolsync", "connect_timeout": 10, **locks.ALIVE}
    chosen = {name: value for name, value in chosen.items() if f"{name}=" not in said}
    if "options=" not in said:
        chosen["options"] = locks.SESSION
    return chosen


def _prepare_sqlite(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are ours to begin
    for pragma in (f"busy_timeout={BUSY_MS}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _use_log(connection)


def _use_log(connection: SqliteConnection) -> None:
    """Have the file's changes in a log beside it. Of several that open a new file at once only one can see to it.

    SQLite tells the others that the file is locked, without the wait that every other statement is given.
    """
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except Exception as problem:  # of a library that processes without it never load
            if getattr(problem, "sqlite_errorname", "") != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


@contextmanager
def reading(engine: Engine, *, seconds: float | None = None) -> Iterator[Connection]:
    """A connection for reading; everything read through it is of one moment.

    Raises TooCostly (inside of `world`) when the database works longer than `seconds`.
    """
    if engine.dialect.name == "postgresql":
        snapshot = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with snapshot.connect() as connection:
            if seconds is not None:
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
            yield connection
        return
    with engine.connect() as connection:
        # Past SQLAlchemy, whose own way costs as much as the look-up; the pool rolls back when it is given back.
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("BEGIN")
        if seconds is None:
            yield connection
            return
        end = time.monotonic() + seconds
        raw.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            yield connection
        finally:
            raw.set_progress_handler(None, 0)


@contextmanager
def glancing(engine: Engine) -> Iterator[Connection]:
    """A connection for a single statement, which is a moment of its own: no transaction is begun around it."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


@contextmanager
def writing(engine: Engine, lock: str) -> Iterator[Connection]:
    """A connection in a write transaction: committed at the end, rolled back on any exception.

    Nothing that such a transaction has read changes before it ends. On SQLite one write waits for another; on
    PostgreSQL those wait for each other that `lock`, a statement of `store.locks`, says.
    """
    if engine.dialect.name == "postgresql":
        # Read committed: what is read after the lock was given is what the one before has left.
        with engine.begin() as connection:
            connection.exec_driver_sql(lock)
            yield connection
        return
    with _turn(engine), engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


_turns: WeakKeyDictionary[Engine, threading.RLock] = WeakKeyDictionary()
_turns_lock = threading.Lock()


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """The writers of one process take turns: SQLite has those who wait sleep and look again, ever more seldom."""
    turn = _turns.get(engine)
    if turn is None:
        with _turns_lock:
            turn = _turns.setdefault(engine, threading.RLock())
    if not turn.acquire(timeout=BUSY_MS / 1000):
        raise exc.TimeoutError("another write of this process takes too long")
    try:
        yield
    finally:
        turn.release()


class LookUp:
    """A statement that finds a few rows by its parameters, made ready once.

    For what is asked all the time: putting a query together costs more than asking it. `LookUps` ask it.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        self.text = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))
        self.names = tuple(column.name for column in statement.selected_columns)


class LookUps:
    """Looks rows up, each time in a moment of its own: no transaction is begun around it.

    In a SQLite file all do so by one connection, in turn: having the pool lend one takes longer than the look-up.
    Safe to share between threads.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: SqliteConnection | None = None

    def one(self, wanted: LookUp, parameters: Mapping[str, object]) -> Mapping[str, Any] | None:
        """The only row by its columns' names, or None."""
        rows = self.all(wanted, parameters)
        return dict(zip(wanted.names, rows[0], strict=True)) if rows else None

    def all(self, wanted: LookUp, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """The rows."""
        if self._engine.dialect.name == "postgresql":
            with glancing(self._engine) as connection:
                return connection.execute(wanted.statement, parameters).all()
        with self._lock:
            try:
                return (self._connection or self._open()).execute(wanted.text, parameters).fetchall()
            except self._engine.dialect.loaded_dbapi.Error as problem:
                self._close()  # whatever it is about, the next one begins anew
                raise exc.OperationalError(None, None, problem) from problem

    def close(self) -> None:
        """Give the connection back; whoever looks up after that opens another."""
        with self._lock:
            self._close()

    def _open(self) -> SqliteConnection:
        pooled = self._engine.raw_connection()
        connection: SqliteConnection | None = pooled.driver_connection
        assert connection is not None
        pooled.detach()  # ours from now on, and another one's place in the pool
        self._connection = connection
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def scrub(engine: Engine) -> None:
    """Let nothing that was deleted stay readable in a SQLite file; PostgreSQL cleans its pages in its own time."""
    if engine.dialect.name == "postgresql":
        return
    with engine.connect() as connection:
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def world(what: str) -> Iterator[None]:
    """A database that fails us is the world's doing, and says so in our words; `what` names it."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except exc.DataError as problem:
        raise Invalid("A value of the request is more than the property can hold.") from problem
    except (exc.DatabaseError, exc.TimeoutError) as problem:
        if _stopped(problem):
            raise TooCostly from problem
        raise WorldError(f"The {what} cannot be used now.") from problem


def _stopped(problem: Exception) -> bool:
    """Whether the database stopped a statement because its time was over."""
    cause = getattr(problem, "orig", None)
    names = {"SQLITE_INTERRUPT", "57014"}
    return {getattr(cause, "sqlite_errorname", None), getattr(cause, "sqlstate", None)} & names != set()


def insert_new(connection: Connection, table: Table) -> Insert:
    """An INSERT that leaves alone what is there already."""
    if is_postgresql(connection):
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
