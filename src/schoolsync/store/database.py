"""The two databases: SQLite files, embedded, or one PostgreSQL (15 or newer) for any number of processes.

Everything that differs between them as a database is here: how a connection is made, how a transaction begins, whose
writes wait for whose, and what a failure is called. Queries are written once, for both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode, urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ARRAY,
    Connection,
    Dialect,
    Engine,
    Select,
    TableValuedAlias,
    bindparam,
    column,
    create_engine,
    event,
    exc,
    func,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool
from sqlalchemy.sql.compiler import Compiled, SQLCompiler
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
        self._statement = statement
        self._texts: dict[str, str] = {}
        self._constants: dict[str, object] = {}
        self.names = tuple(column.name for column in statement.selected_columns)

    @cached_property
    def numbered(self) -> tuple[str, Sequence[str]]:
        """The statement as PostgreSQL itself takes it, and the names of its parameters in their order."""
        from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg  # the one that numbers them

        numbering = PGDialect_asyncpg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        made = cast(SQLCompiler, self._compiled(numbering))
        return str(made), made.positiontup or []

    def text(self, engine: Engine) -> str:
        """The statement as the driver of this engine takes it, with named parameters."""
        known = self._texts.get(engine.dialect.name)
        if known is None:
            dialect = sqlite.dialect(paramstyle="named") if engine.dialect.name == "sqlite" else engine.dialect
            known = self._texts[engine.dialect.name] = str(self._compiled(dialect))
        return known

    def _compiled(self, dialect: Dialect) -> Compiled:
        made = self._statement.compile(dialect=dialect)
        self._constants.update((name, value) for name, value in made.params.items() if value is not None)
        return made

    def bound(self, parameters: Mapping[str, object]) -> Mapping[str, object]:
        """What the parameters of a text are: those given, and what the statement itself says, such as an offset."""
        return {**self._constants, **parameters} if self._constants else parameters


def lent(engine: Engine) -> PoolProxiedConnection:
    """A connection of the pool, as the driver has it. Raises OperationalError when none can be had."""
    try:
        return engine.raw_connection()
    except engine.dialect.loaded_dbapi.Error as problem:  # SQLAlchemy lets it through as it is
        raise exc.OperationalError(None, None, problem) from problem


def asked_once(engine: Engine, wanted: LookUp, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
    """The rows that `wanted` finds in a SQLite file, with a connection of the pool."""
    kept = lent(engine)
    text = wanted.text(engine)
    try:
        connection = cast(Any, kept.dbapi_connection)
        rows: Sequence[Sequence[Any]] = connection.execute(text, wanted.bound(parameters)).fetchall()
    except engine.dialect.loaded_dbapi.Error as problem:
        raise exc.OperationalError(None, None, problem) from problem
    finally:
        kept.close()
    return rows


class LookUps:
    """Looks rows up, each time in a moment of its own: no transaction is begun around it.

    It keeps connections for that: having the pool lend one takes longer than the look-up. In a SQLite file one is for
    all, in turn; to PostgreSQL they are the pool's, a quarter of it at most. Safe to share between threads.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._server = engine.dialect.name == "postgresql"
        self._turn = nullcontext() if self._server else threading.Lock()
        self._lock = threading.Lock()
        self._idle: list[PoolProxiedConnection] = []

    def one(self, wanted: LookUp, parameters: Mapping[str, object]) -> Mapping[str, Any] | None:
        """The only row by its columns' names, or None."""
        rows = self.all(wanted, parameters)
        return dict(zip(wanted.names, rows[0], strict=True)) if rows else None

    def all(self, wanted: LookUp, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """The rows."""
        text = wanted.text(self._engine)
        with self._turn:
            try:
                return self._asked(wanted, text, parameters)
            except EndedError:
                # A server that was started again has ended all that was open to it.
                self._end_idle()
                self._engine.dispose()
                return self._asked(wanted, text, parameters)

    def close(self) -> None:
        """Give the connections back; whoever looks up after that opens another."""
        with self._turn:
            self._end_idle()

    def _asked(self, wanted: LookUp, text: str, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        kept = self._borrowed()
        connection = cast(Any, kept.dbapi_connection)
        try:
            self._make_ready(kept, connection)
            rows: Sequence[Sequence[Any]] = connection.execute(text, wanted.bound(parameters)).fetchall()
        except self._engine.dialect.loaded_dbapi.Error as problem:
            # Whatever it is about, the next one begins anew.
            ended = self._engine.dialect.is_disconnect(problem, connection, None)
            _end(kept)
            raise (EndedError if ended else exc.OperationalError)(None, None, problem) from problem
        self._keep(kept)
        return rows

    def _borrowed(self) -> PoolProxiedConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return lent(self._engine)

    def _make_ready(self, kept: PoolProxiedConnection, connection: Any) -> None:  # of the driver, which differ
        if not self._server:
            kept.detach()  # another one gets its place in the pool
        elif not connection.autocommit:
            connection.rollback()
            connection.autocommit = True
            connection.prepare_threshold = 0

    def _keep(self, kept: PoolProxiedConnection) -> None:
        with self._lock:
            if not self._server or len(self._idle) < cast(QueuePool, self._engine.pool).size() // 4:
                self._idle.append(kept)
                return
        _end(kept)

    def _end_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for kept in idle:
            _end(kept)


class EndedError(exc.OperationalError):
    """The connection was ended at its other end."""


def _end(kept: PoolProxiedConnection) -> None:
    connection = cast(Any, kept.dbapi_connection)
    kept.detach()  # its place in the pool is free
    connection.close()


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


def rows_of_lists(table: Table, names: Sequence[str]) -> TableValuedAlias:
    """Rows that reach PostgreSQL as a list of values for each of these columns: one statement takes many."""
    lists = (bindparam(f"all_{name}", type_=ARRAY(table.c[name].type)) for name in names)
    columns = (column(name, table.c[name].type) for name in names)
    return func.unnest(*lists).table_valued(*columns, name="listed").render_derived()


def listed(lists: Mapping[str, Sequence[object]]) -> dict[str, Any]:
    """The parameters of `rows_of_lists`, by columns."""
    return {f"all_{name}": [*values] for name, values in lists.items()}


def insert_new(connection: Connection, table: Table) -> Insert:
    """An INSERT that leaves alone what is there already."""
    if is_postgresql(connection):
        from sqlalchemy.dialects import postgresql  # a server on SQLite does without

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
