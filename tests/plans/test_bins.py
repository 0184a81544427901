"""The bin: what left is put there, is seen by nobody, comes back as it was, and goes for good when its time is over."""

from __future__ import annotations

import msgspec
import pytest

from schoolsync import ticks
from schoolsync.plan.policy import Expiry, Guards, Policy, Window
from schoolsync.runs.selections import Selection

from .districts import CREATES, DISTRICT, NOW, Directory, attends, person

DAYS = 24 * 3600 * ticks.PER_SECOND
BEGAN = NOW + DAYS
WITHOUT = DISTRICT.left_without_person("student", "2")


def binned(policy: Policy = CREATES, **days: int) -> Policy:
    return msgspec.structs.replace(policy, bin_days=days)


def lying(directory: Directory) -> set[str]:
    """The SIS IDs of what lies in the bin."""
    found = set()
    for table in ("schools", "classes", "people"):
        found |= {row[0] for row in directory.query(f"SELECT source_id FROM {table} WHERE binned_at IS NOT NULL")}
        hidden = f"SELECT 1 FROM {table} WHERE binned_at IS NOT NULL AND active"
        assert directory.query(hidden) == [], "what is in use lies in no bin"
    return found


def test_who_leaves_lies_in_the_bin_for_thirty_days(directory: Directory) -> None:
    """Back on day 29 as it was, with what others linked to it; on day 31 gone for good, and somebody new afterwards."""
    policy = binned(student=0)
    directory.sync(DISTRICT, policy=policy)
    ((key, one),) = directory.query("SELECT key, id FROM people WHERE source_id = '2' AND primary_role = 'student'")
    ((club,),) = directory.query("SELECT key FROM classes WHERE source_id = 'M2'")
    directory.by_hand(
        f"INSERT INTO class_people (tenant, class, person, member, teacher) VALUES (1, {club}, {key}, true, false)"
    )
    directory.sync(DISTRICT, policy=policy)
    before = directory.content()
    left = directory.sync(WITHOUT, policy=policy, now=NOW + DAYS)
    assert left.steps["people"] == {"remove": 1, "bin": 1}
    assert left.finished is not None
    assert left.finished.wakes == NOW + 31 * DAYS
    assert lying(directory) == {"2"}
    assert directory.query("SELECT id, restorable FROM removed_objects") in ([(one, True)], [(one, 1)])
    assert directory.query(f"SELECT 1 FROM class_people WHERE person = {key}") == [(1,)], "what others linked is kept"
    assert directory.sync(WITHOUT, policy=policy, now=NOW + 2 * DAYS).unchanged
    back = directory.sync(DISTRICT, policy=policy, now=NOW + 30 * DAYS)
    assert back.steps["people"] == {"restore": 1}
    assert (directory.content(), lying(directory)) == (before, set())
    ((position,),) = directory.query("SELECT max(position) FROM positions")
    ((told,),) = directory.query(f"SELECT position FROM class_people WHERE person = {key} AND class = {club}")
    assert told > position - 10, "who follows the changes is told of that membership again"
    directory.sync(WITHOUT, policy=policy, now=NOW + 100 * DAYS)
    assert directory.sync(WITHOUT, policy=policy, now=NOW + 129 * DAYS).unchanged
    late = directory.sync(WITHOUT, policy=policy, now=NOW + 131 * DAYS, run="run-90")
    assert late.steps == {"people": {"purge": 1}}
    assert directory.query(f"SELECT 1 FROM people WHERE key = {key}") == []
    assert directory.query(f"SELECT 1 FROM class_people WHERE person = {key}") == []
    assert directory.broken() == []
    anew = directory.sync(DISTRICT, policy=policy, now=NOW + 132 * DAYS)
    assert anew.steps["people"] == {"create": 1}
    assert (one,) not in directory.query("SELECT id FROM people")


def test_inactive_then_disabled_then_in_the_bin_then_gone(directory: Directory) -> None:
    """Each at its time, and every kind by itself; what was put there can be taken out by undoing that run alone."""
    policy = msgspec.structs.replace(
        binned(student=14), leaving={"student": "disabled"}, purge_days={"student": 10, "teacher": 20}
    )
    gone = WITHOUT.left_without_person("teacher", "9")
    directory.sync(DISTRICT, policy=policy)
    left = directory.sync(gone, policy=policy, now=BEGAN)
    assert left.steps["people"] == {"remove": 2}
    assert left.finished is not None
    assert left.finished.wakes == BEGAN + 14 * DAYS
    assert directory.sync(gone, policy=policy, now=BEGAN + 14 * DAYS - 1).unchanged
    put = directory.sync(gone, policy=policy, now=BEGAN + 14 * DAYS, run="run-90")
    assert put.steps == {"people": {"bin": 1}}
    assert put.finished is not None
    assert put.finished.wakes == BEGAN + 20 * DAYS, "the teacher goes without a bin"
    assert lying(directory) == {"2"}
    state = "SELECT active, account_enabled, left_at FROM people WHERE source_id = '2' AND primary_role = 'student'"
    undone = directory.undo("run-90", policy=policy, now=BEGAN + 15 * DAYS)
    assert undone.steps == {"people": {"unbin": 1}}
    assert lying(directory) == set()
    assert [tuple(map(bool, row[:2])) for row in directory.query(state)] == [(False, False)], "as before the bin"
    again = directory.sync(gone, policy=policy, now=BEGAN + 16 * DAYS, run="run-92")
    assert again.steps == {}, "nothing puts it back by itself"
    directory.undo("run-5", policy=policy, now=BEGAN + 17 * DAYS)
    assert directory.sync(gone, policy=policy, now=BEGAN + 20 * DAYS).steps == {"people": {"purge": 1}}
    assert directory.sync(DISTRICT, policy=policy, now=BEGAN + 21 * DAYS).steps["people"] == {"create": 1, "restore": 1}
    assert [tuple(map(bool, row[:2])) for row in directory.query(state)] == [(True, True)]


