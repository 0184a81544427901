"""The OpenAPI description of our own API, made from the table of routes and the shapes. Served and tested."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from schoolsync import __version__
from schoolsync.access import roles
from schoolsync.api import shapes
from schoolsync.api.route import Parameter, Route
from schoolsync.api.routes import ROUTES
from schoolsync.profiles.policy import OwnSettings

Json = dict[str, Any]  # a JSON object: its values are of any kind

_REF = "#/components/schemas/{name}"
_REFUSALS = {
    400: "The request is wrong; `target` names the parameter or member.",
    401: "There is no token, or none that this server accepts.",
    403: "The token lacks a role for this.",
    404: "What the path names is not there, in this tenant.",
    405: "The method is not allowed here; `Allow` lists those that are.",
    406: "The Accept header leaves out JSON, which is all there is.",
    408: "The body came too slowly.",
    409: "The request is right but not now; the message says why.",
    412: "The object was changed after it was read (`If-Match`).",
    413: "The body is larger than the setting `body_max_bytes`.",
    414: "Path and query are too long.",
    415: "The body is not JSON.",
    429: "Too many requests at once; `Retry-After` says when to come back.",
    431: "The headers are too large.",
    503: "The server cannot answer at the moment; `Retry-After` says when to come back.",
}
_KEYS = {
    "profile": "Id of the synchronization profile.",
    "run": "Id or number of the run.",
    "step": "Number of the step.",
    "preview": "Id of the preview.",
    "approval": "Id of the approval.",
    "school": "Object id of the school.",
    "class": "Object id of the class.",
    "person": "Object id or sign-in name of the person.",
}


@cache
def description() -> Json:
    """The whole description, without the address of a server."""
    types = [route.answers for route in ROUTES if route.answers is not None]
    types += [route.takes for route in ROUTES if route.takes is not None]
    schemas, components = msgspec.json.schema_components(
        [*dict.fromkeys(types), shapes.ErrorBody, OwnSettings], ref_template=_REF
    )
    of = dict(zip([*dict.fromkeys(types)], schemas, strict=False))
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(f"/{route.template}", {})[route.method.lower()] = _operation(route, of)
    settings = components["Settings"]
    settings["properties"]["settings"] = {"$ref": _REF.format(name="OwnSettings")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "schoolsync",
            "version": __version__,
            "summary": "Plans, runs, findings, approvals and settings, beside the Microsoft Graph education API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": {
                str(status): {
                    "description": words,
                    "content": {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}},
                }
                for status, words in _REFUSALS.items()
            },
        },
    }


def _operation(route: Route, of: dict[Any, Json]) -> Json:
    made: Json = {
        "operationId": route.handler.replace(".", "_"),
        "summary": route.summary,
        "tags": [route.handler.partition(".")[0]],
    }
    if route.act is not None:
        rule = roles.RULES[route.act]
        names = ", ".join(role.value for role in roles.Role if role in rule.roles)
        persons = "" if rule.application else " Persons alone: a program's token is refused."
        made["description"] = f"Needs one of the roles {names}.{persons}"
        made["x-schoolsync-act"] = route.act.value
    if route.public:
        made["security"] = []
    parameters = [
        {"name": key, "in": "path", "required": True, "description": _KEYS[key], "schema": {"type": "string"}}
        for key in re.findall(r"\{(\w+)\}", route.template)
    ]
    parameters += [_parameter(one) for one in route.parameters]
    if parameters:
        made["parameters"] = parameters
    if route.takes is not None:
        schema = {"type": "object"} if route.takes is dict else of[route.takes]
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    done: Json = {"description": "Done." if route.answers is None else "The answer."}
    if route.answers is not None:
        done["content"] = {route.media.partition(";")[0]: {"schema": of[route.answers]}}
    made["responses"] = {str(route.status): done}
    for status in _statuses(route):
        made["responses"][str(status)] = {"$ref": f"#/components/responses/{status}"}
    return made


def _statuses(route: Route) -> Iterable[int]:
    found = {400, 404, 405, 406, 414, 429, 431, 503, *route.refusals}
    if not route.public:
        found |= {401, 403}
    if route.takes is not None:
        found |= {408, 413, 415}
    return sorted(found)


def _parameter(one: Parameter) -> Json:
    if one.kind == "text":
        item: Json = {"type": "string", **({"enum": list(one.values)} if one.values else {})}
    else:
        item = {"type": one.kind, **({"minimum": 1} if one.kind == "integer" else {})}
    made: Json = {
        "name": one.name,
        "in": "query",
        "description": one.meaning[0].upper() + one.meaning[1:],
        "schema": item,
    }
    if one.several:
        made |= {"schema": {"type": "array", "items": item}, "style": "form", "explode": False}
    return made
