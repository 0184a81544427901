"""Who may do what: every operation with every kind of permission, on the real server."""

from __future__ import annotations

import json
import uuid

import pytest

from schoolsync.graph.paths import Tree
from schoolsync.graph.routes import ROUTES

from .house import Api, Json, Server, Tenant
from .rosters import DISTRICT

# What may be in a token, from low to high; application roles carry the same names with `.All`.
LADDERS = (
    ("EduAdministration.Read", "EduAdministration.ReadWrite"),
    ("EduRoster.ReadBasic", "EduRoster.Read", "EduRoster.ReadWrite"),
)
NAMES = [name for ladder in LADDERS for name in ladder]

RO, RW = "EduAdministration.Read", "EduAdministration.ReadWrite"
BASIC, READ, WRITE = "EduRoster.ReadBasic", "EduRoster.Read", "EduRoster.ReadWrite"
NEVER = None

NOBODY = "00000000-0000-4000-8000-00000000dead"
P = "/synchronizationProfiles"
ONE = P + "/{profile}"

# method, path, least delegated permission, least application permission (without .All), body
OPERATIONS: list[tuple[str, str, str | None, str | None, Json | None]] = [
    ("GET", P, RO, RO, None),
    ("GET", f"{P}/$count", RO, RO, None),
    ("GET", ONE, RO, RO, None),
    ("POST", P, RW, NEVER, {}),
    ("PUT", P, RW, NEVER, {}),
    ("PUT", ONE, RW, NEVER, {}),
    ("PATCH", ONE, RW, NEVER, {}),
    ("DELETE", f"{P}/{NOBODY}", RW, NEVER, None),
    ("POST", f"{ONE}/pause", RW, RW, None),
    ("POST", f"{ONE}/resume", RW, RW, None),
    ("POST", f"{ONE}/reset", RW, RW, None),
    ("POST", f"{ONE}/start", RW, RW, None),
    ("GET", f"{ONE}/uploadUrl", RW, RW, None),
    ("GET", f"{ONE}/uploadUrl()", RW, RW, None),
    ("GET", f"{ONE}/profileStatus", RO, RO, None),
    ("PATCH", f"{ONE}/profileStatus", RW, RW, {}),
    ("DELETE", f"{ONE}/profileStatus", RW, RW, None),
    ("GET", f"{ONE}/errors", RO, RO, None),
    ("GET", f"{ONE}/errors/$count", RO, RO, None),
    ("GET", f"{ONE}/errors/{NOBODY}", RO, RO, None),
    ("POST", f"{ONE}/errors", RW, RW, {}),
    ("PATCH", f"{ONE}/errors/{NOBODY}", RW, RW, {}),
    ("DELETE", f"{ONE}/errors/{NOBODY}", RW, RW, None),
    ("GET", "/schools", BASIC, READ, None),
    ("GET", "/schools/$count", BASIC, READ, None),
    ("GET", "/schools/{school}", BASIC, READ, None),
    ("GET", "/schools/{school}/classes", BASIC, READ, None),
    ("GET", "/schools/{school}/users", NEVER, READ, None),
    ("GET", "/classes", BASIC, READ, None),
    ("GET", "/classes/$count", BASIC, READ, None),
    ("GET", "/classes/{class}", BASIC, READ, None),
    ("GET", "/classes/{class}/members", BASIC, READ, None),
    ("GET", "/classes/{class}/teachers", BASIC, READ, None),
    ("GET", "/classes/{class}/schools", BASIC, READ, None),
    ("GET", "/users", NEVER, READ, None),
    ("GET", "/users/$count", NEVER, READ, None),
    ("GET", "/users/{user}", BASIC, READ, None),
    ("GET", "/users/{user}/classes", BASIC, READ, None),
    ("GET", "/users/{user}/taughtClasses", BASIC, READ, None),
    ("GET", "/users/{user}/schools", BASIC, READ, None),
    ("POST", "/users", NEVER, WRITE, {}),
    ("PATCH", "/users/{user}", NEVER, WRITE, {}),
    ("DELETE", f"/users/{NOBODY}", NEVER, WRITE, None),
    ("POST", "/schools", NEVER, WRITE, {}),
    ("PATCH", "/schools/{school}", NEVER, WRITE, {}),
    ("DELETE", f"/schools/{NOBODY}", NEVER, WRITE, None),
    ("POST", "/classes", NEVER, WRITE, {}),
    ("PATCH", "/classes/{class}", NEVER, WRITE, {}),
    ("DELETE", f"/classes/{NOBODY}", NEVER, WRITE, None),
    ("POST", "/schools/{school}/classes/$ref", NEVER, WRITE, {}),
    ("DELETE", f"/schools/{NOBODY}/classes/{NOBODY}/$ref", NEVER, WRITE, None),
    ("POST", "/schools/{school}/users/$ref", NEVER, WRITE, {}),
    ("DELETE", f"/schools/{NOBODY}/users/{NOBODY}/$ref", NEVER, WRITE, None),
    ("DELETE", f"/schools/{NOBODY}/users/{NOBODY}", NEVER, WRITE, None),
    ("POST", "/classes/{class}/members/$ref", NEVER, WRITE, {}),
    ("DELETE", f"/classes/{NOBODY}/members/{NOBODY}/$ref", NEVER, WRITE, None),
    ("POST", "/classes/{class}/teachers/$ref", NEVER, WRITE, {}),
    ("DELETE", f"/classes/{NOBODY}/teachers/{NOBODY}/$ref", NEVER, WRITE, None),
    ("GET", "/schools/delta", BASIC, BASIC, None),
    ("GET", "/classes/delta()", BASIC, BASIC, None),
    ("GET", "/users/delta", BASIC, READ, None),
    ("GET", "/me", BASIC, READ, None),
    ("GET", "/me/classes", BASIC, READ, None),
    ("GET", "/me/taughtClasses", BASIC, READ, None),
    ("GET", "/me/schools", BASIC, READ, None),
    ("GET", "/me/user", BASIC, READ, None),
    ("PATCH", "/me", NEVER, WRITE, {}),
    ("PATCH", "{root}/education", NEVER, WRITE, {}),
    ("GET", "/schools/{school}/administrativeUnit", BASIC, READ, None),
    ("PATCH", "/schools/{school}/administrativeUnit", NEVER, WRITE, {}),
    ("GET", "/classes/{class}/group", BASIC, READ, None),
    ("GET", "/users/{user}/user", BASIC, READ, None),
    *(
        (
            method,
            f"{owner}/{many}{tail}",
            None if (owner, many) == ("/schools/{school}", "users") else BASIC,
            READ,
            None,
        )
        for owner, many in (
            *(("/schools/{school}", name) for name in ("classes", "users")),
            *(("/classes/{class}", name) for name in ("members", "teachers", "schools")),
            *((owner, name) for owner in ("/users/{user}", "/me") for name in ("classes", "taughtClasses", "schools")),
        )
        for method, tail in (("GET", "/$count"), ("GET", f"/{NOBODY}"))
    ),
    *(
        (method, f"{owner}/{many}{tail}", delegated, least, None)
        for owner, many, delegated in (
            ("/schools/{school}", "classes", BASIC),
            ("/schools/{school}", "users", NEVER),
            ("/classes/{class}", "members", BASIC),
            ("/classes/{class}", "teachers", BASIC),
        )
        for method, tail, delegated, least in (
            ("GET", "/$ref", delegated, READ),
            ("DELETE", "/$ref", NEVER, WRITE),
            ("DELETE", f"/{NOBODY}", NEVER, WRITE),
        )
    ),
    # The plain directory objects behind them.
    *(
        (method, f"{{root}}/{plain}{tail}", BASIC if method == "GET" else NEVER, least, body)
        for plain, one in (("users", "{user}"), ("groups", "{class}"), ("directory/administrativeUnits", "{school}"))
        for method, tail, least, body in (
            ("GET", "", READ, None),
            ("GET", "/$count", READ, None),
            ("GET", f"/{one}", READ, None),
            ("PATCH", f"/{one}", WRITE, {}),
            ("DELETE", f"/{NOBODY}", WRITE, None),
        )
    ),
    *(
        (method, f"{{root}}/{owner}{tail}", delegated if method == "GET" else NEVER, least, body)
        for owner, delegated in (
            ("groups/{class}/members", BASIC),
            ("groups/{class}/owners", BASIC),
            ("directory/administrativeUnits/{school}/members", NEVER),
        )
        for method, tail, least, body in (
            ("GET", "", READ, None),
            ("GET", "/$count", READ, None),
            ("GET", "/$ref", READ, None),
            ("POST", "/$ref", WRITE, {}),
            ("DELETE", "/$ref", WRITE, None),
            ("DELETE", f"/{NOBODY}/$ref", WRITE, None),
        )
    ),
]

