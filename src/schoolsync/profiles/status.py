"""The status of a profile: what our own runs are doing, and what callers report about it.

Two voices are kept apart. `own_status` is the state of our own runs and only `record` writes it; `status` is what
GET shows: our last word, or what a caller has reported since. Deciders are pure: they say what a written value means
and refuse what would hide running work. See docs/profile-status.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Select,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    func,
    insert,
    select,
    update,
)

from schoolsync import ticks
from schoolsync.errors import Conflict, NotFound
from schoolsync.store.control_tables import profile_status, profiles, runs
from schoolsync.store.database import LookUp, is_postgresql, listed, rows_of_lists

if TYPE_CHECKING:
    from schoolsync.runs.states import OpenRun
    from schoolsync.store.control import Control

WAITS_FOR_FILES = "Nothing has been synchronized yet: upload the files and start the profile."
FILES_ARE_GONE = (
    "The files of the last synchronization are not kept any more: upload the whole set again and start the profile."
)
STARTS_ITSELF = "Nothing has been synchronized yet: the first synchronization starts by itself."
CLEARED = "Nothing is known about this profile: reset it to synchronize."


class Status(StrEnum):
    """educationSynchronizationStatus."""

    PAUSED = "paused"
    IN_PROGRESS = "inProgress"
    SUCCESS = "success"
    ERROR = "error"
    VALIDATION_ERROR = "validationError"
    QUARANTINED = "quarantined"
    UNKNOWN_FUTURE_VALUE = "unknownFutureValue"
    EXTRACTING = "extracting"
    VALIDATING = "validating"


LATE_MEMBERS = frozenset({Status.EXTRACTING, Status.VALIDATING})
"""Members younger than the enum's sentinel: a client that did not ask for them sees `unknownFutureValue` instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileStatus:
    """One row of `profile_status`; the fields are its columns."""

    status: str | None
    status_message: str | None
    error_count: int | None
    last_synchronization: int | None
    last_activity: int | None
    own_status: str | None
    version: int


class Act(Enum):
    """What a written `status` asks for."""

    NOTHING = "nothing"  # it is what is shown already
    WITHDRAW = "withdraw"  # it is the real state: what was reported before no longer counts
    PAUSE = "pause"
    RESUME = "resume"
    REPORT = "report"  # kept as the caller's word until our own next transition


def decide(wanted: str | None, *, now: ProfileStatus, run: OpenRun | None) -> Act:
    """What writing `wanted` means for a profile in status `now` whose run `run` is open, if any.

    A value equal to the shown or the real one never disturbs anything, in either spelling of a late member, so that
    writing back what was read is always safe. Raises Conflict for a value that would hide an open run.
    """
    if _same(wanted, now.status):
        return Act.NOTHING
    if _same(wanted, now.own_status):
        return Act.WITHDRAW
    if wanted == Status.PAUSED:
        return Act.PAUSE
    if wanted == Status.IN_PROGRESS and now.own_status in {Status.PAUSED, Status.VALIDATION_ERROR}:
        return Act.RESUME
    if run is not None:
        raise Conflict(busy(run), target="status")
    return Act.REPORT


def _same(wanted: str | None, known: str | None) -> bool:
    return wanted == known or (wanted == Status.UNKNOWN_FUTURE_VALUE and known in LATE_MEMBERS)


def busy(run: OpenRun) -> str:
    """Why the status of a profile with an open run cannot be written over, and what to do."""
    if run.active:
        return f"Run {run.number} of this profile is {run.state}: wait until it ends, or pause or reset the profile."
    if run.held_for is None:
        return f"Run {run.number} of this profile is paused: resume or reset the profile first."
    return (
        f"Run {run.number} of this profile is held because of its {_HELD[str(run.held_for)]}: resume or reset the "
        "profile, or start it with other files, first."
    )


_HELD = {"findings": "findings", "fatal": "files", "guard": "guards"}


def settle(given: Mapping[str, Any], *, before: ProfileStatus, act: Act, now: int) -> dict[str, Any]:
    """The columns that change when a caller writes `given` (column -> value), after `act` was done by our runs.

    Empty when nothing changes. The time of the last activity moves with every change, unless the caller sets it.
    Values are those of columns, of any type.
    """
    wanted = {name: value for name, value in given.items() if name != "status"}
    if act is Act.WITHDRAW:
        wanted["status"] = before.own_status
    elif act is Act.REPORT:
        wanted["status"] = given["status"]
    changes = {name: value for name, value in wanted.items() if getattr(before, name) != value}
    if changes and "last_activity" not in given and before.last_activity != now:
        changes["last_activity"] = now
    return changes


