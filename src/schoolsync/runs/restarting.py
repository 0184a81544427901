"""Trying again on request: only what failed, the whole ladder of a quarantine, or everything.

Every scope begins a run that reads the last files again; nothing is ever deleted from the directory by it. What failed
may also be tried again in one school or of one kind alone, before the whole profile (`runs.one`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update

from schoolsync.access.principal import Principal
from schoolsync.errors import Conflict
from schoolsync.profiles import status as statuses
from schoolsync.runs.states import Cause, RunState
from schoolsync.store.control_tables import profiles
from schoolsync.store.control_tables import runs as runs_table

if TYPE_CHECKING:
    from schoolsync.runs.service import Runs
    from schoolsync.uploads.service import Uploads


class Scope(StrEnum):
    """How much is forgotten before the profile tries again."""

    FAILED_ITEMS = "failedItems"  # nothing: every record is looked at again, also when nothing has changed
    QUARANTINE = "quarantine"  # the failures so far: the ladder begins at its foot
    EVERYTHING = "everything"  # that, the errors, and what the last run left: as a reset


def restart(
    connection: Connection,
    runs: Runs,
    uploads: Uploads,
    *,
    tenant: int,
    profile: str,
    scope: Scope,
    by: Principal,
    now: int,
) -> None:
    """Begin a run of this scope. Raises Conflict while one is open, when the profile is paused or has no files yet."""
    date = runs.expired(connection, tenant, profile, now)
    if date is not None:
        raise Conflict(f"The profile expired on {date}: set a later expirationDate first.")
    if scope is Scope.EVERYTHING:
        runs.reset(connection, tenant, profile, now=now, by=by)
        return
    opened = runs.open_run(connection, tenant, profile)
    if opened is not None:
        raise Conflict(
            f"Run {opened.number} of the profile is {opened.state}: wait for its end, or cancel it. The scope "
            f"{Scope.EVERYTHING.value} ends it."
        )
    if statuses.own(connection, tenant=tenant, profile=profile) == statuses.Status.PAUSED:
        raise Conflict("The profile is paused: resume it first.")
    upload = uploads.latest_sealed(connection, tenant, profile)
    if upload is None:
        raise Conflict(without_files(connection, uploads, tenant, profile))
    if scope is Scope.QUARANTINE:
        forget(connection, tenant, profile, now)
    runs.begin(connection, tenant, profile, cause=Cause.AGAIN, upload=upload, now=now, by=by)


def without_files(connection: Connection, uploads: Uploads, tenant: int, profile: str) -> str:
    """What there is to say of a profile that has no upload to read: none came, or none is kept any more."""
    return statuses.FILES_ARE_GONE if uploads.let_go(connection, tenant, profile) else statuses.WAITS_FOR_FILES


def cut_off(connection: Connection, uploads: Uploads, tenant: int, profile: str) -> str | None:
    """The files in the inbox, if the last run was cut off while it looked at them: whoever sent them has started."""
    inbox = uploads.inbox(connection, tenant, profile)
    mine = (runs_table.c.tenant == tenant, runs_table.c.profile == profile)
    last = select(runs_table.c.upload, runs_table.c.state).where(*mine).order_by(runs_table.c.number.desc()).limit(1)
    row = connection.execute(last).one_or_none()
    return inbox if row is not None and row.upload == inbox and row.state == RunState.CANCELLED else None


def forget(connection: Connection, tenant: int, profile: str, now: int) -> None:
    """Runs that ended before now do not count on the ladder any more."""
    mine = (profiles.c.tenant == tenant, profiles.c.id == profile)
    connection.execute(update(profiles).where(*mine).values(forgiven=now))
