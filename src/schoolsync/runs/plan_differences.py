# ruff: noqa: S608  # what is put into these statements are names of ours; values are bound
"""What differs between two stored plans of a profile: steps that are new, gone, or come to something else.

Somebody has looked at one plan, and another one came out. Set by set, over the files of both; steps are told apart by
object, or by the two ends of a link, because the keys of objects that are yet to be made differ from plan to plan.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from schoolsync.plan.kinds import LINK_SIDES
from schoolsync.runs.plan_files import OBJECTS, File
from schoolsync.runs.plan_question import Difference, Differences, DifferentStep
from schoolsync.runs.plan_reader import Reading
from schoolsync.runs.stored_plan import KEYS, is_applied

LISTED = 50
"""So many steps are listed; all are counted."""


def differences(db: duckdb.DuckDBPyConnection, *, folder: str, earlier: str) -> Differences:
    """What the plan in `folder` has that the one in `earlier` has not, and the other way round."""
    plans = {"now": Reading(db, Path(folder)), "then": Reading(db, Path(earlier))}
    try:
        for name, plan in plans.items():
            parts = [_steps(plan, number, file) for number, file in enumerate(plan.files)]
            empty = "SELECT 0, 0::BIGINT, '', '', '', '', '', '', '' LIMIT 0"
            db.execute(
                f"CREATE OR REPLACE TEMP TABLE steps_{name} (file, place, part, op, kind, tbl, one, other, what) "
                f"AS {' UNION ALL '.join(parts) or empty}"
            )
        db.execute("""
            CREATE OR REPLACE TEMP TABLE differing AS
            SELECT n.file AS now_file, n.place AS now_place, t.file AS then_file, t.place AS then_place,
                coalesce(n.kind, t.kind) AS kind, coalesce(n.op, t.op) AS op,
                CASE WHEN t.op IS NULL THEN 'new' WHEN n.op IS NULL THEN 'gone' ELSE 'other' END AS how
            FROM steps_now AS n FULL JOIN steps_then AS t ON n.part = t.part AND n.op = t.op AND n.kind = t.kind
                AND n.tbl = t.tbl AND n.one IS NOT DISTINCT FROM t.one AND n.other IS NOT DISTINCT FROM t.other
            WHERE n.op IS NULL OR t.op IS NULL OR n.what IS DISTINCT FROM t.what
        """)
        counted = db.execute(
            "SELECT how, kind, op, count(*) FROM differing GROUP BY ALL ORDER BY how, count(*) DESC, kind, op"
        ).fetchall()
        listed = db.execute(
            "SELECT how, now_file, now_place, then_file, then_place FROM differing "
            f"ORDER BY how, coalesce(now_file, then_file), coalesce(now_place, then_place) LIMIT {LISTED}"
        ).fetchall()
    finally:
        for name in ("steps_now", "steps_then", "differing"):
            db.execute(f"DROP TABLE IF EXISTS {name}")
    steps = []
    for how, now_file, now_place, then_file, then_place in listed:
        plan, file, place = (
            (plans["then"], then_file, then_place) if how == "gone" else (plans["now"], now_file, now_place)
        )
        step = plan.step(plan.files[file].first + place)
        assert step is not None, "a step that was counted is there"
        steps.append(DifferentStep(how=how, step=step))
    return Differences(
        plan=plans["now"].plan.planned.plan,
        earlier=plans["then"].plan.planned.plan,
        counts=tuple(Difference(how=how, kind=kind, op=op, count=count) for how, kind, op, count in counted),
        steps=tuple(steps),
    )


def _steps(plan: Reading, number: int, file: File) -> str:
    """All steps of a file: where they are, what they are about, and what they come to."""
    names = pq.read_schema(file.path).names
    values = [name for name in names if is_applied(name, file.op) and name not in KEYS and name != "id"]
    told = ", ".join(
        f'CASE WHEN s."{name}" IS DISTINCT FROM {was} THEN \'{name}=\' || coalesce(s."{name}"::VARCHAR, chr(0)) END'
        for name in values
        for was in (f's."was_{name}"' if f"was_{name}" in names else "NULL",)
    )
    what = f"concat_ws(chr(31), {told})" if told else "''"
    head = f"SELECT {number} AS file, s.file_row_number AS place, '{file.part}' AS part, '{file.op}' AS op"
    source = f"read_parquet('{_quoted(file.path)}', file_row_number = true) AS s"
    if file.of_objects:
        return f"{head}, '{file.record}' AS kind, '{file.table}' AS tbl, s.id, NULL, {what} FROM {source}"
    left, right = LINK_SIDES[file.table]  # type: ignore[index]  # stored names are those of tables
    ends = " ".join(
        f"LEFT JOIN (SELECT {plan.step_key('key')} AS key, id FROM {plan.known(OBJECTS[side])}) AS {alias} "
        f'ON {alias}.key = s."{side}"'
        for side, alias in ((left, "l"), (right, "r"))
    )
    ids = [f'coalesce({alias}.id, s."{side}"::VARCHAR)' for side, alias in ((left, "l"), (right, "r"))]
    return (
        f"{head}, {plan.link_kind(file)} AS kind, '{file.table}' AS tbl, {', '.join(ids)}, {what} FROM {source} {ends}"
    )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
