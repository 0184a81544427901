"""Testing a profile's connection: whether it can get at its roster, said in the API, on the command line and in the
console."""

from __future__ import annotations

import json

import pytest

from .house import Server, Tenant, creation, until
from .own import own
from .rosters import DISTRICT
from .typing_here import typed_here


@pytest.mark.nightly("postgresql")
def test_whether_a_profile_can_get_at_its_roster(server: Server) -> None:
    """Before a file has come, while files wait, when one of them is empty or missing, and after a run."""
    tenant = Tenant(server)
    profile = tenant.profile()
    viewer = own(tenant, "viewer")
    where = ["--tenant", tenant.id, "--server", server.base, "--data-dir", server.data, "--user", "ada@skole.example"]

    def told(name: str) -> list[tuple[str, str]]:
        found = viewer.get(f"/profiles/{profile.id}/connection")
        assert found["works"] == all(one["level"] != "error" for one in found["checks"])
        return [(one["level"], one["message"]) for one in found["checks"] if one["check"] == name]

    assert [level for name in ("profile", "storage") for level, _ in told(name)] == ["ok", "ok"]
    ((level, said),) = told("upload")
    assert (level, "No file has come yet" in said) == ("warning", True)
    assert told("last upload") == []

    files = DISTRICT.files()
    profile.upload(files)
    ((level, said),) = told("upload")
    assert level == "ok"
    assert f"{len(files)} files wait" in said
    assert profile.sync(files)["status"] == "success"
    ((level, said),) = told("last upload")
    assert (level, "read as sds-v1 by run 1, which is done" in said.lower()) == ("ok", True), said
    assert told("upload") == [("ok", "No new file waits: the profile goes on with its last upload.")]

    profile.upload({"School.csv": files["School.csv"], "Student.csv": b""})
    levels = dict(told("upload"))
    assert "Nothing is in Student.csv" in levels["error"]
    assert "Section.csv" in levels["warning"]
    typed = typed_here("profile", "test", "Nordkapp", *where)
    assert typed.status == 1
    assert "error    upload: Nothing is in Student.csv" in typed.stdout

    provider = {
        "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
        "connectionUrl": "https://sis.example/ims/oneroster/v1p1",
        "providerName": "Sis",
        "schoolsIds": ["1"],
        "termIds": [],
        "connectionSettings": {
            "@odata.type": "#microsoft.graph.educationSynchronizationOAuth2ClientCredentialsConnectionSettings",
            "clientId": "client",
            "clientSecret": "secret of the SIS",
            "tokenUrl": "https://sis.example/token",
            "scope": "roster",
        },
    }
    api = tenant.profile({**creation(displayName="From an API"), "dataProvider": provider})
    typed = typed_here("profile", "test", "From an API", "--json", *where)
    found = json.loads(typed.stdout)
    assert (typed.status, found["works"], found["profile"]) == (1, False, api.id)
    (check,) = found["checks"]
    assert "cannot read from a OneRoster API server yet" in check["message"]
    status = until("its first run has ended", lambda: api.status() if api.status()["status"] == "error" else None)
    assert status["statusMessage"] == check["message"], "whoever looks at the status is told the same"
    refused = api.tenant.admin("POST", f"/synchronizationProfiles/{api.id}/start", expect=400).json()
    assert refused["error"]["message"].endswith("this release reads from no server.")
    own(Tenant(server), "viewer").refusal("GET", f"/profiles/{profile.id}/connection", 404)
