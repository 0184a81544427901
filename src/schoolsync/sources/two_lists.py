# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""Records from formats with a list of students and one of teachers, a row for each school: SDS V1 and its sisters.

Rows that errors are about never become records; they are listed in `roster.left_out`. A row there without a source id
could have been any record of its kind: as long as it stands there, none of them may be taken for gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import duckdb

from schoolsync.roster import values
from schoolsync.roster.tables import TABLES
from schoolsync.sources import filling
from schoolsync.sources.columns import Column, File, Kind, LeftOut, Need, Table
from schoolsync.sources.filling import literal
from schoolsync.sources.merging import Merger
from schoolsync.sources.needs import canonical

_CONTACTS = """
SELECT one.student_id, guardian.email, guardian.given_name || ' ' || guardian.surname AS name, {phone} AS phone,
    {relationship} AS relationship, NULL::VARCHAR AS guardian_id, guardian.given_name, guardian.surname,
    {file} AS file, one.line
FROM {relationships} AS one JOIN {guardians} AS guardian ON lower(one.email) = lower(guardian.email)
"""
# Contacts whose guardian's row is left out; a row without an address could be anybody's guardian.
_LEFT_OUT_GUARDIANS = """
INSERT INTO roster.left_out
    SELECT DISTINCT 'contacts', NULL, one.student_id, one.email, bad.rule, bad.file, bad.line
    FROM raw.bad AS bad LEFT JOIN {guardians} AS guardian ON guardian.line = bad.line
        LEFT JOIN {relationships} AS one ON lower(one.email) = lower(guardian.email)
    WHERE bad.file = {file} AND (guardian.email IS NULL OR one.student_id IS NOT NULL)
"""
# Terms and courses that stand in the rows of their classes: the first row counts.
_TERMS = """
SELECT term_id, arg_min(term_name, line), 'term', NULL, arg_min({start}, line), arg_min({end}, line), NULL,
    any_value({file}), min(line)
FROM {rows} WHERE term_id IS NOT NULL GROUP BY term_id
"""
_COURSES = """
SELECT course_id, NULL, arg_min(course_name, line), arg_min(course_number, line), arg_min(course_description, line),
    arg_min(course_subject, line), NULL, NULL, NULL, any_value({file}), min(line)
FROM {rows} WHERE course_id IS NOT NULL GROUP BY course_id
"""
_TEACHERS = """
CREATE OR REPLACE TABLE raw.teacher_roster AS
    SELECT DISTINCT ON (class_id, source_id) class_id, source_id, line FROM ({parts})
    WHERE source_id IS NOT NULL ORDER BY class_id, source_id, line
"""
_TEACHER = "SELECT source_id AS class_id, {column} AS source_id, line FROM {rows}"
_TEACHER_ROSTER = File(
    name="",
    table="teacher_roster",
    records="enrollments",
    role="teacher",
    left_out=(LeftOut("enrollments", "class_id", "source_id"),),
    columns=(Column("", "class_id", Need.ALWAYS, Kind.ID), Column("", "source_id", Need.ALWAYS, Kind.ID)),
)


def fill(merger: Merger) -> None:
    """Make the canonical tables of the good rows; the raw tables are given up."""
    db = merger.db
    selects: dict[str, list[str]] = {}
    once = dict(merger.once)
    tables = dict(merger.tables)
    if "teacher1" in (tables["section"].columns if "section" in tables else ()):
        tables["teacher_roster"] = _teachers_of(db, tables["section"], once["section"])
        once["teacher_roster"] = "raw.teacher_roster"
    for name, table in tables.items():
        kind = table.file.records
        if kind == "contacts":
            continue
        selects.setdefault(kind, []).append(_select(table, kind, once[name]))
        if kind == "people":
            rows = merger.without(merger.good[name], f"raw.{name}_same")
            selects.setdefault("person_organizations", []).append(_select(table, "person_organizations", rows))
    if {"guardian", "relationship"} <= tables.keys():
        selects["contacts"] = [_contacts(tables["relationship"], once)]
    section = tables.get("section")
    if section is not None:
        selects |= _of_classes(section, once["section"])
    # Links are by far the most rows: where all are good they stay where they are, behind a view.
    links = [name for name, table in tables.items() if table.file.records == "enrollments"]
    whole = all(once[name] == tables[name].lined for name in links)
    for kind, parts in selects.items():
        filling.fill(db, kind, parts, view=kind == "enrollments" and whole)
    _left_out(merger)
    filling.forget(db, keep=links if whole else ())


