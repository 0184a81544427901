"""Findings: what is wrong with a roster, kept as rows of `roster.findings` beside the roster itself.

Checks add rows set by set; counting, grouping and listing are queries. A finding carries the shape of a value, never
a person's data. After `leave_out` the canonical tables hold nothing that refers to a record that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from schoolsync.roster.rules import RULES, Severity

# `cause` is the same in all findings that one mistake makes (an id that is missing, whoever names it); where the row at
# fault is there, `cause_file` and `cause_line` say which it is.
_DDL = """
CREATE OR REPLACE TABLE roster.findings (
    rule VARCHAR, severity VARCHAR, fatal BOOLEAN, file VARCHAR, line BIGINT, "column" VARCHAR, detail VARCHAR,
    hint VARCHAR, cause VARCHAR, cause_file VARCHAR, cause_line BIGINT
)
"""
_ADD = """
INSERT INTO roster.findings
    SELECT $rule, $severity, $fatal, $file, found.line, $column, {detail}, {hint}, {cause}, {cause_file}, {cause_line}
    FROM ({rows}) AS found
"""
_ADD_ONE = """
INSERT INTO roster.findings
    VALUES ($rule, $severity, $fatal, $file, $line, $column, $detail, NULL, NULL, NULL, NULL)
"""
_TOTALS = """
SELECT count(*) FILTER (severity = 'error'), count(*) FILTER (severity = 'warning'), count(*) FILTER (fatal)
FROM roster.findings
"""
_LIST = """
SELECT rule, severity, file, line, "column", detail, hint FROM roster.findings
ORDER BY lower(file), line NULLS FIRST, rule, "column" LIMIT {limit}
"""
# The sentences of every finding, made by the engine.
_TOLD = """
SELECT one.rule, one.severity, one.file, one.line, one."column",
    replace(replace(says.text, '{column}', coalesce(one."column", 'the row')), '{detail}', coalesce(one.detail, ''))
        AS message,
    one.hint, says.help
FROM roster.findings AS one JOIN sentences AS says ON says.rule = one.rule
ORDER BY lower(one.file), one.line NULLS FIRST, one.rule, one."column"
"""
_GROUPS = """
SELECT rule, file, "column", count(*), any_value(detail) FROM roster.findings
GROUP BY rule, file, "column", CASE WHEN line IS NULL THEN detail END ORDER BY ALL
"""
# Records whose class, person or school is left out go with it; they are no removals either. The order matters: a
# class goes with its school, a link with its class or person.
_CASCADE = """
INSERT INTO roster.left_out
    SELECT 'classes', NULL, source_id, NULL, 'unknown-reference', file, line FROM roster.classes
    WHERE school_id NOT IN (SELECT source_id FROM roster.organizations);
DELETE FROM roster.classes WHERE school_id NOT IN (SELECT source_id FROM roster.organizations);
INSERT INTO roster.left_out
    SELECT 'person_organizations', role, source_id, school_id, 'unknown-reference', file, line
    FROM roster.person_organizations WHERE school_id NOT IN (SELECT source_id FROM roster.organizations);
DELETE FROM roster.person_organizations WHERE school_id NOT IN (SELECT source_id FROM roster.organizations);
UPDATE roster.people SET school_id = first.school_id
    FROM (
        SELECT role, source_id, arg_min(school_id, line) AS school_id
        FROM roster.person_organizations GROUP BY role, source_id
    ) AS first
    WHERE people.role = first.role AND people.source_id = first.source_id
        AND people.school_id NOT IN (SELECT source_id FROM roster.organizations);
INSERT INTO roster.left_out
    SELECT 'people', role, source_id, NULL, 'unknown-reference', file, line FROM roster.people
    WHERE school_id NOT IN (SELECT source_id FROM roster.organizations);
DELETE FROM roster.people WHERE school_id NOT IN (SELECT source_id FROM roster.organizations);
DELETE FROM roster.person_organizations
    WHERE (role, source_id) NOT IN (SELECT (role, source_id) FROM roster.people);
INSERT INTO roster.left_out
    SELECT 'enrollments', role, class_id, source_id, 'unknown-reference', file, line FROM roster.enrollments
    WHERE class_id NOT IN (SELECT source_id FROM roster.classes)
        OR (person_role, source_id) NOT IN (SELECT (role, source_id) FROM roster.people);
DELETE FROM roster.enrollments
    WHERE class_id NOT IN (SELECT source_id FROM roster.classes)
        OR (person_role, source_id) NOT IN (SELECT (role, source_id) FROM roster.people);
INSERT INTO roster.left_out
    SELECT 'contacts', NULL, student_id, email, 'unknown-reference', file, line FROM roster.contacts
    WHERE student_id NOT IN (SELECT source_id FROM roster.people WHERE role = 'student');
