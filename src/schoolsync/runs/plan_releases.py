# ruff: noqa: S608  # what is put into these statements are names of ours and numbers; values are bound
"""Whose yes has let which steps of a held plan go, read from what the engine wrote beside the plan.

The engine filters whole batches by the same rules (`runs.stored_plan`); here they are asked about single steps.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from schoolsync import ticks
from schoolsync.plan.kinds import LINK_SIDES
from schoolsync.plan.steps import FRESH
from schoolsync.runs import snapshots
from schoolsync.runs.plan_files import OBJECTS, File, table_of
from schoolsync.runs.plan_question import Picked, Yes
from schoolsync.runs.selections import Release, Selection
from schoolsync.runs.stored_plan import COMING, GOING, Description, held_ops, is_waived, let, waits_for_held


class Releases:
    """What people have let go of one plan."""

    def __init__(self, db: duckdb.DuckDBPyConnection, folder: Path, plan: Description, files: Sequence[File]) -> None:
        self._db = db
        self._plan = plan
        self._planned = plan.planned
        self._files = files
        self._let = let(folder, plan)
        self._snapshot = folder / plan.folder / "snapshot"
        self._first_key = plan.first_key
        self._ends = list(itertools.accumulate(batch.rows for batch in plan.batches)) if self._let else []

    def holds(self, file: File) -> bool:
        """Whether a guard holds, or held, the steps of a file."""
        return self._planned.held is not None and file.part == "apply" and held_ops(self._planned.holds, file.op)

    def waived(self, file: File) -> tuple[Yes, ...]:
        """Whose limits for this plan alone let the steps of a file go that would be held otherwise."""
        yes = self._planned.waiver
        if yes is None or file.part != "apply" or not is_waived(self._plan, file.op):
            return ()
        return (Yes(approval=yes.id, person=yes.person, given=ticks.text(yes.given)),)

    def given(self, file: File, places: Sequence[int]) -> list[tuple[Yes, ...]]:
        """For places in a file: whose yes let the step there go."""
        found: dict[int, list[Yes]] = {place: [] for place in places}
        by_release: dict[int, list[int]] = {}
        for place in places:
            number = sum(one.batch <= bisect.bisect_right(self._ends, file.first + place) for one in self._let)
            if number:
                by_release.setdefault(number - 1, []).append(place)
        for number, inside in by_release.items():
            release = self._let[number].release
            for one in release.given:
                values: dict[str, Any] = {"file": str(file.path), "places": inside}
                term = self._term(file, one.what, release, "y", values)
                rows = self._db.execute(
                    "SELECT file_row_number FROM read_parquet($file, file_row_number = true) "
                    f"WHERE file_row_number IN (SELECT unnest($places)) AND {term}",
                    values,
                ).fetchall()
                for (place,) in rows:
                    found[int(place)].append(Yes(approval=one.id, person=one.person, given=ticks.text(one.given)))
        return [tuple(found[place]) for place in places]

    def picked(self, what: Selection) -> Picked:
        """What a yes to a part of the plan would be a yes to."""
        steps, without = 0, set(what.objects)
        for file in self._files:
            if not self.holds(file):
                continue
            values: dict[str, Any] = {"file": str(file.path)}
            met = f"FROM read_parquet($file) WHERE {self._own_term(file, what, 'y', values)}"
            ((count,),) = self._db.execute(f"SELECT count(*) {met}", values).fetchall()
            steps += int(count)
            if count and without and file.of_objects:
                without -= {row[0] for row in self._db.execute(f"SELECT DISTINCT id {met}", values).fetchall()}
        return Picked(steps=steps, without=tuple(sorted(without)))

    def condition(self, file: File) -> tuple[str, dict[str, Any]] | None:
        """The condition that rows of a held file were let go; None when all of them are, or none is held."""
        if not (self.holds(file) or self._follows(file)) or not self._let:
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
            terms = [
                self._term(file, what, one.release, f"y{number}_{n}", values)
                for n, what in enumerate(one.release.selections)
            ]
            parts.append(f"({place} AND ({' OR '.join(terms)}))")
        return (f"({' OR '.join(parts)})" if parts else "false"), values

    def _follows(self, file: File) -> bool:
        """Whether new links of a file wait for objects that are held, without being held themselves."""
        return file.part == "apply" and waits_for_held(self._planned.holds, file.op)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _term(self, file: File, what: Selection, release: Release, name: str, values: dict[str, Any]) -> str:
        """The condition that rows of a file meet a selection; links come and go with an end that does.

        What the release is `without` stays. A new link waits for ends that are not there before a step that is not
        let go.
        """
        follows = self._follows(file)
        own = "true" if follows else self._own_term(file, what, name, values)
        stays = [] if follows else [self._own_term(file, one, f"{name}s{n}", values) for n, one in _each(release)]
        if file.of_objects or (what.whole and release.whole):
            return _but(own, stays)
        goes = file.op == "unlink"
        moves, waits = [], ["true"]
        for side in LINK_SIDES[file.table]:  # type: ignore[index]  # stored names are those of tables
            for n, other in enumerate(self._moves(OBJECTS[side], GOING if goes else COMING)):
                place = f"{name}{side}{n}"
                some = f'"{side}" IN (SELECT key FROM {table_of(other)} WHERE '
                stay = [self._own_term(other, one, f"{place}s{m}", values) for m, one in _each(release)]
                moves.append(f"{some}{_but(self._own_term(other, what, place, values), stay)})")
                if goes:
                    stays += [f"{some}{one})" for one in stay]
                elif self.holds(other):
                    known = [
                        self._own_term(other, one, f"{place}w{m}", values) for m, one in enumerate(release.selections)
                    ]
                    waits.append(f"NOT {some}NOT {_but(' OR '.join(known), stay)})")
        if goes:
            return f"({' OR '.join([_but(own, stays), *moves])})"
        return f"({_but(' OR '.join([own, *moves]), stays)} AND {' AND '.join(waits)})"

    def _own_term(self, file: File, what: Selection, name: str, values: dict[str, Any]) -> str:
        terms = []
        if what.kind is not None:
            terms.append(self._kind_term(file, what.kind, name, values))
        if what.school is not None:
            terms.append(self._school_term(file, what.school, name, values))
        if what.objects:
            terms.append(f"id IN (SELECT unnest(${name}id))" if file.of_objects else "false")
            if file.of_objects:
                values[f"{name}id"] = list(what.objects)
        return f"({' AND '.join(terms) or 'true'})"

    def _kind_term(self, file: File, kind: str, name: str, values: dict[str, Any]) -> str:
        if file.record:
            return "true" if file.record == kind else "false"
        if file.op == "unlink":
            values[f"{name}kind"] = kind
            return f"coalesce(kind = ${name}kind, false)"
        if file.table == "class_people":
            return {"teacherRoster": "teacher", "studentEnrollment": "NOT teacher"}.get(kind, "false")
        if file.table == "school_classes":
            return "true" if kind == "schoolSections" else "false"
        role = kind.removesuffix("Schools") if kind.endswith("Schools") else ""
        return self._having("person", "primary_role", role, f"{name}kind", values)

    def _school_term(self, file: File, school: str, name: str, values: dict[str, Any]) -> str:
        if file.of_objects or file.op == "unlink":
            values[f"{name}of_school"] = school
            return f"coalesce(of_school = ${name}of_school, false)"
        side = LINK_SIDES[file.table][0]  # type: ignore[index]  # as above
        place = "source_id" if side == "school" else "school_source_id"
        return self._having(side, place, school, f"{name}of_school", values)

    def _having(self, side: str, column: str, value: str, name: str, values: dict[str, Any]) -> str:
        """The condition that an end of a link has a value once the plan is applied."""
        if not snapshots.files(self._snapshot, OBJECTS[side]):
            return "false"
        values[name] = value
        known = snapshots.relation(self._snapshot, OBJECTS[side])
        first = self._first_key
        key = f"CASE WHEN key >= {first} THEN key - {first} + {FRESH} ELSE key END"
        return f'"{side}" IN (SELECT {key} FROM {known} WHERE {column} = ${name})'

    def _moves(self, table: str, ops: Collection[str]) -> list[File]:
        return [one for one in self._files if one.op in ops and one.part == "apply" and one.table == table]


def _each(release: Release) -> Iterator[tuple[int, Selection]]:
    return enumerate(release.without)


def _but(term: str, others: Sequence[str]) -> str:
    """That a row meets the one and none of the others."""
    return f"(({term}){''.join(f' AND NOT {other}' for other in others)})"
