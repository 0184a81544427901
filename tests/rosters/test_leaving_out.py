"""Going on without wrong records: they are not taken for gone, and nothing is left that hangs on them."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schoolsync import sources
from schoolsync.sources import CheckOptions, SourceFile
from schoolsync.testing import rosters

from .conftest import GUARDIAN_HEADERS, HEADERS, ROWS, Check, Result, Roster

LEFT_OUT = "kind, role, source_id, other, rule"


def test_a_clean_roster_leaves_nothing_out(roster: Roster, check: Check) -> None:
    """All records stay."""
    result = check(roster.with_guardians())
    before = {table: result.rows(table, "*") for table in ("people", "enrollments", "contacts")}
    result.leave_out()
    assert {table: result.rows(table, "*") for table in before} == before
    assert result.rows("left_out", LEFT_OUT) == []


def test_a_wrong_pupil_goes_with_links_and_guardians(roster: Roster, check: Check) -> None:
    """Whoever is left out is listed, and so is what hung on them."""
    roster.with_guardians().put("Student.csv", 2, "Last Name", "")
    result = check(roster).leave_out()
    assert "s1" not in [row[0] for row in result.rows("people", "source_id")]
    assert result.rows("left_out", LEFT_OUT) == [
        ("contacts", None, "s1", "mum@home.example", "unknown-reference"),
        ("enrollments", "student", "A1", "s1", "unknown-reference"),
        ("people", "student", "s1", None, "required-value"),
        ("person_organizations", "student", "s1", "10", "required-value"),
    ]
    assert result.rows("enrollments", "class_id, source_id") == [("A1", "s2"), ("A1", "t1"), ("B1", "s3"), ("B1", "t2")]


def test_a_wrong_school_takes_its_classes_and_people(roster: Roster, check: Check) -> None:
    """Nothing refers to a school that is not there; people of another school as well stay with that one."""
    roster.add("Teacher.csv", "t2,10,Ole,Berg,oberg,Fjord-2026,902,,")
    roster.put("School.csv", 3, "Name", "")
    result = check(roster).leave_out()
    assert result.rows("organizations", "source_id") == [("10",)]
    assert result.rows("classes", "source_id") == [("A1",)]
    assert result.rows("people", "source_id, school_id") == [("s1", "10"), ("s2", "10"), ("t1", "10"), ("t2", "10")]
    left = {row[:3] for row in result.rows("left_out", LEFT_OUT)}
    assert {("organizations", None, "20"), ("classes", None, "B1"), ("people", "student", "s3")} <= left
    assert ("people", "teacher", "t2") not in left


def test_a_person_with_one_good_row_stays(roster: Roster, check: Check) -> None:
    """Only the link that the wrong row would have made is left out."""
    roster.add("Teacher.csv", "t1,404,Grace,Okafor,gokafor,Fjord-2026,901,,")
    result = check(roster).leave_out()
    assert ("t1", "10") in result.rows("people", "source_id, school_id")
    assert ("t1", "10") in result.rows("person_organizations", "source_id, school_id")
    assert ("person_organizations", "teacher", "t1", "404", "unknown-reference") in result.rows("left_out", LEFT_OUT)


def test_the_first_good_row_of_a_person_counts(roster: Roster, check: Check) -> None:
    """When the first row is wrong, the second one makes the record."""
    roster.put("Teacher.csv", 2, "Last Name", "")
    roster.add("Teacher.csv", "t1,20,Grace,Okafor,gokafor,Fjord-2026,901,,")
    result = check(roster).leave_out()
    assert ("t1", "20", "Okafor", 4) in result.rows("people", "source_id, school_id, surname, line")


@pytest.mark.parametrize(
    ("file", "row", "expected"),
    [
        ("Student.csv", "only,three,values", ("people", "student", None, None, "ragged-row")),
        ("Student.csv", ",10,A,B,ab,Fjord-2026,,,,,", ("people", "student", None, None, "required-value")),
        ("Section.csv", '"C1"x,10,Art,,,', ("classes", None, None, None, "broken-quotes")),
        ("TeacherRoster.csv", "A1,", ("enrollments", "teacher", "A1", None, "required-value")),
        ("StudentEnrollment.csv", "A1", ("enrollments", "student", None, None, "ragged-row")),
        ("Guardianrelationship.csv", "s1", ("contacts", None, None, None, "ragged-row")),
        ("User.csv", ",Kari,Ünal,,", ("contacts", None, None, None, "required-value")),
    ],
)
def test_a_row_without_a_readable_key_could_be_anybody(
    roster: Roster, check: Check, file: str, row: str, expected: tuple[str | None, ...]
) -> None:
    """It is listed without an id: as long as it stands there, nobody of its kind is taken for gone."""
    roster.with_guardians().add(file, row)
    assert expected in check(roster).leave_out().rows("left_out", LEFT_OUT)


def test_contacts_of_a_wrong_guardian_are_left_out(roster: Roster, check: Check) -> None:
    """The guardian's row is wrong, so all it would have made is."""
    roster.with_guardians().put("User.csv", 2, "Last Name", "")
    result = check(roster).leave_out()
    assert [row[0] for row in result.rows("contacts", "student_id")] == ["s2"]
    assert result.rows("left_out", LEFT_OUT) == [("contacts", None, "s1", "mum@home.example", "required-value")]


