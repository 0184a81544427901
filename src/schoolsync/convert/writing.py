# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""What every target shares: the records made ready for writing, and the writing itself.

Formats with one list of users have one namespace of ids, SDS V1 has two: a teacher whose id a pupil has as well is
written under another one, and that is reported. Terms and courses that stand in classes alone are made records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from schoolsync.errors import UsageError
from schoolsync.sources import Extract

_PREPARE = """
DROP SCHEMA IF EXISTS written CASCADE;
CREATE SCHEMA written;
CREATE TABLE written.twice AS SELECT source_id FROM roster.people GROUP BY source_id HAVING count(*) > 1;
CREATE VIEW written.people AS SELECT *, {uid} AS uid FROM roster.people AS one;
CREATE VIEW written.enrollments AS SELECT *, {enrolled} AS uid, {holds} AS holds FROM roster.enrollments AS one;
-- Where somebody is what: as it was written, or what the first school and the others say.
CREATE VIEW written.roles AS
    SELECT one.source_id AS uid, organization_id, role_name, term_id, grade, is_primary, begin_date, end_date,
        {holds} AS holds FROM roster.person_roles AS one
    UNION ALL
    SELECT {uid}, one.school_id, coalesce(one.role_name, one.role), NULL,
        CASE WHEN one.role = 'student' THEN coalesce(one.grade, p.grade) END,
        coalesce(one.is_primary, one.school_id = p.school_id), one.begin_date, one.end_date, {holds}
    FROM roster.person_organizations AS one JOIN roster.people AS p USING (role, source_id)
    WHERE (SELECT count(*) FROM roster.person_roles) = 0;
CREATE TABLE written.terms AS
    SELECT source_id, coalesce(name, source_id) AS name, coalesce(type, 'term') AS type,
        coalesce(school_year, {school_year}) AS school_year, start_date, end_date, parent_id
    FROM (
        SELECT source_id, name, type, school_year, start_date, end_date, parent_id FROM roster.terms
        UNION ALL
        SELECT term_id, arg_min(term_name, line), NULL, NULL, arg_min(term_start, line), arg_min(term_end, line), NULL
        FROM roster.classes WHERE term_id IS NOT NULL AND term_id NOT IN (SELECT source_id FROM roster.terms)
        GROUP BY term_id
    ) WHERE start_date IS NOT NULL AND end_date IS NOT NULL;
CREATE TABLE written.courses AS
    SELECT source_id, coalesce(organization_id, school_id) AS organization_id, coalesce(name, source_id) AS name,
        number, subjects, subject_codes, grades, term_id
    FROM (
        SELECT source_id, organization_id, name, number, subjects, subject_codes, grades, term_id FROM roster.courses
        UNION ALL
        SELECT course_id, NULL, arg_min(course_name, line), arg_min(course_number, line),
            arg_min(course_subject, line), NULL, NULL, NULL
        FROM roster.classes WHERE course_id IS NOT NULL AND course_id NOT IN (SELECT source_id FROM roster.courses)
        GROUP BY course_id
    ) LEFT JOIN (
        SELECT course_id AS source_id, arg_min(school_id, line) AS school_id FROM roster.classes GROUP BY course_id
    ) USING (source_id);
-- Guardians who are no users of their own are made ones.
CREATE VIEW written.guardians AS
    SELECT *, coalesce(guardian_id, 'guardian-' || left(md5(lower(email)), 16)) AS uid,
        {student} AS student_uid FROM roster.contacts AS one;
CREATE VIEW written.kin AS
    SELECT uid, arg_min(email, line) AS email, arg_min(given_name, line) AS given_name,
        arg_min(surname, line) AS surname, arg_min(phone, line) AS phone, arg_min(relationship, line) AS relationship,
        arg_min(school_id, line) AS school_id
    FROM (SELECT g.*, p.school_id FROM written.guardians AS g
        LEFT JOIN roster.people AS p ON p.role = 'student' AND p.source_id = g.student_id) GROUP BY uid;
CREATE VIEW written.new_guardians AS SELECT * FROM written.kin WHERE uid NOT IN (SELECT source_id FROM roster.people);
CREATE TABLE written.today AS SELECT DATE '{day}' AS day;
CREATE TABLE IF NOT EXISTS kept_passwords (role VARCHAR, source_id VARCHAR, password VARCHAR);
"""
_UID = (
    "CASE WHEN {role} = 'teacher' AND {id} IN (SELECT source_id FROM written.twice) "
    "THEN 'teacher-' || {id} ELSE {id} END"
)
# A school year is called by the year in which it ends.
_SCHOOL_YEAR = (
    "(CASE WHEN month(start_date::DATE) >= 7 THEN year(start_date::DATE) + 1 ELSE year(start_date::DATE) END)::VARCHAR"
)
_PASSWORDS = """
INSERT INTO kept_passwords
    SELECT {role}, trim(source_id), any_value(password) FROM {table} WHERE password IS NOT NULL GROUP BY ALL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A format that a roster can be written in."""

    id: str
    title: str
    files: Mapping[str, str]  # name -> query whose columns are the headers
    optional: frozenset[str]  # files that are left out when they would have no row
    # Canonical table -> its columns that the format has a place for. Tables that are not there have none at all.
    holds: Mapping[str, frozenset[str]]
    manifest: Callable[[frozenset[str]], str] | None = None  # the query of the file that lists those written
    # Canonical table -> the records that are counted; others are told of in another way.
    only: Mapping[str, str] = field(default_factory=dict)
    # What is lost in other ways: a sentence about `{count}` records, and the query that counts them.
    losses: Mapping[str, str] = field(default_factory=dict)


