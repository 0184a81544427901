"""What is to be told, kept in the database: no notice is lost when a process dies, and none is made twice.

A profile's condition and the notices of its change are written in one transaction, so that whoever looks again finds
the change told. Whoever sends one has it for `LEASE` alone: another takes it over when that time is over. A receiver
may get a notice twice, under the same id, when the sender dies between its answer and our note of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Select,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from schoolsync import ticks
from schoolsync.notices.conditions import ADVICE, HOUR, Condition, condition, event
from schoolsync.notices.notice import OWN, OWN_MAIL, OWN_WEBHOOK, Notice
from schoolsync.profiles.states import State
from schoolsync.profiles.status import Status
from schoolsync.runs.apart import ended_well
from schoolsync.runs.states import HeldFor, RunState
from schoolsync.store.control import Control
from schoolsync.store.control_tables import (
    notice_receivers,
    notices,
    profile_conditions,
    profile_status,
    profiles,
    runs,
    tenants,
)

SECOND = ticks.PER_SECOND
LEASE = 30 * SECOND
"""So long a sender may take; longer than any time-out of a connection."""
WAITS = tuple(seconds * SECOND for seconds in (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600))
"""Pauses after tries that failed; the last one counts for the rest."""
PATIENCE = 72 * HOUR
"""After so long a notice is given up."""
KEPT = 30 * 24 * HOUR
MOST = 200
"""Changes that are written down in one look, and notices that are looked at at a time."""
MOST_OF_LANE = 20
"""Of these, so many to one receiver at most: no tenant's many hold up another's few."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Notices that are due to one receiver, oldest first."""

    channel: str
    tenant: int | None  # None: the installation's receiver, which hears of all tenants
    rows: tuple[Row[Any], ...]

    @property
    def receiver(self) -> tuple[str, int | None]:
        """Whom they go to."""
        return self.channel, self.tenant


