# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""The steps of a plan as queries, in the order in which they are applied; a preview and an apply read the same rows.

Every row says what is to be written, what stood there before (`was_…`), which rule wants it, and from which file and
line. Keys of new objects count from `FRESH` on, so that a plan is the same whichever keys the directory gives out:
whoever applies or keeps it puts the real ones in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import duckdb

from schoolsync.plan import expiry, kinds, purging, recipes
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms
from schoolsync.plan.identity import text
from schoolsync.plan.kinds import LINK_SIDES, LinkTable, ObjectKind, ObjectTable, Writing

Op = Literal[
    "create",
    "restore",
    "unbin",
    "adopt",
    "rekey",
    "update",
    "link",
    "relink",
    "unlink",
    "remove",
    "expire",
    "bin",
    "purge",
]

FRESH = 1 << 60
"""The key of a plan's first new object, before the directory has given out real ones."""

WHY = ("rule", "of_school", "file", "line", "upload_run", "kind")
"""Columns of a step that explain a row and are not applied; so are `id` of objects that are there, and `was_…`.

Steps that take away name the line that knew the record last: `upload_run` is the number of the run whose upload has it,
NULL or not there the run's own.
"""

RULES = {
    "new-record": "The roster has it for the first time.",
    "changed": "The roster says something else than before.",
    "back": "It is in the roster again.",
    "adopted": "It was in the directory already and belongs to this profile from now on.",
    "rekeyed": "Its SIS ID has changed.",
    "drift": "Somebody has changed it by hand in the directory; the roster's value counts.",
    "role": "The role in the class has changed.",
    "left-scope": "The roster has it, and the profile's scope leaves it out by now.",
    "undone": "A person takes an earlier run back.",
    "expired": "The roster does not have it any more, and the profile marks classes that leave as expired.",
    "term-over": "Its term is over, and the profile lets classes expire then.",
    "cleaned-up": "The profile has expired, and a person cleans up its classes.",
    "kept-long-enough": "It left so long ago that the profile does not keep it any more.",
    "binned": "It has left, and the profile puts what left so long ago into the bin.",
    "gone": "The roster does not have it any more.",
    "erased": "The person was erased on request; what the step said of it is gone.",
}
"""Every rule that a step may name, and the sentence for it."""

GUARDED = "'changed', 'drift', 'rekeyed'"
"""Rules of changes to a pupil that leave the guardians to steps of their own."""