DELETE FROM roster.contacts WHERE student_id NOT IN (SELECT source_id FROM roster.people WHERE role = 'student');
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong, as a person reads it."""

    rule: str
    severity: str
    file: str
    line: int | None  # physical line, the header is line 1; None when it is about the file
    column: str | None
    message: str
    hint: str | None  # what was probably meant
    help: str  # where the rule is explained


@dataclass(frozen=True, slots=True)
class Group:
    """All findings of one rule in one column of one file; those about whole files stay apart by their detail."""

    rule: str
    file: str
    column: str | None
    count: int
    detail: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """How many findings there are."""

    errors: int
    warnings: int
    fatal: bool

    @property
    def verdict(self) -> str:
        """clean, warnings or errors."""
        return "errors" if self.errors else "warnings" if self.warnings else "clean"


def create(db: duckdb.DuckDBPyConnection) -> None:
    """Make the empty table; the schema `roster` is there already."""
    db.execute(_DDL)


def add_file(
    db: duckdb.DuckDBPyConnection,
    rule: str,
    *,
    file: str,
    column: str | None = None,
    detail: str | None = None,
    line: int | None = None,
) -> None:
    """Add one finding about a file as a whole, or about one line of it."""
    facts = {**_facts(rule), "file": file, "line": line, "column": column, "detail": detail}
    db.execute(_ADD_ONE, facts)


def add_rows(
    db: duckdb.DuckDBPyConnection,
    rule: str,
    *,
    file: str,
    rows: str,
    column: str | None = None,
    detail: str = "NULL",
    hint: str = "NULL",
    cause: str = "NULL",
    cause_file: str = "NULL",
    cause_line: str = "NULL",
) -> None:
    """Add a finding for every row of the query `rows`, which has a column `line`.

    `detail` and what follows are expressions over the row, which is called `found`. None may repeat a person's data;
    `cause` is never shown, but it is kept: it is a hash where it comes from a value.
    """
    facts = {**_facts(rule), "file": file, "column": column}
    expressions = {"detail": detail, "hint": hint, "cause": cause, "cause_file": cause_file, "cause_line": cause_line}
    db.execute(_ADD.format(**expressions, rows=rows), facts)


def _facts(rule: str) -> Mapping[str, object]:
    known = RULES[rule]
    return {"rule": rule, "severity": known.severity.value, "fatal": known.fatal}


def totals(db: duckdb.DuckDBPyConnection) -> Totals:
    """Count them."""
    found = db.execute(_TOTALS).fetchone()
    assert found is not None
    return Totals(errors=found[0], warnings=found[1], fatal=found[2] > 0)


def listed(db: duckdb.DuckDBPyConnection, *, limit: int | None = None) -> Iterator[Finding]:
    """The findings in the order of files and lines, `limit` at most; read as they are asked for.

    Nothing else may be done on the connection until they are all read.
    """
    rows = db.execute(_LIST.format(limit="ALL" if limit is None else int(limit)))
    while chunk := rows.fetchmany(2048):
        for rule, severity, file, line, column, detail, hint in chunk:
            known = RULES[rule]
            message = known.message(column=column, detail=detail)
            yield Finding(rule, severity, file, line, column, message, hint, known.help)


@contextmanager
def told(db: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """A query of all findings with their sentences, in the order of files and lines; good inside the `with` alone."""
    sentences = [(one.id, f"{one.says} {one.advice}", one.help) for one in RULES.values()]
    db.execute("CREATE OR REPLACE TEMP TABLE sentences (rule VARCHAR, text VARCHAR, help VARCHAR)")
    db.executemany("INSERT INTO sentences VALUES (?, ?, ?)", sentences)
    try:
        yield _TOLD
    finally:
        db.execute("DROP TABLE sentences")


def grouped(db: duckdb.DuckDBPyConnection) -> list[Group]:
    """The findings per file, column and rule, errors first."""
    groups = [Group(*row) for row in db.execute(_GROUPS).fetchall()]
    return sorted(groups, key=lambda one: (RULES[one.rule].severity != Severity.ERROR, one.file.lower()))


def leave_out(db: duckdb.DuckDBPyConnection) -> None:
    """Take what hangs on left-out records out of the canonical tables, and list it in `roster.left_out` as well."""
    make_tables(db)
    db.execute(_CASCADE)


def make_tables(db: duckdb.DuckDBPyConnection) -> None:
    """Make tables of what a source left as views over what it read: nothing can be deleted from a view."""
    query = "SELECT view_name FROM duckdb_views() WHERE schema_name = 'roster' AND NOT internal"
    for (name,) in db.execute(query).fetchall():
        db.execute(f"CREATE TABLE roster.solid AS FROM roster.{name}")
        db.execute(f"DROP VIEW roster.{name}")
        db.execute(f"ALTER TABLE roster.solid RENAME TO {name}")
