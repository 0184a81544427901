"""Whether a profile can get at its roster: what an upload would meet, said in sentences. Nothing is changed by asking.

Reads the control database and looks at the storage. A provider that this release cannot read from is said to be so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select

from schoolsync import ticks
from schoolsync.errors import Conflict, NotFound, SchoolsyncError
from schoolsync.profiles import configuration
from schoolsync.profiles.states import must_be_startable
from schoolsync.runs.places import REPORT, run_folder
from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import profiles, runs, tenants, uploads
from schoolsync.uploads.service import CSV_PROVIDER
from schoolsync.verdicts import Level, Verdict

if TYPE_CHECKING:
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control
    from schoolsync.uploads.service import StoredFile, Uploads

NAMED = 5
"""Files that a sentence names."""

_NOT_GOOD = frozenset({RunState.FAILED, RunState.HELD, RunState.DISCARDED})


@dataclass(frozen=True, slots=True)
class Source:
    """How a profile stands with its source."""

    provider: str
    checks: tuple[Verdict, ...]

    @property
    def works(self) -> bool:
        return all(one.level is not Level.ERROR for one in self.checks)


def examine(control: Control, uploads_: Uploads, settings: Settings, *, tenant: int, profile: str, now: int) -> Source:
    """Look at everything between the profile and its roster. Raises NotFound."""
    with control.read() as connection:
        row = connection.execute(
            select(profiles).where(profiles.c.tenant == tenant, profiles.c.id == profile)
        ).one_or_none()
        if row is None:
            raise NotFound(f"There is no synchronization profile {profile[:40]}.")
        provider = str(json.loads(row.data_provider)["@odata.type"])
        if provider != CSV_PROVIDER:
            return Source(provider, (Verdict("provider", Level.ERROR, configuration.not_read(provider)),))
        waiting = tuple(_waiting(connection, uploads_, tenant, profile))
        last = _last(connection, uploads_, tenant, profile)
    checks = (_profile(row, now), _storage(settings, uploads_), *waiting)
    return Source(provider, checks if last is None else (*checks, _told(last, uploads_, settings, profile)))


def _profile(row: Row[Any], now: int) -> Verdict:
    if configuration.expired(row.expiration_date, now=now):
        words = f"The profile has expired on {row.expiration_date}: set a later expirationDate."
        return Verdict("profile", Level.ERROR, words)
    try:
        must_be_startable(row.state)
    except Conflict as problem:
        return Verdict("profile", Level.ERROR, str(problem))
    return Verdict("profile", Level.OK, "The profile is provisioned: it takes files and can be started.")


def _storage(settings: Settings, uploads_: Uploads) -> Verdict:
    folder = settings.kept_objects
    if settings.storage_url is None and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        return Verdict("storage", Level.ERROR, f"The folder {folder.name} of the data directory cannot be written.")
    try:
        uploads_.objects.probe()
    except (SchoolsyncError, OSError) as problem:
        return Verdict("storage", Level.ERROR, f"Files cannot be kept: {problem}")
    where = "the object storage" if settings.storage_url is not None else "the data directory"
    return Verdict("storage", Level.OK, f"Files that are uploaded are kept in {where}, which can be reached.")


def _waiting(connection: Connection, uploads_: Uploads, tenant: int, profile: str) -> Iterator[Verdict]:
    """What waits in the upload, beside what was in the last one."""
    inbox = uploads_.inbox(connection, tenant, profile)
    files = () if inbox is None else uploads_.files(connection, tenant, profile, inbox)
    sealed = uploads_.latest_sealed(connection, tenant, profile)
    if not files:
        if sealed is None:
            gone = uploads_.let_go(connection, tenant, profile)
            none = "The files of the last upload are not kept any more" if gone else "No file has come yet"
            yield Verdict(
                "upload",
                Level.WARNING,
                f"{none}: upload the roster in the console, with `schoolsync upload`, or to the address "
                "that Graph's uploadUrl answers.",
            )
        else:
            yield Verdict("upload", Level.OK, "No new file waits: the profile goes on with its last upload.")
        return
    size = sum(one.size for one in files)
    many = f"{len(files)} files wait" if len(files) > 1 else "1 file waits"
    yield Verdict("upload", Level.OK, f"{many} to be started, {size:,} bytes in all: {_named(files)}.")
    empty = [one for one in files if not one.size]
    if empty:
        yield Verdict("upload", Level.ERROR, f"Nothing is in {_named(empty)}: send the whole file again.")
    if sealed is not None:
        there = {one.name.lower() for one in files}
        before = uploads_.files(connection, tenant, profile, sealed)
        missing = [one for one in before if one.name.lower() not in there]
        if missing:
            words = f"{_named(missing)} came with the last upload and is not among the files that wait."
            yield Verdict("upload", Level.WARNING, words)


@dataclass(frozen=True, slots=True)
class _Last:
    """The upload that was started last, and the newest run that reads it."""

    files: int
    sealed: int  # ticks
    run: Any | None  # a row of `runs`


def _last(connection: Connection, uploads_: Uploads, tenant: int, profile: str) -> _Last | None:
    sealed = uploads_.latest_sealed(connection, tenant, profile)
    if sealed is None:
        return None
    mine = (uploads.c.tenant == tenant, uploads.c.profile == profile, uploads.c.id == sealed)
    when = connection.execute(select(uploads.c.sealed).where(*mine)).scalar_one()
    run = connection.execute(
        select(runs.c.id, runs.c.number, runs.c.state, tenants.c.id.label("tenant_id"))
        .join(tenants, tenants.c.number == runs.c.tenant)
        .where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.upload == sealed)
        .order_by(runs.c.number.desc())
        .limit(1)
    ).one_or_none()
    return _Last(len(uploads_.files(connection, tenant, profile, sealed)), when, run)


def _told(last: _Last, uploads_: Uploads, settings: Settings, profile: str) -> Verdict:
    many = f"{last.files} files" if last.files != 1 else "1 file"
    day = ticks.text(last.sealed)[:10]
    if last.run is None:
        sentence = f"The last upload, of {many}, was started on {day} and was not read."
        return Verdict("last upload", Level.WARNING, sentence)
    run = last.run
    read_as = _format(uploads_, settings, run.tenant_id, profile, run.id)
    level = Level.WARNING if run.state in _NOT_GOOD else Level.OK
    read = f"read as {read_as} by run {run.number}" if read_as else f"given to run {run.number}"
    sentence = f"The last upload, of {many}, was started on {day} and {read}, which is {run.state}."
    return Verdict("last upload", level, sentence)


def _format(uploads_: Uploads, settings: Settings, tenant_id: str, profile: str, run: str) -> str | None:
    """What the run's report says that the files were read as; None when there is none, or it is kept no longer."""
    try:
        path = uploads_.objects.fetch(run_folder(settings, tenant_id, profile, run) / REPORT)
        return str(json.loads(path.read_bytes()).get("format")) or None
    except (SchoolsyncError, OSError, ValueError):
        return None


def _named(files: Sequence[StoredFile]) -> str:
    names = [one.name for one in files[:NAMED]]
    more = len(files) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
