"""Profiles that synchronize without anybody's start: when an upload is whole, at times, and from a watched folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .house import Profile, Server, Tenant, command, serving, until
from .own import own
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("own-api")


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that looks into a folder."""
    folder = tmp_path_factory.mktemp("watching")
    (folder / "in").mkdir()
    with serving(folder, settings={"watch_folder": folder / "in"}) as running:
        yield running


def scheduled(server: Server, **schedule: object) -> Profile:
    profile = Tenant(server).profile()
    admin = own(profile.tenant, "admin")
    given = {"timeZone": "Europe/Oslo", "schedule": {"quietSeconds": 1, **schedule}}
    admin("PATCH", f"/profiles/{profile.id}/settings", given, expect=200)
    return profile


def done(profile: Profile, number: int, cause: str) -> None:
    viewer = own(profile.tenant, "viewer")

    def look() -> bool:
        runs = viewer.get(f"/profiles/{profile.id}/runs")["value"]
        return bool(runs) and (runs[0]["number"], runs[0]["cause"], runs[0]["state"]) == (number, cause, "done")

    until(f"run {number} is done", look)


def test_uploading_is_enough(watching: Server) -> None:
    """With onUpload nobody calls start; the next upload is the next run."""
    profile = scheduled(watching, onUpload=True)
    profile.upload(DISTRICT.files())
    done(profile, 1, "upload")
    assert profile.status()["status"] == "success"
    profile.upload(DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003").files())
    done(profile, 2, "upload")


def test_a_watched_folder_is_enough(watching: Server, tmp_path: Path) -> None:
    """Files that are moved into the profile's folder are synchronized and stay where they are."""
    profile = scheduled(watching)
    for name, text in DISTRICT.files().items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    place = watching.data.parent / "in" / profile.tenant.id / profile.id
    place.parent.mkdir()
    shutil.copytree(tmp_path, place)
    done(profile, 1, "watch")
    assert profile.status()["status"] == "success"
    assert {path.name for path in place.iterdir()} == set(DISTRICT.files())


def test_metrics_tell_of_ones_own_tenant(watching: Server) -> None:
    """Ages and endings come from the ledger of runs, in a form that Prometheus reads; nobody else's are there."""
    profile = Tenant(watching).profile()
    idle = Tenant(watching).profile()
    viewer = own(profile.tenant, "viewer")
    named = f'profile="{profile.id}"'
    assert "schoolsync_profile_age_seconds{" not in viewer("GET", "/metrics", expect=200).text
    profile.api("PATCH", f"{profile.path}/profileStatus", {"lastSynchronizationDateTime": "2026-01-01T00:00:00Z"})
    assert "schoolsync_profile_age_seconds{" not in viewer("GET", "/metrics", expect=200).text
    assert profile.sync(DISTRICT.files())["status"] == "success"
    scraped = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}
    text = viewer("GET", "/metrics", expect=200, headers=scraped).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert 0 <= float(values[f"schoolsync_profile_age_seconds{{{named}}}"]) < 600
    assert values[f'schoolsync_runs_ended_total{{{named},state="done"}}'] == "1"
    assert values[f"schoolsync_profile_quarantined{{{named}}}"] == "0"
    assert idle.id not in text
    documented = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    helped = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]
    assert helped
    assert all(f"`{name}`" in documented for name in helped)


def test_trying_again_on_request(watching: Server) -> None:
    """restart begins a run that looks at everything although nothing has changed; the ladder shows its numbers."""
    profile = Tenant(watching).profile()
    viewer, operator = own(profile.tenant, "viewer"), own(profile.tenant, "operator", user=None)
    path = f"/profiles/{profile.id}"
    assert operator.refusal("POST", f"{path}/restart", 409, {"scope": "failedItems"})["message"]
    assert profile.sync(DISTRICT.files())["status"] == "success"
    assert viewer.refusal("POST", f"{path}/restart", 403, {"scope": "failedItems"})
    assert operator.refusal("POST", f"{path}/restart", 400, {"scope": "some"})
    operator("POST", f"{path}/restart", {"scope": "failedItems"}, expect=202)
    done(profile, 2, "again")
    assert not viewer.get(f"{path}/runs/2")["unchanged"]
    shown = viewer.get(f"{path}/quarantine")
    assert (shown["quarantined"], shown["limits"]["failedPercent"]) == (False, 40.0)
    named = ["--data-dir", watching.data, "--tenant", profile.tenant.id, "--profile", profile.id]
    assert command("restart", *named, "--scope", "everything").stdout.startswith("run 3  ")
    done(profile, 3, "reset")


def test_the_next_time_is_known(watching: Server) -> None:
    """freshness says when the schedule comes next; what is no schedule is refused with its place."""
    profile = scheduled(watching, cron="30 5 * * *")
    viewer, admin = own(profile.tenant, "viewer"), own(profile.tenant, "admin")
    due = viewer.get(f"/profiles/{profile.id}/freshness")["nextDue"]
    assert due.endswith(("T03:30:00Z", "T04:30:00Z"))
    wrong = {"schedule": {"cron": "every morning"}}
    error = admin.refusal("PATCH", f"/profiles/{profile.id}/settings", 400, wrong)
    assert "five fields" in error["message"]
    admin("PATCH", f"/profiles/{profile.id}/settings", {"schedule": None}, expect=200)
    assert viewer.get(f"/profiles/{profile.id}/freshness")["nextDue"] is None
