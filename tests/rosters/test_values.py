"""What may stand in a cell. Findings say what a value looks like, never what it is."""

from __future__ import annotations

import pytest

from schoolsync.plan.policy import Matching, Policy

from .conftest import Check, Roster


@pytest.mark.parametrize(
    ("file", "header"),
    [
        ("School.csv", "SIS ID"),
        ("School.csv", "Name"),
        ("Section.csv", "SIS ID"),
        ("Section.csv", "School SIS ID"),
        ("Student.csv", "First Name"),
        ("Student.csv", "Username"),
        ("Student.csv", "Password"),
        ("Teacher.csv", "School SIS ID"),
        ("StudentEnrollment.csv", "SIS ID"),
        ("TeacherRoster.csv", "Section SIS ID"),
        ("User.csv", "Last Name"),
        ("Guardianrelationship.csv", "Email"),
    ],
)
def test_a_required_cell_must_be_filled(roster: Roster, check: Check, file: str, header: str) -> None:
    """An empty cell, and one with nothing but blanks, is an error of its row."""
    for value in ("", "  "):
        roster.with_guardians().put(file, 3, header, value)
        result = check(roster)
        assert ("required-value", file, 3, header) in result.found
        assert result.checked.errors >= 1


DATES = [
    ("mdy", "7/1/2017", "2017-07-01"),
    ("mdy", "07/01/2017", "2017-07-01"),
    ("mdy", "3/4/2026", "2026-03-04"),
    ("dmy", "3/4/2026", "2026-04-03"),
    ("dmy", "31.12.2025", "2025-12-31"),
    ("iso", "2017-07-01", "2017-07-01"),
    ("mdy", "2017-07-01", "2017-07-01"),
    ("dmy", "20170701", "2017-07-01"),
    ("iso", "3/4/2026", None),
    ("mdy", "13/1/2017", None),
    ("mdy", "2/29/2026", None),
    ("mdy", "7/1/17", None),
    ("mdy", "0017-01-01", None),
    ("mdy", "2017", None),
    ("mdy", "7/1/2017 0:00", None),
    ("iso", "tomorrow", None),
]


@pytest.mark.parametrize(("form", "given", "read"), DATES)
def test_dates_have_the_form_that_the_profile_states(
    roster: Roster, check: Check, form: str, given: str, read: str | None
) -> None:
    """ISO dates are always read; a slashed date is never guessed at."""
    roster.put("Section.csv", 2, "Term StartDate", "")
    roster.put("Section.csv", 2, "Term EndDate", given)
    roster.put("Student.csv", 2, "Birthdate", "2017-03-04")
    roster.put("Section.csv", 3, "Term StartDate", "2026-09-01")
    policy = Policy(profile_name="x", domains={"student": "a.ex", "teacher": "a.ex"}, date_format=form)  # type: ignore[arg-type]
    result = check(roster, policy=policy)
    if read is None:
        assert result.found == [("invalid-date", "Section.csv", 2, "Term EndDate")]
        assert given not in result.findings[0].message
    else:
        assert result.findings == []
        assert result.rows("classes", "source_id, term_end")[0] == ("A1", read)


def test_a_term_does_not_end_before_it_starts(roster: Roster, check: Check) -> None:
    """Both dates are fine, together they are not."""
    roster.put("Section.csv", 3, "Term EndDate", "8/31/2026")
    assert check(roster).found == [("end-before-start", "Section.csv", 3, "Term EndDate")]


@pytest.mark.parametrize("name", ["School.csv", "Section.csv", "Student.csv", "Teacher.csv"])
def test_an_id_has_no_blank_inside(roster: Roster, check: Check, name: str) -> None:
    """Directories refuse it later; it is said now, at the record alone and not at whatever refers to it."""
    for file in roster.files:
        for line, text in enumerate(roster.lines(file), start=1):
            for header in ("SIS ID", "School SIS ID", "Section SIS ID"):
                cells = text.split(",")
                headers = roster.lines(file)[0].split(",")
                if line > 1 and header in headers and cells[headers.index(header)] in {"20", "B1", "s3", "t2"}:
                    roster.put(file, line, header, f"{cells[headers.index(header)]} x")
                    text = roster.lines(file)[line - 1]
    found = [one for one in check(roster).found if one[1] == name and one[0] != "special-characters"]
    assert found == [("blank-in-id", name, 4 if name == "Student.csv" else 3, "SIS ID")]


