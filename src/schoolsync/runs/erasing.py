"""Erasing one person: from the directory, from the uploads, and from everything that runs keep.

What a profile's runs keep is edited (`erased_files`); uploads of such a profile are deleted whole, because a person may
stand anywhere in them. What stays is the object's id, which says nothing about anybody: in the audit log, in the rows
of old plans, and where those who follow the directory's changes are told that the object is gone. May be done again
at any time, as it must be when a backup was put back. docs/access.md says it to the operator.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from schoolsync.access import refreshing
from schoolsync.access.issuer import GUID
from schoolsync.directory import changes, reading
from schoolsync.errors import UsageError, WorldError
from schoolsync.runs import erased_files, one
from schoolsync.runs.erased_files import Traces
from schoolsync.runs.retention import drop_uploads
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import (
    accounts,
    approvals,
    console_sessions,
    device_codes,
    errors,
    profile_status,
    profiles,
    rekeys,
    runs,
    sign_ins,
    upload_files,
    uploads,
)
from schoolsync.store.database import scrub
from schoolsync.store.directories import Directories
from schoolsync.store.directory_tables import people
from schoolsync.store.objects import objects_of


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done."""

    directory: bool  # the person was in the directory
    runs: int  # so many runs knew the person
    uploads: int  # so many uploads were deleted
    again: bool  # a run began meanwhile: it is to be done again once that has ended


