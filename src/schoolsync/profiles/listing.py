"""Profiles in short, for whoever looks after several: name, state, status and when each was last good.

Also which of them need a person now, and how many there are of each status. Every query begins with the tenant.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, or_, select

from schoolsync import ticks
from schoolsync.errors import NotFound
from schoolsync.profiles.states import State
from schoolsync.profiles.status import Status
from schoolsync.runs.apart import ended_well
from schoolsync.store.control_tables import profile_status, profiles, runs
from schoolsync.store.json_text import folded, spellings, text_place

NEEDS_A_PERSON = (Status.ERROR, Status.VALIDATION_ERROR, Status.QUARANTINED)
"""Statuses that only a person changes for good."""

OVERDUE = 3600 * ticks.PER_SECOND
"""A profile that should have begun by itself so long ago, and has not, needs a person as well."""


@dataclass(frozen=True, slots=True)
class Point:
    """One ended run in numbers, for trends."""

    number: int
    state: str
    ended: int  # ticks
    people: int | None  # in the roster; null: the run did not get so far
    classes: int | None
    errors: int


def page(
    connection: Connection,
    tenant: int,
    *,
    after: str | None,
    limit: int,
    search: str | None = None,
    status: str | None = None,
    attention: int | None = None,
) -> list[Row[Any]]:
    """The tenant's profiles by name, those behind the profile `after`.

    `search` is a part of the name, `attention` the moment now: only those that need a person.
    """
    query = _short(tenant)
    if search:
        named = folded(profiles.c.display_name)
        query = query.where(or_(*(text_place(named, folded(part)) > 0 for part in spellings(search))))
    if status is not None:
        query = query.where(profile_status.c.status == status)
    if attention is not None:
        query = query.where(_needs_a_person(attention))
    if after is not None:
        place = select(profiles.c.display_name).where(profiles.c.tenant == tenant, profiles.c.id == after)
        name = connection.execute(place).scalar_one_or_none()
        if name is None:
            return []
        query = query.where(
            or_(
                profiles.c.display_name > name,
                and_(profiles.c.display_name == name, profiles.c.id > after),
            )
        )
    return list(connection.execute(query.order_by(profiles.c.display_name, profiles.c.id).limit(limit)))


def one(connection: Connection, tenant: int, profile: str) -> Row[Any]:
    """One profile in short. Raises NotFound."""
    row = connection.execute(_short(tenant).where(profiles.c.id == profile)).one_or_none()
    if row is None:
        raise NotFound(f"There is no synchronization profile {profile[:40]}.")
    return row


def counts(connection: Connection, tenant: int, *, now: int) -> tuple[dict[str, int], int]:
    """How many profiles there are of each status (by the name `none` those without one), and how many need a person."""
    mine = and_(profile_status.c.tenant == profiles.c.tenant, profile_status.c.profile == profiles.c.id)
    needs = case((_needs_a_person(now), 1), else_=0)
    rows = connection.execute(
        select(profile_status.c.status, func.count(), func.sum(needs))
        .select_from(profiles)
        .join(profile_status, mine)
        .where(profiles.c.tenant == tenant)
        .group_by(profile_status.c.status)
    ).all()
    return {row[0] or "none": int(row[1]) for row in rows}, sum(int(row[2]) for row in rows)


def trend(connection: Connection, tenant: int, profile: str, *, limit: int) -> tuple[Point, ...]:
    """The profile's ended runs in numbers, the oldest first."""
    rows = connection.execute(
        select(runs.c.number, runs.c.state, runs.c.ended, runs.c.summary, runs.c.error_count)
        .where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.ended.is_not(None))
        .order_by(runs.c.number.desc())
        .limit(limit)
    ).all()
    return tuple(_point(row) for row in reversed(rows))


def _point(row: Row[Any]) -> Point:
    seen = json.loads(row.summary or "{}").get("seen") or {}
    return Point(row.number, row.state, row.ended, seen.get("people"), seen.get("classes"), row.error_count)


def _needs_a_person(now: int) -> ColumnElement[bool]:
    """Of profiles joined with their status."""
    working = select(runs.c.id).where(
        runs.c.tenant == profiles.c.tenant, runs.c.profile == profiles.c.id, runs.c.ended.is_(None)
    )
    return or_(
        profile_status.c.status.in_(NEEDS_A_PERSON),
        profiles.c.state == State.PROVISIONING_FAILED,
        and_(profiles.c.scheduled < now - OVERDUE, ~working.exists()),
    )


def named(connection: Connection, tenant: int, name: str) -> list[Row[Any]]:
    """The profiles of a display name, in short."""
    return list(connection.execute(_short(tenant).where(profiles.c.display_name == name).limit(100)))


def provider(row: Row[Any]) -> str:
    """The type of the profile's data provider, such as `educationCsvDataProvider`."""
    return str(json.loads(row.data_provider).get("@odata.type", "")).rpartition(".")[2]


def _short(tenant: int) -> Select[Any]:
    good = (
        select(runs.c.ended)
        .where(runs.c.tenant == profiles.c.tenant, runs.c.profile == profiles.c.id, *ended_well())
        .order_by(runs.c.ended.desc())
        .limit(1)
        .scalar_subquery()
    )
    of = and_(profile_status.c.tenant == profiles.c.tenant, profile_status.c.profile == profiles.c.id)
    return (
        select(
            profiles.c.id,
            profiles.c.display_name,
            profiles.c.state,
            profiles.c.data_provider,
            profiles.c.key_space,
            profiles.c.expiration_date,
            profile_status.c.status,
            profile_status.c.status_message,
            profile_status.c.last_activity,
            profiles.c.due,
            profiles.c.scheduled,
            good.label("last_good"),
        )
        .join(profile_status, of)
        .where(profiles.c.tenant == tenant)
    )
