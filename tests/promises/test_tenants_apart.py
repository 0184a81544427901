"""Promise 7: One tenant can neither see nor slow another."""

from __future__ import annotations

from pathlib import Path

import pytest

from schoolsync.testing import rosters

from ..acceptance.house import BEGUN, Server, Tenant
from ..acceptance.own import own
from ..acceptance.rosters import DISTRICT

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]


def test_a_stranger_sees_nothing(tenant: Tenant) -> None:
    """Every id of one tenant is not found by another, whatever its tokens may do at home, and its lists are empty."""
    profile = tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    there, other = tenant.objects(), Tenant(tenant.server)
    assert not any(other.objects().values())
    for kind in ("schools", "classes", "users"):
        for key in there[kind]:
            other.reader.refusal("GET", f"/{kind}/{key}", 404)
            other.reader.refusal("DELETE", f"/{kind}/{key}", 404)
    for method, tail in (
        ("GET", ""),
        ("GET", "/profileStatus"),
        ("POST", "/start"),
        ("POST", "/reset"),
        ("DELETE", ""),
    ):
        other.admin.refusal(method, profile.path + tail, 404)
    stranger = own(other, "viewer", "operator", "approver", "admin", "auditor")
    for tail in ("", "/runs", "/runs/1", "/runs/1/plan", "/settings"):
        stranger.refusal("GET", f"/profiles/{profile.id}{tail}", 404)
    assert tenant.objects() == there


def test_a_small_district_does_not_wait_for_a_large_one(server: Server, tmp_path: Path) -> None:
    """Its sync begins and ends while the large one's is at work."""
    rosters.write(tmp_path, people=60_000, classes=6000, enrollments=300_000, seed=7)
    large, small = Tenant(server).profile(), Tenant(server).profile()
    large.upload({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    large.api("POST", f"{large.path}/start")
    assert small.sync(DISTRICT.files())["status"] == "success"
    assert large.status()["status"] in BEGUN
    assert large.wait(seconds=180)["status"] == "success"
