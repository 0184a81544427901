"""Two rosters beside each other: how many records of each kind are new, gone and changed, and in which columns.

The earlier one is put aside with `keep`, then the later one is read into the same connection. Values are compared in
the engine and never told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from schoolsync.roster.tables import TABLES

SCHEMA = "before"
# kind -> what tells its records apart
KEYS: Mapping[str, tuple[str, ...]] = {
    "organizations": ("source_id",),
    "terms": ("source_id",),
    "courses": ("source_id",),
    "classes": ("source_id",),
    "people": ("role", "source_id"),
    "person_organizations": ("role", "source_id", "school_id"),
    "enrollments": ("class_id", "person_role", "source_id", "begin_date"),
    "contacts": ("student_id", "email"),
    "demographics": ("role", "source_id"),
    "flags": ("role", "source_id", "flag"),
}
_NULLABLE = {"begin_date"}  # parts of a key that need not be there
_WHERE = {"file", "line"}
_COUNTS = """
SELECT count(*) FILTER (old.here), count(*) FILTER (new.here), count(*) FILTER (old.here IS NULL),
    count(*) FILTER (new.here IS NULL), count(*) FILTER (old.here AND new.here AND ({differs})) {per_column}
FROM (SELECT *, true AS here FROM before.{kind}) AS old
    FULL JOIN (SELECT *, true AS here FROM roster.{kind}) AS new ON {match}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What became of the records of one kind."""

    kind: str
    before: int
    after: int
    new: int
    gone: int
    changed: int
    columns: dict[str, int]  # column -> records in which it changed


def keep(db: duckdb.DuckDBPyConnection) -> None:
    """Put the roster in the canonical tables aside; the next one can be read then."""
    db.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
    for kind in KEYS:
        db.execute(f"CREATE TABLE {SCHEMA}.{kind} AS FROM roster.{kind}")  # names of ours


def kinds(db: duckdb.DuckDBPyConnection) -> Sequence[Kind]:
    """Compare the roster in the canonical tables with the one that was put aside."""
    found = []
    for kind, key in KEYS.items():
        compared = [name for name in TABLES[kind] if name not in key and name not in _WHERE]
        tests = {name: f'old."{name}" IS DISTINCT FROM new."{name}"' for name in compared}
        per_column = "".join(f", count(*) FILTER (old.here AND new.here AND {test})" for test in tests.values())
        query = _COUNTS.format(
            kind=kind,
            differs=" OR ".join(tests.values()) or "false",
            per_column=per_column,
            match=" AND ".join(_same(name) for name in key),
        )
        row = db.execute(query).fetchone()
        assert row is not None
        before, after, new, gone, changed, *per = row
        columns = {name: count for name, count in zip(compared, per, strict=True) if count}
        found.append(Kind(kind=kind, before=before, after=after, new=new, gone=gone, changed=changed, columns=columns))
    return found


def _same(name: str) -> str:
    """Equal, as a join is quick with; what may be missing is compared by a stand-in."""
    if name in _NULLABLE:
        return f"coalesce(old.{name}::VARCHAR, '') = coalesce(new.{name}::VARCHAR, '')"
    return f"old.{name} = new.{name}"
