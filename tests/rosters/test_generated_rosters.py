"""`schoolsync.testing.rosters`: invented rosters of any size, always the same."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest

from schoolsync import sources
from schoolsync.roster.tables import TABLES
from schoolsync.sources import CheckOptions, SourceFile
from schoolsync.testing import demo, rosters
from schoolsync.testing.rosters.__main__ import main as command

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


@pytest.mark.parametrize("kind", rosters.FORMATS)
def test_every_format_has_the_size_asked_for(tmp_path: Path, kind: str) -> None:
    """People, classes and links, counted by Python's own reader; ids are there once."""
    rosters.write(tmp_path, **SIZE, format=kind, several_schools=False)
    names = {path.name for path in tmp_path.iterdir()}
    if "users.csv" in names:
        people = {row["sourcedId"] for row in rows(tmp_path, "users.csv")}
        classes = {row["sourcedId"] for row in rows(tmp_path, "classes.csv")}
        links = {(row["classSourcedId"], row["userSourcedId"]) for row in rows(tmp_path, "enrollments.csv")}
    else:
        first = {path.name.lower(): path.name for path in tmp_path.iterdir()}
        key = {"clever": ("Student_id", "Teacher_id", "Section_id")}.get(kind)
        if key:
            people = {row[key[0]] for row in rows(tmp_path, "students.csv")}
            people |= {row[key[1]] for row in rows(tmp_path, "teachers.csv")}
            classes = {row[key[2]] for row in rows(tmp_path, "sections.csv")}
            links = {(row[key[2]], row[key[0]]) for row in rows(tmp_path, "enrollments.csv")}
            links |= {(row[key[2]], row[key[1]]) for row in rows(tmp_path, "sections.csv")}
        else:
            tables = {name: rows(tmp_path, first[f"{name}.csv"]) for name in ("student", "teacher", "section")}
            people = {next(iter(row.values())) for name in ("student", "teacher") for row in tables[name]}
            classes = {next(iter(row.values())) for row in tables["section"]}
            links = {
                tuple(row.values())
                for name in ("studentenrollment", "teacherroster")
                for row in rows(tmp_path, first[f"{name}.csv"])
            }
    assert (len(people), len(classes), len(links)) == tuple(SIZE.values())
    assert {link[0] for link in links} <= classes
    assert {link[1] for link in links} <= people


@pytest.mark.parametrize("kind", sorted(rosters.FORMATS))
def test_time_passes(tmp_path: Path, kind: str) -> None:
    """A term: other classes, the same people. A summer: a grade higher, the oldest gone. A new system: other ids."""
    moments = {
        "first": rosters.Moment(),
        "term": rosters.Moment(term=1),
        "year": rosters.Moment(year=1),
        "renumbered": rosters.Moment(renumbered=True),
    }
    seen = {}
    for name, moment in moments.items():
        rosters.write(tmp_path / name, people=200, classes=30, enrollments=900, format=kind, moment=moment)
        seen[name] = _seen(tmp_path / name, kind)
    grades = {name: {one: grade for one, (grade, _) in students.items()} for name, (students, _) in seen.items()}
    names = {name: {one: called for one, (_, called) in students.items()} for name, (students, _) in seen.items()}
    classes = {name: some for name, (_, some) in seen.items()}
    assert grades["term"] == grades["first"]
    assert not classes["term"] & classes["first"]
    stayed = grades["year"].keys() & grades["first"].keys()
    assert 0.8 < len(stayed) / len(grades["first"]) < 1
    for one in stayed:
        assert grades["year"][one] == grades["first"][one] + 1
    assert {grades["year"][one] for one in grades["year"].keys() - stayed} == {0}
    assert {grades["first"][one] for one in grades["first"].keys() - stayed} == {12}
    assert not classes["year"] & (classes["first"] | classes["term"])
    assert not grades["renumbered"].keys() & grades["first"].keys()
    assert sorted(names["renumbered"].values()) == sorted(names["first"].values())
    assert classes["renumbered"] == classes["first"]