@pytest.mark.parametrize(
    ("file", "header", "length", "rule"),
    [
        ("School.csv", "Name", 256, "too-long"),
        ("Section.csv", "Section Name", 256, "too-long"),
        ("Student.csv", "First Name", 64, "too-long"),
        ("School.csv", "Phone", 256, "optional-too-long"),
        ("Teacher.csv", "Title", 256, "optional-too-long"),
    ],
)
def test_values_have_the_length_their_attribute_holds(
    roster: Roster, check: Check, file: str, header: str, length: int, rule: str
) -> None:
    """Too long is an error where the record needs the value; elsewhere the value is left out."""
    roster.put(file, 2, header, "é" * length)
    assert check(roster).findings == []
    roster.put(file, 2, header, "é" * (length + 1))
    result = check(roster)
    assert result.found == [(rule, file, 2, header)]
    assert result.checked.verdict == ("errors" if rule == "too-long" else "warnings")
    if rule == "optional-too-long":
        table, column = {"Phone": ("organizations", "phone"), "Title": ("people", "title")}[header]
        assert {row[0] for row in result.rows(table, column) if row[0] and row[0].startswith("é")} == set()


def test_a_class_id_fits_into_an_alias(roster: Roster, check: Check) -> None:
    """56 characters and a prefix of eight make 64; what aliases refuse is a warning, unless it gets replaced."""
    for value, rules in (("A" * 56, []), ("A" * 57, ["too-long"]), ("A.1", ["special-characters"]), ("A-1_b", [])):
        roster.put("Section.csv", 2, "SIS ID", value)
        roster.write("StudentEnrollment.csv", ["Section SIS ID,SIS ID", f"{value},s1"])
        roster.write("TeacherRoster.csv", ["Section SIS ID,SIS ID", f"{value},t1"])
        assert check(roster).rules == rules
        policy = Policy(
            profile_name="x", domains={"student": "a.ex", "teacher": "a.ex"}, replace_special_characters=True
        )
        assert check(roster, policy=policy).rules == [rule for rule in rules if rule != "special-characters"]


@pytest.mark.parametrize(
    ("username", "rule"),
    [
        ("zunal", None),
        ("z.unal-2_x", None),
        ("zunal@pupils.example", None),
        ("o'neil", None),
        ("z" * 64, None),
        ("z" * 65, "invalid-username"),
        (f"z@{'d' * 112}", "invalid-username"),
        ("z unal", "invalid-username"),
        ("z@a@b", "invalid-username"),
        ("@a.example", "invalid-username"),
        ("zunal@", "invalid-username"),
        ("zoë", "special-characters"),
        ("z#unal%", "special-characters"),
    ],
)
def test_user_names_can_become_sign_in_names(roster: Roster, check: Check, username: str, rule: str | None) -> None:
    """With or without a domain; the name itself is not repeated in the finding."""
    roster.put("Student.csv", 2, "Username", username)
    result = check(roster)
    assert result.rules == ([rule] if rule else [])
    assert not any(username in finding.message for finding in result.findings)


def test_the_domain_counts_for_the_length(roster: Roster, check: Check, creating: Policy) -> None:
    """113 characters are the most, the profile's domain included."""
    domain = "d" * 46 + ".ex"
    policy = Policy(profile_name="x", domains={"student": domain, "teacher": "b.ex"})
    roster.put("Student.csv", 2, "Username", "z" * 63)
    assert check(roster, policy=policy).findings == []
    roster.put("Student.csv", 2, "Username", "z" * 64)
    assert check(roster, policy=policy).rules == ["invalid-username"]
    assert check(roster, policy=creating).findings == []


