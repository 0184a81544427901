"""Promise 5: What was removed can be put back for 30 days with the same id and memberships."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..acceptance.house import Profile, Tenant, until
from ..acceptance.own import own
from ..acceptance.rosters import DISTRICT

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]

FEWER = (
    DISTRICT.without("students", SIS_ID="3001")
    .without("enrollments", SIS_ID="3001")
    .without("sections", SIS_ID="M2")
    .without("enrollments", Section_SIS_ID="M2")
    .without("assignments", Section_SIS_ID="M2")
)


def by_roster(profile: Profile) -> None:
    """The next roster has them again."""
    assert profile.sync(DISTRICT.files())["status"] == "success"


def by_undo(profile: Profile) -> None:
    """The run that removed them is taken back."""
    approver = own(profile.tenant, "approver")
    begun = approver("POST", f"/profiles/{profile.id}/runs/2/undo", {"why": "wrong file"}, expect=202).json()
    path = f"/profiles/{profile.id}/runs/{begun['run']}"
    until("the run is taken back", lambda: approver.get(path)["ended"] is not None)
    assert approver.get(path)["state"] == "done"


@pytest.mark.parametrize("way", [by_roster, by_undo])
@pytest.mark.parametrize("leaving", [{}, {"student": "disabled"}], ids=["inactive", "disabled"])
def test_a_pupil_and_a_class_come_back(tenant: Tenant, way: Callable[[Profile], None], leaving: dict[str, str]) -> None:
    """They have the same ids and memberships as before, whether their accounts were disabled meanwhile or not."""
    profile = tenant.profile()
    settings = {"guards": {"classPercent": 100}, "leaving": leaving}
    own(tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", settings, expect=200)
    assert profile.sync(DISTRICT.files())["status"] == "success"
    before = tenant.objects()
    assert profile.sync(FEWER.files())["status"] == "success"
    assert sum(map(len, tenant.objects()["classes/members"].values())) < 7
    way(profile)
    after = tenant.objects()
    for kind in before:
        assert after[kind].keys() == before[kind].keys(), kind
    for links in ("schools/classes", "schools/users", "classes/members", "classes/teachers"):
        assert after[links] == before[links]
