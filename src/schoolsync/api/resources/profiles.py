"""Profiles as our own API shows them: in short, how fresh they are, their settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from schoolsync import ticks
from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call, moment
from schoolsync.errors import Invalid
from schoolsync.graph import bodies, etags, render
from schoolsync.profiles import configuration, listing
from schoolsync.runs import connection, looking
from schoolsync.runs.asides import Part
from schoolsync.runs.restarting import Scope

TYPE = "educationSynchronizationProfile"
TREND_RUNS = 20
TRENDS_MAX = 50
"""Most profiles on a page with trends."""


def list_profiles(call: Call) -> Answer:
    """GET profiles."""
    limit = min(call.limit, TRENDS_MAX) if call.query.get("trend") else call.limit
    with call.services.control.read() as connection:
        rows = listing.page(
            connection,
            call.tenant,
            after=_place(call.query.get("after")),
            limit=limit + 1,
            search=call.query.get("search"),
            status=call.query.get("status"),
            attention=call.now if call.query.get("attention") else None,
        )
        shown, more = rows[:limit], len(rows) > limit
        trends = {row.id: _trend(connection, call, row.id) for row in shown} if call.query.get("trend") else {}
    found = tuple(_short(row, call.now, trends.get(row.id)) for row in shown)
    return Answer(body=shapes.Page(value=found, next_link=call.next_link(shown[-1].id) if more else None))


def get_overview(call: Call) -> Answer:
    """GET overview."""
    with call.services.control.read() as connection:
        statuses, attention = listing.counts(connection, call.tenant, now=call.now)
    return Answer(body=shapes.Overview(profiles=sum(statuses.values()), attention=attention, statuses=statuses))


def get_profile(call: Call) -> Answer:
    """GET profiles/{profile}."""
    with call.services.control.read() as connection:
        trend = _trend(connection, call, call.profile) if call.query.get("trend") else None
        return Answer(body=_short(listing.one(connection, call.tenant, call.profile), call.now, trend))


def delete_profile(call: Call) -> Answer:
    """DELETE profiles/{profile}."""
    call.services.profiles.delete(call.principal, call.profile, condition=call.condition(), now=call.now)
    return replace(get_profile(call), status=202)


def get_freshness(call: Call) -> Answer:
    """GET profiles/{profile}/freshness."""
    with call.services.control.read() as connection:
        found = looking.freshness(connection, call.tenant, call.profile)
    age = None if found.last_good is None else max(0, call.now - found.last_good) / ticks.PER_SECOND
    return Answer(
        body=shapes.Freshness(
            profile=call.profile,
            last_good=moment(found.last_good),
            last_good_run=found.last_good_run,
            age_seconds=age,
            last_run=found.last_run,
            last_run_state=found.last_state,
            last_run_ended=moment(found.last_ended),
            last_upload=moment(found.last_upload),
            next_due=moment(found.due),
            status=found.status,
            status_message=found.status_message,
        )
    )


def get_connection(call: Call) -> Answer:
    """GET profiles/{profile}/connection."""
    services = call.services
    found = connection.examine(
        services.control, services.uploads, services.settings, tenant=call.tenant, profile=call.profile, now=call.now
    )
    checks = (shapes.Check(check=one.check, level=one.level.value, message=one.sentence) for one in found.checks)
    return Answer(
        body=shapes.Connection(profile=call.profile, provider=found.provider, works=found.works, checks=tuple(checks))
    )


def get_quarantine(call: Call) -> Answer:
    """GET profiles/{profile}/quarantine."""
    settings, _ = call.services.profiles.settings(call.tenant, call.profile)
    with call.services.control.read() as connection:
        found = looking.ladder(connection, call.tenant, call.profile)
    return Answer(
        body=shapes.Quarantine(
            profile=call.profile,
            quarantined=found.quarantined,
            why=found.why,
            since=moment(found.since),
            tries=found.tries,
            next_try=moment(found.retry),
            gives_up=moment(found.gives_up),
            failed_in_a_row=found.failed_in_a_row,
            aside=tuple(_set_aside(part) for part in found.aside),
            limits=settings["quarantine"],
        )
    )


def _set_aside(part: Part) -> shapes.SetAside:
    since = moment(part.since)
    assert part.why is not None
    assert since is not None
    return shapes.SetAside(
        school=part.school,
        kind=part.kind,
        why=part.why,
        failed=part.failed,
        seen=part.seen,
        since=since,
        tries=part.tries,
        next_try=moment(part.retry),
        gives_up=moment(part.gives_up),
    )


def restart(call: Call) -> Answer:
    """POST profiles/{profile}/restart."""
    given: shapes.Restart = call.body
    who, scope = (call.principal, call.profile), Scope(given.scope)
    if given.school is None and given.kind is None:
        call.services.profiles.restart(*who, scope, now=call.now)
    else:
        call.services.ones.restart(*who, scope=scope, school=given.school, kind=given.kind, now=call.now)
    return replace(get_quarantine(call), status=202)


def get_settings(call: Call) -> Answer:
    """GET profiles/{profile}/settings."""
    settings, version = call.services.profiles.settings(call.tenant, call.profile)
    return _settings(call, settings, version)


def patch_settings(call: Call) -> Answer:
    """PATCH profiles/{profile}/settings."""
    settings, version = call.services.profiles.change_settings(
        call.principal, call.profile, call.body, condition=call.condition(), now=call.now
    )
    return _settings(call, settings, version)


def create_profile(call: Call) -> Answer:
    """POST profiles."""
    given = bodies.read(TYPE, call.body, partial=False)
    return replace(_configuration(call.services.profiles.create(call.principal, given, now=call.now)), status=202)


def pause(call: Call) -> Answer:
    """POST profiles/{profile}/pause."""
    call.services.profiles.pause(call.principal, call.profile, now=call.now)
    return replace(get_profile(call), status=202)


def resume(call: Call) -> Answer:
    """POST profiles/{profile}/resume."""
    call.services.profiles.resume(call.principal, call.profile, now=call.now)
    return replace(get_profile(call), status=202)


def reset(call: Call) -> Answer:
    """POST profiles/{profile}/reset."""
    call.services.profiles.reset(call.principal, call.profile, now=call.now)
    return replace(get_profile(call), status=202)


def get_configuration(call: Call) -> Answer:
    """GET profiles/{profile}/configuration."""
    with call.services.control.read() as connection:
        return _configuration(call.services.profiles.find(connection, call.tenant, call.profile))


def patch_configuration(call: Call) -> Answer:
    """PATCH profiles/{profile}/configuration."""
    given = bodies.read(TYPE, call.body, partial=True)
    return _configuration(
        call.services.profiles.change(call.principal, call.profile, given, condition=call.condition(), now=call.now)
    )


def _configuration(row: Row[Any]) -> Answer:
    shown = render.shape(TYPE, select=None, version="beta", unveiled=True)(configuration.shown(row))
    return Answer(
        body=shapes.Configuration(profile=row.id, configuration=shown), headers={"ETag": etags.weak(row.version)}
    )


def _settings(call: Call, settings: dict[str, Any], version: int) -> Answer:
    return Answer(body=shapes.Settings(profile=call.profile, settings=settings), headers={"ETag": etags.weak(version)})


def _trend(connection: Connection, call: Call, profile: str) -> tuple[shapes.TrendPoint, ...]:
    return tuple(
        shapes.TrendPoint(
            run=point.number,
            state=point.state,
            ended=moment(point.ended) or "",
            people=point.people,
            classes=point.classes,
            errors=point.errors,
        )
        for point in listing.trend(connection, call.tenant, profile, limit=TREND_RUNS)
    )


def _short(row: Row[Any], now: int, trend: tuple[shapes.TrendPoint, ...] | None = None) -> shapes.Profile:
    return shapes.Profile(
        id=row.id,
        display_name=row.display_name,
        state=row.state,
        provider=listing.provider(row),
        key_space=row.key_space,
        expired=configuration.expired(row.expiration_date, now=now),
        status=row.status,
        status_message=row.status_message,
        last_good=moment(row.last_good),
        last_activity=moment(row.last_activity),
        next_due=moment(min((time for time in (row.due, row.scheduled) if time is not None), default=None)),
        trend=trend,
    )


def _place(after: str | None) -> str | None:
    if after is not None and len(after) != 36:
        raise Invalid("after must be what nextLink of the page before says.", target="after")
    return after
