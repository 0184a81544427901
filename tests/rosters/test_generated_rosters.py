"""`schoolsync.testing.rosters`: invented rosters of any size, always the same."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from schoolsync.testing import demo, rosters

from .conftest import Check, Roster

SIZE = {"people": 600, "classes": 90, "enrollments": 2700}


def load(folder: Path) -> Roster:
    return Roster({path.name: path.read_bytes() for path in folder.iterdir()})


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_generated_roster_has_the_size_asked_for(tmp_path: Path, check: Check) -> None:
    """People, classes and enrollments are exactly so many, and all is right with them."""
    rosters.write(tmp_path / "made", **SIZE)
    result = check(load(tmp_path / "made"))
    assert set(result.rules) <= {"several-schools"}
    counts = {table: len(result.rows(table, "line")) for table in ("people", "classes", "enrollments")}
    assert counts == SIZE
    assert result.rows("organizations", "source_id") == [("101",), ("102",)]


def test_it_has_what_real_rosters_have(tmp_path: Path) -> None:
    """Accents, twins, commas in values, people of two schools."""
    rosters.write(tmp_path, **SIZE)
    students = rows(tmp_path, "Student.csv")
    assert any(not row["Last Name"].isascii() for row in students)
    families = [(row["Last Name"], row["Birthdate"], row["School SIS ID"]) for row in students]
    assert len(families) > len(set(families)), "twins"
    teachers = [row["SIS ID"] for row in rows(tmp_path, "Teacher.csv")]
    assert len(teachers) > len(set(teachers)), "two schools"
    assert any("," in row["Section Name"] for row in rows(tmp_path, "Section.csv"))


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    """Byte for byte; another seed does not."""
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        rosters.write(tmp_path / name, **SIZE, seed=seed)
    assert load(tmp_path / "a") == load(tmp_path / "b")
    assert load(tmp_path / "a") != load(tmp_path / "c")


def test_churn_changes_about_its_share(tmp_path: Path, check: Check) -> None:
    """Pupils leave and arrive, names change, pupils move; the sizes stay and all is still right."""
    rosters.write(tmp_path / "before", **SIZE)
    rosters.write(tmp_path / "after", **SIZE, churn=0.1)
    result = check(load(tmp_path / "after"))
    assert set(result.rules) <= {"several-schools"}
    assert len(result.rows("people", "line")) == SIZE["people"]
    assert len(result.rows("enrollments", "line")) == SIZE["enrollments"]
    before = {row["SIS ID"]: row for row in rows(tmp_path / "before", "Student.csv")}
    after = {row["SIS ID"]: row for row in rows(tmp_path / "after", "Student.csv")}
    assert 0.01 < len(before.keys() - after.keys()) / len(before) < 0.06
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys())
    renamed = [key for key in before.keys() & after.keys() if before[key]["Last Name"] != after[key]["Last Name"]]
    assert 0.02 < len(renamed) / len(before) < 0.12
    links = [
        {tuple(row.values()) for row in rows(tmp_path / name, "StudentEnrollment.csv")} for name in ("before", "after")
    ]
    assert 0.05 < len(links[0] - links[1]) / len(links[0]) < 0.25


@pytest.mark.parametrize(
    "size",
    [
        {"people": 4, "classes": 1, "enrollments": 1},
        {"people": 50, "classes": 10, "enrollments": 120},
        {"people": 120, "classes": 7, "enrollments": 400},
    ],
)
def test_small_rosters_are_right_too(tmp_path: Path, check: Check, size: dict[str, int]) -> None:
    """From four people on."""
    rosters.write(tmp_path / "made", **size)
    result = check(load(tmp_path / "made"))
    assert set(result.rules) <= {"several-schools", "no-rows"}
    assert len(result.rows("enrollments", "line")) == size["enrollments"] or "no-rows" in result.rules


@pytest.mark.parametrize(
    "size",
    [
        {"people": 3, "classes": 1, "enrollments": 1},
        {"people": 50, "classes": 10, "enrollments": 5},
        {"people": 50, "classes": 2, "enrollments": 500},
    ],
)
def test_impossible_sizes_are_refused(tmp_path: Path, size: dict[str, int]) -> None:
    """More links than pairs, or a class without a teacher, cannot be."""
    with pytest.raises(ValueError, match=r"roster needs|not enough"):
        rosters.write(tmp_path, **size)


def test_the_bundled_roster_is_right(check: Check) -> None:
    """Two schools or more, about 120 people, accents, people of several schools, guardians; no error."""
    result = check(load(demo.BUNDLED))
    assert set(result.rules) == {"several-schools"}
    assert len(result.rows("organizations", "source_id")) >= 2
    assert 110 <= len(result.rows("people", "source_id")) <= 130
    assert len(result.rows("contacts", "email")) >= 30
    assert any(not row[0].isascii() for row in result.rows("people", "surname"))
    assert not any("@" in row[0] for row in result.rows("people", "username")), "the profile adds the domain"
