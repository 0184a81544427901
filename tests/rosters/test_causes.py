"""Findings by their causes: one mistake is one entry, however many rows it concerns, and hints say what was meant."""

from __future__ import annotations

from schoolsync.roster import causes
from schoolsync.roster.causes import Cause

from .conftest import Check, Result, Roster


def entries(result: Result) -> list[Cause]:
    found = list(causes.entries(result.db))
    counted = sum(one.count for one in found)
    consequences = result.db.execute("SELECT count(*) FROM roster.findings WHERE cause_line IS NOT NULL").fetchone()
    assert consequences is not None
    assert counted + consequences[0] == len(result.findings), "every finding is in one entry or hangs on one"
    return found


def many(roster: Roster, *, pupils: int) -> Roster:
    """So many pupils more, all in class A1."""
    roster.add("Student.csv", *(f"p{i},10,Kai,Berg,kai{i},Fjord-2026,,,3,," for i in range(pupils)))
    roster.add("StudentEnrollment.csv", *(f"A1,p{i}" for i in range(pupils)))
    return roster


def test_a_row_that_cannot_be_read_and_what_names_it_are_one_entry(roster: Roster, check: Check) -> None:
    """The class's row has a comma too many; a hundred pupils and a teacher are in that class."""
    roster = many(roster, pupils=98)
    roster.write("Section.csv", [line.replace("Math", "Math, old") for line in roster.lines("Section.csv")])
    (only,) = entries(check(roster))
    assert (only.rule, only.file, only.lines, only.count, only.dependents) == (
        "ragged-row",
        "Section.csv",
        (2,),
        1,
        101,
    )


def test_a_record_with_an_error_takes_along_what_hangs_on_it(roster: Roster, check: Check) -> None:
    """A school without a name: its class, its people and their enrollments are good rows, and go."""
    roster.put("School.csv", 2, "Name", "")
    (only,) = entries(check(roster))
    assert (only.rule, only.count, only.lines) == ("required-value", 1, (2,))
    assert only.dependents == 1 + 3 + 3, "a class, three people, three enrollments"


def test_an_id_that_is_missing_is_one_entry_over_all_files(roster: Roster, check: Check) -> None:
    """Students and a teacher of a class that is nowhere."""
    roster = many(roster, pupils=20)
    roster.write("Section.csv", [line for line in roster.lines("Section.csv") if not line.startswith("A1")])
    (only,) = entries(check(roster))
    assert (only.rule, only.count) == ("unknown-reference", 23)
    assert only.files == {"StudentEnrollment.csv": 22, "TeacherRoster.csv": 1}
    assert "A1" in only.message


def test_many_missing_ids_share_an_entry(roster: Roster, check: Check) -> None:
    """The first few stand alone, the report stays short, and every row is counted."""
    roster.add("StudentEnrollment.csv", *(f"C{i},s1" for i in range(500)), "C7,s2")
    found = entries(check(roster))
    assert len(found) == causes.SHOWN + 1
    assert found[0].ids == 500 - causes.SHOWN
    assert found[0].count == 501 - 1 - causes.SHOWN
    assert next(one for one in found if one.count == 2).message.startswith("Section SIS ID names C7,")


def test_what_was_meant_is_said(roster: Roster, check: Check) -> None:
    """Lost zeros, another letter case, a hyphen: when exactly one id is meant. Nothing that may be a name is said."""
    roster.add("Section.csv", "00042,10,Art,,,", "B-7,10,Art,,,", "X1,10,Art,,,", "x1,10,Art,,,", "annaberg,10,Art,,,")
    roster.add("StudentEnrollment.csv", "42,s1", "b7,s1", "X-1,s1", "ANNABERG,s1", "zz9,s1")
    hints = {one.line: one.hint for one in check(roster).findings if one.rule == "unknown-reference"}
    assert hints == {5: "Did you mean 00042?", 6: "Did you mean B-7?", 7: None, 8: None, 9: None}


def test_a_line_that_cannot_be_read_may_be_the_record(roster: Roster, check: Check) -> None:
    """Whoever names its id is told where to look."""
    roster.write("Section.csv", [line.replace("A1,10", '"A1"?,10') for line in roster.lines("Section.csv")])
    hints = {one.file: one.hint for one in check(roster).findings if one.rule == "unknown-reference"}
    assert set(hints) == {"StudentEnrollment.csv", "TeacherRoster.csv"}
    assert set(hints.values()) == {"It may stand in line 2 of Section.csv, which cannot be read."}


def test_what_matters_most_comes_first(roster: Roster, check: Check) -> None:
    """Fatal, then errors, then warnings; of a kind, what concerns most rows."""
    roster.put("Student.csv", 2, "Last Name", "")
    roster.put("Student.csv", 3, "Birthdate", "soon")
    roster.put("Student.csv", 4, "Birthdate", "later")
    roster.put("Student.csv", 4, "Grade", "old")
    roster.write("School.csv", roster.lines("School.csv")[:1])
    found = [(one.fatal, one.severity, one.rule, one.count) for one in entries(check(roster))]
    assert found == [
        (True, "error", "no-rows", 1),
        (False, "error", "invalid-date", 2),
        (False, "error", "required-value", 1),
        (False, "warning", "unknown-grade", 1),
    ]
