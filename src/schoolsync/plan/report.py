# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""What people are told about a plan: what the roster holds, what failed, and one entry for every record that did.

Records that were left out because their mistakes were to be ignored are listed too: they are not in the directory.
Entries name ids and, where Graph documents it, the value an account was looked for by; nothing else of a person.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from schoolsync.plan.desired import Terms
from schoolsync.plan.identity import SEPARATOR, guid, text
from schoolsync.plan.kinds import LINKS, OBJECTS

CHUNK = 5_000
"""Entries in one file."""
PARTS = 200
"""Schools and kinds whose failures are counted apart."""

_OBJECT_TABLES = {kind.entry: kind.table for kind in OBJECTS}


def list_left_out(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Add the records that were left out for their mistakes to the errors."""
    kinds = [(kind.records, kind.where, kind.entry, "r.source_id") for kind in terms.objects]
    kinds += [(kind.records, kind.where, kind.entry, "r.other") for kind in terms.links if kind.table == "class_people"]
    for records, where, entry, identifier in kinds:
        joining = "r.source_id" if identifier == "r.other" else "NULL"
        db.execute(f"""
            INSERT INTO planned.errors
            SELECT {text(entry)},
                CASE r.rule WHEN 'unknown-reference' THEN 'InvalidLookupReference'
                    WHEN 'duplicate-id' THEN 'DuplicateTargetEntries' ELSE 'UnSpecified' END,
                'The record was left out because of the finding ' || coalesce(r.rule, 'unknown')
                || ' in line ' || coalesce(r.line::VARCHAR, '?') || ' of ' || coalesce(r.file, 'the roster') || '.',
                {joining}, {identifier}
            FROM roster.left_out AS r WHERE r.kind = '{records}' AND {where}
        """)


def failed(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many records of each kind could not be synchronized; what was left out on purpose is not counted."""
    result: dict[str, int] = {}
    query = "SELECT entry_type, count(*) FROM planned.errors GROUP BY entry_type"
    for entry, count in db.execute(query).fetchall():
        kind = _kind(entry)
        result[kind] = result.get(kind, 0) + count
    return result


def _kind(entry: str) -> str:
    if entry in _OBJECT_TABLES:
        return _OBJECT_TABLES[entry]
    return next("links" if link.table == "class_people" else "school_links" for link in LINKS if link.entry == entry)


def seen(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many records of each kind the roster has."""
    (row,) = db.execute(
        "SELECT (SELECT count(*) FROM roster.organizations), (SELECT count(*) FROM roster.classes), "
        "(SELECT count(*) FROM roster.people), (SELECT count(*) FROM roster.enrollments), "
        "(SELECT count(*) FROM roster.classes) + (SELECT count(*) FROM roster.person_organizations)"
    ).fetchall()
    return dict(zip(("schools", "classes", "people", "links", "school_links"), row, strict=True))


def count_parts(db: duckdb.DuckDBPyConnection) -> None:
    """`planned.parts_seen`: how many classes, students and teachers the roster has in each school."""
    db.execute("""
        CREATE OR REPLACE TABLE planned.parts_seen AS
        SELECT 'class' AS kind, school_id AS school, count(*) AS n FROM roster.classes GROUP BY ALL
        UNION ALL
        SELECT role, school_id, count(*) FROM roster.people WHERE role IN ('student', 'teacher') GROUP BY ALL
    """)


def failed_parts(db: duckdb.DuckDBPyConnection) -> list[tuple[str, str | None, int, int]]:
    """What failed in each school, and of each kind in all (school None), with what was seen there; the most first.

    To be called while the records of objects are still there.
    """
    if not db.execute("SELECT 1 FROM planned.errors LIMIT 1").fetchall():
        return []
    return db.execute(f"""
        WITH wrong AS (
            SELECT DISTINCT CASE entry_type WHEN 'Section' THEN 'class' ELSE lower(entry_type) END AS kind,
                reportable_identifier AS source_id
            FROM planned.errors WHERE entry_type IN ('Section', 'Student', 'Teacher')
        ), counted AS (
            SELECT w.kind, c.school_id AS school, count(*) AS n
            FROM wrong AS w JOIN roster.classes AS c ON c.source_id = w.source_id WHERE w.kind = 'class' GROUP BY ALL
            UNION ALL
            SELECT w.kind, p.school_id, count(*)
            FROM wrong AS w JOIN roster.people AS p ON p.source_id = w.source_id AND p.role = w.kind GROUP BY ALL
        )
        SELECT f.kind, f.school, f.n, s.n FROM counted AS f
        JOIN planned.parts_seen AS s ON s.kind = f.kind AND s.school = f.school
        UNION ALL
        SELECT f.kind, NULL, sum(f.n)::BIGINT, (SELECT sum(n)::BIGINT FROM planned.parts_seen WHERE kind = f.kind)
        FROM counted AS f GROUP BY f.kind
        ORDER BY 3 DESC, 1, 2 NULLS FIRST LIMIT {PARTS}
    """).fetchall()


def entries(db: duckdb.DuckDBPyConnection, *, run: str, now: int) -> Iterator[str]:
    """The errors as JSON arrays of at most CHUNK rows; ids are the same whenever the same run is planned again."""
    digest = (
        f"sha256(concat_ws({SEPARATOR}, {text(run)}, entry_type, error_code, coalesce(reportable_identifier, ''), "
        "coalesce(joining_value, ''), twin))"
    )
    db.execute(f"""
        CREATE OR REPLACE TABLE planned.entries AS
        WITH numbered AS (
            SELECT *, row_number() OVER (
                PARTITION BY entry_type, error_code, reportable_identifier, joining_value) AS twin
            FROM planned.errors
        )
        SELECT {guid(digest)} AS id, entry_type, error_code, error_message, joining_value, reportable_identifier,
            {int(now)}::BIGINT AS recorded
        FROM numbered
        ORDER BY list_position(['School', 'Section', 'Student', 'Teacher'], entry_type) NULLS LAST, entry_type,
            reportable_identifier, joining_value, id
    """)
    ((count,),) = db.execute("SELECT count(*) FROM planned.entries").fetchall()
    for first in range(0, count, CHUNK):
        ((chunk,),) = db.execute(
            f"SELECT CAST(to_json(list(e ORDER BY rowid)) AS VARCHAR) "
            f"FROM planned.entries AS e WHERE rowid >= {first} AND rowid < {first + CHUNK}"
        ).fetchall()
        yield str(chunk)
