"""Numbers per school, and two rosters beside each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from schoolsync.cli import validate
from schoolsync.roster import statistics
from schoolsync.testing import demo

from .conftest import check

HEADERS = {
    "School.csv": "SIS ID,Name",
    "Section.csv": "SIS ID,School SIS ID,Section Name",
    "Student.csv": "SIS ID,School SIS ID,Username",
    "Teacher.csv": "SIS ID,School SIS ID,Username",
    "StudentEnrollment.csv": "Section SIS ID,SIS ID",
    "TeacherRoster.csv": "Section SIS ID,SIS ID",
}


def write(folder: Path, **rows: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, header in HEADERS.items():
        text = "\r\n".join([header, *rows[name.removesuffix(".csv")]]) + "\r\n"
        (folder / name).write_text(text, newline="")
    return folder


ROWS = {
    "School": ["10,North", "20,South"],
    "Section": ["A,10,Art", "B,10,Biology", "C,20,Chess"],
    "Student": [*(f"s{i},10,u{i}" for i in range(12)), "s0,20,u0", "z1,20,uz1"],
    "Teacher": ["t1,10,v1", "t2,20,v2"],
    "StudentEnrollment": [*(f"A,s{i}" for i in range(11)), "B,s0", "C,s0"],
    "TeacherRoster": ["A,t1", "C,t2"],
}


def test_every_school_is_counted(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """People, classes without teacher, students without class, sizes; somebody of two schools is one in the total."""
    counted = check(db, write(tmp_path / "r", **ROWS)).statistics
    north, south = counted.schools
    assert (north.id, north.students, north.teachers, north.classes, north.enrollments) == ("10", 12, 1, 2, 12)
    assert (north.without_teacher, north.unplaced) == (1, 1)
    assert (north.smallest, north.median, north.largest, north.sizes) == (1, 6, 11, (0, 1, 1, 0, 0, 0))
    assert (south.id, south.students, south.classes, south.without_teacher, south.unplaced) == ("20", 2, 1, 0, 1)
    total = counted.total
    assert (total.students, total.teachers, total.classes, total.enrollments) == (13, 2, 3, 13)
    assert (total.without_teacher, total.unplaced, total.sizes) == (1, 2, (0, 2, 1, 0, 0, 0))


def test_a_school_without_anything_is_there(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """With zeros, and no size of classes that it does not have."""
    rows = ROWS | {"School": [*ROWS["School"], "30,West"]}
    west = check(db, write(tmp_path / "r", **rows)).statistics.schools[-1]
    assert (west.id, west.students, west.classes, west.median, sum(west.sizes)) == ("30", 0, 0, None, 0)


def test_changes_are_told_by_school(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Only schools whose numbers differ, after the total; new and gone ones too."""
    before = check(db, write(tmp_path / "a", **ROWS)).statistics
    later = ROWS | {
        "School": ["10,North", "30,West"],
        "Section": ["A,10,Art", "B,10,Biology"],
        "Student": [one for one in ROWS["Student"] if ",20," not in one],
        "Teacher": ["t1,10,v1"],
        "StudentEnrollment": [one for one in ROWS["StudentEnrollment"] if not one.startswith("C")],
        "TeacherRoster": ["A,t1"],
    }
    after = check(db, write(tmp_path / "b", **later)).statistics
    total, *schools = statistics.changes(before, after)
    assert (total.before["students"], total.after["students"]) == (13, 12)
    assert {one.id: one.presence for one in schools} == {"30": "new", "20": "gone"}
    assert statistics.changes(after, after)[1:] == []


def test_the_command_compares_two_rosters(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Record by record: what is new, gone and changed, and in which column."""
    old = Path(shutil.copytree(demo.BUNDLED, tmp_path / "old"))
    new = Path(shutil.copytree(demo.BUNDLED, tmp_path / "new"))
    links = (new / "StudentEnrollment.csv").read_bytes().splitlines(keepends=True)
    (new / "StudentEnrollment.csv").write_bytes(b"".join(links[:-3]))
    schools = (new / "School.csv").read_text(encoding="utf-8")
    name = schools.splitlines()[1].split(",")[1]
    (new / "School.csv").write_bytes(schools.replace(name, "Elsewhere", 1).encode())
    assert validate.run(new, format=None, json=True, against=old) == 0
    said = json.loads(capfd.readouterr().out)["against"]
    kinds = {one["kind"]: one for one in said["kinds"]}
    assert (kinds["enrollments"]["gone"], kinds["enrollments"]["new"]) == (3, 0)
    assert (kinds["organizations"]["changed"], kinds["organizations"]["columns"]) == (1, {"name": 1})
    assert kinds["people"] | {"before": 0, "after": 0} == {
        "kind": "people", "before": 0, "after": 0, "new": 0, "gone": 0, "changed": 0, "columns": {},
    }  # fmt: skip
    assert validate.run(new, format=None, json=False, against=old) == 0
    assert "compared with" in capfd.readouterr().out
    assert validate.run(new, format=None, json=False, against=tmp_path / "nowhere") == 2
    assert "cannot be read" in capfd.readouterr().err
