"""Schools and classes made and changed by hand: what their properties may hold.

How a change is written is told in `changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from schoolsync.directory import changes
from schoolsync.directory.people import check_nickname
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import CLASS, SCHOOL, Shape
from schoolsync.errors import Invalid

_UNIQUE: Mapping[str, tuple[str, ...]] = {
    SCHOOL.table.name: ("externalId",),
    CLASS.table.name: ("mailNickname", "externalId"),
}
_NEVER_EMPTY = ("displayName", "mailNickname")


def create(
    connection: Connection,
    shape: Shape,
    *,
    tenant: int,
    values: Mapping[str, Any],
    object_id: str,
    client: str | None,
    now: int,
) -> None:
    """Add a school or a class; `client` is the application that asks.

    Raises Invalid (target: the property) for a value that cannot be, or one that must be unique and is taken.
    """
    _check(connection, shape, tenant, values, besides=None)
    changes.add(
        connection,
        tenant=tenant,
        table=shape.table,
        columns=shape.written(values),
        object_id=object_id,
        client=client,
        now=now,
    )


def change(
    connection: Connection,
    shape: Shape,
    *,
    tenant: int,
    row: Found,
    values: Mapping[str, Any],
    now: int,
    extensions: Mapping[str, Any] | None = None,
) -> bool:
    """Merge `values` into a school or a class; whether anything changed. Raises Invalid as `create` does.

    `extensions` are columns that extension attributes write.
    """
    _check(connection, shape, tenant, values, besides=row.key)
    number = (extensions or {}).get("external_id")
    if number is not None and number != row._mapping["external_id"]:
        of_record = SCHOOL if shape.table is SCHOOL.table else CLASS
        changes.check_free(connection, tenant, of_record, "externalId", number, besides=row.key)
    columns = {**shape.written(values), **(extensions or {})}
    return changes.change(connection, tenant=tenant, shape=shape, row=row, columns=columns, now=now)


def _check(
    connection: Connection, shape: Shape, tenant: int, values: Mapping[str, Any], *, besides: int | None
) -> None:
    for required in _NEVER_EMPTY:
        if required in values and values[required] is None:
            raise Invalid(f"The property '{required}' cannot be null.", target=required)
    changes.check_texts(values)
    check_nickname(values)
    for path in _UNIQUE[shape.table.name]:
        if values.get(path) is not None:
            changes.check_free(connection, tenant, shape, path, values[path], besides=besides)
    term = values.get("term") or {}
    start, end = term.get("startDate"), term.get("endDate")
    if start is not None and end is not None and start > end:
        raise changes.refuse("term/endDate", "a term cannot end before it starts")
