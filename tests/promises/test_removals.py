"""Promise 2: No removal beyond the profile's limits happens without a named person's yes to that exact plan, and no
script's `resume` counts as one unless the profile says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ..acceptance.house import WRITE, Tenant
from ..acceptance.own import own
from ..acceptance.rosters import DISTRICT

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]


def test_only_a_named_person_releases_a_mass_removal(tenant: Tenant) -> None:
    """Neither resume nor a status that is written, nor the wrong plan, role or token; a yes to this plan does."""
    profile = tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    settings = own(tenant, "viewer").get(f"/profiles/{profile.id}/settings")["settings"]
    assert settings["guards"]["removalPercent"] == 10
    assert settings["guards"]["schoolGone"]
    before = tenant.objects()
    left = replace(
        DISTRICT,
        schools=DISTRICT.schools[:1],
        **{
            kind: tuple(row for row in getattr(DISTRICT, kind) if row["School SIS ID"] == "100")
            for kind in ("sections", "students", "teachers")
        },
        enrollments=DISTRICT.enrollments[:4],
        assignments=DISTRICT.assignments[:2],
    )
    assert profile.sync(left.files())["status"] == "validationError"

    path = f"/profiles/{profile.id}/runs/2"
    plan = own(tenant, "viewer").get(f"{path}/plan")["plan"]
    program = tenant.api(roles=(WRITE + ".All",))
    for script in (tenant.admin, program):
        assert script("POST", f"{profile.path}/resume").status_code in {403, 409}
        assert script("PATCH", f"{profile.path}/profileStatus", {"status": "inProgress"}).status_code in {403, 409}
    given = {"plan": plan, "why": "The school has closed."}
    own(tenant, "operator").refusal("POST", f"{path}/approvals", 403, given)
    own(tenant, "approver", user=None).refusal("POST", f"{path}/approvals", 403, given)
    approver = own(tenant, "approver", user="ada@skole.example")
    approver.refusal("POST", f"{path}/approvals", 409, {**given, "plan": "0" * 64})
    assert tenant.objects() == before

    approver("POST", f"{path}/approvals", given, expect=201)
    assert profile.wait()["status"] == "success"
    (yes,) = approver.get(f"{path}/approvals")["value"]
    assert (yes["plan"], yes["why"]) == (plan, "The school has closed.")
    assert tenant.objects() != before
