"""What a roster makes of an empty directory, and what the same roster does to it again."""

from __future__ import annotations

import json
import re

import pytest

from schoolsync.plan.policy import Customization

from .districts import CREATES, DISTRICT, NOW, Directory, enrolled, person


def test_a_roster_becomes_schools_classes_people_and_links(directory: Directory) -> None:
    """Everything in the roster is in the directory, under names that follow from it."""
    outcome = directory.sync(DISTRICT)
    assert outcome.errors == []
    assert outcome.steps == {
        "schools": {"create": 2},
        "classes": {"create": 3},
        "people": {"create": 5},
        "school_links": {"link": 9},
        "links": {"link": 5},
    }
    assert directory.object("schools", "B", "display_name", "external_id", "address_city", "active") == (
        "School B",
        "B",
        "Ålesund",
        1,
    )
    columns = ("display_name", "external_name", "mail_nickname", "class_code", "term_start", "course_subject")
    assert directory.object("classes", "M1", *columns) == (
        *("Class M1", "Class M1", "Section_M1", "cM1"),
        *("2026-08-17", "Math"),
    )
    columns = ("display_name", "user_principal_name", "account_name", "mail_nickname", "middle_name", "student_number")
    assert directory.object("people", "student 1", *columns) == (
        *("Given1 Family1", "s1@pupils.example", "s1@pupils.example", "s1"),
        *("Anna", "p1"),
    )
    columns = ("account_enabled", "external_source", "external_source_detail", "birth_date", "teacher_external_id")
    assert directory.object("people", "student 1", *columns) == (1, "sis", "Fjord", "2013-02-28", None)
    assert directory.object("people", "teacher 1", "teacher_external_id", "teacher_number", "user_principal_name") == (
        *("1", "p1"),
        "t1@staff.example",
    )
    assert json.loads(directory.object("people", "student 1", "related_contacts")[0]) == [
        {
            "displayName": "Kari Nordmann",
            "relationship": "parent",
            "emailAddress": "mor@home.example",
            "mobilePhone": "+4799911122",
        }
    ]
    assert directory.object("people", "student 2", "related_contacts", "licenses") == ("[]", "[]")
    assert directory.links("class_people") == {
        (1, "M1", "student 1", 1, 0),
        (1, "M1", "student 2", 1, 0),
        (1, "M2", "student 3", 1, 0),
        (1, "M1", "teacher 1", 1, 1),  # who teaches is a member too
        (1, "M2", "teacher 9", 1, 1),
    }
    assert directory.links("school_classes") == {(1, "A", "M1"), (1, "B", "M2"), (1, "B", "E1")}
    assert {row[1] for row in directory.links("school_people") if row[2] == "teacher 1"} == {"A", "B"}
    assert directory.broken() == []


