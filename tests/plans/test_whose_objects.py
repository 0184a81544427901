"""Accounts that are there already, other profiles, and profiles that are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from schoolsync.plan.policy import Customization, Guards, Matching, Policy
from schoolsync.runs.selections import Selection

from .districts import (
    CREATES,
    DISTRICT,
    Directory,
    Roster,
    attends,
    enrolled,
    person,
    refused,
    school,
    section,
)

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

MATCHES = Policy(
    profile_name="Fjord",
    matching=(
        Matching(role="student", source="Username", target="userPrincipalName", domain="pupils.example"),
        Matching(role="teacher", source="Username", target="userPrincipalName", domain="staff.example"),
    ),
)


def everybody_by_hand(directory: Directory, **values: Any) -> dict[str, str]:
    """Accounts for the whole district; their ids by role and source id."""
    directory.sync(Roster())  # makes the file
    return {
        f"{row['role']} {row['source_id']}": directory.person_by_hand(
            f"{row['username']}@{'pupils' if row['role'] == 'student' else 'staff'}.example", **values
        )
        for row in DISTRICT.rows("people")
    }


# --- creating ------------------------------------------------------------------------------------------------------


def test_an_account_made_by_hand_is_adopted_under_its_id(directory: Directory) -> None:
    """A profile that creates accounts takes over the one that has the sign-in name, whatever its letter case."""
    directory.sync(Roster())
    made = directory.person_by_hand("S1@Pupils.Example", department="Choir")
    job = directory.job(DISTRICT)
    held = directory.work(job, DISTRICT)
    assert held.planned is not None
    assert [(one.guard, one.kind, one.endangered) for one in held.planned.verdicts] == [("adoptions", "student", 1)]
    assert directory.objects("people", "id") == {}
    outcome = directory.release(job, DISTRICT, Selection())
    assert outcome.errors == []
    assert outcome.steps["people"] == {"create": 4, "adopt": 1}
    columns = ("id", "profile", "department", "user_principal_name", "given_name", "student_number", "display_name")
    assert directory.object("people", "student 1", *columns) == (
        *(made, 1, "Choir"),
        *("S1@Pupils.Example", "Given1", "p1", "By hand 1"),
    )
    assert directory.classes_of("student 1") == {"M1"}
    assert directory.sync(DISTRICT, ignore_findings=True).steps == {}


@pytest.mark.parametrize(
    ("account", "values", "listed"),
    [
        ("s1@pupils.example", {}, ("S1@pupils.example",)),
        ("s1@pupils.example", {"id": "hand-made-1"}, ("HAND-made-1",)),
        ("s1@pupils.example", {"user_type": "Guest"}, ()),
        ("root@pupils.example", {}, ()),
    ],
)
def test_a_protected_account_is_never_taken_over(
    directories: Callable[[], Directory], account: str, values: dict[str, Any], listed: tuple[str, ...]
) -> None:
    """Neither by a profile that creates accounts nor by one that matches, whatever the limits; the error says why."""
    name = {"username": account.split("@")[0], "grade": "5"}
    roster = DISTRICT.changed("people", {"role": "student", "source_id": "1"}, **name)
    for policy in (CREATES, MATCHES):
        directory = directories()
        directory.sync(Roster())
        directory.person_by_hand(account, **values)
        before = directory.query("SELECT * FROM people")
        free = msgspec.structs.replace(policy, protected=listed, guards=Guards(adoption_least=100))
        outcome = directory.sync(roster, policy=free)
        assert outcome.finished is not None
        (said,) = [row for row in outcome.errors if row["error_code"] == "DuplicateTargetEntries"]
        assert (said["reportable_identifier"], "is protected" in said["error_message"]) == ("1", True)
        assert directory.query(f"SELECT * FROM people WHERE account_name = '{account}'") == before
        assert directory.broken() == []


def test_two_profiles_of_one_tenant_leave_each_other_alone(directory: Directory) -> None:
    """The same records under a second profile are errors, never merged; neither run touches what is the other's."""
    directory.sync(DISTRICT)
    before = directory.content()
    directory.profiles = (1, 2)
    own = (
        DISTRICT.plus("organizations", school("Z"))
        .plus("classes", section("Z1", "Z"))
        .plus("people", person("student", "z", "Z"))
        .plus("person_organizations", attends("student", "z", "Z"))
        .plus("enrollments", enrolled("Z1", "student", "z"), enrolled("M1", "student", "z"))
    )
    outcome = directory.sync(own, profile=2)
    objects = [code for code in outcome.codes() if code[0] in ("School", "Section", "Student", "Teacher")]
    assert {code for _, code, _ in objects} == {"DuplicateTargetEntries"}
    assert len(objects) == 10
    assert outcome.steps == {
        "schools": {"create": 1},
        "classes": {"create": 1},
        "people": {"create": 1},
        "school_links": {"link": 2},
        "links": {"link": 1},
    }
    after = directory.content()
    for table, held in before.items():
        if isinstance(held, dict):
            assert held.items() <= after[table].items()
        else:
            assert held <= after[table]
    assert directory.sync(DISTRICT, profile=1, ignore_findings=True).steps == {}
    assert directory.sync(own.left_without_person("student", "1"), profile=2).steps == {}
    assert directory.object("people", "student 1", "profile", "active") == (1, 1)