def _seen(folder: Path, kind: str) -> tuple[dict[str, tuple[int, str]], set[str]]:
    """What the canonical roster says: pupils with grade (0: kindergarten) and name, and classes."""
    with duckdb.connect(config={"threads": 1}) as db:
        options = CheckOptions(format=kind)
        files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
        checked = sources.validate(db, sources.extract(db, files, options), options)
        assert not checked.errors
        pupils = db.execute(
            "SELECT source_id, grade, concat_ws(' ', given_name, surname) FROM roster.people WHERE role = 'student'"
        ).fetchall()
        classes = db.execute("SELECT source_id FROM roster.classes").fetchall()
        grades = {one: 0 if grade.lower() in {"kg", "kindergarten"} else int(grade) for one, grade, _ in pupils}
        return {one: (grades[one], name) for one, _, name in pupils}, {one for (one,) in classes}


@pytest.mark.parametrize("kind", ["oneroster-1.1", "oneroster-1.2"])
def test_a_delta_makes_the_first_day_the_next(tmp_path: Path, kind: str) -> None:
    """Applied to the rows of the first day, it gives the rows of the other moment, of every file."""
    later = rosters.Moment(churn=0.1)
    rosters.write(tmp_path / "before", **SIZE, format=kind, guardians=True)
    rosters.write(tmp_path / "after", **SIZE, format=kind, guardians=True, moment=later)
    rosters.write_delta(tmp_path / "delta", **SIZE, before=rosters.Moment(), after=later, format=kind, guardians=True)
    sent = {path.name for path in (tmp_path / "delta").iterdir()}
    told = {row["propertyName"]: row["value"] for row in rows(tmp_path / "delta", "manifest.csv")}
    assert {f"file.{name.removesuffix('.csv')}" for name in sent - {"manifest.csv"}} == {
        name for name, value in told.items() if value == "delta"
    }
    for path in (tmp_path / "before").iterdir():
        if path.name == "manifest.csv":
            continue
        held = {row["sourcedId"]: row for row in rows(tmp_path / "before", path.name)}
        for row in rows(tmp_path / "delta", path.name) if path.name in sent else []:
            assert row["dateLastModified"]
            if row["status"] == "tobedeleted":
                del held[row["sourcedId"]]
            else:
                held[row["sourcedId"]] = row | {"status": "", "dateLastModified": ""}
        wanted = {row["sourcedId"]: row for row in rows(tmp_path / "after", path.name)}
        assert held == wanted, path.name


def test_the_command_writes_a_roster(tmp_path: Path) -> None:
    """With dirt; what cannot be is one sentence and status 2."""
    assert command([str(tmp_path / "a"), "--people", "200", "--dirt", "unknown-reference=7", "--tidy"]) == 0
    assert sum(row["Section SIS ID"].startswith("x") for row in rows(tmp_path / "a", "TeacherRoster.csv")) == 7
    assert command([str(tmp_path / "b"), "--people", "2"]) == 2
    assert command([str(tmp_path / "b"), "--people", "200", "--dirt", "no-such-rule"]) == 2
    assert command([str(tmp_path / "b"), "--people", "200", "--delta"]) == 2


@pytest.mark.parametrize("kind", sorted(rosters.FORMATS))
def test_what_large_tables_do_not_store_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Columns without a value, and ids that nothing names, take no memory; the records and findings are the same."""
    rosters.write(tmp_path / "made", **SIZE, format=kind, guardians=True, optional=True)
    found = []
    for large in (10**9, 1):
        monkeypatch.setattr("schoolsync.sources.csv_sets.LARGE", large)
        monkeypatch.setattr("schoolsync.sources.merging.LARGE", large)
        with duckdb.connect(config={"threads": 1}) as db:
            options = CheckOptions(format=kind, scratch=tmp_path)
            files = [SourceFile(path.name, path) for path in sorted((tmp_path / "made").iterdir())]
            checked = sources.validate(db, sources.extract(db, files, options), options)
            tables = {name: db.execute(f"FROM roster.{name} ORDER BY ALL").fetchall() for name in TABLES}
            found.append((checked.columns, list(checked.findings(db, 100)), tables))
    assert found[0] == found[1]
    assert found[0][2]["enrollments"]
