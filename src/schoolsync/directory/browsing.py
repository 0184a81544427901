"""Schools, classes and people page by page, searched in bounded pieces, for people who look around.

Lists go by the key of the table, which never changes, so a page costs the same wherever it is. A search looks first for
whoever has exactly that id or begins with that sign-in name, which an index answers; then it reads names, `WINDOW` rows
at a time, and says where to go on: no request reads a directory of ten million people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, func, or_, select

from schoolsync.directory import reading
from schoolsync.store.directory_tables import class_people, classes, people, school_classes, school_people, schools
from schoolsync.store.json_text import folded, spellings

TABLES: Mapping[str, Table] = {"school": schools, "class": classes, "person": people}
WINDOW = 200_000
"""Rows whose names one request reads at most."""
COUNT_MAX = 10_000
"""Links that are counted; more are told as that many and more."""
BESIDE_MAX = 100
_DETAILS: Mapping[str, Sequence[str]] = {
    "school": ("school_number", "state_id", "lowest_grade", "highest_grade", "address_city", "phone", "principal_name"),
    "class": (
        *("class_code", "grade", "course_name", "course_subject", "term_name", "term_start", "term_end", "status"),
        "period",
    ),
    "person": (
        *("given_name", "middle_name", "surname", "mail", "account_enabled", "student_number", "student_grade"),
        *("graduation_year", "teacher_number", "title", "status"),
    ),
}
"""What is shown of an object; birth dates and addresses are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object."""

    kind: str  # school, class or person
    key: int
    id: str
    source_id: str | None  # SIS ID
    name: str | None
    active: bool
    profile: int | None  # profiles.number of the owner; None: made by hand
    role: str | None = None  # of a person; in a class what the person is there
    sign_in: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    binned: int | None = None  # ticks: since when it lies in the bin; None: it does not


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `last` is where to go on, None when this was all."""

    entries: Sequence[Entry]
    last: int | None
    looked: int | None = None  # a search that has not found enough yet: rows that were read


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """One object and what stands beside it."""

    entry: Entry
    schools: Sequence[Entry]
    classes: Sequence[Entry]  # of a person
    counts: Mapping[str, int]  # classes and people of a school or class, counted to COUNT_MAX


def listed(
    connection: Connection,
    tenant: int,
    kind: str,
    *,
    search: str | None = None,
    school: str | None = None,
    group: str | None = None,
    after: int | None = None,
    limit: int,
    binned: bool = False,
) -> Page | None:
    """Objects of a kind, of one school or class or of all; None when there is no such school or class.

    With `binned` those that lie in the bin, otherwise those that do not.
    """
    table = TABLES[kind]
    sight = reading.in_bin(table) if binned else reading.in_sight(table)
    condition = and_(table.c.tenant == tenant, sight)
    outer = None
    if group is not None or school is not None:
        outer = reading.find(connection, classes if group is not None else schools, tenant, str(group or school))
        if outer is None:
            return None
        condition = and_(_inside(kind, tenant, outer.key, of_class=group is not None), sight)
    behind = condition if after is None else and_(condition, table.c.key > after)
    if search is None:
        rows = connection.execute(select(table).where(behind).order_by(table.c.key).limit(limit + 1)).all()
        return _page(connection, tenant, kind, rows, limit, group=outer if group is not None else None)
    found: list[Row[Any]] = []
    if after is None:
        exact = and_(condition, _exactly(table, tenant, search))
        found = [*connection.execute(select(table).where(exact).order_by(table.c.key).limit(limit))]
    known = {row.key for row in found}
    window = select(table.c.key, table.c.display_name).where(behind).order_by(table.c.key).limit(WINDOW).subquery()
    hits = select(window.c.key).where(_named(window.c.display_name, search)).order_by(window.c.key).limit(limit + 1)
    keys = list(connection.execute(hits).scalars())
    more = keys[limit - 1] if len(keys) > limit else None
    keys = keys[:limit]
    if more is None:
        end = select(table.c.key).where(behind).order_by(table.c.key).offset(WINDOW - 1).limit(1)
        more = connection.execute(end).scalar_one_or_none()
    these = select(table).where(table.c.tenant == tenant, table.c.key.in_(keys)).order_by(table.c.key)
    rows = connection.execute(these).all() if keys else []
    shown = [*found, *(row for row in rows if row.key not in known)]
    entries = _page(connection, tenant, kind, shown, len(shown), group=outer if group is not None else None).entries
    return Page(entries, more, WINDOW if more is not None and len(rows) < limit else None)


