# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""Records from formats with one list of users, whose roles say what they are where: SDS V2 and V2.1, OneRoster.

Columns have our names whatever the format, so one set of queries serves all. Rows that errors are about never become
records; they are listed in `roster.left_out`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from schoolsync.roster import codes, findings, values
from schoolsync.roster.codes import CodeList
from schoolsync.sources import filling, oneroster
from schoolsync.sources.columns import Column, Kind, Table
from schoolsync.sources.filling import literal
from schoolsync.sources.formats import Format
from schoolsync.sources.merging import Merger

_BOTH = "(VALUES ('student'), ('teacher')) AS roles(role)"
# The earliest of days of which none is open, the latest the same way.
_SPAN = (
    "CASE WHEN count(begin_date) = count(*) THEN min(begin_date) END, "
    "CASE WHEN count(end_date) = count(*) THEN max(end_date) END"
)


@dataclass(frozen=True, slots=True)
class _Records:
    """Works on the good rows of one roster."""

    merger: Merger
    form: Format
    codes: Mapping[str, CodeList]

    @property
    def db(self) -> duckdb.DuckDBPyConnection:
        return self.merger.db

    def has(self, table: str, *columns: str) -> bool:
        """Whether the file was read, and all of these columns of it."""
        found = self.merger.tables.get(table)
        return found is not None and set(columns) <= found.columns.keys()

    def rows(self, name: str) -> str:
        """The good rows of a table with all columns that the format declares, as a FROM item."""
        file = self.form.file(name)
        assert file is not None
        table = self.merger.tables.get(name)
        there = {} if table is None else table.columns
        columns = [
            f"{self._value(column, table) if table is not None and column.name in there else _nothing(column)} "
            f"AS {column.name}"
            for column in file.columns
            if column.name
        ]
        if table is None:
            return f"(SELECT {', '.join(columns)}, NULL::VARCHAR AS file, NULL::BIGINT AS line LIMIT 0)"
        return f"(SELECT {', '.join(columns)}, {literal(table.uploaded)} AS file, line FROM {self.merger.once[name]})"

    def whole(self, name: str) -> bool:
        """Whether no row of the file was bad or there again."""
        table = self.merger.tables.get(name)
        return table is not None and self.merger.once[name] == table.lined

    def every(self, name: str) -> str:
        """All rows of a table as they were read, bad ones too, as a FROM item."""
        return self.merger.tables[name].raw if name in self.merger.tables else self.rows(name)

    def _value(self, column: Column, table: Table) -> str:
        """A column as the canonical roster spells its values."""
        name = column.name
        match column.kind:
            case Kind.DATE | Kind.DAY:
                return values.date(name, table.dates)
            case Kind.CODE:
                return codes.normal(self.codes[column.codes or ""], name)
            case Kind.CODES:
                return codes.listed(self.codes[column.codes or ""], name)
            case Kind.GRADE:
                return codes.normal(self.codes["grades"], name)
            case Kind.BOOLEAN:
                return f"(lower({name}) = 'true')"
            case Kind.SCHOOL_YEAR:
                return values.school_year(name)
            case _:
                return name

    def make(self, name: str, query: str) -> None:
        """Keep what a query gives as a table in `raw`."""
        self.db.execute(f"CREATE OR REPLACE TABLE raw.{name} AS {query}")

    def fill(self, kind: str, select: str, *, view: bool = False) -> None:
        earlier = any(table.earlier for table in self.merger.tables.values())
        filling.fill(self.db, kind, [select], view=view, earlier=earlier)


# Somebody without a role, or with that of a guardian alone, is nobody in the directory.
_NOT_ONLY_GUARDIAN = "coalesce(role <> 'none' OR role_name NOT IN ('parent', 'guardian', 'relative'), false)"


