"""How long files of runs and uploads are kept: `retention_days` after use, and never the ones still needed.

Needed are the snapshot that the next run is compared with, the records that packages of changes go on from, the uploads
that a reset or a retry reads again, and whatever an open run works with. Rows that tell what happened stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete, func, literal, select, tuple_, update

from schoolsync import ticks
from schoolsync.runs import previews
from schoolsync.runs.accepted import accepted, newest
from schoolsync.runs.states import RunState
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import runs, tenants, upload_blocks, upload_files, uploads
from schoolsync.store.objects import Objects, objects_of

AT_ONCE = 500
"""So many folders are asked about in one query."""
DAY = 24 * 3600 * ticks.PER_SECOND
log = structlog.get_logger()


def sweep(control: Control, settings: Settings, now: int) -> int:
    """Delete the files of runs and uploads that are past their time; how many folders went."""
    before = now - settings.retention_days * DAY
    objects = objects_of(settings)
    gone = _sweep_previews(control, objects, now)
    for kind, past in (("runs", _past_runs), ("uploads", _past_uploads)):
        folders = (folder for folder, _ in objects.folders(kind))
        while some := list(islice(folders, AT_ONCE)):
            names = past(control, [folder.name for folder in some], before)
            for folder in some:
                tenant_id, profile = folder.parts[-5], folder.parts[-3]
                if (tenant_id, profile, folder.name) in names and _dropped(objects, folder):
                    log.info("files deleted after their time", profile=profile, kind=kind, id=folder.name)
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


Names = set[tuple[str, str, str]]
"""Tenant's id, profile and id of a run or an upload."""


def _past_runs(control: Control, ids: list[str], before: int) -> Names:
    """Which of these runs ended before that time and have nothing that is still needed."""
    mine = runs.alias()
    same = (runs.c.tenant == mine.c.tenant, runs.c.profile == mine.c.profile)
    newest = select(runs.c.snapshot).where(*same, runs.c.snapshot.is_not(None)).order_by(runs.c.number.desc()).limit(1)
    told = (
        select(runs.c.id)
        .where(*same, runs.c.stage.in_((RunState.PLANNING, RunState.APPLYING)), runs.c.undoes.is_(None))
        .order_by(runs.c.number.desc())
        .limit(1)
    )
    kept = func.coalesce(newest.scalar_subquery(), "")
    with control.read() as connection:
        rows = connection.execute(
            select(tenants.c.id, mine.c.profile, mine.c.id)
            .join(tenants, tenants.c.number == mine.c.tenant)
            .where(
                *(mine.c.id.in_(ids), mine.c.ended < before),
                *(
                    kept.not_like(literal("%/") + mine.c.id + "/%"),
                    mine.c.id != func.coalesce(told.scalar_subquery(), ""),
                ),
            )
        ).all()
    return {(row[0], row[1], row[2]) for row in rows}


def _past_uploads(control: Control, ids: list[str], before: int) -> Names:
    """Which of these uploads were sealed before that time and are not needed any more; they are forgotten at once."""
    other = uploads.alias()
    last_sealed = select(func.max(other.c.sealed)).where(
        other.c.tenant == uploads.c.tenant, other.c.profile == uploads.c.profile
    )
    used = select(runs.c.id).where(
        *(runs.c.tenant == uploads.c.tenant, runs.c.profile == uploads.c.profile),
        *(runs.c.upload == uploads.c.id, runs.c.ended.is_(None)),
    )
    # A failed run is tried again with its own files, also when newer ones were sealed since and discarded.
    again = [
        query(uploads.c.tenant, uploads.c.profile, runs.c.upload).scalar_subquery() for query in (accepted, newest)
    ]
    past = (
        select(tenants.c.id, uploads.c.profile, uploads.c.id, uploads.c.tenant)
        .join(tenants, tenants.c.number == uploads.c.tenant)
        .where(
            *(uploads.c.id.in_(ids), uploads.c.state == "sealed", uploads.c.sealed < before),
            *(uploads.c.sealed < last_sealed.scalar_subquery(), ~used.exists()),
            *(uploads.c.id != func.coalesce(upload, "") for upload in again),
        )
    )
    with control.read() as connection:
        if connection.execute(past.limit(1)).first() is None:
            return set()
    with control.write() as connection:
        rows = connection.execute(past).all()
        drop_uploads(connection, [(row.tenant, row.profile, row[2]) for row in rows])
    return {(row[0], row[1], row[2]) for row in rows}


def drop_uploads(connection: Connection, uploaded: Sequence[tuple[int, str, str]]) -> None:
    """Forget the files of uploads (tenant's number, profile, id), whose bytes the caller deletes."""
    for table in (upload_files, upload_blocks):
        connection.execute(delete(table).where(tuple_(table.c.tenant, table.c.profile, table.c.upload).in_(uploaded)))
    connection.execute(
        update(uploads)
        .where(tuple_(uploads.c.tenant, uploads.c.profile, uploads.c.id).in_(uploaded))
        .values(state="gone")
    )
