"""pause, resume and reset, in rest and in the middle of a run that takes a while."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schoolsync.testing import rosters

from .house import BEGUN, PREFER, Profile, Server, Tenant, command, put_blob, serving, until
from .own import own
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("slow")
BATCHES = "SELECT count(*) FROM batches"


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose batches are so small that a run can be caught at work."""
    with serving(tmp_path_factory.mktemp("slow"), settings={"batch_rows": 60}) as running:
        yield running


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A roster of 1 500 people: at sixty rows a batch it takes some seconds."""
    folder = tmp_path_factory.mktemp("big")
    rosters.write(folder, people=1500, classes=150, enrollments=6000)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same district when a third of it has changed."""
    folder = tmp_path_factory.mktemp("changed")
    rosters.write(folder, people=1500, classes=150, enrollments=6000, churn=0.3)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def profile(slow: Server) -> Profile:
    return Tenant(slow).profile()


def applying(profile: Profile, at_least: int = 3) -> None:
    """Wait until the run has written some batches and has more to write."""
    tenant = profile.tenant

    def begun() -> bool:
        rows = tenant.server.select(tenant.id, BATCHES)
        return bool(rows) and rows[0][0] >= at_least

    until("batches are being applied", begun, pause=0.005)
    assert profile.status()["status"] == "inProgress", "caught too late: the roster is too small for this machine"


def written(profile: Profile) -> int:
    return int(profile.tenant.server.select(profile.tenant.id, BATCHES)[0][0])


def test_a_run_at_work_pauses_between_two_batches_and_goes_on(profile: Profile, big: dict[str, bytes]) -> None:
    """After pause nothing more is written; after resume the run goes on where it stopped and arrives."""
    profile.upload(big)
    profile.start()
    applying(profile)
    answer = profile.api("POST", f"{profile.path}/pause", expect=200)
    assert answer.content == b""
    assert profile.status()["status"] == "paused"
    until("the batch at work is done", lambda: (n := written(profile)) and settled(profile, n))
    stopped = written(profile)
    profile.api("POST", f"{profile.path}/pause", expect=200)
    assert profile.api.refusal("POST", f"{profile.path}/start", 409)["code"] == "Conflict"
    error = profile.api.refusal("PATCH", f"{profile.path}/profileStatus", 409, {"status": "success"})
    assert "paused" in error["message"].lower()
    assert profile.api.refusal("DELETE", f"{profile.path}/profileStatus", 409)["code"] == "Conflict"
    assert written(profile) == stopped
    profile.api("POST", f"{profile.path}/resume", expect=200)
    profile.api("POST", f"{profile.path}/resume", expect=200)
    assert profile.wait()["status"] == "success"
    assert written(profile) > stopped
    assert len(profile.tenant.reader.all("/users?$top=999&$select=id")) == 1500


def settled(profile: Profile, before: int) -> bool:
    time.sleep(0.4)
    return written(profile) == before


def test_while_a_run_works(profile: Profile, big: dict[str, bytes]) -> None:
    """Uploads are blocked, a start is the same start, other words about the status are refused, equal ones are not."""
    link = profile.api.get(f"{profile.path}/uploadUrl")["value"]
    profile.upload(big)
    first = profile.start()
    applying(profile)
    assert profile.api.refusal("GET", f"{profile.path}/uploadUrl", 409)["code"] == "Conflict"
    blocked = put_blob(profile.tenant.server, link, "School.csv", DISTRICT.files()["School.csv"])
    assert blocked.status_code == 409
    assert blocked.headers["x-ms-error-code"]
    assert profile.start()["value"] == first["value"]
    path = f"{profile.path}/profileStatus"
    for status in ("success", "error", "quarantined", "unknownFutureValue"):
        error = profile.api.refusal("PATCH", path, 409, {"status": status})
        assert error["code"] == "Conflict"
    shown = profile.api.get(path, headers=PREFER)
    assert shown["status"] in BEGUN
    same = {"status": shown["status"], "statusMessage": "mine"}
    assert profile.api("PATCH", path, same, expect=200, headers=PREFER).json()["status"] == shown["status"]
    assert profile.api.refusal("DELETE", path, 409)["code"] == "Conflict"
    assert profile.wait()["status"] == "success"
    assert profile.status()["statusMessage"] != "mine", "our own next word replaces what a caller said"
    assert profile.api.get(f"{profile.path}/uploadUrl")["value"]


