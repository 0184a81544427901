"""One person, class or school synchronized alone from the last upload: exactly that changes, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schoolsync.plan.policy import Guards, Matching, Only, Scope

from .districts import (
    CREATES,
    DISTRICT,
    Directory,
    Outcome,
    Roster,
    attends,
    carried_out,
    contact,
    engine,
    enrolled,
    person,
    refused,
    section,
)

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

AFTER = (
    DISTRICT.left_without_person("student", "2")
    .changed("people", {"role": "student", "source_id": "1"}, surname="Ny", grade="8")
    .changed("people", {"role": "student", "source_id": "3"}, surname="Annen")
    .changed("classes", {"source_id": "M1"}, name="Maths")
    .changed("organizations", {"source_id": "B"}, city="Oslo")
    .without("contacts", student_id="1")
    .plus("contacts", contact("1", "far@home.example"))
    .without("enrollments", class_id="M1", source_id="1", role="student")
    .plus("enrollments", enrolled("E1", "student", "1"), enrolled("E1", "student", "7"))
    .plus("people", person("student", "7", "B"))
    .plus("person_organizations", attends("student", "7", "B"))
)
"""The district a week later: somebody left, came, moved, and got another name; a class and a school changed."""

HELD = msgspec.structs.replace(CREATES, guards=Guards(removal_percent=0, removal_least=0))


def upload(directory: Directory, roster: Roster, policy: Any = HELD) -> str:
    """A whole upload that a guard holds: its roster is kept, nothing is applied; the folder of its run."""
    job = directory.job(roster, policy=policy)
    outcome = directory.work(job, roster)
    assert outcome.planned is not None
    assert outcome.planned.held is not None
    return job.folder


def alone(directory: Directory, folder: str, kind: Any, source_id: str | None, **values: Any) -> Outcome:
    """A run of one alone from the roster that a run has kept; it must not read any file."""
    reads = directory.source.reads
    job = directory.job(
        Roster(), files=(), kept=folder, only=Only(kind=kind, source_id=source_id), **{"policy": CREATES, **values}
    )
    with engine(job) as work:
        outcome = carried_out(job, work)
    if outcome.finished is None:
        return outcome
    assert outcome.finished.snapshot is None
    assert directory.source.reads == reads
    directory.forget_base(job.profile)
    return outcome


def rows(directory: Directory) -> dict[str, Any]:
    """Everything but times and positions, links one by one."""
    return directory.content()


def only_differ(before: dict[str, Any], after: dict[str, Any]) -> dict[str, set[Any]]:
    """What differs: source ids of objects, and links."""
    found: dict[str, set[Any]] = {}
    for table in ("schools", "classes", "people"):
        ids = before[table].keys() | after[table].keys()
        found[table] = {one for one in ids if before[table].get(one) != after[table].get(one)}
    for table in ("school_classes", "school_people", "class_people"):
        found[table] = {link[1:3] for link in before[table] ^ after[table]}
    return {table: differs for table, differs in found.items() if differs}


def test_a_person_who_changed_moved_and_has_another_guardian(directory: Directory) -> None:
    """Only the pupil and the pupil's memberships; who left stays, the class keeps its name."""
    directory.sync(DISTRICT)
    folder, before = upload(directory, AFTER), rows(directory)
    outcome = alone(directory, folder, "student", "1")
    assert outcome.steps == {"people": {"update": 1}, "guardians": {"update": 1}, "links": {"link": 1, "unlink": 1}}
    (one,) = directory.query("SELECT id FROM people WHERE source_id = '1' AND primary_role = 'student'")
    assert only_differ(before, rows(directory)) == {
        "people": {one[0]},
        "class_people": {("M1", "student 1"), ("E1", "student 1")},
    }
    assert directory.object("people", "student 1", "surname", "student_grade") == ("Ny", "8")
    assert "far@home" in directory.object("people", "student 1", "related_contacts")[0]
    assert alone(directory, folder, "student", "1").steps == {}
    assert directory.broken() == []


