"""Finding objects of one tenant, and saying which of them stand together or may be seen by whom.

Conditions are SQLAlchemy expressions over the object tables, each leading with the tenant; nothing here reads a whole
list. Someone who acts for a person sees the classes that person is in, and the people of those classes.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Table, and_, not_, or_, select

from schoolsync.store.directory_tables import class_people, classes, people, school_classes, school_people, schools
from schoolsync.store.json_text import folded

_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@cache
def looked_up_by(table: Table) -> frozenset[str]:
    """Columns with an index that leads to the few rows with one of their values, without regard to case."""
    found = {"account_name"} if table is people else set[str]()
    for index in table.indexes:
        last = list(index.expressions)[-1]
        if isinstance(last, folded):
            found.update(column.name for column in last.clauses if isinstance(column, Column))
    return frozenset(found)


Found = Row[Any]  # a row of an object table


def find(
    connection: Connection, table: Table, tenant: int, object_id: str, also: ColumnElement[bool] | None = None
) -> Found | None:
    """The object with that id, or None; `also` narrows what may be found."""
    wanted = and_(table.c.tenant == tenant, table.c.id == object_id.lower())
    return connection.execute(select(table).where(wanted if also is None else and_(wanted, also))).one_or_none()


def find_person(connection: Connection, tenant: int, key: str, also: ColumnElement[bool] | None = None) -> Found | None:
    """The person with that id or that principal name, or None."""
    if _GUID.fullmatch(key.lower()):
        return find(connection, people, tenant, key, also)
    wanted = and_(people.c.tenant == tenant, people.c.account_name == key.lower())
    return connection.execute(select(people).where(wanted if also is None else and_(wanted, also))).one_or_none()


def in_bin(table: Table) -> ColumnElement[bool]:
    """The condition that an object lies in the bin: seen by nobody, until it comes back or its time is over."""
    return and_(table.c.binned_at.is_not(None), not_(table.c.active))


def in_sight(table: Table) -> ColumnElement[bool]:
    """The condition that it does not."""
    return or_(table.c.binned_at.is_(None), table.c.active)


def caller(connection: Connection, tenant: int, user_id: str | None, user_name: str | None) -> Found | None:
    """The person a delegated token acts for: by object id first, then by principal name; nobody from the bin."""
    for key in (user_id, user_name):
        found = find_person(connection, tenant, key, in_sight(people)) if key else None
        if found is not None:
            return found
    return None


# --- who stands together -------------------------------------------------------------------------------------------


def classes_of_school(tenant: int, school: int) -> ColumnElement[bool]:
    """Classes of the school with that key."""
    link = school_classes.c
    linked = select(link["class"]).where(link.tenant == tenant, link.school == school)
    return and_(classes.c.tenant == tenant, classes.c.key.in_(linked))


def people_of_school(tenant: int, school: int) -> ColumnElement[bool]:
    """People of the school with that key."""
    link = school_people.c
    linked = select(link.person).where(link.tenant == tenant, link.school == school)
    return and_(people.c.tenant == tenant, people.c.key.in_(linked))


def schools_of_class(tenant: int, group: int) -> ColumnElement[bool]:
    """Schools of the class with that key."""
    link = school_classes.c
    linked = select(link.school).where(link.tenant == tenant, link["class"] == group)
    return and_(schools.c.tenant == tenant, schools.c.key.in_(linked))


def schools_of_person(tenant: int, person: int) -> ColumnElement[bool]:
    """Schools of the person with that key."""
    link = school_people.c
    linked = select(link.school).where(link.tenant == tenant, link.person == person)
    return and_(schools.c.tenant == tenant, schools.c.key.in_(linked))


def members_of_class(tenant: int, group: int) -> ColumnElement[bool]:
    """Members of the class with that key, teachers among them."""
    return _people_of_class(tenant, group, class_people.c.member)


def teachers_of_class(tenant: int, group: int) -> ColumnElement[bool]:
    """Teachers of the class with that key."""
    return _people_of_class(tenant, group, class_people.c.teacher)


def classes_of_person(tenant: int, person: int) -> ColumnElement[bool]:
    """Classes that the person with that key is a member of."""
    return _classes_of_person(tenant, person, class_people.c.member)


def classes_taught_by(tenant: int, person: int) -> ColumnElement[bool]:
    """Classes that the person with that key teaches."""
    return _classes_of_person(tenant, person, class_people.c.teacher)


def _people_of_class(tenant: int, group: int, part: ColumnElement[bool]) -> ColumnElement[bool]:
    link = class_people.c
    linked = select(link.person).where(link.tenant == tenant, link["class"] == group, part)
    return and_(people.c.tenant == tenant, people.c.key.in_(linked))


def _classes_of_person(tenant: int, person: int, part: ColumnElement[bool]) -> ColumnElement[bool]:
    # By way of the index that holds a person's classes: what part the person has in them is only in the table, and
    # SQLite would rather walk all of it.
    link = class_people.c
    linked = select(link["class"]).where(
        link.tenant == tenant, link["class"].in_(_class_keys(tenant, person)), link.person == person, part
    )
    return and_(classes.c.tenant == tenant, classes.c.key.in_(linked))


# --- who may be seen -----------------------------------------------------------------------------------------------


def classes_shared_with(tenant: int, person: int) -> ColumnElement[bool]:
    """Classes that the person with that key is part of, as member or teacher."""
    return classes.c.key.in_(_class_keys(tenant, person))


def people_sharing_with(tenant: int, person: int) -> ColumnElement[bool]:
    """The person with that key and everybody in one of that person's classes."""
    link = class_people.c
    others = select(link.person).where(link.tenant == tenant, link["class"].in_(_class_keys(tenant, person)))
    return or_(people.c.key == person, people.c.key.in_(others))


def _class_keys(tenant: int, person: int) -> Any:  # a select of keys; its type says nothing more
    mine = class_people.alias("mine").c
    return select(mine["class"]).where(mine.tenant == tenant, mine.person == person)