def said(tables: Mapping[str, Table]) -> dict[str, frozenset[str]]:
    """Canonical table (people: the role) -> the columns of it that the files have."""
    return {
        table.file.role if table.file.records == "people" and table.file.role else table.file.records: canonical(table)
        for table in tables.values()
    }


def absent(tables: Mapping[str, Table]) -> frozenset[str]:
    """Canonical tables that the files say nothing about."""
    return frozenset() if {"guardian", "relationship"} <= tables.keys() else frozenset({"contacts"})


def _teachers_of(db: duckdb.DuckDBPyConnection, section: Table, rows: str) -> Table:
    """The teachers that stand in the rows of their classes, as a table of links."""
    columns = [name for name in section.columns if name.startswith("teacher")]
    parts = " UNION ALL ".join(_TEACHER.format(column=column, rows=rows) for column in columns)
    db.execute(_TEACHERS.format(parts=parts))
    file = replace(_TEACHER_ROSTER, name=section.file.name)
    return replace(section, file=file, columns={column.name: column for column in file.columns}, line="line", extras={})


def _of_classes(section: Table, rows: str) -> dict[str, list[str]]:
    """The terms and courses that classes name."""
    found = {}
    full = f"(SELECT {_columns(section, 'classes')} FROM {rows})"
    if "term_id" in section.columns:
        found["terms"] = [_TERMS.format(rows=full, file="file", start="term_start", end="term_end")]
    if "course_id" in section.columns:
        found["courses"] = [_COURSES.format(rows=full, file="file")]
    return found


def _select(table: Table, kind: str, rows: str) -> str:
    return f"SELECT {_columns(table, kind)} FROM {rows}"


def _columns(table: Table, kind: str) -> str:
    """The columns of a canonical table as SQL over the raw one."""
    role = literal(table.file.role or "")
    given = {"role": role, "person_role": role, "role_name": role, "file": literal(table.uploaded), "line": "line"}
    given |= {"type": "'school'", "is_school": "true"} if kind == "organizations" else {}
    if kind == "classes" and table.file.column("name").need is Need.OPTIONAL:
        # Clever's classes may have no name of their own.
        named = [name for name in ("name", "course_name", "number", "source_id") if name in table.columns]
        given["name"] = f"coalesce({', '.join(named)})"
    return ", ".join(
        f"{given.get(name) or _value(table, name, kind_of)} AS {name}" for name, kind_of in TABLES[kind].items()
    )


def _value(table: Table, name: str, kind: str) -> str:
    column = table.columns.get(name)
    if column is None:
        return f"NULL::{kind}"
    return values.date(name, table.dates) if column.kind is Kind.DATE else name


def _contacts(table: Table, rows: Mapping[str, str]) -> str:
    return _CONTACTS.format(
        phone=values.phone("guardian.phone"),
        relationship=values.relationship("one.role"),
        file=literal(table.uploaded),
        guardians=rows["guardian"],
        relationships=rows["relationship"],
    )


def _left_out(merger: Merger) -> None:
    for table in merger.tables.values():
        if table.uploaded in merger.bad:
            role = literal(table.file.role) if table.file.role else "NULL"
            filling.leave_out(merger.db, table, dict.fromkeys(table.file.left_out, role))
    guardian, relationship = merger.tables.get("guardian"), merger.tables.get("relationship")
    if guardian is not None and relationship is not None and guardian.uploaded in merger.bad:
        query = _LEFT_OUT_GUARDIANS.format(
            guardians=guardian.lined, relationships=relationship.lined, file=literal(guardian.uploaded)
        )
        merger.db.execute(query)