def fill(merger: Merger, form: Format, lists: Mapping[str, CodeList], *, guardians: bool) -> None:
    """Make the canonical tables of the good rows; the raw tables are given up.

    Without `guardians` nothing but the id is kept of people who are nobody else.
    """
    records = _Records(merger, form, lists)
    _organizations(records)
    _roles(records)
    _people(records, guardians=guardians)
    _terms_and_courses(records)
    _classes(records)
    whole = _enrollments(records)
    _contacts(records)
    _facts(records)
    _extras(records)
    _left_out(records)
    filling.forget(records.db, keep=("enrollments", "other_roles") if whole else ())


def _organizations(records: _Records) -> None:
    kind = codes.group(records.codes["org-types"], "type", otherwise="other")
    named = f"source_id IN (SELECT school_id FROM {records.rows('classes')})"
    wrong = _wrong(records, "orgs")
    # A row with an error may well be a school: whoever is there goes with it, and is not taken for gone.
    records.make(
        "schools",
        f"SELECT source_id FROM {records.rows('orgs')} WHERE {kind} = 'school' OR {named} UNION ALL {wrong}",
    )
    records.make("places", f"SELECT source_id FROM {records.rows('orgs')} UNION ALL {wrong}")
    number = "number" if records.has("orgs", "number") else "NULL::VARCHAR"
    records.fill(
        "organizations",
        f"""SELECT source_id, name, type, parent_id, source_id IN (SELECT source_id FROM raw.schools), {number},
        {_nulls(14)}, file, line FROM {records.rows("orgs")}""",
    )


def _wrong(records: _Records, name: str) -> str:
    """A query of the ids that are in rows with errors alone."""
    table = records.merger.tables.get(name)
    if table is None or table.uploaded not in records.merger.bad:
        return "SELECT NULL::VARCHAR WHERE false"
    good = f"SELECT source_id FROM {records.merger.once[name]}"
    return f"SELECT DISTINCT source_id FROM {table.lined} AS one WHERE source_id NOT IN ({good})"


def _roles(records: _Records) -> None:
    """`raw.said`: every role that somebody has somewhere, `raw.main`: what each is most of all."""
    if records.form.file("roles") is not None:
        file = records.form.file("roles")
        assert file is not None
        names = {column.name for column in file.columns}
        primary = "is_primary" if "is_primary" in names else "role_type = 'primary'"
        if records.has("users", "primary_id"):
            primary = f"coalesce(u.primary_id = r.organization_id, {primary.replace('role_type', 'r.role_type')})"
        # The last day of a role is one on which it holds.
        end = "last_date::DATE + 1" if "last_date" in names else "end_date::DATE"
        term = "term_id" if "term_id" in names else "NULL::VARCHAR"
        grade = "grade" if "grade" in names else "NULL::VARCHAR"
        joined = f"LEFT JOIN {records.rows('users')} AS u ON u.source_id = r.user_id" if "u." in primary else ""
        said = f"""SELECT r.user_id, r.organization_id, r.role AS role_name, r.{term} AS term_id, r.{grade} AS grade,
            {primary} AS is_primary, r.begin_date::DATE AS begin_date, r.{end} AS end_date, r.file, r.line
            FROM {records.rows("roles")} AS r {joined}""".replace("r.NULL", "NULL")
    else:
        said = f"""SELECT source_id AS user_id, unnest({codes.parts("organization_ids")}) AS organization_id,
            role AS role_name, NULL::VARCHAR AS term_id, grade, NULL::BOOLEAN AS is_primary, NULL::DATE AS begin_date,
            NULL::DATE AS end_date, file, line FROM {records.rows("users")}"""
    # Without the file of organizations, which stops the roster, all that is said of them stands.
    there = "SEMI JOIN raw.places AS o ON o.source_id = organization_id" if records.has("orgs") else ""
    records.make("said", f"SELECT * FROM ({said}) {there}")
    rank = codes.rank("role_name")
    # A primary role before others, then in the order of the file.
    order = "(CASE WHEN is_primary THEN 0 ELSE 4611686018427387904 END) + line"
    at_school = "organization_id IN (SELECT source_id FROM raw.schools)"
    role = codes.group(records.codes["roles"], "role_name")
    # Nearly everybody has one role at one place; only what several rows say of somebody has to be put together.
    records.make("several", "SELECT user_id FROM raw.said GROUP BY user_id HAVING count(*) > 1")
    records.make(
        "main",
        f"""SELECT *, {role} AS role FROM (
            SELECT user_id, role_name, grade, CASE WHEN {at_school} THEN organization_id END AS school_id
            FROM raw.said ANTI JOIN raw.several USING (user_id)
            UNION ALL
            SELECT user_id, arg_min(role_name, {rank}),
                coalesce(arg_min(grade, {order}) FILTER ({at_school}), arg_min(grade, {order})),
                arg_min(organization_id, {order}) FILTER ({at_school})
            FROM raw.said SEMI JOIN raw.several USING (user_id) GROUP BY user_id
        )""",
    )