def test_pausing_and_resuming_by_writing_the_status(profile: Profile, big: dict[str, bytes]) -> None:
    """PATCH `paused` stops a run at work and PATCH `inProgress` lets it go on."""
    path = f"{profile.path}/profileStatus"
    profile.upload(big)
    profile.start()
    applying(profile)
    assert profile.api("PATCH", path, {"status": "paused"}, expect=200).json()["status"] == "paused"
    until("the batch at work is done", lambda: (n := written(profile)) and settled(profile, n))
    assert profile.status()["status"] == "paused"
    assert profile.api("PATCH", path, {"status": "inProgress"}, expect=200).json()["status"] in BEGUN
    assert profile.wait()["status"] == "success"


def test_a_reset_in_the_middle_begins_anew_and_removes_nothing(profile: Profile, big: dict[str, bytes]) -> None:
    """reset during a run: the run is left, another one from the same files ends in the same result."""
    profile.upload(big)
    profile.start()
    applying(profile)
    answer = profile.api("POST", f"{profile.path}/reset", expect=200)
    assert answer.content == b""
    status = profile.status()
    assert status["status"] in BEGUN
    assert status["errorCount"] == 0
    assert profile.wait()["status"] == "success"
    assert len(profile.tenant.reader.all("/users?$top=999&$select=id")) == 1500


def test_cancelling_in_the_middle_lists_what_arrived_and_can_be_undone(profile: Profile, big: dict[str, bytes]) -> None:
    """cancel ends a run within one batch; its plan tells what is in the directory from what is not; undo and a new
    start both find their way from there."""
    tenant = profile.tenant
    operator, admin = own(tenant, "operator"), own(tenant, "admin")
    path = f"/profiles/{profile.id}/runs/1"
    profile.upload(big)
    profile.start()
    applying(profile)
    own(tenant, "viewer").refusal("POST", f"{path}/cancel", 403, {})
    at_most = written(profile) + 2  # one may be written while the request is under way
    operator("POST", f"{path}/cancel", {"why": "the wrong term"}, expect=202)
    until("the run is cancelled", lambda: operator.get(path)["state"] == "cancelled")
    stopped = written(profile)
    assert stopped <= at_most + 1
    operator("POST", f"{path}/cancel", {}, expect=202)
    plan = operator.get(f"{path}/plan")
    assert (plan["state"], plan["undoable"], plan["batchesApplied"]) == ("cancelled", True, stopped)
    assert 0 < plan["rowsApplied"] < plan["rows"]
    assert plan["message"].endswith(": the wrong term")
    done = operator.get(f"{path}/plan/steps?applied=true&count=true&limit=1")
    rest = operator.get(f"{path}/plan/steps?applied=false&count=true&limit=1")
    assert (done["count"], done["count"] + rest["count"]) == (plan["rowsApplied"], plan["rows"])
    assert rest["value"][0]["number"] == plan["rowsApplied"]
    shown = profile.status()
    assert (shown["status"], "cancelled" in shown["statusMessage"]) == ("error", True)
    people = tenant.server.select(tenant.id, "SELECT count(*) FROM people WHERE active")[0][0]
    admin("POST", f"{path}/undo", {}, expect=202)
    until("it is taken back", lambda: operator.get(f"/profiles/{profile.id}/runs/2")["state"] in {"done", "held"})
    undone = operator.get(f"/profiles/{profile.id}/runs/2")
    if undone["state"] == "held":  # so many removals want a person's yes
        own(tenant, "approver")("POST", f"{undone_path(profile)}/approvals", {"plan": undone["plan"]}, expect=201)
        until("it is taken back", lambda: operator.get(undone_path(profile))["state"] == "done")
    if people:
        assert tenant.server.select(tenant.id, "SELECT count(*) FROM people WHERE active") == [(0,)]
    assert written(profile) > stopped
    assert operator.refusal("POST", f"{undone_path(profile)}/cancel", 409, {})["code"]
    assert profile.sync(big)["status"] == "success"
    assert len(tenant.reader.all("/users?$top=999&$select=id")) == 1500


def undone_path(profile: Profile) -> str:
    return f"/profiles/{profile.id}/runs/2"


