"""`schoolsync runs`, `cancel`, `restart` and `freshness`: what the runs of an installation do, and how old the data is.

Works on the databases, beside a running server or without one: a worker notices what is asked here at once. Prints
ids, numbers and the runs' own sentences; never anything about a person.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

from sqlalchemy import Row, select

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.cli.answers import tell
from schoolsync.cli.client import acting, existing, guid
from schoolsync.cli.progress import Progress
from schoolsync.cli.words import duration
from schoolsync.errors import NotFound, UsageError
from schoolsync.profiles import listing
from schoolsync.runs import asides, cancelling, looking
from schoolsync.runs.aside_records import parts_of
from schoolsync.runs.one import Ones, Part
from schoolsync.runs.processes import clock, new_id
from schoolsync.runs.readers import Readers
from schoolsync.runs.restarting import Scope
from schoolsync.runs.service import Runs
from schoolsync.runs.states import ENDED, WAITING
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import runs
from schoolsync.store.directories import Directories
from schoolsync.uploads.service import Uploads

LOOK = 0.5


def show(settings: Settings, *, tenant: str, profile: str, limit: int, follow: bool, as_json: bool) -> int:
    """Print the newest runs of a profile, newest first; with `follow` the newest one, once it has ended or waits."""
    progress = Progress(quiet=as_json or not follow)
    with existing(settings) as control:
        number = _tenant(control, tenant)
        said = ""
        while True:
            with control.read() as connection:
                found = looking.many(
                    connection, number, _profile(control, number, profile), now=clock(), limit=1 if follow else limit
                )
            over = not follow or not found or found[0].state in ENDED | WAITING
            text = "\n".join(json.dumps(_plain(run)) if as_json else line(run) for run in found)
            if follow and found:
                progress(_seen(found[0]))
            if text and text != said and (as_json or over):
                print(text, flush=True)
                said = text
            if over:
                return 0
            time.sleep(LOOK)


def cancel(settings: Settings, *, tenant: str, profile: str, run: str | None, why: str | None) -> int:
    """End the open run of a profile, or the one that is named; 0 when it has ended or will within one batch."""
    tenant_id = guid("--tenant", tenant)
    with existing(settings) as control:
        number = _tenant(control, tenant)
        chosen = _profile(control, number, profile)
        row = _run(control, number, chosen, run)
        with (
            acting(settings, control, tenant_id=tenant_id, operation="cancel", about=str(row.id)),
            control.write(number) as connection,
        ):
            fresh = connection.execute(select(runs).where(runs.c.tenant == number, runs.c.id == row.id)).one()
            cancelling.cancel(
                connection, _service(settings, control), fresh, by=f"machine:{os.getuid()}", why=why, now=clock()
            )
        with control.read() as connection:
            seen = looking.find(connection, number, chosen, str(row.id), now=clock())
        tell(line(seen), **_plain(seen))
    return 0


def restart(settings: Settings, *, tenant: str, profile: str, scope: str, school: str | None, kind: str | None) -> int:
    """Try again now, a school or a kind alone where one is named; 0 when a run was begun.

    Raises UsageError for a scope or a kind that there is not, and as `Runs.restart` and `Ones.restart` do.
    """
    if scope not in set(Scope):
        raise UsageError(f"--scope must be one of {', '.join(Scope)}.")
    if kind is not None and kind not in get_args(Part):
        raise UsageError(f"--kind must be one of {', '.join(get_args(Part))}.")
    tenant_id = guid("--tenant", tenant)
    with existing(settings) as control:
        number = _tenant(control, tenant)
        chosen = _profile(control, number, profile)
        by = Principal(
            tenant=number, tenant_id=tenant_id, kind="none", grants=frozenset(), client=f"machine:{os.getuid()}"
        )
        with acting(settings, control, tenant_id=tenant_id, operation="restart", about=chosen):
            if school is not None or kind is not None:
                with _ones(settings, control) as ones:
                    part: Part | None = kind  # type: ignore[assignment]  # looked at above
                    ones.restart(by, chosen, scope=Scope(scope), school=school, kind=part, now=clock())
            else:
                with control.write(number) as connection:
                    _service(settings, control).restart(
                        connection, number, chosen, scope=Scope(scope), now=clock(), by=by
                    )
        with control.read() as connection:
            seen = looking.many(connection, number, chosen, now=clock(), limit=1)[0]
        tell(line(seen), **_plain(seen))
    return 0


def freshness(settings: Settings, *, tenant: str | None, as_json: bool) -> int:
    """Print how old the data of every profile is, from what runs have done; never from what callers have reported."""
    with existing(settings) as control, control.read() as connection:
        now = clock()
        for found in looking.freshness_of_all(connection, tenant=None if tenant is None else _tenant(control, tenant)):
            age = None if found.last_good is None else max(0, now - found.last_good) / ticks.PER_SECOND
            parts = parts_of(connection, found.tenant, found.profile)
            aside = [part for part in parts if part.why is not None]
            if as_json:
                print(
                    json.dumps(
                        {
                            "tenant": found.tenant_id,
                            "profile": found.profile,
                            "displayName": found.display_name,
                            "lastGood": _moment(found.last_good),
                            "ageSeconds": age,
                            "nextDue": _moment(found.due),
                            "lastRunState": found.last_state,
                            "aside": [
                                {
                                    "school": part.school,
                                    "kind": part.kind,
                                    "why": part.why,
                                    "nextTry": _moment(part.retry),
                                }
                                for part in aside
                            ],
                        }
                    )
                )
            else:
                old = "never" if age is None else f"{duration(age)} ago"
                due = f", next due {_moment(found.due)}" if found.due is not None else ""
                print(f"{found.tenant_id}  {found.profile}  last good {old}{due}  {found.display_name}")
                for part in aside:
                    again = "" if part.retry is None else f", tried again {_moment(part.retry)}"
                    print(f"    set aside: {asides.called(part)} ({part.why}){again}")
    return 0


def line(run: looking.Run) -> str:
    """A run in one line."""
    parts = [f"run {run.number}", run.state if run.held_for is None else f"{run.state} ({run.held_for})", run.id]
    done = run.progress
    if done.rows_total:
        parts.append(f"{done.rows_done:,} of {done.rows_total:,} rows")
    if done.rate is not None and run.ended is None:
        parts.append(f"{done.rate:,.0f} rows/s")
    if done.seconds_left is not None:
        parts.append(f"{duration(done.seconds_left)} left")
    elif done.stage_seconds_left is not None:
        parts.append(f"{duration(done.stage_seconds_left)} left in this stage")
    if run.error_count:
        parts.append(f"{run.error_count:,} errors")
    if run.approved_by:
        parts.append(f"approved by {', '.join(run.approved_by)}")
    if run.message:
        parts.append(run.message)
    return "  ".join(parts)


def _seen(run: looking.Run) -> dict[str, Any]:
    """What is told of a run while somebody waits for it, as servers tell it too."""
    done = run.progress
    counted = {"rowsDone": done.rows_done, "rowsTotal": done.rows_total, "stageSecondsLeft": done.stage_seconds_left}
    return {
        "ended": run.ended,
        "state": run.state,
        "stage": run.stage,
        "progress": {**counted, "rate": done.rate, "secondsLeft": done.seconds_left},
    }


def _plain(run: looking.Run) -> dict[str, Any]:
    return {
        "run": run.id,
        "number": run.number,
        "state": run.state,
        "stage": run.stage,
        "heldFor": run.held_for,
        "cause": run.cause,
        "asked": _moment(run.asked),
        "ended": _moment(run.ended),
        "rowsDone": run.progress.rows_done,
        "rowsTotal": run.progress.rows_total,
        "rate": run.progress.rate,
        "stageSecondsLeft": run.progress.stage_seconds_left,
        "secondsLeft": run.progress.seconds_left,
        "approvedBy": list(run.approved_by),
        "errorCount": run.error_count,
        "message": run.message,
    }


@contextmanager
def _ones(settings: Settings, control: Control) -> Iterator[Ones]:
    """What begins runs of a part, as a server has it."""
    uploads = Uploads(control=control, settings=settings, clock=clock, new_id=new_id)
    readers, directories = Readers(settings), Directories(settings)
    try:
        yield Ones(
            control=control,
            settings=settings,
            runs=_service(settings, control),
            readers=readers,
            directories=directories,
            uploads=uploads,
        )
    finally:
        readers.close()
        directories.close()


def _service(settings: Settings, control: Control) -> Runs:
    uploads = Uploads(control=control, settings=settings, clock=clock, new_id=new_id)
    return Runs(control=control, settings=settings, uploads=uploads, clock=clock, new_id=new_id)


def _moment(value: int | None) -> str | None:
    return None if value is None else ticks.text(value)


def _tenant(control: Control, tenant: str) -> int:
    number = control.known_tenant(guid("--tenant", tenant))
    if number is None:
        raise UsageError(f"There is no tenant {tenant} here.")
    return number


def _profile(control: Control, tenant: int, profile: str) -> str:
    """The id of the profile that is named by its id or, when only one has it, by its display name."""
    with control.read() as connection:
        try:
            return str(listing.one(connection, tenant, profile.strip().lower()).id)
        except NotFound:
            named = listing.named(connection, tenant, profile)
    if len(named) != 1:
        what = "no profile" if not named else f"{len(named)} profiles"
        raise UsageError(f"--profile: the tenant has {what} of that id or name; `schoolsync freshness` lists them.")
    return str(named[0].id)


def _run(control: Control, tenant: int, profile: str, run: str | None) -> Row[Any]:
    mine = select(runs).where(runs.c.tenant == tenant, runs.c.profile == profile)
    with control.read() as connection:
        if run is not None:
            chosen = looking.find(connection, tenant, profile, run.strip().lower(), now=clock()).id
            return connection.execute(mine.where(runs.c.id == chosen)).one()
        row = connection.execute(mine.where(runs.c.ended.is_(None))).one_or_none()
    if row is None:
        raise UsageError("No run of the profile is open: there is nothing to cancel.")
    return row
