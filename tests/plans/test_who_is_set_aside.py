"""People of whom the roster says what it said before are not looked at, and the plan is the same as if they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schoolsync.plan.policy import Guards, Window
from schoolsync.runs import snapshots

from ..conftest import NIGHTLY
from .districts import (
    CREATES,
    DISTRICT,
    NOW,
    Directory,
    GivenSource,
    Roster,
    attends,
    contact,
    enrolled,
    left_out,
    matching_accounts,
    person,
    school,
    section,
)

FREE = msgspec.structs.replace(
    CREATES,
    guards=Guards(removal_percent=100, class_least=100, update_percent=100, school_gone=False, window_days=0),
)
EVERYBODY = 5
"""The people of DISTRICT."""


def dated(roster: Roster, begin: str | None, end: str | None) -> Roster:
    return roster.changed("enrollments", {"class_id": "M1", "source_id": "2"}, begin_date=begin, end_date=end)


SECOND: dict[str, Roster] = {
    "another name of a class": DISTRICT.changed("classes", {"source_id": "M1"}, name="Maths"),
    "another name of a school": DISTRICT.changed("organizations", {"source_id": "A"}, name="Ås"),
    "another name of a pupil": DISTRICT.changed("people", {"role": "student", "source_id": "2"}, given_name="Åse"),
    "one of two with one SIS ID": DISTRICT.changed("people", {"role": "teacher", "source_id": "1"}, title="Rektor"),
    "a pupil leaves": DISTRICT.left_without_person("student", "2"),
    "a pupil comes": DISTRICT.plus("people", person("student", "7", "A"))
    .plus("person_organizations", attends("student", "7", "A"))
    .plus("enrollments", enrolled("M1", "student", "7")),
    "a pupil comes with somebody's user name": DISTRICT.plus("people", person("student", "7", "A", username="s2")).plus(
        "person_organizations", attends("student", "7", "A")
    ),
    "a pupil is a teacher by now": DISTRICT.left_without_person("student", "3")
    .plus("people", person("teacher", "3", "B"))
    .plus("person_organizations", attends("teacher", "3", "B")),
    "a pupil changes classes": DISTRICT.changed("enrollments", {"class_id": "M1", "source_id": "2"}, class_id="M2"),
    "a pupil teaches": DISTRICT.changed(
        "enrollments", {"class_id": "M1", "role": "student", "source_id": "2"}, role="teacher"
    ),
    "a teacher leaves a school": DISTRICT.without("person_organizations", role="teacher", source_id="1", school_id="B"),
    "a guardian comes": DISTRICT.plus("contacts", contact("2", "far@home.example")),
    "all guardians go": DISTRICT.changed("contacts", {"student_id": "1"}, student_id="3"),
    "a class goes": DISTRICT.left_without_class("M1"),
    "a class comes": DISTRICT.plus("classes", section("K1", "A")),
    "a school comes": DISTRICT.plus("organizations", school("C")),
    "somebody is disabled": DISTRICT.changed("people", {"role": "student", "source_id": "3"}, enabled=False),
    "a membership has ended": dated(DISTRICT, None, "2020-01-01"),
    "the same in another order": Roster({table: tuple(reversed(rows)) for table, rows in DISTRICT.tables.items()}),
    "with a mistake": DISTRICT.plus("left_out", left_out("people", "3", role="student")),
}


@pytest.fixture
def directory(tmp_path: Path, roster_source: GivenSource, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """An empty directory. What is set aside comes from files, whatever the database; their share does not count here,
    because everybody is few."""
    monkeypatch.setattr(snapshots, "SHARE", 0)
    return Directory(tmp_path / "house", roster_source)


def test_the_plan_is_the_one_that_looks_at_everybody(directory: Directory) -> None:
    """One roster after the other: the same steps, reasons, counts, errors and verdicts, and the same is remembered."""
    directory.compares = True
    directory.sync(DISTRICT, policy=FREE)
    for what, roster in [*SECOND.items()][:: 1 if NIGHTLY else 3]:
        outcome = directory.sync(roster, policy=FREE, ignore_findings=True)
        assert outcome.planned is not None, what
        assert (outcome.planned.alike > 0) == (not roster.rows("left_out")), what
    assert directory.broken() == []


@pytest.mark.parametrize(
    ("what", "differ"),
    [("another name of a pupil", 1), ("a class comes", 0), ("a class goes", 3), ("a guardian comes", 1)],
)
def test_only_who_differs_is_looked_at(directory: Directory, what: str, differ: int) -> None:
    """The school, the guardians and the classes of a person count as the person's."""
    directory.sync(DISTRICT, policy=FREE)
    outcome = directory.sync(SECOND[what], policy=FREE)
    assert outcome.planned is not None
    assert outcome.planned.alike == EVERYBODY - differ


