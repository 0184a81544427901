"""Rows together: duplicates, people of several schools, references, guardians, look-alikes."""

from __future__ import annotations

import pytest

from schoolsync.plan.policy import Matching, Policy

from .conftest import Check, Roster


@pytest.mark.parametrize(("file", "row"), [("School.csv", "10,Other,,,,"), ("Section.csv", "A1,20,Other,,,")])
def test_two_schools_or_classes_never_share_an_id(roster: Roster, check: Check, file: str, row: str) -> None:
    """The later row is an error that names the first one's line; the first is kept."""
    roster.add(file, row)
    result = check(roster)
    assert result.found == [("duplicate-id", file, 4, "SIS ID")]
    assert "line 2" in result.findings[0].message
    table = {"School.csv": "organizations", "Section.csv": "classes"}[file]
    assert [row[0] for row in result.rows(table, "name")] != ["Other"]
    assert len(result.rows(table, "name")) == 2


@pytest.mark.parametrize(
    ("file", "role", "row", "key"),
    [
        ("Student.csv", "student", "s1,20,Zoë,Ünal,zunal,Other-2026,z@home.example,101,3,3/4/2017,2035", "s1"),
        ("Teacher.csv", "teacher", "t1,20,Grace,Okafor,gokafor,Fjord-2026,901,,", "t1"),
    ],
)
def test_a_person_of_two_schools_is_one_person(
    roster: Roster, check: Check, file: str, role: str, row: str, key: str
) -> None:
    """The same id with another school is a warning, one record, and two schools; passwords are not compared."""
    roster.add(file, row)
    result = check(roster)
    line = len(roster.lines(file))
    assert result.found == [("several-schools", file, line, "SIS ID")]
    assert result.messages == [
        ("Warning", file.lower(), "1 duplicates found in column SIS ID which requires values to be Unique.")
    ]
    people = [one for one in result.rows("people", "role, source_id, school_id, line") if one[1] == key]
    assert people == [(role, key, "10", 2)]
    assert [
        one for one in result.rows("person_organizations", "role, source_id, school_id, line") if one[1] == key
    ] == [(role, key, "10", 2), (role, key, "20", line)]


def test_rows_of_one_person_that_disagree_are_reported(roster: Roster, check: Check) -> None:
    """The first row counts."""
    roster.add("Teacher.csv", "t1,20,Gracie,Okafor,gokafor,Fjord-2026,901,,")
    result = check(roster)
    assert ("differing-values", "Teacher.csv", 4, None) in result.found
    assert result.checked.verdict == "warnings"
    assert ("t1", "Grace") in result.rows("people", "source_id, given_name")


def test_a_person_twice_in_one_school_is_kept_once(roster: Roster, check: Check) -> None:
    """A row that says nothing new is a warning."""
    roster.add("Student.csv", roster.lines("Student.csv")[1])
    result = check(roster)
    assert result.found == [("repeated-person", "Student.csv", 5, "SIS ID")]
    assert len(result.rows("person_organizations", "source_id")) == 5


def test_a_pupil_and_a_teacher_may_share_an_id(roster: Roster, check: Check) -> None:
    """They are two people."""
    roster.add("Teacher.csv", "s1,10,Kai,Holm,kholm,Fjord-2026,903,,")
    result = check(roster)
    assert result.findings == []
    assert [row[0] for row in result.rows("people", "role, source_id") if row[1] == "s1"] == ["student", "teacher"]


def test_one_user_name_is_never_two_people(roster: Roster, check: Check, creating: Policy) -> None:
    """The later one is named, with letter case ignored; both stay in the roster, the plan holds the later back."""
    roster.put("Student.csv", 4, "Username", "ZUnal")
    result = check(roster)
    assert result.found == [("duplicate-username", "Student.csv", 4, "Username")]
    assert "line 2 of Student.csv" in result.findings[0].message
    assert result.checked.verdict == "warnings"
    assert len(result.rows("people", "source_id")) == 5
    assert check(roster, policy=creating).found == result.found


def test_user_names_of_two_roles_clash_where_their_domain_is_one(
    roster: Roster, check: Check, creating: Policy
) -> None:
    """A pupil and a teacher of one name are two accounts in two domains, and a clash in one."""
    roster.put("Teacher.csv", 3, "Username", "zunal")
    assert check(roster).findings == []
    assert check(roster, policy=creating).findings == []
    one = Policy(profile_name="x", domains={"student": "a.example", "teacher": "A.example"})
    assert check(roster, policy=one).found == [("duplicate-username", "Teacher.csv", 3, "Username")]
    roster.put("Teacher.csv", 3, "Username", "ZUNAL@pupils.example")
    assert check(roster, policy=creating).found == [("duplicate-username", "Teacher.csv", 3, "Username")]


def test_two_people_are_not_matched_by_one_value(roster: Roster, check: Check) -> None:
    """What counts is the column that the profile matches by."""
    policy = Policy(
        profile_name="x",
        matching=(
            Matching(role="student", source="Student Number", target="mailNickname"),
            Matching(role="teacher", source="Teacher Number", target="mailNickname"),
        ),
    )
    roster.put("Student.csv", 4, "Username", "zunal")
    assert check(roster, policy=policy).findings == []
    roster.put("Teacher.csv", 3, "Teacher Number", "102")
    assert check(roster, policy=policy).found == [("duplicate-username", "Teacher.csv", 3, "Teacher Number")]


@pytest.mark.parametrize("name", ["StudentEnrollment.csv", "TeacherRoster.csv"])
def test_somebody_is_in_a_class_once(roster: Roster, check: Check, name: str) -> None:
    """A repeated pair is dropped with a warning."""
    before = len(check(roster).rows("enrollments", "class_id"))
    roster.add(name, roster.lines(name)[1])
    result = check(roster)
    assert result.found == [("repeated-enrollment", name, len(roster.lines(name)), "SIS ID")]
    assert "line 2" in result.findings[0].message
    assert len(result.rows("enrollments", "class_id")) == before


