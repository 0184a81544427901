"""Reading a roster, writing it in another format, and comparing what both readings say. Helpers of the tests here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from schoolsync import convert, sources
from schoolsync.roster import codes
from schoolsync.roster.tables import TABLES
from schoolsync.sources import CheckOptions, SourceFile

DAY = "2026-11-25"
Rows = dict[str, set[tuple[Any, ...]]]

# Terms and courses without an id can be held by classes alone, and are counted as lost.
_OF_TERM = ("name", "start", "end")
_OF_COURSE = ("name", "number", "subject")
# One address is all that the other formats have; ids of guardians are made where a format has none.
_VALUES = {
    ("people", "grade"): codes.normal(codes.SHIPPED["grades"], "grade"),
    ("organizations", "grade_low"): codes.normal(codes.SHIPPED["grades"], "grade_low"),
    ("organizations", "grade_high"): codes.normal(codes.SHIPPED["grades"], "grade_high"),
    **{("classes", f"term_{name}"): f"CASE WHEN term_id IS NOT NULL THEN term_{name} END" for name in _OF_TERM},
    **{("classes", f"course_{name}"): f"CASE WHEN course_id IS NOT NULL THEN course_{name} END" for name in _OF_COURSE},
    ("people", "email"): "coalesce(secondary_email, email)",
    ("people", "secondary_email"): "coalesce(secondary_email, email)",
    ("contacts", "guardian_id"): "NULL",
    ("people", "enabled"): "coalesce(enabled, true)",
    ("people", "role_name"): "coalesce(role_name, role)",
    ("enrollments", "is_primary"): "coalesce(is_primary, false)",
    ("person_organizations", "role_name"): "coalesce(role_name, role)",
    ("classes", "type"): "coalesce(type, 'scheduled')",
    ("organizations", "type"): "coalesce(type, 'school')",
    ("terms", "type"): "coalesce(type, 'term')",
}
_MADE = {  # columns that a format has to fill where the source says nothing
    ("terms", "school_year"),
    ("courses", "organization_id"),
    ("person_organizations", "is_primary"),
    ("person_organizations", "grade"),
}
# Guardians are compared as contacts: where a format has no users for them, they are made.
_ONLY = {
    "people": "role <> 'none'",
    "person_organizations": "role <> 'none'",
    "demographics": "coalesce(birth_city, birth_state, birth_country, races, ethnicities) IS NOT NULL",
}
_AT_SCHOOL = "school_id IN (SELECT source_id FROM roster.organizations WHERE is_school)"
_ONLY_V1 = _ONLY | {  # what SDS V1 can hold at all
    "organizations": "is_school",
    "people": "role <> 'none' AND coalesce(enabled, true)",
    "person_organizations": f"role <> 'none' AND {_AT_SCHOOL}",
    "enrollments": "role = person_role",
}


@contextmanager
def read(folder: Path, kind: str, *, passwords: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """The canonical roster of a folder, which has no error."""
    with duckdb.connect(config={"threads": 1}) as db:
        options = CheckOptions(format=kind)
        files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
        extracted = sources.extract(db, files, options)
        if passwords:
            convert.keep_passwords(db, extracted)
        checked = sources.validate(db, extracted, options)
        errors = [one for one in checked.findings(db) if one.severity == "error"]
        assert errors == [], errors
        yield db


def write(db: duckdb.DuckDBPyConnection, to: str, folder: Path) -> dict[str, int]:
    """Write what was read in the format `to`, passwords included; what it cannot hold, with the numbers."""
    convert.prepare(db, day=DAY)
    target = convert.TARGETS[to](passwords=True)
    convert.write(db, target, folder)
    return {one.what: one.count for one in convert.unheld(db, target)}


def held(db: duckdb.DuckDBPyConnection, *formats: str) -> Rows:
    """What the canonical tables say, as far as all of these formats can."""
    targets = [convert.TARGETS[name](passwords=True) for name in formats]
    found: Rows = {}
    for kind, columns in TABLES.items():
        if not all(kind in target.holds for target in targets):
            continue
        # SDS V1 has no terms and courses beside its classes: those that no class names are not there.
        if "sds-v1" in formats and kind in {"terms", "courses"}:
            continue
        names = [
            column
            for column in columns
            if (kind, column) not in _MADE and all(column in target.holds[kind] for target in targets)
        ]
        values = ", ".join(_VALUES.get((kind, name), f'"{name}"') for name in names)
        only = (_ONLY_V1 if "sds-v1" in formats else _ONLY).get(kind, "true")
        found[kind] = set(db.execute(f"SELECT {values} FROM roster.{kind} WHERE {only}").fetchall())
    return found


def same(found: Rows, wanted: Rows) -> None:
    """Assert that both say the same, and show a few rows that differ."""
    assert found.keys() == wanted.keys()
    missing = {kind: sorted(map(str, rows - found[kind]))[:3] for kind, rows in wanted.items() if rows - found[kind]}
    added = {kind: sorted(map(str, found[kind] - rows))[:3] for kind, rows in wanted.items() if found[kind] - rows}
    if missing or added:
        pytest.fail(f"missing: {missing}; added: {added}")
