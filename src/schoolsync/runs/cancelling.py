"""Ending a run for good: what a cancel means in each state, what the profile shows then, and what had been applied.

A run at work ends between two batches; any other open run ends at once. What it applied stays: the ledger of the
directory says which batches that were, `undo` takes them back, and a reset or a new start completes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, func, select, update

from schoolsync.errors import Conflict
from schoolsync.profiles import status as statuses
from schoolsync.runs.accepted import due_again
from schoolsync.runs.states import ACTIVE, ENDED, RunState, Wish
from schoolsync.store.control_tables import runs
from schoolsync.store.directory_tables import batches

if TYPE_CHECKING:
    from schoolsync.runs.service import Runs

CANCELLING = "Cancelling: the batch at work is finished first."


@dataclass(frozen=True, slots=True)
class Applied:
    """What of a run is in the directory, as its ledger says."""

    batches: int
    rows: int


def cancel(connection: Connection, runs_: Runs, row: Row[Any], *, by: str, why: str | None, now: int) -> None:
    """End an open run (its row); twice is once. Raises Conflict when it has ended otherwise."""
    if row.state == RunState.CANCELLED:
        return
    if row.state in ENDED:
        raise Conflict(
            f"Run {row.number} is {row.state}: it has ended already. Undo takes back what a run has changed."
        )
    said = f"Cancelled by {by}" + (f": {why}" if why else ".")
    if row.state in ACTIVE - {RunState.QUEUED}:
        if row.wish in {Wish.CANCEL, Wish.CANCEL_PAUSED}:
            return
        paused = row.wish in {Wish.PAUSE, Wish.RESET_PAUSED}
        _set(connection, row, wish=Wish.CANCEL_PAUSED if paused else Wish.CANCEL, message=said)
        if not paused:
            _record(connection, row, "inProgress", CANCELLING, now)
        return
    paused = row.state == RunState.PAUSED or row.wish in {Wish.RESET_PAUSED, Wish.CANCEL_PAUSED}
    _set(connection, row, state=RunState.CANCELLED, ended=now, wish=None, released=None, message=said)
    show(connection, runs_, row, paused=paused, now=now)


def show(connection: Connection, runs_: Runs, row: Row[Any], *, paused: bool, now: int) -> None:
    """The status of a profile whose run has just been cancelled; `row` is the run as it was before."""
    partly = row.stage == RunState.APPLYING
    message = cut_off(row.number) if partly else f"Run {row.number} was cancelled; nothing of it was changed."
    if partly:
        _set(connection, row, summary=json.dumps(json.loads(row.summary or "{}") | {"status": "error"}))
    if paused:
        _record(connection, row, "paused", f"Paused. {message}", now)
    else:
        status, _ = runs_.last_ending(connection, row.tenant, row.profile)
        _record(connection, row, "error" if partly else status, message, now)
    due_again(connection, row.tenant, row.profile, since=row.asked, now=now)


def cut_off(number: int) -> str:
    """What is to be said of a run that was ended between two of its batches."""
    return (
        f"Run {number} was cancelled while its plan was applied: the plan lists what is in the directory and what is "
        "not. Undo takes it back; a reset or a new start completes it."
    )


def applied(connection: Connection, tenant: int, run: str) -> Applied:
    """What the ledger says of a run; `connection` is one to the tenant's directory."""
    found = connection.execute(
        select(func.count(), func.coalesce(func.sum(batches.c.rows), 0)).where(
            batches.c.tenant == tenant, batches.c.run == run
        )
    ).one()
    return Applied(batches=int(found[0]), rows=int(found[1]))


def _set(connection: Connection, row: Row[Any], **values: Any) -> None:
    mine = (runs.c.tenant == row.tenant, runs.c.profile == row.profile, runs.c.id == row.id)
    connection.execute(update(runs).where(*mine).values(**values))


def _record(connection: Connection, row: Row[Any], status: str | None, message: str, now: int) -> None:
    statuses.record(connection, tenant=row.tenant, profile=row.profile, status=status, message=message, now=now)
