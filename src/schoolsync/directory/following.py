"""Following the changes of a set: what has changed, and what is gone, since a position of the directory.

Positions become visible in the order in which they are given out, because whoever writes holds the tenant's position
until the write is done. A reader that knows a position therefore misses nothing by asking for what came after it, and
one that first reads the whole set, however long that takes, is made whole by what came after the position at which it
began. Removals are kept for a time (`forget`); who comes later must begin anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, delete, func, or_, select, tuple_, update

from schoolsync.directory import reading
from schoolsync.store.directory_tables import class_people, people, positions, removed_members, removed_objects
from schoolsync.store.release import REMOVALS_KEPT


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader of changes is: behind an object, or behind a removal, of a position."""

    position: int
    key: int | None = None  # of the object; None: behind the removal of `id`
    id: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """An object that is no longer there."""

    position: int
    id: str
    restorable: bool = False  # it lies in the bin


@dataclass(frozen=True, slots=True)
class Membership:
    """One person's part in a class, as it is now or, when it is `lost`, as it is no longer."""

    group: int
    key: int  # of the person; -1 when something is lost
    id: str
    member: bool
    teacher: bool
    lost: bool = False


def position(connection: Connection, tenant: int) -> tuple[int, int]:
    """The directory's position now, and the one up to which removals are forgotten."""
    row = connection.execute(
        select(positions.c.position, positions.c.forgotten).where(positions.c.tenant == tenant)
    ).one_or_none()
    return (0, 0) if row is None else (row.position, row.forgotten)


def changes(
    connection: Connection, tenant: int, table: Table, place: Place, *, seen: ColumnElement[bool], limit: int
) -> list[Row[Any] | Gone]:
    """What has changed behind `place`, in the order of its changes; of an object only its last change counts."""
    gone = removed_objects.c
    after_removal = tuple_(gone.position, gone.id) > tuple_(place.position, place.id)
    removals = connection.execute(
        select(gone.position, gone.id, gone.restorable)
        .where(gone.tenant == tenant, gone.kind == table.name)
        .where(after_removal if place.key is None and place.id else gone.position > place.position)
        .order_by(gone.position, gone.id)
        .limit(limit)
    ).all()
    # Of one position, removals come first.
    after = table.c.position > place.position
    if place.key is not None:
        after = tuple_(table.c.position, table.c.key) > tuple_(place.position, place.key)
    elif place.id:
        after = table.c.position >= place.position
    rows = connection.execute(
        select(table).where(table.c.tenant == tenant, after, seen).order_by(table.c.position, table.c.key).limit(limit)
    ).all()
    found: list[Row[Any] | Gone] = [*(Gone(row.position, row.id, bool(row.restorable)) for row in removals), *rows]
    found.sort(
        key=lambda one: (one.position, 0, 0, one.id) if isinstance(one, Gone) else (one.position, 1, one.key, "")
    )
    return found[:limit]


def counted(connection: Connection, tenant: int, groups: Sequence[int], *, since: int | None) -> dict[int, int]:
    """How many memberships of each class there are to tell; `since` None: all there are."""
    link = class_people.c
    statement = select(link["class"], func.count()).where(link.tenant == tenant, link["class"].in_(groups))
    if since is not None:
        statement = statement.where(link.position > since)
    return {int(group): int(count) for group, count in connection.execute(statement.group_by(link["class"]))}


def memberships(
    connection: Connection,
    tenant: int,
    groups: Sequence[int],
    *,
    since: int | None,
    behind: int = 0,
    limit: int,
    seen: ColumnElement[bool] | None,
) -> list[Membership]:
    """Memberships of classes by class and person, changed after `since` (None: all), behind that person's key."""
    link = class_people.c
    statement = (
        select(link["class"], link.person, people.c.id, link.member, link.teacher)
        .join(people, and_(people.c.tenant == link.tenant, people.c.key == link.person, reading.in_sight(people)))
        .where(link.tenant == tenant, link["class"].in_(groups), link.person > behind)
        .order_by(link["class"], link.person)
        .limit(limit)
    )
    if since is not None:
        statement = statement.where(link.position > since)
    if seen is not None:
        statement = statement.where(seen)
    return [
        Membership(int(group), int(person), who, bool(member), bool(teacher))
        for group, person, who, member, teacher in connection.execute(statement)
    ]


def left(connection: Connection, tenant: int, groups: Iterable[int], *, since: int) -> list[Membership]:
    """What people have lost in these classes after `since`, and have not got back."""
    gone, link = removed_members.c, class_people.c
    statement = (
        select(gone["class"], gone.id, gone.member, gone.teacher, link.member, link.teacher)
        .select_from(
            removed_members.outerjoin(
                people, and_(people.c.tenant == gone.tenant, people.c.id == gone.id, reading.in_sight(people))
            ).outerjoin(
                class_people,
                and_(link.tenant == gone.tenant, link["class"] == gone["class"], link.person == people.c.key),
            )
        )
        .where(gone.tenant == tenant, gone["class"].in_(list(groups)), gone.position > since)
    )
    found: dict[tuple[int, str], list[bool]] = {}
    for group, who, member, teacher, still_member, still_teacher in connection.execute(statement):
        lost = found.setdefault((int(group), who), [False, False])
        lost[0] |= bool(member) and not still_member
        lost[1] |= bool(teacher) and not still_teacher
    return [
        Membership(group, -1, who, lost[0], lost[1], lost=True) for (group, who), lost in found.items() if any(lost)
    ]


def sight_changed(connection: Connection, tenant: int, person: int, person_id: str, since: int) -> bool:
    """Whether a person's classes, or who is in them, changed after `since`: what the person may see is another set."""
    link, gone = class_people.c, removed_members.c
    mine = select(link["class"]).where(link.tenant == tenant, link.person == person)
    joined = select(link.person).where(link.tenant == tenant, link["class"].in_(mine), link.position > since)
    went = select(gone.id).where(
        gone.tenant == tenant, gone.position > since, or_(gone["class"].in_(mine), gone.id == person_id)
    )
    return any(connection.execute(asked.limit(1)).first() is not None for asked in (joined, went))


def forget(connection: Connection, tenant: int, *, now: int) -> int:
    """Forget removals that are past their time; how many. In the caller's write transaction."""
    before = now - REMOVALS_KEPT
    count, last = 0, 0
    for table in (removed_objects, removed_members):
        old = (table.c.tenant == tenant, table.c.removed < before)
        highest = connection.execute(select(func.max(table.c.position)).where(*old)).scalar_one()
        if highest is not None:
            last = max(last, highest)
            count += connection.execute(delete(table).where(*old)).rowcount
    if count:
        connection.execute(
            update(positions).where(positions.c.tenant == tenant, positions.c.forgotten < last).values(forgotten=last)
        )
    return count
