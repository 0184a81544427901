"""The JavaScript Graph client over TLS, as an application in Node.js uses it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schoolsync.graph.types import PRIMITIVES, TYPES, Access

from .house import DOMAIN, ROSTER_READ, WRITE, Server, Tenant, creation
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("tls")
DRIVE = Path(__file__).parent / "js" / "drive.mjs"
Drive = Callable[..., Any]


@pytest.fixture
def drive(secure: Server, node: str) -> Drive:
    """Run a scenario of js/drive.mjs and give what it printed."""

    def run(scenario: str, token: str | None, **given: Any) -> Any:
        answer = subprocess.run(
            [node, DRIVE, scenario],
            input=json.dumps({"base": secure.base, "token": token, **given}),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(secure.certificate)},
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return run


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


def test_refusals_are_graph_errors(drive: Drive, secure_tenant: Tenant, secure: Server) -> None:
    """GraphError carries status, code, message, request id and body for every kind of refusal."""
    profile = secure_tenant.profile()
    path = f"/education{profile.path}"
    calls = {
        "unknown profile": {"method": "GET", "path": f"/education/synchronizationProfiles/{uuid.uuid4()}"},
        "unknown member": {"method": "PATCH", "path": f"{path}/profileStatus", "body": {"colour": 1}},
        "unknown path": {"method": "GET", "path": "/education/lunch"},
        "unknown user": {"method": "GET", "path": f"/education/users/{uuid.uuid4()}"},
        "files missing": {"method": "POST", "path": f"{path}/start"},
        "stale": {
            "method": "PATCH",
            "path": f"{path}/profileStatus",
            "body": {"errorCount": 1},
            "headers": {"If-Match": 'W/"stale"'},
        },
        "wrong method": {"method": "PUT", "path": f"{path}/profileStatus"},
    }
    api = secure_tenant.api(scope=f"{WRITE} EduRoster.ReadWrite")
    seen = drive("refusals", api.token, calls=calls)
    expected = {
        "unknown profile": (404, "NotFound"),
        "unknown member": (400, "BadRequest"),
        "unknown path": (400, "BadRequest"),
        "unknown user": (404, "Request_ResourceNotFound"),
        "files missing": (400, "BadRequest"),
        "stale": (412, "PreconditionFailed"),
        "wrong method": (405, "Request_BadRequest"),
    }
    for name, (status, code) in expected.items():
        problem = seen[name]
        assert problem["isGraphError"], name
        assert problem["statusCode"] == status, (name, problem)
        assert problem["message"], name
        assert problem["requestId"], name
        assert problem["hasBody"], name
        assert problem["code"] == code if code else problem["code"], name

    strangers = drive("refusals", secure_tenant.api(scope="User.Read").token, calls={"forbidden": calls["stale"]})
    assert (strangers["forbidden"]["statusCode"], strangers["forbidden"]["code"]) == (403, "AccessDenied")
    nobody = drive("refusals", "broken", calls={"nobody": calls["stale"]})
    assert (nobody["nobody"]["statusCode"], nobody["nobody"]["code"]) == (401, "InvalidAuthenticationToken")


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