def test_a_sign_in_name_of_another_profile_is_not_taken(directory: Directory) -> None:
    """Other key space, other id, same sign-in name: an error that names the account looked for."""
    directory.sync(DISTRICT)
    directory.profiles = (1, 2)
    spaced = msgspec.structs.replace(CREATES, key_space="second")
    roster = Roster({"organizations": (school("Z"),), "people": (person("student", "x", "Z", username="s1"),)})
    outcome = directory.sync(roster, profile=2, policy=spaced)
    assert outcome.codes() == [("Student", "DuplicateTargetEntries", "x")]
    assert outcome.errors[0]["joining_value"] == "s1@pupils.example"


def test_a_recreated_profile_adopts_its_predecessors_directory(directory: Directory) -> None:
    """Objects and links of a deleted profile are taken over with their ids; what the roster lost since goes."""
    directory.sync(DISTRICT)
    ids = directory.objects("people", "id")
    directory.profiles = (2,)
    roster = DISTRICT.without("enrollments", class_id="M1", role="student", source_id="2")
    outcome = directory.sync(roster, profile=2)
    assert outcome.errors == []
    assert outcome.steps == {
        "schools": {"adopt": 2},
        "classes": {"adopt": 3},
        "people": {"adopt": 5},
        "school_links": {"update": 9},
        "links": {"update": 4, "unlink": 1},
    }
    assert directory.objects("people", "id") == ids
    assert {row[0] for row in directory.links("class_people") | directory.links("school_people")} == {2}
    assert directory.classes_of("student 2") == set()
    assert directory.sync(roster, profile=2, ignore_findings=True).steps == {}


def test_a_profile_that_went_after_the_last_run_is_taken_over_too(directory: Directory) -> None:
    """Nothing in the directory has changed, but the owner of the other half is gone."""
    directory.profiles = (1, 2)
    directory.sync(DISTRICT, profile=2)
    own = Roster({"organizations": (school("Q"),)})
    directory.sync(own)
    directory.profiles = (1,)
    both = Roster({**DISTRICT.tables, "organizations": (*DISTRICT.rows("organizations"), school("Q"))})
    outcome = directory.sync(both.without("enrollments", class_id="M1", role="student", source_id="1"))
    assert outcome.errors == []
    assert outcome.steps["links"] == {"update": 4, "unlink": 1}
    assert {row[0] for row in directory.links("class_people")} == {1}


def test_a_changed_sis_id_is_not_guessed(directory: Directory) -> None:
    """A new id with a sign-in name of ours is an error: two records are never merged on a name."""
    directory.sync(DISTRICT)
    roster = DISTRICT.left_without_person("student", "2").plus("people", person("student", "22", "A", username="s2"))
    outcome = directory.sync(roster)
    assert outcome.codes() == [("Student", "DuplicateTargetEntries", "22")]
    assert directory.object("people", "student 2", "active") == (0,)


# --- links made by hand --------------------------------------------------------------------------------------------


def test_links_made_by_hand_stay_unless_the_roster_has_them_too(directory: Directory) -> None:
    """A member whom somebody added stays; when the roster says the same, the link is the profile's from then on."""
    directory.sync(DISTRICT)
    ((group,),) = directory.query("SELECT key FROM classes WHERE source_id = 'M2'")
    ((one,),) = directory.query("SELECT key FROM people WHERE source_id = '1' AND primary_role = 'student'")
    ((two,),) = directory.query("SELECT key FROM people WHERE source_id = '2' AND primary_role = 'student'")
    for key in (one, two):
        directory.by_hand(
            "INSERT INTO class_people (tenant, class, person, profile, member, teacher) "
            f"VALUES (1, {group}, {key}, NULL, true, false)"
        )
    assert directory.sync(DISTRICT).steps == {}
    roster = DISTRICT.plus("enrollments", enrolled("M2", "student", "1"))
    assert directory.sync(roster).steps == {"links": {"update": 1}}
    assert directory.sync(DISTRICT).steps == {"links": {"unlink": 1}}
    assert directory.classes_of("student 1") == {"M1"}
    assert directory.classes_of("student 2") == {"M1", "M2"}


