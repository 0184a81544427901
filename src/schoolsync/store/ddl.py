"""The directory tables as SQLite statements, for whoever makes a directory file.

Compiled from `store.tables`, so there is one definition; loads no database library, because the engine process that
writes directory files in bulk must never load `sqlite3`.
"""

from __future__ import annotations

from functools import cache

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from schoolsync.store.tables import SCHEMA_VERSION, directory


@cache
def _statements() -> tuple[str, ...]:
    dialect = sqlite.dialect()
    made: list[str] = []
    for table in directory.sorted_tables:
        made.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made.extend(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)).strip() for index in indexes)
    made.append(
        f"INSERT INTO schema_version (version) SELECT {SCHEMA_VERSION} "  # noqa: S608  # a number of ours
        "WHERE NOT EXISTS (SELECT 1 FROM schema_version)"
    )
    return tuple(made)


def directory_statements() -> list[str]:
    """What makes an empty directory file, in order; each statement does nothing when its work is done already.

    To be run in one write transaction, so that two processes making the same file do not meet half-way.
    """
    return list(_statements())