def _people(records: _Records, *, guardians: bool) -> None:
    users = records.rows("users")
    file = records.form.file("users")
    assert file is not None
    names = {column.name for column in file.columns}

    def own(name: str, kind: str = "VARCHAR") -> str:
        return f"u.{name}" if name in names else f"NULL::{kind}"

    facts, joined = ("d.birth_date", "d.gender"), ""
    if records.has("demographics"):
        joined = f"LEFT JOIN {records.rows('demographics')} AS d ON d.user_id = u.source_id"
    else:
        facts = ("NULL::VARCHAR", "NULL::VARCHAR")

    def told(expression: str) -> str:
        return expression if guardians else f"CASE WHEN m.somebody THEN {expression} END"

    phone = told(values.phone(f"coalesce({own('sms')}, {own('phone')})"))
    records.fill(
        "people",
        f"""SELECT coalesce(m.role, 'none'), u.source_id, m.role_name, m.school_id, {told("u.username")},
            {told("u.given_name")}, {told(own("middle_name"))}, {told("u.surname")}, {own("enabled", "BOOLEAN")},
            {told(f"lower({own('email')})")}, {phone}, {told(own("match_id"))}, {told(facts[1])}, NULL::VARCHAR,
            NULL::VARCHAR, {told(own("number"))}, coalesce(m.grade, {own("grade")}), NULL::VARCHAR, {told(facts[0])},
            {_nulls(3)}, u.file, u.line
        FROM {users} AS u LEFT JOIN (SELECT *, {_NOT_ONLY_GUARDIAN} AS somebody FROM raw.main) AS m
            ON m.user_id = u.source_id {joined}""",
    )
    # A role of somebody who is not among the users is left out already: only bad rows of users may be missing here.
    known = "" if records.whole("users") else f"SEMI JOIN {users} AS u ON u.source_id = s.user_id"
    records.fill(
        "person_organizations",
        f"""SELECT {codes.group(records.codes["roles"], "s.role_name")}, s.user_id, s.organization_id, s.role_name,
            s.grade, s.is_primary, s.begin_date, s.end_date, s.file, s.line
        FROM raw.said AS s ANTI JOIN raw.several USING (user_id) {known}
        UNION ALL
        SELECT m.role, s.user_id, s.organization_id, arg_min(s.role_name, {codes.rank("s.role_name")}),
            arg_min(s.grade, s.line), bool_or(s.is_primary), {_SPAN}, any_value(s.file), min(s.line)
        FROM raw.said AS s SEMI JOIN raw.several USING (user_id) JOIN raw.main AS m USING (user_id)
            {known}
        GROUP BY m.role, s.user_id, s.organization_id""",
    )
    records.fill(
        "person_roles",
        """SELECT user_id, organization_id, role_name, term_id, grade, is_primary, begin_date, end_date, file, line
        FROM raw.said""",
    )


