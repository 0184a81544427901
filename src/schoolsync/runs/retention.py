"""How long files of runs and uploads are kept: `retention_days` after use, and never the ones still needed.

Needed are the snapshot that the next run is compared with, the records that packages of changes go on from, the upload
that a reset reads again, and whatever an open run works with. Rows that tell what happened stay.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, delete, func, select, update

from schoolsync import ticks
from schoolsync.runs import previews
from schoolsync.runs.accepted import accepted_run
from schoolsync.runs.states import RunState
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.objects import Objects, objects_of
from schoolsync.store.tables import runs, tenants, upload_blocks, upload_files, uploads

DAY = 24 * 3600 * ticks.PER_SECOND
log = structlog.get_logger()


def sweep(control: Control, settings: Settings, now: int) -> int:
    """Delete the files of runs and uploads that are past their time; how many folders went."""
    before = now - settings.retention_days * DAY
    objects = objects_of(settings)
    gone = _sweep_previews(control, objects, now)
    for folder, _ in chain(objects.folders("runs"), objects.folders("uploads")):
        tenant_id, profile, kind, name = folder.parts[-5], *folder.parts[-3:]
        past = _run_is_past if kind == "runs" else _upload_is_past
        if past(control, tenant_id, profile, name, before) and _dropped(objects, folder):
            log.info("files deleted after their time", profile=profile, kind=kind, id=name)
            gone += 1
    return gone


def _dropped(objects: Objects, folder: Path) -> bool:
    """Whether the folder is gone; one that cannot be deleted is tried again at the next sweep."""
    try:
        objects.drop_folder(folder)
    except OSError as problem:
        log.warning("files cannot be deleted", id=folder.name, problem=problem.strerror)
        return False
    return True


def _sweep_previews(control: Control, objects: Objects, now: int) -> int:
    """Delete previews that are past their time, or whose profile is gone; files before rows."""
    with control.read() as connection:
        past = previews.expired(connection, now)
    for tenant, preview in past:
        with control.read() as connection:
            tenant_id = connection.execute(select(tenants.c.id).where(tenants.c.number == tenant)).scalar_one()
        if not _dropped(objects, objects.path(f"tenants/{tenant_id}/profiles/{preview}")):
            continue
        with control.write(tenant) as connection:
            previews.forget(connection, tenant, preview)
    return len(past)


def _run_is_past(control: Control, tenant_id: str, profile: str, run: str, before: int) -> bool:
    mine = (runs.c.tenant == _number(tenant_id), runs.c.profile == profile)
    with control.read() as connection:
        row = connection.execute(select(runs.c.ended).where(*mine, runs.c.id == run)).one_or_none()
        last = connection.execute(
            select(runs.c.snapshot).where(*mine, runs.c.snapshot.is_not(None)).order_by(runs.c.number.desc()).limit(1)
        ).scalar_one_or_none()
        told = connection.execute(
            select(runs.c.id)
            .where(*mine, runs.c.stage.in_((RunState.PLANNING, RunState.APPLYING)), runs.c.undoes.is_(None))
            .order_by(runs.c.number.desc())
            .limit(1)
        ).scalar_one_or_none()
    if (last is not None and run in Path(last).parts) or run == told:
        return False
    return row is not None and row.ended is not None and row.ended < before


def _upload_is_past(control: Control, tenant_id: str, profile: str, upload: str, before: int) -> bool:
    mine = (uploads.c.tenant == _number(tenant_id), uploads.c.profile == profile)
    with control.write() as connection:
        sealed = connection.execute(
            select(uploads.c.sealed).where(*mine, uploads.c.id == upload, uploads.c.state == "sealed")
        ).scalar_one_or_none()
        last = connection.execute(select(func.max(uploads.c.sealed)).where(*mine)).scalar_one_or_none()
        used = connection.execute(
            select(func.count())
            .select_from(runs)
            .where(runs.c.tenant == _number(tenant_id), runs.c.profile == profile, runs.c.upload == upload)
            .where(runs.c.ended.is_(None))
        ).scalar_one()
        standing = accepted_run(connection, _number(tenant_id), profile)
        if sealed is None or sealed >= before or sealed == last or used:
            return False
        if standing is not None and standing.upload == upload:
            return False
        drop_upload(connection, _number(tenant_id), profile, upload)
    return True


def drop_upload(connection: Connection, tenant: Any, profile: str, upload: str) -> None:
    """Forget an upload's files, whose bytes the caller deletes. `tenant` is its number, or an expression for it."""
    for table in (upload_files, upload_blocks):
        connection.execute(
            delete(table).where(table.c.tenant == tenant, table.c.profile == profile, table.c.upload == upload)
        )
    connection.execute(
        update(uploads)
        .where(uploads.c.tenant == tenant, uploads.c.profile == profile, uploads.c.id == upload)
        .values(state="gone")
    )


def _number(tenant_id: str) -> object:
    """The tenant's number, as part of a query."""
    return select(tenants.c.number).where(tenants.c.id == tenant_id).scalar_subquery()
