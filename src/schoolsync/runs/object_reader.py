# ruff: noqa: S608  # what is put into these statements are names of ours; values are bound
"""What stored runs and uploads know about single objects; works in the reader process."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from schoolsync.roster.rules import RULES
from schoolsync.runs import kept_roster, lines
from schoolsync.runs.explained import Line, LineFinding, Named
from schoolsync.runs.places import FINDINGS
from schoolsync.runs.plan_files import OBJECTS
from schoolsync.runs.plan_question import PlannedStep, Question
from schoolsync.runs.plan_reader import Reading
from schoolsync.runs.stored_plan import Plans

NAMED_MAX = 10
"""So many objects of one name are told apart."""
STEPS_MAX = 25
"""Steps of one run that are told of one object."""


def named(db: duckdb.DuckDBPyConnection, *, folders: list[str], wanted: str) -> list[Named]:
    """Objects with this id, SIS ID, principal name or display name, in the first of the runs whose snapshot has any."""
    for folder in folders:
        plan = Plans(Path(folder)).latest()
        if plan is None:
            continue
        snapshot = Plans(Path(folder)).snapshot(plan)
        for exact in (True, False):
            found = [one for kind in OBJECTS for one in _named(db, snapshot, kind, wanted, exact=exact)]
            if found:
                return found[:NAMED_MAX]
    return []


def _named(db: duckdb.DuckDBPyConnection, folder: Path, kind: str, wanted: str, *, exact: bool) -> list[Named]:
    path = folder / f"{OBJECTS[kind]}.parquet"
    if not path.is_file():
        return []
    names = pq.read_schema(path).names
    place = "school_source_id" if "school_source_id" in names else "source_id" if kind == "school" else "NULL"
    terms = ["id = lower($wanted)", "source_id = $wanted"] if exact else ["lower(display_name) = lower($wanted)"]
    if exact and "user_principal_name" in names:
        terms.append("lower(user_principal_name) = lower($wanted)")
    rows = db.execute(
        f"SELECT id, source_id, display_name, {place} FROM read_parquet($path) WHERE {' OR '.join(terms)} "
        f"ORDER BY source_id LIMIT {NAMED_MAX}",
        {"path": str(path), "wanted": wanted},
    ).fetchall()
    return [Named(kind=kind, id=row[0], source_id=row[1], name=row[2], school=row[3]) for row in rows]


def in_roster(db: duckdb.DuckDBPyConnection, *, folder: str, kinds: list[str], wanted: str) -> list[dict[str, str]]:
    """The records of a kept roster that have this SIS ID, or (people) this user name; kind and SIS ID of each."""
    run = Path(folder)
    if not kept_roster.is_kept(run):
        raise FileNotFoundError(folder)
    schools, classes, people = (kept_roster.relation(run, table) for table in ("organizations", "classes", "people"))
    parts = {
        "school": f"SELECT 'school' AS kind, source_id FROM {schools} WHERE is_school AND source_id = $wanted",
        "section": f"SELECT 'section', source_id FROM {classes} WHERE source_id = $wanted",
    }
    for role in ("student", "teacher"):
        parts[role] = (
            f"SELECT '{role}', source_id FROM {people} WHERE role = '{role}' AND (source_id = $wanted "
            "OR lower(username) = lower($wanted) OR lower(username) = lower(split_part($wanted, '@', 1)))"
        )
    query = " UNION ".join(parts[kind] for kind in kinds)
    rows = db.execute(f"{query} LIMIT {NAMED_MAX}", {"wanted": wanted}).fetchall()
    return [{"kind": kind, "source_id": source_id} for kind, source_id in rows]


def steps_of(
    db: duckdb.DuckDBPyConnection, *, folders: list[str], wanted: str, inside: str | None
) -> list[tuple[int, PlannedStep]]:
    """Steps about an object (its id), each with the place of its run's folder in the list; with `inside`, of the
    membership of the two alone."""
    found: list[tuple[int, PlannedStep]] = []
    for place, folder in enumerate(folders):
        try:
            page = Reading(db, Path(folder)).page(Question(object=wanted, top=1000 if inside else STEPS_MAX))
        except FileNotFoundError:
            continue  # that run keeps no plan any more
        steps = [step for step in page.steps if inside is None or inside in (step.object_id, step.member_id)]
        found += [(place, step) for step in steps[:STEPS_MAX]]
    return found


def lines_of(
    db: duckdb.DuckDBPyConnection, *, folder: str, files: list[tuple[str, str]], wanted: list[str]
) -> list[Line]:
    """The lines of an upload in which all of `wanted` stand as cells, with what the verification said about them."""
    found: list[tuple[str, int]] = []
    for name, path in files:
        try:
            found += lines.find(Path(path), name, tuple(wanted))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            continue  # it could not be read as a roster either, and a finding of its own says so
    said = _findings_at(db, Path(folder) / FINDINGS, found)
    return [
        Line(file=name, line=line, findings=tuple(said.get((name.rpartition("/")[2].lower(), line), ())))
        for name, line in found
    ]


def _findings_at(
    db: duckdb.DuckDBPyConnection, path: Path, places: list[tuple[str, int]]
) -> dict[tuple[str, int], list[LineFinding]]:
    said: dict[tuple[str, int], list[LineFinding]] = {}
    if not places or not path.is_file():
        return said
    rows: list[tuple[Any, ...]] = db.execute(
        'SELECT rule, severity, file, line, "column", detail FROM read_parquet($path) WHERE line IN (SELECT '
        "unnest($lines)) LIMIT 1000",
        {"path": str(path), "lines": sorted({line for _, line in places})},
    ).fetchall()
    for name, severity, file, line, column, detail in rows:
        rule = RULES.get(name)
        message = rule.message(column=column, detail=detail) if rule else name
        one = LineFinding(rule=name, severity=severity, column=column, message=message)
        said.setdefault((str(file).rpartition("/")[2].lower(), int(line)), []).append(one)
    return said
