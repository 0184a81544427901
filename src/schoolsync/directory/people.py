"""People made, changed and deleted by hand.

Each function is one change inside the caller's write transaction and raises the directory's position by one; a change
that changes nothing writes nothing. Passwords are checked for presence and forgotten: this directory signs nobody in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update

from schoolsync.directory.positions import advance
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import PERSON
from schoolsync.errors import Invalid
from schoolsync.store.tables import class_people, people, school_people

_PRINCIPAL_NAME = re.compile(r"[^@\s\"'<>()\[\]\\,;:/|?*\x00-\x1f]{1,64}@[^@\s\"'<>()\[\]\\,;:/|?*\x00-\x1f]{1,255}")
_PRINCIPAL_NAME_MAX = 255
_NICKNAME = re.compile(r"[^@\s\"()\[\]\\,;:<>\x00-\x1f]{1,64}")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_DISPLAY_NAME_MAX = 256
_NEVER_EMPTY = ("displayName", "accountEnabled", "mailNickname", "userPrincipalName")


def create(
    connection: Connection, *, tenant: int, values: Mapping[str, Any], person_id: str, client: str | None, now: int
) -> None:
    """Add a person. `values` are the properties by name; `client` is the application that asks.

    Raises Invalid (target: the property) for a value that cannot be, or a principal name that is taken.
    """
    values = {"primaryRole": "none", **values}
    _check(values)
    password = (values.get("passwordProfile") or {}).get("password")
    if not password:
        raise Invalid("The property 'passwordProfile/password' is required.", target="passwordProfile/password")
    columns = PERSON.written(values)
    name = columns["user_principal_name"]
    _check_free(connection, tenant, name, besides=None)
    position, key = advance(connection, tenant, keys=1)
    created_by = {"application": {"id": client}} if client else None
    connection.execute(
        insert(people).values(
            tenant=tenant,
            key=key,
            id=person_id,
            created=now,
            changed=now,
            position=position,
            created_by=None if created_by is None else json.dumps(created_by),
            account_name=name.lower(),
            mail=name,
            **columns,
        )
    )


def change(connection: Connection, *, tenant: int, person: Found, values: Mapping[str, Any], now: int) -> bool:
    """Merge `values` into a person; whether anything changed. Raises Invalid as `create` does."""
    for required in _NEVER_EMPTY:
        if required in values and values[required] is None:
            raise Invalid(f"The property '{required}' cannot be null.", target=required)
    _check(values)
    columns = PERSON.written(values)
    if "user_principal_name" in columns:
        name = columns["user_principal_name"]
        columns["account_name"] = name.lower()
        _check_free(connection, tenant, name, besides=person.key)
        if person.mail == person.user_principal_name:
            columns["mail"] = name
    changed = {column: value for column, value in columns.items() if _differs(column, person._mapping[column], value)}
    if not changed:
        return False
    position, _ = advance(connection, tenant)
    connection.execute(
        update(people)
        .where(people.c.tenant == tenant, people.c.key == person.key)
        .values(**changed, changed=now, position=position)
    )
    return True


def remove(connection: Connection, *, tenant: int, person: Found) -> None:
    """Delete a person and that person's place in classes and schools."""
    advance(connection, tenant)
    for link in (class_people, school_people):
        connection.execute(delete(link).where(link.c.tenant == tenant, link.c.person == person.key))
    connection.execute(delete(people).where(people.c.tenant == tenant, people.c.key == person.key))


def _differs(column: str, old: Any, new: Any) -> bool:  # values of any column
    """Lists are compared by what they say: another writer may lay out its JSON in another way."""
    if column in PERSON.lists.values():
        return bool(json.loads(old) != json.loads(new))
    return bool(old != new)


def _check(values: Mapping[str, Any]) -> None:
    """What a property may hold beyond its type; only those given are looked at."""

    def refuse(name: str, sentence: str) -> Invalid:
        return Invalid(f"Invalid value specified for property '{name}': {sentence}.", target=name)

    display_name = values.get("displayName")
    if display_name is not None and not 1 <= len(display_name.strip()) <= _DISPLAY_NAME_MAX:
        raise refuse("displayName", f"it must have 1 to {_DISPLAY_NAME_MAX} characters")
    name = values.get("userPrincipalName")
    if name is not None and not (_PRINCIPAL_NAME.fullmatch(name) and len(name) <= _PRINCIPAL_NAME_MAX):
        raise refuse("userPrincipalName", "it must have the form name@domain")
    nickname = values.get("mailNickname")
    if nickname is not None and not _NICKNAME.fullmatch(nickname):
        raise refuse(
            "mailNickname", "it must have 1 to 64 characters, without blanks and without @ ( ) [ ] \\ , ; : < >"
        )
    country = values.get("usageLocation")
    if country is not None and not _COUNTRY.fullmatch(country):
        raise refuse("usageLocation", "it must be a country code of two letters")
    if len(values.get("businessPhones") or ()) > 1:
        raise refuse("businessPhones", "only one number can be set")


def _check_free(connection: Connection, tenant: int, name: str, *, besides: int | None) -> None:
    taken = exists().where(people.c.tenant == tenant, people.c.account_name == name.lower())
    if besides is not None:
        taken = taken.where(people.c.key != besides)
    if connection.execute(select(taken)).scalar_one():
        raise Invalid(
            "Another object with the same value for property userPrincipalName already exists.",
            target="userPrincipalName",
        )
