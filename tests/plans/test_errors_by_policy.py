"""What errors do is the profile's policy: refuse the roster, or leave wrong records out up to a share of them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import msgspec
import pytest

from schoolsync.plan.policy import Errors, Policy, Scope
from schoolsync.runs.job import Validated
from schoolsync.testing import rosters

from .districts import CREATES, Directory, GivenSource, Outcome, Roster, engine, refused
from .test_real_files import files_of, job_of

SIZE = {"people": 400, "classes": 40, "enrollments": 1200}


@pytest.fixture
def house(tmp_path: Path) -> Directory:
    """A directory whose engine reads real files."""
    return Directory(tmp_path / "house", GivenSource())


def policy(percent: float) -> Policy:
    return msgspec.structs.replace(CREATES, errors=Errors(policy="leaveOut", most_percent=percent))


def spoil(folder: Path, name: str, lines: range) -> None:
    """Empty the names of some people."""
    rows = (folder / name).read_text(encoding="utf-8").splitlines()
    place = rows[0].split(",").index("Last Name")
    for line in lines:
        cells = rows[line - 1].split(",")
        cells[place] = ""
        rows[line - 1] = ",".join(cells)
    (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")


def verified(house: Directory, folder: Path, percent: float) -> Validated:
    with engine(job_of(house, folder, policy=policy(percent))) as work:
        work.extract()
        return work.validate()


def test_wrong_records_are_left_out_and_nobody_is_removed(house: Directory, tmp_path: Path) -> None:
    """The good rest is synchronized; who is left out stays as they were and is listed with the line."""
    folder = tmp_path / "roster"
    rosters.write(folder, **SIZE)
    first = house.work(job_of(house, folder, policy=policy(5)), Roster())
    assert first.errors == []
    before = house.links("class_people"), house.links("school_people")
    spoil(folder, "Student.csv", range(20, 25))
    changed = house.work(job_of(house, folder, policy=policy(5)), Roster())
    assert changed.steps == {}
    assert (house.links("class_people"), house.links("school_people")) == before
    people = [one for one in changed.errors if one["entry_type"] == "Student"]
    assert len(people) == 5
    assert all(
        any(f"in line {line} of Student.csv" in one["error_message"] for one in people) for line in range(20, 25)
    )
    assert len(changed.errors) > 5, "their enrollments are listed too"


def test_more_than_the_share_refuses(house: Directory, tmp_path: Path) -> None:
    """Of any kind: ten of 400 people, and with them forty of 1,200 enrollments."""
    folder = tmp_path / "roster"
    rosters.write(folder, **SIZE)
    spoil(folder, "Student.csv", range(20, 30))
    allowed = verified(house, folder, 5)
    assert allowed.leaves_out
    assert allowed.left_out["people"] == 10
    assert 0 < allowed.left_out["enrollments"] <= 40
    assert [one.type for one in allowed.messages if one.file_name == "student.csv"][:1] == ["Error"]
    refusal = verified(house, folder, 1)
    assert not refusal.leaves_out
    assert "40 of 1,200 enrollments would be left out (3.3 %), more than the 1 %" in refusal.messages[-1].description
    with engine(job_of(house, folder, policy=policy(1))) as work, refused() as said:
        work.plan()
    assert not said[0].retry


def test_without_the_policy_errors_refuse(house: Directory, tmp_path: Path) -> None:
    """One wrong record is enough, as the Graph API has it."""
    folder = tmp_path / "roster"
    rosters.write(folder, **SIZE)
    spoil(folder, "Student.csv", range(20, 21))
    with engine(job_of(house, folder)) as work:
        work.extract()
        assert not work.validate().leaves_out
        with refused():
            work.plan()


def test_a_fatal_finding_stops_whatever_the_policy(house: Directory, tmp_path: Path) -> None:
    """A file that is missing is never "all left out"."""
    folder = tmp_path / "roster"
    rosters.write(folder, **SIZE)
    (folder / "Section.csv").unlink()
    said = verified(house, folder, 100)
    assert said.fatal
    assert not said.leaves_out
    with engine(job_of(house, folder, policy=policy(100))) as work, refused():
        work.plan()


def test_a_row_that_cannot_be_read_is_counted_and_removes_nobody(house: Directory, tmp_path: Path) -> None:
    """It could be anybody: it counts as one, and whoever is not in the files any more stays."""
    folder = tmp_path / "roster"
    rosters.write(folder, **SIZE)
    house.work(job_of(house, folder, policy=policy(5)), Roster())
    rows = (folder / "Student.csv").read_text(encoding="utf-8").splitlines()
    gone, torn = rows[60], rows[61]
    links = (folder / "StudentEnrollment.csv").read_text(encoding="utf-8").splitlines()
    ids = {gone.split(",")[0], torn.split(",")[0]}
    kept = [link for link in links if link.split(",")[1] not in ids]
    (folder / "StudentEnrollment.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    rows[60:62] = [torn.replace(",", ";")]
    (folder / "Student.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    outcome: Outcome = house.work(job_of(house, folder, policy=policy(5)), Roster())
    assert outcome.planned is not None
    assert "remove" not in outcome.steps.get("people", {})


def cell(folder: Path, name: str, line: int, header: str, value: str) -> None:
    """Another value in one cell of a file without quotes."""
    rows = (folder / name).read_text(encoding="utf-8").splitlines()
    cells = rows[line - 1].split(",")
    cells[rows[0].split(",").index(header)] = value
    rows[line - 1] = ",".join(cells)
    (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")


_ALL, _DATED = Scope(), Scope(first_day=date(2026, 1, 1))
_MISTAKES = (
    ("academicSessions.csv", 3, "startDate", "soon", _ALL),
    ("academicSessions.csv", 3, "title", '"autumn" term', _DATED),  # a row that cannot be read
    ("courses.csv", 4, "title", "", _ALL),
    ("courses.csv", 4, "title", '"Art" of drawing', _DATED),
    ("demographics.csv", 5, "birthDate", '"soon" enough', _ALL),
)


@pytest.mark.parametrize(("name", "line", "header", "value", "scope"), _MISTAKES)
def test_what_a_wrong_row_says_of_others_stays(
    house: Directory, tmp_path: Path, name: str, line: int, header: str, value: str, scope: Scope
) -> None:
    """Classes keep term and course, pupils their birth date: a row that is left out takes nothing from anybody."""
    folder = tmp_path / "roster"
    rosters.write(folder, people=60, classes=8, enrollments=150, format="oneroster-1.2", optional=True)
    fields = ("demographics", "birthDate")
    leaving = msgspec.structs.replace(policy(5), scope=scope, fields=fields)

    def synced() -> Outcome:
        files = files_of(folder)
        job = house.job(Roster(), format="oneroster-1.2", files=files, max_rows=1_000, policy=leaving)
        return house.work(job, Roster())

    assert synced().errors == []
    before = house.content()
    told = [house.objects("classes", one) for one in ("term_name", "course_name")] + [
        house.objects("people", "birth_date")
    ]
    assert all(any(values != (None,) for values in one.values()) for one in told)
    cell(folder, name, line, header, value)
    again = synced()
    assert not again.unchanged
    assert again.steps == {}
    assert house.content() == before


def test_a_class_whose_term_cannot_be_told_is_not_made(house: Directory, tmp_path: Path) -> None:
    """It lay outside of what is synchronized, and does not come in because the row of its term is wrong."""
    folder = tmp_path / "roster"
    rosters.write(folder, people=60, classes=8, enrollments=150, format="oneroster-1.2")
    early = msgspec.structs.replace(policy(5), scope=Scope(last_day=date(2026, 1, 1)))

    def synced() -> Outcome:
        files = files_of(folder)
        return house.work(
            house.job(Roster(), format="oneroster-1.2", files=files, max_rows=1_000, policy=early), Roster()
        )

    assert synced().errors == []
    cell(folder, "academicSessions.csv", 3, "endDate", "soon")
    assert synced().steps == {}
    assert house.objects("classes", "term_name") == {}


def test_what_no_row_says_any_more_is_gone(house: Directory, tmp_path: Path) -> None:
    """A class whose own row names no course any more has none, whatever is wrong with other courses."""
    folder = tmp_path / "roster"
    rosters.write(folder, people=60, classes=8, enrollments=150, format="oneroster-1.2")

    def synced() -> Outcome:
        job = house.job(Roster(), format="oneroster-1.2", files=files_of(folder), max_rows=1_000, policy=policy(5))
        return house.work(job, Roster())

    synced()
    cell(folder, "courses.csv", 4, "title", "")
    cell(folder, "classes.csv", 2, "courseSourcedId", "")
    assert synced().steps == {"classes": {"update": 1}}
    courses = house.objects("classes", "source_id", "course_name")
    assert [row[0] for row in courses.values() if row[1] is None] == ["2000001"]


def test_the_report_is_kept_with_the_changes_since_the_last_run(house: Directory, tmp_path: Path) -> None:
    """Causes and numbers per school; what changed since the last upload that was applied."""
    folder = tmp_path / "roster"
    rosters.write(folder, **SIZE)
    job = job_of(house, folder, policy=policy(5))
    house.work(job, Roster())
    first = json.loads((Path(job.folder) / "report.json").read_text())
    assert first["changes"] is None
    assert first["statistics"]["total"]["students"] == 375
    spoil(folder, "Student.csv", range(20, 22))
    job = job_of(house, folder, policy=policy(5))
    house.work(job, Roster())
    second = json.loads((Path(job.folder) / "report.json").read_text())
    total = second["changes"][0]
    assert total["after"]["students"] - total["before"]["students"] == -2
    assert [one["rule"] for one in second["causes"] if one["severity"] == "error"] == ["required-value"]
