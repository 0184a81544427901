"""The control database: tenants, profiles, status, runs, errors, uploads.

On SQLite it is one file, read and written by the API and the worker through SQLAlchemy Core. Short transactions only:
a write takes the lock at its start (`BEGIN IMMEDIATE`), so two writers queue instead of failing half-way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from schoolsync.errors import WorldError
from schoolsync.store import tables

BUSY_MS = 10_000


class Control:
    """Connections to the control database. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; sees one consistent state."""
        with _world(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a write transaction: committed at the end, rolled back on any exception."""
        with _world(), self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    def tenant_number(self, tenant_id: str, now: int) -> int:
        """The number of a tenant, which is registered when it is new. `tenant_id` is a lower-case GUID."""
        number = self.known_tenant(tenant_id)
        if number is not None:
            return number
        with self.write() as connection:
            found = connection.execute(
                select(tables.tenants.c.number).where(tables.tenants.c.id == tenant_id)
            ).scalar_one_or_none()
            if found is None:
                connection.execute(insert(tables.tenants).values(id=tenant_id, created=now))
        number = self.known_tenant(tenant_id)
        assert number is not None
        return number

    def known_tenant(self, tenant_id: str) -> int | None:
        """The number of a tenant, or None when it has never been seen."""
        with self.read() as connection:
            return connection.execute(
                select(tables.tenants.c.number).where(tables.tenants.c.id == tenant_id)
            ).scalar_one_or_none()

    def watch(self) -> Watch:
        """A cheap way to learn that somebody has written; for one thread."""
        return Watch(self.engine.connect())

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


class Watch:
    """Tells whether anything was committed since the last question, without reading a table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen: int | None = None

    def changed(self) -> bool:
        """Whether another connection has committed since the last call; True the first time."""
        with _world():
            version = int(self._connection.exec_driver_sql("PRAGMA data_version").scalar_one())
        changed, self._seen = version != self._seen, version
        return changed

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def open_control(path: Path) -> Control:
    """Open the control database at `path`, making it when it is not there.

    Raises WorldError when the file cannot be used or was written by another version of the schema.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Parameters stay out of error texts: among them are people's data.
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False},
        hide_parameters=True,
        max_overflow=60,
    )
    event.listen(engine, "connect", _prepare)
    control = Control(engine)
    fresh = not path.exists()
    with control.write() as connection:
        tables.control.create_all(connection, checkfirst=True)
        version = connection.execute(select(tables.control_schema.c.version)).scalar_one_or_none()
        if version is None:
            connection.execute(insert(tables.control_schema).values(version=tables.SCHEMA_VERSION))
        elif version != tables.SCHEMA_VERSION:
            raise WorldError(
                f"The database {path.name} has schema {version}, this schoolsync knows {tables.SCHEMA_VERSION}: "
                "use the schoolsync release that wrote it."
            )
    if fresh:
        path.chmod(0o600)
    return control


def _prepare(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are ours to begin
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _world() -> Iterator[None]:
    """A database that fails us is the world's doing, and says so in our words."""
    try:
        yield
    except IntegrityError:
        raise
    except (DatabaseError, PoolTimeout) as problem:
        raise WorldError("The control database cannot be used now.") from problem
