"""People made and changed by hand: what their properties may hold.

Passwords are checked for presence and forgotten: this directory signs nobody in. How a change is written is told in
`changes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, exists, select

from schoolsync.directory import changes
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import PERSON, Shape
from schoolsync.errors import Invalid
from schoolsync.store.directory_tables import people

_PRINCIPAL_NAME = re.compile(r"[^@\s\"'<>()\[\]\\,;:/|?*\x00-\x1f]{1,64}@[^@\s\"'<>()\[\]\\,;:/|?*\x00-\x1f]{1,255}")
_PRINCIPAL_NAME_MAX = 255
_NICKNAME = re.compile(r"[^@\s\"()\[\]\\,;:<>\x00-\x1f]{1,64}")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
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
    _check_name_free(connection, tenant, name, besides=None)
    columns |= {"account_name": name.lower(), "mail": name}
    changes.add(connection, tenant=tenant, table=people, columns=columns, object_id=person_id, client=client, now=now)


def change(
    connection: Connection,
    *,
    tenant: int,
    person: Found,
    values: Mapping[str, Any],
    now: int,
    shape: Shape = PERSON,
    extensions: Mapping[str, Any] | None = None,
) -> bool:
    """Merge `values`, named as in `shape`, into a person; whether anything changed. Raises Invalid as `create` does.

    `extensions` are columns that extension attributes write.
    """
    for required in _NEVER_EMPTY:
        if required in values and values[required] is None:
            raise Invalid(f"The property '{required}' cannot be null.", target=required)
    _check(values)
    columns = {**shape.written(values), **(extensions or {})}
    if "user_principal_name" in columns:
        name = columns["user_principal_name"]
        columns["account_name"] = name.lower()
        _check_name_free(connection, tenant, name, besides=person.key)
        if person.mail == person.user_principal_name:
            columns["mail"] = name
    return changes.change(connection, tenant=tenant, shape=shape, row=person, columns=columns, now=now)


def check_nickname(values: Mapping[str, Any]) -> None:
    """Raise Invalid for a mail nickname that cannot be the first part of an address."""
    nickname = values.get("mailNickname")
    if nickname is not None and not _NICKNAME.fullmatch(nickname):
        raise changes.refuse(
            "mailNickname", "it must have 1 to 64 characters, without blanks and without @ ( ) [ ] \\ , ; : < >"
        )


def _check(values: Mapping[str, Any]) -> None:
    """What a property may hold beyond its type; only those given are looked at."""
    changes.check_texts({name: value for name, value in values.items() if name != "passwordProfile"})
    name = values.get("userPrincipalName")
    if name is not None and not (_PRINCIPAL_NAME.fullmatch(name) and len(name) <= _PRINCIPAL_NAME_MAX):
        raise changes.refuse("userPrincipalName", "it must have the form name@domain")
    check_nickname(values)
    country = values.get("usageLocation")
    if country is not None and not _COUNTRY.fullmatch(country):
        raise changes.refuse("usageLocation", "it must be a country code of two letters")
    if len(values.get("businessPhones") or ()) > 1:
        raise changes.refuse("businessPhones", "only one number can be set")


def _check_name_free(connection: Connection, tenant: int, name: str, *, besides: int | None) -> None:
    taken = exists().where(people.c.tenant == tenant, people.c.account_name == name.lower())
    if besides is not None:
        taken = taken.where(people.c.key != besides)
    if connection.execute(select(taken)).scalar_one():
        raise changes.taken_already("userPrincipalName")