def test_a_pupil_may_be_in_a_class_of_another_school(roster: Roster, check: Check) -> None:
    """Nothing forbids it."""
    roster.add("StudentEnrollment.csv", "B1,s1")
    assert check(roster).findings == []


REFERENCES = [
    ("Section.csv", 2, "School SIS ID"),
    ("Student.csv", 3, "School SIS ID"),
    ("Teacher.csv", 3, "School SIS ID"),
    ("StudentEnrollment.csv", 2, "Section SIS ID"),
    ("StudentEnrollment.csv", 4, "SIS ID"),
    ("TeacherRoster.csv", 3, "Section SIS ID"),
    ("TeacherRoster.csv", 2, "SIS ID"),
    ("Guardianrelationship.csv", 2, "SIS ID"),
]


@pytest.mark.parametrize(("file", "line", "header"), REFERENCES)
def test_every_reference_has_to_lead_somewhere(roster: Roster, check: Check, file: str, line: int, header: str) -> None:
    """An id that no record has is an error, and nothing that refers to it gets in."""
    roster.with_guardians().put(file, line, header, "x404")
    result = check(roster)
    assert result.found == [("unknown-reference", file, line, header)]
    assert "x404" in result.findings[0].message
    assert result.messages == [
        ("Error", file.lower(), f"1 row(s) have referenced data not found in source. Field - {header}")
    ]


@pytest.mark.parametrize("other", ["S1", "0s1", "000s1"])
def test_ids_are_opaque_and_look_alikes_are_named(roster: Roster, check: Check, other: str) -> None:
    """Case and leading zeros make another id, which deserves a second look."""
    roster.add("Student.csv", f"{other},10,Kai,Holm,kholm,Fjord-2026,,104,3,,")
    roster.add("StudentEnrollment.csv", f"A1,{other}")
    result = check(roster)
    assert result.found == [("look-alike-id", "Student.csv", 5, "SIS ID")]
    assert other in [row[0] for row in result.rows("people", "source_id")]


def test_guardians_become_contacts_of_pupils(roster: Roster, check: Check) -> None:
    """Addresses are compared without case, phones lose their decoration, a blank role counts as other."""
    result = check(roster.with_guardians())
    assert result.findings == []
    assert result.checked.absent == frozenset()
    assert result.rows("contacts", "student_id, email, name, phone, relationship, file, line") == [
        ("s1", "mum@home.example", "Kari Ünal", "+477844501", "parent", "Guardianrelationship.csv", 2),
        ("s2", "dad@home.example", "Ola Silva", None, "other", "Guardianrelationship.csv", 3),
    ]


@pytest.mark.parametrize(
    ("role", "kept", "rules"),
    [
        ("RELATIVE", "relative", []),
        ("Administrator", "other", []),
        ("Child", "child", []),
        ("Uncle", "other", ["unknown-relationship"]),
    ],
)
def test_roles_of_guardians(roster: Roster, check: Check, role: str, kept: str, rules: list[str]) -> None:
    """Known roles in any letter case; contacts know no administrator; others count as other, with a warning."""
    roster.with_guardians().put("Guardianrelationship.csv", 2, "Role", role)
    result = check(roster)
    assert result.rules == rules
    assert result.rows("contacts", "student_id, relationship")[0] == ("s1", kept)


def test_a_guardian_is_one_person_and_belongs_to_a_pupil_once(roster: Roster, check: Check) -> None:
    """Rows that repeat an address or a pair are dropped with a warning."""
    roster.with_guardians()
    roster.add("User.csv", "MUM@home.example,Other,Name,,")
    roster.add("Guardianrelationship.csv", "s1,Mum@Home.example,Aide")
    result = check(roster)
    assert result.found == [
        ("repeated-relationship", "Guardianrelationship.csv", 4, "Email"),
        ("repeated-guardian", "User.csv", 4, "Email"),
    ]
    assert [row[1] for row in result.rows("contacts", "student_id, name")] == ["Kari Ünal", "Ola Silva"]


def test_a_guardian_nobody_knows_is_an_error(roster: Roster, check: Check) -> None:
    """The address is not repeated."""
    roster.with_guardians().put("Guardianrelationship.csv", 3, "Email", "who@home.example")
    result = check(roster)
    assert result.found == [("unknown-reference", "Guardianrelationship.csv", 3, "Email")]
    assert "who@" not in result.findings[0].message


@pytest.mark.parametrize("rows", [(1, 2, 3), (3, 2, 1)], ids=["main school first", "main school last"])
def test_a_pupil_of_several_schools_is_in_the_grade_of_the_main_one(check: Check, rows: tuple[int, ...]) -> None:
    """Wherever its row stands in the file; a district says the grade only when no school does."""
    said = {1: "p,20,student,05,true", 2: "p,10,student,04,false", 3: "p,d,student,03,false"}
    made = Roster()
    made.write("orgs.csv", ["sourcedId,name,type", "d,All,district", "10,North,school", "20,South,school"])
    made.write("users.csv", ["sourcedId,username,givenName,familyName,password", "p,p.a,Pia,Aas,Fjord-2026"])
    made.write("roles.csv", ["userSourcedId,orgSourcedId,role,grade,isPrimary", *(said[number] for number in rows)])
    made.write("classes.csv", ["sourcedId,orgSourcedId,title", "c,20,Music"])
    made.write("enrollments.csv", ["classSourcedId,userSourcedId,role", "c,p,student"])
    assert check(made).rows("people", "source_id, school_id, grade") == [("p", "20", "05")]
