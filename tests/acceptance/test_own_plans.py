"""Plans through our own API: every step with its reason, what holds a plan, and a person's yes or no to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from .house import Profile, Server, Tenant, until
from .own import Own, own
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("own-api")

CAREFUL = {"guards": {"removalLeast": 0, "removalPercent": 10}}
SMALLER = (
    DISTRICT.without("students", SIS_ID="3003")
    .without("enrollments", SIS_ID="3003")
    .changed("students", "3001", Grade="8", Last_Name="Møller")
)


@pytest.fixture(scope="module")
def first(server: Server) -> Profile:
    """A profile that was synchronized once."""
    profile = Tenant(server).profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    return profile


def held(server: Server) -> tuple[Profile, str, str]:
    """A profile whose second plan a guard holds; with the path of that run and the plan's hash."""
    profile = Tenant(server).profile()
    own(profile.tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", CAREFUL, expect=200)
    assert profile.sync(DISTRICT.files())["status"] == "success"
    assert profile.sync(SMALLER.files())["status"] == "validationError"
    path = f"/profiles/{profile.id}/runs/2"
    return profile, path, own(profile.tenant, "viewer").get(f"{path}/plan")["plan"]


def test_steps_are_paged_and_filtered(first: Profile) -> None:
    """Every step has its place, names, rule, file and line; filters narrow, pages join without gap or double."""
    viewer, path = own(first.tenant, "viewer"), f"/profiles/{first.id}/runs/1/plan"
    plan = viewer.get(path)
    steps = viewer.all(f"{path}/steps")
    assert [step["number"] for step in steps] == list(range(len(steps)))
    assert len(steps) == sum(count for ops in plan["steps"].values() for count in ops.values())
    assert viewer.all(f"{path}/steps?limit=3") == steps
    assert all(step["rule"] == "new-record" and step["file"] and step["line"] >= 2 for step in steps)
    assert viewer.get(f"{path}/steps/7") == steps[7]
    assert viewer.refusal("GET", f"{path}/steps/{len(steps)}", 404)
    assert viewer.refusal("GET", f"{path}/steps/first", 404)
    for name, value, meant in (
        ("kind", "student", lambda step: step["kind"] == "student"),
        ("kind", "teacherRoster", lambda step: step["kind"] == "teacherRoster"),
        ("kind", "teacherSchools", lambda step: step["kind"] == "teacherSchools"),
        ("op", "link", lambda step: step["op"] == "link"),
        ("school", "200", lambda step: step["school"] == "200"),
        ("search", "silva", lambda step: "Silva" in f"{step['name']} {step['memberName']}"),
        ("object", "3004", lambda step: "3004" in (step["sourceId"], step["memberSourceId"])),
        ("rule", "gone", lambda step: False),
    ):
        wanted = [step for step in steps if meant(step)]
        assert viewer.all(f"{path}/steps?limit=2&{name}={value}") == wanted, name
        assert viewer.get(f"{path}/steps?count=true&{name}={value}")["count"] == len(wanted)
        assert wanted or value == "gone"
    enrolled = viewer.all(f"{path}/steps?kind=studentEnrollment&object=3004")
    assert [(step["sourceId"], step["name"], step["memberName"]) for step in enrolled] == [
        ("M2", "Math 8", "Ana Silva")
    ]


def test_a_plan_by_school(first: Profile) -> None:
    """The numbers by school and kind add up to the plan's."""
    viewer, path = own(first.tenant, "viewer"), f"/profiles/{first.id}/runs/1/plan"
    found = viewer.get(f"{path}/schools")
    steps = viewer.all(f"{path}/steps")
    assert found["complete"]
    assert sum(one["count"] for one in found["schools"]) == len(steps)
    named = {one["school"]: one["name"] for one in found["schools"]}
    assert named == {"100": "Nordkapp skole", "200": "Ålesund lycée"}
    (pupils,) = [one for one in found["schools"] if one["school"] == "200" and one["kind"] == "student"]
    assert (pupils["op"], pupils["count"]) == ("create", 3)


def test_before_and_after(first: Profile, server: Server) -> None:
    """A change shows what was and what shall be; a removal says why; both are listed while a guard holds them."""
    profile, path, plan = held(server)
    viewer = own(profile.tenant, "viewer")
    found = viewer.get(f"{path}/plan")
    assert (found["state"], found["heldFor"], found["personsNeeded"]) == ("held", "guard", 1)
    assert found["verdicts"]
    assert all(one["sentence"].endswith(".") for one in found["verdicts"])
    assert found["message"] == profile.status()["statusMessage"]
    (update,) = viewer.all(f"{path}/plan/steps?kind=student&op=update")
    changes = {change["field"]: (change["before"], change["after"]) for change in update["changes"]}
    assert changes["student_grade"] == ("7", "8")
    assert changes["surname"] == ("Müller", "Møller")
    assert update["file"] == "Student.csv"
    (gone,) = viewer.all(f"{path}/plan/steps?op=remove")
    assert (gone["kind"], gone["sourceId"], gone["rule"]) == ("student", "3003", "gone")
    (unlinked,) = viewer.all(f"{path}/plan/steps?op=unlink&kind=studentEnrollment")
    assert (unlinked["sourceId"], unlinked["memberSourceId"]) == ("M1", "3003")
    assert plan == found["plan"]


def test_a_persons_yes(server: Server) -> None:
    """Only a person who may approve releases the plan it has seen; the run then applies exactly that."""
    profile, path, plan = held(server)
    given = {"plan": plan, "why": "Łukasz has moved."}
    for who in (own(profile.tenant, "operator"), own(profile.tenant, "viewer"), own(profile.tenant, "auditor")):
        who.refusal("POST", f"{path}/approvals", 403, given)
    own(profile.tenant, "approver", user=None).refusal("POST", f"{path}/approvals", 403, given)
    approver = own(profile.tenant, "approver")
    assert approver.refusal("POST", f"{path}/approvals", 409, {**given, "plan": "f" * 64})["message"]
    assert approver.refusal("POST", f"{path}/approvals", 400, {**given, "objects": ["x"]})["target"]
    assert approver.refusal("POST", f"{path}/approvals", 400, {**given, "all": True})
    done = approver("POST", f"{path}/approvals", given, expect=201).json()
    assert (done["released"], done["personsMissing"]) == (True, 0)
    assert profile.wait()["status"] == "success"
    (kept,) = approver.get(f"{path}/approvals")["value"]
    assert kept == done["approval"]
    assert (kept["why"], kept["via"], kept["plan"]) == ("Łukasz has moved.", "approve", plan)
    assert approver.refusal("POST", f"{path}/approvals", 409, given)


def test_a_part_is_approved(server: Server) -> None:
    """A yes to a kind waits for `apply`; what was not approved is left for the next plan."""
    profile, path, plan = held(server)
    approver = own(profile.tenant, "approver")
    assert approver.refusal("POST", f"{path}/apply", 409, {"plan": plan})
    done = approver("POST", f"{path}/approvals", {"plan": plan, "kind": "student"}, expect=201).json()
    assert not done["released"]
    approver("POST", f"{path}/apply", {"plan": plan}, expect=202)
    until("the run is done", lambda: approver.get(path)["state"] == "done")
    assert profile.tenant.reader.get("/users?$filter=student/externalId eq '3001'")["value"][0]["surname"] == "Møller"


def test_just_this_school(server: Server) -> None:
    """A yes to a school applies its new people, classes and memberships, and of no other school anything."""
    profile = Tenant(server).profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    # Somebody was made by hand whom a new pupil of school 200 would take over, which holds the whole plan.
    hand = {"displayName": "Hand", "userPrincipalName": "new9@skole.example", "mailNickname": "new9"}
    account = hand | {"primaryRole": "student", "accountEnabled": True, "passwordProfile": {"password": "Fjord-2026-x"}}
    profile.tenant.reader("POST", "/users", account, expect=201)
    pupil, teacher = DISTRICT.students[0], DISTRICT.teachers[2]
    roster = replace(
        DISTRICT,
        sections=(
            *DISTRICT.sections,
            {**DISTRICT.sections[0], "SIS ID": "N1", "School SIS ID": "100"},
            {**DISTRICT.sections[0], "SIS ID": "N2", "School SIS ID": "200"},
        ),
        students=(
            *DISTRICT.students,
            {**pupil, "SIS ID": "3101", "Username": "new1", "School SIS ID": "100"},
            {**pupil, "SIS ID": "3201", "Username": "new2", "School SIS ID": "200"},
            {**pupil, "SIS ID": "3209", "Username": "new9", "School SIS ID": "200"},
        ),
        teachers=(*DISTRICT.teachers, {**teacher, "SIS ID": "5101", "Username": "new3", "School SIS ID": "100"}),
        enrollments=(
            *DISTRICT.enrollments,
            *({"Section SIS ID": section, "SIS ID": one} for section, one in (("N1", "3101"), ("N1", "3001"))),
            *({"Section SIS ID": section, "SIS ID": one} for section, one in (("N2", "3201"), ("N1", "3201"))),
            {"Section SIS ID": "N1", "SIS ID": "3209"},
        ),
        assignments=(
            *DISTRICT.assignments,
            *({"Section SIS ID": section, "SIS ID": "5101"} for section in ("N1", "N2", "M2")),
        ),
    )
    assert profile.sync(roster.files())["status"] == "validationError"
    path, approver = f"/profiles/{profile.id}/runs/2", own(profile.tenant, "approver")
    plan = approver.get(f"{path}/plan")["plan"]
    before = profile.tenant.objects()
    approver("POST", f"{path}/approvals", {"plan": plan, "school": "100"}, expect=201)
    approver("POST", f"{path}/apply", {"plan": plan}, expect=202)
    until("the run is done", lambda: approver.get(path)["ended"] is not None)
    run = approver.get(path)
    assert run["state"] == "done"
    assert "passed over" not in run["message"]

    ids = "SELECT key, source_id FROM {}"
    named = {
        table: dict(server.select(profile.tenant.id, ids.format(table))) for table in ("schools", "classes", "people")
    }
    assert {"N1"} == set(named["classes"].values()) - {row["SIS ID"] for row in DISTRICT.sections}
    assert {"3101", "5101"} <= set(named["people"].values())
    assert "3201" not in named["people"].values()
    links = server.select(profile.tenant.id, 'SELECT "class", person, teacher FROM class_people')
    made = {(named["classes"][key], named["people"][person]) for key, person, _ in links}
    assert {pair for pair in made if "N1" in pair} == {("N1", "3101"), ("N1", "3001"), ("N1", "5101")}
    assert ("M2", "5101") in made  # the class was there; N2 and its pupil were not let go
    schools = server.select(profile.tenant.id, "SELECT school, person FROM school_people")
    assert ("100", "3101") in {(named["schools"][key], named["people"][person]) for key, person in schools}
    after = profile.tenant.objects()
    assert len(after["users"]) == len(before["users"]) + 2

    steps = approver.all(f"{path}/plan/steps")
    assert all(step["held"] for step in steps)
    let_go = {(step["op"], step["sourceId"], step["memberSourceId"]) for step in steps if step["approvedBy"]}
    assert ("link", "N1", "3101") in let_go
    assert ("link", "M2", "5101") in let_go
    assert not {step for step in let_go if "3201" in step or "N2" in step or "3209" in step}
    assert approver.all(f"{path}/plan/steps?applied=true&limit=4") == [step for step in steps if step["approvedBy"]]


def test_a_plan_is_discarded(server: Server) -> None:
    """A discarded plan changes nothing, and the profile is as before."""
    profile, path, plan = held(server)
    before = profile.tenant.objects()
    viewer, operator = own(profile.tenant, "viewer"), own(profile.tenant, "operator", user=None)
    viewer.refusal("POST", f"{path}/discard", 403, {})
    operator.refusal("POST", f"{path}/discard", 409, {"plan": "0" * 64})
    assert operator("POST", f"{path}/discard", {"plan": plan, "why": "wrong file"}, expect=200).json()["state"] == (
        "discarded"
    )
    operator.refusal("POST", f"{path}/discard", 409, {})
    assert profile.tenant.objects() == before
    assert profile.status()["status"] == "success"


def test_a_part_is_left_out(server: Server) -> None:
    """Who may discard says no to a pupil's removal; whoever then approves everything lets the rest go."""
    profile, path, plan = held(server)
    viewer, operator = own(profile.tenant, "viewer"), own(profile.tenant, "operator", user=None)
    (gone,) = viewer.all(f"{path}/plan/steps?op=remove")
    part = {"plan": plan, "objects": [gone["objectId"]], "why": "He is ill."}
    viewer.refusal("POST", f"{path}/discard", 403, part)
    assert operator.refusal("POST", f"{path}/discard", 400, {**part, "plan": None})["target"] == "plan"
    assert operator.refusal("POST", f"{path}/discard", 400, {"plan": plan, "school": "no such"})["target"] == "school"
    operator.refusal("POST", f"{path}/discard", 409, {**part, "plan": "0" * 64})
    assert operator("POST", f"{path}/discard", part, expect=200).json()["state"] == "held"
    (no,) = viewer.get(f"{path}/approvals")["value"]
    assert (no["via"], no["objects"], no["why"], no["expires"]) == ("discard", part["objects"], "He is ill.", None)
    approver: Own = own(profile.tenant, "approver")
    approver.refusal("POST", f"{path}/apply", 409, {"plan": plan})
    assert approver("POST", f"{path}/approvals", {"plan": plan}, expect=201).json()["released"]
    assert profile.wait()["status"] == "success"
    query = "SELECT source_id, active, surname FROM people WHERE source_id IN ('3001', '3003') ORDER BY source_id"
    there = [(one, bool(active), name) for one, active, name in server.select(profile.tenant.id, query)]
    assert there == [("3001", True, "Møller"), ("3003", True, "Dvořák")]
    left = [step for step in viewer.all(f"{path}/plan/steps") if step["held"] and not step["approvedBy"]]
    assert {(step["op"], step["memberSourceId"] or step["sourceId"]) for step in left} == {
        ("remove", "3003"),
        ("unlink", "3003"),
    }


def test_limits_for_one_plan_only(server: Server) -> None:
    """Other limits let this plan go on; the profile's own stay."""
    profile, path, plan = held(server)
    approver: Own = own(profile.tenant, "approver")
    given = {"plan": plan, "limits": {"removalLeast": 50, "classPercent": 100}, "why": "one leaver"}
    assert approver.refusal("POST", f"{path}/override", 400, {**given, "limits": {"removal": 1}})["target"]
    approver("POST", f"{path}/override", given, expect=202)
    assert profile.wait()["status"] == "success"
    (said,) = approver.get(f"{path}/plan")["notes"]
    assert said.startswith("delegated:"), "it names who did that"
    assert said.endswith("(“one leaver”): removalLeast 50, classPercent 100.")
    kept = approver.get(f"/profiles/{profile.id}/settings")["settings"]["guards"]
    assert kept["removalLeast"] == 0
    (set_by,) = approver.get(f"{path}/approvals")["value"]
    assert (set_by["via"], set_by["why"], set_by["expires"]) == ("limits", "one leaver", None)
    steps = approver.all(f"{path}/plan/steps")
    guarded = [step for step in steps if step["op"] in ("remove", "unlink")]
    assert guarded
    for step in steps:
        assert step["held"] is (step in guarded)
        yes = [(one["approval"], one["person"]) for one in step["approvedBy"]]
        assert yes == ([(set_by["id"], set_by["person"])] if step in guarded else [])


def test_a_run_is_taken_back(server: Server) -> None:
    """Undo is a run of its own; afterwards the directory is as it was before the run that was taken back."""
    profile = Tenant(server).profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    changed = DISTRICT.changed("students", "3001", Grade="8", Last_Name="Møller")
    assert profile.sync(changed.files())["status"] == "success"
    path = f"/profiles/{profile.id}/runs/2/undo"
    own(profile.tenant, "operator").refusal("POST", path, 403, {})
    own(profile.tenant, "approver", user=None).refusal("POST", path, 403, {})
    approver = own(profile.tenant, "approver")
    begun = approver("POST", path, {"why": "wrong year"}, expect=202).json()
    run = until(
        "the run is taken back",
        lambda: (
            found
            if (found := approver.get(f"/profiles/{profile.id}/runs/{begun['run']}"))["ended"] is not None
            else None
        ),
    )
    assert (run["state"], run["cause"], run["number"]) == ("done", "undo", 3)
    (pupil,) = profile.tenant.reader.get("/users?$filter=student/externalId eq '3001'")["value"]
    assert (pupil["surname"], pupil["student"]["grade"]) == ("Müller", "7")
    approver.refusal("POST", f"/profiles/{profile.id}/runs/99/undo", 404, {})
