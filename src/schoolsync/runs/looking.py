"""What can be seen of runs: one, many, how far, and how fresh a profile's last good one is.

Reads the control database alone; every query begins with the tenant. What a run holds inside (findings, steps) is in
its files, which `runs.readers` reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Row, and_, func, select

from schoolsync.errors import NotFound
from schoolsync.runs import asides, previews
from schoolsync.runs.apart import ended_well, of_all
from schoolsync.runs.approvals import DISCARD
from schoolsync.runs.asides import Part
from schoolsync.runs.progress import Progress, Rows, Stage, progress, stages, took
from schoolsync.runs.states import ACTIVE, Cause, RunState
from schoolsync.store.control_tables import approvals, profile_status, profiles, runs, tenants, uploads

_MESSAGES_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as people see it."""

    id: str
    home: str  # under whose id its rows and files are kept: its profile's, or its own when it is a preview
    preview: bool
    number: int  # of previews always 0
    state: str
    stage: str | None
    cause: str
    held_for: str | None
    message: str | None
    error_count: int
    asked: int
    asked_by: str | None
    approved_by: tuple[str, ...]  # who has said yes to its plan or a part of it, the first one first
    began: int | None
    ended: int | None
    unchanged: bool  # nothing had changed since the run before: nothing was planned
    plan: str | None  # hash of the plan
    steps: dict[str, dict[str, int]]  # kind -> op -> count
    seen: dict[str, int]  # kind -> records in the roster
    failed: dict[str, int]  # kind -> records that could not be synchronized
    messages: tuple[dict[str, Any], ...]  # of the verification, as `runs.job.Message` is stored
    stages: tuple[Stage, ...]
    progress: Progress
    upload: str | None  # the upload whose files it works with


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old what the directory holds of a profile is."""

    last_good: int | None  # ticks: when a run last ended with its roster looked at and applied
    last_good_run: str | None
    last_run: str | None
    last_state: str | None
    last_ended: int | None
    last_upload: int | None
    due: int | None  # ticks: when the profile synchronizes by itself, or None
    status: str | None
    status_message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """How old the data of one of many profiles is."""

    tenant: int
    tenant_id: str
    profile: str
    display_name: str
    last_good: int | None  # ticks
    last_state: str | None  # of its newest run
    due: int | None


def find(connection: Connection, tenant: int, profile: str, run: str, *, now: int) -> Run:
    """One run by its id or its number, or a preview by its id. Raises NotFound."""
    named = runs.c.number == int(run) if run.isascii() and run.isdecimal() and len(run) < 10 else runs.c.id == run
    row = connection.execute(
        select(runs).where(runs.c.tenant == tenant, runs.c.profile == profile, named)
    ).one_or_none()
    if row is None:
        require(connection, tenant, profile)
        if previews.is_of(connection, tenant, profile, run):
            row = connection.execute(
                select(runs).where(runs.c.tenant == tenant, runs.c.profile == run, runs.c.id == run)
            ).one_or_none()
    if row is None:
        raise NotFound(f"The profile has no run {run[:40]}.")
    approvers = _approvers(connection, tenant, profile, [row])
    return _run(row, approvers, before=_before(connection, tenant, profile), now=now)


def many(
    connection: Connection,
    tenant: int,
    profile: str,
    *,
    now: int,
    limit: int,
    below: int | None = None,
    states: Sequence[str] = (),
) -> list[Run]:
    """The profile's runs, newest first, with numbers smaller than `below`."""
    require(connection, tenant, profile)
    query = select(runs).where(runs.c.tenant == tenant, runs.c.profile == profile)
    if below is not None:
        query = query.where(runs.c.number < below)
    if states:
        query = query.where(runs.c.state.in_(states))
    rows = connection.execute(query.order_by(runs.c.number.desc()).limit(limit)).all()
    before = _before(connection, tenant, profile) if any(row.state in ACTIVE for row in rows) else {}
    approvers = _approvers(connection, tenant, profile, rows)
    return [_run(row, approvers, before=before, now=now) for row in rows]


