"""What an engine is to do, put together from all that the tables know of a run and of those before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from schoolsync.plan.policy import Guards
from schoolsync.profiles import code_lists
from schoolsync.profiles.policy import policy_of
from schoolsync.runs import previews
from schoolsync.runs.alone_records import AloneRecords, cleaning_up
from schoolsync.runs.job import Job, JobFile, Override, Storage
from schoolsync.runs.records import UNPACKED, Key, release_of
from schoolsync.runs.selections import WHOLE, Yes
from schoolsync.runs.service import Runs
from schoolsync.runs.states import Cause
from schoolsync.settings import Settings
from schoolsync.store import directories
from schoolsync.store.control import Control
from schoolsync.store.control_tables import profiles, tenants
from schoolsync.uploads.service import StoredFile, Uploads


class Jobs(AloneRecords):
    """Hands out jobs, each under a fence of its own."""

    def __init__(
        self,
        *,
        control: Control,
        settings: Settings,
        uploads: Uploads,
        runs: Runs,
        clock: Callable[[], int],
        scratch: Path | None,
    ) -> None:
        super().__init__(control=control, settings=settings, clock=clock, runs=runs)
        self._codes = code_lists.load(settings.code_lists)
        self._uploads = uploads
        self._scratch = settings.scratch if scratch is None else scratch

    def job(self, key: Key) -> Job | None:
        """What the engine is to do, under a new fence; None when the attempt is no longer the run's.

        What takes long is read before: nobody waits meanwhile for the tenant's lock.
        """
        with self._control.read() as connection:
            row = self._current(connection, key)
            job = None if row is None else self._job(connection, key, row)
        if job is None:
            return None
        with self._control.write(key.tenant) as connection:
            row = self._current(connection, key)
            if row is None:
                return None
            fence = row.fence + 1
            self._set(connection, key, fence=fence)
        directories.make(self._settings, job.tenant_id)
        scratch = self._scratch / f"{key.run}-{fence}"
        return msgspec.structs.replace(job, fence=fence, scratch=str(scratch))

    def _job(self, connection: Connection, key: Key, row: Row[Any]) -> Job | None:
        """The same without its fence."""
        home = previews.profile_of(connection, key.tenant, key.profile)
        profile = connection.execute(
            select(profiles).where(profiles.c.tenant == key.tenant, profiles.c.id == home)
        ).one_or_none()
        if profile is None:
            return None  # it was deleted, and its previews go as well
        applied_by = Key(key.tenant, home, key.run, key.attempt)
        tenant_id = connection.execute(select(tenants.c.id).where(tenants.c.number == key.tenant)).scalar_one()
        policy = policy_of(profile, sensitive_fields=self._settings.sensitive_fields)
        living = connection.execute(select(profiles.c.number).where(profiles.c.tenant == key.tenant)).scalars()
        files = self._uploads.files(connection, key.tenant, key.profile, row.upload) if row.upload else []
        size = sum(_opened(file) for file in files)
        lately = self._tallies(connection, applied_by, tenant_id, policy.guards.window_days)
        only, kept = self._only(row, tenant_id, key.profile)
        return Job(
            tenant=key.tenant,
            tenant_id=tenant_id,
            profile=profile.number,
            profile_id=key.profile,
            living=tuple(sorted(living)),
            run=key.run,
            fence=0,
            format=policy.format,
            codes=self._codes,
            files=tuple(
                JobFile(name=file.name, path=str(file.path), sha256=file.sha256, size=file.size) for file in files
            ),
            policy=policy,
            released=release_of(row),
            override=_override(row.limits),
            only=only,
            kept=kept,
            cleans=cleaning_up(row),
            undoes=self._undone(connection, key, tenant_id, row.undoes),
            directory=self._settings.database_url or str(self._settings.directory_db(tenant_id)),
            control=self._settings.database_url or str(self._settings.control_db),
            folder=str(self.folder(tenant_id, key.profile, key.run)),
            storage=Storage(
                root=str(self._objects.root),
                url=self._settings.storage_url,
                options=self._settings.storage_options,
                home=str(self._settings.kept_objects),
                file_keys=self._objects.file_keys,
            ),
            scratch="",
            again=row.cause == Cause.AGAIN,
            preview=row.cause == Cause.PREVIEW,
            base=None if row.cause == Cause.RESET else self._base(connection, applied_by, tenant_id),
            rekeys=self._rekeys(connection, applied_by),
            rekeyed=self._rekeyed(connection, applied_by),
            before=self._before(connection, applied_by),
            earlier=self._earlier(connection, applied_by, tenant_id),
            known=self._known(connection, applied_by, tenant_id),
            by_hand=self._by_hand(connection, applied_by, tenant_id),
            tallies=lately.tallies,
            cut_off=lately.cut_off,
            ignore_findings=row.ignore_findings,
            now=row.asked,
            memory_limit=self._settings.memory_for(size),
            large=size > self._settings.small_run_bytes,
            threads=self._settings.threads,
            batch_rows=self._settings.batch_rows,
            # On PostgreSQL a batch holds rows of tables that other tenants write, too.
            first_batch_rows=0 if self._settings.database_url else self._settings.first_batch_rows,
            max_rows=self._settings.roster_max_rows,
            limits=self._settings.roster_limits,
        )


def _opened(file: StoredFile) -> int:
    """About how large a file is once it is unpacked."""
    return file.size * (UNPACKED if file.name.lower().endswith(".zip") else 1)


def _override(limits: str | None) -> Override | None:
    """The limits that somebody has set for one plan alone."""
    if limits is None:
        return None
    kept = json.loads(limits)
    yes = Yes(id=kept.get("approval", ""), what=WHOLE, person=kept["person"], given=kept["given"])
    return Override(guards=msgspec.convert(kept["guards"], Guards), plan=kept.get("plan"), yes=yes)
