"""Entities as Graph writes them: ticks become texts, types are named, unknown members are veiled, `$select` applies.

Handlers hand over values by declared name, as `bodies.read` yields them; a value that is not handed over is not
written. Write-only members never come out, whatever a handler gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from schoolsync import ticks
from schoolsync.errors import Invalid
from schoolsync.graph import advice
from schoolsync.graph.call import Call, Json
from schoolsync.graph.types import ENUMS, TYPES, UNKNOWN, Access, Property, canonical, find, named, type_of

_Writer = Callable[[Any], Any]  # one JSON-able value in, one out
Tree = Mapping[str, "Tree | None"]  # what `$select` leaves of a type; None = all of it

_NOT_GIVEN = object()

EXTENSION = "extension_"
_OPEN = frozenset({"administrativeUnit", "group", "user"})  # types that carry extension attributes
_BEHIND = {"educationClass": "group"}  # whose properties `$select` can name too
_SELECT_MAX = 200  # names in one `$select`
_HIDDEN_ACCESS = frozenset({Access.WRITE_ONLY, Access.NOT_KEPT, Access.NAVIGATION})


def quoted(value: str) -> str:
    """A query option's value as part of a link."""
    return quote(value, safe="")


def entity(type_name: str, values: Mapping[str, Any], *, call: Call, context: str | None = None) -> Json:
    """One entity of the answer to `call`, cut down to its `$select`.

    `context` is what follows `$metadata#`. Annotations (`@odata.etag`) among the values are written as they are.
    Raises Invalid for an unknown name in `$select`.
    """
    head: Json = {"@odata.context": f"{call.root}/$metadata#{context}"} if context else {}
    write = shape(type_name, select=call.query.get("select"), version=call.version, unveiled=call.shows_unknown_members)
    return {**head, **write(values)}


def shape(type_name: str, *, select: str | None, version: str, unveiled: bool) -> Callable[[Mapping[str, Any]], Json]:
    """A writer of entities of one type under one `$select`: values by declared name -> JSON object."""
    if select is None:
        return _whole(type_name, version, unveiled)
    return _shape(type_name, select, version, unveiled)


@lru_cache(256)
def _whole(type_name: str, version: str, unveiled: bool) -> Callable[[Mapping[str, Any]], Json]:
    return _shape(type_name, None, version, unveiled)


def _shape(type_name: str, select: str | None, version: str, unveiled: bool) -> Callable[[Mapping[str, Any]], Json]:
    tree = selection(type_name, select)
    veil_all = version != "beta"
    write = _writer(type_name, freeze(tree), unveiled, veil_all)

    def written(values: Mapping[str, Any]) -> Json:
        result: Json = {key: value for key, value in values.items() if key[0] == "@"}
        result.update(write(values))
        return result

    return written


def rows(
    type_name: str, values: Callable[[Any], Mapping[str, Any]], call: Call, select: str | None
) -> Callable[[Any], Json]:
    """A writer of rows whose `values` are those of entities of one type, under one `$select`."""
    write = shape(type_name, select=select, version=call.version, unveiled=call.shows_unknown_members)
    return lambda row: write(values(row))


def selection(type_name: str, select: str | None) -> Tree | None:
    """What `$select` leaves, by declared names; None = everything. Raises Invalid for a name that does not exist."""
    if select is None or not select.strip():
        return None
    names = [name.strip() for name in select.split(",")]
    if len(names) > _SELECT_MAX:
        raise Invalid(
            f"$select names more than {_SELECT_MAX} properties: leave it out to have them all.", target="$select"
        )
    tree: dict[str, Any] = {"id": None}  # nested mappings, None for a whole member
    for name in names:
        if name == "*":
            return None
        if name.startswith("@"):
            continue  # annotations are written or not, whoever asks
        if _on_request(type_name, name):
            continue
        path = canonical(type_name, name)
        if path is None:
            raise Invalid(
                f"Could not find a property named '{name[:100]}' on type 'microsoft.graph.{type_name}'. "
                f"{advice.among(name, type_of(type_name).properties)}",
                target="$select",
            )
        _plant(tree, path.split("/"))
    return tree


