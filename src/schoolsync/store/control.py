"""The control database: tenants, profiles, status, runs, errors, uploads.

On SQLite it is one file, on PostgreSQL tables beside the directory's; read and written by the API and the worker
through SQLAlchemy Core. Short transactions only: a write takes its lock at its start, so two writers queue instead of
failing half-way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, insert, inspect, select

from schoolsync.settings import Settings
from schoolsync.store import acts, control_tables, locks
from schoolsync.store.database import (
    LookUp,
    LookUps,
    glancing,
    postgresql_engine,
    reading,
    sqlite_engine,
    world,
    writing,
)

if TYPE_CHECKING:
    from schoolsync.store.lines import Lines

WHAT = "control database"
POLL = 0.1
"""Seconds after which a PostgreSQL may have news; asking it costs less than having every commit ring a bell."""
IDLE_POLL = 0.4
"""The same where nothing has happened for a while: many workers wait at one PostgreSQL."""


class Control:
    """Connections to the control database. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._look_ups = LookUps(engine)
        self._lines: Lines | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; sees one consistent state."""
        with world(WHAT), reading(self.engine) as connection:
            yield connection

    @property
    def inline(self) -> bool:
        """Whether a look-up is so quick that it may be done where others wait: a file is, a server is not."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """A connection for reading with a single statement."""
        with world(WHAT), glancing(self.engine) as connection:
            yield connection

    def look_up(self, statement: LookUp, **parameters: object) -> Mapping[str, Any] | None:
        """The one row that `statement` finds by its parameters, or None; values are those of columns, of any type."""
        with world(WHAT):
            return self._look_ups.one(statement, parameters)

    def look_up_all(self, statement: LookUp, **parameters: object) -> Sequence[Sequence[Any]]:
        """The few rows that `statement` finds by its parameters; values are those of columns, of any type."""
        with world(WHAT):
            return self._look_ups.all(statement, parameters)

    async def ask(self, statement: LookUp, **parameters: object) -> Sequence[Sequence[Any]]:
        """`look_up_all` in a server, without a thread that waits for it."""
        if self._lines is None:
            from schoolsync.store.lines import Lines  # with its driver, which a file has no use for

            self._lines = Lines(self.engine)
        with world(WHAT):
            return await self._lines.all(statement, parameters)

    @contextmanager
    def write(self, tenant: int | None = None) -> Iterator[Connection]:
        """A connection in a write transaction: committed at the end, rolled back on any exception.

        Nothing it has read changes before it ends. Say whose rows it is about and it waits for writes about that
        `tenant` alone; otherwise it waits for all of them and all for it.
        """
        with world(WHAT), writing(self.engine, locks.control(tenant)) as connection:
            yield connection
            entry = acts.current()
            carried = entry is not None and entry.into_control(connection)
        if entry is not None and carried:
            entry.committed()

    def tenant_number(self, tenant_id: str, now: int) -> int:
        """The number of a tenant, which is registered when it is new. `tenant_id` is a lower-case GUID."""
        number = self.known_tenant(tenant_id)
        if number is not None:
            return number
        with self.write() as connection:
            found = connection.execute(
                select(control_tables.tenants.c.number).where(control_tables.tenants.c.id == tenant_id)
            ).scalar_one_or_none()
            if found is None:
                connection.execute(insert(control_tables.tenants).values(id=tenant_id, created=now))
        number = self.known_tenant(tenant_id)
        assert number is not None
        return number

    def known_tenant(self, tenant_id: str) -> int | None:
        """The number of a tenant, or None when it has never been seen."""
        with self.read() as connection:
            return connection.execute(
                select(control_tables.tenants.c.number).where(control_tables.tenants.c.id == tenant_id)
            ).scalar_one_or_none()

    def first_tenants(self, most: int) -> list[str]:
        """The ids of the tenants that have been here, the oldest ones first, at most so many."""
        known = control_tables.tenants
        with self.read() as connection:
            return list(connection.execute(select(known.c.id).order_by(known.c.number).limit(most)).scalars())

    def watch(self) -> Watch:
        """A cheap way to learn that somebody has written; for one thread."""
        return Watch(self.engine)

    def close(self) -> None:
        """Give back every connection."""
        self._look_ups.close()
        if self._lines is not None:
            self._lines.close()
        self.engine.dispose()


class Watch:
    """Tells whether anything was committed since the last question, without reading a table.

    On PostgreSQL the answer is yes whenever some time has passed.
    """

    def __init__(self, engine: Engine) -> None:
        self._connection = None if engine.dialect.name == "postgresql" else engine.connect()
        self._seen: int | None = None
        self._asked: float | None = None

    def changed(self, *, idle: bool = False) -> bool:
        """Whether another connection has committed since the last call; True the first time.

        `idle`: nothing has happened for a while, so that whoever comes first may wait a little longer.
        """
        if self._connection is None:
            now = time.monotonic()
            if self._asked is not None and now - self._asked < (IDLE_POLL if idle else POLL):
                return False
            self._asked = now
            return True
        with world(WHAT):
            version = int(self._connection.exec_driver_sql("PRAGMA data_version").scalar_one())
        changed, self._seen = version != self._seen, version
        return changed

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()


def open_control(settings: Settings) -> Control:
    """Open the control database; a SQLite file is made when it is not there.

    Raises WorldError when it cannot be used, Refusal when it does not serve the schema of this release.
    """
    if settings.database_url is None:
        return _open_file(settings.control_db)
    control = Control(postgresql_engine(settings.database_url, settings.database_connections))
    from schoolsync.store import schema

    schema.check(control.engine)
    return control


def _open_file(path: Path) -> Control:
    from schoolsync.store import schema

    path.parent.mkdir(parents=True, exist_ok=True)
    control = Control(sqlite_engine(path))
    fresh = not path.exists()
    try:
        with control.write() as connection:
            if not inspect(connection).has_table(control_tables.control_schema.name):
                schema.make(connection, control_tables.control)
            schema.look(connection, f"database {path.name}", control_tables.control)
    except BaseException:
        control.close()
        raise
    if fresh:
        path.chmod(0o600)
    return control