def freshness(connection: Connection, tenant: int, profile: str) -> Freshness:
    """How fresh the profile's data in the directory is. Raises NotFound."""
    due = require(connection, tenant, profile)
    scheduled = connection.execute(
        select(profiles.c.scheduled).where(profiles.c.tenant == tenant, profiles.c.id == profile)
    ).scalar_one()
    mine = (runs.c.tenant == tenant, runs.c.profile == profile)
    done = select(runs.c.id, runs.c.ended).where(*mine, *ended_well())
    good = connection.execute(done.order_by(runs.c.number.desc()).limit(1)).one_or_none()
    last = connection.execute(
        select(runs.c.id, runs.c.state, runs.c.ended).where(*mine).order_by(runs.c.number.desc()).limit(1)
    ).one_or_none()
    sealed = connection.execute(
        select(uploads.c.sealed)
        .where(uploads.c.tenant == tenant, uploads.c.profile == profile, uploads.c.sealed.is_not(None))
        .order_by(uploads.c.sealed.desc())
        .limit(1)
    ).scalar_one_or_none()
    status = connection.execute(
        select(profile_status.c.status, profile_status.c.status_message).where(
            profile_status.c.tenant == tenant, profile_status.c.profile == profile
        )
    ).one()
    return Freshness(
        last_good=good.ended if good else None,
        last_good_run=good.id if good else None,
        last_run=last.id if last else None,
        last_state=last.state if last else None,
        last_ended=last.ended if last else None,
        last_upload=sealed,
        due=_earlier(due, scheduled),
        status=status.status,
        status_message=status.status_message,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Where a profile stands on the way to quarantine or in it."""

    quarantined: bool
    why: str | None
    since: int | None  # ticks
    tries: int  # in vain so far
    retry: int | None  # ticks: when it is tried again by itself
    gives_up: int | None  # ticks
    failed_in_a_row: int  # runs that could not be finished
    aside: tuple[Part, ...] = ()  # schools and kinds that are tried again alone


def ladder(connection: Connection, tenant: int, profile: str) -> Ladder:
    """Where the profile stands, as its runs say. Raises NotFound."""
    due = require(connection, tenant, profile)
    forgiven = select(func.coalesce(profiles.c.forgiven, 0)).where(
        profiles.c.tenant == tenant, profiles.c.id == profile
    )
    rows = connection.execute(
        select(runs.c.state, runs.c.summary)
        .where(
            runs.c.tenant == tenant,
            runs.c.profile == profile,
            *of_all(),
            runs.c.state.in_([RunState.DONE, RunState.FAILED]),
            runs.c.ended > forgiven.scalar_subquery(),
        )
        .order_by(runs.c.number.desc())
        .limit(50)
    ).all()
    in_a_row = next((count for count, row in enumerate(rows) if row.state != RunState.FAILED), len(rows))
    last = json.loads(rows[0].summary or "{}") if rows else {}
    rung, aside = last.get("quarantine"), tuple(part for part in asides.load(last.get("parts")) if part.why is not None)
    if rung is None:
        return Ladder(
            quarantined=False,
            why=None,
            since=None,
            tries=0,
            retry=due,
            gives_up=None,
            failed_in_a_row=in_a_row,
            aside=aside,
        )
    return Ladder(
        quarantined=True,
        why=rung["why"],
        since=rung["since"],
        tries=rung["tries"],
        retry=due,
        gives_up=rung["gives_up"],
        failed_in_a_row=in_a_row,
        aside=aside,
    )


def freshness_of_all(connection: Connection, *, tenant: int | None) -> list[Age]:
    """How old the data of every profile is, of one tenant or of all; from the run ledger alone."""
    # Of each profile the newest run alone is looked up, in the index of runs that have ended: a profile has many.
    of_profile = (runs.c.tenant == profiles.c.tenant, runs.c.profile == profiles.c.id)
    good = select(runs.c.ended).where(*of_profile, *ended_well())
    last = select(runs.c.state).where(*of_profile)
    query = (
        select(
            profiles.c.tenant,
            tenants.c.id.label("tenant_id"),
            profiles.c.id,
            profiles.c.display_name,
            profiles.c.due,
            profiles.c.scheduled,
            good.order_by(runs.c.ended.desc()).limit(1).scalar_subquery().label("good"),
            last.order_by(runs.c.number.desc()).limit(1).scalar_subquery().label("state"),
        )
        .join(tenants, tenants.c.number == profiles.c.tenant)
        .order_by(profiles.c.tenant, profiles.c.display_name, profiles.c.id)
    )
    if tenant is not None:
        query = query.where(profiles.c.tenant == tenant)
    return [
        Age(
            tenant=row.tenant,
            tenant_id=row.tenant_id,
            profile=row.id,
            display_name=row.display_name,
            last_good=row.good,
            last_state=row.state,
            due=_earlier(row.due, row.scheduled),
        )
        for row in connection.execute(query)
    ]


def opened(connection: Connection, tenant: int, *columns: Column[Any]) -> Sequence[Row[Any]]:
    """The tenant's runs that have not ended, at most one of each profile.

    Looked up profile by profile, in an index of these alone: SQLite would rather walk through all runs there have been.
    """
    of = and_(runs.c.tenant == profiles.c.tenant, runs.c.profile == profiles.c.id, runs.c.ended.is_(None))
    query = select(*columns).select_from(profiles).join(runs, of)
    return connection.execute(query.where(profiles.c.tenant == tenant)).all()


def require(connection: Connection, tenant: int, profile: str) -> int | None:
    """When the profile is due; raises NotFound when there is no such profile."""
    row = connection.execute(
        select(profiles.c.due).where(profiles.c.tenant == tenant, profiles.c.id == profile)
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no synchronization profile {profile[:40]}.")
    due: int | None = row.due
    return due


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((time for time in (one, other) if time is not None), default=None)


def _before(connection: Connection, tenant: int, profile: str) -> dict[str, float]:
    """Seconds that the stages took in the last run that went through all of them."""
    rows = connection.execute(
        select(runs.c.stages, runs.c.ended)
        .where(runs.c.tenant == tenant, runs.c.profile == profile)
        .where(runs.c.state == RunState.DONE, runs.c.stage == RunState.APPLYING, *of_all())
        .order_by(runs.c.number.desc())
        .limit(1)
    ).all()
    return took(stages(json.loads(rows[0].stages), stopped=rows[0].ended), rows[0].ended) if rows else {}


def _approvers(
    connection: Connection, tenant: int, profile: str, rows: Sequence[Row[Any]]
) -> dict[tuple[str, str], list[str]]:
    """Who has approved the plans of runs, or parts of them: by run and the plan's hash."""
    query = (
        select(approvals.c.run, approvals.c.plan, approvals.c.person)
        .where(approvals.c.tenant == tenant, approvals.c.profile == profile)
        .where(approvals.c.run.in_([row.id for row in rows]), approvals.c.via != DISCARD)
        .order_by(approvals.c.given, approvals.c.id)
    )
    found: dict[tuple[str, str], list[str]] = {}
    for run, plan, person in connection.execute(query):
        persons = found.setdefault((run, plan), [])
        if person not in persons:
            persons.append(person)
    return found


def _run(row: Row[Any], approvers: dict[tuple[str, str], list[str]], *, before: dict[str, float], now: int) -> Run:
    summary = json.loads(row.summary or "{}")
    known = stages([(name, began) for name, began in json.loads(row.stages)], stopped=row.ended)
    return Run(
        id=row.id,
        home=row.profile,
        preview=row.cause == Cause.PREVIEW,
        number=row.number,
        state=row.state,
        stage=row.stage,
        cause=row.cause,
        held_for=row.held_for,
        message=row.message,
        error_count=row.error_count,
        asked=row.asked,
        asked_by=row.asked_by,
        approved_by=tuple(approvers.get((row.id, summary.get("plan")), ())),
        began=row.began,
        ended=row.ended,
        unchanged=bool(summary.get("unchanged")),
        plan=summary.get("plan"),
        steps=summary.get("steps", {}),
        seen=summary.get("seen", {}),
        failed=summary.get("failed", {}),
        messages=tuple(json.loads(row.verification or "[]")[:_MESSAGES_MAX]),
        stages=known,
        progress=progress(
            known,
            early=Rows(row.stage_done or 0, row.stage_total),
            applied=Rows(row.rows_done, row.rows_total),
            before=before,
            now=now,
        ),
        upload=row.upload,
    )
