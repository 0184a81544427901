"""The directory databases: schools, classes, people and links; on SQLite one file per tenant.

Connections of the API process, through SQLAlchemy. Short transactions only; the bulk writer is another process with
another SQLite library, so a file opened here is never opened through a bulk driver in this process.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, inspect

from schoolsync.settings import Settings
from schoolsync.store import acts, locks, migrations, schema
from schoolsync.store.database import (
    LookUp,
    asked_once,
    is_postgresql,
    postgresql_engine,
    reading,
    scrub,
    sqlite_engine,
    world,
    writing,
)
from schoolsync.store.ddl import directory_statements
from schoolsync.store.directory_tables import directory, directory_schema
from schoolsync.store.migrations import Family
from schoolsync.store.release import SCHEMA_VERSION

if TYPE_CHECKING:
    from schoolsync.store.lines import Lines

WHAT = "directory database"
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
        self._lines: Lines | None = None

    @property
    def inline(self) -> bool:
        """Whether a look-up is so quick that it may be done where others wait: a file is, a server is not."""
        return self._settings.database_url is None

    @contextmanager
    def read(self, tenant_id: str, *, seconds: float | None = None) -> Iterator[Connection]:
        """A connection for reading; everything read through it is of one moment.

        Raises TooCostly when what is asked takes the database longer than `seconds`.
        """
        with world(WHAT), reading(self._engine(tenant_id), seconds=seconds) as connection:
            yield connection

    async def ask(self, tenant_id: str, statement: LookUp, **parameters: object) -> Sequence[Sequence[Any]]:
        """The rows that `statement` finds by its parameters, as the driver gives them; quick ones, that are few.

        In a file that is done at once; a server is asked without a thread that waits for it.
        """
        with world(WHAT):
            engine = self._engine(tenant_id)
            if self.inline:
                return asked_once(engine, statement, parameters)
            if self._lines is None:
                from schoolsync.store.lines import Lines  # with its driver, which a file has no use for

                self._lines = Lines(engine)
            return await self._lines.all(statement, parameters)

    @contextmanager
    def write(self, tenant_id: str) -> Iterator[Connection]:
        """A connection in a write transaction: committed at the end, rolled back on any exception."""
        with world(WHAT), writing(self._engine(tenant_id), locks.directory(tenant_id)) as connection:
            yield connection
            entry = acts.current()
            if entry is None:
                carried = False
            elif is_postgresql(connection):  # one database: the chain itself is at hand
                carried = entry.into_control(connection)
            else:
                carried = entry.into_directory(connection)
        if entry is not None and carried:
            entry.committed()

    def scrub(self, tenant_id: str) -> None:
        """Let nothing that was deleted from a tenant's directory stay readable in its file."""
        with world(WHAT):
            scrub(self._engine(tenant_id))

    def may_hold_entries(self, tenant_id: str) -> bool:
        """Whether audit entries can lie in the directory: in a PostgreSQL those that were copied with one."""
        return self._settings.database_url is not None or self._settings.directory_db(tenant_id).exists()

    def close(self) -> None:
        """Give back every connection."""
        with self._lock:
            engines = list(self._engines.values())
            self._engines.clear()
        for engine in engines:
            engine.dispose()
        if self._lines is not None:
            self._lines.close()

    def _engine(self, tenant_id: str) -> Engine:
        if self._settings.database_url is not None:
            return postgresql_engine(self._settings.database_url, self._settings.database_connections)
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
        return _made(self._settings.directory_db(tenant_id))


def make(settings: Settings, tenant_id: str) -> None:
    """Have a tenant's file with the tables of this release; a PostgreSQL has its tables already. Raises WorldError."""
    if settings.database_url is not None:
        return
    path = settings.directory_db(tenant_id)
    with world(WHAT):
        if not path.exists() or not path.stat().st_size or _behind(path):
            _made(path).dispose()


def _behind(path: Path) -> bool:
    """Whether a file has the tables of an earlier release: the one before may have made it beside this one."""
    engine = sqlite_engine(path)
    try:
        with engine.connect() as connection:
            return schema.version_of(connection) < SCHEMA_VERSION
    finally:
        engine.dispose()


def _made(path: Path) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    return _prepared(path)


def _prepared(path: Path) -> Engine:
    engine = sqlite_engine(path)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                if not inspect(connection).has_table(directory_schema.name):
                    for statement in directory_statements():
                        connection.exec_driver_sql(statement)
                # The control database is looked at before anything is served: its directories follow it.
                migrations.upgrade(connection, (Family.DIRECTORY,))
                schema.look(connection, f"database {path.name}", directory)
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
    except BaseException:
        engine.dispose()
        raise
    return engine
