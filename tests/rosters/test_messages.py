"""What `start` answers: one message per file, column and kind, in the documented words."""

from __future__ import annotations

from .conftest import Check, Roster


def test_the_four_documented_descriptions(roster: Roster, check: Check) -> None:
    """Clients compare these texts; the type is capitalised and the file name is in lower case."""
    roster.put("Student.csv", 2, "Last Name", "")
    roster.put("Student.csv", 3, "Last Name", "")
    roster.put("Section.csv", 2, "Term StartDate", "soon")
    roster.put("TeacherRoster.csv", 2, "SIS ID", "t404")
    roster.add("School.csv", "10,Again,,,,")
    roster.add("Teacher.csv", "t2,10,Ole,Berg,oberg,Fjord-2026,902,,")
    assert check(roster).messages == [
        ("Error", "school.csv", "1 duplicates found in column SIS ID which requires values to be Unique."),
        ("Error", "section.csv", "1 row(s) have an invalid format for the field - Term StartDate"),
        ("Error", "student.csv", "2 row(s) have missing data for the field - Last Name"),
        ("Error", "teacherroster.csv", "1 row(s) have referenced data not found in source. Field - SIS ID"),
        ("Warning", "teacher.csv", "1 duplicates found in column SIS ID which requires values to be Unique."),
    ]


def test_rules_of_one_kind_make_one_message(roster: Roster, check: Check) -> None:
    """A blank and a length are both a wrong format of one column, two schools and a repetition both duplicates."""
    roster.put("School.csv", 2, "SIS ID", "1 0")
    roster.put("School.csv", 3, "SIS ID", "2" * 257)
    roster.add("School.csv", "10,North,,,,", "20,South,,,,")
    roster.add(
        "Student.csv",
        roster.lines("Student.csv")[1],
        "s1,20,Zoë,Ünal,zunal,Fjord-2026,z@home.example,101,3,3/4/2017,2035",
    )
    assert check(roster).messages == [
        ("Error", "school.csv", "2 row(s) have an invalid format for the field - SIS ID"),
        ("Warning", "student.csv", "2 duplicates found in column SIS ID which requires values to be Unique."),
    ]


def test_every_other_message_names_file_and_column(roster: Roster, check: Check) -> None:
    """Whatever is found, its message says where."""
    roster.put("School.csv", 2, "Phone", " 555 ")
    roster.put("Student.csv", 2, "Grade", "99b")
    roster.put("Student.csv", 3, "Grade", "99c")
    roster.add("Section.csv", "ragged")
    roster.files["Lunch.csv"] = b"a"
    assert check(roster).messages == [
        (
            "Error",
            "lunch.csv",
            "The file does not belong to this format. Leave it out; save a workbook as CSV UTF-8, sheet by sheet. If "
            "it is uploaded already, upload an empty file of its name.",
        ),
        ("Error", "section.csv", "1 row(s) have more or fewer values than the header has columns."),
        ("Warning", "school.csv", "1 row(s) have blanks around the value. Field - Phone"),
        ("Warning", "student.csv", "2 row(s) have a grade code that is not known. Field - Grade"),
    ]


def test_missing_columns_and_files_have_a_message_each(roster: Roster, check: Check) -> None:
    """Findings about whole files are not counted together."""
    del roster.files["School.csv"]
    roster.drop("Section.csv", "School SIS ID", "Section Name")
    found = check(roster).messages
    assert [message[:2] for message in found] == [
        ("Error", "school.csv"),
        ("Error", "section.csv"),
        ("Error", "section.csv"),
    ]
    assert found[0][2].startswith("The file School.csv was not found.")
    assert {"School SIS ID", "Section Name"} == {
        part for part in ("School SIS ID", "Section Name") if any(part in one[2] for one in found)
    }


def test_what_was_forgiven_is_no_message(roster: Roster, check: Check) -> None:
    """A finding that is for information alone is in the report, and not in the answer to `start`."""
    roster.files["School.csv"] = b"\xef\xbb\xbf" + roster.files["School.csv"]
    result = check(roster)
    assert result.rules == ["byte-order-mark"]
    assert result.messages == []
