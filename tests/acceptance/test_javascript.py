"""The JavaScript Graph client over TLS, as an application in Node.js uses it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from schoolsync.graph.types import PRIMITIVES, TYPES, Access

from .conftest import Driven
from .house import DOMAIN, ROSTER_READ, Server, Tenant, creation
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("tls")
Drive = Callable[..., Any]


@pytest.fixture
def drive(secure: Server, driven: Driven) -> Drive:
    """Run a scenario of js/drive.mjs at the server that tests share."""
    return partial(driven, secure)


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_the_main_job_and_the_actions(drive: Drive, secure_tenant: Tenant, version: str) -> None:
    """Create, upload, start, watch, pause, resume, reset and report, without one surprise for the client."""
    report = {"status": "error", "errorCount": 2, "lastSynchronizationDateTime": "2026-11-07T19:12:37.6472621Z"}
    seen = drive(
        "main",
        secure_tenant.admin.token,
        version=version,
        profile=creation(),
        files=DISTRICT.files(),
        report=report,
    )
    assert seen["state"] == "provisioning"
    assert [(item["type"], item["fileName"]) for item in seen["started"]] == [("Warning", "teacher.csv")]
    assert seen["status"]["status"] == "success"
    assert seen["actions"] == {"pause": "", "resume": "", "reset": ""}
    assert {name: seen["patched"][name] for name in report} == report
    assert len(secure_tenant.reader.all("/users")) == 8


def test_lists_over_pages_by_the_page_iterator(drive: Drive, secure_tenant: Tenant) -> None:
    """PageIterator follows every next link of every list: all items, each once, in the server's order."""
    profile = secure_tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    secure_tenant.admin("POST", "/synchronizationProfiles", creation(displayName="Second"), expect=202)
    secure_tenant.admin("POST", "/synchronizationProfiles", creation(displayName="Third"), expect=202)
    for number in range(5):
        profile.api("POST", f"{profile.path}/errors", {"errorCode": str(number)}, expect=201)
    api = secure_tenant.api(roles=("EduAdministration.Read.All", ROSTER_READ))
    school = api.get("/schools")["value"][0]["id"]
    group = next(item["id"] for item in api.all("/classes") if item["externalId"] == "M1")
    paths = [
        "/users",
        "/classes",
        "/schools",
        "/synchronizationProfiles",
        f"/schools/{school}/users",
        f"/schools/{school}/classes",
        f"/classes/{group}/members",
        f"{profile.path}/errors",
    ]
    seen = drive("lists", api.token, paths=[f"/education{path}?$top=1" for path in paths])
    for path in paths:
        ids = seen[f"/education{path}?$top=1"]
        assert len(ids) == len(set(ids))
        assert ids == [item["id"] for item in api.all(path)], path
        assert len(ids) > 1, path
    assert drive("count", api.token, path="/education/users/$count") == "8"


def test_changing_and_deleting(drive: Drive, secure_tenant: Tenant) -> None:
    """PATCH answers the profile; DELETE of status and profile answer nothing that the client could trip over."""
    profile = secure_tenant.profile()
    seen = drive("changes", profile.api.token, path=f"/education{profile.path}")
    assert seen == {"renamed": "Renamed", "status": "", "profile": ""}


def test_the_directory_is_written_followed_and_asked_in_batches(drive: Drive, secure_tenant: Tenant) -> None:
    """Links with Graph's own addresses, delta links, options by the client's methods and its own batches."""
    person: dict[str, Any] = {"displayName": "Ida Lunde", "mailNickname": "ida", "userPrincipalName": f"ida@{DOMAIN}"}
    person |= {"accountEnabled": True, "passwordProfile": {"password": "Fjord-2026-x"}}
    assert drive("directory", secure_tenant.reader.token, person=person) == {
        "linked": "",
        "unlinked": "",
        "statuses": {"1": 200, "2": 400, "3": 424},
        "named": "Ida Lunde",
        "still": True,
        "change": [True, [True]],
        "found": [1, [[True]]],
    }


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_the_metadata_is_understood_by_an_odata_parser(drive: Drive, secure_tenant: Tenant, version: str) -> None:
    """What is declared is what is kept here, and every type that is named anywhere is declared."""
    seen = drive("metadata", secure_tenant.admin.token, version=version)
    assert (seen["version"], seen["namespace"]) == ("4.0", "microsoft.graph")
    declared = {f"microsoft.graph.{name}" for name in (*seen["types"], *seen["enums"])}
    named = {re.sub(r"^Collection\((.*)\)$", r"\1", name) for name in seen["named"] if name}
    assert {name for name in named if not name.startswith("Edm.")} <= declared
    assert {name for name in named if name.startswith("Edm.")} <= {f"Edm.{name}" for name in PRIMITIVES}
    for kind in TYPES.values():
        inherited = TYPES[kind.base].properties if kind.base else {}
        own = [prop for name, prop in kind.properties.items() if name not in inherited]
        kept = [
            prop for prop in own if prop.access is not Access.NOT_KEPT and (version == "beta" or not prop.beta_only)
        ]
        links = {prop.name for prop in kept if prop.access is Access.NAVIGATION}
        told = seen["types"][kind.name]
        assert {name for name, *_ in told["links"]} == links
        assert {name: nullable for name, _, nullable in told["properties"]} == {
            prop.name: prop.nullable for prop in kept if prop.name not in links
        }
    operations = {(name, function) for name, _, function in seen["operations"]}
    actions = {(name, False) for name in ("start", "pause", "resume", "reset")}
    assert operations == actions | {("uploadUrl", True), ("delta", True)}
    assert set(seen["roots"]) == {"education", "users", "groups", "directory"}
    assert ("faculty" in seen["enums"]["educationUserRole"]) == (version == "beta")
