"""The roster that stands: the newest one that was let through and not taken back.

Runs that begin by themselves, at a date or by the clock, work with it. A roster whose plan a person threw away is not
taken up again behind that person's back, and the dates on which something of the standing one begins or ends are kept
whatever became of newer ones.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Exists, Row, Select, select, update

from schoolsync.runs.apart import of_all
from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import profiles, runs, uploads


def accepted(tenant: Any, profile: Any, *columns: Any) -> Select[Any]:
    """The query for these columns of the newest run whose roster is in the directory, as far as a person let it.

    `tenant` (its number) and `profile` are values, or columns of an outer query.
    """
    return (
        select(*columns)
        .where(*_whole(tenant, profile), runs.c.state == RunState.DONE, ~_taken_back())
        .order_by(runs.c.number.desc())
        .limit(1)
    )


def accepted_run(connection: Connection, tenant: int, profile: str) -> Row[Any, Any] | None:
    """That run's `upload` and `summary`."""
    return connection.execute(accepted(tenant, profile, runs.c.upload, runs.c.summary)).one_or_none()


def newest(tenant: Any, profile: Any, *columns: Any) -> Select[Any]:
    """The query for these columns of the newest run that came to something; one that failed is tried again.

    `tenant` (its number) and `profile` are values, or columns of an outer query.
    """
    return (
        select(*columns)
        .where(*_whole(tenant, profile), runs.c.state.in_([RunState.DONE, RunState.FAILED, RunState.CANCELLED]))
        .order_by(runs.c.number.desc())
        .limit(1)
    )


def upload_of_itself(connection: Connection, tenant: int, profile: str) -> str | None:
    """The upload that a run without a person's word works with, or None: there is none, or a person must decide first.

    What the world made fail is tried again, unless its files are still in the inbox: somebody may be replacing them,
    and a start reads them. What a person cut off halfway waits for a reset, a start or an undo.
    """
    last = connection.execute(
        newest(
            *(tenant, profile),
            *(runs.c.state, runs.c.stage, runs.c.rows_total, runs.c.upload, _taken_back().label("taken_back")),
            _in_inbox().label("in_inbox"),
        )
    ).one_or_none()
    if last is not None and last.state == RunState.FAILED and not last.in_inbox:
        return str(last.upload)
    cut_off = last is not None and last.state == RunState.CANCELLED and last.stage == RunState.APPLYING
    if last is not None and cut_off and last.rows_total != 0 and not last.taken_back:
        return None
    found = accepted_run(connection, tenant, profile)
    return None if found is None else str(found.upload)


def due_again(
    connection: Connection, tenant: int, profile: str, *, since: int, now: int, retry: int | None = None
) -> None:
    """Wake the profile for the dates of the standing roster, which a run that has just ended did not see to.

    `since` is when that run was asked for, `retry` when it is to be tried again; both and `now` in ticks.
    """
    standing = accepted_run(connection, tenant, profile)
    wakes = None if standing is None else json.loads(standing.summary or "{}").get("wakes")
    times = [time for time in (retry, wakes if wakes is not None and wakes > since else None) if time is not None]
    connection.execute(
        update(profiles)
        .where(profiles.c.tenant == tenant, profiles.c.id == profile)
        .values(due=max(min(times), now) if times else None)
    )


def _whole(tenant: Any, profile: Any) -> tuple[Any, ...]:
    """The runs of a profile that read a whole roster."""
    return (
        runs.c.tenant == tenant,
        runs.c.profile == profile,
        *of_all(),
        runs.c.undoes.is_(None),
        runs.c.upload.is_not(None),
    )


def _in_inbox() -> Exists:
    """Whether the files that the run has read may still be replaced."""
    mine = (uploads.c.tenant == runs.c.tenant, uploads.c.profile == runs.c.profile, uploads.c.id == runs.c.upload)
    return select(uploads.c.id).where(*mine, uploads.c.state == "open").exists()


def _taken_back() -> Exists:
    """Whether an undo of the run has been applied."""
    undo = runs.alias()
    mine = (undo.c.tenant == runs.c.tenant, undo.c.profile == runs.c.profile, undo.c.undoes == runs.c.id)
    return select(undo.c.id).where(*mine, undo.c.state == RunState.DONE).exists()