def test_ids_follow_from_tenant_key_space_kind_and_source_id(
    directory: Directory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same record has the same id in every directory of the tenant; kinds, key spaces and roles are apart."""
    directory.sync(DISTRICT)
    other = Directory(tmp_path_factory.mktemp("other"), directory.source)
    other.sync(DISTRICT)
    spaced = Directory(tmp_path_factory.mktemp("spaced"), directory.source)
    space = CREATES.__class__(profile_name="Fjord", domains=CREATES.domains, key_space="second")
    spaced.sync(DISTRICT, policy=space)
    ids = {name: row[0] for name, row in directory.objects("people", "id").items()}
    assert ids == {name: row[0] for name, row in other.objects("people", "id").items()}
    assert not set(ids.values()) & {row[0] for row in spaced.objects("people", "id").values()}
    assert ids["student 1"] != ids["teacher 1"]
    groups = [row[0] for table in ("schools", "classes") for row in directory.objects(table, "id").values()]
    every = [*ids.values(), *groups]
    assert len(set(every)) == len(every) == 10
    guid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(guid.fullmatch(one) for one in every)


def test_the_same_files_again_are_not_even_read(directory: Directory) -> None:
    """Same files, same settings, nobody has touched the directory: the run ends before it reads anything."""
    directory.sync(DISTRICT)
    before, reads = directory.touched(), directory.source.reads
    assert directory.sync(DISTRICT).unchanged
    assert directory.source.reads == reads
    assert directory.touched() == before


def test_the_same_roster_in_other_files_changes_nothing(directory: Directory) -> None:
    """Files that differ and say the same are compared, and no id, time or position moves."""
    directory.sync(DISTRICT)
    before = directory.touched(), directory.content()
    outcome = directory.sync(DISTRICT, ignore_findings=True)  # another input, the same records
    assert not outcome.unchanged
    assert outcome.steps == {}
    assert (directory.touched(), directory.content()) == before


def test_the_same_roster_after_a_change_by_hand_is_compared_with_the_directory(directory: Directory) -> None:
    """What somebody changed by hand, and the roster knows better, is put right; all else stays untouched."""
    directory.sync(DISTRICT)
    before = directory.content(), directory.touched()
    directory.by_hand("UPDATE people SET student_grade = '12' WHERE source_id = '2' AND primary_role = 'student'")
    outcome = directory.sync(DISTRICT)
    assert outcome.steps == {"people": {"update": 1}}
    assert directory.content() == before[0]
    after = directory.touched()
    (moved,) = [one for one in after["people"] if after["people"][one] != before[1]["people"][one]]
    assert moved == directory.object("people", "student 2", "id")[0]
    assert directory.sync(DISTRICT).unchanged


def test_settings_count_as_input(directory: Directory) -> None:
    """A profile that is renamed, or told to write less, is synchronized again although the files are the same."""
    directory.sync(DISTRICT)
    renamed = CREATES.__class__(profile_name="Sound", domains=CREATES.domains)
    outcome = directory.sync(DISTRICT, policy=renamed)
    assert outcome.steps == {"schools": {"update": 2}, "classes": {"update": 3}, "people": {"update": 5}}
    assert directory.object("people", "teacher 9", "external_source_detail") == ("Sound",)


def test_a_start_date_that_has_come_counts_as_input(directory: Directory) -> None:
    """Pupils stay out of their classes until synchronizationStartDate; then the same files put them in."""
    start = NOW + 1000
    later = CREATES.__class__(
        profile_name="Fjord",
        domains=CREATES.domains,
        customizations={"studentEnrollment": Customization(start=start)},
    )
    outcome = directory.sync(DISTRICT, policy=later)
    assert outcome.finished is not None
    assert outcome.finished.wakes == start
    assert outcome.errors == []
    assert {row[2] for row in directory.links("class_people")} == {"teacher 1", "teacher 9"}
    assert directory.sync(DISTRICT, policy=later).unchanged
    outcome = directory.sync(DISTRICT, policy=later, now=start)
    assert outcome.finished is not None
    assert outcome.finished.wakes is None
    assert outcome.steps == {"links": {"link": 3}}
    assert {row[2] for row in directory.links("class_people")} >= {"student 1", "student 2", "student 3"}


def test_two_pupils_who_share_a_sign_in_name_do_not_become_one(directory: Directory) -> None:
    """The first in the roster gets the account, the second is an error, and so are its links."""
    roster = DISTRICT.plus("people", person("student", "4", "A", username="S1")).plus(
        "enrollments", enrolled("M1", "student", "4")
    )
    outcome = directory.sync(roster)
    assert outcome.codes() == [
        ("Student", "DuplicateTargetEntries", "4"),
        ("StudentEnrollment", "InvalidLookupReference", "4"),
    ]
    assert outcome.planned is not None
    assert outcome.planned.failed == {"people": 1, "links": 1}
    seen = outcome.planned.seen
    assert {kind: seen[kind] for kind in ("schools", "classes", "people", "links")} == {
        "schools": 2,
        "classes": 3,
        "people": 6,
        "links": 6,
    }
    assert set(outcome.planned.failed) <= set(seen)
    assert "student 4" not in directory.objects("people", "id")
