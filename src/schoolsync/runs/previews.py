"""Previews: dry runs of a roster against a profile. What would change is worked out, stored, and never applied.

A preview goes through the same stages as a run, in a place of its own: its upload, its run, its errors and its files
are kept under the preview's id where a run's are kept under the profile's. So nothing of the profile can be touched
by it: not its inbox, not its status, not its errors. The directory is read and never written. Whoever has looked at a
preview may have exactly its plan applied: a run begins with the same files and stops when it comes to another plan.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, insert, select

from schoolsync import ticks
from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Act
from schoolsync.errors import Conflict, NotFound
from schoolsync.profiles import states
from schoolsync.runs.states import Cause, RunState
from schoolsync.store.control_tables import errors, previews, profiles, runs, upload_blocks, upload_files, uploads

if TYPE_CHECKING:
    from schoolsync.runs.service import Runs
    from schoolsync.store.control import Control
    from schoolsync.uploads.service import Uploads

KEPT = 24 * 3600 * ticks.PER_SECOND
"""How long a preview and its files are kept."""
OPEN_MAX = 20
"""So many previews of a profile may be there at once."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new preview that waits for its files."""

    id: str
    container: str  # URL to upload into
    expires: int


class Previews:
    """The previews of all profiles. Safe to share between threads."""

    def __init__(self, *, control: Control, uploads: Uploads, runs: Runs, new_id: Callable[[], str]) -> None:
        self._control = control
        self._uploads = uploads
        self._runs = runs
        self._new_id = new_id

    def open(self, principal: Principal, profile: str, *, base_url: str, now: int) -> Opened:
        """Make a preview; its files go into the container. Raises NotFound, Conflict, Forbidden."""
        roles.check(principal, Act.PLAN)
        made = self._new_id()
        with self._control.write(principal.tenant) as connection:
            self._make(connection, principal, profile, made, now)
            connection.execute(
                insert(uploads).values(tenant=principal.tenant, profile=made, id=made, state="open", opened=now)
            )
        return Opened(made, self._uploads.signed_url(principal.tenant, made, base_url=base_url, now=now), now + KEPT)

    def start(self, principal: Principal, profile: str, preview: str, *, now: int) -> None:
        """Begin to plan with the files that were uploaded; twice is once. Raises NotFound, Conflict, Forbidden."""
        roles.check(principal, Act.PLAN)
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            require(connection, tenant, profile, preview)
            begun = connection.execute(
                select(runs.c.id).where(runs.c.tenant == tenant, runs.c.profile == preview)
            ).one_or_none()
            if begun is not None:
                return
            if not self._uploads.files(connection, tenant, preview, preview):
                raise Conflict("The preview has no files yet: upload them first.")
            self._queue(connection, principal, preview, preview, now)

    def again(self, principal: Principal, profile: str, preview: str, *, now: int) -> str:
        """Plan with the same files once more, as a preview of its own; returns its id.

        For whoever has looked at a plan that no longer holds. Raises NotFound, Conflict, Forbidden.
        """
        roles.check(principal, Act.PLAN)
        tenant, made = principal.tenant, self._new_id()
        with self._control.write(tenant) as connection:
            require(connection, tenant, profile, preview)
            source = self._upload(connection, tenant, preview)
            if source is None:
                raise Conflict("The preview has not been started yet: start it.")
            self._make(connection, principal, profile, made, now)
            upload = self._uploads.copy(
                connection, tenant, principal.tenant_id, source=(preview, source), profile=made, now=now
            )
            self._queue(connection, principal, made, upload, now)
        return made

    def apply(self, principal: Principal, profile: str, preview: str, *, plan: str, now: int) -> str:
        """Begin a run with the preview's files that applies exactly the plan of this hash; returns the run's id.

        Raises Conflict when the preview has another plan, or a run of the profile is open; NotFound, Forbidden.
        """
        roles.check(principal, Act.SYNC)
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            require(connection, tenant, profile, preview)
            row = connection.execute(
                select(runs.c.state, runs.c.summary, runs.c.upload).where(
                    runs.c.tenant == tenant, runs.c.profile == preview
                )
            ).one_or_none()
            if row is None or row.state != RunState.DONE:
                raise Conflict("The preview has no plan: it is not finished, or its files cannot be used.")
            if json.loads(row.summary or "{}").get("plan") != plan:
                raise Conflict("The preview has another plan: look at it again.")
            upload = self._uploads.copy(
                connection, tenant, principal.tenant_id, source=(preview, row.upload), profile=profile, now=now
            )
            return self._runs.start_with(connection, principal, profile, upload=upload, expects=plan, now=now)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _make(self, connection: Connection, principal: Principal, profile: str, made: str, now: int) -> None:
        """The row of a new preview. Raises NotFound, Conflict."""
        row = connection.execute(
            select(profiles.c.state).where(profiles.c.tenant == principal.tenant, profiles.c.id == profile)
        ).one_or_none()
        if row is None:
            raise NotFound(f"There is no synchronization profile {profile[:40]}.")
        states.must_be_provisioned(row.state)
        there = connection.execute(
            select(previews.c.id).where(previews.c.tenant == principal.tenant, previews.c.profile == profile)
        ).all()
        if len(there) >= OPEN_MAX:
            raise Conflict(f"The profile has {OPEN_MAX} previews already; they go after a day.")
        connection.execute(
            insert(previews).values(
                tenant=principal.tenant,
                id=made,
                profile=profile,
                created=now,
                created_by=principal.audit_name,
                expires=now + KEPT,
            )
        )

    def _queue(self, connection: Connection, principal: Principal, preview: str, upload: str, now: int) -> None:
        connection.execute(
            insert(runs).values(
                tenant=principal.tenant,
                profile=preview,
                id=preview,
                number=0,
                state=RunState.QUEUED,
                cause=Cause.PREVIEW,
                upload=upload,
                summary=json.dumps({}),
                asked=now,
                asked_by=principal.audit_name,
            )
        )

    def _upload(self, connection: Connection, tenant: int, preview: str) -> str | None:
        """The upload whose files a preview was planned with; None when it was not started yet."""
        found: str | None = connection.execute(
            select(runs.c.upload).where(runs.c.tenant == tenant, runs.c.profile == preview)
        ).scalar_one_or_none()
        return found