EITHER = {("GET", "education"), ("POST", "$batch"), ("GET", "")}
"""Open with a permission of either ladder: `test_the_root_opens_with_either_permission`."""


@pytest.fixture(scope="module")
def house(server: Server) -> tuple[Tenant, dict[str, str]]:
    """A tenant with one of everything, shared by the read-only questions below."""
    tenant = Tenant(server)
    profile = tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    read = tenant.reader
    return (
        tenant,
        {
            "root": f"{server.base}/v1.0",
            "profile": profile.id,
            "school": read.get("/schools")["value"][0]["id"],
            "class": read.get("/classes")["value"][0]["id"],
            "user": read.get("/users")["value"][0]["id"],
        },
    )


def allowed_by(granted: str, least: str | None) -> bool:
    """Whether a permission is the least one or above it on the same ladder."""
    return any(
        least in ladder and granted in ladder and ladder.index(granted) >= ladder.index(least) for ladder in LADDERS
    )


def named(operation: tuple[str, str, str | None, str | None, Json | None]) -> str:
    return f"{operation[0]} {operation[1]}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_an_operation_is_open_to_its_permissions_and_to_no_other(
    house: tuple[Tenant, dict[str, str]], operation: tuple[str, str, str | None, str | None, Json | None]
) -> None:
    """Each scope and role alone, names of the wrong kind, and no token: allowed exactly as documented."""
    tenant, ids = house
    method, template, delegated, application, body = operation
    path = template.format(**ids)
    asked: dict[str, tuple[Json, bool]] = {}
    for name in NAMES:
        asked[f"scope {name}"] = ({"scope": name}, allowed_by(name, delegated))
        asked[f"role {name}.All"] = ({"roles": (f"{name}.All",)}, allowed_by(name, application))
        asked[f"scope {name}.All"] = ({"scope": f"{name}.All"}, False)
        asked[f"role {name}"] = ({"roles": (name,)}, False)
    # With both, the person's scopes decide and the roles are somebody's app assignments.
    everything = tuple(f"{name}.All" for name in NAMES)
    asked["scope User.Read with every role"] = ({"scope": "User.Read", "roles": everything}, False)
    everyone = " ".join(NAMES)
    asked["every scope"] = ({"scope": everyone}, delegated is not None)
    asked["every role"] = ({"roles": everything}, application is not None)
    wrong = {}
    for label, (grant, allowed) in asked.items():
        answer = tenant.api(**grant)(method, path, body)
        if (answer.status_code not in {401, 403}) != allowed:
            wrong[label] = f"{answer.status_code}, demanded: {'allowed' if allowed else '403'}"
        if answer.status_code == 403:
            plain = template.startswith("{root}/") and template != "{root}/education"
            code = "Authorization_RequestDenied" if plain else "AccessDenied"
            assert answer.json()["error"]["code"] == code, label
    assert not wrong
    nobody = Api(tenant.server, None)(method, path, body, expect=401)
    assert nobody.json()["error"]["code"] == "InvalidAuthenticationToken"


