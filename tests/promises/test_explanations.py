"""Promise 6: Every change is explainable: which line of which file, which rule, which run, who approved."""

from __future__ import annotations

import pytest

from ..acceptance.house import Tenant
from ..acceptance.own import own
from ..acceptance.rosters import DISTRICT

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]

FEWER = DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003")


def test_one_pupil_comes_and_goes(tenant: Tenant) -> None:
    """Line, rule and run of the coming, and of the going also whose yes it was."""
    profile = tenant.profile()
    own(tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", {"guards": {"removalLeast": 0}}, expect=200)
    assert profile.sync(DISTRICT.files())["status"] == "success"
    viewer, path = own(tenant, "viewer"), f"/profiles/{profile.id}"
    for step in viewer.all(f"{path}/runs/1/plan/steps"):
        assert step["reason"]
        assert step["rule"]
        assert step["line"] >= 2
    (line,) = viewer.get(f"{path}/explain?object=3003")["lines"][:1]
    wanted = next(
        n for n, text in enumerate(DISTRICT.files()["Student.csv"].splitlines(), 1) if text.startswith("3003")
    )
    assert (line["file"], line["line"]) == ("Student.csv", wanted)

    assert profile.sync(FEWER.files())["status"] == "validationError"
    plan = viewer.get(f"{path}/runs/2/plan")["plan"]
    own(tenant, "approver")("POST", f"{path}/runs/2/approvals", {"plan": plan, "why": "moved"}, expect=201)
    assert profile.wait()["status"] == "success"
    told = viewer.get(f"{path}/explain?object=3003")
    happened = {(one["number"], one["step"]["op"], one["step"]["rule"]) for one in told["history"]}
    assert {(1, "create", "new-record"), (2, "remove", "gone")} <= happened
    (gone,) = [one["step"] for one in told["history"] if one["step"]["op"] == "remove"]
    (yes,) = gone["approvedBy"]
    (given,) = viewer.get(f"{path}/runs/2/approvals")["value"]
    assert (given["id"], given["person"], given["why"]) == (yes["approval"], yes["person"], "moved")
