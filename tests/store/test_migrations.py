"""The steps from one schema to the next, on both databases."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, insert, inspect, select, update

from schoolsync.errors import Refusal
from schoolsync.settings import Settings
from schoolsync.store import control_tables, directory_tables, schema
from schoolsync.store.control import open_control
from schoolsync.store.database import sqlite_engine
from schoolsync.store.directories import Directories
from schoolsync.store.migrations import STEPS
from schoolsync.store.release import SCHEMA_VERSION

SINCE: dict[int, tuple[tuple[Table, str], ...]] = {
    2: (
        *((control_tables.runs, name) for name in ("stage_done", "stage_total", "cleans")),
        (control_tables.notices, "problem"),
    ),
    3: (
        *(
            (table, "binned_at")
            for table in (directory_tables.schools, directory_tables.classes, directory_tables.people)
        ),
        (directory_tables.removed_objects, "restorable"),
    ),
}
"""Columns that each schema has and the one before had not."""
TABLES: dict[int, tuple[Table, ...]] = {2: (control_tables.console_links, control_tables.notice_receivers)}
"""Tables, likewise."""
FIRST = "5f7c5fbd8d43c81a"
"""A digest of all columns of schema 1."""
TENANT = "11111111-1111-4111-8111-111111111111"
RUN = {"tenant": 1, "profile": "p", "id": "r", "number": 1, "state": "queued", "cause": "start", "asked": 0}


def before(engines: Sequence[Engine], version: int) -> None:
    """Make databases what they were before schema `version`."""
    for engine in engines:
        there = set(inspect(engine).get_table_names())
        with engine.begin() as connection:
            for table in TABLES.get(version, ()):
                if table.name in there:
                    table.drop(connection)
            for table, column in SINCE[version]:
                if table.name not in there:
                    continue  # it is in the other file
                for index in table.indexes:
                    if str(index.name).endswith("_binned") and column == "binned_at":
                        index.drop(connection)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} DROP COLUMN {column}")
            connection.execute(update(control_tables.control_schema).values(version=version - 1, oldest=version - 1))


def columns(engines: Sequence[Engine]) -> set[tuple[str, str]]:
    """The columns of the tables that any schema has changed, and the indexes of these."""
    changed = {table.name for since in SINCE.values() for table, _ in since}
    changed |= {table.name for tables in TABLES.values() for table in tables}
    found = set()
    for engine in engines:
        asked = inspect(engine)
        for name in changed & set(asked.get_table_names()):
            found |= {(name, column["name"]) for column in asked.get_columns(name)}
            found |= {(name, str(index["name"])) for index in asked.get_indexes(name)}
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:
                there = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").all()
                told = "SELECT tbl, idx || ' ' || stat FROM sqlite_stat1 WHERE idx LIKE '%binned'"
                found |= {tuple(row) for row in connection.exec_driver_sql(told)} if there else set()
    return found


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


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")  # of indexes by expressions, older than any step
def test_every_schema_is_reached_from_the_first_one(tmp_path: Path, database_url: str | None) -> None:
    """A database of the first release is refused until it is upgraded; then it has all columns, and its rows."""
    assert [step.version for step in STEPS] == list(range(2, SCHEMA_VERSION + 1)) == sorted(SINCE)
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    control = open_control(settings)
    engines = [control.engine]
    if database_url is None:  # each tenant has a file of its own
        directories = Directories(settings)
        with directories.write(TENANT):
            pass
        directories.close()
        engines.append(sqlite_engine(settings.directory_db(TENANT)))
    try:
        whole = columns(engines)
        for version in sorted(SINCE, reverse=True):
            before(engines, version)
        with control.engine.begin() as connection:
            connection.execute(insert(control_tables.runs).values(RUN))
        with pytest.raises(Refusal, match="db upgrade"):
            open_control(settings)
        for _ in range(2):
            assert schema.upgrade(settings) == (SCHEMA_VERSION, SCHEMA_VERSION - 1)
        assert columns(engines) == whole
        with control.read() as connection:
            assert connection.execute(select(control_tables.runs.c.id, control_tables.runs.c.stage_total)).one() == (
                "r",
                None,
            )
        assert schema.upgrade(settings, finish=True) == (SCHEMA_VERSION, SCHEMA_VERSION)
        open_control(settings).close()
    finally:
        for engine in engines[1:]:
            engine.dispose()
        control.close()