class Erasing:
    """One tenant's people, and the places they are in."""

    def __init__(
        self, control: Control, directories: Directories, settings: Settings, *, tenant: int, tenant_id: str
    ) -> None:
        self._control = control
        self._directories = directories
        self._settings = settings
        self._tenant = tenant
        self._tenant_id = tenant_id
        self._objects = objects_of(settings)
        self._profiles = self._objects.path(f"tenants/{tenant_id}/profiles")

    def find(self, wanted: str) -> str:
        """The object id of the person with that object id, principal name or SIS ID.

        Raises UsageError when there is nobody, or more than one.
        """
        with self._directories.read(self._tenant_id) as connection:
            same = or_(
                people.c.id == wanted.lower(),
                people.c.account_name == wanted.lower(),
                people.c.source_id == wanted,
            )
            found = set(connection.execute(select(people.c.id).where(people.c.tenant == self._tenant, same)).scalars())
        if not found:
            for folder in self._runs():
                found |= erased_files.find(folder, wanted)
        if len(found) > 1:
            raise UsageError(f"Several people are known by that: give an object id, one of {', '.join(sorted(found))}.")
        if not found:
            raise UsageError("Nobody in this tenant is known by that: give an object id, a principal name or a SIS ID.")
        (one,) = found
        return str(one)

    def erase(self, object_id: str, *, with_waiting: bool, now: int) -> Erased:
        """Erase the person with an object id; nothing to do is no mistake.

        Files that wait to be started are deleted `with_waiting`. Raises UsageError when they may not be, or when a run
        is open, in a profile that knows the person.
        """
        if not GUID.fullmatch(object_id):
            raise UsageError("An object id is a GUID such as 11111111-2222-3333-4444-555555555555.")
        traces, known_to = self._learn(object_id)
        knowing = [folder for folder in self._runs() if folder.parent.parent.name in known_to]
        with self._control.read() as connection:
            for profile in known_to:
                self._refuse_when_busy(connection, profile, with_waiting)
            before = self._last_run(connection, known_to)
        there = self._leave_directory(object_id, now)
        for folder in knowing:
            erased_files.erase(folder, traces)
            self._objects.settle_folder(folder)
        gone = 0
        for profile in known_to:
            self._leave_rekeys(profile, traces)
            gone += self._leave_rows(profile, traces, with_waiting)
        self._leave_accounts(traces)
        scrub(self._control.engine)
        with self._control.read() as connection:
            again = self._last_run(connection, known_to) != before
        return Erased(directory=there, runs=len(knowing), uploads=gone, again=again)

    # --- looking ---------------------------------------------------------------------------------------------------

    def _runs(self) -> Iterator[Path]:
        for folder, _ in self._objects.folders("runs", tenant_id=self._tenant_id):
            self._objects.fetch_folder(folder)
            if folder.is_dir():
                yield folder

    def _learn(self, object_id: str) -> tuple[Traces, list[str]]:
        """All that is known of the person, and the profiles that know it.

        A run of theirs that failed has no plan and knows nobody by an id; its findings may quote a SIS ID all the same.
        """
        traces = Traces(object_id)
        knowing = {folder.parent.parent.name for folder in self._runs() if erased_files.learn(folder, traces)}
        with self._directories.read(self._tenant_id) as connection:
            row = reading.find(connection, people, self._tenant, object_id)
        if row is not None:
            traces.keys.add(row.key)
            names = (row.source_id, row.user_principal_name, row.mail, row.secondary_email)
            traces.names.update(name for name in names if name)
            if row.display_name:
                traces.called.add(row.display_name)
            with self._control.read() as connection:
                owner = select(profiles.c.id).where(profiles.c.tenant == self._tenant, profiles.c.number == row.profile)
                knowing |= set(connection.execute(owner).scalars())
        return traces, sorted(knowing)

    def _refuse_when_busy(self, connection: Connection, profile: str, with_waiting: bool) -> None:
        mine = (runs.c.tenant == self._tenant, runs.c.profile == profile, runs.c.ended.is_(None))
        run = connection.execute(select(runs.c.id).where(*mine)).scalar_one_or_none()
        if run is not None:
            raise UsageError(
                f"Run {run} of the profile {profile} is open and works with the person: wait for its end, or discard "
                "it, and type the command again."
            )
        if with_waiting:
            return
        waiting = connection.execute(
            select(func.count())
            .select_from(upload_files.join(uploads, _same_upload()))
            .where(uploads.c.tenant == self._tenant, uploads.c.profile == profile, uploads.c.state == "open")
        ).scalar_one()
        if waiting:
            raise UsageError(
                f"Files have been uploaded to the profile {profile} and not been started: the person may be in them. "
                "Start the profile first, or add --waiting, which deletes them."
            )

    def _last_run(self, connection: Connection, known_to: list[str]) -> int | None:
        """The highest number of a run of these profiles."""
        wanted = select(func.max(runs.c.number)).where(runs.c.tenant == self._tenant, runs.c.profile.in_(known_to))
        number: int | None = connection.execute(wanted).scalar_one()
        return number

    # --- erasing ---------------------------------------------------------------------------------------------------

    def _leave_directory(self, object_id: str, now: int) -> bool:
        with self._directories.write(self._tenant_id) as connection:
            row = reading.find(connection, people, self._tenant, object_id)
            if row is not None:
                changes.remove(connection, tenant=self._tenant, table=people, row=row, now=now)
        self._directories.scrub(self._tenant_id)
        return row is not None

    def _leave_rekeys(self, profile: str, traces: Traces) -> None:
        """Pairs of old and new SIS IDs that are the person's go from the maps."""
        mine = (rekeys.c.tenant == self._tenant, rekeys.c.profile == profile)
        with self._control.read() as connection:
            maps = list(connection.execute(select(rekeys.c.object).where(*mine)).scalars())
        for path in map(self._objects.path, maps):
            try:
                self._objects.fetch(path)
            except FileNotFoundError:
                continue
            rows = list(csv.reader(io.StringIO(path.read_text("utf-8"))))
            kept = [row for row in rows if not any(traces.are(value) for value in row[1:])]
            if len(kept) < len(rows):
                text = io.StringIO()
                csv.writer(text, lineterminator="\n").writerows(kept)
                erased_files.replace(path, text.getvalue().encode())
                self._objects.keep(path)

    def _leave_rows(self, profile: str, traces: Traces, with_waiting: bool) -> int:
        """Rows of the control database lose the person, and uploads of the profile go; how many these were."""
        names = sorted({form for name in traces.names for form in (name, name.lower())})
        with self._control.write(self._tenant) as connection:
            connection.execute(
                delete(errors).where(
                    errors.c.tenant == self._tenant,
                    errors.c.profile == profile,
                    or_(errors.c.reportable_identifier.in_(names), errors.c.joining_value.in_(names)),
                )
            )
            self._scrub_runs(connection, profile, traces)
            self._scrub_written(connection, profile, traces)
            mine = (profile_status.c.tenant == self._tenant, profile_status.c.profile == profile)
            message = connection.execute(select(profile_status.c.status_message).where(*mine)).scalar_one_or_none()
            if message is not None and (said := traces.scrubbed(message)) != message:
                connection.execute(update(profile_status).where(*mine).values(status_message=said))
            states = ("sealed", "open") if with_waiting else ("sealed",)
            whole = list(
                connection.execute(
                    select(uploads.c.id).where(
                        uploads.c.tenant == self._tenant, uploads.c.profile == profile, uploads.c.state.in_(states)
                    )
                ).scalars()
            )
            drop_uploads(connection, [(self._tenant, profile, upload) for upload in whole])
            dropped = select(uploads.c.id).where(
                uploads.c.tenant == self._tenant, uploads.c.profile == profile, uploads.c.state == "gone"
            )
            gone = list(connection.execute(dropped).scalars())
        # Also those whose files were left when an erasing before was cut off here.
        for upload in gone:
            try:
                self._objects.drop_folder(self._profiles / profile / "uploads" / upload)
            except OSError as problem:
                raise WorldError(
                    f"The files of upload {upload} cannot be deleted: {problem.strerror}. Erase again once they can."
                ) from problem
        return len(whole)

    def _leave_accounts(self, traces: Traces) -> None:
        """The person signs in no more: the account of that name goes, with its codes, tokens and sessions."""
        names = {name.lower() for name in traces.names}
        with self._control.write(self._tenant) as connection:
            theirs = (accounts.c.tenant == self._tenant, accounts.c.name.in_(names))
            ids = list(connection.execute(select(accounts.c.id).where(*theirs)).scalars())
            connection.execute(delete(accounts).where(*theirs))
            for person in ids:
                refreshing.forget(connection, tenant=self._tenant, person=person)
            for table in (sign_ins, device_codes):
                named = or_(table.c.user_id.in_([traces.object_id, *ids]), func.lower(table.c.user_name).in_(names))
                connection.execute(delete(table).where(table.c.tenant == self._tenant, named))
            mine = console_sessions.c.tenant == self._tenant
            for row in connection.execute(
                select(console_sessions.c.id, console_sessions.c.principal).where(mine)
            ).all():
                if any(traces.are(value) or value in ids for value in json.loads(row.principal).values() if value):
                    connection.execute(delete(console_sessions).where(mine, console_sessions.c.id == row.id))

    def _scrub_written(self, connection: Connection, profile: str, traces: Traces) -> None:
        """What people wrote as a reason loses the person's names."""
        for table, key in ((approvals, approvals.c.id), (rekeys, rekeys.c.number)):
            mine = (table.c.tenant == self._tenant, table.c.profile == profile)
            wrote = select(key.label("key"), table.c.why).where(*mine, table.c.why.is_not(None))
            for row in connection.execute(wrote).all():
                if (left := traces.out_of(row.why)) != row.why:
                    connection.execute(update(table).where(*mine, key == row.key).values(why=left))

    def _scrub_runs(self, connection: Connection, profile: str, traces: Traces) -> None:
        mine = (runs.c.tenant == self._tenant, runs.c.profile == profile)
        told = (runs.c.message, runs.c.verification, runs.c.summary, runs.c.only, runs.c.limits)
        for row in connection.execute(select(runs.c.id, *told).where(*mine)).all():
            after: dict[str, Any] = {
                "message": traces.scrubbed(row.message),
                "verification": _scrubbed_json(row.verification, traces),
                "summary": _scrubbed_json(row.summary, traces),
            }
            if row.limits is not None:  # for one plan only, with a reason of their own
                given = json.loads(row.limits)
                why = given.get("why")
                if why is not None and (left := traces.out_of(why)) != why:
                    after["limits"] = json.dumps(given | {"why": left})
            meant = None if row.only is None else one.wanted(row.only).only.source_id
            if meant is not None and traces.are(meant):
                after["only"] = one.forgotten(row.only)
            if any(getattr(row, name) != value for name, value in after.items()):
                connection.execute(update(runs).where(*mine, runs.c.id == row.id).values(**after))


def _scrubbed_json(text: str | None, traces: Traces) -> str | None:
    """JSON without the person's names; as it was when they are not in it."""
    if text is None:
        return None
    before = json.loads(text)
    after = traces.scrubbed(before)
    return text if after == before else json.dumps(after)


def _same_upload() -> Any:  # a condition of SQLAlchemy's
    return (
        (upload_files.c.tenant == uploads.c.tenant)
        & (upload_files.c.profile == uploads.c.profile)
        & (upload_files.c.upload == uploads.c.id)
    )
