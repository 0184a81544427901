# ruff: noqa: S608  # what is put into these statements are names of ours and numbers; values are bound
"""Reads the steps of a stored plan, page by page; works in the reader process.

A page takes two looks. The first finds the numbers of the rows that a question picks, over the few narrow columns that
it names; where it names none there is nothing to find. The second reads whole rows, of the row groups they lie in
alone. Steps of links name keys; whose they are is looked up, for the rows of the page, in the snapshot that was stored
with the plan. So a page of a plan of a million steps costs about as much as one of a thousand.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq

from schoolsync.plan.kinds import LINK_SIDES
from schoolsync.plan.steps import FRESH, RULES
from schoolsync.runs import snapshots
from schoolsync.runs.plan_files import OBJECTS, File, Row, files_of, rows_of, table_of
from schoolsync.runs.plan_question import (
    BySchool,
    Change,
    Page,
    Picked,
    PlannedStep,
    Question,
    Renumbered,
    SchoolSteps,
)
from schoolsync.runs.plan_releases import Releases
from schoolsync.runs.selections import Selection
from schoolsync.runs.stored_plan import KEYS, Description, Plans, is_applied

FOUND_MAX = 1_000
"""A search looks at the steps of so many objects at most."""
SCHOOLS_MAX = 5_000

_SEARCHED = ("source_id", "display_name", "given_name", "surname", "user_principal_name", "mail")

_LEFT_OUT = frozenset({"source_id", "account_name", "licenses", "user_type", "primary_role", "generation", "expired"})
"""Columns that a preview does not show as changes: they follow from others."""


class Reading:
    """One plan, open for one question."""

    def __init__(self, db: duckdb.DuckDBPyConnection, folder: Path) -> None:
        """Raises FileNotFoundError when the run has no plan that is still kept."""
        plan = Plans(folder).latest()
        if plan is None or not (folder / plan.folder).is_dir():
            raise FileNotFoundError(folder)
        self.plan: Description = plan
        self._db = db
        self.folder = folder
        self._snapshot = folder / plan.folder / "snapshot"
        self.files = tuple(files_of(folder, plan))
        self._columns: dict[Path, frozenset[str]] = {}
        self._releases = Releases(db, folder, plan, self.files)

    # --- a page ----------------------------------------------------------------------------------------------------

    def page(self, question: Question) -> Page:
        """The steps that `question` picks, behind the place it names."""
        picked = self._picked(question)
        steps: list[PlannedStep] = []
        count = 0
        for file in self.files:
            condition = self._condition(question, picked, file)
            rows = self._range(question, file)
            if condition is None or not rows:
                continue
            if question.counted:
                count += self._count(file, condition, rows)
            room = question.top + 1 - len(steps)
            if room > 0 and file.first + rows[-1] > question.after:
                behind = range(max(question.after - file.first + 1, rows.start), rows.stop)
                steps += self._steps(file, self._numbers(file, condition, behind, room))
        return Page(
            plan=self.plan.planned.plan,
            count=count if question.counted else None,
            more=len(steps) > question.top,
            steps=tuple(steps[: question.top]),
        )

    def renumbered(self) -> Renumbered:
        """Old and new SIS IDs that the plan takes for the same objects, as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["kind", "old", "new"])
        path = self.folder / self.plan.folder / "renumbered.parquet"
        if path.is_file():
            query = "SELECT kind, old_id, new_id FROM read_parquet($1) ORDER BY ALL"
            writer.writerows(self._db.execute(query, [str(path)]).fetchall())
        return Renumbered(text=text.getvalue())

    def step(self, number: int) -> PlannedStep | None:
        """One step by its number."""
        for file in self.files:
            if file.first <= number < file.first + file.rows:
                return self._steps(file, [number - file.first])[0]
        return None

    def picked(self, what: Selection) -> Picked:
        """What a yes to a part of the plan would be a yes to."""
        return self._releases.picked(what)

    def told(self, file: File, places: Sequence[int]) -> list[PlannedStep]:
        """The steps at some places inside a file, which rise."""
        return self._steps(file, places)

    # --- which rows ------------------------------------------------------------------------------------------------

    def _picked(self, question: Question) -> dict[str, list[int]] | None:
        """Keys, as the steps have them, of the objects that the question names; None when it names none."""
        if question.object is None and question.search is None:
            return None
        found: dict[str, list[int]] = {}
        for objects in OBJECTS.values():
            path = self._snapshot / f"{objects}.parquet"
            if not path.is_file():
                continue
            terms, values = ["true"], {}
            if question.object is not None:
                terms.append("(id = $object OR source_id = $object)")
                values["object"] = question.object
            if question.search is not None:
                there = pq.read_schema(path).names
                names = ", ".join(name for name in _SEARCHED if name in there)
                terms.append(f"contains(lower(concat_ws(' ', {names})), $search)")
                values["search"] = question.search.lower()
            rows = self._db.execute(
                f"SELECT {self.step_key('key')} FROM {self.known(objects)} "
                f"WHERE {' AND '.join(terms)} LIMIT {FOUND_MAX}",
                values,
            ).fetchall()
            found[objects] = [int(row[0]) for row in rows]
        return found

    def _condition(
        self, question: Question, picked: dict[str, list[int]] | None, file: File
    ) -> tuple[str, dict[str, Any]] | None:
        """The condition that picks rows of a file, with its values; None when it picks none."""
        if question.op not in (None, file.op) or question.part not in (None, file.part):
            return None
        terms: list[str] = []
        values: dict[str, Any] = {}
        if question.rule is not None:
            terms.append("rule = $rule")
            values["rule"] = question.rule
        if question.kind is not None:
            if file.of_objects:
                if file.record != question.kind:
                    return None
            elif (term := self._kind_term(file, question.kind)) is not None:
                terms.append(term)
            else:
                return None
        if question.school is not None:
            terms.append(self._school_term(file))
            values["school"] = question.school
        if picked is not None:
            if file.of_objects:
                sides = {"key": picked.get(file.table, [])}
            else:
                sides = {side: picked.get(OBJECTS[side], []) for side in LINK_SIDES[file.table]}  # type: ignore[index]
            lists = [f'"{side}" IN ({", ".join(map(str, keys))})' for side, keys in sides.items() if keys]
            if not lists:
                return None
            terms.append(f"({' OR '.join(lists)})")
        let_go = None if question.applied is None else self._releases.condition(file)
        if let_go is not None:
            condition, more = let_go
            applied = f"({_within(range(self._border(question, file)))} AND {condition})"
            terms.append(applied if question.applied else f"NOT {applied}")
            values |= more
        return " AND ".join(terms), values

    def _kind_term(self, file: File, kind: str) -> str | None:
        """The condition that rows of links are of a kind; None when none is."""
        if "kind" in self._names(file):
            return f"kind = '{kind}'" if kind.isalpha() and kind.isascii() else None
        if file.table == "class_people":
            return {"teacherRoster": "teacher", "studentEnrollment": "NOT teacher"}.get(kind)
        if file.table == "school_classes":
            return "true" if kind == "schoolSections" else None
        role = kind.removesuffix("Schools")
        if role not in ("student", "teacher") or role == kind:
            return None
        return f"person IN (SELECT {self.step_key('key')} FROM {self.known('people')} WHERE primary_role = '{role}')"

    def _school_term(self, file: File) -> str:
        if "of_school" in self._names(file):
            return "of_school = $school"
        side = LINK_SIDES[file.table][0]  # type: ignore[index]  # stored names are those of tables
        place = "source_id" if side == "school" else "school_source_id"
        keys = f"SELECT {self.step_key('key')} FROM {self.known(OBJECTS[side])} WHERE {place} = $school"
        return f'"{side}" IN ({keys})'

    def _range(self, question: Question, file: File) -> range:
        """The places inside the file that come into question: batches are applied in their order."""
        if question.applied is None:
            return range(file.rows)
        border = self._border(question, file)
        if self._releases.condition(file) is not None:
            return range(border) if question.applied else range(file.rows)
        return range(border) if question.applied else range(border, file.rows)

    def _border(self, question: Question, file: File) -> int:
        """How many rows of a file are in batches that were applied."""
        border = sum(batch.rows for batch in self.plan.batches[: question.batches]) - file.first
        return min(max(border, 0), file.rows)

    def _numbers(self, file: File, condition: tuple[str, dict[str, Any]], places: range, most: int) -> Sequence[int]:
        """The first `most` of the places inside the file whose rows meet the condition."""
        where, values = condition
        if not where:
            return places[:most]
        rows = self._db.execute(
            "SELECT file_row_number FROM read_parquet($file, file_row_number = true) "
            f"WHERE {where} AND {_within(places)} ORDER BY file_row_number LIMIT {most}",
            {**values, "file": str(file.path)},
        ).fetchall()
        return [int(row[0]) for row in rows]

    def _count(self, file: File, condition: tuple[str, dict[str, Any]], places: range) -> int:
        where, values = condition
        if not where:
            return len(places)
        query = f"SELECT count(*) FROM read_parquet($file, file_row_number = true) WHERE {where} AND {_within(places)}"
        ((count,),) = self._db.execute(query, {**values, "file": str(file.path)}).fetchall()
        return int(count)

    # --- whole rows ------------------------------------------------------------------------------------------------

    def _steps(self, file: File, numbers: Sequence[int]) -> list[PlannedStep]:
        if not numbers:
            return []
        rows = rows_of(file, numbers)
        known = self._named(file, rows)
        made = _of_object if file.of_objects else _of_link
        steps = [made(file, file.first + number, row, known) for number, row in zip(numbers, rows, strict=True)]
        waived = self._releases.waived(file)
        if waived:
            return [msgspec.structs.replace(step, held=True, approved_by=waived) for step in steps]
        if not self._releases.holds(file):
            return steps
        given = self._releases.given(file, numbers)
        return [
            msgspec.structs.replace(step, held=True, approved_by=yes) for step, yes in zip(steps, given, strict=True)
        ]

    def _named(self, file: File, rows: Sequence[Row]) -> dict[tuple[str, int], Row]:
        """Who is meant by the keys of rows of links, and of objects whose name stays as it is."""
        found: dict[tuple[str, int], Row] = {}
        if file.of_objects:
            sides = {"key": str(file.table)}
            rows = [row for row in rows if row.get("display_name") is None and row.get("key") is not None]
        else:
            sides = {side: OBJECTS[side] for side in LINK_SIDES[file.table]}  # type: ignore[index]  # names of tables
        for side, objects in sides.items() if rows else ():
            if not (self._snapshot / f"{objects}.parquet").is_file():
                continue
            real = {self._real_key(int(row[side])): int(row[side]) for row in rows}
            place = "source_id" if objects == "schools" else "school_source_id"
            role = "primary_role" if objects == "people" else "NULL"
            listed = ", ".join(map(str, real))
            for key, *facts in self._db.execute(
                f"SELECT key, id, source_id, display_name, {place}, {role} FROM {self.known(objects)} "
                f"WHERE key IN ({listed})"
            ).fetchall():
                names = ("id", "source_id", "name", "school", "role")
                found[side, real[int(key)]] = dict(zip(names, facts, strict=True))
        return found

    # --- in numbers ------------------------------------------------------------------------------------------------

    def by_school(self) -> BySchool:
        """The plan in numbers, by school and kind."""
        parts: list[str] = []
        for file in self.files:
            if file.of_objects:
                kind, school = f"'{file.record}'", "of_school"
            else:
                side = LINK_SIDES[file.table][0]  # type: ignore[index]  # stored names are those of tables
                kind = self.link_kind(file)
                school = "of_school" if "of_school" in self._names(file) else "NULL"
                if school == "NULL":
                    place = "source_id" if side == "school" else "school_source_id"
                    names = f"SELECT {self.step_key('key')} AS key, {place} AS place FROM {self.known(OBJECTS[side])}"
                    parts.append(
                        f"SELECT k.place AS school, {kind} AS kind, '{file.op}' AS op, '{file.part}' AS part, "
                        f'count(*) AS n FROM {table_of(file)} AS s LEFT JOIN ({names}) AS k ON k.key = s."{side}" '
                        "GROUP BY ALL"
                    )
                    continue
            parts.append(
                f"SELECT {school} AS school, {kind} AS kind, '{file.op}' AS op, '{file.part}' AS part, count(*) AS n "
                f"FROM {table_of(file)} AS s GROUP BY ALL"
            )
        if not parts:
            return BySchool(plan=self.plan.planned.plan, schools=(), complete=True)
        schools = self.known("schools") if (self._snapshot / "schools.parquet").is_file() else None
        named = f"LEFT JOIN {schools} AS k ON k.source_id = c.school" if schools else ""
        rows = self._db.execute(
            f"WITH c AS ({' UNION ALL '.join(parts)}), "
            f"most AS (SELECT school, sum(n) AS n FROM c GROUP BY school ORDER BY n DESC LIMIT {SCHOOLS_MAX + 1}) "
            f"SELECT c.school, {'any_value(k.display_name)' if schools else 'NULL'}, kind, op, part, sum(c.n)::BIGINT "
            f"FROM c JOIN most ON most.school IS NOT DISTINCT FROM c.school {named} "
            "GROUP BY c.school, kind, op, part, most.n ORDER BY most.n DESC, c.school, kind, op, part"
        ).fetchall()
        listed = tuple(
            SchoolSteps(school=school, name=name, kind=kind, op=op, part=part, count=count)
            for school, name, kind, op, part, count in rows
        )
        return BySchool(
            plan=self.plan.planned.plan,
            schools=listed,
            complete=len({one.school for one in listed}) <= SCHOOLS_MAX,
        )

    def link_kind(self, file: File) -> str:
        """The SQL for the kind of the links of a file."""
        if "kind" in self._names(file):
            return "kind"
        if file.table == "class_people":
            return "CASE WHEN teacher THEN 'teacherRoster' ELSE 'studentEnrollment' END"
        return "'schoolSections'" if file.table == "school_classes" else "'schoolPeople'"

    # --- keys ------------------------------------------------------------------------------------------------------

    def known(self, objects: str) -> str:
        """The relation of the objects that there are once the plan is applied."""
        return snapshots.relation(self._snapshot, objects)

    def step_key(self, name: str) -> str:
        """A key of the snapshot as the steps have it: new objects count from FRESH there."""
        first = self.plan.first_key
        return f"CASE WHEN {name} >= {first} THEN {name} - {first} + {FRESH} ELSE {name} END"

    def step_key_of(self, key: int) -> int:
        """The same of one key."""
        return key - self.plan.first_key + FRESH if key >= self.plan.first_key else key

    def _real_key(self, key: int) -> int:
        return key - FRESH + self.plan.first_key if key >= FRESH else key

    def _names(self, file: File) -> frozenset[str]:
        if file.path not in self._columns:
            self._columns[file.path] = frozenset(pq.read_schema(file.path).names)
        return self._columns[file.path]