def test_who_left_is_removed_and_who_is_new_is_made(directory: Directory) -> None:
    """A removal is one of all pupils, not one of one; who is new gets the class that is there already."""
    directory.sync(DISTRICT)
    folder = upload(directory, AFTER)
    assert alone(directory, folder, "student", "7").steps["people"] == {"create": 1}
    assert directory.classes_of("student 7") == {"E1"}
    gone = alone(directory, folder, "student", "2")
    assert gone.steps["people"] == {"remove": 1}
    assert directory.object("people", "student 2", "active") == (0,)
    assert directory.object("people", "student 3", "surname") == ("Family3",)
    assert directory.broken() == []


def test_a_class_and_its_members(directory: Directory) -> None:
    """Its name and memberships; nobody is made or changed for it, and who is not there yet is an error."""
    directory.sync(DISTRICT)
    folder, before = upload(directory, AFTER), rows(directory)
    outcome = alone(directory, folder, "section", "E1")
    assert outcome.steps == {"links": {"link": 1}}
    assert [code[1:] for code in outcome.codes()] == [("InvalidLookupReference", "7")]
    assert only_differ(before, rows(directory)) == {"class_people": {("E1", "student 1")}}
    assert alone(directory, folder, "section", "M1").steps == {"classes": {"update": 1}, "links": {"unlink": 2}}


def test_all_students_and_nobody_else(directory: Directory) -> None:
    """Every pupil as alone, who left and who is new too; no class or school changes, nor any teacher."""
    directory.sync(DISTRICT)
    folder, before = upload(directory, AFTER), rows(directory)
    outcome = alone(directory, folder, "student", None)
    assert outcome.steps["people"] == {"create": 1, "update": 2, "remove": 1}
    differ = only_differ(before, rows(directory))
    assert differ.keys() <= {"people", "school_people", "class_people"}
    assert {member for _, member in differ["class_people"]} == {"student 1", "student 2", "student 7"}
    assert directory.object("classes", "M1", "display_name") == ("Class M1",)
    assert alone(directory, folder, "student", None).steps == {}
    assert directory.broken() == []


@pytest.mark.nightly
def test_kind_by_kind_comes_to_the_whole(directory: Directory) -> None:
    """After all of each kind, and the schools, a whole run has nothing to do; a membership waits for both its ends."""
    directory.sync(DISTRICT)
    folder = upload(directory, AFTER)
    for kind in ("teacher", "section", "student", "section"):
        alone(directory, folder, kind, None)
    for school in ("A", "B"):
        assert alone(directory, folder, "school", school).steps.keys() <= {"schools"}
    assert directory.sync(AFTER).steps == {}


def test_a_school_with_all_that_belongs_to_it(directory: Directory) -> None:
    """School, classes, people and memberships of it; the other school is as it was, but for those who are in both."""
    directory.sync(DISTRICT)
    folder, before = upload(directory, AFTER), rows(directory)
    outcome = alone(directory, folder, "school", "B")
    assert outcome.steps["schools"] == {"update": 1}
    assert outcome.steps["people"] == {"create": 1, "update": 1}
    assert {link[1] for link in directory.links("class_people") if link[2] == "student 7"} == {"E1"}
    assert directory.object("people", "student 1", "surname") == ("Family1",)
    assert directory.object("people", "student 2", "active") == (1,)
    assert directory.object("classes", "M1", "display_name") == ("Class M1",)
    assert ("M1", "student 2") not in only_differ(before, rows(directory)).get("class_people", set())
    assert directory.broken() == []


def test_one_school_after_the_other_comes_to_the_whole(directory: Directory) -> None:
    """All schools alone are what the whole upload comes to; the next whole run has nothing to do."""
    directory.sync(DISTRICT)
    folder = upload(directory, AFTER)
    for one in ("A", "B"):
        alone(directory, folder, "school", one)
    assert directory.sync(AFTER).steps == {}


