"""What a run did can be taken back, by a plan of its own, and what cannot is said; held plans go on in parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from schoolsync.plan.policy import Guards
from schoolsync.plan.steps import RULES
from schoolsync.runs import plan_question
from schoolsync.runs.plan_question import Page, Question
from schoolsync.runs.plan_reader import Reading
from schoolsync.runs.selections import WHOLE, Selection
from schoolsync.runs.stored_plan import Plans

from .districts import CREATES, DISTRICT, Directory, attends, engine, enrolled, named_lines, person, section
from .test_guards import STRICT, district, without_pupils
from .test_properties import active

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

CHANGED = (
    DISTRICT.changed("people", {"role": "student", "source_id": "3"}, grade="9", surname="Ny")
    .left_without_person("student", "2")
    .left_without_class("M2")
    .plus("people", person("student", "7", "B"))
    .plus("person_organizations", attends("student", "7", "B"))
    .plus("classes", section("N1", "A"))
    .plus("enrollments", enrolled("N1", "student", "7"), enrolled("E1", "teacher", "9"))
)


def ask(directory: Directory, run: str, **question: Any) -> Page:
    """What a face asks about a run's plan, as the process that reads it answers."""
    with duckdb.connect() as db:
        return Reading(db, directory.folder / "runs" / run).page(Question(**question))


def test_a_run_is_taken_back_whole(directory: Directory) -> None:
    """Objects, values and memberships are what they were; the objects it made stay, inactive, and that is said."""
    directory.sync(DISTRICT)
    before = active(directory)
    directory.sync(CHANGED)
    outcome = directory.undo("run-2")
    assert outcome.planned is not None
    assert active(directory) == before
    assert directory.broken() == []
    assert outcome.planned.notes == ("2 objects that the run made stay in the directory, inactive.",)
    assert directory.sync(DISTRICT).steps == {}
    assert directory.sync(CHANGED).steps["people"] == {"restore": 1, "update": 1, "remove": 1}


def test_nobody_joins_a_school_that_comes_back_without_a_yes(directory: Directory) -> None:
    """What returns is held with the changes; so the memberships in it wait as well, and the plan says which do."""
    away = DISTRICT
    for role, one in (("student", "3"), ("teacher", "9")):
        away = away.left_without_person(role, one)
    for one in ("M2", "E1"):
        away = away.left_without_class(one)
    away = away.without("organizations", source_id="B")
    away = away.without("person_organizations", role="teacher", source_id="1", school_id="B")
    directory.sync(DISTRICT)
    directory.sync(away)
    other = {"given_name": "Someone", "surname": "Else", "birth_date": "2014-01-01"}
    roster = DISTRICT.changed("people", {"role": "student", "source_id": "1"}, **other)
    job = directory.job(roster, policy=STRICT)
    outcome = directory.work(job, roster)
    assert outcome.planned is not None
    assert outcome.planned.holds == ("updates",)
    before = active(directory)
    done = directory.release(job, roster, Selection(kind="student", school="A"))
    assert done.finished is not None
    assert directory.broken() == []
    assert directory.object("people", "student 1", "surname") == ("Else",)
    assert active(directory)["schools"] == before["schools"]
    batches = len(Plans(directory.folder / "runs" / "run-3").latest().batches)  # type: ignore[union-attr]  # it is there
    waiting = ask(directory, "run-3", applied=False, batches=batches, op="link").steps
    assert ("B", "1") in {(one.source_id, one.member_source_id) for one in waiting}
    assert len(waiting) == done.finished.left_out - len(ask(directory, "run-3", op="restore").steps)
    directory.undo("run-3")
    assert active(directory) == before


def test_who_looks_at_an_undo_sees_names_and_schools(directory: Directory) -> None:
    """Its memberships have the names of both ends, also of a role that goes back, and it is told by school."""
    directory.sync(DISTRICT)
    swapped = DISTRICT.changed("enrollments", {"class_id": "M1", "source_id": "2"}, role="teacher")
    directory.sync(swapped.without("enrollments", class_id="M1", source_id="1", role="student"))
    directory.undo("run-2")
    found = {(one.op, one.source_id, one.member_name) for one in ask(directory, "run-3", search="family").steps}
    assert found == {("relink", "M1", "Given2 Family2"), ("link", "M1", "Given1 Family1")}
    assert len(ask(directory, "run-3", object="M1").steps) == 2
    with duckdb.connect() as db:
        told = Reading(db, directory.folder / "runs" / "run-3").by_school().schools
    assert {(one.school, one.op, one.count) for one in told} == {("A", "link", 1), ("A", "relink", 1)}


def test_an_undo_is_taken_back(directory: Directory) -> None:
    """And that once more: everything in use is what the upload had made it, and then what was before."""
    directory.sync(DISTRICT)
    before = active(directory)
    directory.sync(CHANGED)
    after = active(directory)
    for number, expected in ((2, before), (3, after), (4, before)):
        outcome = directory.undo(f"run-{number}")
        assert outcome.finished is not None
        assert active(directory) == expected
        assert directory.broken() == []


def test_what_was_changed_since_stays(directory: Directory) -> None:
    """A later run's value, a value written by hand and a membership made by hand are not taken back."""
    directory.sync(DISTRICT)
    directory.sync(CHANGED)
    directory.sync(CHANGED.changed("people", {"role": "student", "source_id": "3"}, grade="10"))
    directory.by_hand("UPDATE people SET surname = 'Hand' WHERE source_id = '3'")
    ((pupil, group),) = directory.query(
        "SELECT p.key, c.key FROM people p, classes c WHERE p.source_id = '2' AND c.source_id = 'M1'"
    )
    directory.by_hand(
        "INSERT INTO class_people (tenant, class, person, profile, member, teacher) "
        f"VALUES (1, {group}, {pupil}, NULL, true, false)"
    )
    outcome = directory.undo("run-2")
    assert outcome.planned is not None
    assert directory.object("people", "student 3", "student_grade", "surname") == ("10", "Hand")
    assert (None, "M1", "student 2", 1, 0) in directory.links("class_people")
    assert any("have been changed again since" in note for note in outcome.planned.notes)
    assert any("were made again" in note for note in outcome.planned.notes)


def test_taking_back_is_guarded_too(directory: Directory) -> None:
    """Undoing the first run of a school would empty it."""
    directory.sync(district(20), policy=STRICT)
    before = directory.content()
    outcome = directory.undo("run-1", policy=STRICT)
    assert outcome.planned is not None
    assert {one.guard for one in outcome.planned.verdicts} >= {"removals", "school-gone"}
    assert directory.content() == before


# --- held plans in parts ------------------------------------------------------------------------------------------


def held(directory: Directory) -> Any:
    """Two schools that each lose six pupils; returns the job of the held run and its roster."""
    roster = district(20, schools="AB")
    directory.sync(roster, policy=STRICT)
    less = without_pupils(roster, *(f"{place}{n}" for place in "AB" for n in range(6)))
    less = less.plus("people", person("student", "new", "A")).plus(
        "person_organizations", attends("student", "new", "A")
    )
    job = directory.job(less, policy=STRICT)
    outcome = directory.work(job, less)
    assert outcome.planned is not None
    assert outcome.planned.held is not None
    return job, less


def away(directory: Directory) -> set[str]:
    return {row[0] for row in directory.query("SELECT source_id FROM people WHERE NOT active")}


def test_only_the_approved_school_loses_its_pupils(directory: Directory) -> None:
    """The links of those who go come along, additions are made, the other school stays; the next plan has the rest."""
    job, less = held(directory)
    outcome = directory.release(job, less, Selection(school="A"))
    assert outcome.finished is not None
    assert away(directory) == {f"A{n}" for n in range(6)}
    assert directory.broken() == []
    assert directory.object("people", "student new", "active") == (1,)
    assert outcome.finished.left_out == 18  # six pupils of the other school, each with a class and a school
    assert outcome.finished.snapshot is None
    again = directory.sync(less, policy=STRICT)
    assert again.planned is not None
    assert {one.scope_id for one in again.planned.verdicts if one.scope == "school"} == {"B"}
    assert away(directory) == {f"A{n}" for n in range(6)}


def test_single_objects_and_kinds_are_approved(directories: Callable[[], Directory]) -> None:
    """One pupil by its id; only the enrollments; then everything."""
    directory = directories()
    job, less = held(directory)
    ((one,),) = directory.query("SELECT id FROM people WHERE source_id = 'B3'")
    directory.release(job, less, Selection(objects=(one,)))
    assert away(directory) == {"B3"}
    assert directory.broken() == []
    directory = directories()
    job, less = held(directory)
    directory.release(job, less, Selection(kind="studentEnrollment"))
    assert away(directory) == set()
    assert len(directory.links("class_people")) == 28
    directory = directories()
    job, less = held(directory)
    outcome = directory.release(job, less, WHOLE)
    assert len(away(directory)) == 12
    assert outcome.finished is not None
    assert outcome.finished.left_out == 0
    assert directory.sync(less, policy=STRICT).unchanged


