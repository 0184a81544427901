"""The directory tables as SQLite statements, for whoever makes a directory file.

Compiled from `store.directory_tables`, so there is one definition; loads no database library, because the engine
process that writes directory files in bulk must never load `sqlite3`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from schoolsync.store.directory_tables import (
    class_people,
    classes,
    directory,
    people,
    school_classes,
    school_people,
    schools,
)
from schoolsync.store.release import SCHEMA_VERSION

LYING = 1_000
"""Rows that SQLite is told to expect in a bin: its index has these alone, and is preferred where they are meant."""
MANY, FEW = 10_000_000, 30
"""What SQLite is told to expect: rows in a table of objects or links, and rows that a look-up by an index finds.

More rows than SQLite takes a table of its own kind for that it knows nothing of (2^20), such as the rows of a batch:
otherwise it would read a whole table into a Bloom filter before it looks anything up.
"""


def expecting_bin(table: str) -> str:
    """The statement that tells SQLite how little lies in a bin; a file that got its index later needs it too."""
    return _expecting(table, f"{table}_binned", [LYING, LYING, 1])


def _expecting(table: str, index: str, rows: Sequence[int]) -> str:
    said = " ".join(map(str, rows))
    return (
        f"INSERT INTO sqlite_stat1 (tbl, idx, stat) SELECT '{table}', '{index}', '{said}' "  # noqa: S608  # ours
        f"WHERE NOT EXISTS (SELECT 1 FROM sqlite_stat1 WHERE idx = '{index}')"
    )


def _expectations() -> Iterator[str]:
    """Statements that tell SQLite how far each index narrows a search down.

    A file holds one tenant, so the tenant that leads every key narrows nothing. Without being told, SQLite takes it
    for a good beginning and walks through all rows of a table instead of going by an index that leads to one of them.
    """
    yield "ANALYZE sqlite_master"  # makes the table of expectations, and looks at nothing
    for table in (schools, classes, people, school_classes, school_people, class_people):
        # The key of a table without row ids goes by the table's name, the first further constraint by a made-up one.
        keys = [(table.name, len(table.primary_key.columns), True)]
        if any(isinstance(one, UniqueConstraint) for one in table.constraints):
            keys.append((f"sqlite_autoindex_{table.name}_2", 2, True))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        keys += [(str(index.name), len(index.expressions), False) for index in indexes]
        for name, columns, unique in keys:
            found = [MANY, *[FEW] * (columns - 1)]
            if unique or columns > 2:
                found[-1] = 1 if unique else 2  # so that the key itself is preferred
            if name == f"{table.name}_binned":
                yield expecting_bin(table.name)
            else:
                yield _expecting(table.name, name, [MANY, *found])
    yield "ANALYZE sqlite_master"  # and now this connection knows them, too


@cache
def _statements() -> tuple[str, ...]:
    dialect = sqlite.dialect()
    made: list[str] = []
    for table in directory.sorted_tables:
        made.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made.extend(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)).strip() for index in indexes)
    made.extend(_expectations())
    made.append(
        f"INSERT INTO schema_version (version, oldest) SELECT {SCHEMA_VERSION}, {SCHEMA_VERSION} "  # noqa: S608  # ours
        "WHERE NOT EXISTS (SELECT 1 FROM schema_version)"
    )
    return tuple(made)


def directory_statements() -> list[str]:
    """What makes an empty directory file, in order; each statement does nothing when its work is done already.

    To be run in one write transaction, so that two processes making the same file do not meet half-way.
    """
    return list(_statements())