def initial(message: str) -> dict[str, Any]:
    """The columns of a profile that has not synchronized yet; a status is there from the first moment."""
    return {
        "status": None,
        "status_message": message,
        "error_count": 0,
        "last_synchronization": None,
        "last_activity": None,
        "own_status": None,
    }


# --- the table ----------------------------------------------------------------------------------------------------


def create(connection: Connection, *, tenant: int, profile: str, message: str) -> None:
    """Insert the status of a new profile."""
    connection.execute(insert(profile_status).values(tenant=tenant, profile=profile, **initial(message)))


# Monitors ask for it all day, so the statements are put together once.
_ITS = (profile_status.c.tenant == bindparam("its_tenant"), profile_status.c.profile == bindparam("its_profile"))
_ROW = select(*(profile_status.c[field.name] for field in fields(ProfileStatus))).where(*_ITS)
_LOOK_UP = LookUp(_ROW)


def look_up(control: Control, *, tenant: int, profile: str) -> ProfileStatus:
    """The status of a profile as it is now. Raises NotFound when there is no such profile."""
    return _status(control.look_up(_LOOK_UP, its_tenant=tenant, its_profile=profile), profile)


def load(connection: Connection, *, tenant: int, profile: str) -> ProfileStatus:
    """The status of a profile. Raises NotFound when there is no such profile."""
    row = connection.execute(_ROW, {"its_tenant": tenant, "its_profile": profile}).one_or_none()
    return _status(None if row is None else dict(row._mapping), profile)


def look_up_all(control: Control, *, tenant: int, asked: Collection[str]) -> dict[str, tuple[ProfileStatus, str]]:
    """`load_all` as it is now."""
    server = not control.inline
    return _found(control.look_up_all(_LOOK_UP_ALL[server], **_given(server, tenant, asked)))


async def ask_all(control: Control, *, tenant: int, asked: Collection[str]) -> dict[str, tuple[ProfileStatus, str]]:
    """The same of a server, in the event loop."""
    return _found(await control.ask(_LOOK_UP_ALL[True], **_given(True, tenant, asked)))


def load_all(connection: Connection, *, tenant: int, asked: Collection[str]) -> dict[str, tuple[ProfileStatus, str]]:
    """The statuses and the states of several profiles; one that does not exist is not in the answer."""
    server = is_postgresql(connection)
    return _found(connection.execute(_ALL[server], _given(server, tenant, asked)))


def _given(server: bool, tenant: int, asked: Collection[str]) -> dict[str, object]:
    """The parameters of `_ALL`."""
    return {"its_tenant": tenant, "asked": [*asked] if server else json.dumps([*asked])}


def _found(rows: Iterable[Sequence[Any]]) -> dict[str, tuple[ProfileStatus, str]]:
    return {
        profile: (ProfileStatus(**dict(zip(_FIELDS, values, strict=True))), state) for profile, state, *values in rows
    }


_FIELDS = tuple(field.name for field in fields(ProfileStatus))


def _all(asked: ColumnElement[bool]) -> Select[Any]:
    both = and_(profiles.c.tenant == profile_status.c.tenant, profiles.c.id == profile_status.c.profile)
    columns = [profile_status.c[name] for name in _FIELDS]
    found = select(profiles.c.id, profiles.c.state, *columns).select_from(profile_status.join(profiles, both))
    return found.where(_ITS[0], asked)


_ALL = {
    False: _all(profile_status.c.profile.in_(select(func.json_each(bindparam("asked")).table_valued("value").c.value))),
    True: _all(profile_status.c.profile == any_(bindparam("asked", type_=ARRAY(Text())))),
}
_LOOK_UP_ALL = {server: LookUp(statement) for server, statement in _ALL.items()}


def change_all(connection: Connection, *, tenant: int, changed: Mapping[str, ProfileStatus]) -> None:
    """Write the statuses of several profiles as they are given, the version too."""
    if not changed:
        return
    if len(changed) > 1 and is_postgresql(connection):
        lists = {name: [getattr(now, name) for now in changed.values()] for name in _FIELDS}
        connection.execute(_CHANGE_LISTED, listed(lists | {"profile": [*changed]}) | {"its_tenant": tenant})
        return
    rows = [
        {"its_tenant": tenant, "its_profile": profile, **{name: getattr(now, name) for name in _FIELDS}}
        for profile, now in changed.items()
    ]
    connection.execute(_CHANGE_ALL, rows)


