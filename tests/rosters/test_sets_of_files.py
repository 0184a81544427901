"""Which files make up a roster, and what happens when they do not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from .conftest import Check, Roster


def zipped(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def test_a_complete_set_is_clean(roster: Roster, check: Check) -> None:
    """Six good files give no finding and every record."""
    result = check(roster)
    assert result.checked.verdict == "clean"
    assert result.findings == []
    assert result.checked.rows == {
        "School.csv": 2,
        "Section.csv": 2,
        "Student.csv": 3,
        "Teacher.csv": 2,
        "StudentEnrollment.csv": 3,
        "TeacherRoster.csv": 2,
    }
    assert result.rows("people", "role, source_id, birth_date, line") == [
        ("student", "s1", "2017-03-04", 2),
        ("student", "s2", "2017-05-06", 3),
        ("student", "s3", "2013-07-08", 4),
        ("teacher", "t1", None, 2),
        ("teacher", "t2", None, 3),
    ]
    assert result.rows("enrollments", "class_id, role, source_id, file, line")[0] == (
        "A1",
        "student",
        "s1",
        "StudentEnrollment.csv",
        2,
    )
    assert result.rows("classes", "source_id, term_start, term_end")[0] == ("A1", "2026-09-01", "2027-06-30")


@pytest.mark.parametrize("name", ["School.csv", "Section.csv", "Student.csv", "Teacher.csv", "TeacherRoster.csv"])
def test_a_missing_file_is_fatal(roster: Roster, check: Check, name: str) -> None:
    """Nobody may go on without one of the six files, and references to it are not reported one by one."""
    del roster.files[name]
    result = check(roster)
    assert result.found == [("missing-file", name, None, None)]
    assert result.checked.fatal
    assert result.messages[0][:2] == ("Error", name.lower())


def test_no_files_at_all_name_every_required_one(check: Check) -> None:
    """An empty upload misses six files."""
    assert check(Roster()).rules == ["missing-file"] * 6


@pytest.mark.parametrize("name", ["User.csv", "Guardianrelationship.csv"])
def test_guardian_files_come_in_a_pair(roster: Roster, check: Check, name: str) -> None:
    """One of the two alone is fatal, none of them is fine and says nothing about guardians."""
    assert check(roster).checked.absent == {"contacts"}
    del roster.with_guardians().files[name]
    result = check(roster)
    assert result.found == [("missing-file", name, None, None)]
    assert result.checked.fatal


def test_names_are_found_in_any_letter_case_and_folder(roster: Roster, check: Check) -> None:
    """Lower case is as good as the samples' spelling; anything else is reported and read all the same."""
    roster.files = {f"export\\2026/{name.lower()}": content for name, content in roster.files.items()}
    assert check(roster).checked.verdict == "clean"
    roster.files["sCHOOL.csv"] = roster.files.pop("export\\2026/school.csv")
    result = check(roster)
    assert result.found == [("file-spelling", "sCHOOL.csv", None, None)]
    assert result.rows("organizations", "source_id") == [("10",), ("20",)]


def test_a_stranger_is_an_error(roster: Roster, check: Check) -> None:
    """An unknown file blocks, but a person may go on without it."""
    roster.files["Lunch.csv"] = b"a,b\r\n1,2\r\n"
    result = check(roster)
    assert result.found == [("unknown-file", "Lunch.csv", None, None)]
    assert result.checked.errors == 1
    assert not result.checked.fatal


def test_an_empty_file_takes_back_what_was_sent_by_mistake(roster: Roster, check: Check) -> None:
    """A container can only be written to: a stranger, one of two files and a zip are undone by zero bytes."""
    roster.files |= {"Lunch.csv": b"", "old/School.csv": b"", "more.zip": b""}
    assert check(roster).checked.verdict == "clean"
    roster.files["School.csv"] = b""
    assert check(roster).checked.fatal


def test_a_zip_is_opened(roster: Roster, check: Check) -> None:
    """Files in an archive count as if they were loose; folders and what macOS adds are no files."""
    packed = {f"roster/{name}": content for name, content in roster.files.items()}
    packed |= {"__MACOSX/roster/._School.csv": b"\0\1", "roster/.DS_Store": b"x"}
    result = check(Roster({"roster.ZIP": zipped(packed)}))
    assert result.checked.verdict == "clean"
    assert len(result.rows("people", "source_id")) == 5


def test_the_same_file_loose_and_zipped_is_fatal(roster: Roster, check: Check) -> None:
    """Which of two is meant is not guessed."""
    roster.files["more.zip"] = zipped({"School.csv": roster.files["School.csv"]})
    result = check(roster)
    assert result.found == [("double-file", "School.csv", None, None)]
    assert result.checked.fatal


def test_an_archive_with_other_things_is_refused(roster: Roster, check: Check) -> None:
    """Only CSV files belong into a zip; the finding does not repeat the member's name."""
    result = check(Roster({"all.zip": zipped({**roster.files, "notes about Zoë.txt": b"hello"})}))
    assert result.found == [("unknown-archive-member", "all.zip", None, None)]
    assert "Zoë" not in result.findings[0].message
    assert result.checked.fatal


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 not really", b"hello", zipped({"School.csv": b"SIS ID,Name\r\n" * 50})[:-30]],
    ids=["empty", "cut at once", "text", "cut later"],
)
def test_a_broken_archive_is_a_finding(check: Check, content: bytes) -> None:
    """What is no zip is told in a sentence."""
    result = check(Roster({"a.zip": content}))
    assert result.rules == ["unreadable-archive"], "what may be in it is not missing"
    assert result.checked.fatal