def _terms_and_courses(records: _Records) -> None:
    if records.form.file("sessions") is None:
        return
    # Some call a school year by the year in which it starts.
    year = "school_year"
    if records.form.year_of_start:
        year = (
            "CASE WHEN year(end_date::DATE) = school_year::INTEGER + 1 THEN year(end_date::DATE)::VARCHAR "
            "ELSE school_year END"
        )
    file = records.form.file("sessions")
    assert file is not None
    parent = "parent_id" if any(column.name == "parent_id" for column in file.columns) else "NULL::VARCHAR"
    records.fill(
        "terms",
        f"SELECT source_id, name, type, {year}, start_date, end_date, {parent}, file, line "
        f"FROM {records.rows('sessions')}",
    )
    file = records.form.file("courses")
    assert file is not None
    subject_codes = "subject_codes" if any(one.name == "subject_codes" for one in file.columns) else "NULL::VARCHAR"
    records.fill(
        "courses",
        f"""SELECT source_id, organization_id, name, number, NULL::VARCHAR, subjects, {subject_codes}, grades, term_id,
            file, line FROM {records.rows("courses")}""",
    )


def _classes(records: _Records) -> None:
    file = records.form.file("classes")
    assert file is not None
    names = {column.name for column in file.columns}

    def own(name: str) -> str:
        return f"c.{name}" if name in names else "NULL::VARCHAR"

    if "term_ids" in names:
        records.make(
            "class_terms",
            f"""SELECT class_id, list.term_id, list.place, t.name, t.start_date, t.end_date, file, line FROM (
                SELECT source_id AS class_id, unnest({codes.parts("term_ids")}) AS term_id,
                    generate_subscripts({codes.parts("term_ids")}, 1) AS place, file, line
                FROM {records.rows("classes")} WHERE term_ids IS NOT NULL
            ) AS list JOIN (SELECT source_id, name, start_date, end_date FROM roster.terms) AS t
                ON t.source_id = list.term_id""",
        )
        records.make(
            "terms_of",
            """SELECT class_id, arg_min(term_id, place) AS term_id, arg_min(name, place) AS term_name,
                min(start_date) AS term_start, max(end_date) AS term_end, count(*) AS terms
            FROM raw.class_terms GROUP BY class_id""",
        )
        records.fill(
            "class_terms",
            """SELECT class_id, term_id, file, line FROM raw.class_terms
            SEMI JOIN (SELECT class_id FROM raw.terms_of WHERE terms > 1) AS several USING (class_id)""",
        )
    terms = "t.term_id, t.term_name, t.term_start, t.term_end" if "term_ids" in names else _nulls(4)
    joined = "LEFT JOIN raw.terms_of AS t ON t.class_id = c.source_id" if "term_ids" in names else ""
    courses = _nulls(5)
    if "course_id" in names:
        courses = "c.course_id, k.name, k.number, NULL::VARCHAR, k.subjects"
        joined += " LEFT JOIN roster.courses AS k ON k.source_id = c.course_id"
    records.fill(
        "classes",
        f"""SELECT c.source_id, c.school_id, c.name, {own("number")}, {terms}, {courses}, {own("periods")},
            NULL::VARCHAR, {own("type")}, {own("location")}, {own("grades")}, {own("subjects")}, {own("subject_codes")},
            c.file, c.line
        FROM {records.rows("classes")} AS c {joined}""",
    )


