# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""The steps from what the directory holds to what the roster wants, each row with its reason and source line.

Steps come in an order in which the directory makes sense after every part of every one: objects before their links,
links taken away before their objects are set inactive. What the roster does not speak of, because it is deferred,
left out for its mistakes or not in its files, is in no step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import duckdb

from schoolsync.plan import kinds
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms, held_columns
from schoolsync.plan.identity import text
from schoolsync.plan.kinds import LINK_SIDES, LINKS, OBJECTS, LinkKind, LinkTable, ObjectKind, ObjectTable, Writing

Op = Literal["create", "update", "link", "relink", "unlink", "remove"]

WHY = ("because", "file", "line")
"""Columns of a step that explain a row and are not applied."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of change to one table. `query` gives its rows in the order in which they are stored."""

    op: Op
    table: ObjectTable | LinkTable
    query: str

    @property
    def kind(self) -> str:
        """What people are told is changed."""
        if self.table in OBJECT_TABLES:
            return self.table
        return "links" if self.table == "class_people" else "school_links"

    @property
    def counted(self) -> str:
        """What people are told is done."""
        return {"relink": "update"}.get(self.op, self.op)


def compare_objects(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.<kind>_after`: every object of the roster as it shall be, and in `because` why it is touched."""
    for kind in terms.objects:
        _after(db, terms, kind)
    parts = " UNION ALL ".join(
        f"SELECT '{kind.name}' AS kind, h.source_id, h.key FROM held.{kind.table} AS h "
        f"WHERE {terms.is_ours('h.owner')} AND h.active" + (f" AND h.primary_role = '{kind.role}'" if kind.role else "")
        for kind in terms.objects
    )
    nothing = "SELECT ''::VARCHAR AS kind, ''::VARCHAR AS source_id, 0::BIGINT AS key LIMIT 0"
    db.execute(f"""
        CREATE TABLE planned.gone AS
        SELECT * FROM ({parts or nothing}) AS h
        ANTI JOIN planned.records USING (kind, source_id) ANTI JOIN planned.spared USING (kind, source_id)
        ANTI JOIN planned.targets AS t ON t.key = h.key
    """)
    # What is needed of people once `forget_objects` has done its work.
    db.execute("""
        CREATE TABLE planned.kinds AS SELECT key, kind FROM planned.targets WHERE kind IN ('student', 'teacher')
        UNION ALL SELECT h.key, h.primary_role FROM held.people AS h ANTI JOIN planned.targets AS t ON t.key = h.key
    """)


def forget_objects(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Give the memory of objects back once their steps are stored; links need their keys alone."""
    wide = [f"planned.{kind.name}_after" for kind in terms.objects]
    wide += [f"held.{table}" for table in OBJECT_TABLES]
    there = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE schema_name = 'roster'"
    wide += [name for (name,) in db.execute(there).fetchall() if name in ("roster.organizations", "roster.people")]
    for name in (*wide, "planned.new", "planned.newcomers", "planned.chosen", "planned.second_named"):
        db.execute(f"DROP TABLE {name} CASCADE")


def _after(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> None:
    writing = {one.column: how for one, how in terms.writing(kind).items()}
    columns, reasons = [], []
    for column in kinds.compared(kind.table):
        value = _value(kind, column, writing.get(column, Writing.LEAVE))
        columns.append(f"{value} AS {column}")
        if writing.get(column) is Writing.WRITE:
            reasons.append(f"CASE WHEN h.{column} IS DISTINCT FROM {value} THEN {text(column)} END")
    adopted = "CASE WHEN t.how = 'adopted' THEN 'taken over' WHEN NOT h.active THEN 'back in the roster' END"
    changed = f"concat_ws(', ', {', '.join([adopted, *reasons])})"
    name = "coalesce(h.mail_nickname, n.name) AS mail_nickname, " if kind.table == "classes" else ""
    account = ", n.name AS user_principal_name" if kind.role else ""
    # New objects are few when the profile has been synchronized before; the join with `new` is then next to nothing.
    db.execute(f"""
        CREATE TABLE planned.{kind.name}_after AS
        SELECT t.key, t.id, t.how, r.source_id, {name}{", ".join(columns)}{account},
            CASE t.how WHEN 'created' THEN 'new in the roster' ELSE {changed} END AS because, r.file, r.line
        FROM planned.{kind.name}_records AS r
        JOIN planned.targets AS t ON t.kind = '{kind.name}' AND t.source_id = r.source_id
        LEFT JOIN held.{kind.table} AS h ON h.key = t.key
        LEFT JOIN planned.new AS n ON n.kind = '{kind.name}' AND n.source_id = r.source_id
    """)


def _value(kind: ObjectKind, column: str, how: Writing) -> str:
    """What the column shall be, over the record `r`, the object `h` that is there (if any) and its target `t`."""
    if how is Writing.LEAVE:
        return f"h.{column}"
    wanted = f"r.{column}"
    if column == "related_contacts":
        # Who has a guardian that is left out for a mistake keeps all guardians as they are.
        # When it cannot even be read whose guardian it is, it may be anybody's.
        listed = "FROM roster.left_out WHERE kind = 'contacts' AND source_id IS"
        spared = f"(r.source_id IN (SELECT source_id {listed} NOT NULL) OR EXISTS (SELECT 1 {listed} NULL))"
        return f"CASE WHEN t.how <> 'created' AND {spared} THEN h.{column} ELSE {wanted} END"
    if how is Writing.ONCE:
        return f"CASE WHEN t.how = 'created' THEN {wanted} ELSE h.{column} END"
    return wanted


def want_links(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.<links>_wanted`: every pair the roster wants; records without one of their ends become errors.

    `planned.<links>_asked` are the pairs whose ends were there before and that are not this profile's yet: others may
    have made them, which whoever reads the directory adds to `held`.
    """
    deferred = ", ".join(f"'{kind.name}'" for kind in OBJECTS if kind not in terms.objects) or "''"
    db.execute(f"""
        CREATE TABLE planned.ends AS
        SELECT kind, source_id, key, how = 'created' AS fresh FROM planned.targets
        UNION ALL
        SELECT kind, source_id, key, false FROM planned.own
        WHERE kind IN ({deferred}) OR (kind, source_id) IN (SELECT (kind, source_id) FROM planned.spared)
    """)
    # Links are many: each names its file by a number.
    named = " UNION ALL ".join(f"SELECT DISTINCT file FROM roster.{kind.records}" for kind in LINKS)
    db.execute(f"CREATE TABLE planned.files AS SELECT list(DISTINCT file) AS names FROM ({named})")
    for table in LINK_TABLES:
        left, right = LINK_SIDES[table]
        # Records are unique by the ids they name, and so are ends: no pair comes twice. Sorted, because the links of
        # one object then lie together wherever they are stored; the steps keep the order.
        parts = [_pairs(kind) for kind in LINKS if kind.table == table and kind in terms.links]
        pairs = " UNION ALL ".join(parts) or _no_pairs(table)
        db.execute(f"CREATE TABLE planned.{table}_wanted AS SELECT * FROM ({pairs}) ORDER BY 1, 2")
        db.execute(f"""
            CREATE VIEW planned.{table}_asked AS
            SELECT w."{left}", w."{right}" FROM planned.{table}_wanted AS w
            ANTI JOIN held.{table} AS h ON h."{left}" = w."{left}" AND h."{right}" = w."{right}" WHERE NOT w.fresh
        """)
        if _records(db, terms, table) != _number(db, f"SELECT count(*) FROM planned.{table}_wanted"):
            for kind in terms.links:
                if kind.table == table:
                    _dangling(db, terms, kind)


def _records(db: duckdb.DuckDBPyConnection, terms: Terms, table: LinkTable) -> int:
    """How many records speak of links in `table`."""
    mine = [kind for kind in terms.links if kind.table == table]
    return sum(_number(db, f"SELECT count(*) FROM {kind.relation} AS r WHERE {kind.where}") for kind in mine)


def _number(db: duckdb.DuckDBPyConnection, query: str) -> int:
    ((number,),) = db.execute(query).fetchall()
    return int(number)


def _pairs(kind: LinkKind) -> str:
    left, right = LINK_SIDES[kind.table]
    late = "true" if kind.name == "studentEnrollment" else "false"
    right_kind = f"r.{kind.person}" if kind.person else text(kind.right)
    return f"""
        SELECT l.key AS "{left}", p.key AS "{right}", {str(kind.teacher).lower()} AS teacher, {late} AS late,
            l.fresh OR p.fresh AS fresh, list_position((SELECT names FROM planned.files), r.file) AS place, r.line
        FROM {kind.relation} AS r
        JOIN planned.ends AS l ON l.kind = '{kind.left}' AND l.source_id = r.{kind.left_source}
        JOIN planned.ends AS p ON p.kind = {right_kind} AND p.source_id = r.{kind.right_source}
        WHERE {kind.where}
    """


def _no_pairs(table: LinkTable) -> str:
    left, right = LINK_SIDES[table]
    return (
        f'SELECT 0::BIGINT AS "{left}", 0::BIGINT AS "{right}", false AS teacher, false AS late, false AS fresh, '
        "0 AS place, 0::BIGINT AS line LIMIT 0"
    )


def _dangling(db: duckdb.DuckDBPyConnection, terms: Terms, kind: LinkKind) -> None:
    """Records that link to what did not get into the directory; that of a deferred kind is not expected there."""
    missing = []
    for end, source in ((kind.left, kind.left_source), (kind.right, kind.right_source)):
        kinds_of = f"r.{kind.person}" if kind.person and end == kind.right else text(end)
        there = "SELECT (kind, source_id) FROM planned.ends"
        deferred = ", ".join(text(one) for one in ("school", "section", "student", "teacher") if terms.deferred(one))
        expected = f"AND {kinds_of} NOT IN ({deferred})" if deferred else ""
        missing.append(f"(r.{source} IS NOT NULL AND ({kinds_of}, r.{source}) NOT IN ({there}) {expected})")
    both = f"r.{kind.left_source} IS NOT NULL AND r.{kind.right_source} IS NOT NULL"
    db.execute(f"""
        INSERT INTO planned.errors
        SELECT {text(kind.entry)}, 'InvalidLookupReference',
            'The link was not made: the {_noun(kind.left)} or the {_noun(kind.right)} it names was not synchronized.',
            r.{kind.left_source}, r.{kind.right_source}
        FROM {kind.relation} AS r WHERE {kind.where} AND {both} AND ({" OR ".join(missing)})
    """)


def _noun(kind: str) -> str:
    return {"section": "class"}.get(kind, kind)


def compare_links(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.<links>_stale`: the links that the roster no longer has and that are the profile's to take away."""
    # A link of a profile that is gone goes with the objects that were taken over from it.
    db.execute("CREATE TABLE planned.taken_over AS SELECT key FROM planned.own UNION SELECT key FROM planned.targets")
    for table in LINK_TABLES:
        left, right = LINK_SIDES[table]
        kind = {
            "school_classes": "'schoolSections'",
            "school_people": "CASE k.kind WHEN 'teacher' THEN 'teacherSchools' ELSE 'studentSchools' END",
            "class_people": "CASE WHEN h.teacher THEN 'teacherRoster' ELSE 'studentEnrollment' END",
        }[table]
        join = f'LEFT JOIN planned.kinds AS k ON k.key = h."{right}"' if table == "school_people" else ""
        ruled = ", ".join(text(one.name) for one in LINKS if one.table == table and one in terms.links) or "''"
        db.execute(f"""
            CREATE TABLE planned.{table}_stale AS
            SELECT h."{left}", h."{right}", {kind} AS kind FROM held.{table} AS h {join}
            ANTI JOIN planned.{table}_wanted AS w ON w."{left}" = h."{left}" AND w."{right}" = h."{right}"
            WHERE {kind} IN ({ruled}) AND (
                {terms.is_ours("h.owner")}
                OR ({terms.is_orphaned("h.owner")} AND h."{left}" IN (SELECT key FROM planned.taken_over))
            )
        """)
        _spare(db, table)


def _spare(db: duckdb.DuckDBPyConnection, table: LinkTable) -> None:
    """What is left out for its mistakes is no removal: neither the link itself nor the links of a left-out object."""
    left, right = LINK_SIDES[table]
    sides = {"school": "school", "class": "section"}
    spared = "SELECT o.key FROM planned.own AS o SEMI JOIN planned.spared AS s USING (kind, source_id)"
    rights = "'section'" if right == "class" else "'student', 'teacher'"
    db.execute(f"""
        DELETE FROM planned.{table}_stale AS s WHERE s."{left}" IN ({spared} WHERE o.kind = '{sides[left]}')
            OR s."{right}" IN ({spared} WHERE o.kind IN ({rights}))
    """)
    for kind in LINKS:
        if kind.table != table or kind.records == "classes":  # a class has its school in itself: spared above
            continue
        first, second = kind.left_out
        people = "'student', 'teacher'"  # what a row that is left out says of its person is not to be relied on
        db.execute(f"""
            DELETE FROM planned.{table}_stale AS s WHERE (s."{left}", s."{right}") IN (
                SELECT (l.key, p.key) FROM roster.left_out AS r
                JOIN planned.ends AS l ON l.kind = '{kind.left}' AND l.source_id = r.{first}
                JOIN planned.ends AS p ON p.kind IN ({people if kind.person else text(kind.right)})
                    AND p.source_id = r.{second}
                WHERE r.kind = '{kind.records}' AND {kind.where}
            )
        """)
        # A record with an end that cannot be read may be any link of its other end, and without both any link at all.
        unread = f"FROM roster.left_out AS r WHERE r.kind = '{kind.records}' AND {kind.where}"
        ends = "SELECT key FROM planned.ends WHERE kind = '{}' AND source_id IN (SELECT r.{} {} AND r.{} IS NULL)"
        db.execute(f"""
            DELETE FROM planned.{table}_stale AS s WHERE s.kind = '{kind.name}' AND (
                EXISTS (SELECT 1 {unread} AND r.{first} IS NULL AND r.{second} IS NULL)
                OR s."{left}" IN ({ends.format(kind.left, first, unread, second)})
                OR s."{right}" IN ({ends.format(kind.right, second, unread, first)})
            )
        """)


def object_steps(db: duckdb.DuckDBPyConnection, terms: Terms) -> list[Step]:
    """The first steps, in the order in which they are to be applied; some may have no rows."""
    return [step for kind in terms.objects for step in (_create(terms, kind), _update(db, kind))]


def link_steps(terms: Terms) -> list[Step]:
    """The steps that come after those of objects: new links, links that go, objects that go."""
    made: list[Step] = []
    for table in LINK_TABLES:
        made += _link(terms, table)
    for table in LINK_TABLES:
        left, right = LINK_SIDES[table]
        made.append(
            Step(
                "unlink",
                table,
                f"""SELECT "{left}", "{right}", 'gone from the roster' AS because, NULL::VARCHAR AS file,
                NULL::BIGINT AS line FROM planned.{table}_stale ORDER BY 1, 2""",
            )
        )
    for kind in reversed(terms.objects):
        gone = f"""SELECT key, 'gone from the roster' AS because, NULL::VARCHAR AS file, NULL::BIGINT AS line
            FROM planned.gone WHERE kind = '{kind.name}' ORDER BY key"""
        made.append(Step("remove", kind.table, gone))
    return made


def _create(terms: Terms, kind: ObjectKind) -> Step:
    columns = [one.column for one, how in terms.writing(kind).items() if how is not Writing.LEAVE]
    if kind.table == "classes":
        columns.append("mail_nickname")
    if kind.role is not None:
        skus = terms.policy.licenses.get(kind.role, ())
        licenses = json.dumps([{"skuId": sku, "disabledPlans": []} for sku in skus], separators=(",", ":"))
        columns += [
            "user_principal_name",
            "lower(user_principal_name) AS account_name",
            "split_part(user_principal_name, '@', 1) AS mail_nickname",
            "true AS account_enabled",
            "'Member' AS user_type",
            f"{text(licenses)} AS licenses",
        ]
    return Step(
        "create",
        kind.table,
        f"""SELECT key, id, source_id, {", ".join(columns)}, because, file, line
        FROM planned.{kind.name}_after WHERE how = 'created' ORDER BY key""",
    )


def _update(db: duckdb.DuckDBPyConnection, kind: ObjectKind) -> Step:
    """Only columns that differ somewhere are in the step."""
    touched = f"FROM planned.{kind.name}_after WHERE how <> 'created' AND because <> ''"
    reasons = {
        row[0] for row in db.execute(f"SELECT DISTINCT unnest(string_split(because, ', ')) {touched}").fetchall()
    }
    columns = "".join(f", {column}" for column in kinds.compared(kind.table) if column in reasons)
    return Step("update", kind.table, f"SELECT key, source_id{columns}, because, file, line {touched} ORDER BY key")


def _link(terms: Terms, table: LinkTable) -> list[Step]:
    left, right = LINK_SIDES[table]
    flags = ", true AS member, w.teacher" if table == "class_people" else ""
    differs = "OR h.member IS DISTINCT FROM true OR h.teacher IS DISTINCT FROM w.teacher" if flags else ""
    same = f'h."{left}" = w."{left}" AND h."{right}" = w."{right}"'
    on_time = "true" if terms.waits_until is None else "NOT w.late"
    shown = f'SELECT w."{left}", w."{right}"{flags}'
    file = "(SELECT names FROM planned.files)[w.place] AS file"
    return [
        Step(
            "link",
            table,
            f"""{shown}, 'new in the roster' AS because, {file}, w.line FROM planned.{table}_wanted AS w
            ANTI JOIN held.{table} AS h ON {same} WHERE {on_time}""",
        ),
        Step(
            "relink",
            table,
            f"""{shown}, CASE WHEN {terms.is_ours("h.owner")} THEN 'role in the class' ELSE 'taken over' END AS because,
            {file}, w.line FROM planned.{table}_wanted AS w JOIN held.{table} AS h ON {same}
            WHERE ({terms.is_free("h.owner")} OR ({terms.is_ours("h.owner")} AND (false {differs}))) ORDER BY 1, 2""",
        ),
    ]


def objects_after(terms: Terms, table: ObjectTable) -> str:
    """The query for the profile's objects in `table` once the plan is applied, in the columns of `held` but `owner`."""
    columns = [name for name in held_columns(table) if name != "owner"]
    parts = []
    for kind in terms.objects:
        if kind.table == table:
            chosen = ", ".join("true AS active" if name == "active" else name for name in columns)
            parts.append(f"SELECT {chosen} FROM planned.{kind.name}_after")
    kept = ", ".join(
        "active AND key NOT IN (SELECT key FROM planned.gone) AS active" if name == "active" else name
        for name in columns
    )
    rest = "SELECT key FROM planned.targets"
    parts.append(f"SELECT {kept} FROM held.{table} WHERE {terms.is_ours('owner')} AND key NOT IN ({rest})")
    return " UNION ALL ".join(parts)


def links_after(terms: Terms, table: LinkTable) -> str:
    """The query for the profile's links in `table` once the plan is applied, in the columns of `held` but `owner`."""
    left, right = LINK_SIDES[table]
    same = f'h."{left}" = w."{left}" AND h."{right}" = w."{right}"'
    others = f"coalesce(h.owner IN ({terms.owners}) AND NOT {terms.is_ours('h.owner')}, false)"
    on_time = "true" if terms.waits_until is None else f'(NOT w.late OR h."{left}" IS NOT NULL)'
    wanted, kept = (", true AS member, w.teacher", ", h.member, h.teacher") if table == "class_people" else ("", "")
    return f"""
        SELECT w."{left}", w."{right}"{wanted} FROM planned.{table}_wanted AS w LEFT JOIN held.{table} AS h ON {same}
        WHERE NOT {others} AND {on_time}
        UNION ALL
        SELECT h."{left}", h."{right}"{kept} FROM held.{table} AS h
        ANTI JOIN planned.{table}_wanted AS w ON {same}
        ANTI JOIN planned.{table}_stale AS s ON s."{left}" = h."{left}" AND s."{right}" = h."{right}"
        WHERE {terms.is_ours("h.owner")}
    """
