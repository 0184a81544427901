# ruff: noqa: S608  # what is put into these statements are names of ours
"""What a format cannot hold of a roster: columns without a place, and records that cannot be written at all.

Nothing is judged by name alone: every column of every canonical table that the format has no place for is counted, and
so is what is lost in other ways. What is not counted is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from schoolsync.convert.writing import Target
from schoolsync.roster.tables import TABLES

_NEVER = {"file", "line"}
# What follows from something else, or says what every reader takes for granted: nothing is lost with it.
_DERIVED = {
    ("organizations", "is_school"): "false",
    ("organizations", "type"): "type <> 'school'",
    ("people", "role_name"): "role_name <> role",
    ("people", "school_id"): "false",
    ("people", "enabled"): "NOT enabled",
    ("person_organizations", "role_name"): "role_name <> role",
    ("person_organizations", "is_primary"): "false",
    ("person_organizations", "grade"): (
        "grade IS NOT NULL AND (role, source_id, grade) NOT IN (SELECT (role, source_id, grade) FROM roster.people)"
    ),
    ("enrollments", "role_name"): "role_name <> role",
    ("enrollments", "person_role"): "person_role <> role",
    ("enrollments", "is_primary"): "is_primary",
    ("classes", "type"): "type <> 'scheduled'",
    ("contacts", "name"): "false",
    ("contacts", "guardian_id"): "false",
}
# Tables that say again, or more exactly, what stands in others.
_SAID_ELSEWHERE = {"left_out", "person_roles"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheld:
    """One thing that is not in the files."""

    what: str  # canonical table and column, or a sentence
    count: int


def unheld(db: duckdb.DuckDBPyConnection, target: Target) -> Sequence[Unheld]:
    """Count it, what concerns most records first; the roster is prepared."""
    found: list[Unheld] = []
    for table, columns in TABLES.items():
        if table in _SAID_ELSEWHERE:
            continue
        if table not in target.holds:
            found.append(Unheld(what=table, count=_count(db, f"SELECT count(*) FROM roster.{table}")))
            continue
        for column in columns:
            if column in _NEVER or column in target.holds[table]:
                continue
            test = _DERIVED.get((table, column), f'"{column}" IS NOT NULL')
            only = target.only.get(table, "true")
            query = f"SELECT count(*) FROM roster.{table} WHERE ({test}) AND ({only})"
            found.append(Unheld(what=f"{table}.{column}", count=_count(db, query)))
    found += [Unheld(what=sentence, count=_count(db, query)) for sentence, query in target.losses.items()]
    return sorted((one for one in found if one.count), key=lambda one: (-one.count, one.what))


def _count(db: duckdb.DuckDBPyConnection, query: str) -> int:
    row = db.execute(query).fetchone()
    assert row is not None
    return int(row[0])