def _enrollments(records: _Records) -> bool:
    """Whether they stay where they are, behind a view: they are by far the most rows."""
    table = records.merger.tables.get("enrollments")
    if table is None:
        return False
    file = records.form.file("enrollments")
    assert file is not None
    names = {column.name for column in file.columns}
    role = codes.group(records.codes["enrollment-roles"], "e.role")
    rows = records.rows("enrollments")
    # Nearly everybody is in a class what they are in the school; the rest is looked up by its line.
    # Most links are of pupils: those of people who are none are found among the few, the others by everybody's role.
    records.make(
        "no_pupils",
        f"""SELECT user_id, role FROM raw.main WHERE role <> 'student'
        UNION SELECT source_id, 'none' FROM {records.every("users")} AS u ANTI JOIN raw.main AS m
            ON m.user_id = u.source_id WHERE source_id IS NOT NULL""",
    )
    records.make(
        "other_roles",
        f"""SELECT e.line, n.role AS person_role
        FROM {rows} AS e JOIN raw.no_pupils AS n ON n.user_id = e.user_id WHERE {role} = 'student'
        UNION ALL
        SELECT e.line, coalesce(m.role, 'none')
        FROM (SELECT user_id, line, {role} AS role FROM {rows} AS e WHERE {role} <> 'student') AS e
            LEFT JOIN raw.main AS m ON m.user_id = e.user_id WHERE m.role IS DISTINCT FROM e.role""",
    )
    findings.add_rows(
        records.db,
        "enrolled-without-role",
        file=table.uploaded,
        column=table.columns["user_id"].header,
        rows="SELECT line FROM raw.other_roles WHERE person_role = 'none'",
    )
    others = records.db.execute("SELECT count(*) FROM raw.other_roles").fetchone() != (0,)
    begin = "e.begin_date::DATE" if "begin_date" in names else "NULL::DATE"
    end = "e.end_date::DATE" if "end_date" in names else "NULL::DATE"
    primary = "e.is_primary" if "is_primary" in names else "NULL::BOOLEAN"
    person = f"coalesce(x.person_role, {role})" if others else role
    joined = "LEFT JOIN raw.other_roles AS x ON x.line = e.line" if others else ""
    whole = records.merger.once["enrollments"] == table.lined
    records.fill(
        "enrollments",
        f"""SELECT e.class_id, {role}, e.user_id, {person}, e.role, {primary}, {begin}, {end}, e.file, e.line
        FROM {rows} AS e {joined}""",
        view=whole,
    )
    return whole


def _contacts(records: _Records) -> None:
    users = records.rows("users")
    file = records.form.file("users")
    assert file is not None
    names = {column.name for column in file.columns}
    phone = values.phone("coalesce(g.sms, g.phone)") if "sms" in names else "NULL::VARCHAR"
    guardian = f"""g.email, concat_ws(' ', g.given_name, g.surname), {phone}, {{relationship}}, g.source_id,
        g.given_name, g.surname, p.file, p.line"""
    if records.has("relationships"):
        pairs = f"SELECT user_id AS student_id, contact_id, role, file, line FROM {records.rows('relationships')}"
        relationship = "p.role"
    elif records.has("users", "agent_ids"):
        # Written at the pupil, at the guardian or at both.
        listed = f"""SELECT source_id AS one, unnest({codes.parts("agent_ids")}) AS other, file, line FROM {users}
            WHERE agent_ids IS NOT NULL"""
        pairs = f"""SELECT DISTINCT ON (student_id, contact_id) student_id, contact_id, m.role_name AS role, file, line
            FROM (SELECT one AS student_id, other AS contact_id, file, line FROM ({listed})
                UNION ALL SELECT other, one, file, line FROM ({listed})) AS pair
            JOIN raw.main AS pupil ON pupil.user_id = student_id AND pupil.role = 'student'
            LEFT JOIN raw.main AS m ON m.user_id = contact_id
            WHERE m.role IS DISTINCT FROM 'student' ORDER BY student_id, contact_id, line"""
        relationship = "coalesce(p.role, 'guardian')"
    else:
        return
    known = values.relationship(relationship)
    table = records.merger.tables["relationships" if records.has("relationships") else "users"]
    records.make("pairs", f"SELECT * FROM ({pairs})")
    findings.add_rows(
        records.db,
        "guardian-without-mail",
        file=table.uploaded,
        rows=f"SELECT p.line FROM raw.pairs AS p JOIN {users} AS g ON g.source_id = p.contact_id WHERE g.email IS NULL",
    )
    records.fill(
        "contacts",
        f"""SELECT p.student_id, {guardian.format(relationship=known)}
        FROM raw.pairs AS p JOIN {users} AS g ON g.source_id = p.contact_id WHERE g.email IS NOT NULL""",
    )


