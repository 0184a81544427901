"""Two tenants on one server: neither can see, touch or guess anything of the other."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from schoolsync.graph.routes import ROUTES

from .house import Api, Server, Tenant, creation, put_blob
from .rosters import DISTRICT

EVERY_SCOPE = "EduAdministration.ReadWrite EduRoster.ReadWrite"
EVERY_ROLE = ("EduAdministration.ReadWrite.All", "EduRoster.ReadWrite.All")


@pytest.fixture(scope="module")
def theirs(server: Server) -> dict[str, Any]:
    """A tenant with a profile, an error, a status, schools, classes and people."""
    tenant = Tenant(server)
    profile = tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    body = {"errorCode": "UnmatchedEntry", "entryType": "Student"}
    error = profile.api("POST", f"{profile.path}/errors", body, expect=201).json()
    read = tenant.reader
    return {
        "tenant": tenant,
        "profile": profile.id,
        "error": error["id"],
        "schools": [item["id"] for item in read.all("/schools")],
        "classes": [item["id"] for item in read.all("/classes")],
        "users": [item["id"] for item in read.all("/users")],
    }


@pytest.fixture
def strangers(server: Server) -> list[Api]:
    """A person and a program of another tenant who may do everything there."""
    other = Tenant(server)
    other.profile()
    return [other.api(scope=EVERY_SCOPE, user="gokafor@skole.example"), other.api(roles=EVERY_ROLE)]


def snapshot(theirs: dict[str, Any]) -> str:
    tenant = theirs["tenant"]
    path = f"/synchronizationProfiles/{theirs['profile']}"
    return json.dumps(
        [
            tenant.objects(),
            tenant.admin.get(path),
            tenant.admin.get(f"{path}/profileStatus"),
            tenant.admin.get(f"{path}/errors"),
        ],
        sort_keys=True,
    )


PROFILE_CALLS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PUT", "", creation()),
    ("PATCH", "", {"displayName": "Mine"}),
    ("DELETE", "", None),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
    ("POST", "/reset", None),
    ("POST", "/start", None),
    ("GET", "/uploadUrl", None),
    ("GET", "/profileStatus", None),
    ("PATCH", "/profileStatus", {"status": "error"}),
    ("DELETE", "/profileStatus", None),
    ("GET", "/errors", None),
    ("GET", "/errors/$count", None),
    ("GET", "/errors/{error}", None),
    ("POST", "/errors", {"errorCode": "Mine"}),
    ("PATCH", "/errors/{error}", {"errorCode": "Mine"}),
    ("DELETE", "/errors/{error}", None),
]


def test_a_strangers_profile_does_not_exist(theirs: dict[str, Any], strangers: list[Api]) -> None:
    """Every operation on another tenant's profile is 404 NotFound, word for word as for an id nobody ever had."""
    before = snapshot(theirs)
    nobody = "00000000-0000-4000-8000-00000000dead"
    for method, tail, body in PROFILE_CALLS:
        for api in strangers:
            answers = []
            for number in (theirs["profile"], nobody):
                path = f"/synchronizationProfiles/{number}{tail.format(error=theirs['error'])}"
                answer = api(method, path, body)
                expected = {404} if api is strangers[0] else {403, 404}
                assert answer.status_code in expected, f"{method} {tail} -> {answer.status_code}"
                error = answer.json()["error"]
                answers.append((answer.status_code, error["code"], error["message"].replace(number, "ID")))
            assert answers[0] == answers[1]
            if answers[0][0] == 404:
                assert answers[0][1] == "NotFound"
    whole = creation(id=theirs["profile"])
    assert strangers[0].refusal("PUT", "/synchronizationProfiles", 404, whole)["code"] == "NotFound"
    assert snapshot(theirs) == before


@pytest.mark.parametrize("kind", ["schools", "classes", "users"])
def test_a_strangers_objects_do_not_exist(theirs: dict[str, Any], strangers: list[Api], kind: str) -> None:
    """Every object and every navigation of it is 404 Request_ResourceNotFound to another tenant; lists are empty."""
    before = snapshot(theirs)
    tails = {
        "schools": ("", "/classes", "/users", "/classes/$count", "/users/$count", "/administrativeUnit"),
        "classes": ("", "/members", "/teachers", "/schools", "/members/$count", "/group"),
        "users": ("", "/classes", "/taughtClasses", "/schools", "/classes/$count", "/user"),
    }[kind]
    program = strangers[1]
    for number in theirs[kind]:
        for tail in tails:
            error = program.refusal("GET", f"/{kind}/{number}{tail}", 404)
            assert error["code"] == "Request_ResourceNotFound"
        assert program.refusal("PATCH", f"/{kind}/{number}", 404, {"displayName": "Mine"})
        assert program.refusal("DELETE", f"/{kind}/{number}", 404)
        link = {"@odata.id": f"{program.server.base}/v1.0/education/users/{theirs['users'][0]}"}
        for navigation in {"schools": ("users",), "classes": ("members", "teachers"), "users": ()}[kind]:
            assert program.refusal("POST", f"/{kind}/{number}/{navigation}/$ref", 404, link)
            assert program.refusal("DELETE", f"/{kind}/{number}/{navigation}/{theirs['users'][0]}/$ref", 404)
    assert program.get(f"/{kind}?$count=true")["@odata.count"] == 0
    assert program.get(f"/{kind}?$filter=id eq '{theirs[kind][0]}'")["value"] == []
    assert program("GET", f"/{kind}/$count", expect=200).text == "0"
    assert snapshot(theirs) == before


