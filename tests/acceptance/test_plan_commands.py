"""`plan`, `apply`, `approve`, `discard`, `undo`, `sync`, `explain` and `rekey`, typed against a real server."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from .house import Json, Profile, Server, Tenant, command, until
from .own import Own, own
from .plan_typing import Typed, on_a_terminal
from .rosters import DISTRICT, Roster

pytestmark = pytest.mark.xdist_group("own-api")

FEWER = DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003")


@pytest.fixture
def profile(server: Server) -> Profile:
    """A profile that was synchronized once."""
    made = Tenant(server).profile()
    assert made.sync(DISTRICT.files())["status"] == "success"
    return made


def written(folder: Path, roster: Roster) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in roster.files().items():
        (folder / name).write_text(content, "utf-8", newline="")
    return folder


def test_plan_apply_undo(profile: Profile, tmp_path: Path) -> None:
    """A dry run shows one change and touches nothing; apply does exactly that; undo takes it back."""
    typed = Typed(profile)
    roster = written(tmp_path / "more", DISTRICT.changed("students", "3001", Grade="8"))
    before = profile.tenant.objects()
    told = typed("plan", roster, "--details")
    assert "update" in told.stdout
    assert "“8”" in told.stdout
    assert "Student.csv line 2" in told.stdout
    shown = typed.json("plan", roster, "--details")
    assert [step["sourceId"] for step in shown["listed"]] == ["3001"]
    assert profile.tenant.objects() == before
    done = typed.json("apply", shown["run"]["id"])
    assert (done["run"]["state"], done["plan"]["plan"]) == ("done", shown["plan"]["plan"])
    assert profile.tenant.objects() != before
    listed = typed.json("show", str(done["run"]["number"]), "--search", "3001")["listed"]
    assert [step["op"] for step in listed] == ["update"]
    assert typed.json("undo", str(done["run"]["number"]), "--why", "a mistake")["run"]["state"] == "done"
    (pupil,) = profile.tenant.reader.get("/users?$filter=student/externalId eq '3001'")["value"]
    assert pupil["student"]["grade"] != "8"
    assert "Nothing would change" in typed("plan", written(tmp_path / "same", DISTRICT)).stdout


def test_a_held_plan_is_approved_or_discarded(profile: Profile, tmp_path: Path) -> None:
    """sync stops with status 3 where a guard holds; a yes counts for the plan that was seen, and only a person's.

    On a terminal it draws a bar that moves in one line, and leaves nothing of it.
    """
    typed = Typed(profile)
    own(profile.tenant, "admin")(
        "PATCH", f"/profiles/{profile.id}/settings", {"guards": {"removalLeast": 0}}, expect=200
    )
    roster = written(tmp_path / "fewer", FEWER)
    assert "HELD" in typed("plan", roster, expect=3).stdout
    status, told, frames = on_a_terminal(typed, "sync", roster)
    assert (status, "schoolsync approve" in told, "\r" in told) == (3, True, False)
    assert [frame for frame in frames if re.match(r"sending \S+\.csv  █+░*  ?\d+%  .+ of .+", frame)]
    assert [frame for frame in frames if re.match("queued|extracting|validating|planning|applying", frame)]
    assert all(len(frame) < 100 for frame in frames)
    assert frames[-1] == ""
    run = own(profile.tenant, "viewer").get(f"/profiles/{profile.id}/runs?limit=1")["value"][0]
    number = str(run["number"])
    assert "another plan" in typed("approve", number, "--plan", "0" * 12, expect=2).stderr
    assert "at least" in typed("approve", number, "--plan", "a", expect=2).stderr
    assert typed.json("discard", number, "--plan", run["plan"])["run"]["state"] == "discarded"
    typed("approve", number, "--plan", run["plan"][:12], expect=2)
    typed("sync", roster, expect=3)
    run = own(profile.tenant, "viewer").get(f"/profiles/{profile.id}/runs?limit=1")["value"][0]
    program = profile.tenant.server.token(profile.tenant.id, roles=("schoolsync.approver",))
    refused = subprocess_with_token(program, profile, "approve", str(run["number"]), "--plan", run["plan"])
    assert refused.returncode == 2
    assert "person" in refused.stderr
    refused = subprocess_with_token("a.b.c", profile, "approve", str(run["number"]), "--plan", run["plan"])
    assert refused.returncode == 2
    assert "SCHOOLSYNC_TOKEN, or unset it and type schoolsync login." in refused.stderr
    done = typed.json("approve", str(run["number"]), "--plan", run["plan"][:12], "--why", "moved away")
    assert done["run"]["state"] == "done"
    (given,) = done["plan"]["approvals"]
    assert given["person"].startswith("delegated:")
    assert given["why"] == "moved away"
    told = typed("explain", "3003").stdout
    assert "Run " in told
    assert "No line of the newest upload" in told


def test_a_preview_that_has_moved_is_planned_again(profile: Profile, tmp_path: Path) -> None:
    """apply refuses what was not shown; --replan shows the new plan and what differs, and that one can be applied."""
    typed = Typed(profile)
    roster = DISTRICT.changed("students", "3001", Grade="8")
    told = typed("plan", written(tmp_path / "more", roster))
    assert "planning" in told.stderr
    assert told.stderr.startswith("sending ")
    assert told.stderr.replace("\n", "").isprintable(), "nothing moves in a log"
    assert "█" not in told.stderr
    seen = re.search(r"of preview (\S+)\.", told.stdout)
    assert seen is not None
    assert profile.sync(DISTRICT.changed("students", "3002", Grade="9").files())["status"] == "success"
    before = profile.tenant.objects()
    assert "--replan" in typed("apply", seen[1], expect=1).stdout
    shown = typed.json("apply", seen[1], "--replan", expect=3)
    assert profile.tenant.objects() == before
    assert shown["differences"]["counts"] == [{"how": "new", "kind": "student", "op": "update", "count": 1}]
    (one,) = shown["differences"]["steps"]
    assert (one["how"], one["step"]["sourceId"]) == ("new", "3002")
    again = own(profile.tenant, "viewer").get(
        f"/profiles/{profile.id}/runs/{shown['run']['id']}/plan/differences?earlier={shown['run']['id']}"
    )
    assert again["counts"] == []
    done = typed("apply", shown["run"]["id"], "--replan")
    assert "done" in done.stdout
    pupils = profile.tenant.reader.get("/users?$filter=primaryRole eq 'student'")["value"]
    grades = {pupil["student"]["externalId"]: pupil["student"]["grade"] for pupil in pupils}
    assert (grades["3001"], grades["3002"]) == ("8", "7")


def test_parts_are_approved_and_every_guarded_step_names_who_did(profile: Profile, tmp_path: Path) -> None:
    """A kind and an object are approved, then a school by two people; the rest stays; plan and explain say by whom."""
    typed = Typed(profile)
    admin = own(profile.tenant, "admin")
    admin("PATCH", f"/profiles/{profile.id}/settings", {"guards": {"removalLeast": 0}}, expect=200)
    fewer = FEWER.without("students", SIS_ID="3006").without("enrollments", SIS_ID="3006")
    roster = written(tmp_path / "fewer", fewer.without("sections", SIS_ID="E1"))
    run = typed.json("sync", roster, expect=3)["run"]
    number, plan = str(run["number"]), run["plan"][:12]
    gone = {step["sourceId"]: step["objectId"] for step in typed.json("show", number, "--op", "remove")["listed"]}
    assert gone.keys() == {"3003", "3006", "E1"}
    assert "which plan" in typed("discard", number, "--kind", "student", expect=2).stderr
    assert "Approve the rest" in typed("discard", number, "--plan", plan, "--object", gone["3003"]).stdout
    assert "LEFT OUT: 1 objects by " in typed("show", number).stdout
    assert "schoolsync apply" in typed("approve", number, "--plan", plan, "--kind", "section", expect=3).stdout
    typed("approve", number, "--plan", plan, "--object", gone["3006"], "--why", "moved to Oslo", expect=3)
    typed("approve", number, "--plan", plan, "--object", gone["3003"], expect=3)
    typed("discard", number, "--plan", plan, "--object", gone["3003"])
    done = typed.json("apply", number)["run"]
    assert done["state"] == "done"
    assert left(profile) == ["3006"]

    viewer = own(profile.tenant, "viewer")
    steps = viewer.all(f"/profiles/{profile.id}/runs/{number}/plan/steps")
    given = viewer.get(f"/profiles/{profile.id}/runs/{number}/approvals")["value"]
    assert [one["via"] for one in given] == ["discard", "approve", "approve", "approve", "discard"]
    kind, one = given[1]["id"], given[2]["id"]
    by = {
        (step["op"], step["memberSourceId"] or step["sourceId"]): [yes["approval"] for yes in step["approvedBy"]]
        for step in steps
        if step["held"]
    }
    assert by[("remove", "E1")] == [kind]
    assert by[("remove", "3006")] == by[("unlink", "3006")] == [one]
    assert by[("remove", "3003")] == by[("unlink", "3003")] == []
    for applied in (True, False):
        picked = viewer.all(f"/profiles/{profile.id}/runs/{number}/plan/steps?applied={applied}&count=true&limit=1")
        assert picked == [step for step in steps if bool(step["approvedBy"]) is applied]
    person = {yes["person"] for step in steps for yes in step["approvedBy"]}
    assert len(person) == 1
    told = typed("show", number).stdout
    assert f"APPROVED: kind section by {min(person)}" in told
    assert "moved to Oslo" in told
    assert f"(approved by {min(person)} on " in told
    assert f"approved by {min(person)} on " in typed("explain", "3006").stdout

    admin("PATCH", f"/profiles/{profile.id}/settings", {"guards": {"secondPerson": True}}, expect=200)
    run = typed.json("sync", roster, expect=3)["run"]
    number, words = str(run["number"]), ("--plan", run["plan"][:12], "--school", "100")
    for _ in range(2):
        assert "1 more person" in typed("approve", number, *words, expect=3).stdout
    assert "approve it first" in typed("apply", number, expect=2).stderr
    assert "schoolsync apply" in typed("approve", number, *words, expect=3, user="bert@skole.example").stdout
    assert typed.json("apply", number)["run"]["state"] == "done"
    assert left(profile) == ["3003", "3006"]
    step = viewer.get(f"/profiles/{profile.id}/runs/{number}/plan/steps?op=remove&object=3003")["value"][0]
    assert len({yes["person"] for yes in step["approvedBy"]}) == 2


def left(profile: Profile) -> list[str]:
    """The pupils who are inactive, by SIS ID."""
    query = "SELECT source_id FROM people WHERE NOT active ORDER BY source_id"
    return [row[0] for row in profile.tenant.server.select(profile.tenant.id, query)]


def subprocess_with_token(token: str, profile: Profile, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    server = profile.tenant.server
    return command(
        name,
        *arguments,
        "--profile",
        profile.id,
        env={**os.environ, "SCHOOLSYNC_TOKEN": token, "SCHOOLSYNC_SERVER": server.base},
    )


def test_explain_answers_why_somebody_is_not_in_a_class(profile: Profile, tmp_path: Path) -> None:
    """In the class by a line; not in it because the line went; not known because the line is wrong."""
    typed = Typed(profile)
    row = next(row for row in DISTRICT.enrollments if row["SIS ID"] == "3004")
    section = row["Section SIS ID"]
    there = typed.json("explain", "3004", "--in", section)
    assert there["linked"] is True
    assert [line["file"] for line in there["lines"]] == ["StudentEnrollment.csv"]
    line = DISTRICT.files()["StudentEnrollment.csv"].splitlines()[there["lines"][0]["line"] - 1]
    assert "3004" in line
    assert section in line
    step = there["history"][-1]["step"]
    assert (step["op"], step["file"], step["line"]) == ("link", "StudentEnrollment.csv", there["lines"][0]["line"])
    gone = DISTRICT.without("enrollments", SIS_ID="3004", Section_SIS_ID=section)
    told = typed("sync", written(tmp_path / "gone", gone))
    assert told.stderr.startswith("sending ")
    assert told.stderr.replace("\n", "").isprintable(), "where nobody looks nothing moves"
    told = typed("explain", "3004", "--in", section).stdout
    assert "is not in" in told.splitlines()[0]
    assert "The roster does not have it any more." in told
    name = there["objects"][0]["name"]
    assert typed.json("explain", name)["objects"][0]["sourceId"] == "3004"
    typed("explain", "nobody-like-this", expect=1)
    typed("explain", section, "--in", "3004", expect=2)
    typed("explain", " ", expect=2)
    wrong = DISTRICT.changed("students", "3001", School_SIS_ID="NOWHERE")
    typed("plan", written(tmp_path / "wrong", wrong), expect=1)
    typed("sync", tmp_path / "wrong", expect=1)
    path = f"/profiles/{profile.id}/explain"
    assert own(profile.tenant, "viewer").get(f"{path}?object=3004&in={section}")["linked"] is False
    own(profile.tenant, "auditor").refusal("GET", f"{path}?object=3004", 403)
    own(profile.tenant, "viewer").refusal("GET", path, 400)
    other = Tenant(profile.tenant.server).profile()
    Typed(other)("explain", "3004", expect=1)


def test_explain_says_what_keeps_somebody_out(profile: Profile, tmp_path: Path) -> None:
    """A person, a class, a school and a membership: a mistake, the scope, a guard, a hand, another term, or nothing."""
    typed, path = Typed(profile), f"/profiles/{profile.id}"
    admin, viewer = own(profile.tenant, "admin"), own(profile.tenant, "viewer")

    def why(one: str, inside: str | None = None) -> str:
        more = "" if inside is None else f"&in={inside}"
        return "\n".join(viewer.get(f"{path}/explain?object={one}{more}")["answer"])

    told = why("9999")
    for part in ("know nothing by “9999”", "run 1 does not have “9999”", "No line of the newest", "did anything with"):
        assert part in told
    assert "made by hand" in why(
        profile.tenant.reader("POST", "/schools", {"displayName": "X"}, expect=201).json()["id"]
    )

    # Two mistakes, which are left out; and a name that is written by hand and stays.
    settings = {"errors": {"policy": "leaveOut", "mostPercent": 100}, "keptByHand": ["middle_name"]}
    admin("PATCH", f"{path}/settings", settings, expect=200)
    (pupil,) = profile.tenant.reader.get("/users?$filter=student/externalId eq '3001'")["value"]
    profile.tenant.reader("PATCH", f"/users/{pupil['id']}", {"middleName": "Hand"}, expect=200)
    wrong = DISTRICT.changed("students", "3002", School_SIS_ID="NOWHERE", Middle_Name="x")
    old = {"Term_StartDate": "2020-08-17", "Term_EndDate": "2020-12-18"}
    roster = wrong.changed("sections", "M2", **old).changed("students", "3001", Middle_Name="Roster")
    typed("sync", written(tmp_path / "wrong", roster))
    assert "Written by hand and kept, whatever the roster says: middle_name." in why("3001")
    told = why("3002")
    assert "run 2 does not have the person" in told
    assert "left out for its mistake" in told
    assert "Student.csv line 3" in told
    told = why("3002", "M1")
    assert "does not have the membership (StudentEnrollment.csv line 3). It was left out for its mistake" in told

    # The scope leaves out a class whose term is over, which no guard minds, and then a school, which one does.
    admin("PATCH", f"{path}/settings", {"scope": {"firstDay": "2021-01-01"}}, expect=200)
    typed("sync", written(tmp_path / "scope", roster))
    told = why("3004", "M2")
    assert "is not in" in told.splitlines()[0]
    assert "The profile's scope leaves it out. Its term: 2020-08-17 to 2020-12-18." in told
    assert "Run 3 did: unlink studentEnrollment" in told
    assert "marked inactive" in why("M2")
    admin("PATCH", f"{path}/settings", {"scope": {"schools": ["100"]}}, expect=200)
    held = typed.json("sync", written(tmp_path / "school", roster), expect=3)["run"]["number"]
    told = typed("explain", "200").stdout
    assert "The profile's scope leaves it out." in told
    assert f"Run {held} would do: remove school" in told
    assert "A guard held it, and nobody has approved it." in told
    assert f"Run {held} is held: " in told
    assert "is in" in why("3005", "200").splitlines()[0]
    assert len(told.splitlines()) < 24  # one screen


def test_one_person_alone(profile: Profile, tmp_path: Path) -> None:
    """Of a discarded plan the one pupil who is named comes; status, errors and everybody else stay; undo works."""
    typed = Typed(profile)
    admin, path = own(profile.tenant, "admin"), f"/profiles/{profile.id}"
    admin("PATCH", f"{path}/settings", {"guards": {"removalLeast": 0}}, expect=200)
    changed = FEWER.changed("students", "3001", Grade="8").changed("students", "3002", Grade="8")
    typed("sync", written(tmp_path / "fewer", changed), expect=3)
    held = admin.get(f"{path}/runs?limit=1")["value"][0]
    body = {"kind": "person", "object": "3001"}
    assert "is held" in admin.refusal("POST", f"{path}/sync-one", 409, body)["message"]
    typed("discard", str(held["number"]))
    before = profile.status()
    done = typed.json("sync-one", "person", "3001", "--why", "is waiting")
    assert (done["run"]["cause"], done["run"]["steps"]) == ("one", {"people": {"update": 1}})
    after = profile.status()
    assert after["status"] == before["status"]
    assert after["lastSynchronizationDateTime"] == before["lastSynchronizationDateTime"]
    assert "one student alone" in after["statusMessage"]
    grades = {one["student"]["externalId"]: one["student"]["grade"] for one in pupils(profile)}
    assert grades["3001"] == "8"
    assert grades["3002"] != "8"
    assert "3003" in grades
    assert "Nothing changes" in typed("show", typed.json("sync-one", "student", "3001")["run"]["id"]).stdout
    assert typed.json("undo", str(done["run"]["number"]))["run"]["state"] == "done"
    assert {one["student"]["grade"] for one in pupils(profile)} == {one["Grade"] for one in DISTRICT.students}
    typed("sync-one", "class", "no-such-class", expect=2)
    typed("sync-one", "planet", "3001", expect=2)
    admin.refusal("POST", f"{path}/sync-one", 400, {"kind": "person", "object": " "})
    own(profile.tenant, "viewer").refusal("POST", f"{path}/sync-one", 403, body)
    other = Tenant(profile.tenant.server)
    own(other, "admin").refusal("POST", f"{path}/sync-one", 404, body)
    own(other, "admin").refusal("POST", f"/profiles/{other.profile().id}/sync-one", 409, body)


def test_classes_of_a_profile_that_has_expired_are_cleaned_up(profile: Profile) -> None:
    """Held until somebody says yes, though the profile stays paused; undo gives everything back, and a run goes on."""
    typed, path = Typed(profile), f"/profiles/{profile.id}"
    people = {role: own(profile.tenant, role) for role in ("viewer", "operator", "approver", "admin")}
    what = {"mark": True, "removePupils": True}
    refusal = people["operator"].refusal("POST", f"{path}/clean-up", 409, what)
    assert "expires never: only one that has expired" in refusal["message"]
    assert "--mark" in typed("clean-up", expect=2).stderr
    before = profile.tenant.objects()
    expire(profile, "2026-01-01")
    people["operator"].refusal("POST", f"{path}/clean-up", 400, {"why": "rollover"})
    people["viewer"].refusal("POST", f"{path}/clean-up", 403, what)
    stranger = Tenant(profile.tenant.server)
    own(stranger, "admin").refusal("POST", f"{path}/clean-up", 404, what)

    begun = people["operator"]("POST", f"{path}/clean-up", what, expect=202).json()["run"]
    held = until("it is held", lambda: _in_state(people["viewer"], f"{path}/runs/{begun}", "held"))
    assert (held["cause"], held["heldFor"]) == ("cleanUp", "guard")
    plan = people["viewer"].get(f"{path}/runs/{begun}/plan")
    (verdict,) = plan["verdicts"]
    sections, lessons = len(DISTRICT.sections), len(DISTRICT.enrollments)
    assert (verdict["guard"], verdict["endangered"]) == ("clean-up", sections)
    assert profile.tenant.objects() == before
    assert profile.status()["status"] == "paused"
    assert f"{lessons} student enrollments would end" in profile.status()["statusMessage"]
    body = {"plan": held["plan"]}
    people["operator"].refusal("POST", f"{path}/runs/{begun}/approvals", 403, body)
    people["approver"].refusal("POST", f"{path}/runs/{begun}/approvals", 409, {"plan": "0" * 64})
    people["operator"]("POST", f"{path}/runs/{begun}/discard", {}, expect=200)
    assert profile.status()["status"] == "paused"

    assert "HELD" in typed("clean-up", "--mark", "--remove-pupils", "--why", "rollover", expect=3).stdout
    people["admin"].refusal("POST", f"{path}/runs/1/undo", 409, {})
    people["admin"].refusal("POST", f"{path}/clean-up", 409, {"archive": True})
    shown = people["operator"].all(f"{path}/runs/3/plan/steps?op=expire")
    assert {(step["rule"], step["file"], step["held"]) for step in shown} == {("cleaned-up", "Section.csv", True)}
    profile.api("POST", f"{profile.path}/pause", expect=200)
    profile.api("POST", f"{profile.path}/resume", expect=200)
    person = profile.tenant.api(
        scope="EduAdministration.ReadWrite", roles=("schoolsync.admin",), user="ada@skole.example"
    )
    assert "never a yes" in person.refusal("POST", f"{profile.path}/resume", 409)["message"]
    body = {"plan": people["viewer"].get(f"{path}/runs/3")["plan"]}
    people["approver"]("POST", f"{path}/runs/3/approvals", body, expect=201)
    until("it is done", lambda: _in_state(people["viewer"], f"{path}/runs/3", "done"))
    assert profile.status()["status"] == "paused"
    assert f"{sections} marked as expired, {lessons} unlinked" in profile.status()["statusMessage"]
    names = {one["displayName"][:3] for one in profile.tenant.reader.all("/classes")}
    assert names == {"Exp"}
    assert "nothing to change" in typed("clean-up", "--mark", "--remove-pupils").stdout
    assert people["viewer"].get(f"{path}/freshness")["lastGoodRun"] == people["viewer"].get(f"{path}/runs/1")["id"]

    undo = people["admin"]("POST", f"{path}/runs/3/undo", {"why": "too early"}, expect=202).json()["run"]
    until("it is taken back", lambda: _in_state(people["viewer"], f"{path}/runs/{undo}", "done"))
    assert profile.status()["status"] == "paused"
    assert profile.tenant.objects() == before
    expire(profile, None)
    profile.api("POST", f"{profile.path}/resume", expect=200)
    assert profile.status()["status"] == "success"
    assert profile.sync(DISTRICT.files())["status"] == "success"
    assert profile.tenant.objects() == before


def test_what_flowed_is_not_forgotten_when_the_rest_is_thrown_away(profile: Profile) -> None:
    """What a held plan only adds is there; a yes to nothing is refused; discarding says what stays, undo takes it."""
    path, people = f"/profiles/{profile.id}", own(profile.tenant, "approver", "operator", "admin")
    people("PATCH", f"{path}/settings", {"guards": {"removalLeast": 0}}, expect=200)
    people("PATCH", f"{path}/settings", {"guards": {"additionsFlow": True}}, expect=200)
    newcomer = {**FEWER.students[0], "SIS ID": "9009", "Username": "newcomer"}
    assert profile.sync(FEWER.with_rows("students", newcomer).files())["status"] == "validationError"
    assert len(pupils(profile)) == len(DISTRICT.students) + 1
    run = people.get(f"{path}/runs/2")
    for part in ({"school": "nowhere"}, {"kind": "Student"}, {"objects": [profile.id]}):
        told = people.refusal("POST", f"{path}/runs/2/approvals", 400, {"plan": run["plan"], **part})
        assert "nothing is held" in told["message"]
    people.refusal("POST", f"{path}/runs/2/approvals", 400, {"plan": run["plan"], "why": "a\0b"})
    limits = {"plan": run["plan"], "limits": {"removalLeast": 50, "classPercent": 100}}
    assert "approve the rest" in people.refusal("POST", f"{path}/runs/2/override", 409, limits)["message"]
    people("POST", f"{path}/runs/2/discard", {"plan": run["plan"]}, expect=200)
    assert "undo takes it back" in profile.status()["statusMessage"]
    people("PATCH", f"{path}/settings", {"guards": {"removalLeast": None}}, expect=200)
    undo = people("POST", f"{path}/runs/2/undo", {}, expect=202).json()["run"]
    until("it is taken back", lambda: _in_state(people, f"{path}/runs/{undo}", "done"))
    assert left(profile) == ["9009"]


def expire(profile: Profile, day: str | None) -> None:
    """Set the last day of a profile, and wait until it is set up again and, with a day that is over, paused."""
    profile.api("PATCH", profile.path, {"expirationDate": day}, expect=200)
    until("it is set up", lambda: profile.api.get(profile.path)["state"] == "provisioned")
    if day is not None:
        until("it is paused", lambda: profile.status()["status"] == "paused")


def _in_state(viewer: Own, path: str, state: str) -> Json | None:
    found = viewer.get(path)
    return found if found["state"] == state else None


def pupils(profile: Profile) -> list[Json]:
    found = profile.tenant.reader.all("/users")
    return [one for one in found if one["primaryRole"] == "student"]


def test_changed_ids_are_told_by_a_map(profile: Profile, tmp_path: Path) -> None:
    """rekey takes a map; the next plan shows re-keys instead of removals; a wrong line is named."""
    typed = Typed(profile)
    text = DISTRICT.files()
    new = {name: content.replace("3001", "93001") for name, content in text.items()}
    folder = tmp_path / "new"
    folder.mkdir()
    for name, content in new.items():
        (folder / name).write_text(content, "utf-8", newline="")
    pairs = tmp_path / "map.csv"
    pairs.write_text("kind,old,new\nstudent,3001\n", "utf-8")
    assert "Line 2" in typed("rekey", pairs, expect=2).stderr
    typed("rekey", tmp_path / "none.csv", expect=2)
    typed("rekey", expect=2)
    pairs.write_text("kind,old,new\nstudent,3001,93001\n", "utf-8")
    assert typed.json("rekey", pairs, "--why", "new SIS")["pairs"] == 1
    steps = typed.json("plan", folder, "--details")["listed"]
    assert {step["op"] for step in steps} == {"rekey"}


def test_ids_that_changed_places_stay_there(profile: Profile) -> None:
    """Two pupils swap ids by a map; the uploads after that move nobody, and after an undo the map counts again."""
    path, people = f"/profiles/{profile.id}", own(profile.tenant, "approver", "operator", "admin")

    def ids() -> dict[str, str]:
        return {one["student"]["externalId"]: one["id"] for one in pupils(profile)}

    def swapped(grade: str) -> dict[str, str]:
        files = DISTRICT.changed("students", "3004", Grade=grade).files()
        moved = {"3001": "3002", "3002": "3001"}
        return {name: re.sub(r"\b300[12]\b", lambda one: moved[one[0]], text) for name, text in files.items()}

    before = ids()
    after = {**before, "3001": before["3002"], "3002": before["3001"]}
    map_of_ids = {"pairs": "kind,old,new\nstudent,3001,3002\nstudent,3002,3001\n"}
    people("POST", f"{path}/rekeys", map_of_ids, expect=201)
    for grade in ("8", "9"):
        assert profile.sync(swapped(grade))["status"] == "success"
        assert ids() == after
    undo = people("POST", f"{path}/runs/2/undo", {}, expect=202).json()["run"]
    until("it is taken back", lambda: _in_state(people, f"{path}/runs/{undo}", "done"))
    assert ids() == before
    assert profile.sync(swapped("10"))["status"] == "success"
    assert ids() == after


def test_a_map_is_proposed_for_ids_that_changed(profile: Profile, tmp_path: Path) -> None:
    """An upload with new ids for everybody is held; the proposed map, given back, keeps who they are, namesakes too."""
    typed = Typed(profile)
    before = {one["student"]["externalId"]: one["id"] for one in pupils(profile)}
    files = {name: re.sub(r"\b(30\d\d)\b", r"9\1", content) for name, content in DISTRICT.files().items()}
    assert profile.sync(files)["status"] == "validationError"
    proposed = typed("rekey", "--proposed", "2").stdout
    assert sorted(proposed.splitlines()[1:]) == [f"student,{one},9{one}" for one in sorted(before)]
    path = tmp_path / "map.csv"
    path.write_text(proposed, "utf-8")
    assert typed.json("rekey", path)["pairs"] == len(before)
    assert profile.sync(files)["status"] == "success"
    assert {one["student"]["externalId"]: one["id"] for one in pupils(profile)} == {
        f"9{one}": key for one, key in before.items()
    }


def test_what_waits_for_a_person_has_a_status_of_its_own(profile: Profile) -> None:
    """One alone and an undo are held like any other; an undo says what it cannot take back; other limits let one go."""
    typed, path = Typed(profile), f"/profiles/{profile.id}"
    admin = own(profile.tenant, "admin", "approver")
    admin("PATCH", f"{path}/settings", {"guards": {"removalLeast": 0}}, expect=200)
    assert profile.sync(FEWER.files())["status"] == "validationError"
    admin("POST", f"{path}/runs/2/discard", {}, expect=200)
    assert "HELD" in typed("sync-one", "student", "3003", expect=3).stdout
    admin("POST", f"{path}/runs/3/discard", {}, expect=200)
    told = typed("undo", "1", expect=3).stdout
    assert "HELD" in told
    made = sum(len(getattr(DISTRICT, kind)) for kind in ("schools", "sections", "students")) + 2  # teachers
    assert f"NOTE: {made} objects that the run made stay in the directory, inactive." in told
    words = ("--plan", admin.get(f"{path}/runs/4")["plan"][:12], "--limit")
    assert "removalPercent=20" in typed("override", "4", *words, "removalPercent", expect=2).stderr
    assert "limits" in typed("override", "4", *words, "noSuchLimit=1", expect=2).stderr
    typed("override", "4", *words, "removalPercent=1", expect=3)
    words = ("--plan", admin.get(f"{path}/runs/4")["plan"][:12], "--limit")
    wide = ("removalLeast=1000", "--limit", "classPercent=100", "--limit", "schoolGone=false")
    typed("override", "4", *words, *wide, "--limit", "leaverPercent=100", "--limit", "classLeast=1000")
    assert len(left(profile)) == len(DISTRICT.students) + 2
    assert typed("rekey", "--proposed", "1").stdout == "kind,old,new\n"


def test_rules_are_tried_and_changes_are_listed(profile: Profile) -> None:
    """Whoever would get an account is told its name, and whoever would get none why; what a run made is listed."""
    typed = Typed(profile)
    assert "user name: newcomer@" in typed("identify", "student", "sisId=9999", "username=newcomer").stdout
    assert "No account is made" in typed("identify", "student", "sisId=9999", expect=1).stdout
    assert "shoeSize" in typed("identify", "student", "shoeSize=44", expect=2).stderr
    listed = typed("changes", "--kind", "student", "--op", "create").stdout.splitlines()
    assert len([line for line in listed if "create" in line]) == len(DISTRICT.students)
    assert "since must be a day" in typed("changes", "--since", "yesterday", expect=2).stderr


def test_every_exit_status_is_documented_and_reached() -> None:
    """docs/commands.md gives each command its statuses, and a process is held to each of them in this module."""
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    documented = {(row[0], code) for row in rows for code, says in zip((0, 1, 3), row[1:], strict=True) if says != "-"}
    assert {name for name, _ in documented} == ABOUT_PLANS
    reached = set()
    for call in ast.walk(ast.parse(Path(__file__).read_text("utf-8"))):
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
            typed = call.func.value if isinstance(call.func, ast.Attribute) else call.func
            if isinstance(typed, ast.Name) and typed.id == "typed":
                given = [word.value for word in call.keywords if word.arg == "expect"]
                reached.add((call.args[0].value, given[0].value if given else 0))
    # A run fails when the world does; a server that is not there stands for it, in the test above.
    assert documented - {(name, 1) for name in ABOUT_PLANS} <= reached
    assert {(name, 2) for name in ABOUT_PLANS} <= reached


ABOUT_PLANS = {
    *("plan", "sync", "apply", "approve", "override", "discard", "undo", "sync-one", "explain", "rekey"),
    *("identify", "changes", "clean-up"),
}


def test_what_goes_wrong_is_one_sentence(profile: Profile, tmp_path: Path) -> None:
    """No roster, no server, no profile, no run, no token: status 1 or 2, one line, what to do next."""
    typed = Typed(profile)
    server = profile.tenant.server
    typed("plan", tmp_path / "nothing", expect=2)
    typed("apply", "../../secrets", expect=2)
    typed("apply", "999", expect=2)
    typed("discard", "1", expect=2)
    typed("undo", "999", expect=2)
    typed("sync", tmp_path / "nothing", expect=2)
    where = ("--tenant", profile.tenant.id, "--data-dir", server.data)
    for arguments, status in (
        (("undo", "1", "--profile", "no such", "--server", server.base, *where), 2),
        (("undo", "1", "--profile", profile.id, "--server", "http://127.0.0.1:9", *where), 1),
        (("undo", "1", "--profile", profile.id, "--server", "ftp://x", *where), 2),
        (("undo", "1", "--profile", profile.id, "--server", "http://[::1", *where), 2),
        (("undo", "1", "--profile", profile.id, "--server", "http://127.0.0.1:99999", *where), 2),
        (("explain", os.fsdecode(b"\xff"), "--profile", profile.id, "--server", server.base, *where), 2),
        (("undo", "1", "--profile", profile.id, "--server", server.base, "--data-dir", server.data), 2),
        (("undo", "1", "--profile", profile.id, "--server", server.base, "--tenant", "x"), 2),
    ):
        done = command(*arguments)
        assert done.returncode == status, (arguments, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr
