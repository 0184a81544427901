"""The classes of a profile that has expired are cleaned up: three things, each by itself, held, and taken back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schoolsync.plan.policy import CleanUp
from schoolsync.runs.job import Job
from schoolsync.runs.selections import WHOLE, Selection

from .districts import CREATES, DISTRICT, NOW, Directory, Outcome, Roster, carried_out, engine
from .test_expiry import DAY, LED, M2, marked
from .test_guards import STRICT
from .test_properties import active
from .test_taking_back import ask

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both


def held(directory: Directory, **what: bool) -> tuple[Job, Outcome]:
    """A clean-up, which waits for a yes; it reads no file."""
    reads = directory.source.reads
    job = directory.job(Roster(), policy=STRICT, files=(), cleans=CleanUp(**what))
    with engine(job) as work:
        outcome = carried_out(job, work)
    assert directory.source.reads == reads
    return job, outcome


def cleaned(directory: Directory, *selections: Selection, **what: bool) -> Outcome:
    """A clean-up to whose plan, or a part of it, somebody has said yes."""
    job, outcome = held(directory, **what)
    assert outcome.planned is not None
    assert (outcome.planned.held, outcome.planned.holds) != (None, ())
    done = directory.release(job, Roster(), *(selections or (WHOLE,)))
    assert done.finished is not None
    assert done.finished.snapshot is None
    assert directory.broken() == []
    return done


def members(directory: Directory, source_id: str) -> set[str]:
    return {row[2] for row in directory.links("class_people") if row[1] == source_id}


PEOPLE = {f"Given{one} Family{one}" for one in ("1", "2", "3", "9")}
EVERY = {(f"{LED}{one}", f"{LED}Class {one}", f"{LED}{one}", f"{LED}Section_{one}", "Expired") for one in (
    "M1", "M2", "E1")}  # fmt: skip


def _at_night(*values: Any) -> Any:  # pytest has no name for it
    return pytest.param(*values, marks=pytest.mark.nightly)


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ({"remove_pupils": True}, {"links": {"unlink": 3}}),
        _at_night({"mark": True}, {"classes": {"expire": 3}}),
        _at_night({"archive": True}, {"classes": {"remove": 3}, "links": {"unlink": 5}, "school_links": {"unlink": 3}}),
        _at_night({"mark": True, "remove_pupils": True}, {"classes": {"expire": 3}, "links": {"unlink": 3}}),
        (
            {"mark": True, "archive": True},
            {"classes": {"expire": 3}, "links": {"unlink": 5}, "school_links": {"unlink": 3}},
        ),
    ],
)
def test_exactly_what_is_chosen_happens_and_is_taken_back(
    directory: Directory, what: dict[str, bool], steps: dict[str, Any]
) -> None:
    """Every step names its line; undoing gives names, members and use back; the same upload then changes nothing."""
    directory.sync(DISTRICT)
    before = active(directory)
    assert cleaned(directory, **what).steps == steps
    named = {row[:5] for row in marked(directory)}
    assert named == (EVERY if what.get("mark") else set())
    source_id = M2[0] if what.get("mark") else "M2"
    in_use = not what.get("archive")
    assert directory.object("classes", source_id, "active") == (int(in_use),)
    left = {"teacher 9", "student 3"} - ({"student 3"} if what.get("remove_pupils") else set())
    assert members(directory, source_id) == (left if in_use else set())
    found = ask(directory, "run-2").steps
    assert found
    assert {(one.rule, one.upload_run, one.line is not None) for one in found} == {("cleaned-up", 1, True)}
    assert {one.member_name for one in found if one.member_id} <= {"Class M1", "Class M2", "Class E1", *PEOPLE}
    if "links" in steps:
        assert {one.source_id for one in ask(directory, "run-2", search="family3").steps} == {"M2"}
    again, nothing = held(directory, **what)
    assert (nothing.steps, nothing.planned is not None and nothing.planned.held) == ({}, None), again
    undone = directory.undo("run-2")
    assert undone.planned is not None
    assert undone.planned.notes == ()
    assert active(directory) == before
    assert directory.sync(DISTRICT, again=True).steps == {}


def test_a_yes_may_be_for_a_school_or_for_memberships_alone(directory: Directory) -> None:
    """What nobody has approved stays as it is, and another clean-up finds the rest."""
    directory.sync(DISTRICT)
    done = cleaned(directory, Selection(school="B"), archive=True)
    assert done.finished is not None
    assert done.finished.left_out > 0
    assert [directory.object("classes", one, "active") for one in ("M1", "M2", "E1")] == [(1,), (0,), (0,)]
    assert members(directory, "M1") == {"student 1", "student 2", "teacher 1"}
    cleaned(directory, Selection(kind="studentEnrollment"), archive=True)
    assert directory.object("classes", "M1", "active") == (1,)
    assert members(directory, "M1") == {"teacher 1"}


@pytest.mark.nightly
def test_one_after_the_other_comes_to_the_same(directory: Directory) -> None:
    """Pupils first, the mark later, the archive last: what is done is not done again, and each is undone by itself."""
    directory.sync(DISTRICT)
    before = active(directory)
    cleaned(directory, remove_pupils=True)
    assert cleaned(directory, mark=True, remove_pupils=True).steps == {"classes": {"expire": 3}}
    last = cleaned(directory, mark=True, archive=True)
    assert last.steps == {"classes": {"remove": 3}, "links": {"unlink": 2}, "school_links": {"unlink": 3}}
    for run in ("run-4", "run-3", "run-2"):
        directory.undo(run)
    assert active(directory) == before


def test_the_next_upload_makes_new_classes_and_takes_up_archived_ones(directory: Directory) -> None:
    """Once the date has been moved on: a marked class stays what it is, one that was archived alone is there again."""
    directory.sync(DISTRICT)
    before = active(directory)
    cleaned(directory, archive=True)
    assert directory.sync(DISTRICT).steps["classes"] == {"restore": 3}
    assert active(directory) == before
    cleaned(directory, mark=True, archive=True)
    ids = {row[0] for row in directory.query("SELECT id FROM classes")}
    assert directory.sync(DISTRICT).steps["classes"] == {"create": 3}
    assert {row[:5] for row in marked(directory)} == EVERY
    fresh = directory.query("SELECT id, generation FROM classes WHERE expired IS NULL")
    assert {row[1] for row in fresh} == {1}
    assert not ids & {row[0] for row in fresh}
    assert active(directory)["class_people"] == before["class_people"]
    # A name that another class has is not taken; the class is archived all the same.
    again = cleaned(directory, mark=True, archive=True)
    assert again.codes() == [("Section", "DuplicateTargetEntries", one) for one in ("E1", "M1", "M2")]
    assert again.steps["classes"] == {"remove": 3}
    assert len(marked(directory)) == 3


@pytest.mark.nightly
def test_a_change_by_hand_while_it_waits_makes_another_plan(directory: Directory) -> None:
    """A yes to the plan that was seen does not count for it; nothing is done."""
    directory.sync(DISTRICT)
    job, outcome = held(directory, mark=True)
    assert outcome.planned is not None
    directory.by_hand("UPDATE classes SET display_name = 'By hand' WHERE source_id = 'M2'")
    with engine(msgspec.structs.replace(job, fence=job.fence + 1)) as work:
        assert work.plan().plan != outcome.planned.plan
    assert marked(directory) == set()


def test_a_class_that_left_before_is_marked_and_stays_away(directory: Directory) -> None:
    """Marking takes all classes of the profile; archiving only those in use; hand-made memberships stay."""
    directory.sync(DISTRICT)
    directory.sync(DISTRICT.left_without_class("M2"), policy=CREATES)
    job, outcome = held(directory, mark=True, remove_pupils=True)
    assert outcome.planned is not None
    (verdict,) = outcome.planned.verdicts
    assert (verdict.guard, verdict.endangered, verdict.of) == ("clean-up", 3, 3)
    assert "3 classes would be marked as expired, 2 student enrollments would end" in verdict.sentence
    directory.release(job, Roster(), WHOLE)
    assert {(row[0], row[5]) for row in marked(directory)} == {
        (f"{LED}M1", 1), (f"{LED}E1", 1), (f"{LED}M2", 0)
    }  # fmt: skip
    assert job.now < NOW + DAY
