"""Every operation of both APIs, asked with requests made from their descriptions: right ones, wrong ones and absurd
ones. Nothing is answered with a 500, and every answer is as it is described.

SCHEMA_EXAMPLES says how many of each kind, SCHEMA_VERSIONS in which versions of Graph's API, SCHEMA_SEED which ones;
`make schema` takes many in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from schoolsync.api.openapi import description
from schoolsync.graph.routes import ROUTES

from .described import graph
from .house import ROSTER_WRITE, WRITE, Server, Tenant
from .own import EVERY_ROLE
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("by-schema")

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "1"))
VERSIONS = os.environ.get("SCHEMA_VERSIONS", "v1.0").split(",")
SEED = int(os.environ.get("SCHEMA_SEED", "1"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NOBODY = "00000000-0000-4000-8000-000000000000"
ORDER = ("get", "put", "post", "patch", "delete")
load_all_checks()

Token = Callable[[str, str], str]  # method and path -> token


@pytest.fixture(scope="module")
def district(server: Server) -> dict[str, list[str]]:
    """Keys of a synchronized district, by their names in the routes, and its tenant."""
    profile = Tenant(server).profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    read = profile.tenant.reader
    known = {
        name: [item["id"] for item in read.all(f"/{many}?$top=3&$select=id")][:3]
        for name, many in (("school", "schools"), ("class", "classes"), ("user", "users"))
    }
    return {**known, "profile": [profile.id], "tenant": [profile.tenant.id], "run": ["1"], "step": ["0", "1"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_graph_face(server: Server, district: dict[str, list[str]], version: str) -> None:
    """Each operation of Graph, in the version that is named."""
    tenant = Tenant(server, district["tenant"][0])
    program = server.token(tenant.id, roles=(ROSTER_WRITE, "EduAdministration.ReadWrite.All"))
    person = server.token(tenant.id, scope=WRITE, user="admin@skole.example")
    for_people = {(route.method, f"/{version}/{route.template}") for route in ROUTES if not route.application}

    def token(method: str, path: str) -> str:
        return person if (method, path) in for_people else program

    found = _wrong(server, graph(version, district), token, spare=("start", "reset", "resume"))
    assert not found, "\n\n".join(found)


def test_our_own_api(server: Server, district: dict[str, list[str]]) -> None:
    """Each operation below /schoolsync/v1, by somebody who may do everything."""
    everything = server.token(district["tenant"][0], roles=tuple(f"schoolsync.{role}" for role in EVERY_ROLE))
    described = {**description(), "paths": {}}
    for path, operations in description()["paths"].items():
        described["paths"][f"/schoolsync/v1{path}"] = operations
    found = _wrong(server, described, lambda _method, _path: everything, known=district)
    assert not found, "\n\n".join(found)


def _wrong(
    server: Server,
    described: dict[str, Any],
    token: Token,
    *,
    known: Mapping[str, list[str]] | None = None,
    spare: tuple[str, ...] = (),
) -> list[str]:
    """What is wrong with the answers, an operation each."""
    schema = schemathesis.openapi.from_dict(described, config=SchemathesisConfig())
    operations = [result.ok() for result in schema.get_all_operations()]
    wrong = []
    for operation in sorted(operations, key=lambda one: ORDER.index(one.method.lower())):
        keys = None
        if known is not None:
            keys = {name: known[name][0] for name in known if f"{{{name}}}" in operation.path}
        if operation.path.endswith(spare) and spare:
            keys = {"profile": NOBODY}
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                _asked(server, operation, mode, token(operation.method.upper(), operation.path), keys)
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, operation.label  # there is nothing that could be wrong
            except FailureGroup as group:
                told = "\n".join(f"{one.title}: {one.message[:600]}" for one in group.exceptions)
                wrong.append(f"{operation.label}\n{told}\n{group.__notes__ if hasattr(group, '__notes__') else ''}")
    return wrong


def _asked(server: Server, operation: Any, mode: GenerationMode, token: str, keys: Mapping[str, str] | None) -> None:
    """Ask one operation. Raises FailureGroup for the smallest request whose answer is wrong."""
    strategy = operation.as_strategy(mode, **({"path_parameters": dict(keys)} if keys else {}))

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def ask(case: Any) -> None:
        answer = case.call(base_url=server.base, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        case.validate_response(answer, checks=CHECKS)

    ask()
