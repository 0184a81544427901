"""Dry runs: what would change is shown step by step, nothing is touched, and exactly that can be applied."""

from __future__ import annotations

import httpx
import pytest

from .house import Json, Profile, Server, Tenant, put_blob, until
from .own import Own, own
from .rosters import DISTRICT, Roster

pytestmark = pytest.mark.xdist_group("own-api")

MORE = DISTRICT.changed("students", "3001", Grade="8").without("enrollments", SIS_ID="3004")


@pytest.fixture
def profile(server: Server) -> Profile:
    """A profile that was synchronized once."""
    made = Tenant(server).profile()
    assert made.sync(DISTRICT.files())["status"] == "success"
    return made


def preview(profile: Profile, roster: Roster, asking: Own | None = None) -> Json:
    """The preview of a roster, finished."""
    asking = asking or own(profile.tenant, "operator", user=None)
    path = f"/profiles/{profile.id}/previews"
    made = asking("POST", path, expect=201).json()
    asking.refusal("POST", f"{path}/{made['id']}/start", 409)
    for name, content in roster.files().items():
        assert put_blob(profile.tenant.server, httpx.URL(made["uploadUrl"]), name, content).status_code == 201
    begun = asking("POST", f"{path}/{made['id']}/start", expect=202).json()
    assert begun["preview"]
    assert asking("POST", f"{path}/{made['id']}/start", expect=202).json()["id"] == made["id"]
    late = put_blob(profile.tenant.server, httpx.URL(made["uploadUrl"]), "School.csv", "too late")
    assert late.status_code in {404, 409}

    def ended() -> Json | None:
        run = asking.get(f"/profiles/{profile.id}/runs/{made['id']}")
        return run if run["ended"] else None

    return until("the preview is there", ended)


def everything(profile: Profile) -> list[object]:
    viewer = own(profile.tenant, "viewer")
    status = profile.status()
    return [
        status,
        profile.errors(),
        profile.tenant.objects(),
        viewer.all(f"/profiles/{profile.id}/runs"),
        profile.tenant.server.select(profile.tenant.id, "SELECT * FROM positions"),
        profile.tenant.server.select(profile.tenant.id, "SELECT * FROM fences"),
    ]


def test_a_preview_touches_nothing(profile: Profile) -> None:
    """A dry run shows every step; status, errors, runs, the inbox and the directory are as before."""
    profile.upload({"School.csv": "half an upload"})
    before = everything(profile)
    run = preview(profile, MORE)
    assert (run["state"], run["cause"], run["number"]) == ("done", "preview", 0)
    viewer, path = own(profile.tenant, "viewer"), f"/profiles/{profile.id}/runs/{run['id']}"
    steps = viewer.all(f"{path}/plan/steps")
    assert {(step["op"], step["kind"], step["memberSourceId"] or step["sourceId"]) for step in steps} == {
        ("update", "student", "3001"),
        ("unlink", "studentEnrollment", "3004"),
    }
    assert sum(one["count"] for one in viewer.get(f"{path}/plan/schools")["schools"]) == len(steps)
    assert viewer.get(f"{path}/plan")["plan"] == run["plan"]
    assert viewer.all(f"{path}/findings?severity=error") == []
    assert viewer.get(f"{path}/report")["changes"] is not None
    assert everything(profile) == before
    assert preview(profile, MORE)["plan"] == run["plan"]


def test_a_first_preview_creates_nobody(server: Server) -> None:
    """Before anything was ever synchronized a preview shows all that would be made."""
    profile = Tenant(server).profile()
    run = preview(profile, DISTRICT)
    steps = own(profile.tenant, "viewer").all(f"/profiles/{profile.id}/runs/{run['id']}/plan/steps?op=create&limit=7")
    assert {step["kind"] for step in steps} == {"school", "section", "student", "teacher"}
    assert profile.tenant.objects()["users"] == {}
    assert profile.status()["status"] is None


def test_what_a_preview_shows_can_be_applied(profile: Profile) -> None:
    """The run begins with the preview's files, applies its plan, and is a run like any other."""
    run = preview(profile, MORE)
    operator = own(profile.tenant, "operator", user=None)
    path = f"/profiles/{profile.id}/previews/{run['id']}/apply"
    operator.refusal("POST", path, 409, {"plan": "0" * 64})
    own(profile.tenant, "viewer").refusal("POST", path, 403, {"plan": run["plan"]})
    begun = operator("POST", path, {"plan": run["plan"]}, expect=202).json()
    assert profile.wait()["status"] == "success"
    done = operator.get(f"/profiles/{profile.id}/runs/{begun['run']}")
    assert (done["state"], done["plan"], done["number"]) == ("done", run["plan"], 2)
    (pupil,) = profile.tenant.reader.get("/users?$filter=student/externalId eq '3001'")["value"]
    assert pupil["student"]["grade"] == "8"
    profile.api("POST", f"{profile.path}/reset", expect=200)
    assert profile.wait()["status"] == "success"


def test_a_plan_that_has_moved_is_refused(profile: Profile) -> None:
    """Somebody synchronizes between the look and the yes: nothing of the old plan is applied."""
    run = preview(profile, MORE)
    assert profile.sync(DISTRICT.changed("students", "3002", Grade="9").files())["status"] == "success"
    before = profile.tenant.objects()
    operator = own(profile.tenant, "operator", user=None)
    path = f"/profiles/{profile.id}/previews/{run['id']}/apply"
    begun = operator("POST", path, {"plan": run["plan"]}, expect=202).json()
    refused = until(
        "the run is refused",
        lambda: found if (found := operator.get(f"/profiles/{profile.id}/runs/{begun['run']}"))["ended"] else None,
    )
    assert refused["state"] == "discarded"
    assert "another plan" in refused["message"]
    assert profile.tenant.objects() == before
    assert profile.status()["status"] == "success"


def test_a_preview_of_a_wrong_roster(profile: Profile) -> None:
    """Findings are told with file and line; there is no plan and nothing to apply."""
    before = everything(profile)
    run = preview(profile, DISTRICT.changed("students", "3001", School_SIS_ID="NOWHERE"))
    assert run["state"] == "discarded"
    assert any(message["type"] == "Error" for message in run["verification"])
    viewer, path = own(profile.tenant, "viewer"), f"/profiles/{profile.id}/runs/{run['id']}"
    assert any(one["rule"] == "unknown-reference" for one in viewer.all(f"{path}/findings"))
    viewer.refusal("GET", f"{path}/plan/steps", 404)
    operator = own(profile.tenant, "operator", user=None)
    operator.refusal("POST", f"/profiles/{profile.id}/previews/{run['id']}/apply", 409, {"plan": "0" * 64})
    assert everything(profile) == before


def test_a_guard_speaks_in_a_preview(profile: Profile) -> None:
    """A preview says what would hold the plan, in the words the run would say."""
    own(profile.tenant, "admin")(
        "PATCH", f"/profiles/{profile.id}/settings", {"guards": {"removalLeast": 0}}, expect=200
    )
    run = preview(profile, DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003"))
    plan = own(profile.tenant, "viewer").get(f"/profiles/{profile.id}/runs/{run['id']}/plan")
    assert plan["verdicts"]
    assert run["message"] == plan["message"]
    assert plan["verdicts"][0]["sentence"].rstrip(".") in run["message"]
