"""Who may do what: every operation with every kind of token, and every object from another tenant."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import insert

from schoolsync.graph.routes import ROUTES, Permission, Route
from schoolsync.store import control_tables, directory_tables

LADDERS = (
    (Permission.ADMIN_READ, Permission.ADMIN_WRITE),
    (Permission.ROSTER_BASIC, Permission.ROSTER_READ, Permission.ROSTER_WRITE),
)
EVERY = tuple(chain(*LADDERS))
NOBODY = "99999999-9999-4999-8999-999999999999"


def name(route: Route) -> str:
    return f"{route.method} /{route.template}"


def path(route: Route, keys: dict[str, str]) -> str:
    return "/" + re.sub(r"\{(\w+)\}", lambda key: keys[key[1]], route.template)


def enough(least: tuple[Permission, ...]) -> set[Permission]:
    """The permissions that open an operation, by the ladders of the documentation."""
    opened: set[Permission] = set()
    for permission in least:
        ladder = next(steps for steps in LADDERS if permission in steps)
        opened.update(ladder[ladder.index(permission) :])
    return opened


@pytest.fixture(scope="module", params=ROUTES, ids=name)
def route(request: pytest.FixtureRequest) -> Route:
    found: Route = request.param
    return found


class TestEveryOperation:
    def test_opens_for_exactly_the_documented_permissions(self, still_town: Any, token: Any, route: Route) -> None:
        """Each operation opens for its least permission and those above it, in a token of the right kind; for nothing
        else, and for nobody without a token."""
        asked = path(route, dict.fromkeys(("profile", "error", "school", "class", "user"), NOBODY))

        def status(authorization: str | None) -> int:
            found: int = still_town.send(route.method, asked, authorization=authorization).status_code
            return found

        if route.public:
            assert status(None) not in {401, 403}
            return
        assert status(None) == 401
        assert status("Basic dXNlcjpwYXNz") == 401
        assert status(token(kind="none")) == 403
        for kind, least, ending in (("delegated", route.delegated, ""), ("application", route.application, ".All")):
            opened = enough(least)
            for permission in EVERY:
                answer = status(token(permission.value + ending, kind=kind))
                if permission in opened:
                    assert answer not in {401, 403}, (kind, permission)
                else:
                    assert answer == 403, (kind, permission)
            # A scope in an application's token, or a role in a delegated one, is nothing.
            swapped = ".All" if ending == "" else ""
            assert status(token(*(permission.value + swapped for permission in EVERY), kind=kind)) == 403

    def test_shows_nothing_of_another_tenant(
        self, still_town: Any, new_town: Any, token: Any, ids: Any, other_tenant: str, route: Route
    ) -> None:
        """With every permission and the very keys of another tenant's objects, no operation shows or changes one."""
        # What creates something in the stranger's own tenant gets a town of its own.
        town = new_town() if route.method == "POST" else still_town
        profile, error = _profile(town)
        keys = {
            "profile": profile,
            "error": error,
            "school": ids("school", 1),
            "class": ids("class", 1),
            "user": ids("person", 1),
        }
        if route.delegated and not route.template.startswith("education/users"):
            grants = [permission.value for permission in EVERY]
            stranger = token(*grants, kind="delegated", tenant=other_tenant, user_id=ids("person", 5))
        else:
            stranger = token(*(f"{permission.value}.All" for permission in EVERY), tenant=other_tenant)
        before = _everything(town)
        asked = path(route, keys)
        if route.method == "DELETE" and asked.endswith("s/$ref"):  # the link to remove is named in the query
            asked += f"?@id=https://graph.microsoft.com/v1.0/directoryObjects/{keys['user']}"
        answer = town.send(route.method, asked, _body(route, profile, keys), authorization=stranger)
        if "{" in route.template or answer.status_code >= 400:
            # Below /me an application is nobody; creating a profile or a person needs no object that is there already.
            assert answer.status_code in {404, 400} if "/me" in route.template else answer.status_code == 404, (
                answer.text
            )
        elif route.text:
            assert answer.text == "0"
        elif route.template in {"$metadata", ""}:
            assert answer.status_code == 200  # says what there is, not who
        elif route.method == "GET":
            assert answer.json().get("value", []) == []
        for shown in ("Skole", "Klasse", "Lunde", "Nordkapp"):
            assert shown not in answer.text
        assert _everything(town) == before


