"""Findings by their causes: a bad row and everything that hangs on it is one entry, however many rows that are.

An entry counts the rows that break a rule, and apart from them the records that go along: those that name a row which
is left out or could not be read. Reports stay short this way; the findings themselves stay whole and can be listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from schoolsync.roster.rules import RULES, Severity

SHOWN = 5  # ids that are missing in one file, each with an entry of its own; the rest share one
_LINES = 5

# What a left-out record takes along, by the line it stands in. A class goes with its school, a person whose first
# school is gone as well; links and guardians go with class or person.
_DEPENDENT = """
CREATE OR REPLACE TEMP TABLE dependent AS
    WITH bad AS (
        SELECT DISTINCT kind, role, source_id, file, line FROM roster.left_out
        WHERE source_id IS NOT NULL AND kind IN ('organizations', 'classes', 'people')
    ), classes AS (
        SELECT file, line, source_id FROM bad WHERE kind = 'classes'
            AND source_id NOT IN (SELECT source_id FROM roster.classes)
        UNION SELECT bad.file, bad.line, one.source_id
            FROM bad JOIN roster.classes AS one ON one.school_id = bad.source_id WHERE bad.kind = 'organizations'
            AND bad.source_id NOT IN (SELECT source_id FROM roster.organizations)
    ), people AS (
        SELECT file, line, role, source_id FROM bad WHERE kind = 'people'
            AND (role, source_id) NOT IN (SELECT (role, source_id) FROM roster.people)
        UNION SELECT bad.file, bad.line, one.role, one.source_id
            FROM bad JOIN roster.people AS one ON one.school_id = bad.source_id WHERE bad.kind = 'organizations'
            AND bad.source_id NOT IN (SELECT source_id FROM roster.organizations)
    ), found AS (
        SELECT classes.file, classes.line, one.file AS of, one.line AS of_line
            FROM classes JOIN roster.classes AS one USING (source_id)
        UNION SELECT people.file, people.line, one.file, one.line
            FROM people JOIN roster.people AS one USING (role, source_id)
        UNION SELECT classes.file, classes.line, one.file, one.line
            FROM classes JOIN roster.enrollments AS one ON one.class_id = classes.source_id
        UNION SELECT people.file, people.line, one.file, one.line
            FROM people JOIN roster.enrollments AS one
                ON one.person_role = people.role AND one.source_id = people.source_id
        UNION SELECT people.file, people.line, one.file, one.line
            FROM people JOIN roster.contacts AS one ON one.student_id = people.source_id WHERE people.role = 'student'
        UNION SELECT cause_file, cause_line, file, line FROM roster.findings WHERE cause_line IS NOT NULL
    )
    SELECT file, line, count(*) AS rows FROM found GROUP BY ALL
"""
# Findings whose cause is a row that has findings of its own are that row's dependents, not entries. An id that is
# missing is one mistake, whichever files name it; beyond the first of them they share an entry.
_ENTRIES = """
WITH found AS (
    SELECT one.*, CASE WHEN line IS NULL THEN detail END AS about, coalesce(dependent.rows, 0) AS rows
    FROM roster.findings AS one LEFT JOIN dependent USING (file, line) WHERE cause_line IS NULL
), places AS (
    SELECT rule, severity, fatal, cause, file, "column", about, count(*) AS n,
        list_sort(list(DISTINCT line) FILTER (line IS NOT NULL))[1:{lines}] AS lines,
        arg_min(detail, coalesce(line, 0)) AS detail,
        arg_min(hint, line) AS hint, sum(rows)::BIGINT AS dependents
    FROM found GROUP BY rule, severity, fatal, cause, file, "column", about
), mistakes AS (
    SELECT rule, severity, fatal, split_part(cause, ' ', 1) AS target,
        coalesce(cause, chr(0) || file || chr(0) || coalesce("column", '') || chr(0) || coalesce(about, '')) AS mistake,
        arg_max(file, n) AS file, arg_max("column", n) AS "column", sum(n)::BIGINT AS n, arg_max(lines, n) AS lines,
        arg_max(detail, n) AS detail, arg_max(hint, n) AS hint, sum(dependents)::BIGINT AS dependents,
        map(list(file), list(n)) AS files
    FROM places GROUP BY rule, severity, fatal, target, mistake
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY rule, target ORDER BY n DESC, file, lines) AS place FROM mistakes
)
SELECT rule, severity, fatal, file, "column", n, lines, detail, hint, dependents, files, 1 FROM placed
    WHERE target IS NULL OR place <= {shown}
UNION ALL
SELECT rule, severity, fatal, arg_max(file, n), arg_max("column", n), sum(n)::BIGINT, arg_min(lines, place), NULL,
    any_value(hint), sum(dependents)::BIGINT, MAP {{}}, count(*) FROM placed
    WHERE target IS NOT NULL AND place > {shown} GROUP BY rule, severity, fatal, target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One mistake, as a person puts it right."""

    rule: str
    severity: str
    fatal: bool
    file: str
    column: str | None
    count: int  # findings, nearly always rows
    lines: tuple[int, ...]  # the first of them; none when it is about the file
    detail: str | None  # of the first
    hint: str | None
    dependents: int  # rows that are good themselves and are left out along with those
    files: Mapping[str, int] = field(default_factory=dict)  # all files that have them, when there are several
    ids: int = 1  # how many missing ids share the entry

    @property
    def message(self) -> str:
        """What is wrong with the first of them, and what to do."""
        if self.ids > 1:
            return f"{self.ids:,} more ids are named that are not in their file. {RULES[self.rule].advice}"
        return RULES[self.rule].message(column=self.column, detail=self.detail)

    @property
    def help(self) -> str:
        """Where the rule is explained."""
        return RULES[self.rule].help


def entries(db: duckdb.DuckDBPyConnection) -> Sequence[Cause]:
    """All causes: the fatal ones first, then errors, then warnings; of a kind, what concerns most rows first.

    Works on what checking left, before records are left out: that is when it can be told what goes with what.
    """
    db.execute(_DEPENDENT)
    rows = db.execute(_ENTRIES.format(lines=_LINES, shown=SHOWN)).fetchall()
    db.execute("DROP TABLE dependent")
    found = [
        Cause(
            rule=rule,
            severity=severity,
            fatal=fatal,
            file=file,
            column=column,
            count=count,
            lines=tuple(lines or ()),
            detail=detail,
            hint=hint,
            dependents=dependents,
            files=files if len(files) > 1 else {},
            ids=ids,
        )
        for rule, severity, fatal, file, column, count, lines, detail, hint, dependents, files, ids in rows
    ]
    return sorted(
        found,
        key=lambda one: (
            not one.fatal,
            one.severity != Severity.ERROR,
            -(one.count + one.dependents),
            one.file.lower(),
            one.lines,
            one.rule,
            one.column or "",
        ),
    )