def _facts(records: _Records) -> None:
    """Demographics, flags and accounts: about people, and kept for nobody's directory."""
    of = "LEFT JOIN raw.main AS m ON m.user_id = x.user_id"
    if records.has("demographics"):
        file = records.form.file("demographics")
        assert file is not None
        races, ethnicities = "x.races", "x.ethnicities"
        if any(column.name == "white" for column in file.columns):
            races, ethnicities = _flagged(oneroster.RACES), _flagged(oneroster.ETHNICITIES)
        residence = "x.residence_status" if any(c.name == "residence_status" for c in file.columns) else _nulls(1)
        records.fill(
            "demographics",
            f"""SELECT coalesce(m.role, 'none'), x.user_id, x.birth_city, x.birth_state, x.birth_country, {races},
                {ethnicities}, {residence}, x.file, x.line FROM {records.rows("demographics")} AS x {of}""",
        )
    if records.has("flags"):
        records.fill(
            "flags",
            f"""SELECT coalesce(m.role, 'none'), x.user_id, x.flag, x.file, x.line
            FROM {records.rows("flags")} AS x {of}""",
        )
    if records.has("accounts"):
        records.fill(
            "person_accounts",
            f"""SELECT user_id, source_id, type, vendor_id, application_id, description, credential_type, username,
                file, line FROM {records.rows("accounts")}""",
        )


def _flagged(names: tuple[str, ...]) -> str:
    """The names of the columns that are true, as a list."""
    flags = ", ".join(f"CASE WHEN x.{name} THEN {literal(name)} END" for name in names)
    return f"nullif(concat_ws(',', {flags}), '')"


_NO_PLACE = {
    "users": ("user_ids", "master_id", "preferred_given_name", "preferred_middle_name", "preferred_surname", "pronouns")
}
"""Columns that have no place of their own in the canonical roster."""


def _extras(records: _Records) -> None:
    parts = []
    for name, table in records.merger.tables.items():
        kind = table.file.records
        key = "source_id" if "source_id" in table.columns else "user_id"
        columns = {one: table.columns[one].header for one in _NO_PLACE.get(name, ()) if one in table.columns}
        for column, header in (*columns.items(), *table.extras.items()):
            parts.append(
                f"SELECT {literal(kind)} AS kind, one.{key} AS id, {literal(header)} AS name, one.{column} AS value, "
                f"{literal(table.uploaded)} AS file, one.line FROM {records.merger.once[name]} AS one "
                f"WHERE one.{column} IS NOT NULL"
            )
    if parts:
        records.fill(
            "extras",
            f"""SELECT kind, CASE WHEN kind = 'people' THEN coalesce(m.role, 'none') END, id, name, value, file, line
            FROM ({" UNION ALL ".join(parts)}) LEFT JOIN raw.main AS m ON m.user_id = id AND kind = 'people'""",
        )