def require(connection: Connection, tenant: int, profile: str, preview: str) -> None:
    """Raises NotFound unless the profile has this preview."""
    if not is_of(connection, tenant, profile, preview):
        raise NotFound(f"The profile has no preview {preview[:40]}, or it is not kept any more.")


def is_of(connection: Connection, tenant: int, profile: str, preview: str) -> bool:
    """Whether the profile has this preview."""
    found = select(previews.c.id).where(
        previews.c.tenant == tenant, previews.c.profile == profile, previews.c.id == preview
    )
    return connection.execute(found).first() is not None


def profile_of(connection: Connection, tenant: int, profile: str) -> str:
    """The profile whose settings count: of a preview the one it is for, else the profile itself."""
    found = connection.execute(
        select(previews.c.profile).where(previews.c.tenant == tenant, previews.c.id == profile)
    ).scalar_one_or_none()
    return profile if found is None else str(found)


def expired(connection: Connection, now: int) -> list[tuple[int, str]]:
    """Tenant and id of the previews that are past their time, or whose profile is gone."""
    of_profile = (profiles.c.tenant == previews.c.tenant) & (profiles.c.id == previews.c.profile)
    rows = connection.execute(
        select(previews.c.tenant, previews.c.id)
        .outerjoin(profiles, of_profile)
        .where((previews.c.expires < now) | profiles.c.id.is_(None))
    ).all()
    return [(row.tenant, row.id) for row in rows]


def forget(connection: Connection, tenant: int, preview: str) -> None:
    """Delete the rows of a preview; its files are the caller's."""
    for table in (runs, errors, upload_blocks, upload_files, uploads):
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.profile == preview))
    connection.execute(delete(previews).where(previews.c.tenant == tenant, previews.c.id == preview))
