"""From checked rows to records: references, duplicates, people of several schools, and the canonical tables.

Rows that errors are about never become records; they are listed in `roster.left_out`. A row there without a source id
could have been any record of its kind: as long as it stands there, none of them may be taken for gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import duckdb

from schoolsync.plan.policy import Policy
from schoolsync.roster import findings, values
from schoolsync.roster.tables import TABLES
from schoolsync.sources.columns import File, Kind, Table

# table and column -> table and column that must have the value
_REFERENCES = (
    ("section", "school_id", "school", "source_id"),
    ("student", "school_id", "school", "source_id"),
    ("teacher", "school_id", "school", "source_id"),
    ("student_enrollment", "class_id", "section", "source_id"),
    ("student_enrollment", "source_id", "student", "source_id"),
    ("teacher_roster", "class_id", "section", "source_id"),
    ("teacher_roster", "source_id", "teacher", "source_id"),
    ("relationship", "student_id", "student", "source_id"),
    ("relationship", "email", "guardian", "email"),
)
# What tells the rows of a table apart.
_KEYS = {
    "school": "source_id",
    "section": "source_id",
    "student": "source_id",
    "teacher": "source_id",
    "student_enrollment": "class_id, source_id",
    "teacher_roster": "class_id, source_id",
    "guardian": "lower(email)",
    "relationship": "student_id, lower(email)",
}
# The records that a bad row leaves out: canonical table, source id, and the second half of the key.
_LEFT_OUT_KEYS = {
    "school": (("organizations", "one.source_id", "NULL"),),
    "section": (("classes", "one.source_id", "NULL"),),
    "student": (("people", "one.source_id", "NULL"), ("person_organizations", "one.source_id", "one.school_id")),
    "teacher": (("people", "one.source_id", "NULL"), ("person_organizations", "one.source_id", "one.school_id")),
    "student_enrollment": (("enrollments", "one.class_id", "one.source_id"),),
    "teacher_roster": (("enrollments", "one.class_id", "one.source_id"),),
    "relationship": (("contacts", "one.student_id", "one.email"),),
}
_UNKNOWN = """
CREATE OR REPLACE TABLE raw.unknown AS
    SELECT line, value FROM (SELECT line, {column} AS value FROM {rows} WHERE {column} IS NOT NULL) AS one
    ANTI JOIN {target} AS other ON {match}
"""
# What may be meant by a value that is not there: the one id that differs in letter case, leading zeros and signs
# alone, and the line of the other file that could not be read and has the value in it.
_PLAIN = "lower(ltrim(regexp_replace({value}, '[^\\pL\\pN]', '', 'g'), '0'))"
_EXPLAINED = """
WITH missing AS (SELECT DISTINCT value, {plain_value} AS plain FROM raw.unknown), near AS (
    SELECT missing.value, min(other.{key}) AS id
    FROM missing JOIN {target} AS other ON {plain_key} = missing.plain AND missing.plain <> ''
    GROUP BY missing.value HAVING count(DISTINCT other.{key}) = 1
), lost AS (
    SELECT trim(unnest(string_split_regex(t, '[,"]'))) AS cell, line FROM raw.rejected WHERE file = {file}
), unread AS (
    SELECT missing.value, min(lost.line) AS line FROM missing JOIN lost ON lost.cell = missing.value GROUP BY ALL
)
SELECT one.line, one.value, near.id, unread.line AS unread FROM raw.unknown AS one
    LEFT JOIN near ON near.value = one.value LEFT JOIN unread ON unread.value = one.value
"""
# Rows whose key an earlier row has: their line, and that of the first.
_AGAIN = """
CREATE OR REPLACE TABLE {made} AS
    WITH keyed AS (SELECT {listed}, line FROM {rows}), twice AS (
        SELECT {keys}, min(line) AS first FROM keyed WHERE {filled} GROUP BY {keys} HAVING count(*) > 1
    )
    SELECT line, first FROM keyed JOIN twice USING ({keys}) WHERE line > first
