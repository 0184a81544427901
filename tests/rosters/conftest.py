"""A small roster to spoil, and what checking it finds. Nobody in it exists."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from schoolsync import sources
from schoolsync.plan.policy import Policy
from schoolsync.roster.findings import Finding
from schoolsync.sources import Checked, CheckOptions, Limits, SourceFile

HEADERS = {
    "School.csv": "SIS ID,Name,Grade Low,Grade High,Principal Secondary Email,Phone",
    "Section.csv": "SIS ID,School SIS ID,Section Name,Term StartDate,Term EndDate,Periods",
    "Student.csv": (
        "SIS ID,School SIS ID,First Name,Last Name,Username,Password,Secondary Email,Student Number,Grade,Birthdate,"
        "Graduation Year"
    ),
    "Teacher.csv": "SIS ID,School SIS ID,First Name,Last Name,Username,Password,Teacher Number,Secondary Email,Title",
    "StudentEnrollment.csv": "Section SIS ID,SIS ID",
    "TeacherRoster.csv": "Section SIS ID,SIS ID",
}
ROWS = {
    "School.csv": ["10,North School,KG,5,head@north.example,555-0100", "20,South School,6,12,,"],
    "Section.csv": ["A1,10,Math,9/1/2026,6/30/2027,1", "B1,20,Music,2026-09-01,2027-06-30,2"],
    "Student.csv": [
        "s1,10,Zoë,Ünal,zunal,Fjord-2026,z@home.example,101,3,3/4/2017,2035",
        "s2,10,Ana,Silva,asilva,Fjord-2026,,102,3,2017-05-06,2035",
        "s3,20,Seán,O'Neil,soneil,Fjord-2026,,103,7,20130708,2031",
    ],
    "Teacher.csv": ["t1,10,Grace,Okafor,gokafor,Fjord-2026,901,,", "t2,20,Ole,Berg,oberg,Fjord-2026,902,,"],
    "StudentEnrollment.csv": ["A1,s1", "A1,s2", "B1,s3"],
    "TeacherRoster.csv": ["A1,t1", "B1,t2"],
}
GUARDIAN_HEADERS = {
    "User.csv": "Email,First Name,Last Name,Phone,SIS ID",
    "Guardianrelationship.csv": "SIS ID,Email,Role",
}
GUARDIAN_ROWS = {
    "User.csv": ["mum@home.example,Kari,Ünal,+47 (784) 45-01,", "dad@home.example,Ola,Silva,,"],
    "Guardianrelationship.csv": ["s1,mum@home.example,Parent", "s2,DAD@home.example,"],
}


@dataclass
class Roster:
    """The text of every file, which a test changes to its liking."""

    files: dict[str, bytes] = field(default_factory=dict)

    def lines(self, name: str) -> list[str]:
        return self.files[name].decode().split("\r\n")[:-1]

    def write(self, name: str, lines: list[str], *, end: str = "\r\n") -> None:
        self.files[name] = "".join(line + end for line in lines).encode()

    def add(self, name: str, *rows: str) -> None:
        """Rows at the end."""
        self.write(name, [*self.lines(name), *rows])

    def put(self, name: str, line: int, header: str, value: str) -> None:
        """Another value in one cell; `line` is the physical line."""
        table = list(csv.reader(io.StringIO(self.files[name].decode(), newline="")))
        table[line - 1][table[0].index(header)] = value
        sink = io.StringIO()
        csv.writer(sink).writerows(table)
        self.files[name] = sink.getvalue().encode()

    def drop(self, name: str, *headers: str) -> None:
        """Take columns out."""
        table = list(csv.reader(io.StringIO(self.files[name].decode(), newline="")))
        places = [place for place, header in enumerate(table[0]) if header not in headers]
        sink = io.StringIO()
        csv.writer(sink).writerows([row[place] for place in places] for row in table)
        self.files[name] = sink.getvalue().encode()

    def with_guardians(self) -> Roster:
        for name, header in GUARDIAN_HEADERS.items():
            self.write(name, [header, *GUARDIAN_ROWS[name]])
        return self


@dataclass
class Result:
    """What checking found."""

    db: duckdb.DuckDBPyConnection
    checked: Checked

    @property
    def findings(self) -> list[Finding]:
        return list(self.checked.findings(self.db))

    @property
    def rules(self) -> list[str]:
        return [finding.rule for finding in self.findings]

    @property
    def found(self) -> list[tuple[str, str, int | None, str | None]]:
        """Rule, file, line and column of every finding."""
        return [(one.rule, one.file, one.line, one.column) for one in self.findings]

    @property
    def messages(self) -> list[tuple[str, str, str]]:
        return [(one.type, one.file_name, one.description) for one in self.checked.messages(self.db)]

    def rows(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        return self.db.execute(f"SELECT {columns} FROM roster.{table} ORDER BY ALL").fetchall()

    def leave_out(self) -> Result:
        self.checked.leave_out(self.db)
        return self


@pytest.fixture
def roster() -> Roster:
    """A clean roster: two schools, two classes, three pupils, two teachers."""
    made = Roster()
    for name, header in HEADERS.items():
        made.write(name, [header, *ROWS[name]])
    return made


Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path) -> Iterator[Check]:
    """Check the files of a roster; `policy`, `partial`, `max_rows` and limits as CheckOptions has them."""
    opened: list[duckdb.DuckDBPyConnection] = []
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(
        made: Roster, *, policy: Policy | None = None, partial: bool = False, max_rows: int = 100_000, **limits: int
    ) -> Result:
        folder = tmp_path / f"upload{len(opened)}"
        folder.mkdir()
        files = []
        for number, (name, content) in enumerate(made.files.items()):
            path = folder / f"blob{number}"
            path.write_bytes(content)
            files.append(SourceFile(name, path))
        db = duckdb.connect(config={"threads": 2})
        opened.append(db)
        options = CheckOptions(
            policy=policy, partial=partial, max_rows=max_rows, limits=Limits(**limits), scratch=scratch
        )
        checked = sources.validate(db, sources.extract(db, files, options), options)
        assert list(scratch.iterdir()) == [], "nothing is left in the scratch folder"
        return Result(db, checked)

    yield run
    for db in opened:
        db.close()


@pytest.fixture
def creating() -> Policy:
    """A profile that creates accounts."""
    return Policy(profile_name="District", domains={"student": "pupils.example", "teacher": "staff.example"})
