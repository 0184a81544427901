# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""The part of a roster that a profile synchronizes: by school, grade, role, and by the days of terms.

What is outside is taken out of the roster before anything is compared, and remembered: what had been synchronized and
is outside now leaves with a reason of its own (`left-scope`), previewed and guarded like everything that leaves. How
much of each kind is outside (`outside.numbers`) tells a narrow scope from an upload that has nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from schoolsync.plan.desired import Terms
from schoolsync.plan.identity import text
from schoolsync.plan.kinds import LINKS, OBJECTS
from schoolsync.roster import findings


def narrow(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Take out of the canonical tables what the profile's scope leaves out; `outside.records` remembers it."""
    db.execute("CREATE SCHEMA IF NOT EXISTS outside")
    db.execute("CREATE TABLE IF NOT EXISTS outside.records (kind VARCHAR, source_id VARCHAR)")
    db.execute("CREATE TABLE IF NOT EXISTS outside.days (day DATE)")
    db.execute("CREATE TABLE IF NOT EXISTS outside.over (source_id VARCHAR)")
    db.execute("CREATE TABLE IF NOT EXISTS outside.numbers (kind VARCHAR, n BIGINT)")
    scope = terms.policy.scope
    over = terms.policy.expiry is not None and terms.policy.expiry.term_over
    if not (scope.narrows or over):
        return
    findings.make_tables(db)
    before = _counted(db)
    db.execute("CREATE TABLE outside.people (role VARCHAR, source_id VARCHAR)")
    if scope.schools:
        gone = f"is_school AND source_id NOT IN ({_listed(scope.schools)})"
        _note(db, f"SELECT 'school', source_id FROM roster.organizations WHERE {gone}")
        _note(db, f"SELECT 'section', source_id FROM roster.classes WHERE school_id NOT IN ({_listed(scope.schools)})")
        inside = f"school_id IN ({_listed(scope.schools)})"
        db.execute(f"""
            INSERT INTO outside.people SELECT role, source_id FROM roster.people AS p
            WHERE NOT coalesce({inside}, false) AND (role, source_id) NOT IN (
                SELECT (role, source_id) FROM roster.person_organizations WHERE {inside})
        """)
        # Who works at several schools belongs to the first one that is inside.
        db.execute(f"""
            UPDATE roster.people AS p SET school_id = o.school_id FROM (
                SELECT role, source_id, arg_min(school_id, line) AS school_id FROM roster.person_organizations
                WHERE {inside} GROUP BY role, source_id
            ) AS o WHERE o.role = p.role AND o.source_id = p.source_id AND NOT coalesce(p.{inside}, false)
        """)
        db.execute(f"DELETE FROM roster.person_organizations WHERE NOT {inside}")
        db.execute(f"DELETE FROM roster.organizations WHERE {gone}")
    if scope.roles:
        db.execute(
            f"INSERT INTO outside.people SELECT role, source_id FROM roster.people "
            f"WHERE role NOT IN ({_listed(scope.roles)})"
        )
    if scope.grades:
        db.execute(
            "INSERT INTO outside.people SELECT role, source_id FROM roster.people "
            f"WHERE role = 'student' AND (grade IS NULL OR lower(grade) NOT IN ({_listed(scope.grades)}))"
        )
    if over:
        _whose_term_is_over(db, terms)
    if scope.dates:
        _outside_their_terms(db, terms)
    _note(db, "SELECT DISTINCT role, source_id FROM outside.people")
    db.execute("DELETE FROM roster.people WHERE (role, source_id) IN (SELECT (role, source_id) FROM outside.people)")
    db.execute("""
        DELETE FROM roster.person_organizations
        WHERE (role, source_id) IN (SELECT (role, source_id) FROM outside.people)
    """)
    sections = "SELECT source_id FROM outside.records WHERE kind = 'section'"
    db.execute(f"DELETE FROM roster.classes WHERE source_id IN ({sections})")
    db.execute(f"""
        DELETE FROM roster.enrollments WHERE class_id IN ({sections})
            OR (person_role, source_id) IN (SELECT (role, source_id) FROM outside.people)
    """)
    db.execute(
        "DELETE FROM roster.contacts WHERE student_id IN (SELECT source_id FROM outside.people WHERE role = 'student')"
    )
    after = _counted(db)
    db.executemany("INSERT INTO outside.numbers VALUES (?, ?)", [(one, before[one] - after[one]) for one in before])


def _counted(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many records the roster has of every kind."""
    several: dict[str, str] = {kind.name: f"roster.{kind.records} AS r WHERE {kind.where}" for kind in OBJECTS}
    several |= {kind.name: f"roster.{kind.records} AS r WHERE {kind.where}" for kind in LINKS}
    several["guardians"] = "roster.contacts"
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {source}" for name, source in several.items())
    return {kind: int(number) for kind, number in db.execute(counts).fetchall()}


def _outside_their_terms(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Classes whose term lies outside; who has no days is in. The days on which that changes are remembered."""
    _leave_unsure(db)
    scope, day = terms.policy.scope, terms.day
    begins, ends = "try_cast(term_start AS DATE)", "try_cast(term_end AS DATE)"
    conditions = []
    if scope.first_day is not None:
        conditions.append(f"{ends} < DATE '{scope.first_day.isoformat()}'")
    if scope.last_day is not None:
        conditions.append(f"{begins} > DATE '{scope.last_day.isoformat()}'")
    if scope.current_terms:
        conditions += [f"{ends} < {day}", f"{begins} > {day}"]
        # The last day of a term still belongs to it.
        db.execute(f"""
            INSERT INTO outside.days SELECT min(day) FROM (
                SELECT {begins} AS day FROM roster.classes UNION ALL SELECT {ends} + 1 FROM roster.classes
            ) WHERE day > {day} HAVING min(day) IS NOT NULL
        """)
    gone = " OR ".join(f"coalesce({one}, false)" for one in conditions)
    _note(db, f"SELECT 'section', source_id FROM roster.classes WHERE {gone}")


def _whose_term_is_over(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Classes that expire with their term. The day on which the next one does is remembered."""
    _leave_unsure(db)
    ends = "try_cast(term_end AS DATE)"
    db.execute(f"INSERT INTO outside.over SELECT source_id FROM roster.classes WHERE {ends} < {terms.day}")
    _note(db, "SELECT 'section', source_id FROM outside.over")
    db.execute(f"""
        INSERT INTO outside.days SELECT min({ends}) + 1 FROM roster.classes WHERE {ends} >= {terms.day}
        HAVING min({ends}) IS NOT NULL
    """)


def _leave_unsure(db: duckdb.DuckDBPyConnection) -> None:
    """Where terms decide, a class whose term is left out for a mistake stays as it is, whatever that is."""
    unsure = "FROM roster.left_out WHERE kind = 'class_terms'"
    db.execute(f"INSERT INTO roster.left_out SELECT 'classes', role, source_id, other, rule, file, line {unsure}")
    db.execute(f"DELETE FROM roster.classes WHERE source_id IN (SELECT source_id {unsure})")


def _note(db: duckdb.DuckDBPyConnection, records: str) -> None:
    db.execute(f"INSERT INTO outside.records {records}")


def _listed(values: Sequence[str]) -> str:
    return ", ".join(text(value) for value in values)
