"""CSV files all the way into a directory: the vendors' samples, and invented rosters of the generator."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from schoolsync.plan.policy import Matching, Policy
from schoolsync.runs import checking
from schoolsync.runs.job import Job, JobFile
from schoolsync.testing import rosters

from .districts import Directory, GivenSource, Roster, engine, refused


@pytest.fixture
def house(tmp_path: Path) -> Directory:
    """A directory whose engine reads real files."""
    return Directory(tmp_path / "house", GivenSource())


def files_of(folder: Path) -> tuple[JobFile, ...]:
    return tuple(
        JobFile(
            name=path.name,
            path=str(path),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            size=path.stat().st_size,
        )
        for path in sorted(folder.glob("*.csv"))
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def job_of(house: Directory, folder: Path, **values: Any) -> Job:
    return house.job(Roster(), format="sds-v1", files=files_of(folder), max_rows=1_000_000, **values)


@pytest.mark.parametrize(
    ("sample", "counts"),
    [
        ("sds-v1-25-users", {"schools": 2, "classes": 2, "people": 24, "links": 46}),
        ("sds-v1-100-users", {"schools": 2, "classes": 28, "people": 98, "links": 630}),
    ],
)
def test_vendors_samples_arrive_whole_and_only_once(
    house: Directory, samples: Path, sample: str, counts: dict[str, int]
) -> None:
    """Every record of the sample is in the directory; the same files again end before they are read."""
    outcome = house.work(job_of(house, samples / sample), Roster())
    assert outcome.errors == []
    assert outcome.planned is not None
    assert {kind: outcome.planned.seen[kind] for kind in counts} == counts
    assert {
        kind: ops.get("create", ops.get("link")) for kind, ops in outcome.steps.items() if kind != "school_links"
    } == (counts)
    assert house.broken() == []
    assert house.work(job_of(house, samples / sample), Roster()).unchanged


def test_how_far_every_stage_is(house: Directory, tmp_path: Path) -> None:
    """Reading, checking and planning each tell how many rows of all files are done, from few to all."""
    folder = tmp_path / "roster"
    rosters.write(folder, people=300, classes=30, enrollments=900, seed=7)
    rows = sum(len(path.read_bytes().splitlines()) - 1 for path in folder.glob("*.csv"))
    said: list[tuple[int, int]] = []
    with engine(job_of(house, folder), lambda done, total: said.append((done, total))) as work:
        for stage in (work.extract, work.validate, work.plan):
            stage()
            assert {total for _, total in said} == {rows}
            assert said == sorted(said)
            assert len({done for done, _ in said}) >= 5
            assert said[-1] == (rows, rows)
            said.clear()


def test_a_sample_without_names_is_matched(house: Directory, samples: Path) -> None:
    """Matching needs neither names nor passwords; without accounts every person is an error that names it."""
    policy = Policy(
        profile_name="Contoso",
        matching=tuple(
            Matching(role=role, source="Username", target="userPrincipalName", domain="contoso.example")
            for role in ("student", "teacher")
        ),
    )
    outcome = house.work(job_of(house, samples / "sds-v1-min", policy=policy), Roster())
    assert outcome.planned is not None
    assert outcome.planned.failed["people"] == 24
    assert {row["joining_value"] for row in outcome.errors} >= {"OKlein@contoso.example"}
    house.person_by_hand("oklein@contoso.example", middle_name="Own", display_name="O. Klein")
    outcome = house.work(job_of(house, samples / "sds-v1-min", policy=policy), Roster())
    assert outcome.steps == {"people": {"adopt": 1}, "school_links": {"link": 1}, "links": {"link": 2}}
    columns = ("display_name", "middle_name", "student_external_id")
    assert house.object("people", "student 13001", *columns) == ("O. Klein", "Own", "13001")


def test_a_day_of_changes_and_back(house: Directory, tmp_path: Path) -> None:
    """One percent of a generated roster changes: as much is written, and going back restores what was there."""
    size = {"people": 2000, "classes": 600, "enrollments": 18_000}
    rosters.write(tmp_path / "monday", **size)
    rosters.write(tmp_path / "tuesday", **size, churn=0.01)
    whole = house.work(job_of(house, tmp_path / "monday"), Roster()).planned
    assert whole is not None
    assert whole.errors == 0
    before = house.links("class_people"), house.links("school_people")
    changed = house.work(job_of(house, tmp_path / "tuesday"), Roster()).planned
    assert changed is not None
    assert 0 < changed.rows < whole.rows / 10
    gone = [row for path in (house.folder / "runs" / "run-2").glob("plan-*/*remove*.parquet") for row in rows_of(path)]
    assert gone
    for row in gone:
        assert row["upload_run"] == 1
        line = (tmp_path / "monday" / row["file"]).read_text("utf-8").splitlines()[row["line"] - 1]
        assert row["source_id"] in line.split(",")
    assert house.broken() == []
    house.work(job_of(house, tmp_path / "monday"), Roster())
    assert (house.links("class_people"), house.links("school_people")) == before


def test_files_with_errors_are_never_planned(house: Directory, samples: Path, tmp_path: Path) -> None:
    """Neither errors that nobody chose to ignore nor a missing file get as far as a plan."""
    for path in (samples / "sds-v1-25-users").glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "Section.csv").unlink()
    job = job_of(house, tmp_path, ignore_findings=True)
    with engine(job) as work:
        assert not work.extract().unchanged
        assert work.validate().fatal
        with refused() as said:
            work.plan()
    assert not said[0].retry
    with engine(msgspec.structs.replace(job, fence=2)) as work, refused() as said:
        work.plan()
    assert not said[0].retry


def test_a_format_that_is_not_known_is_said(house: Directory) -> None:
    """The run ends with a sentence, not with a stack trace."""
    with engine(house.job(Roster(), format="punched-cards")) as work, refused() as said:
        work.extract()
    assert "punched-cards" in said[0].reason


def test_few_rows_are_planned_as_many_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine leaves out for a small roster changes nothing: the first plan and the next are the same."""
    folder, later = tmp_path / "roster", tmp_path / "later"
    rosters.write(folder, people=120, classes=12, enrollments=400, seed=7)
    rosters.write(later, people=125, classes=11, enrollments=380, seed=7)
    made = []
    for small in (checking.SMALL, 0):
        monkeypatch.setattr(checking, "SMALL", small)
        house = Directory(tmp_path / f"house-{small}", GivenSource())
        plans = []
        for files in (folder, later):
            job = job_of(house, files)
            with engine(job) as work:
                work.extract()
                plans.append((work.validate(), planned := work.plan()))
                for batch in range(planned.batches):
                    work.apply(batch)
                work.finish()
        made.append(plans)
    few, many = made
    assert few == many
    assert few[1][1].rows > 0