def test_the_table_has_every_operation_there_is() -> None:
    """A route that is added without a row of its own here has permissions that nobody has looked at."""
    tree = Tree(ROUTES)
    ids = dict.fromkeys(("profile", "school", "class", "user"), NOBODY)
    rows = set()
    for method, template, *_ in OPERATIONS:
        path = (
            template.format(root="", **ids) if template.startswith("{root}") else f"education{template.format(**ids)}"
        )
        rows.add((method, tree.find(filter(None, path.split("/"))).template))
    served = {(route.method, route.template) for route in ROUTES if not route.public}
    assert served - rows == EITHER


def test_the_root_opens_with_either_permission(house: tuple[Tenant, dict[str, str]]) -> None:
    """GET /education is for whoever may read profiles or the directory, and for nobody else."""
    tenant, ids = house
    path = f"{ids['root']}/education"
    for name in NAMES:
        assert tenant.api(scope=name)("GET", path).status_code != 403
        allowed = tenant.api(roles=(f"{name}.All",))("GET", path).status_code != 403
        assert allowed == (name != BASIC), name
    tenant.api(scope="User.Read").refusal("GET", path, 403)


def test_a_refusal_says_which_claim_is_missing(house: tuple[Tenant, dict[str, str]]) -> None:
    """The words are Graph's: scp values for people, roles for programs, and either when there is neither."""
    tenant, ids = house
    path = f"/synchronizationProfiles/{ids['profile']}"
    person = tenant.api(scope=BASIC).refusal("GET", path, 403)
    assert person["message"] == "Required scp claim values are not provided."
    program = tenant.api(roles=(f"{BASIC}.All",)).refusal("GET", path, 403)
    assert "roles" in program["message"]
    assert tenant.api(roles=(f"{READ}.All",)).refusal("GET", "/me", 400)["code"] == "BadRequest"


