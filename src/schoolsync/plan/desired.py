# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""What the roster wants of the directory: one view per kind of object, and the list of all records.

Also makes the empty tables of what the directory holds (`held`), which whoever can read a directory fills. Records of
a kind that is deferred are not wanted and not missed either: that kind is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import duckdb

from schoolsync import ticks
from schoolsync.plan import identity, kinds
from schoolsync.plan.kinds import LINKS, OBJECTS, LinkKind, LinkTable, ObjectKind, ObjectTable, Writing
from schoolsync.plan.policy import Kind, Policy, Window
from schoolsync.roster import values

OBJECT_TABLES: tuple[ObjectTable, ...] = ("schools", "classes", "people")
LINK_TABLES: tuple[LinkTable, ...] = ("school_classes", "school_people", "class_people")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a plan is made."""

    tenant_id: str
    profile: int  # our number among the tenant's profiles
    living: tuple[int, ...]  # numbers of all profiles the tenant has
    policy: Policy
    now: int  # ticks
    columns: Mapping[str, Collection[str]] | None = None  # of the canonical tables that this roster has; None: all
    absent: Collection[str] = ()  # canonical tables that this roster has no file for
    known: Iterable[int] = ()  # runs whose rosters are there (`last_lines`), by number, in the order of looking
    known_present: Iterable[int] | None = None  # the first of them, which know all that is there now; None: all

    def deferred(self, kind: Kind) -> bool:
        """Whether the profile leaves this kind alone for now."""
        return self.policy.customization(kind).deferred

    def disables(self, kind: ObjectKind) -> bool:
        """Whether accounts of people of this kind are disabled when they leave."""
        return kind.role is not None and self.policy.leaving.get(kind.role) == "disabled"

    @property
    def objects(self) -> tuple[ObjectKind, ...]:
        """The kinds of objects that are synchronized."""
        return tuple(kind for kind in OBJECTS if not self.deferred(kind.name))

    @property
    def links(self) -> tuple[LinkKind, ...]:
        """The kinds of links that are synchronized."""
        return tuple(kind for kind in LINKS if not self.deferred(kind.policy))

    @property
    def owners(self) -> str:
        """The profiles there are, as an SQL list; objects of any other have lost their owner."""
        return ", ".join(map(str, sorted({*self.living, self.profile})))

    def is_ours(self, owner: str) -> str:
        """The condition that `owner` is this profile."""
        return f"{owner} = {self.profile}"

    def is_free(self, owner: str) -> str:
        """The condition that `owner` is nobody (made by hand) or a profile that is gone."""
        return f"({owner} IS NULL OR {owner} NOT IN ({self.owners}))"

    def is_orphaned(self, owner: str) -> str:
        """The condition that `owner` is a profile that is gone."""
        return f"({owner} NOT IN ({self.owners}))"

    def writing(self, kind: ObjectKind) -> dict[kinds.Property, Writing]:
        """What is done with every property of `kind`."""
        return kinds.writing(kind, self.policy, columns=self.columns, absent=self.absent)

    @property
    def day(self) -> str:
        """The day of the plan, as an SQL literal."""
        return f"DATE '{ticks.day(self.now, self.policy.time_zone).isoformat()}'"

    @property
    def defers(self) -> Window | None:
        """The open window in which nothing is taken away, if there is one."""
        return self.policy.window("additionsOnly", self.now)

    @property
    def keeps_nothing_else(self) -> bool:
        """Whether the profile has nothing that the roster does not have, once the plan is applied.

        Kinds that wait, a window and classes that expire leave things where they are.
        """
        waits = any(one.deferred for one in self.policy.customizations.values())
        return not (waits or self.defers or self.policy.expiry)

    def dated(self, table: str) -> bool:
        """Whether records of the canonical table may have days: only then can there be several for one pair."""
        if table not in ("person_organizations", "enrollments"):
            return False
        return self.columns is None or "begin_date" in self.columns.get(table, ())

    @property
    def waits_until(self) -> int | None:
        """When pupils are put into their classes (ticks), if that is still to come."""
        start = self.policy.customization("studentEnrollment").start
        return start if start is not None and start > self.now else None


def held_columns(table: ObjectTable | LinkTable) -> dict[str, str]:
    """The columns of `held.<table>` and their DuckDB types; all but `owner` are called as in the directory.

    `owner` is the directory's `profile`. The first column is a key.
    """
    if table in ("school_classes", "school_people", "class_people"):
        return _link_columns(table)
    columns = {"key": "BIGINT", "id": "VARCHAR", "owner": "BIGINT", "source_id": "VARCHAR", "active": "BOOLEAN"}
    if table == "classes":
        columns |= {"mail_nickname": "VARCHAR", "expired": "BIGINT"}
    return columns | dict.fromkeys(kinds.compared(table), "VARCHAR")


def _link_columns(table: LinkTable) -> dict[str, str]:
    left, right = kinds.LINK_SIDES[table]
    columns = {left: "BIGINT", right: "BIGINT", "owner": "BIGINT"}
    return columns | ({"member": "BOOLEAN", "teacher": "BOOLEAN"} if table == "class_people" else {})


def prepare(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Make the schemas `held` and `planned` anew: empty tables of the directory, views of what is wanted."""
    for schema in ("held", "planned"):
        db.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        db.execute(f"CREATE SCHEMA {schema}")
    for table in (*OBJECT_TABLES, *LINK_TABLES):
        columns = ", ".join(f'"{name}" {kind}' for name, kind in held_columns(table).items())
        db.execute(f"CREATE TABLE held.{table} ({columns})")
    db.execute("CREATE TABLE planned.facts AS SELECT $1::VARCHAR AS profile_name", [terms.policy.profile_name])
    db.execute(
        "CREATE TABLE planned.errors (entry_type VARCHAR, error_code VARCHAR, error_message VARCHAR, "
        "joining_value VARCHAR, reportable_identifier VARCHAR)"
    )
    db.execute("CREATE TABLE planned.rekeyed (kind VARCHAR, old_id VARCHAR, new_id VARCHAR)")
    db.execute("CREATE TABLE planned.around (kind VARCHAR, source_id VARCHAR)")  # see `alone`
    db.execute("CREATE TABLE planned.away (kind VARCHAR, key BIGINT, left_at BIGINT, binned_at BIGINT)")
    db.execute("CREATE TABLE planned.by_hand (key BIGINT, field VARCHAR, of_table VARCHAR)")
    db.execute("CREATE TABLE planned.drifted (key BIGINT, field VARCHAR, of_table VARCHAR)")
    _contacts(db)
    _schools(db)
    _memberships(db, terms)
    for kind in terms.objects:
        _records(db, terms, kind)
    list_records(db, terms)
    _left_out(db, terms)