# --- matching ------------------------------------------------------------------------------------------------------


def test_matching_finds_accounts_and_writes_what_is_the_rosters(directory: Directory) -> None:
    """Accounts keep their names; role, school data and links are written, and anchors survive a renamed account."""
    ids = everybody_by_hand(directory, given_name="Own", surname="Name")
    outcome = directory.sync(DISTRICT, policy=MATCHES)
    assert outcome.errors == []
    assert outcome.steps["people"] == {"adopt": 5}
    assert {name: row[0] for name, row in directory.objects("people", "id").items()} == ids
    columns = ("given_name", "surname", "primary_role", "student_number", "external_source", "profile")
    assert directory.object("people", "student 1", *columns) == ("Own", "Name", "student", "p1", "sis", 1)
    assert directory.object("people", "student 1", "display_name")[0].startswith("By hand")
    assert directory.classes_of("teacher 9") == {"M2"}
    assert directory.sync(DISTRICT, policy=MATCHES, ignore_findings=True).steps == {}
    directory.by_hand("UPDATE people SET user_principal_name = 'new@x', account_name = 'new@x' WHERE source_id = '2'")
    assert directory.sync(DISTRICT, policy=MATCHES).steps == {}


def test_matching_never_creates(directory: Directory) -> None:
    """Without accounts there are schools, classes and an error for every person and link."""
    outcome = directory.sync(DISTRICT, policy=MATCHES)
    assert directory.objects("people", "id") == {}
    assert outcome.steps == {"schools": {"create": 2}, "classes": {"create": 3}, "school_links": {"link": 3}}
    found = outcome.codes()
    assert found[:5] == [
        ("Student", "UnsynchronizableChange", "1"),
        ("Student", "UnsynchronizableChange", "2"),
        ("Student", "UnsynchronizableChange", "3"),
        ("Teacher", "UnsynchronizableChange", "1"),
        ("Teacher", "UnsynchronizableChange", "9"),
    ]
    assert outcome.errors[0]["joining_value"] == "s1@pupils.example"
    assert outcome.errors[0]["error_message"].count("Student") == 2
    assert {code for _, code, _ in found[5:]} == {"InvalidLookupReference"}
    assert {entry for entry, _, _ in found[5:]} == {
        *("SchoolStudents", "SchoolTeachers", "StudentEnrollment", "TeacherRoster")
    }


@pytest.mark.parametrize(
    ("source", "target", "values"),
    [
        ("Secondary Email", "mail", {"mail": "Kid@Mail.Example"}),
        ("Student Number", "mailNickname", {"mail_nickname": "P1"}),
        ("Username", "mailNickname", {"mail_nickname": "S1"}),
    ],
)
def test_what_people_can_be_matched_by(directory: Directory, source: str, target: str, values: dict[str, str]) -> None:
    """The documented pairs of columns and properties, compared without regard to letter case."""
    directory.sync(Roster())
    made = directory.person_by_hand("whoever@x.example", **values)
    policy = Policy(profile_name="Fjord", matching=(Matching(role="student", source=source, target=target),))
    roster = Roster(
        {"organizations": (school("A"),), "people": (person("student", "1", "A", secondary_email="kid@mail.example"),)}
    )
    assert directory.sync(roster, policy=policy).errors == []
    assert directory.object("people", "student 1", "id") == (made,)


def test_an_account_that_two_people_mean_is_nobodys(directory: Directory) -> None:
    """And so is a person that means two accounts: a human has to decide."""
    directory.sync(Roster())
    directory.person_by_hand("a@x", mail="one@x")
    directory.person_by_hand("b@x", mail="two@x")
    directory.person_by_hand("c@x", mail="two@x")
    policy = Policy(profile_name="Fjord", matching=(Matching(role="student", source="Secondary Email", target="mail"),))
    roster = Roster(
        {
            "organizations": (school("A"),),
            "people": (
                person("student", "1", "A", secondary_email="one@x"),
                person("student", "2", "A", secondary_email="ONE@x"),
                person("student", "3", "A", secondary_email="two@x"),
                person("student", "4", "A"),
            ),
        }
    )
    assert directory.sync(roster, policy=policy).codes() == [
        ("Student", "DuplicateTargetEntries", "1"),
        ("Student", "DuplicateTargetEntries", "2"),
        ("Student", "DuplicateTargetEntries", "3"),
        ("Student", "UnsynchronizableChange", "4"),
    ]
    fewer = roster.without("people", source_id="2")
    directory.sync(fewer, policy=policy)
    assert directory.object("people", "student 1", "user_principal_name") == ("a@x",)
    again = directory.sync(roster, policy=policy)
    assert ("Student", "DuplicateTargetEntries", "2") in again.codes(), "who has the account keeps it"
    assert directory.object("people", "student 1", "user_principal_name") == ("a@x",)


