# ruff: noqa: S608  # what is put into these statements are names of ours
"""The steps that take an earlier plan back: what it did, the other way round, where nobody has changed it since.

`undone.<op>_<table>` has the rows that were applied, `now.<table>` what the directory holds of what they touched. A
value goes back to what it was only while it still is what the run made it; a membership is made or ended only where
that changes anything. What cannot be taken back is counted, and people are told.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from schoolsync.plan import expiry
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms
from schoolsync.plan.identity import text
from schoolsync.plan.kinds import GUARDIANS, LINK_SIDES, OBJECTS, ObjectKind
from schoolsync.plan.steps import Op, Step

_WHY = "'undone' AS rule, u.of_school, u.file, u.line, u.upload_run"
CHANGES = ("restore", "adopt", "rekey", "update")


def steps(db: duckdb.DuckDBPyConnection, terms: Terms) -> list[Step]:
    """The steps, in the order in which they are to be applied."""
    made: list[Step] = []
    for kind in OBJECTS:
        made += _objects_back(db, terms, kind)
        made += _out_of_bin(db, terms, kind)
        made += _values_back(db, terms, kind)
    made += _guardians_back(db, terms, "update")
    made += _marks_back(db, terms)
    for table in LINK_TABLES:
        left, right = LINK_SIDES[table]
        same = f'n."{left}" = u."{left}" AND n."{right}" = u."{right}"'
        if _has(db, f"unlink_{table}"):
            flags = ", true AS member, u.kind = 'teacherRoster' AS teacher" if table == "class_people" else ""
            ends = " ".join(
                f'SEMI JOIN now.{objects} AS o{side} ON o{side}.key = u."{side}" AND o{side}.stays'
                for side, objects in ((left, _OF[left]), (right, _OF[right]))
            )
            query = f"""SELECT u."{left}", u."{right}"{flags}, {_WHY}, u.kind FROM undone.unlink_{table} AS u {ends}
                ANTI JOIN now.{table} AS n ON {same} ORDER BY 1, 2"""
            made.append(Step("link", table, query))
        if table == "class_people" and _has(db, f"relink_{table}"):
            query = f"""SELECT u."{left}", u."{right}", u.was_member AS member, u.was_teacher AS teacher,
                'undone' AS rule, u.file, u.line, u.upload_run FROM undone.relink_{table} AS u
                JOIN now.{table} AS n ON {same}
                WHERE u.rule = 'role' AND {terms.is_ours("n.owner")} AND n.teacher = u.teacher ORDER BY 1, 2"""
            made.append(Step("relink", table, query))
    for table in LINK_TABLES:
        left, right = LINK_SIDES[table]
        same = f'n."{left}" = u."{left}" AND n."{right}" = u."{right}"'
        if _has(db, f"link_{table}"):
            query = f"""SELECT u."{left}", u."{right}", 'undone' AS rule, s.of_school, u.file, u.line, u.upload_run,
                {_kind_of_link(table)} AS kind FROM undone.link_{table} AS u
                JOIN now.{table} AS n ON {same} LEFT JOIN now.{_OF[left]} AS s ON s.key = u."{left}"
                LEFT JOIN now.{_OF[right]} AS r ON r.key = u."{right}"
                WHERE {terms.is_ours("n.owner")} ORDER BY 1, 2"""
            made.append(Step("unlink", table, query))
    made += _guardians_back(db, terms, "unlink")
    for kind in reversed(OBJECTS):
        made += _objects_away(db, terms, kind)
    for kind in reversed(OBJECTS):
        made += _into_bin(db, terms, kind)
    return made


_OF = {"school": "schools", "class": "classes", "person": "people"}


def _kind_of_link(table: str) -> str:
    if table == "class_people":
        return "CASE WHEN u.teacher THEN 'teacherRoster' ELSE 'studentEnrollment' END"
    return "'schoolSections'" if table == "school_classes" else "r.primary_role || 'Schools'"


def _has(db: duckdb.DuckDBPyConnection, name: str, column: str | None = None) -> bool:
    """Whether the run has such steps, and in them this column."""
    return bool(
        db.execute(
            "SELECT 1 FROM duckdb_columns() WHERE schema_name = 'undone' AND table_name = $1 "
            "AND coalesce(column_name = $2, true) LIMIT 1",
            [name, column],
        ).fetchall()
    )


def _of_kind(kind: ObjectKind, row: str) -> str:
    return f"{row}.record = {text(kind.name)}"


def _objects_back(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> list[Step]:
    """What the run set inactive is active again."""
    if not _has(db, f"remove_{kind.table}"):
        return []
    query = f"""SELECT u.key, u.id, u.source_id, u.source_id AS was_source_id, {_WHY}
        FROM undone.remove_{kind.table} AS u
        JOIN now.{kind.table} AS n ON n.key = u.key WHERE {_of_kind(kind, "u")} AND NOT n.active
        AND {terms.is_ours("n.owner")} AND n.source_id IS NOT DISTINCT FROM u.source_id ORDER BY u.key"""
    return [Step("restore", kind.table, query, kind.name)]


def _out_of_bin(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> list[Step]:
    """What the run put into the bin, having left before, is out of it again; what left in the run comes back whole."""
    if not _has(db, f"bin_{kind.table}"):
        return []
    query = f"""SELECT u.key, u.id, n.source_id, {_WHY} FROM undone.bin_{kind.table} AS u
        JOIN now.{kind.table} AS n ON n.key = u.key
        SEMI JOIN now.bin AS b ON b.of_table = '{kind.table}' AND b.key = u.key
        WHERE {_of_kind(kind, "u")} AND NOT n.active AND {terms.is_ours("n.owner")}
            AND u.key NOT IN ({_left_in_it(db, kind.table)}) ORDER BY u.key"""
    return [Step("unbin", kind.table, query, kind.name)]


def _left_in_it(db: duckdb.DuckDBPyConnection, table: str) -> str:
    """The query for the keys of what left in the run itself."""
    went = [f"SELECT key FROM undone.remove_{table}"] if _has(db, f"remove_{table}") else []
    if table == "classes" and _has(db, "expire_classes"):
        went.append("SELECT key FROM undone.expire_classes WHERE was_active")
    return " UNION ALL ".join(went) or "SELECT 0::BIGINT WHERE false"


def _into_bin(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> list[Step]:
    """What the run, an undo itself, took out of the bin lies in it again."""
    if not _has(db, f"unbin_{kind.table}"):
        return []
    query = f"""SELECT u.key, u.id, n.source_id, {_WHY} FROM undone.unbin_{kind.table} AS u
        JOIN now.{kind.table} AS n ON n.key = u.key
        ANTI JOIN now.bin AS b ON b.of_table = '{kind.table}' AND b.key = u.key
        WHERE {_of_kind(kind, "u")} AND NOT n.active AND {terms.is_ours("n.owner")} ORDER BY u.key"""
    return [Step("bin", kind.table, query, kind.name)]


def _values_back(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> list[Step]:
    """Every property that still is what the run made it becomes what it was."""
    made: list[Step] = []
    for op in CHANGES:
        name = f"{op}_{kind.table}"
        if not _has(db, name):
            continue
        columns = _changed(db, name)
        differ = " OR ".join(
            f"(u.{one} IS DISTINCT FROM u.was_{one} AND n.{one} IS NOT DISTINCT FROM u.{one})" for one in columns
        )
        shown = "".join(
            f", CASE WHEN n.{one} IS NOT DISTINCT FROM u.{one} THEN u.was_{one} ELSE n.{one} END AS {one}, "
            f"n.{one} AS was_{one}"
            for one in columns
            if one != "source_id"
        )
        query = f"""SELECT u.key, u.id,
            CASE WHEN n.source_id IS NOT DISTINCT FROM u.source_id AND u.was_source_id IS NOT NULL
                THEN u.was_source_id ELSE n.source_id END AS source_id, n.source_id AS was_source_id{shown}, {_WHY}
            FROM undone.{name} AS u JOIN now.{kind.table} AS n ON n.key = u.key
            WHERE {_of_kind(kind, "u")} AND n.active AND {terms.is_ours("n.owner")} AND ({differ}) ORDER BY u.key"""
        made.append(Step("update", kind.table, query, kind.name))
    return made


def _guardians_back(db: duckdb.DuckDBPyConnection, terms: Terms, op: Op) -> list[Step]:
    """Pupils whose guardians still are what the run made them have those they had; who had none loses them again."""
    parts = [
        f"SELECT key, id, source_id, related_contacts, was_related_contacts, of_school, file, line, upload_run "
        f"FROM undone.{name} WHERE record = {text(GUARDIANS)}"
        for name in ("update_people", "unlink_people")
        if _has(db, name, "related_contacts")
    ]
    if not parts:
        return []
    which = f"u.was_related_contacts {'=' if op == 'unlink' else '<>'} '[]'"
    query = f"""SELECT u.key, u.id, n.source_id, n.source_id AS was_source_id,
            u.was_related_contacts AS related_contacts, n.related_contacts AS was_related_contacts, {_WHY}
        FROM ({" UNION ALL ".join(parts)}) AS u JOIN now.people AS n ON n.key = u.key
        WHERE n.active AND {terms.is_ours("n.owner")} AND n.related_contacts = u.related_contacts AND {which}
        ORDER BY u.key"""
    return [Step(op, "people", query, GUARDIANS)]


def _marks_back(db: duckdb.DuckDBPyConnection, terms: Terms) -> list[Step]:
    """Classes that the run marked as expired have their names again, unless others have their SIS IDs by now."""
    if not _has(db, "expire_classes"):
        return []
    names = "".join(
        f", CASE WHEN n.{one} IS NOT DISTINCT FROM u.{one} THEN u.was_{one} ELSE n.{one} END AS {one}, "
        f"n.{one} AS was_{one}"
        for one in expiry.MARKED
        if one not in ("source_id", "active", "expired")
    )
    made = []
    steps: tuple[tuple[Op, str], ...] = (("restore", "u.was_active"), ("update", "NOT u.was_active"))
    for op, which in steps:
        query = f"""SELECT u.key, u.id, u.was_source_id AS source_id, n.source_id AS was_source_id{names},
                u.was_active AS active, n.active AS was_active, NULL::BIGINT AS expired, n.expired AS was_expired,
                {_WHY}
            FROM undone.expire_classes AS u JOIN now.classes AS n ON n.key = u.key
            WHERE {which} AND {terms.is_ours("n.owner")} AND n.source_id = u.source_id AND n.expired IS NOT NULL
                AND u.was_source_id NOT IN (SELECT source_id FROM now.names) ORDER BY u.key"""
        made.append(Step(op, "classes", query, "section"))
    return made


def _objects_away(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> list[Step]:
    """What the run made, or made active again, becomes inactive."""
    parts = [
        f"SELECT key, id, source_id, of_school, file, line, upload_run FROM undone.{op}_{kind.table} AS u "
        f"WHERE {_of_kind(kind, 'u')}"
        for op in ("create", "restore")
        if _has(db, f"{op}_{kind.table}")
    ]
    if not parts:
        return []
    disabled = ", false AS account_enabled" if terms.disables(kind) else ""
    query = f"""SELECT u.key, u.id, u.source_id{disabled}, {_WHY} FROM ({" UNION ALL ".join(parts)}) AS u
        JOIN now.{kind.table} AS n ON n.key = u.key WHERE n.active AND {terms.is_ours("n.owner")} ORDER BY u.key"""
    return [Step("remove", kind.table, query, kind.name)]


def mark_staying(db: duckdb.DuckDBPyConnection) -> None:
    """`now.<objects>.stays`: whether an object is active once the steps are applied, so that links may be made."""
    for table in OBJECT_TABLES:
        away = " UNION ALL ".join(
            f"SELECT key FROM undone.{op}_{table}" for op in ("create", "restore") if _has(db, f"{op}_{table}")
        )
        back = f"SELECT key FROM undone.remove_{table}" if _has(db, f"remove_{table}") else "SELECT 0 WHERE false"
        if table == "classes" and _has(db, "expire_classes"):
            back += """ UNION ALL SELECT key FROM undone.expire_classes
                WHERE was_active AND was_source_id NOT IN (SELECT source_id FROM now.names)"""
        db.execute(f"ALTER TABLE now.{table} ADD COLUMN stays BOOLEAN")
        db.execute(f"""UPDATE now.{table} SET stays = (active OR key IN ({back}))
            AND key NOT IN ({away or "SELECT 0 WHERE false"})""")


def notes(db: duckdb.DuckDBPyConnection, made: Sequence[tuple[Step, int]]) -> tuple[str, ...]:
    """What cannot be taken back, in sentences."""
    found: list[str] = []
    planned: dict[tuple[str, str], int] = {}
    for step, rows in made:
        planned[step.op, step.table] = planned.get((step.op, step.table), 0) + rows
    created = sum(_count(db, f"create_{table}") for table in OBJECT_TABLES)
    if created:
        found.append(f"{created:,} objects that the run made stay in the directory, inactive.")
    adopted = sum(_count(db, f"adopt_{table}") for table in OBJECT_TABLES)
    if adopted:
        found.append(f"{adopted:,} objects that the run took over stay the profile's; their values go back.")
    for op, back, name in (("remove", "restore", "came back or changed hands"), ("unlink", "link", "were made again")):
        for table in (*OBJECT_TABLES, *LINK_TABLES):
            left = _count(db, f"{op}_{table}") - planned.get((back, table), 0)
            if (op, table) == ("remove", "classes"):
                left += _count(db, "expire_classes", "was_active")
            if left > 0 and (table in OBJECT_TABLES) == (op == "remove"):
                found.append(f"{left:,} rows of {table} that the run took away {name} since, or miss an end.")
    binned = sum(_count(db, f"bin_{table}", f"key NOT IN ({_left_in_it(db, table)})") for table in OBJECT_TABLES)
    out = sum(rows for (op, _), rows in planned.items() if op == "unbin")
    if binned > out:
        found.append(f"{binned - out:,} objects that the run put into the bin are not in it any more.")
    purged = sum(_count(db, f"purge_{table}") for table in OBJECT_TABLES)
    if purged:
        found.append(f"{purged:,} objects that the run purged are gone for good.")
    changed = sum(
        _count(db, f"{op}_{table}", _differs(db, f"{op}_{table}"))
        for op in CHANGES
        for table in OBJECT_TABLES
        if op != "adopt"
    )
    changed += _count(db, "expire_classes", "NOT was_active") + _count(db, "unlink_people")
    reverted = sum(
        rows for step, rows in made if step.op == "update" or (step.table == "people" and step.op == "unlink")
    )
    if changed > reverted:
        found.append(f"{changed - reverted:,} objects that the run changed have been changed again since; they stay.")
    return tuple(found)


def _differs(db: duckdb.DuckDBPyConnection, name: str) -> str:
    """The condition that a step of the run has changed any property of its object: coming back alone does not."""
    return " OR ".join(f"{one} IS DISTINCT FROM was_{one}" for one in _changed(db, name)) or "false"


def _changed(db: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """The properties that steps of the run say before and after of."""
    rows = db.execute(
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'undone' AND table_name = $1 "
        "AND column_name LIKE 'was\\_%' ESCAPE '\\'",
        [name],
    ).fetchall()
    return [column.removeprefix("was_") for (column,) in rows]


def _count(db: duckdb.DuckDBPyConnection, name: str, which: str = "true") -> int:
    if not _has(db, name):
        return 0
    ((number,),) = db.execute(f"SELECT count(*) FROM undone.{name} WHERE {which}").fetchall()
    return int(number)
