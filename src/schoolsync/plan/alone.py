# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""One person, class, school or kind synchronized alone: the part of a roster that is looked at, all else left as it is.

A person comes with their places in schools and classes, a class with its memberships, a school with its classes, its
people and their memberships. The records and objects at the other ends (`planned.around`) are neither made, changed
nor missed: they are there for links to end at. Whoever can read rosters gives `kept.<table>`, whoever can read the
directory fills `alone.<table>`; the rest of the plan is made like any other.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms, held_columns
from schoolsync.plan.identity import text
from schoolsync.plan.kinds import LINKS
from schoolsync.plan.policy import Only
from schoolsync.roster import tables


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Make the empty tables of the roster's part and of what the directory holds of it."""
    for statement in tables.ddl():
        db.execute(statement)
    db.execute("CREATE SCHEMA alone")
    db.execute("CREATE TABLE alone.focus (kind VARCHAR, source_id VARCHAR)")
    db.execute("CREATE TABLE alone.rekeyed (kind VARCHAR, old_id VARCHAR, new_id VARCHAR)")
    for table in (*OBJECT_TABLES, *LINK_TABLES):
        columns = ", ".join(f'"{name}" {kind}' for name, kind in held_columns(table).items())
        db.execute(f"CREATE TABLE alone.{table} ({columns})")


def choose(db: duckdb.DuckDBPyConnection, only: Only) -> None:
    """`alone.focus`: the records that the plan is about, in the roster or in the directory."""
    if only.source_id is None:
        _choose_kind(db, only.kind)
        return
    if only.kind != "school":
        db.execute("INSERT INTO alone.focus VALUES ($1, $2)", [only.kind, only.source_id])
        return
    school = text(only.source_id)
    db.execute(f"""
        INSERT INTO alone.focus
        SELECT 'school', {school}
        UNION SELECT 'section', source_id FROM kept.classes WHERE school_id = {school}
        UNION SELECT role, source_id FROM kept.people WHERE role <> 'none' AND school_id = {school}
        UNION SELECT role, source_id FROM kept.person_organizations WHERE role <> 'none' AND school_id = {school}
        UNION SELECT 'section', source_id FROM alone.classes WHERE school_source_id = {school}
        UNION SELECT primary_role, source_id FROM alone.people
    """)
    _follow_rekeys(db)


def _choose_kind(db: duckdb.DuckDBPyConnection, kind: str) -> None:
    """All records of a kind, and all objects: of schools there is no such plan, because classes depend on them."""
    said, has = ("kept.classes", "alone.classes") if kind == "section" else ("kept.people", "alone.people")
    where = ("true", "true") if kind == "section" else (f"role = '{kind}'", f"primary_role = '{kind}'")
    db.execute(f"""
        INSERT INTO alone.focus
        SELECT '{kind}', source_id FROM {said} WHERE {where[0]}
        UNION SELECT '{kind}', source_id FROM {has} WHERE {where[1]}
    """)
    _follow_rekeys(db)


def _follow_rekeys(db: duckdb.DuckDBPyConnection) -> None:
    """What is there under an earlier SIS ID is meant by its new one."""
    db.execute("""
        UPDATE alone.focus AS f SET source_id = k.new_id FROM alone.rekeyed AS k
        WHERE k.kind = f.kind AND k.old_id = f.source_id
    """)


def load(db: duckdb.DuckDBPyConnection) -> None:
    """Fill the schema `roster` with the records in focus, their memberships, and the records at their other ends."""
    focus = "IN (SELECT (kind, source_id) FROM alone.focus)"
    _take(db, "organizations", "true")
    _take(db, "left_out", "true")
    _take(db, "enrollments", f"('section', class_id) {focus} OR (person_role, source_id) {focus}")
    _take(db, "person_organizations", f"(role, source_id) {focus} OR ('school', school_id) {focus}")
    _take(db, "contacts", f"('student', student_id) {focus}")
    _take(db, "classes", f"('section', source_id) {focus} OR source_id IN (SELECT class_id FROM roster.enrollments)")
    ends = (
        "SELECT (person_role, source_id) FROM roster.enrollments "
        "UNION ALL SELECT (role, source_id) FROM roster.person_organizations"
    )
    _take(db, "people", f"(role, source_id) {focus} OR (role, source_id) IN ({ends})")
    # Where those at the other ends belong decides whether they are in scope.
    there = "SELECT (role, source_id, school_id) FROM roster.person_organizations"
    others = "SELECT (role, source_id) FROM roster.people"
    _take(
        db, "person_organizations", f"(role, source_id) IN ({others}) AND (role, source_id, school_id) NOT IN ({there})"
    )


def _take(db: duckdb.DuckDBPyConnection, table: str, condition: str) -> None:
    db.execute(f"INSERT INTO roster.{table} BY NAME SELECT * FROM kept.{table} WHERE {condition}")


def mentioned(table: str) -> str:
    """The query for the SIS IDs of the records in `roster.<table>`, and for those that they had before."""
    records, kinds = {
        "schools": ("organizations", "'school'"),
        "classes": ("classes", "'section'"),
        "people": ("people", "'student', 'teacher'"),
    }[table]
    return f"""
        WITH named AS (
            SELECT DISTINCT source_id FROM roster.{records}
            UNION SELECT source_id FROM alone.focus WHERE kind IN ({kinds})
        )
        SELECT source_id AS value FROM named
        UNION SELECT k.old_id FROM alone.rekeyed AS k JOIN named AS n ON n.source_id = k.new_id
        WHERE k.kind IN ({kinds})
    """