def test_a_strangers_names_and_page_tokens_open_nothing(theirs: dict[str, Any], strangers: list[Api]) -> None:
    """User names as keys, `/me` with the same name, and next links of another tenant lead nowhere."""
    person, program = strangers
    assert program.refusal("GET", "/users/gokafor@skole.example", 404)
    assert person.refusal("GET", "/me", 404)
    page = theirs["tenant"].reader.get("/users?$top=2")
    link = page["@odata.nextLink"]
    assert program.get(link)["value"] == []
    assert "gokafor" not in program("GET", link).text


def test_the_same_names_and_ids_live_side_by_side(theirs: dict[str, Any], server: Server) -> None:
    """The same roster in another tenant makes objects of its own, with ids of their own."""
    before = snapshot(theirs)
    other = Tenant(server)
    assert other.profile().sync(DISTRICT.files())["status"] == "success"
    for kind in ("schools", "classes", "users"):
        mine = {item["id"] for item in other.reader.all(f"/{kind}")}
        assert len(mine) == len(theirs[kind])
        assert not mine & set(theirs[kind])
    foreign_keys_below_own(other, theirs)
    assert snapshot(theirs) == before


def foreign_keys_below_own(other: Tenant, theirs: dict[str, Any]) -> None:
    """Every route that names two objects: with one's own first and a stranger's behind it there is nothing, and a
    stranger's object cannot be linked to one's own.
    """
    person, program = other.api(scope=EVERY_SCOPE, user="gokafor@skole.example"), other.api(roles=EVERY_ROLE)
    profile = program.get("/synchronizationProfiles")["value"][0]["id"]
    many = {"school": "schools", "class": "classes", "user": "users"}
    own = {"profile": profile, **{key: program.get(f"/{kind}?$top=1")["value"][0]["id"] for key, kind in many.items()}}
    foreign = {"error": theirs["error"], **{key: theirs[kind][0] for key, kind in many.items()}}
    tried = 0
    for route in ROUTES:
        template = route.template.removeprefix("education")
        keys = re.findall(r"\{(\w+)\}", template)
        adds = template.endswith("/$ref") and route.method == "POST"
        removes = template.endswith("s/$ref") and route.method == "DELETE"
        if not template.startswith("/") or len(keys) + adds + removes < 2:
            continue
        path = template.replace(f"{{{keys[0]}}}", own[keys[0]], 1)
        path = re.sub(r"\{(\w+)\}", lambda key: foreign[key[1]], path)
        named = "classes" if template.endswith("/classes/$ref") else "users"
        link = f"https://graph.microsoft.com/v1.0/education/{named}/{theirs[named][0]}"
        if removes:
            path += f"?@id={link}"
        body = {"@odata.id": link} if adds else {"errorMessage": "mine"} if route.body else None
        asking = program if route.application else person
        error = asking.refusal(route.method, path, 404, body)
        assert theirs["profile"] not in error["message"]
        tried += 1
    assert tried > 25


def test_a_signature_opens_one_container(theirs: dict[str, Any], server: Server) -> None:
    """The signature of one tenant's upload URL is worth nothing in another's container."""
    other = Tenant(server)
    profile = other.profile()
    link = httpx.URL(profile.api.get(f"{profile.path}/uploadUrl")["value"])
    foreign = link.copy_with(raw_path=link.raw_path.replace(profile.id.encode(), theirs["profile"].encode()))
    answer = put_blob(server, foreign, "School.csv", DISTRICT.files()["School.csv"])
    assert answer.status_code == 403
    assert answer.headers["x-ms-error-code"] == "AuthenticationFailed"
    mine = put_blob(server, link, "School.csv", DISTRICT.files()["School.csv"])
    assert mine.status_code == 201


def test_a_tokens_tenant_cannot_be_claimed(server: Server, theirs: dict[str, Any]) -> None:
    """A token whose tenant was changed after it was signed is no token."""
    import base64

    other = Tenant(server)
    head, claims, signature = other.api(scope=EVERY_SCOPE).token.split(".")  # type: ignore[union-attr]
    text = json.loads(base64.urlsafe_b64decode(claims + "=="))
    text["tid"] = theirs["tenant"].id
    forged = base64.urlsafe_b64encode(json.dumps(text).encode()).rstrip(b"=").decode()
    for token in (f"{head}.{forged}.{signature}", f"{head}.{forged}."):
        answer = Api(server, token)("GET", f"/synchronizationProfiles/{theirs['profile']}", expect=401)
        assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"