def keep_passwords(db: duckdb.DuckDBPyConnection, extracted: Extract) -> None:
    """Put the passwords of extracted files aside, for `write` alone: checking drops them."""
    db.execute("CREATE OR REPLACE TABLE kept_passwords (role VARCHAR, source_id VARCHAR, password VARCHAR)")
    for table in extracted.tables.values():
        if table.file.records == "people" and {"password", "source_id"} <= table.columns.keys():
            role = f"'{table.file.role}'" if table.file.role else "NULL"
            db.execute(_PASSWORDS.format(role=role, table=table.raw))


def prepare(db: duckdb.DuckDBPyConnection, *, day: str) -> None:
    """Make the schema `written` from the canonical tables; `day` (YYYY-MM-DD) says which links hold."""
    facts = {
        "day": day,
        "uid": _UID.format(role="one.role", id="one.source_id"),
        "enrolled": _UID.format(role="one.person_role", id="one.source_id"),
        "student": "one.student_id",
        "holds": f"(coalesce(one.begin_date <= DATE '{day}', true) AND coalesce(one.end_date > DATE '{day}', true))",
        "school_year": _SCHOOL_YEAR,
    }
    db.execute(_PREPARE.format(**facts))


def write(db: duckdb.DuckDBPyConnection, target: Target, folder: Path) -> dict[str, int]:
    """Write the files of the prepared roster to an empty folder; returns their rows.

    Raises UsageError when the folder has files already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: a roster is written to a folder of its own.")
    rows: dict[str, int] = {}
    for name, query in target.files.items():
        path = str(folder / name).replace("'", "''")
        made = db.execute(f"COPY ({query}) TO '{path}' (FORMAT csv, HEADER true)").fetchone()
        assert made is not None
        if not made[0] and name in target.optional:
            (folder / name).unlink()
        else:
            rows[name] = int(made[0])
    if target.manifest is not None:
        listing = target.manifest(frozenset(rows))
        path = str(folder / "manifest.csv").replace("'", "''")
        db.execute(f"COPY ({listing}) TO '{path}' (FORMAT csv, HEADER true)")
    return rows


def password(role: str, source_id: str) -> str:
    """The password that was kept of somebody, as an expression."""
    return (
        f"(SELECT any_value(k.password) FROM kept_passwords AS k WHERE k.source_id = {source_id} "
        f"AND (k.role IS NULL OR k.role = {role}))"
    )


def word(column: str, allowed: frozenset[str], otherwise: str, mapped: Mapping[str, str] | None = None) -> str:
    """A code as the format may spell it; what it does not have becomes `otherwise`, an expression."""
    known = ", ".join(f"'{one}'" for one in sorted(allowed))
    others = "".join(f" WHEN '{old}' THEN '{new}'" for old, new in (mapped or {}).items())
    other = f"CASE {column}{others} ELSE {otherwise} END" if others else otherwise
    return f"CASE WHEN {column} IN ({known}) THEN {column} ELSE {other} END"


# Classes say what their term and their course are called; lists of them have one name for each.
DISAGREEING = {
    "classes that say something else about their term than its record": (
        "SELECT count(*) FROM roster.classes AS c JOIN written.terms AS t ON t.source_id = c.term_id "
        "WHERE (coalesce(c.term_name, c.term_id), c.term_start, c.term_end) IS DISTINCT FROM "
        "(t.name, t.start_date, t.end_date) AND c.source_id NOT IN (SELECT class_id FROM roster.class_terms)"
    ),
    "classes that say something else about their course than its record": (
        "SELECT count(*) FROM roster.classes AS c JOIN written.courses AS k ON k.source_id = c.course_id "
        "WHERE (coalesce(c.course_name, c.course_id), c.course_number, c.course_subject) IS DISTINCT FROM "
        "(k.name, k.number, k.subjects)"
    ),
}