def _contacts(db: duckdb.DuckDBPyConnection) -> None:
    relationship = values.relationship("coalesce(relationship, '')")
    db.execute(f"""
        CREATE VIEW planned.contacts AS
        SELECT student_id, CAST(to_json(list({{
            'displayName': name, 'relationship': {relationship}, 'emailAddress': email, 'mobilePhone': phone
        }} ORDER BY email, name)) AS VARCHAR) AS contacts
        FROM roster.contacts GROUP BY student_id
    """)


def _schools(db: duckdb.DuckDBPyConnection) -> None:
    """`planned.organizations`: those that are schools of the directory; districts and departments are not."""
    db.execute("CREATE VIEW planned.organizations AS SELECT * FROM roster.organizations WHERE is_school")
    # Needed when the schools themselves have been forgotten (`changes.forget_objects`).
    db.execute("CREATE TABLE planned.school_ids AS SELECT source_id FROM planned.organizations")


def _memberships(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.person_organizations` and `planned.enrollments`: what holds on the day of the plan, a row for each pair.

    Who was in a class twice has two enrollments with days of their own; who both learns and teaches in one teaches.
    """
    schools = "school_id IN (SELECT source_id FROM planned.school_ids)"
    # Who is not enabled keeps the account, and is in no school and no class.
    db.execute("CREATE TABLE planned.disabled AS SELECT role, source_id FROM roster.people WHERE NOT enabled")
    some = db.execute("SELECT 1 FROM planned.disabled LIMIT 1").fetchall()
    enabled = "({}, source_id) NOT IN (SELECT (role, source_id) FROM planned.disabled)" if some else "true"
    db.execute(
        "CREATE VIEW planned.person_organizations AS SELECT role, source_id, school_id, file, line "
        f"FROM roster.person_organizations WHERE {schools} AND {_holds(terms, 'person_organizations')} "
        f"AND {enabled.format('role')}"
    )
    once = "QUALIFY row_number() OVER (PARTITION BY class_id, person_role, source_id ORDER BY role DESC, line) = 1"
    once = once if terms.dated("enrollments") else ""
    db.execute(
        "CREATE VIEW planned.enrollments AS SELECT class_id, role, source_id, person_role, file, line "
        "FROM roster.enrollments WHERE role <> 'none' AND person_role <> 'none' "
        f"AND {enabled.format('person_role')} AND {_holds(terms, 'enrollments')} {once}"
    )


def _holds(terms: Terms, table: str) -> str:
    if not terms.dated(table):
        return "true"
    day = terms.day
    return f"(begin_date IS NULL OR begin_date <= {day}) AND (end_date IS NULL OR end_date > {day})"


def _records(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> None:
    """`planned.<kind>_records`: a row per record with the directory's column names and the values they shall have."""
    wanted = [one for one, how in terms.writing(kind).items() if how is not Writing.LEAVE]
    columns = ", ".join(
        f"{f'r.{one.source}' if one.source.isidentifier() else one.source} AS {one.column}" for one in wanted
    )
    contacts = any(one.source == kinds.CONTACTS for one in wanted)
    joined = "LEFT JOIN planned.contacts AS c ON c.student_id = r.source_id" if contacts else ""
    db.execute(f"""
        CREATE VIEW planned.{kind.name}_records AS
        SELECT r.source_id, r.file, r.line, {columns}
        FROM {kind.relation} AS r CROSS JOIN planned.facts AS facts {joined} WHERE {kind.where}
    """)


def list_records(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.records`: the records of all kinds that are synchronized; may be called again when some have gone."""
    parts = [
        f"SELECT '{kind.name}' AS kind, source_id FROM {kind.relation} AS r WHERE {kind.where}"
        for kind in terms.objects
    ]
    nothing = "SELECT '' AS kind, '' AS source_id LIMIT 0"
    db.execute(f"CREATE OR REPLACE TABLE planned.records AS {' UNION ALL '.join(parts) or nothing}")


def _left_out(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Records that are left out for their mistakes: their objects and links stay as they are."""
    parts = " UNION ALL ".join(
        f"SELECT '{kind.name}' AS kind, r.source_id FROM roster.left_out AS r "
        f"WHERE r.kind = '{kind.records}' AND {kind.where}"
        for kind in OBJECTS
    )
    db.execute(f"""
        CREATE TABLE planned.spared AS
        SELECT DISTINCT kind, source_id FROM ({parts}) ANTI JOIN planned.records USING (kind, source_id)
    """)


def new_names(terms: Terms, kind: ObjectKind) -> dict[str, str]:
    """What a new object of `kind` is called, by the columns of `planned.new`.

    `generation` is SQL over a record, the others over the record `r` that has its `generation` already: the digest of
    an id is worked out once only where no question to another table is part of it.
    """
    policy = terms.policy
    # An id that another object had before it was re-keyed is given out a second time, to another object.
    rekeyed = f"source_id IN (SELECT old_id FROM planned.rekeyed WHERE kind = '{kind.name}')"
    names = {
        "id": id_of(terms, kind, "r.source_id", "r.generation"),
        "generation": f"CASE WHEN {rekeyed} THEN 1 ELSE 0 END::USMALLINT",
        "name": "NULL::VARCHAR",
    }
    if kind.name == "section":
        names["name"] = identity.alias("r.source_id", replace=policy.replace_special_characters)
    if kind.role is not None and policy.creates:
        names["name"] = identity.sign_in_name(
            "r.username", domain=policy.domains.get(kind.role), replace=policy.replace_special_characters
        )
    return names


def id_of(terms: Terms, kind: ObjectKind, source_id: str, generation: str) -> str:
    """The SQL for the id of an object; `source_id` and `generation` (a number) are SQL expressions."""
    return identity.object_id(
        tenant_id=terms.tenant_id,
        key_space=terms.policy.key_space,
        kind=kind.identity,
        source_id=source_id,
        generation=f"({generation})::VARCHAR",
    )


def next_day(db: duckdb.DuckDBPyConnection, terms: Terms) -> int | None:
    """When the next membership of the roster, or term in scope, begins or ends (ticks).

    The profile then wants a run by itself.
    """
    days = [
        f"SELECT min({column}) AS day FROM roster.{table} WHERE {column} > {terms.day}"
        for table in ("person_organizations", "enrollments")
        if terms.dated(table)
        for column in ("begin_date", "end_date")
    ]
    days.append("SELECT min(day) AS day FROM outside.days")
    ((first,),) = db.execute(f"SELECT min(day) FROM ({' UNION ALL '.join(days)})").fetchall()
    return None if first is None else ticks.midnight(first, terms.policy.time_zone)
