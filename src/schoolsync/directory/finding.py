"""Objects by what people call them: an object id, a SIS ID, a principal name. Through indexes, whatever the size.

A SIS ID has no index of its own: a synchronization writes it as the external id too, which has one. Where somebody has
written another external id by hand the table is looked through, when a caller asks for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, literal, or_, select

from schoolsync.store.directory_tables import classes, people, schools
from schoolsync.store.json_text import folded

MOST = 10
"""So many objects of one table are told apart."""
_EXTERNAL = {
    schools.name: ("external_id",),
    classes.name: ("external_id",),
    people.name: ("student_external_id", "teacher_external_id"),
}


def named(
    connection: Connection,
    table: Table,
    tenant: int,
    wanted: str,
    *,
    owner: int | None = None,
    thoroughly: bool = False,
) -> Sequence[Row[Any]]:
    """The objects of a table that have this id, SIS ID or (people) principal name; with `owner` of that profile.

    `thoroughly`: should there be none, the table is looked through for the SIS ID.
    """
    there = [table.c.tenant == tenant] + ([] if owner is None else [table.c.profile == owner])
    found: dict[int, Row[Any]] = {}
    for query in _queries(table, wanted):
        for row in connection.execute(query.where(*there).limit(MOST)):
            found.setdefault(row.key, row)
    if not found and thoroughly:
        query = select(table).where(*there, table.c.source_id == wanted).limit(MOST)
        found = {row.key: row for row in connection.execute(query)}
    return list(found.values())[:MOST]


def _queries(table: Table, wanted: str) -> list[Select[Any]]:
    """One query for each index: no database has to guess which."""
    same: list[ColumnElement[bool]] = [table.c.id == wanted.lower()]
    if table is people:
        same.append(table.c.account_name == wanted.lower())
    queries = [select(table).where(one) for one in same]
    for name in _EXTERNAL[table.name]:
        # Letter case counts in a SIS ID, and the index knows none. Who was made by hand has no SIS ID of its own.
        called = or_(table.c.source_id == wanted, table.c.source_id.is_(None) & (table.c[name] == wanted))
        queries.append(select(table).where(folded(table.c[name]) == folded(literal(wanted)), called))
    return queries
