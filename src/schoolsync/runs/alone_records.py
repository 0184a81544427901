"""What the worker reads and writes down about runs of one person, class, school or kind alone, and of clean-ups.

Such a run says nothing about the profile as a whole: its status, its errors, the time of its last synchronization and
what is due stay as they were.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, or_, select, update

from schoolsync.plan.policy import CleanUp, Only
from schoolsync.runs.due_records import DueRecords
from schoolsync.runs.job import Finished, Planned
from schoolsync.runs.one import about, wanted
from schoolsync.runs.records import Key
from schoolsync.runs.sentences import counts
from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import profiles, runs, tenants


class AloneRecords(DueRecords):
    """The worker's hand on runs of one alone, and on clean-ups."""

    def _only(self, row: Row[Any], tenant_id: str, profile: str) -> tuple[Only | None, str]:
        """Whom a run is about when it is about one alone, and the folder that keeps the roster it is taken from."""
        if row.only is None:
            return None, ""
        found = wanted(row.only)
        return found.only, str(self.folder(tenant_id, profile, found.roster))

    def _by_hand(self, connection: Connection, key: Key, tenant_id: str) -> tuple[str, ...]:
        """Where runs of one alone, after the last whole one, say what they found written by hand."""
        whole = select(func.max(runs.c.number)).where(
            runs.c.tenant == key.tenant, runs.c.profile == key.profile, runs.c.snapshot.is_not(None)
        )
        found = connection.execute(
            select(runs.c.id)
            .where(runs.c.tenant == key.tenant, runs.c.profile == key.profile, runs.c.only.is_not(None))
            .where(runs.c.number > func.coalesce(whole.scalar_subquery(), 0), runs.c.id != key.run)
            .order_by(runs.c.number)
        ).scalars()
        return tuple(str(self.folder(tenant_id, key.profile, run) / "by_hand.parquet") for run in found)

    def _finished_alone(
        self, connection: Connection, key: Key, row: Row[Any], planned: Planned, finished: Finished
    ) -> None:
        """A part was synchronized, or classes were cleaned up: how the profile as a whole fares has not changed."""
        message = f"Cleaned up the classes: {counts(planned)}."
        if row.only is not None:
            message = f"Synchronized {about(wanted(row.only).only)} alone: {counts(planned)}."
        if planned.errors:
            tenant_id = connection.execute(select(tenants.c.id).where(tenants.c.number == key.tenant)).scalar_one()
            path = self._objects.fetch(self.folder(tenant_id, key.profile, key.run) / planned.error_files[0])
            first = json.loads(path.read_text("utf-8"))[0]
            failed = "be synchronized" if row.cleans is None else "be marked"
            message += f" {planned.errors:,} records could not {failed}: {first['error_message']}"
        if finished.left_out:
            message += f" {finished.left_out:,} changes that nobody has approved were left out."
        if finished.missed:
            message += f" {finished.missed:,} rows were passed over: the directory was changed at the same time."
        self._set(connection, key, rows_done=planned.rows, input_hash=finished.input_hash, position=finished.position)
        self._end_alone(connection, key, row, RunState.DONE, message)
        self._try_done(connection, key, row, planned.parts, self._clock())
        if finished.wakes is not None:
            connection.execute(
                update(profiles)
                .where(profiles.c.tenant == key.tenant, profiles.c.id == key.profile)
                .where(or_(profiles.c.due.is_(None), profiles.c.due > finished.wakes))
                .values(due=finished.wakes)
            )

    def _end_alone(self, connection: Connection, key: Key, row: Row[Any], state: RunState, message: str) -> None:
        status, _ = self._runs.last_ending(connection, key.tenant, key.profile)
        summary = json.loads(row.summary or "{}") | {"status": status}
        self._set(
            connection, key, state=state, ended=self._clock(), wish=None, message=message, summary=json.dumps(summary)
        )
        self._show(connection, key, status, message)


def cleaning_up(row: Row[Any]) -> CleanUp | None:
    """What a run does to the classes of a profile that has expired, when that is what it is for."""
    return None if row.cleans is None else msgspec.json.decode(row.cleans, type=CleanUp)
