"""A held plan and a person's yes: whose counts, for which plan, for how long, and what a resume is worth."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from sqlalchemy import update

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.errors import Conflict, Forbidden, Invalid, NotFound
from schoolsync.plan.policy import Guards
from schoolsync.plan.steps import Step
from schoolsync.plan.verdicts import Verdict
from schoolsync.runs import approvals
from schoolsync.runs.approvals import HOUR
from schoolsync.runs.job import Planned, Validated
from schoolsync.runs.places import run_folder
from schoolsync.runs.plans import Plans
from schoolsync.runs.records import Key, release_of
from schoolsync.runs.selections import WHOLE, Selection
from schoolsync.runs.states import RunState
from schoolsync.runs.stored_plan import Plans as StoredPlans
from schoolsync.store.control_tables import profiles, runs

House = Any  # the fixture of conftest

GOOD = Validated(messages=(), errors=0, warnings=0, fatal=False)
VERDICT = Verdict(
    guard="removals",
    holds="removals",
    kind="student",
    scope="school",
    scope_id="101",
    endangered=6,
    of=40,
    limit=5,
    sentence="6 of 40 students of school 101 would go; at most 5 may in one run.",
)
HELD = Planned(
    plan="first",
    batches=3,
    rows=20,
    steps={"people": {"create": 10, "remove": 10}},
    errors=0,
    error_files=(),
    failed={},
    seen={"people": 100},
    held=f"Nothing was changed: {VERDICT.sentence}",
    verdicts=(VERDICT,),
    verdict_count=1,
    holds=("removals",),
    flowing=2,
)


def caller(kind: Any = "delegated", *roles: str, user: str | None = "anna", grants: tuple[str, ...] = ()) -> Principal:
    return Principal(
        tenant=1,
        tenant_id="11111111-2222-4333-8444-555555555555",
        kind=kind,
        grants=frozenset(grants),
        roles=frozenset(roles),
        user_id=user,
        client="script",
    )


APPROVER = caller("delegated", "schoolsync.approver")
SECOND = caller("delegated", "schoolsync.approver", user="bert")


def settle(house: House, profile: str, **guards: Any) -> None:
    """Give the profile guard settings."""
    with house.control.write() as connection:
        connection.execute(
            update(profiles)
            .where(profiles.c.id == profile)
            .values(policy=msgspec.json.encode({"guards": Guards(**guards)}).decode())
        )


def held(house: House, profile: str | None = None, planned: Planned = HELD) -> Key:
    """A run whose plan a guard holds."""
    key: Key = house.begin(profile or house.profile())
    assert house.journal.verified(key, GOOD)
    assert house.journal.begins(key, RunState.PLANNING)
    assert house.journal.planned(key, planned) == -1
    return key


def again(house: House, key: Key, planned: Planned = HELD) -> int:
    """The worker takes the run up again and comes to its plan; how many batches are to be applied."""
    next_key = Key(key.tenant, key.profile, key.run, key.attempt + 1)
    assert house.journal.take(next_key)
    assert house.journal.is_planned(next_key)
    return int(house.journal.planned(next_key, planned))


def test_a_persons_yes_to_the_whole_plan_lets_it_go_on(house: House, plans: Plans) -> None:
    """Who, when, why and which plan is kept; the very plan is applied whole."""
    key = held(house)
    said = plans.approve(APPROVER, key.profile, key.run, plan="first", why="School 101 closes.", now=house.clock())
    assert (said.released, said.persons_missing) == (True, 0)
    assert (said.approval.person, said.approval.why) == ("delegated:anna", "School 101 closes.")
    assert house.status(key.profile).status == "inProgress"
    assert again(house, key) == HELD.batches
    shown = plans.summary(APPROVER, key.profile, key.run)
    assert [one.plan for one in shown.approvals] == ["first"]
    assert shown.verdicts == (VERDICT,)


@pytest.mark.parametrize(
    "principal",
    [
        caller("application", "schoolsync.approver", user=None),
        caller("application", "schoolsync.admin", user=None, grants=("EduAdministration.ReadWrite.All",)),
        caller("application", user=None, grants=("EduAdministration.ReadWrite.All",)),
        caller("delegated", grants=("EduAdministration.ReadWrite",)),
        caller("delegated", "schoolsync.operator"),
        caller("delegated", "schoolsync.approver", user=None),
        caller("none"),
    ],
)
def test_nobody_elses_yes_counts(house: House, plans: Plans, principal: Principal) -> None:
    """A program, a person without the role, a token without a person: neither approve nor resume releases the plan."""
    key = held(house)
    with pytest.raises(Forbidden):
        plans.approve(principal, key.profile, key.run, plan="first", why=None, now=house.clock())
    with pytest.raises(Conflict, match="approval"):
        house.ask("resume", key.profile, by=principal)
    assert house.run(key.profile).state == RunState.HELD
    settle(house, key.profile, plain_resume=True)
    house.ask("resume", key.profile, by=principal)
    assert again(house, key) == HELD.batches


@pytest.mark.parametrize("role", ["schoolsync.approver", "schoolsync.admin"])
def test_a_resume_of_somebody_who_may_approve_is_a_yes(house: House, plans: Plans, role: str) -> None:
    """It is kept as an approval that came by resume."""
    key = held(house)
    house.ask("resume", key.profile, by=caller("delegated", role))
    (one,) = plans.summary(APPROVER, key.profile, key.run).approvals
    assert (one.via, one.plan, one.what.whole) == ("resume", "first", True)
    assert again(house, key) == HELD.batches


def test_a_plan_made_anew_is_another_plan(house: House, plans: Plans) -> None:
    """The directory changed between the yes and the applying: the new plan is held, and nobody has approved it."""
    key = held(house)
    plans.approve(APPROVER, key.profile, key.run, plan="first", why=None, now=house.clock())
    second = msgspec.structs.replace(HELD, plan="second")
    assert again(house, key, second) == -1
    assert house.run(key.profile).state == RunState.HELD
    assert "new plan" in str(house.status(key.profile).status_message)
    with pytest.raises(Conflict, match="another plan"):
        plans.approve(APPROVER, key.profile, key.run, plan="first", why=None, now=house.clock())
    plans.approve(APPROVER, key.profile, key.run, plan="second", why=None, now=house.clock())
    assert again(house, Key(1, key.profile, key.run, 2), second) == HELD.batches


def test_two_people_when_the_profile_asks_for_them(house: House, plans: Plans) -> None:
    """The same person twice is one; a resume is a yes like any other."""
    key = held(house)
    settle(house, key.profile, second_person=True)
    for _ in range(2):
        said = plans.approve(APPROVER, key.profile, key.run, plan="first", why=None, now=house.clock())
        assert (said.released, said.persons_missing) == (False, 1)
    assert house.status(key.profile).status == "validationError"
    house.ask("resume", key.profile, by=SECOND)
    assert again(house, key) == HELD.batches


@pytest.mark.parametrize("second_person", [False, True])
def test_people_who_decide_at_once_get_one_answer(house: House, plans: Plans, second_person: bool) -> None:
    """Eight of them say yes, throw the plan away or end its run: one decision counts, and who comes late is told."""
    for number in range(4):
        key = held(house)
        settle(house, key.profile, second_person=second_person)
        people = [
            caller("delegated", "schoolsync.approver", "schoolsync.operator", user=f"person {n}") for n in range(8)
        ]
        together = threading.Barrier(len(people))

        def decide(place: int, person: Principal, key: Key = key, together: threading.Barrier = together) -> str:
            together.wait()
            try:
                if place < 5:
                    given = plans.approve(person, key.profile, key.run, plan="first", why=None, now=house.clock())
                    return "goes on" if given.released else "one of two"
                if place == 5:
                    plans.cancel(person, key.profile, key.run, why=None, now=house.clock())
                    return "cancelled"
                plans.discard(person, key.profile, key.run, plan="first", why=None, now=house.clock())
            except Conflict:
                return "late"
            return "discarded"

        with ThreadPoolExecutor(len(people)) as pool:
            turns = [(n + number) % len(people) for n in range(len(people))]
            said = list(pool.map(decide, turns, people))
        row = house.run(key.profile)
        if row.state == RunState.CANCELLED:
            assert "cancelled" in said, "a cancel also ends a run that has just been let go"
        elif row.state == RunState.DISCARDED:
            assert said.count("discarded") == 1
            assert "goes on" not in said
        else:
            assert row.state == RunState.QUEUED
            assert said.count("goes on") == 1
            assert said.count("one of two") == int(second_person)
            assert len({yes.person for yes in release_of(row).given}) == 1 + int(second_person)


def stored(house: House, key: Key) -> None:
    """Lay the files of the held plan down: pupils of the schools 101 and 102 go."""
    draft = StoredPlans(run_folder(house.settings, house.person.tenant_id, key.profile, key.run)).begin(1)
    with duckdb.connect() as db:
        rows = (
            "SELECT n AS key, 'id-' || n AS id, 'gone' AS rule, (101 + n % 2)::VARCHAR AS of_school FROM range(6) q(n)"
        )
        draft.add(Step("remove", "people", rows, "student"), db.sql(rows).to_arrow_reader, 100)
        draft.complete(planned=HELD, position=0, first_key=100, input_hash="", terms="", wakes=None)


def test_a_yes_to_nothing_is_refused(house: House, plans: Plans) -> None:
    """A school, kind or object of which nothing is held has been mistyped, and is no approval."""
    key = held(house)
    stored(house, key)
    for wrong, said in (
        (Selection(school="999"), "nothing is held in school 999"),
        (Selection(kind="teacher", school="101"), "nothing is held in kind teacher and school 101"),
        (Selection(kind="Student"), "nothing is held in kind Student"),
        (Selection(objects=("id-1", "id-77")), "the object id-77 is changed by"),
        (Selection(objects=("id-0",), school="102"), "the object id-0"),
        (Selection(school="101' OR '1'='1"), "nothing is held"),
    ):
        with pytest.raises(Invalid, match=said):
            plans.approve(APPROVER, key.profile, key.run, plan="first", what=wrong, why=None, now=house.clock())
    assert plans.summary(APPROVER, key.profile, key.run).approvals == ()
    right = Selection(objects=("id-1", "id-3"), school="102", kind="student")
    plans.approve(APPROVER, key.profile, key.run, plan="first", what=right, why=None, now=house.clock())


def test_an_approval_expires(house: House, plans: Plans) -> None:
    """One that comes too late to be used, and one that nobody has used."""
    key = held(house)
    stored(house, key)
    part = Selection(school="101")
    plans.approve(APPROVER, key.profile, key.run, plan="first", what=part, why=None, now=house.clock())
    house.time[0] += 73 * HOUR
    with pytest.raises(Conflict, match="approve it first"):
        plans.apply(APPROVER, key.profile, key.run, plan="first", now=house.clock())
    plans.approve(APPROVER, key.profile, key.run, plan="first", why=None, now=house.clock())
    house.time[0] += 73 * HOUR
    assert again(house, key) == -1
    assert "expired" in str(house.status(key.profile).status_message)


def test_parts_are_collected_until_they_are_applied(house: House, plans: Plans) -> None:
    """Two schools are approved one after the other; applying takes both."""
    key = held(house)
    stored(house, key)
    for place in ("101", "102"):
        what = Selection(school=place)
        assert not plans.approve(
            APPROVER, key.profile, key.run, plan="first", what=what, why=None, now=house.clock()
        ).released
    assert house.run(key.profile).state == RunState.HELD
    made = plans.apply(APPROVER, key.profile, key.run, plan="first", now=house.clock())
    assert [one.school for one in made.selections] == ["101", "102"]
    assert again(house, key) == HELD.batches


def test_what_was_last_said_of_a_part_counts(house: House, plans: Plans) -> None:
    """A part is discarded, approved after all, discarded again; then all the rest is let go, by whoever may."""
    key = held(house)
    stored(house, key)
    one, other = Selection(school="101"), Selection(school="102")
    operator = caller("delegated", "schoolsync.operator")

    def no(what: Selection, who: Principal = operator) -> None:
        house.time[0] += 1
        plans.leave_out(who, key.profile, key.run, plan="first", what=what, why="Not them.", now=house.clock())

    def yes(what: Selection) -> bool:
        house.time[0] += 1
        return plans.approve(
            APPROVER, key.profile, key.run, plan="first", what=what, why=None, now=house.clock()
        ).released

    no(one)
    with pytest.raises(Conflict, match="approve it first"):
        plans.apply(APPROVER, key.profile, key.run, plan="first", now=house.clock())
    assert not yes(one)
    no(other)
    no(one)
    with pytest.raises(Conflict, match="approve it first"):
        plans.apply(APPROVER, key.profile, key.run, plan="first", now=house.clock())
    with pytest.raises(Forbidden):
        no(other, caller("delegated", "schoolsync.viewer"))
    with pytest.raises(Invalid, match="nothing is held"):
        no(Selection(school="nowhere"))
    with pytest.raises(Conflict, match="another plan"):
        plans.leave_out(operator, key.profile, key.run, plan="other", what=one, why=None, now=house.clock())
    assert yes(WHOLE)
    released = release_of(house.run(key.profile))
    assert released is not None
    assert not released.whole
    assert set(released.without) == {one, other}
    assert [said.what for said in released.given] == [WHOLE]
    listed = plans.summary(APPROVER, key.profile, key.run).approvals
    assert [said.refuses for said in listed] == [True, False, True, True, False]


def test_a_discarded_plan_is_gone(house: House, plans: Plans) -> None:
    """The status is the one before it, and the next start has the way free."""
    key = held(house)
    plans.discard(caller("delegated", "schoolsync.operator"), key.profile, key.run, plan="first", why="No", now=1)
    assert house.run(key.profile).state == RunState.DISCARDED
    assert house.status(key.profile).status is None
    with pytest.raises(Conflict, match="not held"):
        plans.approve(APPROVER, key.profile, key.run, plan="first", why=None, now=house.clock())


def test_limits_for_one_plan_only(house: House, plans: Plans) -> None:
    """The run is planned again under them; the profile keeps its own."""
    key = held(house)
    with pytest.raises(Invalid, match="limits"):
        plans.override(APPROVER, key.profile, key.run, plan="first", limits={"removalPercent": 900}, why=None, now=1)
    with pytest.raises(Invalid, match="limits"):
        plans.override(APPROVER, key.profile, key.run, plan="first", limits={"nonsense": 1}, why=None, now=1)
    plans.override(APPROVER, key.profile, key.run, plan="first", limits={"removalPercent": 20}, why="moved", now=1)
    next_key = Key(1, key.profile, key.run, 2)
    assert house.journal.take(next_key)
    job = house.journal.job(next_key)
    assert job.policy.guards == Guards()
    assert job.override is not None
    assert (job.override.guards.removal_percent, job.override.guards.removal_least) == (20, 5)
    with house.control.read() as connection:
        (said,) = approvals.of(connection, 1, key.profile, key.run)
    assert (said.via, said.id, said.plan, said.why) == ("limits", job.override.yes.id, "first", "moved")
    assert house.journal.begins(next_key, RunState.PLANNING)
    other = msgspec.structs.replace(HELD, plan="second")
    assert house.journal.planned(next_key, other) == -1
    assert "so this is a new plan, and the profile's own limits count. " in house.status(key.profile).status_message
    (note,) = plans.summary(APPROVER, key.profile, key.run).notes
    assert note.endswith("set other limits for an earlier plan; the profile's own judge this one.")
    assert approvals.release([said], plan="first", persons=1, now=0) is None, (
        "nobody has said yes to what else holds it"
    )
    fresh = house.begin(house.profile())
    assert house.journal.job(fresh).policy.guards == Guards()


def test_one_of_two_people_cannot_let_a_plan_go_by_other_limits(house: House, plans: Plans) -> None:
    """Where two have to approve, other limits are refused, and the plan stays held."""
    key = held(house)
    settle(house, key.profile, second_person=True)
    with pytest.raises(Conflict, match="second person"):
        plans.override(
            APPROVER, key.profile, key.run, plan="first", limits={"removalPercent": 100}, why=None, now=house.clock()
        )
    assert house.run(key.profile).state == RunState.HELD
    assert house.run(key.profile).limits is None


def test_what_a_held_plan_adds_may_flow(house: House) -> None:
    """With the setting the first batches are applied, and then the run is held."""
    profile = house.profile()
    settle(house, profile, additions_flow=True)
    key: Key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    assert house.journal.begins(key, RunState.PLANNING)
    assert house.journal.planned(key, HELD) == HELD.flowing
    assert house.journal.begins(key, RunState.APPLYING)
    house.journal.held(key, HELD)
    assert house.run(profile).state == RunState.HELD
    said = f"What the plan only adds was applied; the rest waits: {VERDICT.sentence}"
    assert house.status(profile).status_message == said


def test_a_blackout_puts_a_run_off_until_it_is_over(house: House) -> None:
    """The plan is there, the status is paused and says until when, and the run goes on by itself."""
    profile = house.profile()
    day = ticks.text(house.clock())[:10]
    window = {"firstDay": day, "lastDay": day, "kind": "blackout"}
    with house.control.write() as connection:
        connection.execute(
            update(profiles)
            .where(profiles.c.id == profile)
            .values(policy=msgspec.json.encode({"windows": [window]}).decode())
        )
    key: Key = house.begin(profile)
    free = msgspec.structs.replace(HELD, held=None, verdicts=(), verdict_count=0, holds=())
    assert house.journal.verified(key, GOOD)
    assert house.journal.begins(key, RunState.PLANNING)
    assert house.journal.planned(key, free) == -1
    assert house.status(profile).status == "paused"
    assert "2026-09-02T00:00:00Z" in str(house.status(profile).status_message)
    assert not house.journal.begin_due()
    house.time[0] = ticks.parse("2026-09-02T00:00:01Z")
    assert house.journal.begin_due()
    (next_key,) = house.journal.queued(1)
    assert house.journal.take(next_key)
    assert house.journal.planned(next_key, free) == free.batches


def test_other_tenants_and_unknown_runs_are_not_found(house: House, plans: Plans) -> None:
    """Neither to look at nor to decide on."""
    key = held(house)
    stranger = replace(APPROVER, tenant=2)
    for who, run in ((stranger, key.run), (APPROVER, "00000000-0000-4000-8000-ffffffffffff")):
        with pytest.raises(NotFound):
            plans.summary(who, key.profile, run)
        with pytest.raises(NotFound):
            plans.approve(who, key.profile, run, plan="first", why=None, now=house.clock())
        with pytest.raises(NotFound):
            plans.undo(who, key.profile, run, why=None, now=house.clock())


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("old,new\nstudent,1,2\n", "first line"),
        ("kind,old,new\n", "no pair"),
        ("kind,old,new\npupil,1,2\n", "Line 2"),
        ("kind,old,new\nstudent,1,2\nstudent,1,3\n", "Line 3"),
        ("kind,old,new\nstudent,1,3\nstudent,2,3\n", "Line 3"),
        ("kind,old,new\nstudent,1,1\n", "Line 2"),
        ("kind,old,new\nstudent,1\n", "Line 2"),
        ("", "first line"),
        ('kind,old,new\nstudent,1,2\nstudent,"3,4\nstudent,5,6\n', "Line 4 is not CSV"),
        ('kind,old,new\nstudent,"1"1,2\n', "Line 2 is not CSV"),
        ('kind,old,new\nstudent,"1\n2",3\n', "Line 3 is not a pair"),
        ("kind,old,new\nstudent,1\x00,2\n", "Line 2"),
        (f"kind,old,new\nstudent,{'9' * 200_000},2\n", "Line 2"),
    ],
)
def test_a_map_of_ids_that_is_wrong_is_refused(house: House, plans: Plans, text: str, wrong: str) -> None:
    """With the line that is wrong; nothing of it is kept."""
    profile = house.profile()
    with pytest.raises(Invalid, match=wrong):
        plans.rekey(APPROVER, profile, text, why=None, now=house.clock())
    assert house.journal.job(house.begin(profile)).rekeys == ()


def test_maps_of_ids_come_with_the_next_run(house: House, plans: Plans) -> None:
    """In their order, from a person who may approve."""
    profile = house.profile()
    with pytest.raises(Forbidden):
        plans.rekey(house.script, profile, "kind,old,new\nstudent,1,2\n", why=None, now=house.clock())
    assert plans.rekey(APPROVER, profile, '﻿kind,old,new\nstudent,"1,5",2\n', why="New SIS", now=house.clock()) == 1
    mac = " Kind , old,new\rschool,1,2\r\r"
    assert plans.rekey(APPROVER, profile, mac, why=None, now=house.clock()) == 1
    first, second = house.journal.job(house.begin(profile)).rekeys
    assert Path(first).read_text() == 'kind,old,new\nstudent,"1,5",2\n'
    assert Path(second).read_text() == "kind,old,new\nschool,1,2\n"


@pytest.mark.parametrize(("days", "counts"), [(6.99, True), (7.01, False)])
def test_what_went_within_the_window_counts(house: House, days: float, counts: bool) -> None:
    """Seven days back from now, of runs that were applied whole; the guard's setting says how many days."""
    profile = house.profile()
    first = house.begin(profile)
    with house.control.write() as connection:
        connection.execute(update(runs).where(runs.c.id == first.run).values(state=RunState.DONE, ended=house.clock()))
    house.time[0] += int(days * 24 * HOUR)
    job = house.journal.job(house.begin(profile))
    assert [Path(one).parent.name for one in job.tallies] == ([first.run] if counts else [])
    settle(house, profile, window_days=14)
    assert len(house.journal.job(Key(1, profile, house.run(profile).id, 1)).tallies) == 1
