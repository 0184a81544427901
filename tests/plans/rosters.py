"""Small rosters as values: whom and what the canonical tables of one moment hold. Nobody in them exists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

FILES = {
    "organizations": "School.csv",
    "classes": "Section.csv",
    "people": "People.csv",
    "person_organizations": "People.csv",
    "enrollments": "Enrollment.csv",
    "contacts": "Guardianrelationship.csv",
    "left_out": "Left.csv",
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Roster:
    """The canonical roster of one moment, by table."""

    tables: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    columns: Mapping[str, frozenset[str]] | None = None  # those that the files had; None: all
    absent: frozenset[str] = frozenset()

    def rows(self, table: str) -> tuple[Row, ...]:
        return tuple(self.tables.get(table, ()))

    def plus(self, table: str, *rows: Row) -> Roster:
        return replace(self, tables={**self.tables, table: (*self.rows(table), *rows)})

    def without(self, table: str, **values: Any) -> Roster:
        """Without the rows in which all of `values` stand."""
        kept = [row for row in self.rows(table) if any(row.get(name) != value for name, value in values.items())]
        assert len(kept) < len(self.rows(table))
        return replace(self, tables={**self.tables, table: tuple(kept)})

    def changed(self, table: str, where: Row, **values: Any) -> Roster:
        """With other values in the rows in which all of `where` stands."""
        rows = [
            {**row, **values} if all(row.get(name) == value for name, value in where.items()) else row
            for row in self.rows(table)
        ]
        assert rows != list(self.rows(table))
        return replace(self, tables={**self.tables, table: tuple(rows)})

    def left_without_person(self, role: str, source_id: str) -> Roster:
        """Without a person and everything that names it."""
        found = self
        for table in ("people", "person_organizations", "enrollments"):
            if any(row["role"] == role and row["source_id"] == source_id for row in found.rows(table)):
                found = found.without(table, role=role, source_id=source_id)
        return found

    def left_without_class(self, source_id: str) -> Roster:
        found = self.without("classes", source_id=source_id)
        if any(row["class_id"] == source_id for row in found.rows("enrollments")):
            found = found.without("enrollments", class_id=source_id)
        return found

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.tables, sort_keys=True, default=str).encode()).hexdigest()


def school(source_id: str, **values: Any) -> Row:
    return {
        "source_id": source_id,
        "name": f"School {source_id}",
        "type": "school",
        "is_school": True,
        "number": f"n{source_id}",
        **values,
    }


def section(source_id: str, school_id: str, **values: Any) -> Row:
    return {
        "source_id": source_id,
        "school_id": school_id,
        "name": f"Class {source_id}",
        "number": f"c{source_id}",
        "term_id": "T1",
        "term_start": "2026-08-17",
        "course_subject": "Math",
        **values,
    }


def person(role: str, source_id: str, school_id: str, **values: Any) -> Row:
    return {
        "role": role,
        "source_id": source_id,
        "school_id": school_id,
        "username": f"{role[0]}{source_id}".lower(),
        "given_name": f"Given{source_id}",
        "surname": f"Family{source_id}",
        "number": f"p{source_id}",
        **({"grade": "7", "birth_date": "2013-02-28"} if role == "student" else {"title": "Lektor"}),
        **values,
    }


def attends(role: str, source_id: str, school_id: str) -> Row:
    return {"role": role, "source_id": source_id, "school_id": school_id}


def enrolled(class_id: str, role: str, source_id: str) -> Row:
    return {"class_id": class_id, "role": role, "source_id": source_id, "person_role": role}


def contact(student_id: str, email: str, **values: Any) -> Row:
    return {"student_id": student_id, "email": email, "name": "Kari Nordmann", "relationship": "parent", **values}


def left_out(kind: str, source_id: str | None, *, rule: str = "invalid-date", **values: Any) -> Row:
    return {"kind": kind, "source_id": source_id, "rule": rule, **values}


DISTRICT = Roster(
    {
        "organizations": (school("A"), school("B", grade_low="1", city="Ålesund")),
        "classes": (section("M1", "A"), section("M2", "B"), section("E1", "B")),
        "people": (
            person("student", "1", "A", middle_name="Anna"),
            person("student", "2", "A"),
            person("student", "3", "B"),
            person("teacher", "1", "A"),
            person("teacher", "9", "B"),
        ),
        "person_organizations": (
            attends("student", "1", "A"),
            attends("student", "2", "A"),
            attends("student", "3", "B"),
            attends("teacher", "1", "A"),
            attends("teacher", "1", "B"),
            attends("teacher", "9", "B"),
        ),
        "enrollments": (
            enrolled("M1", "student", "1"),
            enrolled("M1", "student", "2"),
            enrolled("M2", "student", "3"),
            enrolled("M1", "teacher", "1"),
            enrolled("M2", "teacher", "9"),
        ),
        "contacts": (contact("1", "mor@home.example", phone="+4799911122"),),
    }
)
"""Two schools, three classes (one empty), three pupils, two teachers of which one works at both schools."""
