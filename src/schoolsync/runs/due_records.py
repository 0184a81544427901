"""Profiles that want a run at a time of their own: a retry, a date of their roster, the end of a blackout window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from schoolsync import ticks
from schoolsync.profiles import status as statuses
from schoolsync.runs import endings
from schoolsync.runs.accepted import accepted_run, due_again, upload_of_itself
from schoolsync.runs.aside_records import AsideRecords
from schoolsync.runs.records import Key
from schoolsync.runs.service import Runs
from schoolsync.runs.states import Cause, HeldFor, RunState
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import profiles, runs

SOON = 60 * ticks.PER_SECOND
"""What is due while a run apart (`runs.apart`) is open is due again so much later."""


class DueRecords(AsideRecords):
    """Writes down when a profile is due, and begins what is."""

    def __init__(self, *, control: Control, settings: Settings, clock: Callable[[], int], runs: Runs) -> None:
        super().__init__(control=control, settings=settings, clock=clock)
        self._runs = runs
        self._looked = 0  # when it was looked for what is due

    def begin_due(self) -> bool:
        """Begin the runs whose profiles asked for one at this time (retries, start dates); whether there were any."""
        now = self._clock()
        if now < self._looked:
            self._bring_back(now)
        self._looked = now
        with self._control.read() as connection:
            found = connection.execute(
                select(profiles.c.tenant, profiles.c.id).where(profiles.c.due <= now, profiles.c.state == "provisioned")
            ).all()
        for profile in found:
            with self._control.write(profile.tenant) as connection:
                still = connection.execute(
                    select(profiles.c.due).where(
                        profiles.c.tenant == profile.tenant, profiles.c.id == profile.id, profiles.c.due <= now
                    )
                ).one_or_none()
                if still is None:
                    continue
                upload = upload_of_itself(connection, profile.tenant, profile.id)
                open_run = self._runs.open_run(connection, profile.tenant, profile.id)
                if open_run is not None and open_run.held_for == HeldFor.WINDOW and open_run.state == RunState.HELD:
                    key = Key(profile.tenant, profile.id, open_run.id, 0)
                    self._set(connection, key, state=RunState.QUEUED, held_for=None)
                    self._show(connection, key, "inProgress", "Going on: the blackout window is over.")
                    self._due(connection, key, None)
                    continue
                paused = statuses.own(connection, tenant=profile.tenant, profile=profile.id) == "paused"
                if open_run is None and upload is not None and not paused:
                    key = Key(profile.tenant, profile.id, "", 0)
                    part = self._begin_part(connection, key, upload, now)
                    if part is not False:
                        self._due(connection, key, self._next(connection, key, now) if part is True else part)
                        continue
                    cause = Cause.RETRY if self._has_failed(connection, profile.tenant, profile.id) else Cause.DUE
                    self._runs.begin(connection, profile.tenant, profile.id, cause=cause, upload=upload, now=now)
                elif open_run is not None and open_run.apart:
                    self._due(connection, Key(profile.tenant, profile.id, "", 0), now + SOON)
                else:
                    key = Key(profile.tenant, profile.id, "", 0)
                    # While paused or cut off the date waits for a person; an open run does what was due.
                    waits = paused or (
                        open_run is None and accepted_run(connection, key.tenant, key.profile) is not None
                    )
                    self._due(connection, key, now + endings.HOUR if waits else None)
        return bool(found)

    def _bring_back(self, now: int) -> None:
        """The clock was put back: who waits behind a run that ended when it was ahead waits as long as was meant."""
        last = select(func.max(runs.c.ended)).where(runs.c.tenant == profiles.c.tenant, runs.c.profile == profiles.c.id)
        with self._control.read() as connection:
            ahead = connection.execute(
                select(profiles.c.tenant, profiles.c.id, profiles.c.due, last.scalar_subquery().label("ended")).where(
                    profiles.c.due > now, last.scalar_subquery() > now
                )
            ).all()
        for row in ahead:
            with self._control.write(row.tenant) as connection:
                mine = (profiles.c.tenant == row.tenant, profiles.c.id == row.id, profiles.c.due == row.due)
                connection.execute(update(profiles).where(*mine).values(due=now + max(0, row.due - row.ended)))

    def _due(self, connection: Connection, key: Key, when: int | None) -> None:
        connection.execute(
            update(profiles).where(profiles.c.tenant == key.tenant, profiles.c.id == key.profile).values(due=when)
        )

    def _due_again(self, connection: Connection, key: Key, row: Row[Any], retry: int | None = None) -> None:
        """A run that ended without its roster being let through leaves the dates of the standing one as they were."""
        due_again(connection, key.tenant, key.profile, since=row.asked, now=self._clock(), retry=retry)

    def _has_failed(self, connection: Connection, tenant: int, profile: str) -> bool:
        """Whether the profile is quarantined, or its last run could not be finished."""
        last = connection.execute(
            select(runs.c.state)
            .where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.ended.is_not(None))
            .order_by(runs.c.number.desc())
            .limit(1)
        ).scalar_one_or_none()
        return last == RunState.FAILED or statuses.own(connection, tenant=tenant, profile=profile) == "quarantined"