def test_an_account_of_another_profile_is_not_matched(directory: Directory) -> None:
    """An account belongs to one profile at a time."""
    everybody_by_hand(directory)
    directory.profiles = (1, 2)
    directory.sync(DISTRICT, policy=MATCHES)
    roster = Roster({"organizations": (school("Z"),), "people": (person("student", "x", "Z", username="s1"),)})
    outcome = directory.sync(roster, policy=MATCHES, profile=2)
    assert outcome.codes() == [("Student", "DuplicateTargetEntries", "x")]
    directory.profiles = (2,)
    assert directory.sync(roster, policy=MATCHES, profile=2).errors == []


def test_a_new_sis_id_takes_over_the_account_that_matches(directory: Directory) -> None:
    """Under matching it is the match that says who somebody is: the account follows the new record."""
    ids = everybody_by_hand(directory)
    directory.sync(DISTRICT, policy=MATCHES)
    roster = (
        DISTRICT.left_without_person("student", "2")
        .plus("people", person("student", "22", "A", username="s2"))
        .plus("person_organizations", attends("student", "22", "A"))
        .plus("enrollments", enrolled("M2", "student", "22"))
    )
    outcome = directory.sync(roster, policy=MATCHES)
    assert outcome.errors == []
    columns = ("id", "active", "student_external_id")
    assert directory.object("people", "student 22", *columns) == (ids["student 2"], 1, "22")
    assert "student 2" not in directory.objects("people", "id")
    assert directory.classes_of("student 22") == {"M2"}
    assert directory.sync(roster, policy=MATCHES, ignore_findings=True).steps == {}


def test_display_names_of_matched_accounts_change_only_when_that_is_allowed(directory: Directory) -> None:
    """allowDisplayNameUpdate counts for matched accounts too."""
    everybody_by_hand(directory)
    allowed = msgspec.structs.replace(
        MATCHES, customizations={"student": Customization(allow_display_name_update=True)}
    )
    directory.sync(DISTRICT, policy=allowed)
    assert directory.object("people", "student 1", "display_name", "given_name") == ("Given1 Family1", None)
    assert directory.object("people", "teacher 1", "display_name")[0].startswith("By hand")


@pytest.mark.parametrize(("source", "target"), [("Shoe Size", "mail"), ("Username", "shoeSize")])
def test_a_match_that_cannot_be_made_is_said(directory: Directory, source: str, target: str) -> None:
    """The run ends with a sentence that names what cannot be compared."""
    policy = Policy(profile_name="Fjord", matching=(Matching(role="student", source=source, target=target),))
    with refused() as said:
        directory.sync(DISTRICT, policy=policy)
    assert said[0].retry is False
    assert "hoe" in said[0].reason


def test_a_role_changed_by_hand_is_put_right(directory: Directory) -> None:
    """Whoever relabels a synchronized account does not make a second person of it."""
    directory.sync(DISTRICT)
    before = directory.content()
    directory.by_hand("UPDATE people SET primary_role = 'teacher' WHERE source_id = '3'")
    outcome = directory.sync(DISTRICT)
    assert outcome.errors == []
    assert outcome.steps == {"people": {"update": 1}}
    assert directory.content() == before


def test_an_account_deleted_by_hand_is_made_again(directory: Directory) -> None:
    """The roster still has it: same id, links and all."""
    directory.sync(DISTRICT)
    before = directory.content()
    ((key,),) = directory.query("SELECT key FROM people WHERE source_id = '3'")
    directory.by_hand(f"DELETE FROM class_people WHERE person = {key}")
    directory.by_hand(f"DELETE FROM school_people WHERE person = {key}")
    directory.by_hand(f"DELETE FROM people WHERE key = {key}")
    directory.sync(DISTRICT)
    assert directory.content() == before
