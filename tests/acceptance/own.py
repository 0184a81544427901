"""What tests of our own API work with: requests whose answers are held to the OpenAPI description that is served."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from schoolsync.api.openapi import description
from schoolsync.api.route import Route
from schoolsync.api.routes import ROUTES

from ..german import assert_answer_german, assert_german
from .house import GUID, Server, Tenant

Json = dict[str, Any]
EVERY_ROLE = ("viewer", "operator", "approver", "admin", "auditor")
ROOT = "schoolsync/v1"


@dataclass(frozen=True)
class Own:
    """Requests to our own API with one token."""

    server: Server
    token: str | None

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,  # anything JSON can hold; absent when None
        *,
        expect: int | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        url = path if path.startswith("http") else f"{self.server.base}/{ROOT}{path}"
        sent = {"Accept": "application/json"}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        answer = self.server.http.request(method, url, content=content, headers={**sent, **(headers or {})})
        check(answer)
        if expect is not None:
            assert answer.status_code == expect, f"{method} {url} -> {answer.status_code}: {answer.text}"
        return answer

    def get(self, path: str) -> Json:
        answer: Json = self("GET", path, expect=200).json()
        return answer

    def all(self, path: str) -> list[Json]:
        """Every item of a list, over its pages."""
        found: list[Json] = []
        link: str | None = path
        while link:
            page = self.get(link)
            found += page["value"]
            link = page["nextLink"]
        return found

    def refusal(self, method: str, path: str, status: int, body: Any = None, **options: Any) -> Json:
        """The `error` of a request that must be refused."""
        error: Json = self(method, path, body, expect=status, **options).json()["error"]
        return error


def own(tenant: Tenant, *roles: str, user: str | None = "ada@skole.example") -> Own:
    """A person of the tenant with roles of our own; without a person a program."""
    named = tuple(f"schoolsync.{role}" for role in roles)
    if user is None:
        return Own(tenant.server, tenant.server.token(tenant.id, roles=named))
    return Own(tenant.server, tenant.server.token(tenant.id, scope="schoolsync.access", roles=named, user=user))


def check(answer: httpx.Response) -> None:
    """What holds for every answer: the headers of all answers, the described shape, Graph's body for errors."""
    shown = f"{answer.request.method} {answer.request.url} -> {answer.status_code} {answer.headers} {answer.text[:500]}"
    assert GUID.fullmatch(answer.headers.get("request-id", "")), shown
    assert answer.headers.get("cache-control") == "no-cache", shown
    assert answer.status_code < 500, shown
    if answer.request.method in {"HEAD", "OPTIONS"}:
        return
    route = operation(answer.request.method, answer.request.url.path)
    if route is None:
        assert answer.status_code >= 400, shown
    if answer.status_code >= 400 and "verification" not in answer.text:
        error = answer.json()["error"]
        assert error["code"], shown
        assert error["message"].endswith((".", "”", "?")), shown
        assert error["innerError"]["request-id"] == answer.headers["request-id"], shown
        assert_is("ErrorBody", answer.json())
        if answer.status_code != 401:  # programs alone are told what is wrong with a token
            assert_german(error["message"])
    if route is not None and answer.status_code == route.status and answer.content:
        assert answer.headers["content-type"] == route.media, shown
        if route.media != "application/json":
            return
        made = description()["paths"][f"/{route.template}"][route.method.lower()]
        schema = made["responses"][str(route.status)]["content"]["application/json"]["schema"]
        assert_answer_german(answer.json())
        problems = [problem.message for problem in _validator(schema).iter_errors(answer.json())]
        assert not problems, f"{shown}: {problems[:3]}"


def assert_is(name: str, value: Any) -> None:
    problems = [problem.message for problem in _validator({"$ref": f"#/components/schemas/{name}"}).iter_errors(value)]
    assert not problems, problems[:3]


def operation(method: str, path: str) -> Route | None:
    """The row of the table that a request is for."""
    below = path.partition(f"{ROOT}/")[2]
    for route in ROUTES:
        pattern = re.sub(r"\{\w+\}", "[^/]+", route.template)
        if route.method == method and re.fullmatch(pattern, below):
            return route
    return None


def _validator(schema: Json) -> Any:  # jsonschema's validators have no common public type
    return Draft202012Validator({**schema, "components": description()["components"]})
