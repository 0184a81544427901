"""What happens to profiles without a request: provisioning, deletion, expiry. Called by the worker over and over.

One look at the database tells whether there is anything to do. Files go before rows, so that what is interrupted is
found again and finished; nothing here ever touches the directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Row, Select, and_, or_, select, update

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.profiles import configuration, service, status
from schoolsync.profiles.states import State
from schoolsync.profiles.status import Status
from schoolsync.runs.states import Cause, OpenRun, RunState, Wish
from schoolsync.store import control_tables
from schoolsync.store.control_tables import profile_status, profiles, runs, tenants
from schoolsync.store.objects import objects_of

if TYPE_CHECKING:
    from schoolsync.runs.service import Runs
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control

BELONGINGS = (
    control_tables.secrets,
    control_tables.profile_status,
    control_tables.profile_conditions,
    control_tables.notices,
    control_tables.runs,
    control_tables.errors,
    control_tables.approvals,
    control_tables.rekeys,
    control_tables.upload_blocks,
    control_tables.upload_files,
    control_tables.uploads,
    control_tables.console_links,
)

log = structlog.get_logger()


def sweep(control: Control, settings: Settings, runs: Runs, now: int) -> bool:
    """Do what is due for any profile; whether anything changed. May be called at any time, and again after a crash."""
    busy = False
    for row in _due(control, now):
        if row.state == State.PROVISIONING:
            busy |= _provision(control, settings, runs, row, now)
        elif row.state == State.DELETING:
            busy |= _remove(control, settings, runs, row, now)
        else:
            busy |= _expire(control, runs, row, now)
    return busy


def _due(control: Control, now: int) -> list[Row[Any]]:
    with control.read() as connection:
        return list(connection.execute(wanted(ticks.text(now)[:10])))


def wanted(today: str) -> Select[Any]:
    """The query for the profiles that something is due for on this day."""
    return (
        select(profiles.c.tenant, profiles.c.id, profiles.c.state, tenants.c.id.label("tenant_id"))
        .join(tenants, tenants.c.number == profiles.c.tenant)
        .join(
            profile_status,
            and_(profile_status.c.tenant == profiles.c.tenant, profile_status.c.profile == profiles.c.id),
        )
        .where(
            or_(
                profiles.c.state.in_([State.PROVISIONING, State.DELETING]),
                and_(
                    profiles.c.state == State.PROVISIONED,
                    profiles.c.expiration_date <= today,
                    profile_status.c.own_status.is_distinct_from(Status.PAUSED),
                ),
            )
        )
    )


def _folder(settings: Settings, row: Row[Any]) -> Path:
    return settings.objects / "tenants" / str(row.tenant_id) / "profiles" / str(row.id)


def _still(connection: Connection, row: Row[Any]) -> Row[Any] | None:
    """The profile as it is now, when it still is in the state that was seen."""
    return connection.execute(
        select(profiles).where(profiles.c.tenant == row.tenant, profiles.c.id == row.id, profiles.c.state == row.state)
    ).one_or_none()


def _move(connection: Connection, row: Row[Any], state: State, now: int) -> None:
    connection.execute(
        update(profiles)
        .where(profiles.c.tenant == row.tenant, profiles.c.id == row.id)
        .values(state=state, version=profiles.c.version + 1, changed=now)
    )
    log.info("profile moved", tenant=row.tenant_id, profile=row.id, state=str(state), before=row.state)


def _provision(control: Control, settings: Settings, own_runs: Runs, row: Row[Any], now: int) -> bool:
    """Make room for the profile's files; a profile that fetches its roster by itself begins its first run."""
    problem: OSError | None = None
    try:
        _make_private(_folder(settings, row), below=settings.objects)
    except OSError as error:
        problem = error
    with control.write(row.tenant) as connection:
        profile = _still(connection, row)
        if profile is None:
            return False
        if problem is not None:
            _move(connection, row, State.PROVISIONING_FAILED, now)
            _explain(connection, row, f"The profile's storage cannot be used: {problem.strerror}.", now)
            return True
        _move(connection, row, State.PROVISIONED, now)
        if not configuration.stored(profile, {}).is_csv and _never_ran(connection, row):
            expired = configuration.expired(profile.expiration_date, now=now)
            if not expired and status.own(connection, tenant=row.tenant, profile=row.id) != Status.PAUSED:
                own_runs.begin(connection, row.tenant, row.id, cause=Cause.PROVISIONED, upload=None, now=now)
        return True


def _make_private(folder: Path, *, below: Path) -> None:
    """Make `folder` and its parents down from `below`, for nobody but us."""
    below.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = below
    for part in folder.relative_to(below).parts:
        path = path / part
        path.mkdir(mode=0o700, exist_ok=True)


def _never_ran(connection: Connection, row: Row[Any]) -> bool:
    return (
        connection.execute(
            select(runs.c.id).where(runs.c.tenant == row.tenant, runs.c.profile == row.id).limit(1)
        ).one_or_none()
        is None
    )


def _remove(control: Control, settings: Settings, own_runs: Runs, row: Row[Any], now: int) -> bool:
    """Delete a profile once no run of it works any more: files first, then rows."""
    with control.write(row.tenant) as connection:
        if _still(connection, row) is None:
            return False
        run = own_runs.open_run(connection, row.tenant, row.id)
        if run is not None and not _cancel(connection, row, run, now):
            return False
    folder = _folder(settings, row)
    try:
        objects_of(settings).drop_folder(folder)
    except OSError as problem:
        with control.write(row.tenant) as connection:
            if _still(connection, row) is not None:
                _move(connection, row, State.DELETION_FAILED, now)
                _explain(connection, row, f"The profile's files cannot be deleted: {problem.strerror}.", now)
        return True
    with control.write(row.tenant) as connection:
        profile = _still(connection, row)
        if profile is not None:
            service.forget(connection, profile, belongings=BELONGINGS, now=now)
            log.info("profile gone", tenant=row.tenant_id, profile=row.id)
    return True


def _cancel(connection: Connection, row: Row[Any], run: OpenRun, now: int) -> bool:
    """End an open run; False while a worker still has it and must put it down first."""
    this = (runs.c.tenant == row.tenant, runs.c.profile == row.id, runs.c.id == run.id)
    if run.active and run.state != RunState.QUEUED:
        if run.wish not in {Wish.CANCEL, Wish.CANCEL_PAUSED}:
            connection.execute(update(runs).where(*this).values(wish=Wish.CANCEL))
        return False
    connection.execute(update(runs).where(*this).values(state=RunState.CANCELLED, ended=now))
    return True


def _expire(control: Control, own_runs: Runs, row: Row[Any], now: int) -> bool:
    """Pause a profile whose last day has come, and say so."""
    ourselves = Principal(
        tenant=row.tenant, tenant_id=row.tenant_id, kind="none", grants=frozenset(), client="schoolsync"
    )
    with control.write(row.tenant) as connection:
        profile = _still(connection, row)
        if profile is None or not configuration.expired(profile.expiration_date, now=now):
            return False
        own_runs.pause(connection, row.tenant, row.id, now=now, by=ourselves)
        if status.own(connection, tenant=row.tenant, profile=row.id) != Status.PAUSED:
            return False  # a reset is being heeded; the next look pauses what it begins
        _explain(connection, row, f"Paused: the profile expired on {profile.expiration_date}.", now)
        log.info("profile expired", tenant=row.tenant_id, profile=row.id)
        return True


def _explain(connection: Connection, row: Row[Any], message: str, now: int) -> None:
    status.change(connection, tenant=row.tenant, profile=row.id, status_message=message, last_activity=now)
