"""The directory databases: schools, classes, people and links, one SQLite file per tenant.

Connections of the API process, through SQLAlchemy. Short transactions only; the bulk writer is another process with
another SQLite library, so a file opened here is never opened through a bulk driver in this process.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import Connection, Engine, create_engine, event, exc, select
from sqlalchemy.pool import ConnectionPoolEntry

from schoolsync.errors import WorldError
from schoolsync.settings import Settings
from schoolsync.store.ddl import directory_statements
from schoolsync.store.tables import SCHEMA_VERSION, directory_schema

BUSY_MS = 10_000
OPEN_MAX = 64  # tenants whose files are kept open
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class Directories:
    """Connections to the directory of any tenant. Safe to share between threads.

    A tenant's file is made when it is first asked for. The files used least recently are closed when many are open;
    whoever still works on one keeps its connection until it is done.
    """

    def __init__(self, settings: Settings, *, open_max: int = OPEN_MAX) -> None:
        self._settings = settings
        self._open_max = open_max
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def read(self, tenant_id: str) -> Iterator[Connection]:
        """A connection for reading; everything read through it is of one moment."""
        with _world(), self._engine(tenant_id).connect() as connection:
            # Past SQLAlchemy, whose own way costs as much as the look-up; the pool rolls back when it is given back.
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("BEGIN")
            yield connection

    @contextmanager
    def write(self, tenant_id: str) -> Iterator[Connection]:
        """A connection in a write transaction: committed at the end, rolled back on any exception."""
        with _world(), self._engine(tenant_id).connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    def close(self) -> None:
        """Give back every connection."""
        with self._lock:
            engines = list(self._engines.values())
            self._engines.clear()
        for engine in engines:
            engine.dispose()

    def _engine(self, tenant_id: str) -> Engine:
        # A plain dictionary look-up first: requests are many, new tenants are few.
        engine = self._engines.get(tenant_id)
        if engine is not None:
            with self._lock:
                if tenant_id in self._engines:
                    self._engines.move_to_end(tenant_id)
            return engine
        engine = self._open(tenant_id)
        closing: list[Engine] = []
        with self._lock:
            already = self._engines.get(tenant_id)
            if already is not None:
                closing.append(engine)
                engine = already
            else:
                self._engines[tenant_id] = engine
                while len(self._engines) > self._open_max:
                    closing.append(self._engines.popitem(last=False)[1])
        for old in closing:
            old.dispose()
        return engine

    def _open(self, tenant_id: str) -> Engine:
        if not _GUID.fullmatch(tenant_id):  # it becomes a file name
            raise ValueError("a tenant is named by a lower-case GUID")
        path = self._settings.directory_db(tenant_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        return _prepared(path)


def _prepared(path: Path) -> Engine:
    # Parameters stay out of error texts: they are people's data.
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False},
        hide_parameters=True,
        max_overflow=60,
    )
    event.listen(engine, "connect", _connected)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                for statement in directory_statements():
                    connection.exec_driver_sql(statement)
                version = connection.execute(select(directory_schema.c.version)).scalar_one()
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
        if version != SCHEMA_VERSION:
            raise WorldError(
                f"The database {path.name} has schema {version}, this schoolsync knows {SCHEMA_VERSION}: "
                "use the schoolsync release that wrote it."
            )
    except BaseException:
        engine.dispose()
        raise
    return engine


def _connected(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are ours to begin
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _world() -> Iterator[None]:
    """A database that fails us is the world's doing, and says so in our words."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.DatabaseError, exc.TimeoutError) as problem:
        raise WorldError("The directory database cannot be used now.") from problem
