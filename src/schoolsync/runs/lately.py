# ruff: noqa: S608  # what is put into these statements are names of ours
"""What earlier runs took away within the window of the guards, as a plan's guards count it.

A run that came to its end has left a tally beside its plan. Of one that was cut off the ledger of the directory says
which batches it had written; what a person had approved is not counted.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb

from schoolsync.plan.guards import PUPILS
from schoolsync.runs import snapshots
from schoolsync.runs.job import CutOff, Job
from schoolsync.runs.stored_plan import Plans
from schoolsync.store.objects import Objects
from schoolsync.targets.local import LocalDirectory


def load(db: duckdb.DuckDBPyConnection, job: Job, objects: Objects, directory: LocalDirectory) -> None:
    """Fill `planned.lately` (kind, school, held, gone); files that are past their time are passed over."""
    for path in map(Path, job.tallies):
        objects.fetch_folder(path.parent, path.name)
        if path.is_file():
            db.execute("INSERT INTO planned.lately BY NAME FROM read_parquet($1)", [str(path)])
    for one in job.cut_off:
        _load_cut_off(db, one, objects, directory)


def _load_cut_off(db: duckdb.DuckDBPyConnection, one: CutOff, objects: Objects, directory: LocalDirectory) -> None:
    written = {number for number, rows in directory.rows_applied(one.run).items() if rows}
    if not written:
        return
    objects.fetch_folder(Path(one.folder), "plan-*")
    with closing(Plans(Path(one.folder))) as plans:
        plan = plans.latest()
        if plan is None or not plans.tally(plan).is_file():
            return
        db.execute('CREATE OR REPLACE TEMP TABLE cut_off (kind VARCHAR, school VARCHAR, "class" BIGINT)')
        for rows in plans.taken(plan, written):
            db.register("arrived", rows)
            db.execute("INSERT INTO cut_off BY NAME FROM arrived")
            db.unregister("arrived")
        # Its own tally knows how many there were of each kind, and which of them are counted.
        db.execute(
            """
            INSERT INTO planned.lately
            WITH taken AS (
                SELECT kind, CASE WHEN grouping(school) = 0 THEN coalesce(school, '') END AS school, count(*) AS gone
                FROM cut_off GROUP BY GROUPING SETS ((kind, school), (kind))
            )
            SELECT t.kind, t.school, t.held, least(t.gone, taken.gone)
            FROM read_parquet($1) AS t
            JOIN taken ON taken.kind = t.kind AND taken.school IS NOT DISTINCT FROM t.school
            """,
            [str(plans.tally(plan))],
        )
        if (plans.snapshot(plan) / "classes.parquet").is_file():
            classes = snapshots.relation(plans.snapshot(plan), "classes")
            db.execute(
                f"""
                INSERT INTO planned.lately
                SELECT t.kind, t.school, t.held, least(t.gone, taken.gone) FROM read_parquet($1) AS t JOIN (
                    SELECT c.source_id AS school, count(*) AS gone FROM cut_off JOIN {classes} AS c ON c.key = "class"
                    WHERE cut_off.kind = 'studentEnrollment' GROUP BY ALL
                ) AS taken ON taken.school = t.school WHERE t.kind = '{PUPILS}'
                """,
                [str(plans.tally(plan))],
            )
