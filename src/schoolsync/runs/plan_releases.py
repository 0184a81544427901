# ruff: noqa: S608  # what is put into these statements are names of ours and numbers; values are bound
"""Whose yes has let which steps of a held plan go, read from what the engine wrote beside the plan.

The engine filters whole batches by the same rules (`runs.stored_plan`); here they are asked about single steps.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from schoolsync import ticks
from schoolsync.plan.kinds import LINK_SIDES
from schoolsync.runs.plan_files import OBJECTS, File, Row, table_of
from schoolsync.runs.plan_question import Yes
from schoolsync.runs.selections import Selection
from schoolsync.runs.stored_plan import Description, held_ops, let, release_of_batch


class Releases:
    """What people have let go of one plan."""

    def __init__(self, db: duckdb.DuckDBPyConnection, folder: Path, plan: Description, files: Sequence[File]) -> None:
        self._db = db
        self._planned = plan.planned
        self._files = files
        self._let = let(folder, plan)
        self._ends = list(itertools.accumulate(batch.rows for batch in plan.batches)) if self._let else []

    def holds(self, file: File) -> bool:
        """Whether a guard holds, or held, the steps of a file."""
        return self._planned.held is not None and file.part == "apply" and held_ops(self._planned.holds, file.op)

    def given(self, file: File, places: Sequence[int], rows: Sequence[Row]) -> list[tuple[Yes, ...]]:
        """For rows of a file and their places in it: whose yes let each of them go."""
        going = self._going(file, rows)
        found: list[tuple[Yes, ...]] = []
        for place, row in zip(places, rows, strict=True):
            release = release_of_batch(self._let, bisect.bisect_right(self._ends, file.first + place))
            itself = {"id": row.get("id"), "school": row.get("of_school"), "kind": file.record or row.get("kind")}
            ends = [going[end] for end in _ends(file, row) if end in going]
            found.append(
                tuple(
                    Yes(approval=one.id, person=one.person, given=ticks.text(one.given))
                    for one in (() if release is None else release.given)
                    if _meets(one.what, itself) or any(_meets(one.what, end) for end in ends)
                )
            )
        return found

    def condition(self, file: File) -> tuple[str, dict[str, Any]] | None:
        """The condition that rows of a held file were let go; None when all of them are, or none is held."""
        if not self.holds(file) or not self._let:
            return None
        parts: list[str] = []
        values: dict[str, Any] = {}
        for number, one in enumerate(self._let):
            first = ([0, *self._ends])[one.batch] - file.first
            behind = self._let[number + 1].batch if number + 1 < len(self._let) else len(self._ends)
            last = ([0, *self._ends])[behind] - file.first
            if last <= 0 or first >= file.rows:
                continue
            place = f"file_row_number >= {first} AND file_row_number < {last}"
            terms = [self._term(file, what, f"y{number}_{n}", values) for n, what in enumerate(one.release.selections)]
            parts.append(f"({place} AND ({' OR '.join(terms)}))")
        return (f"({' OR '.join(parts)})" if parts else "false"), values

    # --- inside ----------------------------------------------------------------------------------------------------

    def _term(self, file: File, what: Selection, name: str, values: dict[str, Any]) -> str:
        """The condition that rows of a file meet a selection; links go with an end that goes."""
        terms = [self._own_term(file, what, name, values)]
        if file.op == "unlink":
            for side in LINK_SIDES[file.table]:  # type: ignore[index]  # stored names are those of tables
                for other in self._removes(OBJECTS[side]):
                    inside = self._own_term(other, what, name, values)
                    terms.append(f'"{side}" IN (SELECT key FROM {table_of(other)} WHERE {inside})')
        return f"({' OR '.join(terms)})"

    def _own_term(self, file: File, what: Selection, name: str, values: dict[str, Any]) -> str:
        there = pq.read_schema(file.path).names
        terms = []
        if what.kind is not None and file.record:
            terms.append("true" if file.record == what.kind else "false")
        for column, value in (("kind", None if file.record else what.kind), ("of_school", what.school)):
            if value is not None:
                terms.append(f"coalesce({column} = ${name}{column}, false)" if column in there else "false")
                if column in there:
                    values[f"{name}{column}"] = value
        if what.objects:
            terms.append(f"id IN (SELECT unnest(${name}id))" if "id" in there else "false")
            if "id" in there:
                values[f"{name}id"] = list(what.objects)
        return f"({' AND '.join(terms) or 'true'})"

    def _removes(self, table: str) -> list[File]:
        return [one for one in self._files if one.op == "remove" and one.part == "apply" and one.table == table]

    def _going(self, file: File, rows: Sequence[Row]) -> dict[tuple[str, int], Row]:
        """The ends of links that go because an object goes."""
        found: dict[tuple[str, int], Row] = {}
        if file.op != "unlink" or not self._let or not rows:
            return found
        for side in LINK_SIDES[file.table]:  # type: ignore[index]  # stored names are those of tables
            keys = ", ".join(sorted({str(int(row[side])) for row in rows}))
            for other in self._removes(OBJECTS[side]):
                for key, object_id, school in self._db.execute(
                    f"SELECT key, id, of_school FROM {table_of(other)} WHERE key IN ({keys})"
                ).fetchall():
                    found[side, int(key)] = {"id": object_id, "school": school, "kind": other.record}
        return found


def _ends(file: File, row: Row) -> list[tuple[str, int]]:
    if file.of_objects:
        return []
    return [(side, int(row[side])) for side in LINK_SIDES[file.table]]  # type: ignore[index]  # as above


def _meets(one: Selection, row: Row) -> bool:
    """Whether an approval is about a row: id, school and kind of it."""
    return (
        one.kind in (None, row["kind"])
        and one.school in (None, row["school"])
        and (not one.objects or row["id"] in one.objects)
    )