"""
# The same for tables with millions of rows: hashes are grouped first, which takes far less memory than their texts.
_AGAIN_HASHED = """
CREATE OR REPLACE TABLE {made} AS
    WITH keyed AS (SELECT {listed}, line FROM {rows}), alike AS (
        SELECT hash({keys}) AS digest FROM keyed GROUP BY digest HAVING count(*) > 1
    ), candidates AS (
        SELECT {keys}, line FROM keyed WHERE {filled} AND hash({keys}) IN (SELECT digest FROM alike)
    )
    SELECT line, first FROM (
        SELECT line, min(line) OVER (PARTITION BY {keys}) AS first FROM candidates
    ) WHERE line > first
"""
_LINE = "SELECT line FROM {name}"
_LINES = "SELECT line, first FROM {name}"
_OTHER_LINES = "SELECT line, first FROM {name} WHERE line NOT IN (SELECT line FROM {same})"
_ALIKE = """
WITH keyed AS (SELECT source_id, lower(ltrim(source_id, '0')) AS plain, line FROM {rows} WHERE source_id IS NOT NULL),
    alike AS (
        SELECT plain, min(line) AS first, arg_min(source_id, line) AS id
        FROM keyed GROUP BY plain HAVING min(source_id) <> max(source_id)
    )
SELECT line, first AS value FROM keyed JOIN alike USING (plain) WHERE source_id <> id
"""
_NAME = "SELECT {number} AS number, line, {name} AS name FROM {rows} WHERE {column} IS NOT NULL"
_SHARED = "SELECT count(*) - count(DISTINCT name) FROM ({named})"
_SHARERS = """
WITH named AS ({named}), shared AS (
    SELECT name, min(number) AS number, arg_min(line, (number, line)) AS line
    FROM named GROUP BY name HAVING count(*) > 1
)
SELECT named.line, 'line ' || shared.line || ' of {file}' AS value FROM named JOIN shared USING (name)
WHERE named.number = {mine} AND shared.number = {theirs} AND NOT ({mine} = {theirs} AND named.line = shared.line)
"""
_DIFFERING = """
SELECT again.line, again.first AS value FROM {name} AS again
    JOIN {rows} AS one ON one.line = again.line JOIN {rows} AS other ON other.line = again.first
WHERE {differs}
"""
_BAD = """
CREATE OR REPLACE TABLE raw.bad AS
    SELECT file, line, min(rule) AS rule FROM roster.findings WHERE severity = 'error' AND line IS NOT NULL
    GROUP BY file, line
"""
_BAD_LINES = "SELECT line FROM raw.bad WHERE file = {file}"
_EXCEPT = "(SELECT * FROM {rows} WHERE line NOT IN ({lines}))"
_SELECT = "SELECT {columns} FROM {rows}"
# Making a table of a query is faster than filling an empty one.
_FILL = "CREATE OR REPLACE TABLE roster.{kind} AS {select}"
_VIEW = "DROP TABLE roster.{kind}; CREATE VIEW roster.{kind} AS {select}"
_CONTACTS = """
SELECT one.student_id, guardian.email, guardian.given_name || ' ' || guardian.surname AS name, {phone} AS phone,
    {relationship} AS relationship, NULL::VARCHAR AS guardian_id, guardian.given_name, guardian.surname,
    {file} AS file, one.line
FROM {relationships} AS one JOIN {guardians} AS guardian ON lower(one.email) = lower(guardian.email)
"""
_LEFT_OUT = """
INSERT INTO roster.left_out
    SELECT DISTINCT '{kind}', {role}, {source}, {other}, bad.rule, bad.file, bad.line
    FROM raw.bad AS bad LEFT JOIN {rows} AS one ON one.line = bad.line WHERE bad.file = {file}