@pytest.mark.nightly
def test_cancelling_what_waits_changes_nothing(profile: Profile, big: dict[str, bytes]) -> None:
    """A paused run that is cancelled ends at once, and the profile stays paused until it is resumed."""
    operator = own(profile.tenant, "operator")
    path = f"/profiles/{profile.id}/runs/1"
    profile.upload(big)
    profile.start()
    profile.api("POST", f"{profile.path}/pause", expect=200)
    until("the run is paused", lambda: operator.get(path)["state"] == "paused")
    named = ["--data-dir", profile.tenant.server.data, "--tenant", profile.tenant.id, "--profile", "Nordkapp"]
    listed = command("runs", *named)
    assert listed.stdout.startswith("run 1  paused  "), listed
    ended = command("cancel", *named, "--why", "not today")
    assert (ended.returncode, ended.stdout.startswith("run 1  cancelled  ")) == (0, True), ended
    assert command("cancel", *named).returncode == 2, "no run is open"
    assert operator.get(path)["message"].endswith(": not today")
    assert profile.status()["status"] == "paused"
    profile.api("POST", f"{profile.path}/resume", expect=200)
    assert operator.get(f"/profiles/{profile.id}/freshness")["lastGood"] is None
    profile.api("PATCH", f"{profile.path}/profileStatus", {"lastSynchronizationDateTime": "2026-01-01T00:00:00Z"})
    fresh = ["freshness", "--data-dir", profile.tenant.server.data, "--tenant", profile.tenant.id]
    assert "last good never" in command(*fresh).stdout, "what a caller reports is not what a run did"
    profile.upload(big)
    profile.start()
    watched = command("runs", *named, "--follow")
    assert re.fullmatch(r"run 2  done  .+\n", watched.stdout), "what is told on the way goes to standard error"
    assert re.search("^(queued|extracting|validating|planning|applying)", watched.stderr, re.MULTILINE)
    assert watched.stderr.replace("\n", "").isprintable()
    assert profile.wait()["status"] == "success"
    watched = command("runs", *named, "--follow", "--json")
    assert json.loads(watched.stdout)["state"] == "done"
    assert json.loads(command(*fresh, "--json").stdout)["ageSeconds"] < 600


def test_deleting_a_profile_in_the_middle_leaves_what_arrived(profile: Profile, big: dict[str, bytes]) -> None:
    """DELETE during a run ends the run; the people who arrived stay, the uploaded files do not."""
    tenant = profile.tenant
    profile.upload(big)
    profile.start()
    applying(profile)
    profile.api("DELETE", profile.path, expect=202)
    until("it is gone", lambda: profile.api("GET", profile.path).status_code == 404)
    before = written(profile)
    assert settled(profile, before), "nothing more is written"
    folder = tenant.server.data / "objects" / "tenants" / tenant.id / "profiles" / profile.id
    until("its files are gone", lambda: not any(path.is_file() for path in Path(folder).rglob("*")))
    again = tenant.profile()
    assert again.sync(big)["status"] == "success", "and a new profile finishes the work"
    assert len(tenant.reader.all("/users?$top=999&$select=id")) == 1500


def test_at_rest(profile: Profile) -> None:
    """pause and resume of a profile at rest, twice each, and a reset before any upload are 200 and harmless."""
    fresh = before = profile.status()
    for action, shown in (
        ("pause", "paused"),
        ("pause", "paused"),
        ("resume", None),
        ("resume", None),
        ("reset", None),
    ):
        answer = profile.api("POST", f"{profile.path}/{action}", expect=200)
        assert answer.content == b""
        assert "content-type" not in answer.headers
        assert answer.headers["content-length"] == "0"
        after = profile.status()
        assert after["status"] == shown, action
        assert (after == before) == (before["status"] == shown and action != "reset"), "asked twice, nothing changes"
        before = after
    assert profile.sync(DISTRICT.files())["status"] == "success"
    for action, shown in (("pause", "paused"), ("resume", "success")):
        profile.api("POST", f"{profile.path}/{action}", expect=200)
        assert profile.status()["status"] == shown, action
    assert profile.status()["lastSynchronizationDateTime"] != fresh["lastSynchronizationDateTime"]


@pytest.mark.parametrize("action", ["pause", "resume", "reset"])
def test_actions_take_whatever_clients_send_along(profile: Profile, action: str) -> None:
    """Actions without a body tolerate `{}`, a JSON label on nothing, and qualified names."""
    path = f"{profile.path}/{action}"
    profile.api("POST", path, {}, expect=200)
    profile.api("POST", path, content=b"", headers={"Content-Type": "application/json"}, expect=200)
    profile.api("POST", f"{profile.path}/microsoft.graph.{action}", expect=200)
    profile.api("POST", path.upper().replace("/SYNC", "/Sync"), expect=200)
    assert profile.api.refusal("GET", path, 405)["code"] == "Request_BadRequest"