@pytest.mark.parametrize(
    ("password", "good"),
    [
        ("Fjord-2026", True),
        ("P@ssword", True),
        ("abcDEF12", True),
        ("pässwörter1", True),
        ("Aa1-567", False),
        ("password1", False),
        ("PASSWORD", False),
        ("Aa1" + "x" * 254, False),
    ],
)
def test_passwords_satisfy_the_usual_rules(roster: Roster, check: Check, password: str, good: bool) -> None:
    """Eight characters of three kinds; they are never repeated and never become part of the roster."""
    roster.put("Student.csv", 2, "Password", password)
    result = check(roster)
    assert result.rules == ([] if good else ["weak-password"])
    assert not any(password in finding.message for finding in result.findings)
    columns = [row[0] for row in result.db.execute("SELECT DISTINCT column_name FROM duckdb_columns()").fetchall()]
    assert "password" not in columns
    tables = [row[0] for row in result.db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    assert not {"student", "teacher"} & set(tables)


@pytest.mark.parametrize("mail", ["no address", "a@b", "a@b.", "a@@b.ex", "a b@c.ex", "a,b@c.ex", "@b.ex"])
def test_mail_addresses_have_the_shape_of_one(roster: Roster, check: Check, mail: str) -> None:
    """An optional address is left out with a warning; one that accounts are matched by is an error."""
    roster.put("Student.csv", 2, "Secondary Email", mail)
    result = check(roster)
    assert result.found == [("optional-mail", "Student.csv", 2, "Secondary Email")]
    assert result.rows("people", "source_id, secondary_email")[0] == ("s1", None)
    matching = (
        Matching(role="student", source="Secondary Email", target="mail"),
        Matching(role="teacher", source="Username", target="mailNickname"),
    )
    roster.put("Student.csv", 3, "Secondary Email", "ana+x@home.example")
    roster.put("Student.csv", 4, "Secondary Email", "s.o'neil@home.example")
    result = check(roster, policy=Policy(profile_name="x", matching=matching))
    assert result.found == [("invalid-mail", "Student.csv", 2, "Secondary Email")]


def test_grades_are_kept_as_given(roster: Roster, check: Check) -> None:
    """Known codes in any letter case, with or without zero; others are a warning."""
    for grade in ("KG", "kg", "1", "01", "12", "PK", "other", "Kindergarten"):
        roster.put("Student.csv", 2, "Grade", grade)
        assert check(roster).findings == [], grade
    roster.put("Student.csv", 2, "Grade", "99b")
    result = check(roster)
    assert result.found == [("unknown-grade", "Student.csv", 2, "Grade")]
    assert result.rows("people", "source_id, grade")[0] == ("s1", "99b")


@pytest.mark.parametrize("year", ["35", "20355", "soon", "3035"])
def test_a_graduation_year_has_four_digits(roster: Roster, check: Check, year: str) -> None:
    """Anything else is left out with a warning."""
    roster.put("Student.csv", 2, "Graduation Year", year)
    result = check(roster)
    assert set(result.rules) <= {"invalid-year", "optional-too-long"}
    assert result.rules
    assert result.rows("people", "source_id, graduation_year")[0] == ("s1", None)


def test_no_finding_repeats_what_a_child_is_called(roster: Roster, check: Check) -> None:
    """Names, mail, birthdays and user names in wrong places stay out of every message."""
    secrets = ["Zoë Ünal", "zoe@home.example", "3rd of April", "zoe unal"]
    roster.put("Student.csv", 2, "School SIS ID", secrets[0])
    roster.put("Student.csv", 2, "Secondary Email", secrets[0])
    roster.put("Student.csv", 2, "Birthdate", secrets[2])
    roster.put("Student.csv", 2, "Username", secrets[3])
    roster.put("StudentEnrollment.csv", 2, "SIS ID", secrets[1])
    roster.put("Section.csv", 2, "School SIS ID", secrets[0])
    result = check(roster)
    assert len(result.findings) >= 6
    for finding in result.findings:
        assert not any(secret in finding.message for secret in secrets)
    for _, _, description in result.messages:
        assert not any(secret in description for secret in secrets)
