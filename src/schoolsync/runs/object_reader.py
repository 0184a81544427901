# ruff: noqa: S608  # what is put into these statements are names of ours; values are bound
"""What stored runs and uploads know about single objects; works in the reader process."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from schoolsync.plan.kinds import LINK_SIDES
from schoolsync.roster.rules import RULES
from schoolsync.runs import kept_roster, lines, snapshots
from schoolsync.runs.explained import Line, LineFinding, Named
from schoolsync.runs.places import FINDINGS
from schoolsync.runs.plan_files import OBJECTS, File
from schoolsync.runs.plan_question import PlannedStep
from schoolsync.runs.plan_reader import Reading
from schoolsync.runs.stored_plan import Plans

NAMED_MAX = 10
"""So many objects of one name are told apart."""
SNAPSHOTS_MAX = 2
"""In so many of the newest snapshots objects are looked for by a name; every one is read whole."""
STEPS_MAX = 25
"""Steps of one run that are told of one object."""


def named(db: duckdb.DuckDBPyConnection, *, folders: list[str], whole: list[str], wanted: str) -> list[Named]:
    """Objects with this id, SIS ID, principal name or display name, as plans know them.

    Looked for in the newest snapshots (of the runs `whole`, newest first), where whatever is not purged stands; then
    in the steps of all runs, by id and SIS ID.
    """
    looked = 0
    for folder in whole:
        plan = Plans(Path(folder)).latest()
        if plan is None:
            continue
        snapshot = Plans(Path(folder)).snapshot(plan)
        for exact in (True, False):
            found = [one for kind in OBJECTS for one in _named(db, snapshot, kind, wanted, exact=exact)]
            if found:
                return found[:NAMED_MAX]
        looked += 1
        if looked == SNAPSHOTS_MAX:
            break
    readings = list(_readings(db, folders))
    by_path = {str(file.path): file for reading in readings for file in reading.files if file.of_objects}
    if not by_path:
        return []
    rows = db.execute(
        "SELECT filename, id, source_id FROM read_parquet($paths, filename = true) "
        f"WHERE id = lower($wanted) OR source_id = $wanted LIMIT {NAMED_MAX * STEPS_MAX}",
        {"paths": [*by_path], "wanted": wanted},
    ).fetchall()
    kinds = {objects: kind for kind, objects in OBJECTS.items()}
    known = {
        object_id: Named(kind=kinds[by_path[path].table], id=object_id, source_id=source_id, name=None, school=None)
        for path, object_id, source_id in rows
    }
    return list(known.values())[:NAMED_MAX]


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
        f"SELECT id, source_id, display_name, {place} FROM {snapshots.relation(folder, OBJECTS[kind])} "
        f"WHERE {' OR '.join(terms)} ORDER BY source_id LIMIT {NAMED_MAX}",
        {"wanted": wanted},
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
    db: duckdb.DuckDBPyConnection, *, folders: list[str], one: dict[str, Any], inside: dict[str, Any] | None
) -> list[tuple[int, PlannedStep]]:
    """Steps about an object, each with the place of its run's folder in the list; with `inside`, of the membership of
    the two alone. Both are given by `kind`, `id` and the directory's `key`.

    Keys are what steps of links name. Whoever knows them spares looking through what every run has left of everybody.
    """
    places = {Path(folder): place for place, folder in enumerate(folders)}
    readings = list(_readings(db, folders))
    asked = [one] if inside is None else [one, inside]
    own, keys = _steps_of_objects(db, readings, asked)
    found = own if inside is None else {}
    for (number, file), rows in _steps_of_links(db, readings, asked, keys).items():
        found.setdefault((number, file), []).extend(rows)
    told: dict[int, list[PlannedStep]] = {}
    for (number, file), rows in found.items():
        told.setdefault(number, []).extend(readings[number].told(file, sorted(rows)))
    return [
        (places[readings[number].folder], step)
        for number in sorted(told)  # the newest first, as the folders are
        for step in sorted(told[number], key=_itself_first)[:STEPS_MAX]
    ]


def _itself_first(step: PlannedStep) -> tuple[bool, int]:
    """What happens to an object itself says more than each of its memberships."""
    return step.member_id is not None, step.number


_Places = dict[tuple[int, File], list[int]]
"""Rows of files, by the number of the reading."""
_Keys = dict[tuple[int, str], set[int]]
"""The keys that the steps of a reading have for an object, by its kind."""


def _readings(db: duckdb.DuckDBPyConnection, folders: list[str]) -> Iterator[Reading]:
    for folder in folders:
        try:
            yield Reading(db, Path(folder))
        except FileNotFoundError:
            continue  # that run has no plan, or keeps none any more


def _steps_of_objects(
    db: duckdb.DuckDBPyConnection, readings: list[Reading], asked: list[dict[str, Any]]
) -> tuple[_Places, _Keys]:
    """The rows about the objects themselves, in all plans at once, and how the plans call them."""
    found: _Places = {}
    keys: _Keys = {}
    kinds = {one["id"]: one["kind"] for one in asked}
    for number, reading in enumerate(readings):
        for one in asked:
            known = keys.setdefault((number, one["kind"]), set())
            if one["key"] is not None:
                known.add(reading.step_key_of(one["key"]))
    there = _by_path(readings, {OBJECTS[one["kind"]] for one in asked})
    if there:
        rows = db.execute(
            "SELECT filename, file_row_number, key, id FROM "
            "read_parquet($paths, filename = true, file_row_number = true) WHERE id IN (SELECT unnest($ids))",
            {"paths": [*there], "ids": [*kinds]},
        ).fetchall()
        for path, row, key, object_id in rows:
            number, file = there[path]
            found.setdefault((number, file), []).append(int(row))
            keys[number, kinds[object_id]].add(int(key))
    return found, keys


def _steps_of_links(
    db: duckdb.DuckDBPyConnection, readings: list[Reading], asked: list[dict[str, Any]], keys: _Keys
) -> _Places:
    """The rows about memberships of the one (and of nobody but the one in the other), in all plans at once."""
    found: _Places = {}
    for table, sides in LINK_SIDES.items():
        if not {one["kind"] for one in asked} <= set(sides):
            continue
        there = _by_path(readings, {table})
        if not there:
            continue
        terms = []
        values: dict[str, Any] = {"paths": [*there]}
        for one in asked:
            side = one["kind"]
            pairs = [(path, key) for path, (number, _) in there.items() for key in keys[number, side]]
            values |= {f"of_{side}": [path for path, _ in pairs], f"keys_{side}": [key for _, key in pairs]}
            listed = ", ".join(sorted({str(key) for _, key in pairs})) or "NULL"
            terms.append(
                f'"{side}" IN ({listed}) AND (filename, "{side}") IN '
                f"(SELECT (unnest($of_{side}::VARCHAR[]), unnest($keys_{side}::BIGINT[])))"
            )
        rows = db.execute(
            "SELECT filename, file_row_number FROM read_parquet($paths, filename = true, file_row_number = true) "
            f"WHERE {' AND '.join(terms)} "
            f"QUALIFY row_number() OVER (PARTITION BY filename ORDER BY file_row_number) <= {STEPS_MAX}",
            values,
        ).fetchall()
        for path, row in rows:
            found.setdefault(there[path], []).append(int(row))
    return found


def _by_path(readings: list[Reading], tables: set[str]) -> dict[str, tuple[int, File]]:
    """The files of the steps of some tables, with the number of the reading that they belong to."""
    return {
        str(file.path): (number, file)
        for number, reading in enumerate(readings)
        for file in reading.files
        if file.table in tables
    }


def kept_by_hand(db: duckdb.DuckDBPyConnection, *, folders: list[str], table: str, key: int) -> list[str]:
    """The properties of an object that somebody has written by hand and the first of the plans keeps so."""
    for folder in folders:
        plan = Plans(Path(folder)).latest()
        path = None if plan is None else Plans(Path(folder)).snapshot(plan) / "by_hand.parquet"
        if path is not None and path.is_file():
            query = "SELECT field FROM read_parquet($1) WHERE key = $2 AND of_table = $3 ORDER BY field"
            return [str(field) for (field,) in db.execute(query, [str(path), key, table]).fetchall()]
    return []


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
    said = findings_at(db, Path(folder) / FINDINGS, found)
    return [
        Line(file=name, line=line, findings=tuple(said.get((name.rpartition("/")[2].lower(), line), ())))
        for name, line in found
    ]


def findings_at(
    db: duckdb.DuckDBPyConnection, path: Path, places: list[tuple[str, int]]
) -> dict[tuple[str, int], list[LineFinding]]:
    """What the verification says about lines, by the file's name in lower case and the line."""
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