def one(connection: Connection, tenant: int, kind: str, wanted: str) -> Whole | None:
    """An object by its id, with its schools, a person's classes, and how much belongs to it."""
    find = reading.find_person if kind == "person" else None
    table = TABLES[kind]
    row = find(connection, tenant, wanted) if find else reading.find(connection, table, tenant, wanted)
    if row is None:
        return None
    beside: list[Entry] = []
    groups: list[Entry] = []
    counts: dict[str, int] = {}
    if kind == "school":
        counts["classes"] = _count(connection, school_classes, tenant, "school", row.key)
        counts["people"] = _count(connection, school_people, tenant, "school", row.key)
    else:
        of = reading.schools_of_class if kind == "class" else reading.schools_of_person
        there = and_(of(tenant, row.key), reading.in_sight(schools))
        beside = [_entry("school", found) for found in _some(connection, schools, there)]
    if kind == "class":
        counts["people"] = _count(connection, class_people, tenant, "class", row.key)
    if kind == "person":
        mine = and_(classes.c.tenant == tenant, reading.classes_shared_with(tenant, row.key), reading.in_sight(classes))
        groups = [_entry("class", found) for found in _some(connection, classes, mine)]
    return Whole(entry=_entry(kind, row, detailed=True), schools=beside, classes=groups, counts=counts)


def _inside(kind: str, tenant: int, key: int, *, of_class: bool) -> ColumnElement[bool]:
    if kind == "class":
        return reading.classes_of_school(tenant, key)
    if not of_class:
        return reading.people_of_school(tenant, key)
    link = class_people.c
    linked = select(link.person).where(link.tenant == tenant, link["class"] == key)
    return and_(people.c.tenant == tenant, people.c.key.in_(linked))


def _exactly(table: Table, tenant: int, search: str) -> ColumnElement[bool]:
    """Whoever has this id, or begins with this sign-in name: an index answers each part."""
    lower = search.lower()
    same: list[ColumnElement[bool]] = [table.c.id == lower]
    same += [folded(table.c[name]) == folded(search) for name in reading.looked_up_by(table) if name != "account_name"]
    if table is people:
        same.append(and_(people.c.account_name >= lower, people.c.account_name < f"{lower}\U0010ffff"))
    return or_(*(table.c.key.in_(select(table.c.key).where(table.c.tenant == tenant, term)) for term in same))


def _named(column: ColumnElement[Any], search: str) -> ColumnElement[bool]:
    """Names with this in them."""
    return or_(*(column.icontains(one, autoescape=True) for one in spellings(search)))


def _page(
    connection: Connection, tenant: int, kind: str, rows: Sequence[Row[Any]], limit: int, *, group: Row[Any] | None
) -> Page:
    shown = rows[:limit]
    roles: dict[int, str] = {}
    if group is not None and shown:
        link = class_people.c
        parts = select(link.person, link.teacher).where(
            link.tenant == tenant, link["class"] == group.key, link.person.in_([row.key for row in shown])
        )
        roles = {row.person: "teacher" if row.teacher else "student" for row in connection.execute(parts)}
    entries = [_entry(kind, row, role=roles.get(row.key)) for row in shown]
    return Page(entries, shown[-1].key if len(rows) > limit else None)


def _entry(kind: str, row: Row[Any], *, role: str | None = None, detailed: bool = False) -> Entry:
    details = {}
    if detailed:
        values = {name: getattr(row, name) for name in _DETAILS[kind]}
        details = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in values.items()
            if value is not None
        }
    return Entry(
        kind=kind,
        key=row.key,
        id=row.id,
        source_id=row.source_id,
        name=row.display_name,
        active=bool(row.active),
        profile=row.profile,
        role=role or (row.primary_role if kind == "person" else None),
        sign_in=row.user_principal_name if kind == "person" else None,
        details=details,
        binned=row.binned_at if row.binned_at is not None and not row.active else None,
    )


def _some(connection: Connection, table: Table, condition: ColumnElement[bool]) -> Sequence[Row[Any]]:
    return connection.execute(select(table).where(condition).order_by(table.c.key).limit(BESIDE_MAX)).all()


def _count(connection: Connection, link: Table, tenant: int, side: str, key: int) -> int:
    some = select(link.c.tenant).where(link.c.tenant == tenant, link.c[side] == key).limit(COUNT_MAX).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())
