"""Small rosters in SDS V1, as values: every change makes a new one. Nobody in them exists."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

Row = Mapping[str, str]
FILES = {
    "schools": "School.csv",
    "sections": "Section.csv",
    "students": "Student.csv",
    "teachers": "Teacher.csv",
    "enrollments": "StudentEnrollment.csv",
    "assignments": "TeacherRoster.csv",
}


def table(rows: tuple[Row, ...], header: tuple[str, ...] | None = None) -> str:
    """Rows as a CSV file; the header is that of the first row."""
    sink = io.StringIO()
    writer = csv.DictWriter(sink, header or tuple(rows[0]), restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue()


@dataclass(frozen=True)
class Roster:
    """The six tables of a district."""

    schools: tuple[Row, ...]
    sections: tuple[Row, ...]
    students: tuple[Row, ...]
    teachers: tuple[Row, ...]
    enrollments: tuple[Row, ...]
    assignments: tuple[Row, ...]

    def files(self) -> dict[str, str]:
        return {name: table(getattr(self, kind)) for kind, name in FILES.items()}

    def with_rows(self, kind: str, *rows: Row) -> Roster:
        """Rows added at the end; what they do not say is empty."""
        return replace(self, **{kind: (*getattr(self, kind), *rows)})

    def without(self, kind: str, **wanted: str) -> Roster:
        """Without the rows in which all of `wanted` stand (`_` in names stands for a blank)."""
        names = {name.replace("_", " "): value for name, value in wanted.items()}
        rows = getattr(self, kind)
        kept = tuple(row for row in rows if not all(row[name] == value for name, value in names.items()))
        assert len(kept) < len(rows)
        return replace(self, **{kind: kept})

    def changed(self, kind: str, sis_id: str, **values: str) -> Roster:
        """With other values in the rows of one SIS ID."""
        names = {name.replace("_", " "): value for name, value in values.items()}
        rows = tuple({**row, **names} if row["SIS ID"] == sis_id else row for row in getattr(self, kind))
        assert rows != getattr(self, kind)
        return replace(self, **{kind: rows})


def _school(sis_id: str, name: str, number: str) -> Row:
    return {
        "SIS ID": sis_id,
        "Name": name,
        "School Number": number,
        "School NCES_ID": f"N{number}",
        "State ID": "NO",
        "Grade Low": "1",
        "Grade High": "10",
        "Principal SIS ID": f"P{number}",
        "Principal Name": f"Head of {number}",
        "Principal Secondary Email": f"head{number}@mail.example",
        "Address": f"Storgata {number}",
        "City": "Honningsvåg",
        "State": "Finnmark",
        "Country": "NO",
        "Zip": "9750",
        "Phone": f"+47 784 {number}",
        "Zone": "North",
    }


def _section(sis_id: str, school: str, name: str, subject: str) -> Row:
    return {
        "SIS ID": sis_id,
        "School SIS ID": school,
        "Section Name": name,
        "Section Number": f"no {sis_id}",
        "Term SIS ID": "T26",
        "Term Name": "Autumn 2026",
        "Term StartDate": "2026-08-17",
        "Term EndDate": "2026-12-18",
        "Course SIS ID": f"C{sis_id}",
        "Course Name": f"{subject} course",
        "Course Number": f"{subject[:3].upper()}1",
        "Course Description": f"All about {subject}",
        "Course Subject": subject,
        "Periods": "3",
        "Status": "Active",
    }


def _student(sis_id: str, school: str, first: str, last: str, username: str, **more: str) -> Row:
    return {
        "SIS ID": sis_id,
        "School SIS ID": school,
        "First Name": first,
        "Last Name": last,
        "Username": username,
        "Password": "Fjord-2026-x",
        "State ID": f"NO{sis_id}",
        "Secondary Email": f"{username}@home.example",
        "Student Number": f"n{sis_id}",
        "Middle Name": more.get("middle", ""),
        "Grade": more.get("grade", "7"),
        "Status": "Active",
        "Birthdate": more.get("born", "2013-03-04"),
        "Graduation Year": "2031",
    }


def _teacher(sis_id: str, school: str, first: str, last: str, username: str) -> Row:
    return {
        "SIS ID": sis_id,
        "School SIS ID": school,
        "First Name": first,
        "Last Name": last,
        "Username": username,
        "Password": "Fjord-2026-x",
        "State ID": f"NO{sis_id}",
        "Teacher Number": f"t{sis_id}",
        "Status": "Active",
        "Middle Name": "",
        "Secondary Email": f"{username}@home.example",
        "Title": "Lektor",
        "Qualification": "MSc",
    }


def _link(section: str, person: str) -> Row:
    return {"Section SIS ID": section, "SIS ID": person}


DISTRICT = Roster(
    schools=(_school("100", "Nordkapp skole", "4501"), _school("200", "Ålesund lycée", "4502")),
    sections=(
        _section("M1", "100", "Math 7", "Math"),
        _section("F1", "100", "Français, 7ème", "French"),
        _section("M2", "200", "Math 8", "Math"),
        _section("E1", "200", "Empty room", "Art"),
    ),
    students=(
        _student("3001", "100", "Zoë", "Müller", "zmuller", middle="Anna", born="2013-02-28"),
        _student("3002", "100", "Søren", "O'Brien", "sobrien"),
        _student("3003", "100", "Łukasz", "Dvořák", "ldvorak"),
        _student("3004", "200", "Ana", "Silva", "asilva"),
        _student("3005", "200", "İlknur", "Ünal", "iunal"),
        _student("3006", "200", "Ana", "Silva", "asilva2"),
    ),
    teachers=(
        _teacher("5001", "100", "Grace", "Okafor", "gokafor"),
        _teacher("5001", "200", "Grace", "Okafor", "gokafor"),
        _teacher("5002", "100", "Jean-Luc", "Lefèvre", "jlefevre"),
    ),
    enrollments=(
        _link("M1", "3001"),
        _link("M1", "3002"),
        _link("M1", "3003"),
        _link("F1", "3001"),
        _link("M2", "3004"),
        _link("M2", "3005"),
        _link("M2", "3006"),
    ),
    assignments=(_link("M1", "5001"), _link("F1", "5002"), _link("M2", "5001")),
)
"""Two schools, four classes (one of them without anybody), six pupils, a teacher of both schools, a namesake."""

GUARDIANS = {
    "User.csv": table(
        (
            {
                "Email": "mor@home.example",
                "First Name": "Kari",
                "Last Name": "Müller",
                "Phone": "+4799911122",
                "SIS ID": "",
            },
            {"Email": "far@home.example", "First Name": "Ola", "Last Name": "Müller", "Phone": "", "SIS ID": ""},
        )
    ),
    "Guardianrelationship.csv": table(
        (
            {"SIS ID": "3001", "Email": "mor@home.example", "Role": "Parent"},
            {"SIS ID": "3001", "Email": "far@home.example", "Role": "Administrator"},
        )
    ),
}
"""Two guardians of the first pupil."""
