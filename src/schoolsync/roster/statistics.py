# ruff: noqa: S608  # what is put into these statements are expressions of ours
"""Sanity statistics: what a roster says about every school, in numbers a secretary knows by heart.

Works on the canonical tables as they are at that moment; changes nothing. A pupil of two schools counts in both, and
once in the total.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import duckdb

# Class sizes are told in these steps: the least number of pupils of each.
STEPS = (0, 1, 10, 20, 30, 40)

_SIZES = """
CREATE OR REPLACE TEMP TABLE sizes AS
    WITH counted AS (
        SELECT class_id, count(*) FILTER (role = 'student') AS students, count(*) FILTER (role = 'teacher') AS teachers
        FROM roster.enrollments GROUP BY class_id
    )
    SELECT one.school_id, coalesce(students, 0) AS students, coalesce(teachers, 0) AS teachers
    FROM roster.classes AS one LEFT JOIN counted ON counted.class_id = one.source_id
"""
_PLACED = """
CREATE OR REPLACE TEMP TABLE placed AS SELECT DISTINCT source_id FROM roster.enrollments WHERE role = 'student'
"""
_BUCKETS = "[{}]".format(
    ", ".join(
        f"count(*) FILTER (students >= {least}" + (f" AND students < {next_})" if next_ else ")")
        for least, next_ in zip(STEPS, (*STEPS[1:], None), strict=True)
    )
)
_OF_CLASSES = f"""
    count(*) AS classes, count(*) FILTER (teachers = 0) AS without_teacher, sum(students)::BIGINT AS enrollments,
    min(students) AS smallest, median(students)::BIGINT AS median, max(students) AS largest, {_BUCKETS} AS sizes
"""
_SCHOOLS = f"""
WITH taught AS (SELECT school_id, {_OF_CLASSES} FROM sizes GROUP BY school_id), populated AS (
    SELECT school_id, count(*) FILTER (role = 'student') AS students, count(*) FILTER (role = 'teacher') AS teachers,
        count(*) FILTER (role = 'student' AND source_id NOT IN (FROM placed)) AS unplaced
    FROM (SELECT DISTINCT role, source_id, school_id FROM roster.person_organizations) GROUP BY school_id
)
SELECT one.source_id, one.name, coalesce(p.students, 0), coalesce(p.teachers, 0), coalesce(t.classes, 0),
    coalesce(t.enrollments, 0), coalesce(t.without_teacher, 0), coalesce(p.unplaced, 0),
    t.smallest, t.median, t.largest, coalesce(t.sizes, {[0] * len(STEPS)})
FROM roster.organizations AS one LEFT JOIN taught AS t ON t.school_id = one.source_id
    LEFT JOIN populated AS p ON p.school_id = one.source_id
ORDER BY lower(one.name), one.source_id
"""
_TOTAL = f"""
SELECT NULL, NULL, (SELECT count(*) FROM roster.people WHERE role = 'student'),
    (SELECT count(*) FROM roster.people WHERE role = 'teacher'), t.classes, coalesce(t.enrollments, 0),
    t.without_teacher,
    (SELECT count(*) FROM roster.people WHERE role = 'student' AND source_id NOT IN (FROM placed)),
    t.smallest, t.median, t.largest, t.sizes
FROM (SELECT {_OF_CLASSES} FROM sizes) AS t
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """The numbers of one school, or of all together."""

    id: str | None  # None: of all
    name: str | None
    students: int
    teachers: int
    classes: int
    enrollments: int  # of students
    without_teacher: int  # classes that nobody teaches
    unplaced: int  # students in no class at all
    smallest: int | None  # students in the smallest class; None when there is no class
    median: int | None
    largest: int | None
    sizes: tuple[int, ...]  # classes of 0, 1-9, 10-19, 20-29, 30-39 and 40 or more students


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The numbers of a roster."""

    total: School
    schools: tuple[School, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A school whose numbers differ from those of another roster."""

    id: str | None
    name: str | None
    presence: str  # "new", "gone" or "kept"
    before: dict[str, int]
    after: dict[str, int]


COMPARED = ("students", "teachers", "classes", "enrollments", "without_teacher", "unplaced")


def of(db: duckdb.DuckDBPyConnection) -> Statistics:
    """Count the roster in the canonical tables."""
    db.execute(_SIZES)
    db.execute(_PLACED)
    total, *_ = _read(db.execute(_TOTAL).fetchall())
    schools = _read(db.execute(_SCHOOLS).fetchall())
    db.execute("DROP TABLE sizes; DROP TABLE placed")
    return Statistics(total=total, schools=tuple(schools))


def _read(rows: Iterable[Sequence[object]]) -> list[School]:
    names = [field.name for field in fields(School)]
    made = [dict(zip(names, row, strict=True)) for row in rows]
    return [School(**{**one, "sizes": tuple(one["sizes"])}) for one in made]  # type: ignore[arg-type]


def changes(before: Statistics, after: Statistics) -> Sequence[Change]:
    """What differs between two rosters, the total first, then the schools in which it differs."""
    old = {one.id: one for one in before.schools}
    new = {one.id: one for one in after.schools}
    found = [_change(before.total, after.total)]
    found += [
        _change(old.get(key), new.get(key))
        for key in dict.fromkeys((*new, *old))
        if key not in new or key not in old or _numbers(old[key]) != _numbers(new[key])
    ]
    return found


def _change(before: School | None, after: School | None) -> Change:
    known = after or before
    assert known is not None
    return Change(
        id=known.id,
        name=known.name,
        presence="new" if before is None else "gone" if after is None else "kept",
        before=_numbers(before),
        after=_numbers(after),
    )


def _numbers(school: School | None) -> dict[str, int]:
    return {name: getattr(school, name) if school else 0 for name in COMPARED}