def test_guards_measure_by_everybody(directory: Directory) -> None:
    """One of many leaves: that the many are not looked at does not make the one more."""
    many = DISTRICT
    for number in range(100, 120):
        many = (
            many.plus("people", person("student", str(number), "A"))
            .plus("person_organizations", attends("student", str(number), "A"))
            .plus("enrollments", enrolled("M1", "student", str(number)))
            .plus("contacts", contact(str(number), f"{number}@home.example"))
        )
    careful = msgspec.structs.replace(CREATES, guards=Guards(removal_least=0, removal_percent=10, update_percent=10))
    directory.compares = True
    directory.sync(many, policy=careful)
    one = directory.sync(
        many.left_without_person("student", "100").without("contacts", student_id="100"), policy=careful
    )
    assert one.planned is not None
    assert one.planned.alike == EVERYBODY + 20 - 1
    assert one.planned.held is None
    held = directory.sync(DISTRICT, policy=careful)
    assert held.planned is not None
    assert held.planned.held is not None


def _hand(directory: Directory) -> dict[str, Any]:
    directory.by_hand("UPDATE people SET given_name = 'Eva' WHERE source_id = '2'")
    return {}


@pytest.mark.parametrize(
    ("what", "happens"),
    {
        "somebody has written to the directory": _hand,
        "a setting has changed": lambda directory: {"policy": msgspec.structs.replace(FREE, profile_name="Other")},
        "a profile is gone": lambda directory: {"living": (1, 2)},
        "all is asked for again": lambda directory: {"again": True},
        "nothing may be taken away now": lambda directory: {
            "policy": msgspec.structs.replace(FREE, windows=(Window(kind="additionsOnly", begins=0, ends=NOW * 2),))
        },
        "there is no snapshot": lambda directory: directory.forget_base() or {},
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everybody_is_looked_at_when(
    directory: Directory, what: str, happens: Callable[[Directory], dict[str, Any]]
) -> None:
    """Fingerprints say something only while everything else is as it was."""
    directory.sync(DISTRICT, policy=FREE)
    outcome = directory.sync(DISTRICT.plus("classes", section("K1", "A")), **{"policy": FREE} | happens(directory))
    assert outcome.planned is not None
    assert outcome.planned.alike == 0


def test_who_could_not_be_synchronized_is_tried_and_told_again(directory: Directory) -> None:
    """A pupil without an account, and what hangs on the pupil, is an error of every run; the others are set aside."""
    match = matching_accounts(FREE)
    directory.sync(DISTRICT, policy=match)
    for name in ("s1", "s2", "t1", "t9"):
        directory.person_by_hand(f"{name}@fjord.example")
    directory.compares = True
    first = directory.sync(DISTRICT, policy=match)
    second = directory.sync(DISTRICT.plus("classes", section("K1", "A")), policy=match)
    assert second.planned is not None
    assert second.planned.alike == EVERYBODY - 1
    assert sorted(second.codes()) == sorted(first.codes()) != []


def test_a_changed_id_is_looked_at(directory: Directory) -> None:
    """Whose SIS ID has changed keeps the object; whoever had or has one of the ids is looked at from then on."""
    directory.compares = True
    directory.sync(DISTRICT, policy=FREE)
    ids = directory.folder / "map.csv"
    ids.write_text("kind,old,new\nstudent,2,20\n", "utf-8")
    directory.rekeys = (str(ids),)
    before = directory.object("people", "student 2", "id")
    roster = DISTRICT.without("people", source_id="2", role="student").plus("people", person("student", "20", "A"))
    for table in ("person_organizations", "enrollments"):
        roster = roster.changed(table, {"role": "student", "source_id": "2"}, source_id="20")
    directory.sync(roster, policy=FREE)
    assert directory.object("people", "student 20", "id") == before
    again = directory.sync(roster.plus("classes", section("K1", "A")), policy=FREE)
    assert again.planned is not None
    assert again.planned.alike == EVERYBODY - 1


def test_the_same_number_for_two_people_is_no_matter(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    """People who share a fingerprint's number are looked at together."""
    monkeypatch.setattr("schoolsync.plan.alike.bucket", lambda role, source_id: f"(hash({source_id}) % 1)::UINTEGER")
    directory.compares = True
    directory.sync(DISTRICT, policy=FREE)
    outcome = directory.sync(DISTRICT.left_without_person("student", "2"), policy=FREE)
    assert outcome.planned is not None
    assert outcome.planned.alike == 0


def test_what_nobody_has_looked_at_is_not_written_again(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot takes the files of the one before along, until they are many; what is remembered is always whole."""
    monkeypatch.setattr(snapshots, "LAYERS_MAX", 2)
    directory.compares = True
    folders = []
    for name in ("Ada", "Bea", "Cia", "Dea", "Eva"):
        roster = DISTRICT.changed("people", {"role": "student", "source_id": "2"}, given_name=name)
        outcome = directory.sync(roster, policy=FREE)
        assert outcome.finished is not None
        assert outcome.finished.snapshot is not None
        folders.append(Path(outcome.finished.snapshot))
    assert [snapshots.layers(folder) for folder in folders] == [0, 1, 2, 0, 1]
    monkeypatch.setattr(snapshots, "SHARE", 4)
    assert snapshots.goes_on(folders[0], people=100, looked_at=25)
    assert not snapshots.goes_on(folders[0], people=100, looked_at=26)
    assert not snapshots.goes_on(folders[1], people=100, looked_at=25), "who was over already counts"
    whole, taken = folders[0] / "class_people.parquet", folders[1] / "class_people.1.parquet"
    assert whole.stat().st_ino == taken.stat().st_ino


def test_who_leaves_with_a_class_that_could_not_be_made_is_missed(directory: Directory) -> None:
    """A pupil of a class without an object has no fingerprint, and all the same goes when the roster has neither."""
    directory.compares = True
    directory.sync(DISTRICT, policy=FREE)
    refused = DISTRICT.plus("classes", section("K 1", "A")).plus("enrollments", enrolled("K 1", "student", "2"))
    first = directory.sync(refused, policy=FREE)
    assert ("StudentEnrollment", "InvalidLookupReference", "2") in first.codes()
    gone = directory.sync(DISTRICT.left_without_person("student", "2"), policy=FREE)
    assert gone.planned is not None
    assert gone.planned.steps["people"] == {"remove": 1}


def test_of_whoever_changes_classes_alone_the_rest_is_remembered(directory: Directory) -> None:
    """In and out of a class, and another name between: each snapshot says of the pupil what holds, whoever wrote it."""
    directory.compares = True
    directory.sync(DISTRICT, policy=FREE)
    other = DISTRICT.plus("classes", section("K1", "A"))
    moved = other.plus("enrollments", enrolled("K1", "student", "2"))
    renamed = {"role": "student", "source_id": "2"}
    layers = []
    for roster in (
        other,
        moved,
        other,
        moved.changed("people", renamed, given_name="Ada"),
        other,
        other.left_without_person("student", "2"),
    ):
        outcome = directory.sync(roster, policy=FREE)
        assert outcome.planned is not None
        assert outcome.planned.alike >= EVERYBODY - 1
        assert outcome.finished is not None
        layers.append(snapshots.layers(Path(outcome.finished.snapshot or "")))
    assert layers == [1, 2, 3, 4, 5, 6]
    assert directory.broken() == []