def _left_out(records: _Records) -> None:
    """A row whose role cannot be told leaves out whoever it may be about, pupil or teacher."""
    _unsure(records, "class_terms", "sessions", "term_ids")
    _unsure(records, "class_courses", "courses", "course_id")
    role = codes.group(records.codes["enrollment-roles"], "one_role.role")
    for name, table in records.merger.tables.items():
        if table.uploaded not in records.merger.bad:
            continue
        plain = {one: "NULL" for one in table.file.left_out if one.kind in {"organizations", "classes", "contacts"}}
        filling.leave_out(records.db, table, plain)
        about = {"people", "person_organizations", "demographics"}
        people = {one: "roles.role" for one in table.file.left_out if one.kind in about}
        if people:
            key = "source_id" if name == "users" else "user_id"
            main = f"m.user_id = one.{key}" if key in table.columns else "false"
            joins = (
                f"LEFT JOIN raw.main AS m ON {main} JOIN {_BOTH} ON coalesce(m.role, 'none') IN ('none', roles.role)"
            )
            filling.leave_out(records.db, table, people, joins=joins)
        links = {one: "roles.role" for one in table.file.left_out if one.kind == "enrollments"}
        if links:
            said = codes.normal(records.codes["enrollment-roles"], "one.role") if "role" in table.columns else "NULL"
            kind = role.replace("one_role.role", f"({said})")
            joins = f"JOIN {_BOTH} ON ({kind}) IN ('none', roles.role)"
            filling.leave_out(records.db, table, links, joins=joins)


def _unsure(records: _Records, kind: str, other: str, column: str) -> None:
    """Classes that name a row with an error, or one that may not be readable: what it said of them is not known.

    The classes themselves are good. That they have no term or no course any more is not what the roster says.
    """
    table = records.merger.tables.get(other)
    if table is None or table.uploaded not in records.merger.bad or not records.has("classes", column):
        return
    ids = codes.parts(column) if column == "term_ids" else f"[{column}]"
    there = f"SELECT source_id FROM {records.merger.once[other]}"
    known = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw' AND table_name = 'unsure'"
    lost = ""
    if records.db.execute(known).fetchone() != (0,):
        lost = f"OR line IN (SELECT line FROM raw.unsure WHERE name = 'classes.{column}')"
    records.db.execute(
        f"""INSERT INTO roster.left_out
        SELECT DISTINCT '{kind}', NULL, source_id, NULL, 'unknown-reference', file, line FROM (
            SELECT source_id, unnest(coalesce({ids}, [NULL])) AS id, file, line FROM {records.rows("classes")}
        ) WHERE id NOT IN ({there}) {lost}"""
    )


def said(tables: Mapping[str, Table]) -> dict[str, frozenset[str]]:
    """Canonical table (people: the role) -> the columns of it that the files have."""
    columns = {name: frozenset(table.columns) for name, table in tables.items()}
    users = columns.get("users", frozenset())
    people = {"source_id", "school_id", *users} - {"password", "role", "organization_ids", "agent_ids", "sms"}
    people |= {"phone"} if {"sms", "phone"} & users else set()
    people |= {"grade"} & columns.get("roles", frozenset())
    people |= {"birth_date", "gender"} & columns.get("demographics", frozenset())
    classes = set(columns.get("classes", frozenset()))
    if "term_ids" in classes and "sessions" in columns:
        classes |= {"term_id", "term_name", "term_start", "term_end"}
    if "course_id" in classes and "courses" in columns:
        course = {"name": "course_name", "number": "course_number", "subjects": "course_subject"}
        classes |= {ours for name, ours in course.items() if name in columns["courses"]}
    found = {
        "organizations": columns.get("orgs", frozenset()) | {"is_school"},
        "classes": frozenset(classes),
        "student": frozenset(people),
        "teacher": frozenset(people),
        "person_organizations": columns.get("roles", frozenset()) | {"role", "source_id", "school_id"},
        "enrollments": columns.get("enrollments", frozenset()),
    }
    return {kind: frozenset(names) for kind, names in found.items()}


def absent(tables: Mapping[str, Table]) -> frozenset[str]:
    """Canonical tables that the files say nothing about."""
    agents = "users" in tables and "agent_ids" in tables["users"].columns
    return frozenset() if agents or "relationships" in tables else frozenset({"contacts"})


def _nothing(column: Column) -> str:
    return "NULL::BOOLEAN" if column.kind is Kind.BOOLEAN else "NULL::VARCHAR"


def _nulls(count: int) -> str:
    return ", ".join(["NULL::VARCHAR"] * count)
