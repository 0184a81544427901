"""Columns: which have to be there, how they may be spelled, and which are nobody's business."""

from __future__ import annotations

import pytest

from schoolsync.plan.policy import Customization, Matching, Policy

from .conftest import Check, Roster

NAMES = ("First Name", "Last Name", "Password")


def rename(roster: Roster, name: str, old: str, new: str) -> None:
    header, *rows = roster.lines(name)
    roster.write(name, [header.replace(old, new, 1), *rows])


@pytest.mark.parametrize(
    ("file", "header"),
    [
        ("School.csv", "SIS ID"),
        ("School.csv", "Name"),
        ("Section.csv", "School SIS ID"),
        ("Section.csv", "Section Name"),
        ("Student.csv", "Username"),
        ("Student.csv", "Password"),
        ("Teacher.csv", "Last Name"),
        ("StudentEnrollment.csv", "Section SIS ID"),
        ("TeacherRoster.csv", "SIS ID"),
        ("User.csv", "Phone"),
        ("User.csv", "SIS ID"),
        ("Guardianrelationship.csv", "Role"),
    ],
)
def test_a_missing_column_is_fatal(roster: Roster, check: Check, file: str, header: str) -> None:
    """Columns that the mode needs have to be there; one finding says so, not one per row."""
    roster.with_guardians().drop(file, header)
    result = check(roster)
    assert result.found == [("missing-column", file, None, header)]
    assert result.checked.fatal


@pytest.mark.parametrize("file", ["School.csv", "Student.csv"])
def test_optional_columns_may_be_missing(roster: Roster, check: Check, file: str) -> None:
    """What is not there says nothing; `columns` tells which columns spoke."""
    roster.drop(file, "Grade", "Grade Low", "Birthdate", "Phone", "Secondary Email")
    result = check(roster)
    assert result.findings == []
    key = {"School.csv": "organizations", "Student.csv": "student"}[file]
    assert not {"grade", "grade_low", "phone"} & result.checked.columns[key]
    assert "source_id" in result.checked.columns[key]


def test_columns_may_stand_in_any_order(roster: Roster, check: Check) -> None:
    """The order says nothing."""
    roster.write("School.csv", ["Phone,Name,SIS ID", "1,North,10", "2,South,20"])
    result = check(roster)
    assert result.findings == []
    assert result.rows("organizations", "source_id, name, phone") == [("10", "North", "1"), ("20", "South", "2")]


@pytest.mark.parametrize("spelled", ["sis id", "SIS ID ", '" SIS Id"'])
def test_another_spelling_is_read_with_a_warning(roster: Roster, check: Check, spelled: str) -> None:
    """Letter case and outer blanks hide no column."""
    rename(roster, "School.csv", "SIS ID", spelled)
    result = check(roster)
    assert result.found == [("header-spelling", "School.csv", None, "SIS ID")]
    assert len(result.rows("organizations", "source_id")) == 2


def test_a_column_twice_is_fatal(roster: Roster, check: Check) -> None:
    """Which of two is meant is not guessed, however they are spelled."""
    roster.write("School.csv", ["SIS ID,Name,name", "10,North,x", "20,South,y"])
    result = check(roster)
    assert result.found == [("double-column", "School.csv", None, "Name")]
    assert result.checked.fatal


def test_unknown_columns_are_not_read(roster: Roster, check: Check) -> None:
    """They are named in a warning; headers without a name, as spreadsheets leave them, are not."""
    roster.write("School.csv", ["SIS ID,Name,Mascot,", "10,North,Bear,", "20,South,Owl,"])
    result = check(roster)
    assert result.found == [("unknown-column", "School.csv", None, None)]
    assert "Mascot" in result.findings[0].message
    assert result.checked.verdict == "warnings"


def test_columns_the_format_gave_up_are_tolerated_unread(roster: Roster, check: Check) -> None:
    """Addresses, gender and the like are neither reported nor kept."""
    header, *rows = roster.lines("Student.csv")
    given_up = "Mailing Address,Mailing Zip,Resident Latitude,Residence City,Gender,ELL Status,FederalRace"
    roster.write("Student.csv", [f"{header},{given_up}", *(f"{row},1 Road,98,1.5,City,F,no,x" for row in rows)])
    assert check(roster).findings == []


def test_powershells_type_line_is_skipped(roster: Roster, check: Check) -> None:
    """Lines are still counted from the top of the file."""
    header, *rows = roster.lines("School.csv")
    roster.write("School.csv", ["#TYPE Selected.System.Object", header, *rows, "30,,,,,"])
    assert check(roster).found == [
        ("type-line", "School.csv", None, None),
        ("required-value", "School.csv", 5, "Name"),
    ]


def test_a_file_without_header_does_not_spill_its_first_row(roster: Roster, check: Check) -> None:
    """When nothing looks like a header, the first line may be a child's data: it is not repeated."""
    roster.write("Student.csv", roster.lines("Student.csv")[1:])
    result = check(roster)
    assert set(result.rules) == {"missing-column"}
    assert not any("Zoë" in finding.message for finding in result.findings)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("SIS ID", "Student Number", "Student Number is another column"),
        ("SIS ID,School SIS ID", "ID,School DfE Number", "UK format"),
        ("SIS ID,School SIS ID", "Student_id,School_id", "Clever format"),
    ],
)
def test_a_sister_format_is_named(roster: Roster, check: Check, old: str, new: str, said: str) -> None:
    """Whoever uploads another format is told which one it looks like."""
    roster.drop("Student.csv", "Student Number")
    rename(roster, "Student.csv", old, new)
    messages = [finding.message for finding in check(roster).findings if finding.rule == "missing-column"]
    assert said in messages[0]


def test_matching_needs_no_names(roster: Roster, check: Check) -> None:
    """Without a profile, a roster without names is meant for matching."""
    for file in ("Student.csv", "Teacher.csv"):
        roster.drop(file, *NAMES)
    assert check(roster).findings == []
    policy = Policy(profile_name="x", domains={"student": "a.example", "teacher": "a.example"})
    assert len([rule for rule in check(roster, policy=policy).rules if rule == "missing-column"]) == 6


def test_what_is_needed_depends_on_what_is_matched(roster: Roster, check: Check) -> None:
    """Matching by number needs the number in every row, and no user name."""
    policy = Policy(
        profile_name="x",
        matching=(
            Matching(role="student", source="Student Number", target="mailNickname"),
            Matching(role="teacher", source="Username", target="userPrincipalName"),
        ),
    )
    roster.drop("Student.csv", "Username", *NAMES)
    roster.put("Student.csv", 3, "Student Number", "")
    assert check(roster, policy=policy).found == [("required-value", "Student.csv", 3, "Student Number")]
    roster.drop("Student.csv", "Student Number")
    assert check(roster, policy=policy).found == [("missing-column", "Student.csv", None, "Student Number")]


def test_a_profile_that_names_its_properties_reads_no_others(roster: Roster, check: Check) -> None:
    """A wrong birthday that nobody asked for is nobody's business; an asked-for column should not be empty."""
    roster.put("Student.csv", 2, "Birthdate", "soon")
    chosen = Customization(optional_properties=("grade", "StudentNumber", "Middle Name"))
    policy = Policy(
        profile_name="x",
        domains={"student": "a.example", "teacher": "b.example"},
        customizations={"student": chosen},
    )
    result = check(roster, policy=policy)
    assert result.found == [("empty-column", "Student.csv", None, "Middle Name")]
    assert result.rows("people", "grade, number, birth_date")[0] == ("3", "101", None)