@pytest.mark.parametrize(
    ("without", "gone"),
    [
        (Selection(school="B"), {f"A{n}" for n in range(6)}),
        (Selection(kind="student"), set()),
        (Selection(kind="student", school="A"), {f"B{n}" for n in range(6)}),
        (Selection(objects=("A3",)), {f"{place}{n}" for place in "AB" for n in range(6)} - {"A3"}),
        (Selection(kind="studentEnrollment"), {f"{place}{n}" for place in "AB" for n in range(6)}),
    ],
    ids=["school", "kind", "both", "object", "memberships"],
)
def test_what_is_left_out_stays(directory: Directory, without: Selection, gone: set[str]) -> None:
    """All but that part goes, each with its memberships; the plan says the same; the next one has that part again."""
    job, less = held(directory)
    if without.objects:
        found = dict(directory.query("SELECT source_id, id FROM people"))
        without = Selection(objects=tuple(found[one] for one in without.objects))
    enrolled = {row[2] for row in directory.links("class_people")}
    outcome = directory.release(job, less, WHOLE, without=(without,))
    assert outcome.finished is not None
    assert away(directory) == gone
    assert directory.broken() == []
    assert {row[2] for row in directory.links("class_people")} == enrolled - {f"student {one}" for one in gone}
    assert outcome.finished.left_out == 3 * (12 - len(gone))  # each with a class and a school
    batches = len(Plans(directory.folder / "runs" / job.run).latest().batches)  # type: ignore[union-attr]  # it is there
    said = {one.source_id for one in ask(directory, job.run, applied=True, batches=batches, op="remove").steps}
    assert said == gone
    waiting = ask(directory, job.run, applied=False, batches=batches, top=1000).steps
    assert len(waiting) == outcome.finished.left_out
    assert all(not one.approved_by for one in waiting)
    again = directory.work(directory.job(less, policy=STRICT), less)
    steps = {} if again.planned is None else again.planned.steps
    assert steps.get("people", {}).get("remove", 0) == 12 - len(gone)


def test_what_is_new_and_left_out_does_not_come(directory: Directory) -> None:
    """Everything is held: a class that is left out is not made, nobody joins it, and undoing takes back the rest."""
    directory.sync(DISTRICT)
    before = active(directory)
    roster = CHANGED
    for one in sorted({row["source_id"] for row in DISTRICT.tables["people"] if row["role"] == "teacher"}):
        roster = roster.left_without_person("teacher", one)
    job = directory.job(roster, policy=STRICT)
    outcome = directory.work(job, roster)
    assert outcome.planned is not None
    assert outcome.planned.holds == ("everything",)
    (new,) = (one for one in ask(directory, job.run, op="create", top=1000).steps if one.source_id == "N1")
    done = directory.release(job, roster, WHOLE, without=(Selection(objects=(str(new.object_id),)),))
    assert done.finished is not None
    assert directory.broken() == []
    assert not directory.query("SELECT 1 FROM classes WHERE source_id = 'N1'")
    assert directory.object("people", "student 7", "active") == (1,)
    batches = len(Plans(directory.folder / "runs" / job.run).latest().batches)  # type: ignore[union-attr]  # it is there
    waiting = ask(directory, job.run, applied=False, batches=batches, top=1000).steps
    assert {one.source_id for one in waiting} == {"N1"} | {one.source_id for one in waiting if one.op == "link"}
    assert len(waiting) == done.finished.left_out
    directory.undo(job.run)
    assert active(directory) == before


def test_the_ledger_is_that_of_the_approved_plan(directory: Directory) -> None:
    """Every batch in the directory names the hash of the plan that was released, and wrote what the plan has."""
    job, less = held(directory)
    outcome = directory.release(job, less, WHOLE)
    assert outcome.planned is not None
    rows = directory.query(f"SELECT batch, plan, rows FROM batches WHERE run = '{job.run}' ORDER BY batch")
    stored = Plans(Path(job.folder)).latest()
    assert stored is not None
    assert [(number, outcome.planned.plan, batch.rows) for number, batch in enumerate(stored.batches)] == rows