def test_an_archive_that_lies_about_its_bytes_is_a_finding(roster: Roster, check: Check) -> None:
    """Damaged members do not get in."""
    packed = bytearray(zipped(roster.files))
    packed[60:80] = b"\xff" * 20
    assert "unreadable-archive" in check(Roster({"a.zip": bytes(packed)})).rules


def test_a_zip_bomb_is_refused_before_it_fills_the_disk(check: Check) -> None:
    """A member that shrinks to a thousandth is no roster."""
    bomb = zipped({"School.csv": b"\0" * (40 * 1024 * 1024)})
    assert len(bomb) < 100_000
    result = check(Roster({"bomb.zip": bomb}))
    assert "archive-too-large" in result.rules
    assert "archive_max_ratio" in result.findings[0].message


def with_entry(files: dict[str, bytes], name: str, *, mode: int = 0o100644) -> bytes:
    """A zip of the files and of one entry more, of any name and kind."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for one, content in files.items():
            archive.writestr(one, content)
        entry = zipfile.ZipInfo(name)
        entry.create_system, entry.external_attr = 3, mode << 16
        archive.writestr(entry, b"/etc/passwd")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "mode", "rule"),
    [
        ("../School.csv", 0o100644, "hostile-archive"),
        ("roster/../../School.csv", 0o100644, "hostile-archive"),
        ("/etc/School.csv", 0o100644, "hostile-archive"),
        ("C:\\roster\\School.csv", 0o100644, "hostile-archive"),
        ("..\\School.csv", 0o100644, "hostile-archive"),
        ("other.csv", 0o120777, "hostile-archive"),
        ("more.zip", 0o100644, "nested-archive"),
        ("more.CSV.GZ", 0o100644, "nested-archive"),
    ],
)
def test_a_hostile_archive_is_refused(
    roster: Roster, check: Check, tmp_path: Path, name: str, mode: int, rule: str
) -> None:
    """Path escapes, links and archives in archives stop the roster; nothing is written where they say."""
    result = check(Roster({"roster.zip": with_entry(roster.files, name, mode=mode)}))
    assert rule in result.rules
    assert result.checked.fatal
    assert not list(tmp_path.rglob("School.csv"))


def test_what_systems_add_to_an_archive_is_skipped_and_said(roster: Roster, check: Check) -> None:
    """Such entries are no roster files, and folders none either; both are told as information."""
    packed = {f"export/{name}": content for name, content in roster.files.items()}
    packed |= {"__MACOSX/export/._School.csv": b"\0", "export/Thumbs.db": b"x", "export/desktop.ini": b"x"}
    result = check(Roster({"roster.zip": zipped(packed)}))
    assert set(result.rules) == {"system-files", "archive-folder"}
    assert len(result.rows("people", "source_id")) == 5


@pytest.mark.parametrize(
    ("limit", "rule", "setting"),
    [
        ({"max_rows": 1}, "too-many-rows", "roster_max_rows"),
        ({"file_bytes": 60}, "file-too-large", "roster_max_bytes"),
        ({"columns": 4}, "too-many-columns", "roster_max_columns"),
        ({"archive_files": 5}, "archive-too-large", "archive_max_files"),
        ({"archive_bytes": 300}, "archive-too-large", "archive_max_bytes"),
    ],
)
def test_a_limit_that_is_hit_stops_the_roster_and_names_its_setting(
    roster: Roster, check: Check, limit: dict[str, int], rule: str, setting: str
) -> None:
    """Whoever owns the installation reads what to raise, and for which file."""
    result = check(Roster({"roster.zip": zipped(roster.files)}), **limit)
    said = [one for one in result.findings if one.rule == rule]
    assert said
    assert all(setting in one.message for one in said)
    assert all(one.file for one in said)
    assert result.checked.fatal


def test_one_file_alone_can_be_checked(roster: Roster, check: Check) -> None:
    """With `partial` neither other files nor what they would hold is missed."""
    roster.files = {"Section.csv": roster.files["Section.csv"]}
    roster.put("Section.csv", 3, "Section Name", "")
    assert check(roster, partial=True).found == [("required-value", "Section.csv", 3, "Section Name")]


@pytest.mark.parametrize("name", ["Section.csv", "Student.csv", "StudentEnrollment.csv", "User.csv"])
@pytest.mark.parametrize(
    ("rest", "rule"),
    [([], "no-rows"), (["", " , , "], "no-rows"), (None, "empty-file")],
    ids=["header", "blank", "zero"],
)
def test_a_file_without_rows_is_fatal(
    roster: Roster, check: Check, name: str, rest: list[str] | None, rule: str
) -> None:
    """Empty never means nobody."""
    header = roster.with_guardians().lines(name)[0]
    roster.write(name, [] if rest is None else [header, *rest])
    result = check(roster)
    assert rule in result.rules
    assert result.checked.fatal


def test_the_number_of_rows_is_limited(roster: Roster, check: Check) -> None:
    """A file beyond the limit is refused as a whole."""
    assert check(roster, max_rows=3).checked.verdict == "clean"
    assert check(roster, max_rows=2).found == [
        ("too-many-rows", "Student.csv", None, None),
        ("too-many-rows", "StudentEnrollment.csv", None, None),
    ]