"""
# Contacts whose guardian's row is left out; a row without an address could be anybody's guardian.
_LEFT_OUT_GUARDIANS = """
INSERT INTO roster.left_out
    SELECT DISTINCT 'contacts', NULL, one.student_id, one.email, bad.rule, bad.file, bad.line
    FROM raw.bad AS bad LEFT JOIN {guardians} AS guardian ON guardian.line = bad.line
        LEFT JOIN {relationships} AS one ON lower(one.email) = lower(guardian.email)
    WHERE bad.file = {file} AND (guardian.email IS NULL OR one.student_id IS NOT NULL)
"""
_MADE = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw' AND 'raw.' || table_name = $name"
_RAW_TABLES = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'"


def merge(
    db: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Table],
    policy: Policy | None,
    *,
    matches: Callable[[File], str],
) -> None:
    """Check the rows of all tables against each other and fill the canonical tables; the raw ones are given up.

    `matches` names the column that no two people of a file may share.
    """
    merger = _Merger(db, tables)
    merger.references()
    merger.records_once()
    merger.people_once()
    merger.links_once()
    merger.guardians_once()
    merger.usernames(policy, matches)
    merger.fill()


@dataclass(frozen=True, slots=True)
class _Merger:
    """Works on the raw tables of one roster."""

    db: duckdb.DuckDBPyConnection
    tables: Mapping[str, Table]

    def references(self) -> None:
        """Every id that names a record of another file has to be there. Files that are not there are not asked."""
        for name, column, target, key in _REFERENCES:
            table, other = self.tables.get(name), self.tables.get(target)
            if table is None or other is None:
                continue
            mail = key == "email"
            match = "lower(one.value) = lower(other.email)" if mail else f"one.value = other.{key}"
            query = _UNKNOWN.format(column=column, rows=table.lined, target=other.raw, match=match)
            if self._number(query):
                self._unknown(table, column, other, key)

    def _unknown(self, table: Table, column: str, other: Table, key: str) -> None:
        """Report the values in `raw.unknown`, with what may be meant by them."""
        where = _literal(other.uploaded)
        findings.add_rows(
            self.db,
            "unknown-reference",
            file=table.uploaded,
            column=table.columns[column].header,
            rows=_EXPLAINED.format(
                key=key,
                target=other.raw,
                file=where,
                plain_value=_PLAIN.format(value="value"),
                plain_key=_PLAIN.format(value=f"other.{key}"),
            ),
            detail="'an address'" if key == "email" else values.named("found.value"),
            hint="CASE WHEN found.unread IS NOT NULL "
            f"THEN 'It may stand in line ' || found.unread || ' of ' || {where} || ', which cannot be read.' "
            f"WHEN {values.is_telling('found.id')} THEN 'Did you mean ' || found.id || '?' END",
            cause=f"'{other.file.table} ' || hash(found.value)",
            cause_file=f"CASE WHEN found.unread IS NOT NULL THEN {where} END",
            cause_line="found.unread",
        )

    def records_once(self) -> None:
        """Schools and classes have ids of their own; ids of anything that look alike deserve a second look."""
        for name in ("school", "section", "student", "teacher"):
            table = self.tables.get(name)
            if table is None:
                continue
            self._add("look-alike-id", table, "source_id", _ALIKE.format(rows=table.lined), detail="found.value")
            if table.file.role is None and (again := self._again(table, "source_id")):
                self._add("duplicate-id", table, "source_id", _LINES.format(name=again), detail="found.first")

    def people_once(self) -> None:
        """A person of several schools has several rows, which should not contradict each other."""
        for name in ("student", "teacher"):
            table = self.tables.get(name)
            if table is None or (again := self._again(table, "source_id")) is None:
                continue
            others = _LINES.format(name=again)
            if same := self._again(table, "source_id, school_id", name="same"):
                self._add("repeated-person", table, "source_id", _LINES.format(name=same), detail="found.first")
                others = _OTHER_LINES.format(name=again, same=same)
            self._add("several-schools", table, "source_id", others, detail="found.first")
            compared = [column for column in table.columns if column not in {"source_id", "school_id", "password"}]
            differs = " OR ".join(f"one.{column} IS DISTINCT FROM other.{column}" for column in compared)
            rows = _DIFFERING.format(name=again, rows=table.lined, differs=differs or "false")
            self._add("differing-values", table, None, rows, detail="found.value")

    def links_once(self) -> None:
        """Somebody is in a class once."""
        for name in ("student_enrollment", "teacher_roster"):
            table = self.tables.get(name)
            if table is not None and (again := self._again(table, _KEYS[name], hashed=True)):
                rows = _LINES.format(name=again)
                self._add("repeated-enrollment", table, "source_id", rows, detail="found.first")

    def guardians_once(self) -> None:
        """A mail address is one guardian, and a guardian belongs to a pupil once."""
        for name, rule in (("guardian", "repeated-guardian"), ("relationship", "repeated-relationship")):
            table = self.tables.get(name)
            if table is not None and (again := self._again(table, _KEYS[name])):
                self._add(rule, table, "email", _LINES.format(name=again), detail="found.first")

    def usernames(self, policy: Policy | None, matches: Callable[[File], str]) -> None:
        """No two people may end up with one account."""
        people = [table for name in ("student", "teacher") if (table := self.tables.get(name))]
        people = [table for table in people if matches(table.file) in table.columns]
        named = " UNION ALL ".join(
            _NAME.format(
                number=number,
                name=_account(table.file, matches(table.file), policy),
                rows=self._except(table.lined, f"{table.raw}_again"),
                column=matches(table.file),
            )
            for number, table in enumerate(people)
        )
        if not people or not self._number(_SHARED.format(named=named)):
            return
        for mine, table in enumerate(people):
            for theirs, other in enumerate(people):
                rows = _SHARERS.format(named=named, mine=mine, theirs=theirs, file=other.file.name)
                self._add("duplicate-username", table, matches(table.file), rows, detail="found.value")

    def fill(self) -> None:
        """Make the canonical tables of the good rows."""
        self.db.execute(_BAD)
        bad = {row[0] for row in self.db.execute("SELECT DISTINCT file FROM raw.bad").fetchall()}
        good = {name: self._good(table, bad) for name, table in self.tables.items()}
        once = {name: self._except(rows, f"raw.{name}_again") for name, rows in good.items()}
        selects: dict[str, list[str]] = {}
        for name, table in self.tables.items():
            kind = table.file.records
            if kind == "contacts":
                continue
            selects.setdefault(kind, []).append(_SELECT.format(columns=_canonical(table, kind), rows=once[name]))
            if kind == "people":
                rows = self._except(good[name], f"raw.{name}_same")
                select = _SELECT.format(columns=_canonical(table, "person_organizations"), rows=rows)
                selects.setdefault("person_organizations", []).append(select)
        if {"guardian", "relationship"} <= self.tables.keys():
            selects["contacts"] = [self._contacts(once)]
        # Links are by far the most rows: where all are good they stay where they are, behind a view.
        whole = all(once[name] == table.lined for name, table in self.tables.items() if _is_link(table))
        for kind, parts in selects.items():
            if kind == "enrollments" and whole:
                self.db.execute(_VIEW.format(kind=kind, select=" UNION ALL ".join(parts)))
            else:
                self.db.execute(_FILL.format(kind=kind, select=" UNION ALL ".join(parts)))
        self._left_out(bad)
        for (name,) in self.db.execute(_RAW_TABLES).fetchall():
            if not (whole and name in self.tables and _is_link(self.tables[name])):
                self.db.execute(f"DROP TABLE raw.{name}")

    def _good(self, table: Table, bad: set[str]) -> str:
        """The rows of a table that no error is about; what repeats a key is found once more among them alone."""
        if table.uploaded not in bad:
            return table.lined
        rows = _EXCEPT.format(rows=table.lined, lines=_BAD_LINES.format(file=_literal(table.uploaded)))
        self._again(table, _KEYS[table.file.table], rows=rows, hashed=_is_link(table))
        if table.file.records == "people":
            self._again(table, "source_id, school_id", name="same", rows=rows)
        return rows

    def _contacts(self, rows: Mapping[str, str]) -> str:
        return _CONTACTS.format(
            phone=values.phone("guardian.phone"),
            relationship=values.relationship("one.role"),
            file=_literal(self.tables["relationship"].uploaded),
            guardians=rows["guardian"],
            relationships=rows["relationship"],
        )

    def _left_out(self, bad: set[str]) -> None:
        for name, kinds in _LEFT_OUT_KEYS.items():
            table = self.tables.get(name)
            if table is None or table.uploaded not in bad:
                continue
            for kind, source, other in kinds:
                query = _LEFT_OUT.format(
                    kind=kind,
                    role=_literal(table.file.role) if table.file.role else "NULL",
                    source=source,
                    other=other,
                    rows=table.lined,
                    file=_literal(table.uploaded),
                )
                self.db.execute(query)
        guardian, relationship = self.tables.get("guardian"), self.tables.get("relationship")
        if guardian is not None and relationship is not None and guardian.uploaded in bad:
            query = _LEFT_OUT_GUARDIANS.format(
                guardians=guardian.lined, relationships=relationship.lined, file=_literal(guardian.uploaded)
            )
            self.db.execute(query)

    def _again(
        self, table: Table, keys: str, *, name: str = "again", rows: str | None = None, hashed: bool = False
    ) -> str | None:
        """Make the table of rows whose key came before; its name, or None when there is no such row."""
        made = f"{table.raw}_{name}"
        parts = keys.split(", ")
        query = (_AGAIN_HASHED if hashed else _AGAIN).format(
            made=made,
            listed=", ".join(f"{part} AS k{place}" for place, part in enumerate(parts)),
            keys=", ".join(f"k{place}" for place in range(len(parts))),
            filled=" AND ".join(f"k{place} IS NOT NULL" for place in range(len(parts))),
            rows=rows or table.lined,
        )
        if self._number(query):
            return made
        self.db.execute(f"DROP TABLE {made}")
        return None

    def _except(self, rows: str, lines: str) -> str:
        """The rows without those whose line is in the table `lines`, if there is such a table."""
        found = self.db.execute(_MADE, {"name": lines}).fetchone()
        return rows if found == (0,) else _EXCEPT.format(rows=rows, lines=_LINE.format(name=lines))

    def _add(self, rule: str, table: Table, column: str | None, rows: str, *, detail: str) -> None:
        header = table.columns[column].header if column else None
        findings.add_rows(self.db, rule, file=table.uploaded, column=header, rows=rows, detail=detail)

    def _number(self, query: str) -> int:
        row = self.db.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def _is_link(table: Table) -> bool:
    return table.file.records == "enrollments"


def _account(file: File, column: str, policy: Policy | None) -> str:
    """What tells accounts apart: SQL over the column that they are made of or matched by."""
    bare = f"lower({column})"
    for one in policy.matching if policy else ():
        if one.role == file.role:
            domain = f" || {_literal('@' + one.domain.lower())}" if one.domain else ""
            return f"{_literal(one.target + ' ')} || {bare}{domain}"
    known = policy.domains.items() if policy else ()
    domain = next((f"@{name.lower()}" for role, name in known if role == file.role), f" {file.role}")
    # Without a profile the domains are not known: pupils and teachers may well have different ones.
    return f"CASE WHEN contains({column}, '@') THEN {bare} ELSE {bare} || {_literal(domain)} END"


def _canonical(table: Table, kind: str) -> str:
    """The columns of a canonical table as SQL over the raw one."""
    role = _literal(table.file.role or "")
    given = {"role": role, "person_role": role, "role_name": role, "file": _literal(table.uploaded), "line": "line"}
    given |= {"type": "'school'", "is_school": "true"} if kind == "organizations" else {}
    return ", ".join(
        f"{given.get(name) or _value(table, name, kind_of)} AS {name}" for name, kind_of in TABLES[kind].items()
    )


def _value(table: Table, name: str, kind: str) -> str:
    column = table.columns.get(name)
    if column is None:
        return f"NULL::{kind}"
    return values.date(name, table.dates) if column.kind is Kind.DATE else name


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
