"""Runs that say nothing about how a profile as a whole fares: of one alone, and the clean-up of one that has expired.

Its status, its errors, the time of its last synchronization and what is due stay as they were.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement

from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import runs
from schoolsync.store.json_text import json_text


def of_all(table: Any = runs) -> tuple[ColumnElement[bool], ...]:
    """The conditions that a run is none of them; `table` is that of runs, or an alias."""
    return table.c.only.is_(None), table.c.cleans.is_(None)


def ended_well() -> tuple[ColumnElement[bool], ...]:
    """The conditions that a whole run was applied, and not so much of it failed that its profile is quarantined."""
    status = json_text(runs.c.summary, "status")
    return runs.c.state == RunState.DONE, *of_all(), status.is_distinct_from("quarantined")


def is_apart(row: Any) -> bool:  # rows of queries for any columns
    """Whether a run is one of them, by the columns `only` and `cleans` of its row."""
    return row.only is not None or row.cleans is not None