def test_a_changed_directory_makes_another_plan(directory: Directory) -> None:
    """A hand edit between the yes and the applying: nothing is applied under the old approval."""
    job, less = held(directory)
    first = Plans(Path(job.folder)).latest()
    directory.by_hand("UPDATE people SET surname = 'Hand' WHERE source_id = 'A9'")
    directory.source.roster = less
    again = msgspec.structs.replace(job, fence=2)
    with engine(again) as work:
        second = work.plan()
    assert first is not None
    assert second.plan != first.planned.plan
    assert second.held is not None


def test_other_limits_judge_the_same_plan_again(directory: Directory) -> None:
    """Settings changed while the plan waited: it is made anew, and passes."""
    job, less = held(directory)
    policy = msgspec.structs.replace(CREATES, guards=Guards(removal_percent=50))
    directory.source.roster = less
    with engine(msgspec.structs.replace(job, fence=2, policy=policy)) as work:
        assert work.plan().held is None


# --- looking at plans ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("touched", [False, True])
def test_the_same_is_planned_under_the_same_hash(directories: Callable[[], Directory], touched: bool) -> None:
    """Whatever keys the directory gives out, and whether it is compared with the snapshot or the directory itself."""
    hashes = set()
    for number in range(2):
        directory = directories()
        directory.sync(DISTRICT)
        if touched and number:
            directory.by_hand("UPDATE positions SET last_key = last_key + 1000")
        outcome = directory.sync(CHANGED, threads=1 + number)
        assert outcome.planned is not None
        hashes.add(outcome.planned.plan)
    assert len(hashes) == 1


def test_every_step_can_be_looked_at(directory: Directory) -> None:
    """Value before and after, reason, file and line; by page, kind, school and object."""
    directory.sync(DISTRICT)
    directory.sync(CHANGED)
    every = ask(directory, "run-2", top=1000, counted=True)
    assert every.count == len(every.steps) == len({one.number for one in every.steps})
    assert all(one.reason == RULES[one.rule] for one in every.steps)
    assert all(one.file and one.line for one in every.steps)
    assert {one.upload_run for one in every.steps if one.op in ("unlink", "remove")} == {1}
    assert {one.upload_run for one in every.steps if one.op not in ("unlink", "remove")} == {None}
    assert named_lines(directory, 2) == every.count
    assert every.count is not None
    paged = [one for last in range(-1, every.count - 1, 3) for one in ask(directory, "run-2", top=3, after=last).steps]
    assert paged == list(every.steps)
    (update,) = [one for one in every.steps if one.op == "update"]
    assert {(one.field, one.before, one.after) for one in update.changes} == {
        ("surname", "Family3", "Ny"),
        ("student_grade", "7", "9"),
    }
    assert (update.kind, update.source_id, update.school) == ("student", "3", "B")
    link = next(one for one in every.steps if one.op == "link" and one.kind == "studentEnrollment")
    assert (link.source_id, link.member_source_id, link.school) == ("N1", "7", "A")
    assert link.object_id == directory.object("classes", "N1", "id")[0]
    gone = ask(directory, "run-2", object="2")
    assert {(one.op, one.kind) for one in gone.steps} == {
        ("unlink", "studentSchools"),
        ("unlink", "studentEnrollment"),
        ("remove", "student"),
    }
    assert {one.kind for one in ask(directory, "run-2", kind="section").steps} == {"section"}
    assert {one.school for one in ask(directory, "run-2", school="A").steps} == {"A"}
    assert plan_question.PAGE_MAX == 1000


def test_undoing_a_return_says_nothing_untrue(directory: Directory) -> None:
    """Who has come back goes again, and nobody is told that somebody has changed them since."""
    gone = DISTRICT.left_without_person("student", "2")
    directory.sync(DISTRICT)
    directory.sync(gone)
    before = active(directory)
    directory.sync(DISTRICT.changed("people", {"role": "student", "source_id": "2"}, surname="Berg"))
    outcome = directory.undo("run-3")
    assert outcome.planned is not None
    assert outcome.planned.notes == ()
    assert outcome.steps["people"] == {"remove": 1, "update": 1}
    assert active(directory) == before
    assert directory.object("people", "student 2", "surname", "active") in (("Family2", 0), ("Family2", False))
