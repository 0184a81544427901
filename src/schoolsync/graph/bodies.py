"""Request bodies, checked against the table of types and brought into one form.

What comes out has declared names, ticks for points in time, lower-case GUIDs, canonical enumeration members and type
names; what a caller may not write is gone. What a body means (required together, allowed now) is for the services.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from schoolsync import ticks
from schoolsync.errors import Invalid
from schoolsync.graph.call import Json
from schoolsync.graph.types import ENUMS, TYPES, Access, Property, Type, find, named

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_SNAKE = re.compile(r"_([a-z0-9])")
_SHOWN = 100  # characters of a caller's text that a message repeats


def read(type_name: str, body: object, *, partial: bool) -> Json:
    """The writable members of `body` as a `type_name`. Raises Invalid, with the member as target.

    A `partial` body (PATCH) may leave anything out; the other kind needs what a new object needs. `id` of an entity
    stays in the result, for the caller to compare with the address.
    """
    if body is None:
        raise Invalid("The request needs a body: Empty Payload. JSON content expected. Send an object such as {}.")
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object: send one such as {}.")
    return _object(TYPES[type_name], body, partial=partial, path="")


def _object(kind: Type, body: dict[str, Any], *, partial: bool, path: str) -> Json:
    result: Json = {}
    for key, value in body.items():
        if "@" in key:
            continue  # a control member; type names of abstract members are read by `_complex`
        where = f"{path}/{key}" if path else key
        prop = find(kind.name, key)
        if prop is None and value is None and "_" in key:
            # msgraph-sdk for Python clears a property of several words under its snake_case name.
            prop = find(kind.name, _SNAKE.sub(lambda part: part[1].upper(), key))
        if prop is None:
            raise Invalid(
                f"The property '{key[:_SHOWN]}' does not exist on type '{kind.odata_type[1:]}'.", target=where[:_SHOWN]
            )
        if prop.name in result:
            raise Invalid(f"The property '{prop.name}' is given twice: send it once.", target=where)
        where = f"{path}/{prop.name}" if path else prop.name
        if prop.name == "id" and kind.entity:
            if not isinstance(value, str):
                raise Invalid("The property 'id' must be a text: send the object's id, or leave it out.", target=where)
            result["id"] = value
        elif prop.access is Access.NOT_KEPT and value is not None:
            raise Invalid(f"The property '{where}' is not kept by this server; leave it out.", target=where)
        elif prop.access in {Access.READ_WRITE, Access.WRITE_ONLY}:
            result[prop.name] = _member(prop, value, partial=partial, path=where)
    if not partial:
        for prop in kind.properties.values():
            if prop.required and result.get(prop.name) is None:
                where = f"{path}/{prop.name}" if path else prop.name
                raise Invalid(f"The property '{where}' is required: send {_wanted(prop)}.", target=where)
    return result


def _member(prop: Property, value: Any, *, partial: bool, path: str) -> Any:  # any JSON value in, one out
    if value is None:
        if not prop.nullable:
            raise Invalid(f"The property '{path}' cannot be null: send {_wanted(prop)}, or leave it out.", target=path)
        return None
    if not prop.collection:
        return _value(prop.type, value, partial=partial, path=path)
    if not isinstance(value, list):
        raise Invalid(f"The property '{path}' must be a JSON array: send {_wanted(prop)}.", target=path)
    if any(item is None for item in value):
        raise Invalid(f"The collection '{path}' cannot hold null: leave such entries out.", target=path)
    # A collection is replaced whole, so each of its items has to be whole.
    return [_value(prop.type, item, partial=False, path=path) for item in value]


def _value(type_name: str, value: Any, *, partial: bool, path: str) -> Any:  # any JSON value in, one out
    if type_name in TYPES:
        return _complex(TYPES[type_name], value, partial=partial, path=path)
    if type_name in ENUMS:
        return _enum(type_name, value, path=path)
    return _primitive(type_name, value, path=path)


def _complex(kind: Type, value: Any, *, partial: bool, path: str) -> Json:
    if not isinstance(value, dict):
        raise Invalid(
            f"The property '{path}' must be a JSON object: send one of type {kind.odata_type[1:]}.", target=path
        )
    if not kind.abstract:
        return _object(kind, value, partial=partial, path=path)
    wire_name = value.get("@odata.type")
    if wire_name is None:
        raise Invalid(f"The property '{path}' needs an '@odata.type': it can be {_concrete(kind)}.", target=path)
    concrete = named(kind.name, wire_name) if isinstance(wire_name, str) else None
    if concrete is None:
        raise Invalid(f'Invalid OData type specified: "{str(wire_name)[:_SHOWN]}"', target=path)
    return {"@odata.type": concrete.odata_type, **_object(concrete, value, partial=partial, path=path)}


def _enum(type_name: str, value: Any, *, path: str) -> str:
    members = ENUMS[type_name].members
    if isinstance(value, str):
        if value in members:
            return value
        for member in members:
            if member.lower() == value.lower():
                return member
    raise Invalid(
        f"The value of '{path}' is not a member of '{type_name}': it can be {', '.join(members)}.", target=path
    )


def _primitive(type_name: str, value: Any, *, path: str) -> object:
    match type_name:
        case "Boolean" if isinstance(value, bool):
            return value
        case "Int64" if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
            return value
        case "String" if isinstance(value, str):
            if "\0" in value:
                raise Invalid(f"The value of '{path}' holds a NUL character: send the text without it.", target=path)
            return value
        case "Guid" if isinstance(value, str) and _GUID.fullmatch(value.lower()):
            return value.lower()
        case "Date" if isinstance(value, str) and _is_date(value):
            return value
        case "DateTimeOffset" if isinstance(value, str):
            try:
                return ticks.parse(value)
            except ValueError as problem:
                raise Invalid(
                    f"Cannot convert the value of '{path}' to Edm.DateTimeOffset: {problem}.", target=path
                ) from problem
    raise Invalid(
        f"Cannot convert the value of '{path}' to the expected type 'Edm.{type_name}': send {_LIKE[type_name]}.",
        target=path,
    )


_LIKE = {
    "Boolean": "true or false",
    "Int64": "a whole number",
    "String": "a text",
    "Guid": "a GUID such as 8a7b6c5d-4e3f-4a2b-9c1d-0e9f8a7b6c5d",
    "Date": "a date such as 2026-01-31",
    "DateTimeOffset": "a point in time such as 2026-01-31T06:30:00Z",
}


def _wanted(prop: Property) -> str:
    """What a property takes, for whoever sent something else."""
    if prop.collection:
        return "a list in brackets, such as []"
    if prop.type in ENUMS:
        return f"one of {', '.join(ENUMS[prop.type].members)}"
    return _LIKE.get(prop.type, "an object in braces")


def _concrete(kind: Type) -> str:
    """The types that stand for an abstract one."""
    found = (one for one in TYPES.values() if not one.abstract and _descends(one, kind.name))
    return " or ".join(one.odata_type for one in found)


def _descends(kind: Type, from_: str) -> bool:
    base: str | None = kind.name
    while base is not None and base != from_:
        base = TYPES[base].base
    return base == from_


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return _DATE.fullmatch(text) is not None
