# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""The steps that clean up the classes of a profile that has expired: what a person has chosen of three things.

Classes are marked as expired, set inactive (nobody is in them any more), or left by their pupils. `held` has the
profile's classes, the people in them and the links that it made; no roster is asked. Such a plan is always held: a
person says yes to it.
"""

from __future__ import annotations

import duckdb

from schoolsync.plan import desired, expiry, last_lines
from schoolsync.plan.desired import LINK_TABLES, Terms
from schoolsync.plan.kinds import LINK_SIDES
from schoolsync.plan.policy import CleanUp
from schoolsync.plan.steps import Step, expire
from schoolsync.plan.verdicts import Settled, Verdict, settle
from schoolsync.roster import tables

RULE = "cleaned-up"
_WHY = "rule, of_school, file, line, upload_run"


def prepare(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Make the empty tables of what the directory holds and of what is planned."""
    for statement in tables.ddl():
        db.execute(statement)
    desired.prepare(db, terms)
    expiry.prepare(db)


def find(db: duckdb.DuckDBPyConnection, terms: Terms, what: CleanUp) -> None:
    """`planned.expiring`, `planned.gone` and `planned.<links>_stale`: the classes and memberships that it is about."""
    db.execute("""
        CREATE TABLE planned.own AS
        SELECT 'school' AS kind, source_id, key FROM held.schools
        UNION ALL SELECT 'section', source_id, key FROM held.classes
        UNION ALL SELECT primary_role, source_id, key FROM held.people
    """)
    if what.mark:
        every = f"SELECT key, '{RULE}' AS rule, {last_lines.COLUMNS} FROM held.classes"
        expiry.choose(db, terms, every, archive=what.archive)
    db.execute(f"""
        CREATE TABLE planned.gone AS
        SELECT 'section' AS kind, source_id, key, id, school_source_id AS of_school, {last_lines.COLUMNS},
            '{RULE}' AS rule
        FROM held.classes WHERE active AND {str(what.archive).lower()}
    """)
    kinds = {
        "school_classes": ("'schoolSections'", str(what.archive).lower()),
        "class_people": (
            "CASE WHEN h.teacher THEN 'teacherRoster' ELSE 'studentEnrollment' END",
            "true" if what.archive else f"{str(what.remove_pupils).lower()} AND NOT coalesce(h.teacher, false)",
        ),
    }
    for table, (kind, which) in kinds.items():
        left, right = LINK_SIDES[table]  # type: ignore[index]  # both are tables of links
        db.execute(f"""
            CREATE TABLE planned.{table}_stale AS
            SELECT h."{left}", h."{right}", {kind} AS kind, c.school_source_id AS of_school, '{RULE}' AS rule,
                {last_lines.COLUMNS}
            FROM held.{table} AS h JOIN held.classes AS c ON c.key = h.class
            WHERE {terms.is_ours("h.owner")} AND {which}
        """)


def settle_names(db: duckdb.DuckDBPyConnection, terms: Terms, taken: str | None) -> None:
    """As `expiry.settle`: a class whose new name another one has keeps its own, which is an error."""
    expiry.spare_names(db, terms, taken)
    db.execute("DELETE FROM planned.gone WHERE key IN (SELECT key FROM planned.expiring)")


def steps(db: duckdb.DuckDBPyConnection, terms: Terms) -> list[Step]:
    """The steps, in the order in which they are to be applied, each with the line that knew what it takes away."""
    last_lines.of_objects(db, terms, "gone", among=terms.known)
    made = []
    for table in LINK_TABLES:
        if table == "school_people":
            continue
        last_lines.of_links(db, terms, table)
        left, right = LINK_SIDES[table]
        query = f'SELECT "{left}", "{right}", {_WHY}, kind FROM planned.{table}_stale ORDER BY 1, 2'
        made.append(Step("unlink", table, query))
    gone = f"SELECT key, id, source_id, {_WHY} FROM planned.gone ORDER BY key"
    return [*made, Step("remove", "classes", gone, "section"), expire()]


def judged(db: duckdb.DuckDBPyConnection) -> Settled:
    """What holds the plan: that somebody has asked for it; nothing does when there is nothing to clean up."""
    ((marked, archived, held, pupils, teachers),) = db.execute("""
        SELECT (SELECT count(*) FROM planned.expiring),
            (SELECT count(*) FROM planned.gone) + (SELECT count(*) FROM planned.expiring WHERE was_active > active),
            (SELECT count(*) FROM held.classes),
            (SELECT count(*) FROM planned.class_people_stale WHERE kind = 'studentEnrollment'),
            (SELECT count(*) FROM planned.class_people_stale WHERE kind = 'teacherRoster')
    """).fetchall()
    said = [
        f"{marked:,} classes would be marked as expired" if marked else "",
        (f"{archived:,} would be archived" if marked else f"{archived:,} classes would be archived")
        if archived
        else "",
        f"{pupils:,} student enrollments would end" if pupils else "",
        f"{teachers:,} teacher assignments would end" if teachers else "",
    ]
    listed = [one for one in said if one]
    if not listed:
        return Settled()
    verdict = Verdict(
        guard="clean-up",
        holds="everything",
        kind="section",
        scope="profile",
        scope_id=None,
        endangered=max(marked, archived),
        of=held,
        limit=0,
        sentence=f"{', '.join(listed)}. Cleaning up always waits for a person's yes.",
    )
    return settle([verdict])