def test_reading_basic_shows_less(house: tuple[Tenant, dict[str, str]]) -> None:
    """EduRoster.ReadBasic shows people's names and roles, not their birthdays."""
    tenant, _ = house
    me = tenant.api(scope=BASIC, user="zmuller@skole.example")
    shown = me.get("/me")
    assert shown["givenName"] == "Zoë"
    assert "2013-02-28" not in json.dumps(shown)
    whole = tenant.api(scope=READ, user="zmuller@skole.example").get("/me")
    assert whole["student"]["birthDate"] == "2013-02-28"


def test_me_is_the_person_of_the_token(house: tuple[Tenant, dict[str, str]]) -> None:
    """/me and its lists are those of the account whose name the token carries."""
    tenant, _ = house
    me = tenant.api(scope=READ, user="gokafor@skole.example")
    shown = me.get("/me")
    assert shown["teacher"]["externalId"] == "5001"
    classes = {item["externalId"] for item in me.all("/me/taughtClasses")}
    assert classes == {"M1", "M2"}
    assert {item["externalId"] for item in me.all("/me/classes")} == {"M1", "M2"}
    assert {item["externalId"] for item in me.all("/me/schools")} == {"100", "200"}
    stranger = tenant.api(scope=READ, user="nobody@skole.example")
    assert stranger.refusal("GET", "/me", 404)["code"] == "Request_ResourceNotFound"


def test_a_delegated_reader_sees_only_what_is_shared(house: tuple[Tenant, dict[str, str]]) -> None:
    """With a person's token only that person's classes and their members are visible."""
    tenant, _ = house
    me = tenant.api(scope=READ, user="jlefevre@skole.example")
    assert {item["externalId"] for item in me.all("/classes")} == {"F1"}
    classes = {item["externalId"]: item["id"] for item in tenant.reader.all("/classes")}
    assert me.all(f"/classes/{classes['F1']}/members")
    assert me("GET", f"/classes/{classes['M2']}/members").status_code in {403, 404}
    assert me("GET", f"/classes/{classes['M2']}").status_code in {403, 404}


def test_nobody_reads_without_knowing_the_tenant(server: Server) -> None:
    """A tenant that nobody has used yet is empty, not an error."""
    fresh = Tenant(server, str(uuid.uuid4()))
    assert fresh.reader.get("/users")["value"] == []
    assert fresh.admin.get("/synchronizationProfiles")["value"] == []