_CHANGES: tuple[tuple[Op, str], ...] = (
    ("restore", "rule = 'back'"),
    ("adopt", "rule = 'adopted'"),
    ("rekey", "rule = 'rekeyed'"),
    ("update", "rule IN ('changed', 'drift')"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of change to one table. `query` gives its rows in the order in which they are stored."""

    op: Op
    table: ObjectTable | LinkTable
    query: str
    record: str = ""  # the kind of its objects; rows of links have it themselves, where they go
    among: str | None = None  # a relation; where that is empty, so is the step: most steps of most plans are

    @property
    def kind(self) -> str:
        """What people are told is changed."""
        if self.record == kinds.GUARDIANS:
            return self.record
        if self.table in OBJECT_TABLES:
            return self.table
        return "links" if self.table == "class_people" else "school_links"

    @property
    def counted(self) -> str:
        """What people are told is done."""
        return {"relink": "update"}.get(self.op, self.op)


def object_steps(db: duckdb.DuckDBPyConnection, terms: Terms) -> list[Step]:
    """The first steps, in the order in which they are to be applied; some may have no rows."""
    found: list[Step] = []
    for kind in terms.objects:
        found.append(_create(terms, kind))
        found += [step for op, rule in _CHANGES for step in _change(db, kind, op, rule)]
        if kind.name == "student":
            found.append(_guardians())
    return found


def link_steps(terms: Terms) -> list[Step]:
    """The steps that come after those of objects: links that come or change."""
    return [step for table in LINK_TABLES for step in _link(terms, table)]


def taking_steps(terms: Terms) -> list[Step]:
    """The last steps: links that go, objects that go."""
    return _taking(terms, "")


def deferred_steps(terms: Terms) -> list[Step]:
    """What a window puts off: in the plan for people to see, and not applied."""
    return _taking(terms, "_later") if terms.defers else []


def _taking(terms: Terms, suffix: str) -> list[Step]:
    """Links that go, then objects that go."""
    made: list[Step] = []
    for table in LINK_TABLES:
        left, right = LINK_SIDES[table]
        stale = f"""SELECT "{left}", "{right}", rule, of_school, {_LAST}, kind
            FROM planned.{table}_stale{suffix} ORDER BY 1, 2"""
        made.append(Step("unlink", table, stale, among=f"planned.{table}_stale{suffix}"))
    made.append(
        Step(
            "unlink",
            "people",
            f"SELECT {_OF_GUARDIANS}, rule, of_school, {_LAST} FROM planned.unguarded{suffix} ORDER BY key",
            kinds.GUARDIANS,
            f"planned.unguarded{suffix}",
        )
    )
    for kind in reversed(terms.objects):
        disabled = ", false AS account_enabled" if terms.disables(kind) else ""
        gone = f"""SELECT key, id, source_id{disabled}, rule, of_school, {_LAST}
            FROM planned.gone{suffix} WHERE kind = '{kind.name}' ORDER BY key"""
        made.append(Step("remove", kind.table, gone, kind.name, f"planned.gone{suffix}"))
    if not suffix:
        made.append(expire())
        made += [_bin(terms, kind) for kind in reversed(terms.objects) if kind.name in terms.policy.bin_days]
        made += [_purge(kind) for kind in reversed(purging.kept(terms))]
    return made


_LAST = "file, line, upload_run"
_OF_GUARDIANS = "key, id, source_id, was_source_id, related_contacts, was_related_contacts"


def _guardians() -> Step:
    """Pupils whose guardians change, and who keep some; who loses all is a step that takes away."""
    query = f"""SELECT {_OF_GUARDIANS}, rule, of_school, file, line FROM (
            SELECT a.* EXCLUDE (related_contacts), a.source_id AS was_source_id, a.related_contacts,
                h.related_contacts AS was_related_contacts
            FROM planned.student_after AS a JOIN held.people AS h ON h.key = a.key
            WHERE a.how <> 'created' AND a.rule IN ({GUARDED}) AND list_contains(string_split(a.fields, ','),
                'related_contacts') AND a.key NOT IN (SELECT key FROM planned.unguarded)
        ) ORDER BY key"""
    return Step("update", "people", query, kinds.GUARDIANS, "held.people")


def expire() -> Step:
    """The classes in `planned.expiring` are marked."""
    pairs = ", ".join(f"{one}, was_{one}" for one in expiry.MARKED)
    query = f"SELECT key, id, {pairs}, rule, of_school, {_LAST} FROM planned.expiring ORDER BY key"
    return Step("expire", "classes", query, "section", "planned.expiring")


def _bin(terms: Terms, kind: ObjectKind) -> Step:
    """What left long enough ago, and at once what leaves now where the profile does not wait."""
    columns = f"key, id, source_id, of_school, {_LAST}"
    parts = [f"SELECT {columns} FROM planned.binned WHERE kind = '{kind.name}'"]
    if not purging.bin_days(terms, kind):
        parts.append(f"SELECT {columns} FROM planned.gone WHERE kind = '{kind.name}'")
        parts.append(f"SELECT {columns} FROM planned.expiring WHERE kind = '{kind.name}' AND was_active AND NOT active")
    query = f"""SELECT key, id, source_id, 'binned' AS rule, of_school, {_LAST}
        FROM ({" UNION ALL ".join(parts)}) ORDER BY key"""
    return Step("bin", kind.table, query, kind.name)


def _purge(kind: ObjectKind) -> Step:
    query = f"""SELECT key, id, source_id, 'kept-long-enough' AS rule, of_school, {_LAST}
        FROM planned.purged WHERE kind = '{kind.name}' ORDER BY key"""
    return Step("purge", kind.table, query, kind.name, "planned.purged")


def _create(terms: Terms, kind: ObjectKind) -> Step:
    columns = [one.column for one, how in terms.writing(kind).items() if how is not Writing.LEAVE]
    columns.append("generation")
    if kind.table == "classes":
        columns.append("mail_nickname")
    recipe = recipes.of(terms, kind)
    if kind.role is not None:
        skus = terms.policy.licenses.get(kind.role, ())
        licenses = json.dumps([{"skuId": sku, "disabledPlans": []} for sku in skus], separators=(",", ":"))
        columns += [
            "user_principal_name",
            "lower(user_principal_name) AS account_name",
            f"{recipes.nickname(recipe, 'user_principal_name')} AS mail_nickname",
            *(["mail"] if recipe is not None and recipe.mail is not None else []),
            "true AS account_enabled",
            "'Member' AS user_type",
            f"{text(licenses)} AS licenses",
        ]
    return Step(
        "create",
        kind.table,
        f"""SELECT key, id, source_id, {", ".join(columns)}, rule, of_school, file, line
        FROM planned.{kind.name}_after WHERE how = 'created' ORDER BY key""",
        kind.name,
    )


def _change(db: duckdb.DuckDBPyConnection, kind: ObjectKind, op: Op, rule: str) -> list[Step]:
    """Only columns that differ somewhere are in the step."""
    which = f"a.how <> 'created' AND a.{rule}"
    apart = op in ("update", "rekey")  # guardians have steps of their own then
    if apart:
        which += " AND (a.fields <> 'related_contacts' OR a.rule = 'rekeyed')"
    touched = f"FROM planned.{kind.name}_after AS a WHERE {which}"
    rows = db.execute(f"SELECT DISTINCT unnest(string_split(fields, ',')) {touched}").fetchall()
    fields = {row[0] for row in rows}
    if not fields:
        return []
    columns = [
        column
        for column in kinds.compared(kind.table)
        if column in fields and not (apart and column == "related_contacts")
    ]
    shown = "".join(f", a.{column}, h.{column} AS was_{column}" for column in columns)
    query = f"""SELECT a.key, a.id, a.source_id, h.source_id AS was_source_id{shown},
            a.rule, a.of_school, a.file, a.line
        FROM planned.{kind.name}_after AS a JOIN held.{kind.table} AS h ON h.key = a.key
        WHERE {which} ORDER BY a.key"""
    return [Step(op, kind.table, query, kind.name)]


def _link(terms: Terms, table: LinkTable) -> list[Step]:
    left, right = LINK_SIDES[table]
    flags = ", true AS member, w.teacher" if table == "class_people" else ""
    teacher = ", w.teacher" if flags else ""
    was = ", h.member AS was_member, h.teacher AS was_teacher" if flags else ""
    differs = "h.member IS DISTINCT FROM true OR h.teacher IS DISTINCT FROM w.teacher" if flags else "false"
    same = f'h."{left}" = w."{left}" AND h."{right}" = w."{right}"'
    on_time = "true" if terms.waits_until is None else "NOT w.late"
    shown = f'SELECT w."{left}", w."{right}"{flags}'
    file = "(SELECT names FROM planned.files)[w.place] AS file"
    return [
        Step(
            "link",
            table,
            # Millions of links: they are put in order as few bytes, and get their words afterwards.
            f"""{shown}, 'new-record' AS rule, {file}, w.line::BIGINT AS line FROM (
                SELECT w."{left}", w."{right}"{teacher}, w.place::USMALLINT AS place, w.line::UINTEGER AS line
                FROM planned.{table}_met AS w
                ANTI JOIN held.{table} AS h ON {same} WHERE missing AND {on_time} ORDER BY 1, 2
            ) AS w""",
        ),
        Step(
            "relink",
            table,
            f"""{shown}{was}, CASE WHEN {terms.is_ours("h.owner")} THEN 'role' ELSE 'adopted' END AS rule,
            {file}, w.line FROM planned.{table}_met AS w JOIN held.{table} AS h ON {same}
            WHERE ({terms.is_free("h.owner")} OR ({terms.is_ours("h.owner")} AND ({differs}))) ORDER BY 1, 2""",
            among=f"held.{table}",
        ),
    ]


def real_key(name: str, first_key: int) -> str:
    """The SQL for a key of the directory, from one that may count from FRESH."""
    return f"CASE WHEN {name} >= {FRESH} THEN {name} - {FRESH} + {int(first_key)} ELSE {name} END"
