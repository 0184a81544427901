"""Links between objects, made and taken back by hand: classes and people of a school, members and teachers of a class.

A link made here belongs to no profile. Each change raises the directory's position by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from schoolsync.directory.positions import advance
from schoolsync.directory.reading import Found
from schoolsync.errors import Invalid, NotFound
from schoolsync.store.directory_tables import class_people, classes, removed_members, school_classes, school_people


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of link, as a property of the object on its left side."""

    name: str
    table: Table
    left: str
    right: str
    part: str | None = None  # the column that says this kind of link is there; a row may stand for two kinds


SCHOOL_CLASSES = Kind("classes", school_classes, "school", "class")
SCHOOL_PEOPLE = Kind("users", school_people, "school", "person")
MEMBERS = Kind("members", class_people, "class", "person", "member")
TEACHERS = Kind("teachers", class_people, "class", "person", "teacher")


def add(connection: Connection, kind: Kind, *, tenant: int, left: Found, right: Found) -> None:
    """Link two objects. Raises Invalid when they are linked already."""
    row = _row(connection, kind, tenant, left, right)
    if row is not None and (kind.part is None or row[kind.part]):
        raise Invalid(
            f"One or more added object references already exist for the following modified properties: '{kind.name}'.",
            target=kind.name,
        )
    position, _ = advance(connection, tenant)
    if row is None:
        values: dict[str, Any] = {"tenant": tenant, kind.left: left.key, kind.right: right.key}
        if kind.part is not None:
            values |= {"member": False, "teacher": False, kind.part: True, "position": position}
        connection.execute(insert(kind.table).values(values))
    else:
        _set(connection, kind, tenant, left, right, True, position)
    _touch(connection, kind, tenant, left, position)


def remove(connection: Connection, kind: Kind, *, tenant: int, left: Found, right: Found, now: int) -> None:
    """Take a link back; both objects stay. Raises NotFound when there is none."""
    row = _row(connection, kind, tenant, left, right)
    if row is None or (kind.part is not None and not row[kind.part]):
        raise NotFound(
            f"Resource '{right.id}' does not exist or one of its queried reference-property objects are not present."
        )
    position, _ = advance(connection, tenant)
    if kind.part is not None:
        gone = {"tenant": tenant, "class": left.key, "position": position, "id": right.id, "removed": now}
        connection.execute(insert(removed_members).values(gone | {"member": False, "teacher": False, kind.part: True}))
    if kind.part is not None and row["member"] and row["teacher"]:
        _set(connection, kind, tenant, left, right, False, position)
    else:
        connection.execute(delete(kind.table).where(*_these(kind, tenant, left, right)))
    _touch(connection, kind, tenant, left, position)


def _these(kind: Kind, tenant: int, left: Found, right: Found) -> tuple[Any, ...]:  # conditions
    table = kind.table.c
    return table.tenant == tenant, table[kind.left] == left.key, table[kind.right] == right.key


def _row(connection: Connection, kind: Kind, tenant: int, left: Found, right: Found) -> Any:  # a mapping or None
    statement = select(kind.table).where(*_these(kind, tenant, left, right))
    return connection.execute(statement).mappings().one_or_none()


def _set(
    connection: Connection, kind: Kind, tenant: int, left: Found, right: Found, there: bool, position: int
) -> None:
    assert kind.part is not None
    connection.execute(
        update(kind.table).where(*_these(kind, tenant, left, right)).values({kind.part: there, "position": position})
    )


def _touch(connection: Connection, kind: Kind, tenant: int, left: Found, position: int) -> None:
    """A class changes with its members."""
    if kind.part is not None:
        connection.execute(
            update(classes).where(classes.c.tenant == tenant, classes.c.key == left.key).values(position=position)
        )