def test_guards_measure_by_the_whole_profile(directory: Directory) -> None:
    """A class that loses half of its pupils holds; a few of many enrollments do not; nothing is applied while held."""
    many = [person("student", f"p{n}", "A") for n in range(12)]
    roster = DISTRICT.plus("people", *many).plus("classes", section("BIG", "A"))
    roster = roster.plus("person_organizations", *(attends("student", one["source_id"], "A") for one in many))
    roster = roster.plus("enrollments", *(enrolled("BIG", "student", one["source_id"]) for one in many))
    roster = roster.plus("enrollments", *(enrolled("M2", "student", one["source_id"]) for one in many))
    directory.sync(roster)
    less = roster
    for one in many[:6]:
        less = less.without("enrollments", class_id="BIG", source_id=one["source_id"])
    folder, before = upload(directory, less), rows(directory)
    held = alone(directory, folder, "section", "BIG")
    assert held.planned is not None
    assert {(one.guard, one.kind) for one in held.planned.verdicts} == {
        ("class-halved", "studentEnrollment"),
        ("removals", "studentEnrollment"),
    }
    assert next(one for one in held.planned.verdicts if one.guard == "removals" and one.scope == "profile").of == 27
    assert rows(directory) == before
    passes = msgspec.structs.replace(CREATES, guards=Guards(removal_percent=25, class_percent=60))
    assert alone(directory, folder, "section", "BIG", policy=passes).steps == {"links": {"unlink": 6}}


def test_an_emptied_upload_takes_nobody_away(directory: Directory) -> None:
    """An upload without any pupil is held as a whole, and its one pupil alone is held as well."""
    directory.sync(DISTRICT)
    empty = DISTRICT
    for one in ("1", "2", "3"):
        empty = empty.left_without_person("student", one)
    folder = upload(directory, Roster({**empty.tables, "contacts": ()}))
    held = alone(directory, folder, "student", "1")
    assert held.planned is not None
    assert "emptied" in {one.guard for one in held.planned.verdicts}


def test_scope_rekeys_and_hand_edits_count(directory: Directory) -> None:
    """Who is out of scope leaves for that reason; a changed SIS ID is a re-key; what is kept by hand stays kept."""
    keeps = msgspec.structs.replace(CREATES, kept_by_hand=("surname",))
    directory.sync(DISTRICT, policy=keeps)
    directory.by_hand("UPDATE people SET surname = 'Hand', position = position + 5 WHERE source_id = '3'")
    held = msgspec.structs.replace(keeps, guards=HELD.guards)
    folder = upload(directory, AFTER.changed("organizations", {"source_id": "A"}, phone="1"), held)
    outcome = alone(directory, folder, "student", "3", policy=keeps)
    assert outcome.steps == {}
    assert directory.object("people", "student 3", "surname") == ("Hand",)
    small = msgspec.structs.replace(keeps, scope=Scope(schools=("A",)))
    left = alone(directory, folder, "student", "3", policy=small)
    assert left.steps["people"] == {"remove": 1}
    assert directory.object("people", "student 1", "active") == (1,)


def test_a_roster_read_under_other_settings_is_refused(directory: Directory) -> None:
    """What is read otherwise by now, or is not kept any more, has to be read anew; the limits of guards may change."""
    directory.sync(DISTRICT)
    folder = upload(directory, AFTER)
    other = msgspec.structs.replace(CREATES, date_format="dmy")
    for job in (
        directory.job(AFTER, files=(), kept=folder, only=Only(kind="student", source_id="1"), policy=other),
        directory.job(AFTER, files=(), kept=folder + "x", only=Only(kind="student", source_id="1")),
    ):
        with engine(job) as work, refused() as said:
            work.plan()
        assert "whole synchronization" in said[0].reason


def test_nobody_alone_takes_the_account_of_another_record(directory: Directory) -> None:
    """A new pupil who fits the account of a pupil that the roster has is refused, alone as among all."""
    match = msgspec.structs.replace(
        CREATES,
        domains={},
        matching=tuple(
            Matching(role=role, source="Student Number", target="student/studentNumber")
            for role in ("student", "teacher")
        ),
    )
    directory.sync(DISTRICT, policy=match)
    for number in ("1", "2", "3", "9"):
        directory.person_by_hand(f"p{number}@fjord.example", student_number=f"p{number}")
    directory.sync(DISTRICT, policy=match)
    (owned,) = directory.query("SELECT id FROM people WHERE source_id = '2' AND primary_role = 'student'")
    second = DISTRICT.plus("people", person("student", "7", "A", number="p2")).plus(
        "person_organizations", attends("student", "7", "A")
    )
    whole = directory.sync(second, policy=match)
    folder = str(whole.folder)
    outcome = alone(directory, folder, "student", "7", policy=match)
    assert outcome.steps == {}
    assert ("Student", "DuplicateTargetEntries", "7") in outcome.codes()
    assert directory.query("SELECT id FROM people WHERE source_id = '2' AND primary_role = 'student'") == [owned]