_CHANGE_ALL = update(profile_status).where(*_ITS).values({name: bindparam(name) for name in _FIELDS})
_LISTED = rows_of_lists(profile_status, ("profile", *_FIELDS))
_CHANGE_LISTED = (
    update(profile_status)
    .where(_ITS[0], profile_status.c.profile == _LISTED.c.profile)
    .values({name: _LISTED.c[name] for name in _FIELDS})
)


def missing(profile: str) -> NotFound:
    """What is raised for a profile that does not exist."""
    return NotFound(f"There is no synchronization profile {profile}.")


def _status(row: Mapping[str, Any] | None, profile: str) -> ProfileStatus:
    if row is None:
        raise missing(profile)
    return ProfileStatus(**row)


def own(connection: Connection, *, tenant: int, profile: str) -> str | None:
    """The state of the profile's own runs, whatever callers report."""
    return connection.execute(select(profile_status.c.own_status).where(*_is(tenant, profile))).scalar_one_or_none()


def change(connection: Connection, *, tenant: int, profile: str, **columns: Any) -> None:
    """Write `columns` and raise the version; values are those of columns, of any type."""
    connection.execute(_change(tuple(columns)), {**columns, "its_tenant": tenant, "its_profile": profile})


@cache
def _change(columns: tuple[str, ...]) -> Update:
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
    return update(profile_status).where(*_ITS).values(**values, version=profile_status.c.version + 1)


def record(
    connection: Connection,
    *,
    tenant: int,
    profile: str,
    status: str | None,
    message: str,
    now: int,
    error_count: int | None = None,
    synchronized: int | None = None,
) -> None:
    """Our own transition: from now on it is both the real and the shown status, whatever callers reported before.

    `error_count` and `synchronized` (the time of a successful end) stay as they are when they are None. A profile that
    has expired stays paused, whatever an undo or a clean-up, which may go on all the same, comes to.
    """
    if status != Status.PAUSED and _stays_paused(connection, tenant, profile, now):
        status = Status.PAUSED
    columns: dict[str, Any] = {"status": status, "own_status": status, "status_message": message, "last_activity": now}
    if error_count is not None:
        columns["error_count"] = error_count
    if synchronized is not None:
        columns["last_synchronization"] = synchronized
    change(connection, tenant=tenant, profile=profile, **columns)


def _stays_paused(connection: Connection, tenant: int, profile: str, now: int) -> bool:
    """Whether the profile is paused because it has expired, and its newest run is an undo or a clean-up."""
    paused = connection.execute(_PAUSED_BY_EXPIRY, {**_named(tenant, profile), "today": ticks.text(now)[:10]})
    if paused.one_or_none() is None:
        return False
    newest = connection.execute(_NEWEST_RUN, _named(tenant, profile)).one_or_none()
    return newest is not None and (newest.undoes is not None or newest.cleans is not None)


def _named(tenant: int, profile: str) -> dict[str, Any]:
    return {"its_tenant": tenant, "its_profile": profile}


_PAUSED_BY_EXPIRY = (
    select(profiles.c.id)
    .join(profile_status, and_(profile_status.c.tenant == profiles.c.tenant, profile_status.c.profile == profiles.c.id))
    .where(*_ITS, profile_status.c.own_status == Status.PAUSED, profiles.c.expiration_date <= bindparam("today"))
)
_NEWEST_RUN = (
    select(runs.c.undoes, runs.c.cleans)
    .where(runs.c.tenant == bindparam("its_tenant"), runs.c.profile == bindparam("its_profile"))
    .order_by(runs.c.number.desc())
    .limit(1)
)

_TOUCHED_BY_START = ("status", "own_status", "status_message", "last_activity")


def restore(connection: Connection, *, tenant: int, profile: str, before: Mapping[str, Any]) -> None:
    """Put back what a start that came to nothing had recorded; `before` are the columns as they were.

    Members that a start never touches are left alone: a caller may have written them meanwhile.
    """
    change(connection, tenant=tenant, profile=profile, **{name: before[name] for name in _TOUCHED_BY_START})


def _is(tenant: int, profile: str) -> tuple[Any, ...]:
    return profile_status.c.tenant == tenant, profile_status.c.profile == profile