def _body(route: Route, profile: str, keys: dict[str, str]) -> Any:
    """A body that the operation would take."""
    if not route.body:
        return None
    if route.template == "education":
        return {}
    if route.template == "$batch":
        return {"requests": [{"id": "1", "method": "GET", "url": f"/education/users/{keys['user']}"}]}
    if route.template.endswith("$ref"):
        part = "groups" if "/classes/$ref" in route.template else "users"
        return {"@odata.id": f"https://graph.microsoft.com/beta/{part}/{keys['class' if part == 'groups' else 'user']}"}
    if route.template.startswith(("education/schools", "education/classes", "groups", "directory")):
        return {"displayName": "Ny", "mailNickname": "ny"} if "lasses" in route.template else {"displayName": "Ny"}
    if route.template.startswith("users"):
        return {"department": "X"}
    if route.template.startswith("education/users") or "/me" in route.template:
        if route.method == "PATCH":
            return {"department": "X"}
        return {
            "displayName": "Ny",
            "accountEnabled": True,
            "mailNickname": "ny",
            "userPrincipalName": "ny@skole.example",
            "passwordProfile": {"password": "x"},
        }
    if "profileStatus" in route.template:
        return {"statusMessage": "hello"}
    if "errors" in route.template:
        return {"errorCode": "None"}
    return {
        "id": profile,
        "displayName": "Ny",
        "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
        "identitySynchronizationConfiguration": {
            "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
            "userDomains": [{"appliesTo": "student", "name": "skole.example"}],
        },
    }


def _profile(town: Any) -> tuple[str, str]:
    """A profile of the tenant with one error; made once."""
    tenant = next(iter(town.numbers.values()))
    profile, error = "0f0f0f0f-0000-4000-8000-000000000001", "0f0f0f0f-0000-4000-8000-000000000002"
    with town.services.control.write() as connection:
        if connection.execute(control_tables.profiles.select()).all():
            return profile, error
        connection.execute(
            insert(control_tables.profiles).values(
                tenant=tenant,
                id=profile,
                number=1,
                display_name="Nordkapp",
                data_provider='{"@odata.type":"#microsoft.graph.educationCsvDataProvider"}',
                identity='{"@odata.type":"#microsoft.graph.educationIdentityCreationConfiguration","userDomains":[]}',
                state="provisioned",
                created=1,
                changed=1,
            )
        )
        connection.execute(insert(control_tables.profile_status).values(tenant=tenant, profile=profile))
        connection.execute(
            insert(control_tables.errors).values(tenant=tenant, profile=profile, id=error, error_message="Nordkapp")
        )
    return profile, error


def _everything(town: Any) -> list[Any]:
    """All rows of the first tenant, in the directory and in the control database."""
    tenant_id, tenant = next(iter(town.numbers.items()))
    found: list[Any] = []
    with town.services.directories.read(tenant_id) as connection:
        found += [connection.execute(table.select()).all() for table in directory_tables.directory.sorted_tables]
    with town.services.control.read() as connection:
        for table in control_tables.control.sorted_tables:
            if "tenant" in table.c:
                found.append(connection.execute(table.select().where(table.c.tenant == tenant)).all())
    return found


class TestTheTable:
    def test_names_each_operation_once(self) -> None:
        """No operation has two rows, and every row's handler exists."""
        rows = [(route.method, route.template) for route in ROUTES]
        assert len(rows) == len(set(rows))
        for route in ROUTES:
            assert callable(route.resolve()), route.handler

    def test_has_every_operation_of_the_synchronization_api(self) -> None:
        """The 22 operations on profiles, their status and their errors that are served are all there and built."""
        found = {name(route) for route in ROUTES if "synchronizationProfiles" in route.template}
        one = "/education/synchronizationProfiles/{profile}"
        wanted = {
            *(f"{method} /education/synchronizationProfiles" for method in ("GET", "POST", "PUT")),
            "GET /education/synchronizationProfiles/$count",
            *(f"{method} {one}" for method in ("GET", "PUT", "PATCH", "DELETE")),
            *(f"POST {one}/{action}" for action in ("pause", "resume", "reset", "start")),
            f"GET {one}/uploadUrl",
            *(f"{method} {one}/profileStatus" for method in ("GET", "PATCH", "DELETE")),
            *(f"{method} {one}/errors" for method in ("GET", "POST")),
            f"GET {one}/errors/$count",
            *(f"{method} {one}/errors/{{error}}" for method in ("GET", "PATCH", "DELETE")),
        }
        assert found == wanted

    def test_keeps_creating_and_deleting_profiles_from_applications(self) -> None:
        """Creating, replacing, changing and deleting a profile is for delegated tokens alone."""
        closed = [
            route
            for route in ROUTES
            if route.template in {"education/synchronizationProfiles", "education/synchronizationProfiles/{profile}"}
            and route.method != "GET"
        ]
        assert len(closed) == 5
        assert all(route.application == () and route.delegated == (Permission.ADMIN_WRITE,) for route in closed)

    def test_keeps_lists_of_people_from_delegated_tokens(self) -> None:
        """A person's token never lists the people of a school or of the tenant."""
        for template in ("education/users", "education/users/$count", "education/schools/{school}/users"):
            row = next(route for route in ROUTES if (route.method, route.template) == ("GET", template))
            assert row.delegated == ()
