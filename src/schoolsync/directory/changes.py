"""Objects made, changed and removed by hand, of whichever kind.

Each function is one change inside the caller's write transaction and raises the directory's position by one; a change
that changes nothing writes nothing. An object that a profile brought stays that profile's when it is changed here:
the next plan sees the difference. What a property may hold is decided by `people`, `classes` and `schools`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, insert, literal, select, text, update

from schoolsync.directory import following
from schoolsync.directory.positions import advance
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import Shape
from schoolsync.errors import Invalid
from schoolsync.store import bin as bins
from schoolsync.store.directory_tables import (
    class_people,
    classes,
    people,
    removed_members,
    removed_objects,
    school_classes,
    school_people,
)
from schoolsync.store.json_text import folded

TEXT_MAX = 1024
DISPLAY_NAME_MAX = 256
_LINKS: Mapping[str, tuple[tuple[Table, str], ...]] = {
    "schools": ((school_classes, "school"), (school_people, "school")),
    "classes": ((school_classes, "class"), (class_people, "class")),
    "people": ((school_people, "person"), (class_people, "person")),
}


def refuse(name: str, sentence: str) -> Invalid:
    """A property's value cannot be."""
    return Invalid(f"Invalid value specified for property '{name}': {sentence}.", target=name)


def check_texts(values: Mapping[str, Any], path: str = "") -> None:
    """Raise Invalid for a text that is too long, at whatever depth, and for a display name that is empty."""
    for name, value in values.items():
        where = f"{path}/{name}" if path else name
        if isinstance(value, str):
            if len(value) > TEXT_MAX:
                raise refuse(where, f"it must have at most {TEXT_MAX} characters")
        elif isinstance(value, Mapping):
            check_texts(value, where)
        elif isinstance(value, list):
            for item in value:
                check_texts(item if isinstance(item, Mapping) else {name: item}, where)
    display_name = values.get("displayName") if not path else None
    if display_name is not None and not 1 <= len(display_name.strip()) <= DISPLAY_NAME_MAX:
        raise refuse("displayName", f"it must have 1 to {DISPLAY_NAME_MAX} characters")


def check_free(
    connection: Connection, tenant: int, shape: Shape, path: str, value: str, *, besides: int | None
) -> None:
    """Raise Invalid when another object has the same text in that property, whatever the case of its letters."""
    table = shape.table
    same = folded(shape.columns[path]) == folded(literal(value))
    taken = exists().where(table.c.tenant == tenant, same)
    if besides is not None:
        taken = taken.where(table.c.key != besides)
    if connection.execute(select(taken)).scalar_one():
        raise taken_already(path)


def taken_already(path: str) -> Invalid:
    """Another object has that value."""
    return Invalid(f"Another object with the same value for property {path} already exists.", target=path)


def add(
    connection: Connection,
    *,
    tenant: int,
    table: Table,
    columns: Mapping[str, Any],
    object_id: str,
    client: str | None,
    now: int,
) -> None:
    """A new object that no profile owns; `client` is the application that asks."""
    position, key = advance(connection, tenant, keys=1)
    connection.execute(
        insert(table).values(
            tenant=tenant,
            key=key,
            id=object_id,
            created=now,
            changed=now,
            position=position,
            created_by=json.dumps({"application": {"id": client}}) if client else None,
            **columns,
        )
    )


def change(
    connection: Connection, *, tenant: int, shape: Shape, row: Found, columns: Mapping[str, Any], now: int
) -> bool:
    """Write the columns that differ; whether any did."""
    changed = {
        column: value for column, value in columns.items() if _differs(shape, column, row._mapping[column], value)
    }
    if not changed:
        return False
    position, _ = advance(connection, tenant)
    table = shape.table
    connection.execute(
        update(table)
        .where(table.c.tenant == tenant, table.c.key == row.key)
        .values(**changed, changed=now, position=position)
    )
    return True


def remove(connection: Connection, *, tenant: int, table: Table, row: Found, now: int) -> None:
    """Take an object out, with all its links; those who follow the changes are told."""
    position, _ = advance(connection, tenant)
    if table is not classes and table is not people:
        _forget_links(connection, tenant, table, row.key)
    else:
        link, side = class_people, "class" if table is classes else "person"
        theirs = (link.c.tenant == tenant, link.c[side] == row.key)
        connection.execute(
            insert(removed_members).from_select(
                ["tenant", "class", "position", "id", "member", "teacher", "removed"],
                select(
                    *(link.c.tenant, link.c["class"], literal(position), people.c.id),
                    *(link.c.member, link.c.teacher, literal(now)),
                )
                .join(people, (people.c.tenant == link.c.tenant) & (people.c.key == link.c.person))
                .where(*theirs),
            )
        )
        if table is people:
            touched = select(link.c["class"]).where(*theirs)
            connection.execute(
                update(classes).where(classes.c.tenant == tenant, classes.c.key.in_(touched)).values(position=position)
            )
        _forget_links(connection, tenant, table, row.key)
    connection.execute(delete(table).where(table.c.tenant == tenant, table.c.key == row.key))
    following.forget(connection, tenant, now=now)
    connection.execute(
        insert(removed_objects).values(tenant=tenant, kind=table.name, position=position, id=row.id, removed=now)
    )


def restore(connection: Connection, *, tenant: int, table: Table, row: Found, now: int) -> bool:
    """Take an object out of the bin, as it was before; whether it lay there.

    It has not left anew: it stays until a roster has it again and leaves it out once more.
    """
    if row.binned_at is None or row.active:
        return False
    position, _ = advance(connection, tenant)
    for statement in bins.told_back(table.name, tenant, str(int(row.key)), position, now):
        connection.execute(text(statement))
    connection.execute(
        update(table)
        .where(table.c.tenant == tenant, table.c.key == row.key)
        .values(binned_at=None, left_at=None, changed=now, position=position)
    )
    return True


def _forget_links(connection: Connection, tenant: int, table: Table, key: int) -> None:
    for link, side in _LINKS[table.name]:
        connection.execute(delete(link).where(link.c.tenant == tenant, link.c[side] == key))


def _differs(shape: Shape, column: str, old: Any, new: Any) -> bool:  # values of any column
    """Lists are compared by what they say: another writer may lay out its JSON in another way."""
    if column in shape.lists.values():
        return bool(json.loads(old) != json.loads(new))
    return bool(old != new)
