"""The schema of a PostgreSQL: made by `upgrade`, looked at by everybody else before they touch anything."""

from __future__ import annotations

from sqlalchemy import Engine, insert, inspect, select

from schoolsync.errors import WorldError
from schoolsync.store import locks, tables
from schoolsync.store.database import world, writing

WHAT = "database"


def upgrade(engine: Engine) -> None:
    """Make what is missing. May be called twice, and by two at once."""
    with world(WHAT), writing(engine, locks.control(None)) as connection:
        tables.control.create_all(connection, checkfirst=True)
        tables.directory.create_all(connection, checkfirst=True)
        if connection.execute(select(tables.control_schema.c.version)).scalar_one_or_none() is None:
            connection.execute(insert(tables.control_schema).values(version=tables.SCHEMA_VERSION))


def check(engine: Engine) -> None:
    """Raise WorldError unless the database has the schema that this release knows."""
    with world(WHAT), engine.connect() as connection:
        there = inspect(connection).has_table("schema_version")
        version = connection.execute(select(tables.control_schema.c.version)).scalar_one_or_none() if there else None
    if version is None:
        raise WorldError("The database is empty: type “schoolsync db upgrade” to make the tables.")
    if version != tables.SCHEMA_VERSION:
        raise WorldError(
            f"The database has schema {version}, this schoolsync knows {tables.SCHEMA_VERSION}: type “schoolsync db "
            "upgrade”, or use the schoolsync release that wrote it."
        )
