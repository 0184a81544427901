"""The steps from one schema to the next, on both databases."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, insert, inspect, select, update

from schoolsync.errors import Refusal
from schoolsync.settings import Settings
from schoolsync.store import control_tables, directory_tables, schema
from schoolsync.store.control import open_control
from schoolsync.store.migrations import STEPS
from schoolsync.store.release import SCHEMA_VERSION

SINCE: dict[int, tuple[tuple[Table, str], ...]] = {
    2: (
        *((control_tables.runs, name) for name in ("stage_done", "stage_total", "cleans")),
        (control_tables.notices, "problem"),
    ),
}
"""Columns that each schema has and the one before had not."""
TABLES: dict[int, tuple[Table, ...]] = {2: (control_tables.console_links, control_tables.notice_receivers)}
"""Tables, likewise."""
FIRST = "5f7c5fbd8d43c81a"
"""A digest of all columns of schema 1."""
RUN = {"tenant": 1, "profile": "p", "id": "r", "number": 1, "state": "queued", "cause": "start", "asked": 0}


def before(engine: Engine, version: int) -> None:
    """Make a database what it was before schema `version`."""
    with engine.begin() as connection:
        for table in TABLES.get(version, ()):
            table.drop(connection)
        for table, column in SINCE[version]:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} DROP COLUMN {column}")
        connection.execute(update(control_tables.control_schema).values(version=version - 1, oldest=version - 1))


def columns(engine: Engine) -> set[tuple[str, str]]:
    asked = inspect(engine)
    changed = {table.name for since in SINCE.values() for table, _ in since}
    changed |= {table.name for tables in TABLES.values() for table in tables}
    return {(name, column["name"]) for name in changed for column in asked.get_columns(name)}


def test_no_column_comes_without_a_step() -> None:
    """Without what later schemas have added, the tables are those of the first one."""
    added = {(table.name, column) for since in SINCE.values() for table, column in since}
    added |= {(table.name, column.name) for tables in TABLES.values() for table in tables for column in table.columns}
    known = {
        (table.name, column.name)
        for family in (control_tables.control, directory_tables.directory)
        for table in family.sorted_tables
        for column in table.columns
    }
    assert added <= known
    digest = hashlib.sha256(repr(sorted(known - added)).encode()).hexdigest()[:16]
    assert digest == FIRST, "a new column needs a step in store/migrations.py, and a place in SINCE"


def test_every_schema_is_reached_from_the_first_one(tmp_path: Path, database_url: str | None) -> None:
    """A database of the first release is refused until it is upgraded; then it has all columns, and its rows."""
    assert [step.version for step in STEPS] == list(range(2, SCHEMA_VERSION + 1)) == sorted(SINCE)
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    control = open_control(settings)
    try:
        whole = columns(control.engine)
        for version in sorted(SINCE, reverse=True):
            before(control.engine, version)
        with control.engine.begin() as connection:
            connection.execute(insert(control_tables.runs).values(RUN))
        with pytest.raises(Refusal, match="db upgrade"):
            open_control(settings)
        for _ in range(2):
            assert schema.upgrade(settings) == (SCHEMA_VERSION, SCHEMA_VERSION - 1)
        assert columns(control.engine) == whole
        with control.read() as connection:
            assert connection.execute(select(control_tables.runs.c.id, control_tables.runs.c.stage_total)).one() == (
                "r",
                None,
            )
        assert schema.upgrade(settings, finish=True) == (SCHEMA_VERSION, SCHEMA_VERSION)
        open_control(settings).close()
    finally:
        control.close()
