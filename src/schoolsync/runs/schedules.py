"""Runs that begin by themselves: at the times of a schedule, when an upload is complete, or from a watched place.

The worker looks again and again; on PostgreSQL every worker does, and a transaction decides who begins. A schedule
that was missed, because nothing was running or the profile was paused, is caught up by one run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Row, and_, func, insert, select, update

from schoolsync import ticks
from schoolsync.profiles import schedules
from schoolsync.profiles.policy import OwnSettings, own_settings
from schoolsync.runs.accepted import upload_of_itself
from schoolsync.runs.service import CSV_PROVIDER, Runs
from schoolsync.runs.states import Cause, OpenRun, RunState
from schoolsync.runs.watching import Found, Place, fingerprint
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import (
    profile_status,
    profiles,
    runs,
    tenants,
    upload_blocks,
    upload_files,
    uploads,
)
from schoolsync.uploads import sets
from schoolsync.uploads.service import Uploads

AGAIN = 30 * ticks.PER_SECOND
"""A schedule that comes while files are being uploaded waits this long and looks again."""

log = structlog.get_logger()


class Schedules:
    """Begins what is to begin by itself."""

    def __init__(
        self,
        *,
        control: Control,
        settings: Settings,
        runs: Runs,
        uploads: Uploads,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._control = control
        self._settings = settings
        self._runs = runs
        self._uploads = uploads
        self._clock = clock
        self._new_id = new_id
        self._looked = 0  # when it was looked for times that have come
        self._said: set[tuple[str, str]] = set()  # profiles and what was wrong with their watched folders

    # --- at times --------------------------------------------------------------------------------------------------

    def begin_scheduled(self) -> None:
        """Begin the runs whose time has come."""
        now = self._clock()
        if now < self._looked:
            self._bring_back(now)
        self._looked = now
        for found in self._profiles(profiles.c.scheduled <= now):
            with self._control.write(found.tenant) as connection:
                row = self._still(connection, found, profiles.c.scheduled <= now)
                if row is not None:
                    self._scheduled(connection, row, now)

    def _scheduled(self, connection: Connection, row: Row[Any], now: int) -> None:
        own = own_settings(row.policy)
        due = schedules.following(own.schedule, time_zone=own.time_zone, after=now, seed=row.id)
        opened = self._runs.open_run(connection, row.tenant, row.id)
        upload, fresh = None, False
        if opened is None:
            inbox = self._uploads.inbox(connection, row.tenant, row.id)
            if inbox is not None and self._complete(connection, row, own, inbox):
                if not self._quiet(
                    connection, row, inbox, now - min(own.schedule.quiet_seconds * ticks.PER_SECOND, AGAIN)
                ):
                    due = now + AGAIN
                else:
                    upload, fresh = inbox, True
            else:
                upload = upload_of_itself(connection, row.tenant, row.id)
        if upload is not None and (fresh or row.own_status != "quarantined"):  # the ladder has its own times
            self._begin(connection, row, Cause.SCHEDULE, upload, now)
        self._set(connection, row, scheduled=due)

    def _bring_back(self, now: int) -> None:
        """The clock was put back: what was scheduled when it was ahead would be waited for until it is there again."""
        with self._control.read() as connection:
            ahead = connection.execute(select(profiles).where(profiles.c.scheduled > now)).all()
        for found in ahead:
            own = own_settings(found.policy)
            due = schedules.following(own.schedule, time_zone=own.time_zone, after=now, seed=found.id)
            if due is not None and due < found.scheduled:
                with self._control.write(found.tenant) as connection:
                    mine = (profiles.c.tenant == found.tenant, profiles.c.id == found.id)
                    still = (*mine, profiles.c.scheduled == found.scheduled)
                    connection.execute(update(profiles).where(*still).values(scheduled=due))

    # --- when files are there ---------------------------------------------------------------------------------------

    def begin_uploaded(self) -> None:
        """Begin the runs whose files are all there and have been left alone for a while."""
        now = self._clock()
        for found in self._profiles(
            profiles.c.on_upload.is_not(None),
            select(uploads.c.id)
            .where(uploads.c.tenant == profiles.c.tenant, uploads.c.profile == profiles.c.id, uploads.c.state == "open")
            .exists(),
        ):
            with self._control.read() as connection:
                if not self._arrived(connection, found, now):
                    continue
            with self._control.write(found.tenant) as connection:
                row = self._still(connection, found, profiles.c.on_upload.is_not(None))
                upload = None if row is None else self._arrived(connection, row, now)
                if row is None or upload is None:
                    continue
                opened = self._runs.open_run(connection, row.tenant, row.id)
                if opened is not None and not self._give_way(connection, row, opened, now):
                    continue
                self._begin(connection, row, Cause.UPLOAD, upload, now)

    def _arrived(self, connection: Connection, row: Row[Any], now: int) -> str | None:
        """The inbox of a profile when it is complete, quiet, and no run has read it as it is."""
        upload = self._uploads.inbox(connection, row.tenant, row.id)
        if upload is None or not self._quiet(connection, row, upload, now - row.on_upload * ticks.PER_SECOND):
            return None
        if not self._complete(connection, row, own_settings(row.policy), upload):
            return None
        newest = select(func.max(upload_files.c.modified)).where(
            *_of(upload_files, row), upload_files.c.upload == upload
        )
        read = select(runs.c.id).where(
            *_of(runs, row), runs.c.upload == upload, runs.c.asked >= newest.scalar_subquery()
        )
        return None if connection.execute(read.limit(1)).first() is not None else upload

    def _complete(self, connection: Connection, row: Row[Any], own: OwnSettings, upload: str) -> bool:
        names = [file.name for file in self._uploads.files(connection, row.tenant, row.id, upload)]
        return sets.complete(names, format=own.format)

    def _quiet(self, connection: Connection, row: Row[Any], upload: str, since: int) -> bool:
        """Whether nothing has been written into the upload since then, not even a part of a file."""
        for table, when in ((upload_files, upload_files.c.modified), (upload_blocks, upload_blocks.c.written)):
            late = select(table.c.name).where(*_of(table, row), table.c.upload == upload, when > since).limit(1)
            if connection.execute(late).first() is not None:
                return False
        return True

    def _give_way(self, connection: Connection, row: Row[Any], opened: OpenRun, now: int) -> bool:
        """Discard a held run for new files, as `start` does; False when the run is at work or paused."""
        if opened.state != RunState.HELD:
            return False
        mine = (*_of(runs, row), runs.c.id == opened.id)
        connection.execute(update(runs).where(*mine).values(state=RunState.DISCARDED, ended=now))
        return True

    # --- from a watched folder or bucket ------------------------------------------------------------------------------

    def begin_watched(self, place: Place) -> None:
        """Take over the sets of files that lie complete and quiet at a place, below `<tenant>/<profile>`."""
        if not place.look():
            return
        now = self._clock()
        for found in self._profiles():
            try:
                self._watched(place, found, now)
            except OSError as problem:
                reason = problem.strerror or type(problem).__name__
                if (found.id, reason) not in self._said:
                    self._said.add((found.id, reason))
                    log.warning("a watched place cannot be used", place=place.what, profile=found.id, reason=reason)

    def _watched(self, place: Place, found: Row[Any], now: int) -> None:
        own = own_settings(found.policy)
        files = place.files(found.tenant_id, found.id)
        if not files or not sets.complete([file.name for file in files], format=own.format):
            return
        mark = fingerprint(files)
        if mark == found.watched or not place.quiet(
            found.id, files, now=now, ticks_long=own.schedule.quiet_seconds * ticks.PER_SECOND
        ):
            return
        with self._control.read() as connection:
            opened = self._runs.open_run(connection, found.tenant, found.id)
        if opened is None or opened.state == RunState.HELD:
            self._take_over(place, found, files, mark)

    def _take_over(self, place: Place, found: Row[Any], files: list[Found], mark: str) -> None:
        """Copy a set of files into a sealed upload and begin its run; the place is only read."""
        upload = self._new_id()
        folder = Path("tenants") / found.tenant_id / "profiles" / found.id / "uploads" / upload
        objects = self._uploads.objects
        objects.path(folder.as_posix()).mkdir(parents=True, mode=0o700)
        copied = []
        for file in files:
            key = folder / self._new_id()
            path = objects.path(key.as_posix())
            copied.append((file, key.as_posix(), place.copy(found.tenant_id, found.id, file, path)))
            objects.keep(path)
        if fingerprint(place.files(found.tenant_id, found.id, anew=True)) != mark:
            return  # it has changed meanwhile; the next look sees it, the sweep takes the copies
        now = self._clock()
        with self._control.write(found.tenant) as connection:
            row = self._still(connection, found, profiles.c.watched.is_distinct_from(mark))
            if row is None:
                return
            opened = self._runs.open_run(connection, row.tenant, row.id)
            if opened is not None and not self._give_way(connection, row, opened, now):
                return
            sealed = self._uploads.sealing(connection, row.tenant, row.id, now)
            connection.execute(
                insert(uploads).values(
                    tenant=row.tenant, profile=row.id, id=upload, state="sealed", opened=now, sealed=sealed
                )
            )
            connection.execute(
                insert(upload_files),
                [
                    {
                        "tenant": row.tenant,
                        "profile": row.id,
                        "upload": upload,
                        "name": file.name,
                        "object": key,
                        "size": file.size,
                        "sha256": digest,
                        "etag": digest[:16],
                        "headers": "{}",
                        "modified": file.changed,
                    }
                    for file, key, digest in copied
                ],
            )
            self._set(connection, row, watched=mark)
            self._begin(connection, row, Cause.WATCH, upload, now)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _profiles(self, *conditions: Any) -> list[Row[Any]]:
        with self._control.read() as connection:
            return list(connection.execute(_wanted(*conditions)))

    def _still(self, connection: Connection, row: Row[Any], *conditions: Any) -> Row[Any] | None:
        """The profile as it is now, when it is still wanted; never one that has expired."""
        found = connection.execute(
            _wanted(profiles.c.tenant == row.tenant, profiles.c.id == row.id, *conditions)
        ).one_or_none()
        if found is None or self._runs.expired(connection, row.tenant, row.id, self._clock()) is not None:
            return None
        return found

    def _begin(self, connection: Connection, row: Row[Any], cause: Cause, upload: str, now: int) -> None:
        run = self._runs.begin(connection, row.tenant, row.id, cause=cause, upload=upload, now=now)
        log.info("run begun by itself", tenant=row.tenant, profile=row.id, run=run, cause=str(cause))

    def _set(self, connection: Connection, row: Row[Any], **values: Any) -> None:
        mine = (profiles.c.tenant == row.tenant, profiles.c.id == row.id)
        connection.execute(update(profiles).where(*mine).values(**values))


def _wanted(*conditions: Any) -> Any:  # a select
    """Profiles that may begin a run by themselves: provisioned, fed by files, and not paused."""
    return (
        select(profiles, profile_status.c.own_status, tenants.c.id.label("tenant_id"))
        .join(tenants, tenants.c.number == profiles.c.tenant)
        .join(
            profile_status,
            and_(profile_status.c.tenant == profiles.c.tenant, profile_status.c.profile == profiles.c.id),
        )
        .where(
            profiles.c.state == "provisioned",
            profiles.c.data_provider.contains(CSV_PROVIDER),
            profile_status.c.own_status.is_distinct_from("paused"),
            *conditions,
        )
    )


def _of(table: Any, row: Row[Any]) -> tuple[Any, ...]:
    return table.c.tenant == row.tenant, table.c.profile == row.id
