"""The schema of an installation's databases: made and upgraded here, looked at by everybody before they work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, insert, inspect, select, text

from schoolsync.errors import Refusal
from schoolsync.folders import listed
from schoolsync.settings import Settings
from schoolsync.store import control_tables, directory_tables, locks, migrations, release
from schoolsync.store.database import is_postgresql, postgresql_engine, sqlite_engine, world, writing
from schoolsync.store.migrations import Family

WHAT = "database"
OTHER = "it was made by an unfinished or changed release; use the one that made it, or restore a backup"


def upgrade(settings: Settings, *, finish: bool = False) -> tuple[int, int]:
    """Make what is missing and have the schema of this release; with `finish`, no earlier release's any more.

    The newest and the oldest schema that is served then. May be repeated, and be typed by two at once.
    """
    if settings.database_url is not None:
        return prepare(postgresql_engine(settings.database_url, settings.database_connections), finish=finish)
    with world("control database"), _file(settings.control_db) as engine:
        # The directories first: when the control database has a schema, they have it.
        for path in listed(settings.directories, "*.db"):
            with world("directory database"), _file(path) as directory, writing(directory, "") as connection:
                if inspect(connection).has_table(directory_tables.directory_schema.name):
                    _advance(connection, (Family.DIRECTORY,), finish=finish)
        with writing(engine, "") as connection:
            return _advance(connection, (Family.CONTROL,), finish=finish)


def prepare(engine: Engine, *, finish: bool = False) -> tuple[int, int]:
    """The same for a PostgreSQL, which may be empty."""
    with world(WHAT), writing(engine, locks.control(None)) as connection:
        if inspect(connection).has_table(control_tables.control_schema.name):
            return _advance(connection, tuple(Family), finish=finish)
        make(connection, control_tables.control, directory_tables.directory)
        return migrations.serves(connection)


def make(connection: Connection, *families: MetaData) -> None:
    """Make the tables of a database that has none."""
    for family in families:
        family.create_all(connection, checkfirst=True)
    version = release.SCHEMA_VERSION
    connection.execute(insert(control_tables.control_schema).values(version=version, oldest=version))


def check(engine: Engine) -> None:
    """Raise Refusal unless a PostgreSQL serves the schema of this release and has its tables."""
    with world(WHAT), engine.connect() as connection:
        if not inspect(connection).has_table(control_tables.control_schema.name):
            raise Refusal("The database is empty: type “schoolsync db upgrade” to make the tables.")
        look(connection, WHAT, control_tables.control, directory_tables.directory)


def look(connection: Connection, what: str, *families: MetaData) -> None:
    """Raise Refusal unless a database, called `what`, serves the schema of this release and has all of its columns."""
    there = _columns(connection)
    for column in ("version", "oldest"):
        if (control_tables.control_schema.name, column) not in there:
            raise Refusal(f"The {what} does not say which releases it serves: {OTHER}.")
    migrations.check(*migrations.serves(connection), what)
    lacks = missing(there, *families)
    if lacks:
        raise Refusal(f"The {what} lacks {', '.join(lacks[:5])}: {OTHER}.")


def missing(there: set[tuple[str, str]], *families: MetaData) -> list[str]:
    """Columns that this release knows and are not among those of a database."""
    return [
        f"{table.name}.{column.name}"
        for family in families
        for table in family.sorted_tables
        for column in table.columns
        if (table.name, column.name) not in there
    ]


def _columns(connection: Connection) -> set[tuple[str, str]]:
    """Tables and their columns, asked for at once: this is looked at whenever a process starts."""
    asked = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
        if is_postgresql(connection)
        else "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'"
    )
    return {(str(table), str(column)) for table, column in connection.execute(text(asked))}


def _advance(connection: Connection, families: tuple[Family, ...], *, finish: bool) -> tuple[int, int]:
    version, oldest = migrations.serves(connection)
    if oldest > release.SCHEMA_VERSION:
        migrations.check(version, oldest, WHAT)
    migrations.upgrade(connection, families)
    if finish:
        migrations.finish(connection, families)
    return migrations.serves(connection)


def version_of(connection: Connection) -> int:
    """The newest schema that a database serves."""
    return int(connection.execute(select(control_tables.control_schema.c.version)).scalar_one())


@contextmanager
def _file(path: Path) -> Iterator[Engine]:
    engine = sqlite_engine(path)
    try:
        yield engine
    finally:
        engine.dispose()
