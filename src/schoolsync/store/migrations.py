"""How the tables of one release become those of the next, while both are at work.

A *step* leads to one schema version and comes in two parts. `before` only adds: the release before this one keeps
working when it is done, and may be gone back to. `after` takes away what that release still needed, once nobody runs it
any more. A database says which schemas it serves, from `oldest` to `version`; a release knows one schema and works with
a database that serves it.

Our own list instead of a library's: a SQLite installation is a file per tenant, and processes that may not load
`sqlite3` or a migration library look at the versions as well (`targets/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, Table, select, update
from sqlalchemy.schema import CreateColumn

from schoolsync.errors import Refusal
from schoolsync.store import control_tables, ddl, directory_tables, release
from schoolsync.store.control_tables import control_schema
from schoolsync.store.database import is_postgresql


class Family(StrEnum):
    """Tables that are changed together: on SQLite they are files of their own."""

    CONTROL = "control"
    DIRECTORY = "directory"


Change = Callable[[Connection], None]
"""Statements of a step, written for both databases. Runs inside of a transaction, and once."""


@dataclass(frozen=True, slots=True)
class Step:
    """What leads to schema `version` from the one before."""

    version: int
    before: Mapping[Family, Change]
    after: Mapping[Family, Change] = field(default_factory=dict)


def _second(connection: Connection) -> None:
    for column in ("stage_done", "stage_total", "cleans"):
        add_column(connection, control_tables.runs, control_tables.runs.c[column])
    add_column(connection, control_tables.notices, control_tables.notices.c.problem)
    for table in (control_tables.console_links, control_tables.notice_receivers):
        table.create(connection, checkfirst=True)
    for index in (
        control_tables.notices_waiting,
        control_tables.profiles_named,
        control_tables.profiles_state,
        control_tables.runs_ended,
    ):
        index.create(connection, checkfirst=True)


def _third(connection: Connection) -> None:
    for table in (directory_tables.schools, directory_tables.classes, directory_tables.people):
        add_column(connection, table, table.c.binned_at)
        index = next(one for one in table.indexes if one.name == f"{table.name}_binned")
        index.create(connection)
        if not is_postgresql(connection):
            connection.exec_driver_sql(ddl.expecting_bin(table.name))
    removed = directory_tables.removed_objects
    add_column(connection, removed, removed.c.restorable)


STEPS: tuple[Step, ...] = (
    Step(2, before={Family.CONTROL: _second}),
    Step(3, before={Family.DIRECTORY: _third}),
)
"""Every step there has been, in order. The first one leads to schema 2."""


def upgrade(connection: Connection, families: tuple[Family, ...]) -> None:
    """Have the tables that this release needs; the release before it can go on. May be repeated.

    What a step left for the time after it is done first: the release that needed it is two behind now.
    """
    version, _ = serves(connection)
    for step in STEPS:
        if step.version > version:
            _finish(connection, families, step.version - 1)
            for family in families:
                _run(step.before.get(family), connection)
            _say(connection, version=step.version)


def finish(connection: Connection, families: tuple[Family, ...]) -> None:
    """Take away what only earlier releases needed: they are refused from now on. May be repeated."""
    version, _ = serves(connection)
    _finish(connection, families, version)


def _finish(connection: Connection, families: tuple[Family, ...], version: int) -> None:
    _, oldest = serves(connection)
    for step in STEPS:
        if oldest < step.version <= version:
            for family in families:
                _run(step.after.get(family), connection)
            _say(connection, oldest=step.version)


def serves(connection: Connection) -> tuple[int, int]:
    """The newest and the oldest schema that a database serves."""
    row = connection.execute(select(control_schema.c.version, control_schema.c.oldest)).one()
    return int(row.version), int(row.oldest)


def check(version: int, oldest: int, what: str) -> None:
    """Raise Refusal unless a database, called `what`, serves the schema of this release."""
    if version < release.SCHEMA_VERSION:
        raise Refusal(
            f"The {what} has schema {version}, which is older than this release's {release.SCHEMA_VERSION}: type "
            "“schoolsync db upgrade”."
        )
    if oldest > release.SCHEMA_VERSION:
        raise Refusal(
            f"The {what} has schema {oldest}, which is newer than this release's {release.SCHEMA_VERSION}: install the "
            "newer schoolsync release that upgraded it."
        )


def add_column(connection: Connection, table: Table, column: Column[Any]) -> None:
    """Add a column that rows of the release before can do without: it may be null, or has a default."""
    described = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {described}")


def _run(change: Change | None, connection: Connection) -> None:
    if change is not None:
        change(connection)


def _say(connection: Connection, **values: int) -> None:
    connection.execute(update(control_schema).values(**values))
