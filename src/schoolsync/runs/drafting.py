"""What goes into the draft of a plan, out of the engine that the plan is worked out in."""

from __future__ import annotations

from pathlib import Path

import duckdb

from schoolsync.plan import alike, steps
from schoolsync.plan.desired import OBJECT_TABLES, Terms
from schoolsync.runs.stored_plan import Draft

_WIDE, _NARROW = 16_384, 131_072
"""Rows that are taken over at a time, of objects and of links."""


def add_step(
    draft: Draft, step: steps.Step, counted: dict[str, dict[str, int]], batch_rows: int, db: duckdb.DuckDBPyConnection
) -> int:
    """Store the rows of a step and count them by kind and by what is done; returns how many there are."""
    if step.among is not None and not db.execute(f"SELECT 1 FROM {step.among} LIMIT 1").fetchall():  # noqa: S608  # ours
        return 0
    rows = draft.add(step, db.sql(step.query).to_arrow_reader, batch_rows)
    if rows:
        ops = counted.setdefault(step.kind, {})
        ops[step.counted] = ops.get(step.counted, 0) + rows
    return rows


def add_snapshot(draft: Draft, table: str, query: str, db: duckdb.DuckDBPyConnection) -> None:
    """Store what the directory will hold in a table, or what is remembered beside it."""
    draft.add_snapshot(table, db.sql(query).to_arrow_reader(_WIDE if table in OBJECT_TABLES else _NARROW))


def add_sizes(draft: Draft, terms: Terms, own: bool, db: duckdb.DuckDBPyConnection) -> None:
    """Store the sizes of classes, from the memberships that have been stored; see `alike.sizes_after`."""
    add_snapshot(draft, alike.SIZES, alike.sizes_after(terms, draft.snapshot_of("class_people"), own=own), db)


def take_along(draft: Draft, layered: Path, _: duckdb.DuckDBPyConnection) -> None:
    """Have what an earlier snapshot says as well."""
    draft.take_along(layered)


def add_table(draft: Draft, name: str, query: str, db: duckdb.DuckDBPyConnection) -> None:
    """Store what belongs to the plan and is not applied."""
    draft.add_table(name, db.sql(query).to_arrow_reader(_WIDE))


def defer(draft: Draft, step: steps.Step, db: duckdb.DuckDBPyConnection) -> None:
    """Store a step that is listed and not applied."""
    draft.defer(step, db.sql(step.query).to_arrow_reader(_WIDE))