def test_undoing_the_run_that_emptied_a_school_takes_all_of_it_out(directory: Directory) -> None:
    """Schools, classes that expire, people: same ids, names and memberships, and the bin is empty."""
    policy = msgspec.structs.replace(
        binned(school=0, section=0, student=0, teacher=0), expiry=Expiry(), guards=Guards(school_gone=False)
    )
    gone = WITHOUT.left_without_person("student", "1").left_without_class("M1").left_without_class("E1")
    gone = gone.without("contacts", student_id="1")
    directory.sync(DISTRICT, policy=policy)
    before = directory.content()
    left = directory.sync(gone, policy=policy, run="run-90")
    assert left.steps["people"] == {"remove": 2, "bin": 2}
    assert left.steps["classes"] == {"expire": 2, "bin": 2}
    assert len(lying(directory)) == 4
    back = directory.undo("run-90", policy=policy)
    assert back.planned is not None
    assert back.steps["people"] == {"restore": 2}
    assert back.planned.notes == ()
    assert (directory.content(), lying(directory)) == (before, set())


def test_the_bin_is_guarded_put_off_and_spares_who_is_back(directory: Directory) -> None:
    """Many who left before are held when the profile gets a bin; a window defers it; a part of it can be approved."""
    roster = DISTRICT
    for number in range(20, 27):
        roster = roster.plus("people", person("student", f"{number}", "A"))
        roster = roster.plus("person_organizations", attends("student", f"{number}", "A"))
    free = msgspec.structs.replace(CREATES, guards=Guards(removal_percent=100, removal_least=9))
    directory.sync(roster, policy=free)
    directory.sync(WITHOUT, policy=free)
    careful = Window(begins=NOW, ends=NOW + 9 * DAYS, kind="additionsOnly")
    strict = binned(msgspec.structs.replace(free, guards=Guards()), student=1)
    waiting = directory.sync(
        DISTRICT, policy=msgspec.structs.replace(strict, windows=(careful,)), now=NOW + 2 * DAYS, ignore_findings=True
    )
    assert waiting.steps["people"] == {"restore": 1}
    assert waiting.finished is not None
    assert waiting.finished.wakes == NOW + 9 * DAYS
    job = directory.job(DISTRICT, policy=strict, now=NOW + 9 * DAYS)
    held = directory.work(job, DISTRICT)
    assert held.planned is not None
    assert [(one.guard, one.kind, one.endangered, one.limit) for one in held.planned.verdicts] == [
        ("bins", "student", 7, 5)
    ]
    assert held.planned.held is not None
    assert "7 students that have left would be put into the bin" in held.planned.held
    ((one,),) = directory.query("SELECT id FROM people WHERE source_id = '20'")
    directory.release(job, DISTRICT, Selection(objects=(one,)))
    assert lying(directory) == {"20"}
    done = directory.sync(DISTRICT, policy=binned(free, student=1), now=NOW + 9 * DAYS)
    assert done.steps == {"people": {"bin": 6}}


@pytest.mark.parametrize("living", [(1, 2), (2,)], ids=["of another profile", "of one that is gone"])
def test_whoever_lies_in_the_bin_keeps_name_and_id(directory: Directory, living: tuple[int, ...]) -> None:
    """Another profile of the key space takes over what a deleted one had, out of the bin; of a living one nothing."""
    directory.profiles = (1, 2)
    policy = binned(student=0)
    directory.sync(DISTRICT, policy=policy)
    before = set(directory.query("SELECT id, source_id, primary_role FROM people"))
    directory.sync(WITHOUT, policy=policy)
    directory.profiles = living
    taken = directory.sync(DISTRICT, policy=policy, profile=2)
    assert set(directory.query("SELECT id, source_id, primary_role FROM people")) == before
    if living == (2,):
        assert lying(directory) == set()
        assert taken.steps["people"] == {"adopt": 5}
    else:
        assert lying(directory) == {"2"}
        assert {code for _, code, _ in taken.codes()} >= {"DuplicateTargetEntries"}