def separate(db: duckdb.DuckDBPyConnection) -> None:
    """`planned.around`: what is at the other ends. Its records are taken out of the roster again.

    To be called once the scope has been applied and the views of what is wanted are there.
    """
    held = " UNION ALL ".join(
        f"SELECT {kind}, source_id FROM alone.{table}"
        for table, kind in (("schools", "'school'"), ("classes", "'section'"), ("people", "primary_role"))
    )
    db.execute(f"""
        INSERT INTO planned.around
        SELECT kind, source_id FROM planned.records ANTI JOIN alone.focus USING (kind, source_id)
        UNION SELECT * FROM ({held}) AS h(kind, source_id) ANTI JOIN alone.focus USING (kind, source_id)
    """)
    focus = "(SELECT (kind, source_id) FROM alone.focus)"
    db.execute(f"DELETE FROM planned.records WHERE (kind, source_id) NOT IN {focus}")
    for table, kind in (("organizations", "'school'"), ("classes", "'section'"), ("people", "role")):
        db.execute(f"DELETE FROM roster.{table} WHERE ({kind}, source_id) NOT IN {focus}")
    db.execute(f"""
        DELETE FROM roster.person_organizations
        WHERE (role, source_id) NOT IN {focus} AND ('school', school_id) NOT IN {focus}
    """)
    db.execute(f"""
        DELETE FROM roster.enrollments
        WHERE (person_role, source_id) NOT IN {focus} AND ('section', class_id) NOT IN {focus}
    """)


def surround(db: duckdb.DuckDBPyConnection) -> None:
    """Whoever was found by a lookup and is somebody of the roster is around, too, whatever SIS ID that has by now."""
    hits = "SELECT key FROM planned.hits WHERE kind IN ('student', 'teacher')"
    db.execute(f"""
        INSERT INTO planned.around
        SELECT h.primary_role, h.source_id FROM held.people AS h
        LEFT JOIN planned.rekeyed AS k ON k.kind = h.primary_role AND k.old_id = h.source_id
        WHERE h.key IN ({hits}) AND (h.primary_role, coalesce(k.new_id, h.source_id)) IN (
            SELECT (role, source_id) FROM kept.people
        ) AND (h.primary_role, coalesce(k.new_id, h.source_id)) NOT IN (SELECT (kind, source_id) FROM alone.focus)
    """)


def hold(db: duckdb.DuckDBPyConnection) -> None:
    """Put what the directory holds of it where plans look for it."""
    for table in (*OBJECT_TABLES, *LINK_TABLES):
        db.execute(f"INSERT INTO held.{table} BY NAME SELECT * FROM alone.{table}")


def widen(db: duckdb.DuckDBPyConnection, terms: Terms, after: Mapping[str, str]) -> None:
    """Let guards measure what goes by all that the profile has, and not by the part that the plan is about.

    `after` has a relation for every table of the directory, as the last whole run left it; without any the part counts.
    """
    said: dict[str, str] = {kind.name: f"kept.{kind.records} AS r WHERE {kind.where}" for kind in terms.objects}
    said |= {kind.name: f"kept.{kind.records} AS r WHERE {kind.where}" for kind in LINKS}
    said["guardians"] = "kept.contacts"
    for kind, source in said.items():
        db.execute(
            f"UPDATE planned.endangered SET said = said + (SELECT count(*) FROM {source}) WHERE kind = '{kind}' "
            "AND going > 0"
        )
    if not after or not db.execute("SELECT 1 FROM planned.endangered WHERE going + changing > 0 LIMIT 1").fetchall():
        return
    school = "school_source_id"
    people, classes = after["people"], after["classes"]
    role = "CASE WHEN l.teacher THEN 'teacherRoster' ELSE 'studentEnrollment' END"
    db.execute(f"""
        CREATE TABLE alone.present AS
        WITH counted AS (
            SELECT 'school' AS kind, source_id AS school FROM {after["schools"]} WHERE active
            UNION ALL SELECT 'section', {school} FROM {classes} WHERE active
            UNION ALL SELECT primary_role, {school} FROM {people} WHERE active
            UNION ALL SELECT 'guardians', {school} FROM {people}
                WHERE active AND coalesce(related_contacts, '[]') <> '[]'
            UNION ALL SELECT {role}, c.{school} FROM {after["class_people"]} AS l JOIN {classes} AS c ON c.key = l.class
            UNION ALL SELECT p.primary_role || 'Schools', s.source_id FROM {after["school_people"]} AS l
                JOIN {people} AS p ON p.key = l.person JOIN {after["schools"]} AS s ON s.key = l.school
        )
        SELECT kind, CASE WHEN grouping(school) = 0 THEN coalesce(school, '') END AS school, count(*) AS n FROM counted
        GROUP BY GROUPING SETS ((kind, school), (kind))
    """)
    db.execute("""
        UPDATE planned.endangered AS e SET held = greatest(e.held, p.n) FROM alone.present AS p
        WHERE p.kind = e.kind AND p.school IS NOT DISTINCT FROM e.school
    """)