def _sound(result: Result) -> None:
    """Every reference between canonical tables leads somewhere, and no key is there twice."""
    dangling = """
        SELECT 'class', source_id FROM roster.classes
            WHERE school_id NOT IN (SELECT source_id FROM roster.organizations)
        UNION ALL SELECT 'person', source_id FROM roster.people
            WHERE (role, source_id, school_id) NOT IN
                (SELECT (role, source_id, school_id) FROM roster.person_organizations)
        UNION ALL SELECT 'place', source_id FROM roster.person_organizations
            WHERE (role, source_id) NOT IN (SELECT (role, source_id) FROM roster.people)
            OR school_id NOT IN (SELECT source_id FROM roster.organizations)
        UNION ALL SELECT 'link', source_id FROM roster.enrollments
            WHERE (role, source_id) NOT IN (SELECT (role, source_id) FROM roster.people)
            OR class_id NOT IN (SELECT source_id FROM roster.classes)
        UNION ALL SELECT 'contact', student_id FROM roster.contacts
            WHERE student_id NOT IN (SELECT source_id FROM roster.people WHERE role = 'student')
    """
    assert result.db.execute(dangling).fetchall() == []
    for table, key in (
        ("organizations", "source_id"),
        ("classes", "source_id"),
        ("people", "role, source_id"),
        ("person_organizations", "role, source_id, school_id"),
        ("enrollments", "class_id, role, source_id"),
        ("contacts", "student_id, lower(email)"),
    ):
        rows = result.rows(table, key)
        assert len(rows) == len(set(rows)), table
        assert not any(None in row for row in rows), table


CELL = st.sampled_from(
    ["", "10", "20", "A1", "B1", "s1", "s2", "t1", "Zoë", "x y", "7/1/2026", "mum@home.example", "a", '"', "Fjord-2026"]
)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.sampled_from([*HEADERS, *GUARDIAN_HEADERS]), st.lists(CELL, min_size=1, max_size=11)), max_size=8
    )
)
def test_whatever_the_rows_are_the_rest_is_sound(
    check: Check, tmp_path: object, changes: list[tuple[str, list[str]]]
) -> None:
    """Any rows added to a good roster: what gets in hangs together, and no good record is lost for good."""
    roster = Roster()
    for name, header in HEADERS.items():
        roster.write(name, [header, *ROWS[name]])
    roster.with_guardians()
    for name, cells in changes:
        roster.add(name, ",".join(cells))
    result = check(roster).leave_out()
    _sound(result)
    known = set(result.rows("people", "role, source_id"))
    left = {row for row in result.rows("left_out", "role, source_id") if row[0]}
    for person in (("student", "s1"), ("student", "s2"), ("student", "s3"), ("teacher", "t1"), ("teacher", "t2")):
        assert person in known | left or (person[0], None) in left


@pytest.mark.parametrize("kind", ["sds-v1", "oneroster-1.1", "oneroster-1.2", "sds-v2", "sds-v2.1"])
def test_a_wrong_school_is_nobodys_leaving_in_any_format(tmp_path: Path, kind: str) -> None:
    """Its people, their places and its classes are listed as left out; nobody becomes somebody without a role."""
    rosters.write(tmp_path, people=40, classes=4, enrollments=80, format=kind, several_schools=False)
    name = "School.csv" if kind == "sds-v1" else "orgs.csv"
    with (tmp_path / name).open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    row, column = next(row for row in table if row[0] == "101"), table[0].index("Name" if kind == "sds-v1" else "name")
    row[column] = ""
    with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)
    with duckdb.connect(config={"threads": 1}) as db:
        options = CheckOptions(format=kind)
        files = [SourceFile(path.name, path) for path in sorted(tmp_path.iterdir())]
        checked = sources.validate(db, sources.extract(db, files, options), options)
        assert {one.rule for one in checked.findings(db)} == {"required-value"}
        people = "SELECT role, source_id FROM roster.people"
        before = {tuple(row) for row in db.execute(people).fetchall()}
        checked.leave_out(db)
        after = {tuple(row) for row in db.execute(people).fetchall()}
        left = db.execute("SELECT kind, role, source_id FROM roster.left_out").fetchall()
    assert {one[1:] for one in left if one[0] == "people"} == before - after
    assert len(before) == 40
    assert len(after) < 40
    assert {role for role, _ in before} == {"student", "teacher"}
    assert {"organizations", "classes", "people", "person_organizations", "enrollments"} == {one[0] for one in left}
