"""What failed is tried again in one school or of one kind, before the whole profile, by API, by command, by itself."""

from __future__ import annotations

import html
import json
from datetime import datetime, timedelta

import httpx
import pytest

from .house import Json, Profile, Server, Tenant, matching, until
from .own import own
from .rosters import DISTRICT
from .test_matching import USERNAMES, by_hand
from .typing_here import typed_here
from .visits import vouched

pytestmark = pytest.mark.xdist_group("own-api")

FIRST = DISTRICT.with_rows("students", {**DISTRICT.students[0], "SIS ID": "3007", "Username": "leaves"})
LATER = (
    FIRST.without("students", SIS_ID="3007")
    .changed("students", "3001", Grade="8")
    .changed("students", "3004", Grade="9")
    .changed("sections", "M1", Course_Number="MAT9")
)
"""Pupils of both schools and a class have changed, and somebody has left."""
MISSING = ("asilva", "asilva2")
"""Pupils of one school who have no accounts."""


def test_a_school_then_a_kind(server: Server) -> None:
    """Only what belongs to it is tried again; the profile's status and its last synchronization stay as they were."""
    tenant = Tenant(server)
    profile = tenant.profile()
    path = f"/profiles/{profile.id}"
    guards = {"guards": {"removalLeast": 0, "removalPercent": 0}}
    own(tenant, "admin")("PATCH", f"{path}/settings", guards, expect=200)
    operator = own(tenant, "operator", user=None)
    assert profile.sync(FIRST.files())["status"] == "success"
    good = profile.status()

    def ended(number: int) -> tuple[object, ...]:
        run = until(f"run {number} ends", lambda: (r := operator.get(f"{path}/runs/{number}"))["ended"] and r)
        return run["state"], run["cause"], run["steps"]

    def there() -> tuple[str, str, str]:
        people = {(one["student"] or one["teacher"])["externalId"]: one for one in tenant.reader.all("/users")}
        (course,) = [one["course"] for one in tenant.reader.all("/classes") if one["externalId"] == "M1"]
        return people["3001"]["student"]["grade"], people["3004"]["student"]["grade"], course["courseNumber"]

    # A guard holds the whole upload, and somebody discards it: nothing of it is there.
    assert profile.sync(LATER.files())["status"] == "validationError"
    assert "held" in operator.refusal("POST", f"{path}/restart", 409, {"kind": "teacher"})["message"]
    operator("POST", f"{path}/runs/2/discard", {}, expect=200)
    assert there() == ("7", "7", "MAT1")

    operator("POST", f"{path}/restart", {"school": "200"}, expect=202)
    assert ended(3) == ("done", "one", {"people": {"update": 1}})
    assert there() == ("7", "9", "MAT1")

    words = ("--tenant", tenant.id, "--profile", profile.id, "--json")
    done = server.command("restart", *words, "--kind", "class")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["number"] == 4
    assert ended(4) == ("done", "one", {"classes": {"update": 1}})
    assert there() == ("7", "9", "MAT9")
    assert operator.get(f"{path}/runs/4")["message"].startswith("Synchronized all classes alone: ")
    names = ("status", "lastSynchronizationDateTime", "errorCount")
    assert [profile.status()[name] for name in names] == [good[name] for name in names]

    for body, status in (
        ({"school": "no-such-school"}, 404),
        ({"school": " "}, 400),
        ({"kind": "school"}, 400),
        ({"school": "100", "kind": "class"}, 400),
        ({"school": "100", "scope": "quarantine"}, 400),
        ({"kind": "class", "scope": "everything"}, 400),
    ):
        operator.refusal("POST", f"{path}/restart", status, body)
    own(tenant, "viewer").refusal("POST", f"{path}/restart", 403, {"school": "100"})
    own(Tenant(server), "admin").refusal("POST", f"{path}/restart", 404, {"school": "100"})
    database = {} if server.database_url is None else {"SCHOOLSYNC_DATABASE_URL": server.database_url}
    for wrong in (("--kind", "planet"), ("--school", "100", "--scope", "everything")):
        assert typed_here("restart", *words, *wrong, "--data-dir", server.data, **database).status == 2

    # Who has left goes with all students, and the guard holds that as it held the whole.
    operator("POST", f"{path}/restart", {"kind": "student"}, expect=202)
    until("it is held", lambda: operator.get(f"{path}/runs/5")["state"] == "held")


