"""A known SIS ID that is somebody else by now: nobody inherits an account, however the profile knows its people."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from schoolsync.plan.policy import Guards, Matching, Policy, Scope
from schoolsync.runs.selections import WHOLE

from .districts import CREATES, DISTRICT, Directory, Outcome, Roster
from .test_guards import STRICT, district
from .test_identity import renumbered

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

WHO = {"role": "student", "source_id": "3"}
OTHER = DISTRICT.changed("people", WHO, given_name="Otto", surname="Ny", birth_date="2010-01-01", username="otto")
MATCHES = Policy(
    profile_name="Fjord",
    matching=tuple(
        Matching(role=role, source="Username", target="userPrincipalName", domain="pupils.example")
        for role in ("student", "teacher")
    ),
)
HELD = {("other-person", "student", "3")}


def said(outcome: Outcome) -> set[tuple[str, str, str | None]]:
    assert outcome.planned is not None
    assert (outcome.finished is None) is bool(outcome.planned.verdicts)
    return {(one.guard, one.kind, one.scope_id) for one in outcome.planned.verdicts}


def test_a_profile_that_matches_compares_with_what_was_applied(directory: Directory) -> None:
    """Also the second time: a roster that was held says nothing of who somebody is. A yes settles it."""
    directory.sync(Roster(), policy=MATCHES)
    for name in ("s1", "s2", "s3", "t1", "t9", "otto"):
        directory.person_by_hand(f"{name}@pupils.example", given_name="By", surname="Hand")
    assert said(directory.sync(DISTRICT, policy=MATCHES)) == set()
    assert said(directory.sync(DISTRICT.changed("people", WHO, surname="Gift"), policy=MATCHES)) == set()
    for _ in range(2):
        job = directory.job(OTHER, policy=MATCHES)
        assert said(directory.work(job, OTHER)) == HELD
    assert directory.release(job, OTHER, WHOLE).finished is not None
    later = OTHER.changed("people", {"role": "student", "source_id": "1"}, grade="8")
    assert said(directory.sync(later, policy=MATCHES)) == set()


def test_a_profile_that_matches_knows_its_people_after_an_undo(directory: Directory) -> None:
    """No roster stands any more as it was applied; the ones before say who is who."""
    directory.sync(Roster(), policy=MATCHES)
    for name in ("s1", "s2", "s3", "t1", "t9"):
        directory.person_by_hand(f"{name}@pupils.example")
    directory.sync(DISTRICT, policy=MATCHES)
    directory.sync(DISTRICT.changed("people", WHO, grade="8"), policy=MATCHES)
    assert directory.undo("run-3", policy=MATCHES).finished is not None
    assert said(directory.sync(OTHER, policy=MATCHES)) == HELD
    assert said(directory.sync(DISTRICT, policy=MATCHES)) == set()


def test_a_new_profile_does_not_hand_accounts_on(directory: Directory) -> None:
    """The profile before it is gone, its people are taken over, and one of them is another person."""
    directory.sync(DISTRICT, policy=STRICT)
    directory.profiles = (2,)
    assert said(directory.sync(OTHER, policy=STRICT, profile=2)) == HELD
    assert directory.object("people", "student 3", "given_name") == ("Given3",)
    assert said(directory.sync(DISTRICT, policy=STRICT, profile=2)) == set()


@pytest.mark.parametrize("kept", [(), ("given_name", "surname")], ids=["roster wins", "kept by hand"])
def test_a_change_by_hand_hides_nobody(directory: Directory, kept: tuple[str, ...]) -> None:
    """Of another property, or of the very names; names that were put right by hand alone are no other person."""
    policy = msgspec.structs.replace(STRICT, kept_by_hand=kept)
    directory.sync(DISTRICT, policy=policy)
    moved = "position = (SELECT position + 1 FROM positions) WHERE source_id = '3'"
    directory.by_hand(f"UPDATE people SET middle_name = 'Hand', {moved}")
    assert said(directory.sync(OTHER, policy=policy)) == HELD
    directory.by_hand(f"UPDATE people SET given_name = 'Put', surname = 'Right', {moved}")
    assert said(directory.sync(OTHER, policy=policy)) == HELD
    assert said(directory.sync(DISTRICT, policy=policy)) == set()
    assert directory.object("people", "student 3", "given_name") == (("Put",) if kept else ("Given3",))


def test_a_map_of_ids_that_is_wrong_is_noticed(directory: Directory, tmp_path: Path) -> None:
    """Its lines have slipped by one: each pupil would have the account of another."""
    directory.sync(DISTRICT, policy=STRICT)
    path = tmp_path / "map.csv"
    path.write_text("kind,old,new\nstudent,1,N2\nstudent,2,N3\nstudent,3,N1\n")
    roster = DISTRICT
    for number, day in enumerate(("2013-01-01", "2013-02-02", "2013-03-03"), 1):
        roster = roster.changed("people", {"role": "student", "source_id": f"{number}"}, birth_date=day)
    outcome = directory.sync(renumbered(roster, "student"), policy=STRICT, rekeys=(str(path),))
    assert said(outcome) >= {("other-person", "student", f"N{number}") for number in (1, 2, 3)}


def test_an_upload_without_enrollments_is_not_what_a_scope_leaves_out(directory: Directory) -> None:
    """Nobody is in a class, as in a file with nothing but its header; a scope without pupils wants none."""
    guards = Guards(removal_percent=100, school_gone=False)
    policy = msgspec.structs.replace(CREATES, guards=guards, scope=Scope(schools=("A",)))
    directory.sync(DISTRICT, policy=policy)
    empty = Roster({table: rows for table, rows in DISTRICT.tables.items() if table != "enrollments"})
    assert said(directory.sync(empty, policy=policy)) == {
        ("emptied", kind, None) for kind in ("studentEnrollment", "teacherRoster")
    }
    teachers = msgspec.structs.replace(policy, scope=Scope(roles=("teacher",)))
    assert said(directory.sync(DISTRICT, policy=teachers)) == set()


def test_new_ids_hold_whatever_may_be_removed(directory: Directory) -> None:
    """A profile that lets everybody go is told all the same, beyond the default limit."""
    policy = msgspec.structs.replace(CREATES, guards=Guards(removal_percent=100, class_percent=100, class_least=100))
    roster = district(20)
    directory.sync(roster, policy=policy)
    assert ("renumbered", "student", None) in said(directory.sync(renumbered(roster, "student"), policy=policy))