class Outbox:
    """The notices of an installation. Safe to share between threads and processes."""

    def __init__(
        self,
        control: Control,
        *,
        channels: Sequence[str],
        stale_hours: int,
        base_url: str,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._control = control
        self._channels = tuple(channels)
        self._stale_hours = stale_hours
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._new_id = new_id

    def look(self) -> int:
        """Write down what has changed since the last look; how many profiles have.

        Of a tenant that nobody is told of, nothing is written down.
        """
        with self._control.read() as connection:
            if not self._channels and connection.execute(select(notice_receivers.c.tenant).limit(1)).first() is None:
                return 0
            found = list(connection.execute(self._changed(self._clock()).limit(MOST)))
        return sum(self._note(row.tenant, row.id) for row in found)

    def _note(self, tenant: int, profile: str) -> bool:
        """Write one profile's condition down, with the notices of its change; False when there is none any more."""
        now = self._clock()
        with self._control.write(tenant) as connection:
            row = connection.execute(
                self._changed(now).where(profiles.c.tenant == tenant, profiles.c.id == profile)
            ).one_or_none()
            if row is None:
                return False
            after = condition(
                held=row.held,
                status=row.own_status,
                last_good=row.last_good,
                stale_hours=row.hours,
                now=now,
            )
            if after is None:
                return False
            told = event(row.told, after)
            self._write(connection, row, after, now)
            if told is not None:
                body = self._body(row, told, now)
                for channel in (*self._channels, *_own(row, told)):
                    connection.execute(
                        insert(notices).values(
                            tenant=tenant,
                            id=self._new_id(),
                            profile=profile,
                            channel=channel,
                            body=json.dumps(body, ensure_ascii=False),
                            made=now,
                            due=now,
                        )
                    )
            return True

    def _write(self, connection: Connection, row: Row[Any], after: Condition, now: int) -> None:
        key = {"tenant": row.tenant, "profile": row.id}
        values = {"condition": str(after), "since": now}
        if row.told is None:
            connection.execute(insert(profile_conditions).values(**key, **values))
            return
        this = (profile_conditions.c.tenant == row.tenant, profile_conditions.c.profile == row.id)
        connection.execute(update(profile_conditions).where(*this).values(**values))

    def _body(self, row: Row[Any], told: str, now: int) -> dict[str, Any]:
        """What a receiver gets: ids, times and words, nothing of a person."""
        return {
            "type": f"profile.{told}",
            "timestamp": ticks.text(now),
            "data": {
                "tenant": row.tenant_id,
                "profile": row.id,
                "displayName": row.display_name,
                "condition": told,
                "before": row.told,
                "run": row.run,
                "runNumber": row.number,
                "lastGood": None if row.last_good is None else ticks.text(row.last_good),
                "advice": ADVICE[told],
                "url": f"{self._base_url}/console/profiles/{row.id}",
            },
        }

    def _changed(self, now: int) -> Select[Any]:
        """Profiles whose condition is not the one that was told last."""
        newest = (
            select(func.max(runs.c.number))
            .where(runs.c.tenant == profiles.c.tenant, runs.c.profile == profiles.c.id)
            .correlate(profiles)
            .scalar_subquery()
        )
        good = (
            select(func.max(runs.c.ended))
            .where(
                runs.c.tenant == profiles.c.tenant,
                runs.c.profile == profiles.c.id,
                *ended_well(),
            )
            .correlate(profiles)
            .scalar_subquery()
        )
        held = and_(runs.c.state == RunState.HELD, runs.c.held_for.is_distinct_from(HeldFor.WINDOW))
        hours = cast(func.coalesce(notice_receivers.c.stale_hours, self._stale_hours), BigInteger)
        old = and_(hours > 0, good < literal(now, BigInteger) - hours * literal(HOUR, BigInteger))
        succeeded = case((old, Condition.STALE.value), else_=Condition.GOOD.value)
        wanted = [] if self._channels else [profiles.c.tenant.in_(select(notice_receivers.c.tenant))]
        status = profile_status.c.own_status
        present = case(
            (held, Condition.HELD.value),
            (status == Status.QUARANTINED, Condition.QUARANTINED.value),
            (status.in_([Status.ERROR, Status.VALIDATION_ERROR]), Condition.FAILED.value),
            (status == Status.SUCCESS, succeeded),
        )
        mine = and_(profile_conditions.c.tenant == profiles.c.tenant, profile_conditions.c.profile == profiles.c.id)
        return (
            select(
                profiles.c.tenant,
                profiles.c.id,
                profiles.c.display_name,
                tenants.c.id.label("tenant_id"),
                status,
                func.coalesce(held, False).label("held"),
                runs.c.id.label("run"),
                runs.c.number,
                good.label("last_good"),
                profile_conditions.c.condition.label("told"),
                hours.label("hours"),
                notice_receivers.c.webhook_url,
                notice_receivers.c.mail_to,
                notice_receivers.c.events,
            )
            .join(tenants, tenants.c.number == profiles.c.tenant)
            .join(
                profile_status,
                and_(profile_status.c.tenant == profiles.c.tenant, profile_status.c.profile == profiles.c.id),
            )
            .outerjoin(
                runs,
                and_(runs.c.tenant == profiles.c.tenant, runs.c.profile == profiles.c.id, runs.c.number == newest),
            )
            .outerjoin(profile_conditions, mine)
            .outerjoin(notice_receivers, notice_receivers.c.tenant == profiles.c.tenant)
            .where(
                *wanted,
                profiles.c.state == State.PROVISIONED,
                present.is_not(None),
                or_(profile_conditions.c.condition.is_(None), profile_conditions.c.condition != present),
            )
        )

    # --- sending ---------------------------------------------------------------------------------------------------

    def lanes(self) -> list[Lane]:
        """Notices that are due, by receiver; of one profile and channel the earliest alone."""
        now = self._clock()
        earlier = notices.alias("earlier")
        blocked = exists().where(
            earlier.c.tenant == notices.c.tenant,
            earlier.c.profile == notices.c.profile,
            earlier.c.channel == notices.c.channel,
            earlier.c.over.is_(None),
            earlier.c.made < notices.c.made,
        )
        whose = case((notices.c.channel.in_(OWN), notices.c.tenant)).label("whose")
        place = func.row_number().over(partition_by=(notices.c.channel, whose), order_by=notices.c.due).label("place")
        due = (
            select(notices, whose, place)
            .where(
                notices.c.over.is_(None),
                notices.c.due <= now,
                notices.c.channel.in_((*self._channels, *OWN)),
                ~blocked,
            )
            .subquery()
        )
        with self._control.read() as connection:
            rows = connection.execute(
                select(due).where(due.c.place <= MOST_OF_LANE).order_by(due.c.place, due.c.due).limit(MOST)
            ).all()
        found: dict[tuple[str, int | None], list[Row[Any]]] = {}
        for row in rows:
            found.setdefault((row.channel, row.whose), []).append(row)
        return [Lane(channel, whose, tuple(of)) for (channel, whose), of in found.items()]

    def taken(self, lane: Lane) -> Iterator[Notice]:
        """Its notices one after the other, each one taken for `LEASE` when it comes."""
        for row in lane.rows:
            if self._take(row):
                yield Notice(
                    tenant=row.tenant,
                    id=row.id,
                    channel=row.channel,
                    body=json.loads(row.body),
                    tries=row.tries + 1,
                    made=row.made,
                )

    def postpone(self, lane: Lane, wait: int) -> None:
        """Leave a receiver that did not take a notice alone for a while."""
        now = self._clock()
        whose = [] if lane.tenant is None else [notices.c.tenant == lane.tenant]
        with self._control.write(lane.tenant) as connection:
            connection.execute(
                update(notices)
                .where(notices.c.channel == lane.channel, notices.c.over.is_(None), notices.c.due <= now, *whose)
                .values(due=now + wait)
            )

    def _take(self, row: Row[Any]) -> bool:
        with self._control.write(row.tenant) as connection:
            taken = connection.execute(
                update(notices)
                .where(
                    notices.c.tenant == row.tenant,
                    notices.c.id == row.id,
                    notices.c.over.is_(None),
                    notices.c.due == row.due,
                    notices.c.tries == row.tries,
                )
                .values(due=self._clock() + LEASE, tries=row.tries + 1)
            )
        return taken.rowcount == 1

    def sent(self, notice: Notice) -> None:
        """It has arrived."""
        self._end(notice, over=self._clock(), sent=True, problem=None)

    def failed(self, notice: Notice, *, final: bool, problem: str) -> bool:
        """It has not; True when it is given up, which `final` says of a receiver that wants no more."""
        now = self._clock()
        if final or now - notice.made >= PATIENCE:
            self._end(notice, over=now, sent=False, problem=problem)
            return True
        self._end(notice, due=now + WAITS[min(notice.tries, len(WAITS)) - 1], problem=problem)
        return False

    def _end(self, notice: Notice, **values: Any) -> None:
        # Only while it is still ours: who has taken it over after our time decides.
        with self._control.write(notice.tenant) as connection:
            connection.execute(
                update(notices)
                .where(notices.c.tenant == notice.tenant, notices.c.id == notice.id, notices.c.tries == notice.tries)
                .values(**values)
            )

    def tidy(self) -> None:
        """Forget what was over long ago."""
        with self._control.write() as connection:
            connection.execute(delete(notices).where(notices.c.over < self._clock() - KEPT))


def _own(row: Row[Any], told: str) -> Iterator[str]:
    """The channels of the profile's tenant that are told."""
    if row.events is None or told not in json.loads(row.events):
        return
    if row.webhook_url is not None:
        yield OWN_WEBHOOK
    if json.loads(row.mail_to):
        yield OWN_MAIL