def test_two_profiles_share_a_slow_server_fairly(slow: Server, big: dict[str, bytes]) -> None:
    """While one tenant's run works, another tenant reads, writes and reports without waiting for it."""
    busy = Tenant(slow).profile()
    busy.upload(big)
    busy.start()
    applying(busy)
    other = Tenant(slow)
    began = time.monotonic()
    profile = other.profile()
    profile.api("PATCH", f"{profile.path}/profileStatus", {"status": "success"}, expect=200)
    assert other.reader.get("/users")["value"] == []
    took = time.monotonic() - began
    assert busy.status()["status"] in BEGUN or took < 5, f"{took:g} seconds, and the other run has ended"
    assert busy.wait()["status"] == "success"


@pytest.mark.nightly(12)
@pytest.mark.parametrize("seed", [11, 12])
def test_whatever_people_press_in_whatever_order(
    slow: Server, big: dict[str, bytes], changed: dict[str, bytes], seed: int
) -> None:
    """Any order of uploads, starts, pauses, resumes, cancels, resets and reports, with processes dying between them, is
    answered in Graph's words, loses no run, and ends with the roster that was sent last; a deletion ends what is open.
    """
    dice = random.Random(seed)
    tenant = Tenant(slow)
    profile = tenant.profile()
    done: list[str] = []

    def press(method: str, tail: str, body: object = None) -> int:
        answer = profile.api(method, profile.path + tail, body)
        done.append(f"{method} {tail} {answer.status_code}")
        assert answer.status_code in {200, 204, 400, 409}, done
        return answer.status_code

    def upload() -> None:
        if press("GET", "/uploadUrl") == 200:
            profile.upload(dice.choice([big, changed]))

    def die() -> None:
        for process in slow.those(dice.choice(["engine", "worker"])):
            done.append(f"kill {process.pid}")
            process.kill()

    def report() -> None:
        status = dice.choice(["paused", "inProgress", "success", "error", "extracting"])
        press("PATCH", "/profileStatus", {"status": status})

    def cancel() -> None:
        operator = own(tenant, "operator")
        newest = operator.get(f"/profiles/{profile.id}/runs?limit=1")["value"]
        if newest:
            answer = operator("POST", f"/profiles/{profile.id}/runs/{newest[0]['id']}/cancel", {})
            done.append(f"cancel {newest[0]['number']} {answer.status_code}")
            assert answer.status_code in {202, 409}, done

    steps: list[Callable[[], object]] = [
        *[upload] * 2,
        *[lambda: press("POST", "/start")] * 3,
        *[lambda: press("POST", "/pause"), report, die, lambda: press("DELETE", "/profileStatus")],
        *[lambda: press("POST", "/resume"), cancel] * 2,
        *[lambda: press("POST", "/reset"), lambda: time.sleep(dice.random())],
    ]
    upload()
    for _ in range(25):
        dice.choice(steps)()
    assert press("POST", "/resume") == 200
    until("no run is at work", lambda: profile.api("GET", f"{profile.path}/uploadUrl").status_code == 200)
    assert profile.sync(changed)["status"] == "success", done
    active = tenant.server.select(tenant.id, "SELECT count(*) FROM people WHERE active")
    links = tenant.server.select(tenant.id, "SELECT count(*) FROM class_people")
    assert (active, links) == ([(1500,)], [(6000,)]), done
    roster = {row["SIS ID"]: row for row in csv.DictReader(io.StringIO(changed["Student.csv"].decode()))}
    shown = tenant.reader.all("/users?$top=999&$filter=primaryRole eq 'student'")
    present = {user["student"]["externalId"]: user for user in shown}
    for number, row in roster.items():
        assert present[number]["surname"] == row["Last Name"], done
    for _ in range(5):
        dice.choice(steps)()
    profile.api("DELETE", profile.path, expect=202)
    until("the profile is gone", lambda: profile.api("GET", profile.path).status_code == 404)
    assert tenant.server.control("SELECT count(*) FROM runs WHERE profile = ?", profile.id) == [(0,)], done
