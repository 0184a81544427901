"""An OpenAPI description of the Graph face, made from the table of routes and the table of types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schoolsync.graph.routes import ROUTES, Route
from schoolsync.graph.types import ENUMS, TYPES, Access, Property

Json = dict[str, Any]
GUID = {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"}
PRIMITIVES: Mapping[str, Json] = {
    "String": {"type": "string"},
    "Boolean": {"type": "boolean"},
    "Int64": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "Date": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    "DateTimeOffset": {
        "type": "string",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,7})?Z$",
    },
    "Guid": GUID,
}
SETS = {
    "synchronizationProfiles": "educationSynchronizationProfile",
    "errors": "educationSynchronizationError",
    "schools": "educationSchool",
    "classes": "educationClass",
    "taughtClasses": "educationClass",
    "users": "educationUser",
    "members": "educationUser",
    "teachers": "educationUser",
    "administrativeUnits": "administrativeUnit",
    "groups": "group",
}
SINGLES = {
    "administrativeUnit": "administrativeUnit",
    "group": "group",
    "user": "user",
    "me": "educationUser",
    "profileStatus": "educationSynchronizationProfileStatus",
    "education": "educationRoot",
}
KEYS = {
    "{school}": "educationSchool",
    "{class}": "educationClass",
    "{user}": "educationUser",
    "{profile}": "educationSynchronizationProfile",
    "{error}": "educationSynchronizationError",
}
ERRORS = (400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 415, 429, 431, 503)
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "innerError"],
            "properties": {
                "code": {"type": "string", "minLength": 1},
                "message": {"type": "string", "minLength": 1},
                "innerError": {"type": "object", "required": ["date", "request-id", "client-request-id"]},
            },
        }
    },
}


def graph(version: str, known: Mapping[str, Iterable[str]]) -> Json:
    """The description; `known` are keys that exist, by their name in the routes."""
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(f"/{version}/{route.template}".rstrip("/"), {})[route.method.lower()] = _operation(
            route, known, version
        )
    schemas = {name: _type(name, version) for name in TYPES}
    schemas |= {f"{name}-written": _written(name) for name in TYPES}
    return {
        "openapi": "3.1.0",
        "info": {"title": "The Graph face", "version": version},
        "paths": paths,
        "components": {"schemas": {**schemas, "error": ERROR}},
    }


def _operation(route: Route, known: Mapping[str, Iterable[str]], version: str) -> Json:
    parts = route.template.split("/")
    keys = [part[1:-1] for part in parts if part.startswith("{")]
    parameters = [
        {
            "name": key,
            "in": "path",
            "required": True,
            "schema": {"anyOf": [{"enum": [*known.get(key, ())] or ["x"]}, GUID, {"type": "string", "minLength": 1}]},
        }
        for key in keys
    ]
    answers: Json = {str(status): _json({"$ref": "#/components/schemas/error"}) for status in ERRORS}
    kind, many = _about(parts)
    if route.method == "GET":
        parameters += _options(kind if many or kind else None, parts)
        answers |= {"200": _success(route, kind, many), "304": {"description": "not changed"}}
    elif route.method == "DELETE":
        answers["204"] = {"description": "done"}
        if parts[-1] == "$ref":
            parameters.append({"name": "@id", "in": "query", "schema": {"type": "string"}})
    else:
        answers |= {"204": {"description": "done"}}
        answers |= {status: _success(route, kind, many=False) for status in ("200", "201", "202")}
    described: Json = {"parameters": [*parameters, *_headers()], "responses": answers}
    if route.body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _body(route, kind)}}}
    return described


def _about(parts: list[str]) -> tuple[str | None, bool]:
    """The type that a path is about, and whether it is a collection."""
    parts = [part for part in parts if part not in {"$count", "$ref"}]
    last = parts[-1]
    if last == "delta":
        return SETS[parts[-2]], True
    if last == "owners" or (last == "members" and parts[0] != "education"):
        return "user", True
    if last in SETS:
        return ("user" if parts == ["users"] else SETS[last]), True
    if last in KEYS:
        plain = {"groups": "group", "administrativeUnits": "administrativeUnit"}.get(parts[-2])
        return plain or ("user" if parts[:-1] == ["users"] else KEYS[last]), False
    return SINGLES.get(last), False


def _json(schema: Json) -> Json:
    return {"description": "an answer", "content": {"application/json": {"schema": schema}}}


def _success(route: Route, kind: str | None, many: bool) -> Json:
    last = route.template.rpartition("/")[2]
    if route.text:
        return {"description": "a number", "content": {"text/plain": {"schema": {"type": "string"}}}}
    if route.xml:
        return {"description": "the model", "content": {"application/xml": {}}}
    if last == "$ref":
        item: Json = {"type": "object", "required": ["@odata.id"]}
        return _json(_page(item))
    if kind is None:
        return _json({"type": "object"})
    entity = {"$ref": f"#/components/schemas/{kind}"}
    if many:
        removed = {"type": "object", "required": ["id", "@removed"]}
        return _json(_page({"anyOf": [removed, entity]} if last == "delta" else entity))
    context = {"type": "object", "required": ["@odata.context"]}
    return _json({"allOf": [context, entity]})


def _page(item: Json) -> Json:
    return {
        "type": "object",
        "required": ["@odata.context", "value"],
        "properties": {
            "@odata.context": {"type": "string"},
            "@odata.count": {"type": "integer", "minimum": 0},
            "@odata.nextLink": {"type": "string", "pattern": "^https?://"},
            "@odata.deltaLink": {"type": "string", "pattern": "^https?://"},
            "value": {"type": "array", "items": item},
        },
    }


def _type(name: str, version: str) -> Json:
    """What an answer shows of a type: whole values or what `$select` leaves of them."""
    shown = {
        prop.name: _property(prop)
        for prop in TYPES[name].properties.values()
        if prop.access not in {Access.WRITE_ONLY, Access.NAVIGATION} and not (prop.beta_only and version != "beta")
    }
    hidden = [prop.name for prop in TYPES[name].properties.values() if prop.access is Access.WRITE_ONLY]
    described: Json = {"type": "object", "properties": shown}
    if TYPES[name].entity and name != "educationRoot":
        described["required"] = ["id"]
    if hidden:
        described["not"] = {"anyOf": [{"required": [name]} for name in hidden]}
    return described


def _written(name: str) -> Json:
    """What a body may say of a type."""
    written = {
        prop.name: _property(prop, "-written")
        for prop in TYPES[name].properties.values()
        if prop.access not in {Access.NAVIGATION, Access.NOT_KEPT}
    }
    return {"type": "object", "properties": written}


def _property(prop: Property, suffix: str = "") -> Json:
    if prop.type in PRIMITIVES:
        single = PRIMITIVES[prop.type]
    elif prop.type in ENUMS:
        single = {"enum": list(ENUMS[prop.type].members)}
    else:
        single = {"$ref": f"#/components/schemas/{prop.type}{suffix}"}
    if prop.collection:
        return {"type": "array", "items": single}
    return {"anyOf": [single, {"type": "null"}]} if prop.nullable else single


def _body(route: Route, kind: str | None) -> Json:
    if route.template == "$batch":
        item = {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "method": {"enum": ["GET", "POST", "PATCH", "DELETE", "PUT"]},
                "url": {"enum": ["/education/schools", "education/users?$top=1", "/nowhere", "http://[", "/$batch"]},
                "dependsOn": {"type": "array", "items": {"type": "string"}},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                "body": {},
            },
        }
        return {"type": "object", "properties": {"requests": {"type": "array", "items": item, "maxItems": 25}}}
    if route.template.endswith("$ref"):
        return {"type": "object", "properties": {"@odata.id": {"type": "string"}}}
    return {"$ref": f"#/components/schemas/{kind}-written"} if kind in TYPES else {"type": "object"}


def _headers() -> list[Json]:
    prefer = ["return=minimal", "odata.maxpagesize=2", "include-unknown-enum-members", "respond-async"]
    tags = ['W/"1"', "*", '"x"']
    return [
        {"name": "Prefer", "in": "header", "schema": {"enum": prefer}},
        {"name": "If-Match", "in": "header", "schema": {"enum": tags}},
        {"name": "If-None-Match", "in": "header", "schema": {"enum": tags}},
    ]


def _options(kind: str | None, parts: list[str]) -> list[Json]:
    """Query options with values that mean something and with any others."""
    names = [prop.name for prop in TYPES[kind].properties.values()] if kind in TYPES else ["id"]
    links = (
        [name for name in names if TYPES[kind].properties[name].access is Access.NAVIGATION] if kind in TYPES else []
    )
    filters = [f"{name} eq null" for name in names] + [f"contains({name},'a')" for name in names]
    filters += ["id in ('a','b')", "not (id eq 'x')", "startswith(displayName,'A') or id ne ''", "(((", "a/b/c eq 1"]
    words: Mapping[str, list[str]] = {
        "$select": [*names, ",".join(names), "nothing", "id,"],
        "$filter": filters,
        "$orderby": [*names, "displayName desc,id", "displayName sideways"],
        "$expand": [*links, *(f"{link}($select=id)" for link in links), "nothing", "members("],
        "$search": ['"displayName:a"', '"a" OR b', '"'],
        "$skiptoken": ["x", "AAAA"],
        "$deltatoken": ["latest", "x"] if parts[-1] == "delta" else ["x"],
    }
    found = [
        {"name": name, "in": "query", "schema": {"anyOf": [{"enum": values}, {"type": "string"}]}}
        for name, values in words.items()
    ]
    for name in ("$top", "$skip"):
        found.append({"name": name, "in": "query", "schema": {"type": "integer"}})
    return [*found, {"name": "$count", "in": "query", "schema": {"type": "boolean"}}]