def what_failed(profile: Profile, http: httpx.Client, page: str) -> None:
    """Who could not be synchronized, and why: by our own API, as a command, in the console; and to whom it is told."""
    viewer, path = own(profile.tenant, "viewer"), f"/profiles/{profile.id}/errors"
    graph = {one["id"]: one for one in profile.api.all(f"{profile.path}/errors")}
    told = viewer.get(path)["value"]
    assert [{**one, "run": 1} for one in told] == told
    for one in told:
        for name in ("entryType", "errorCode", "errorMessage", "reportableIdentifier", "joiningValue"):
            assert one[name] == graph[one["id"]][name]
    assert len(told) == len(graph) == profile.status()["errorCount"]
    first = viewer.get(f"{path}?limit=2")
    assert [one["id"] for one in first["value"]] == [one["id"] for one in told[:2]]
    further = viewer.get(first["nextLink"].partition("/schoolsync/v1")[2])["value"]
    assert [one["id"] for one in further] == [one["id"] for one in told[2:4]]
    students = viewer.get(f"{path}?kind=Student")["value"]
    missing = {row["SIS ID"] for row in DISTRICT.students if row["Username"] in MISSING}
    assert {one["reportableIdentifier"] for one in students} == missing
    pupil = students[0]["reportableIdentifier"]
    of_one = [one for one in told if pupil in {one["reportableIdentifier"], one["joiningValue"]}]
    assert viewer.get(f"{path}?object={pupil}")["value"] == of_one
    causes = viewer.get(f"{path}/causes")["value"]
    assert sum(one["count"] for one in causes) == len(told)
    assert [one["count"] for one in causes if one["entryType"] == "Student"] == [2]
    own(profile.tenant, "auditor").refusal("GET", path, 403)
    viewer.refusal("GET", f"{path}?after=x", 400)
    server = profile.tenant.server
    where = ("--server", server.base, "--data-dir", server.data, "--tenant", profile.tenant.id, "--profile", profile.id)
    typed = typed_here("errors", "--kind", "Student", *where)
    assert typed.stdout.count("\n") == typed.stdout.count("Student 3") == 2, typed
    assert typed_here("errors", "--by", "cause", *where).stdout.count(" × ") == len(causes)
    assert typed_here("errors", "--by", "cause", "--kind", "Student", *where).status == 2
    assert f'href="/console{path}"' in page
    shown = http.get(f"/console{path}?kind=Student").text
    assert causes[0]["errorMessage"] in html.unescape(shown)
    assert all(f"<b>{one['reportableIdentifier']}</b>" in shown for one in students)


def test_a_school_that_fails_is_set_aside_before_the_profile_is_quarantined(server: Server) -> None:
    """It is shown with its numbers wherever a profile is; tried again alone it fails again, then is mended."""
    tenant = Tenant(server)
    for name in USERNAMES:
        if name not in MISSING:
            by_hand(tenant, name)
    profile = tenant.profile(matching())
    path = f"/profiles/{profile.id}"
    own(tenant, "admin")("PATCH", f"{path}/settings", {"quarantine": {"failedLeast": 2}}, expect=200)
    operator = own(tenant, "operator", user=None)
    final = profile.sync(DISTRICT.files())
    assert final["status"] == "error", "a quarter of the people is not too much for the whole profile"
    assert "Set aside, to be tried again alone: school 200 (2 of 3 students failed, 67 %)." in final["statusMessage"]

    def aside() -> list[Json]:
        found = operator.get(f"{path}/quarantine")
        assert not found["quarantined"]
        return list(found["aside"])

    def ended() -> Json:
        run: Json = until("it ends", lambda: (r := operator.get(f"{path}/runs")["value"][0])["ended"] and r)
        return run

    (part,) = aside()
    assert (part["school"], part["kind"], part["failed"], part["seen"], part["tries"]) == ("200", None, 2, 3, 0)
    waits = datetime.fromisoformat(part["nextTry"]) - datetime.fromisoformat(part["since"])
    assert waits == timedelta(hours=6)
    assert operator.get(f"{path}/freshness")["nextDue"] == part["nextTry"]
    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": tenant.id})
        csrf = vouched(http, tenant, "operator").text.partition('name="csrf" value="')[2].partition('"')[0]
        page = http.get(f"/console{path}").text
        assert "2 of 3 students failed, 67 %" in page.partition('id="aside"')[2]
        what_failed(profile, http, page)
        pressed = {"csrf": csrf, "what": "retry", "school": "200"}
        assert http.post(f"/console{path}/do", data=pressed).url.path == f"/console{path}"
    assert (ended()["number"], ended()["cause"], ended()["state"]) == (2, "one", "done")
    assert [part["tries"] for part in aside()] == [1]
    told = server.command("freshness", "--tenant", tenant.id)
    assert "set aside: school 200 (2 of 3 students failed, 67 %), tried again " in told.stdout
    for name in MISSING:
        by_hand(tenant, name)
    operator("POST", f"{path}/restart", {"school": "200"}, expect=202)
    assert ended()["state"] == "done"
    assert aside() == []
    there = {user["mailNickname"]: user for user in tenant.reader.all("/users")}
    assert {there[name]["student"]["externalId"] for name in MISSING} == {"3004", "3006"}
