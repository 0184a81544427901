"""Profiles as our own API shows them: in short, how fresh they are, their settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Row

from schoolsync import ticks
from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call, moment
from schoolsync.errors import Invalid
from schoolsync.graph import etags
from schoolsync.profiles import listing
from schoolsync.runs import looking
from schoolsync.runs.restarting import Scope


def list_profiles(call: Call) -> Answer:
    """GET profiles."""
    after = call.query.get("after")
    with call.services.control.read() as connection:
        rows = listing.page(connection, call.tenant, after=_place(after), limit=call.limit + 1)
    shown, more = rows[: call.limit], len(rows) > call.limit
    last = f"{call.url}?limit={call.limit}&after={shown[-1].id}" if more else None
    return Answer(body=shapes.Page(value=tuple(map(_short, shown)), next_link=last))


def get_profile(call: Call) -> Answer:
    """GET profiles/{profile}."""
    with call.services.control.read() as connection:
        return Answer(body=_short(listing.one(connection, call.tenant, call.profile)))


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
            limits=settings["quarantine"],
        )
    )


def restart(call: Call) -> Answer:
    """POST profiles/{profile}/restart."""
    call.services.profiles.restart(call.principal, call.profile, Scope(call.body.scope), now=call.now)
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


def _settings(call: Call, settings: dict[str, Any], version: int) -> Answer:
    return Answer(body=shapes.Settings(profile=call.profile, settings=settings), headers={"ETag": etags.weak(version)})


def _short(row: Row[Any]) -> shapes.Profile:
    return shapes.Profile(
        id=row.id,
        display_name=row.display_name,
        state=row.state,
        provider=listing.provider(row),
        key_space=row.key_space,
        status=row.status,
        status_message=row.status_message,
        last_good=moment(row.last_good),
    )


def _place(after: str | None) -> str | None:
    if after is not None and len(after) != 36:
        raise Invalid("after must be what nextLink of the page before says.", target="after")
    return after