def _within(places: range) -> str:
    return f"file_row_number >= {places.start} AND file_row_number < {places.stop}"


def _of_object(file: File, number: int, row: Row, known: dict[tuple[str, int], Row]) -> PlannedStep:
    kept = known.get(("key", int(row["key"])), {}) if row.get("key") is not None else {}
    return PlannedStep(
        number=number,
        op=file.op,
        kind=file.record,
        object_id=_text(row.get("id")),
        source_id=_text(row.get("source_id")),
        name=_text(row.get("display_name")) or kept.get("name"),
        school=_text(row.get("of_school")),
        changes=tuple(
            Change(field=name, before=_text(row.get(f"was_{name}")), after=_text(value))
            for name, value in row.items()
            if is_applied(name, file.op)
            and name not in KEYS
            and name in _fields(row)
            and value != row.get(f"was_{name}")
        ),
        **_why(row),
        part=file.part,
    )


def _of_link(file: File, number: int, row: Row, known: dict[tuple[str, int], Row]) -> PlannedStep:
    left, right = LINK_SIDES[file.table]  # type: ignore[index]  # stored names are those of tables
    one, other = known.get((left, int(row[left])), {}), known.get((right, int(row[right])), {})
    return PlannedStep(
        number=number,
        op=file.op,
        kind=_kind_of(row, file.table, other),
        object_id=one.get("id"),
        source_id=one.get("source_id"),
        name=one.get("name"),
        member_id=other.get("id"),
        member_source_id=other.get("source_id"),
        member_name=other.get("name"),
        school=_text(row.get("of_school") or one.get("school")),
        changes=(),
        **_why(row),
        part=file.part,
    )


def _fields(row: Row) -> set[str]:
    """The columns that are shown as changes: a re-key's SIS ID is, what follows from others is not."""
    rekeyed = {"source_id"} if "was_source_id" in row else set()
    return {name for name in row if name not in _LEFT_OUT and name != "id"} | rekeyed


def _kind_of(row: Row, table: str, other: Row) -> str:
    if row.get("kind"):
        return str(row["kind"])
    if table == "class_people":
        return "teacherRoster" if row.get("teacher") else "studentEnrollment"
    return "schoolSections" if table == "school_classes" else f"{other.get('role') or 'person'}Schools"


def _why(row: Row) -> Row:  # the arguments of a struct
    rule = str(row["rule"])
    line = row.get("line")
    return {
        "rule": rule,
        "reason": RULES.get(rule, rule),
        "file": _text(row.get("file")),
        "line": None if line is None else int(line),
        "upload_run": None if row.get("upload_run") is None else int(row["upload_run"]),
    }


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
