"""What the tables know of schools and kinds that are set aside (`runs.asides`), and the runs that try them again.

They are kept in the summary of the profile's last whole run that came to an end; a run that ends carries on what it
says nothing about.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, or_, select, update

from schoolsync.plan.policy import Only
from schoolsync.runs import asides
from schoolsync.runs.accepted import accepted_run
from schoolsync.runs.apart import of_all
from schoolsync.runs.asides import Part
from schoolsync.runs.one import Wanted, wanted
from schoolsync.runs.places import run_of
from schoolsync.runs.records import Key, Records
from schoolsync.runs.service import Runs
from schoolsync.runs.states import Cause, RunState
from schoolsync.store.control_tables import profiles, runs

_KINDS = {"class": "section", "student": "student", "teacher": "teacher"}


def last_whole(connection: Connection, tenant: int, profile: str) -> Row[Any, Any] | None:
    """The last whole run of a profile that ended by itself and is not forgiven: its id and summary."""
    mine = (profiles.c.tenant == tenant, profiles.c.id == profile)
    forgiven = select(func.coalesce(profiles.c.forgiven, 0)).where(*mine).scalar_subquery()
    return connection.execute(
        select(runs.c.id, runs.c.summary)
        .where(runs.c.tenant == tenant, runs.c.profile == profile, *of_all(), runs.c.ended > forgiven)
        .where(runs.c.state.in_([RunState.DONE, RunState.FAILED]))
        .order_by(runs.c.number.desc())
        .limit(1)
    ).one_or_none()


def parts_of(connection: Connection, tenant: int, profile: str) -> tuple[Part, ...]:
    """The parts of a profile in which many records fail, whether they are set aside already or not."""
    last = last_whole(connection, tenant, profile)
    return () if last is None else asides.load(json.loads(last.summary or "{}").get("parts"))


def kept(parts: tuple[Part, ...]) -> list[dict[str, Any]]:  # plain values
    """As they stand in a summary."""
    stored: list[dict[str, Any]] = msgspec.to_builtins(parts)
    return stored


class AsideRecords(Records):
    """The worker's hand on parts that are set aside."""

    _runs: Runs

    def _begin_part(self, connection: Connection, key: Key, upload: str, now: int) -> int | bool | None:
        """Begin a run of the part that is due alone, when nothing is due for the whole profile.

        Returns True when one was begun, False when this is about the whole profile, else when to look again.
        """
        parts = [part for part in parts_of(connection, key.tenant, key.profile) if part.why is not None]
        if not parts or self._whole_is_due(connection, key, now):
            return False
        part = next((part for part in parts if part.retry is not None and part.retry <= now), None)
        if part is None:
            return False
        roster = _roster(connection, key, upload)
        if roster is None:
            self._part_tried(connection, key, part, None, now)
            return self._next(connection, key, now)
        kind = "school" if part.school is not None else _KINDS[str(part.kind)]
        only = msgspec.convert({"kind": kind, "source_id": part.school}, Only)
        self._runs.begin(
            connection,
            key.tenant,
            key.profile,
            cause=Cause.ONE,
            upload=None,
            now=now,
            only=msgspec.json.encode(Wanted(only=only, roster=roster)).decode(),
        )
        return True

    def _try_done(
        self, connection: Connection, key: Key, row: Row[Any], counts: tuple[Any, ...] | None, now: int
    ) -> None:
        """A run of a part alone has ended, whoever began it: with these failures, or without getting so far."""
        if row.only is None:
            return
        only = wanted(row.only).only
        school = only.source_id if only.kind == "school" else None
        kind = next((name for name, said in _KINDS.items() if said == only.kind), None)
        name = (school, None) if school is not None else (None, kind)
        dates = set()
        for part in parts_of(connection, key.tenant, key.profile):
            if part.name == name and part.why is not None and (school is not None or only.source_id is None):
                dates.add(part.retry)
                self._part_tried(connection, key, part, counts, now)
        due = connection.execute(
            select(profiles.c.due).where(profiles.c.tenant == key.tenant, profiles.c.id == key.profile)
        ).scalar_one_or_none()
        again = self._next(connection, key, now)
        if due in dates or (again is not None and (due is None or again < due)):
            connection.execute(
                update(profiles).where(profiles.c.tenant == key.tenant, profiles.c.id == key.profile).values(due=again)
            )

    def _part_tried(
        self, connection: Connection, key: Key, part: Part, counts: tuple[Any, ...] | None, now: int
    ) -> None:
        last = last_whole(connection, key.tenant, key.profile)
        assert last is not None, "a part is kept with a run"
        tried = asides.alone(self._limits(connection, key), part, counts, now)
        summary = json.loads(last.summary)
        parts = [one for one in asides.load(summary["parts"]) if one.name != part.name]
        summary["parts"] = kept((*parts, *([] if tried is None else [tried])))
        self._set(connection, Key(key.tenant, key.profile, last.id, 0), summary=json.dumps(summary))

    def _whole_is_due(self, connection: Connection, key: Key, now: int) -> bool:
        return any(time <= now for time in self._times(connection, key))

    def _times(self, connection: Connection, key: Key) -> list[int]:
        """When the profile as a whole wants a run by itself."""
        last = last_whole(connection, key.tenant, key.profile)
        summary = {} if last is None else json.loads(last.summary or "{}")
        standing = accepted_run(connection, key.tenant, key.profile)
        wakes = None if standing is None else json.loads(standing.summary or "{}").get("wakes")
        times = [(summary.get("quarantine") or {}).get("retry"), summary.get("retry"), summary.get("again"), wakes]
        return [time for time in times if time is not None]

    def _next(self, connection: Connection, key: Key, now: int) -> int | None:
        """When the profile, or a part of it, wants a run by itself after now."""
        parts = parts_of(connection, key.tenant, key.profile)
        times = [*self._times(connection, key), *(part.retry for part in parts if part.retry is not None)]
        return min((time for time in times if time > now), default=None)


def _roster(connection: Connection, key: Key, upload: str) -> str | None:
    """The run that has kept the roster of an upload. Whether it still does, its run finds out: nothing is locked then.

    One that found nothing changed has the roster of the run that it equals.
    """
    found = connection.execute(
        select(runs.c.id, runs.c.snapshot)
        .where(runs.c.tenant == key.tenant, runs.c.profile == key.profile, runs.c.upload == upload)
        .where(runs.c.state == RunState.DONE, or_(runs.c.snapshot.is_not(None), runs.c.stage == RunState.APPLYING))
        .order_by(runs.c.number.desc())
        .limit(1)
    ).one_or_none()
    if found is None:
        return None
    return str(found.id) if found.snapshot is None else run_of(found.snapshot)