def _plant(tree: dict[str, Any], parts: list[str]) -> None:
    first, *rest = parts
    if not rest or (first in tree and tree[first] is None):
        tree[first] = None
    else:
        _plant(tree.setdefault(first, {}), rest)


def is_known(type_name: str, name: str) -> bool:
    """Whether `$select` of a type may name it."""
    return name == "*" or canonical(type_name, name) is not None or _on_request(type_name, name)


def named_extras(type_name: str, select: str | None) -> frozenset[str]:
    """The names in lower case that bring values on request alone."""
    names = (name.strip() for name in select.split(",")) if select is not None else ()
    return frozenset(name.lower() for name in names if _on_request(type_name, name))


def _on_request(type_name: str, name: str) -> bool:
    """Whether a name is none of the type's own and still brings a value when `$select` says it."""
    if type_name in _OPEN:
        return name.lower().startswith(EXTENSION)
    behind = _BEHIND.get(type_name)
    return behind is not None and find(type_name, name) is None and find(behind, name) is not None


Frozen = frozenset[tuple[str, Any]] | None  # a Tree that can be a cache key


def freeze(tree: Tree | None) -> Frozen:
    """What `$select` leaves, as the key of a cache."""
    return None if tree is None else frozenset((name, freeze(below)) for name, below in tree.items())


@lru_cache(512)
def _writer(type_name: str, tree: Frozen, unveiled: bool, v1: bool) -> Callable[[Mapping[str, Any]], Json]:
    chosen = None if tree is None else dict(tree)
    lists = {prop.name for prop in TYPES[type_name].properties.values() if prop.collection}
    parts: list[tuple[str, _Writer | None]] = [
        (prop.name, property_writer(prop, (chosen or {}).get(prop.name), unveiled, v1))
        for prop in shown(type_name, tree, v1)
    ]

    def write(values: Mapping[str, Any]) -> Json:
        written: Json = {}
        for name, writer in parts:
            value = values.get(name, _NOT_GIVEN)
            if value is not _NOT_GIVEN:
                # No property writer makes anything of null but a collection's.
                written[name] = value if writer is None or (value is None and name not in lists) else writer(value)
        return written

    return write


def shown(type_name: str, tree: Frozen, v1: bool) -> list[Property]:
    """The properties of a type that an answer can have, in their order."""
    chosen = None if tree is None else dict(tree)
    return [
        prop
        for prop in TYPES[type_name].properties.values()
        if prop.access not in _HIDDEN_ACCESS and (chosen is None or prop.name in chosen) and not (prop.beta_only and v1)
    ]


def property_writer(prop: Property, below: Frozen, unveiled: bool, v1: bool) -> _Writer | None:
    """What a value of the property becomes, or None when it is written as it is; null makes a collection empty."""
    single = _value_writer(prop.type, below, unveiled, v1)
    if prop.collection:
        if single is None:
            return lambda values: values or []
        return lambda values: [single(value) for value in values or ()]
    if single is None:
        return None
    return lambda value: None if value is None else single(value)


def _value_writer(type_name: str, below: Frozen, unveiled: bool, v1: bool) -> _Writer | None:
    if type_name == "DateTimeOffset":
        return ticks.text
    if type_name in ENUMS:
        enum = ENUMS[type_name]
        veiled = enum.hidden if not unveiled else enum.beta_only if v1 else frozenset()
        return (lambda value: UNKNOWN if value in veiled else value) if veiled else None
    if type_name not in TYPES:
        return None
    if not TYPES[type_name].abstract:
        return _writer(type_name, below, unveiled, v1)

    def write_derived(value: Mapping[str, Any]) -> Json:
        wire_name = str(value["@odata.type"])
        concrete = named(type_name, wire_name)
        assert concrete is not None, f"{wire_name} is no {type_name}"
        return {"@odata.type": concrete.odata_type, **_writer(concrete.name, below, unveiled, v1)(value)}

    return write_derived
