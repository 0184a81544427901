"""`$metadata`: the CSDL of exactly what is served, made from the table of types and the table of routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from schoolsync.graph.types import ENUMS, PRIMITIVES, TYPES, Access, Property, Type

NAMESPACE, ALIAS = "microsoft.graph", "graph"
_EDMX, _EDM = "http://docs.oasis-open.org/odata/ns/edmx", "http://docs.oasis-open.org/odata/ns/edm"
_OPEN = frozenset({"administrativeUnit", "group", "user", "identitySet", "identity"})
# Navigations whose objects live in a set of their own.
_ENTITY_SETS = {"users": "user", "groups": "group"}
_DELTA = ("educationSchool", "educationClass", "educationUser")
_ACTIONS = ("pause", "resume", "reset")


@cache
def csdl(version: str) -> str:
    """The document for a version of the API, `v1.0` or `beta`."""
    edmx = Element("edmx:Edmx", {"Version": "4.0", "xmlns:edmx": _EDMX})
    schema = SubElement(
        SubElement(edmx, "edmx:DataServices"), "Schema", {"Namespace": NAMESPACE, "Alias": ALIAS, "xmlns": _EDM}
    )
    served = list(_served())
    for name in sorted({prop.type for kind in served for prop in _declared(kind)} & ENUMS.keys()):
        _enumeration(schema, name, version)
    for kind in served:
        _type(schema, kind, version)
    _type(schema, Type("directory", {"administrativeUnits": _UNITS}, "entity", entity=True), version)
    _type(schema, Type("educationFileSynchronizationVerificationMessage", _VERIFICATION.properties), version)
    for name in _ACTIONS:
        _operation(schema, "Action", name, "educationSynchronizationProfile", None)
    profile = "educationSynchronizationProfile"
    message = f"Collection({ALIAS}.educationFileSynchronizationVerificationMessage)"
    _operation(schema, "Action", "start", profile, message)
    _operation(schema, "Function", "uploadUrl", profile, "Edm.String")
    for name in _DELTA:
        collection = f"Collection({ALIAS}.{name})"
        _operation(schema, "Function", "delta", name, collection, of_collection=True)
    container = SubElement(schema, "EntityContainer", {"Name": "GraphService"})
    for name, entity in _ENTITY_SETS.items():
        SubElement(container, "EntitySet", {"Name": name, "EntityType": f"{NAMESPACE}.{entity}"})
    for name, entity in (("directory", "directory"), ("education", "educationRoot")):
        SubElement(container, "Singleton", {"Name": name, "Type": f"{NAMESPACE}.{entity}"})
    indent(edmx)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(edmx, encoding="unicode")


_UNITS = Property("administrativeUnits", "administrativeUnit", collection=True, access=Access.NAVIGATION)
_VERIFICATION = TYPES["educationFileSynchronizationVerificationMessage"]


def _served() -> Iterator[Type]:
    for kind in TYPES.values():
        if kind is not _VERIFICATION:
            yield kind


def _declared(kind: Type) -> Iterable[Property]:
    """Properties that the type itself adds and that are kept here."""
    inherited = TYPES[kind.base].properties if kind.base else {}
    return [
        prop for prop in kind.properties.values() if prop.name not in inherited and prop.access is not Access.NOT_KEPT
    ]


def _enumeration(schema: Element, name: str, version: str) -> None:
    enum = ENUMS[name]
    element = SubElement(schema, "EnumType", {"Name": name})
    for member in enum.members:
        if version == "beta" or member not in enum.beta_only:
            SubElement(element, "Member", {"Name": member, "Value": str(enum.value(member))})


def _type(schema: Element, kind: Type, version: str) -> None:
    attributes = {"Name": kind.name}
    if kind.base:
        attributes["BaseType"] = f"{ALIAS}.{kind.base}"
    if kind.abstract:
        attributes["Abstract"] = "true"
    if kind.name in _OPEN:
        attributes["OpenType"] = "true"
    element = SubElement(schema, "EntityType" if kind.entity else "ComplexType", attributes)
    if kind.name == "entity":
        SubElement(SubElement(element, "Key"), "PropertyRef", {"Name": "id"})
    for prop in _declared(kind):
        if version == "beta" or not prop.beta_only:
            _property(element, kind, prop)


def _property(element: Element, kind: Type, prop: Property) -> None:
    whole = f"Edm.{prop.type}" if prop.type in PRIMITIVES else f"{ALIAS}.{prop.type}"
    attributes = {"Name": prop.name, "Type": f"Collection({whole})" if prop.collection else whole}
    if prop.access is Access.NAVIGATION:
        if kind.name in {"educationRoot", "directory", "educationSynchronizationProfile"}:
            attributes["ContainsTarget"] = "true"
        SubElement(element, "NavigationProperty", attributes)
        return
    if not prop.nullable:
        attributes["Nullable"] = "false"
    SubElement(element, "Property", attributes)


def _operation(
    schema: Element, element: str, name: str, binding: str, returns: str | None, *, of_collection: bool = False
) -> None:
    operation = SubElement(schema, element, {"Name": name, "IsBound": "true"})
    kind = f"Collection({ALIAS}.{binding})" if of_collection else f"{ALIAS}.{binding}"
    SubElement(operation, "Parameter", {"Name": "bindingParameter", "Type": kind})
    if returns is not None:
        SubElement(operation, "ReturnType", {"Type": returns})
