"""Uploads as the rest of the house knows them: a URL to hand out, an inbox to seal, files to read.

A profile has at most one open upload, its inbox; `start` seals it into a run and the next file begins a new one.
While a run is at work nobody may write. How the bytes arrive is `uploads.blobs`' business, what they mean a source's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete, func, insert, select, update

from schoolsync import ticks
from schoolsync.access.keys import uploads_key
from schoolsync.errors import Conflict, Invalid, NotFound
from schoolsync.runs.states import ACTIVE
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import profiles, runs, tenants, upload_blocks, upload_files, uploads
from schoolsync.store.objects import objects_of
from schoolsync.uploads import signatures

CSV_PROVIDER = "#microsoft.graph.educationCsvDataProvider"
WRITABLE = frozenset({"provisioning", "provisioned", "provisioningFailed"})
"""States of a profile in which files may be uploaded; published scripts ask for the URL right after the creation."""

ORPHANED_AFTER = 24 * 3600 * ticks.PER_SECOND
"""A file that no row names is a leftover of a crash once nobody can still be writing it."""

BLOCKS_KEPT = 7 * 24 * 3600 * ticks.PER_SECOND
"""How long blocks wait for their block list, as in Azure."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of an upload."""

    name: str  # as the client spelled it, folders included
    path: Path  # where it is once it has been fetched
    size: int
    sha256: str


class Uploads:
    """Uploads of all profiles. Safe to share between threads.

    Methods that take a connection work in the caller's transaction.
    """

    def __init__(
        self, control: Control, settings: Settings, clock: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self.control = control
        self.settings = settings
        self.clock = clock
        self.new_id = new_id
        self.objects = objects_of(settings)
        self._key = uploads_key(settings.keys)

    # --- the URL ---------------------------------------------------------------------------------------------------

    def container_url(self, tenant: int, profile_id: str, now: int, *, base_url: str) -> str:
        """A URL that uploads into the profile's inbox until it expires; `base_url` is where the caller sees us.

        Raises NotFound for an unknown or vanishing profile, Invalid when its data does not come from files, Conflict
        while a run works with the files sent before.
        """
        with self.control.read() as connection:
            row = connection.execute(
                select(profiles.c.state, profiles.c.data_provider).where(
                    profiles.c.tenant == tenant, profiles.c.id == profile_id
                )
            ).one_or_none()
            if row is None or row.state == "deleting":
                raise NotFound(f"There is no synchronization profile {profile_id}.")
            if json.loads(row.data_provider).get("@odata.type") != CSV_PROVIDER:
                raise Invalid("Only a profile with a CSV data provider takes uploaded files.")
            if row.state not in WRITABLE:
                raise Conflict(f"The profile is {row.state}: no files can be uploaded.")
            if self.blocked(connection, tenant, profile_id):
                raise Conflict("The profile is synchronizing the files sent before: upload again when it has finished.")
        return self.signed_url(tenant, profile_id, base_url=base_url, now=now)

    def signed_url(self, tenant: int, container: str, *, base_url: str, now: int) -> str:
        """A URL that uploads into the container of a profile or a preview; whether it may be is the caller's care."""
        query = signatures.signed_query(
            self._key.get(),
            tenant=tenant,
            profile=container,
            now=now,
            expires=now + self.settings.upload_lifetime * ticks.PER_SECOND,
            permissions=self.settings.upload_permissions,
        )
        return f"{base_url}/uploads/{container}?{query}"

    def opened_by(self, profile_id: str, query_string: bytes, now: int) -> signatures.Access:
        """What a URL opens. Raises signatures.NotSigned when it opens nothing."""
        parameters = signatures.parameters(query_string)
        return signatures.check(self._key.get(), profile=profile_id, query=parameters, now=now)

    # --- what runs need --------------------------------------------------------------------------------------------

    def blocked(self, connection: Connection, tenant: int, profile: str) -> bool:
        """Whether a run is at work, so that no file may change."""
        return (
            connection.execute(
                select(runs.c.id)
                .where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.ended.is_(None))
                .where(runs.c.state.in_(sorted(ACTIVE)))
            ).first()
            is not None
        )

    def inbox(self, connection: Connection, tenant: int, profile: str) -> str | None:
        """The open upload, or None when nothing was sent since the last one was sealed."""
        return connection.execute(
            select(uploads.c.id).where(
                uploads.c.tenant == tenant, uploads.c.profile == profile, uploads.c.state == "open"
            )
        ).scalar_one_or_none()

    def files(self, connection: Connection, tenant: int, profile: str, upload: str) -> list[StoredFile]:
        """The complete files of an upload, by name."""
        rows = connection.execute(
            select(upload_files.c.name, upload_files.c.object, upload_files.c.size, upload_files.c.sha256)
            .where(upload_files.c.tenant == tenant, upload_files.c.profile == profile)
            .where(upload_files.c.upload == upload)
            .order_by(upload_files.c.name)
        )
        return [StoredFile(row.name, self.objects.path(row.object), row.size, row.sha256) for row in rows]

    def seal(self, connection: Connection, tenant: int, profile: str, upload: str, now: int) -> None:
        """Close an upload for good: its files belong to a run from now on, unfinished blocks are dropped."""
        connection.execute(
            update(uploads)
            .where(uploads.c.tenant == tenant, uploads.c.profile == profile, uploads.c.id == upload)
            .where(uploads.c.state == "open")
            .values(state="sealed", sealed=self.sealing(connection, tenant, profile, now))
        )
        connection.execute(
            delete(upload_blocks).where(
                upload_blocks.c.tenant == tenant, upload_blocks.c.profile == profile, upload_blocks.c.upload == upload
            )
        )

    def copy(
        self,
        connection: Connection,
        tenant: int,
        tenant_id: str,
        *,
        source: tuple[str, str],
        profile: str,
        now: int,
    ) -> str:
        """Make a sealed upload of the profile with the files of another (its container, its id); returns its id.

        Files are linked where the disk can, else copied. What a crash leaves behind no row names, and is swept.
        """
        made = self.new_id()
        mine = (upload_files.c.tenant == tenant, upload_files.c.profile == source[0])
        rows = connection.execute(select(upload_files).where(*mine, upload_files.c.upload == source[1])).all()
        connection.execute(
            insert(uploads).values(
                tenant=tenant,
                profile=profile,
                id=made,
                state="sealed",
                opened=now,
                sealed=self.sealing(connection, tenant, profile, now),
            )
        )
        folder = f"tenants/{tenant_id}/profiles/{profile}/uploads/{made}"
        for row in rows:
            key = f"{folder}/{self.new_id()}"
            self.objects.copy(self.objects.path(row.object), self.objects.path(key))
            connection.execute(
                insert(upload_files).values({**row._mapping, "profile": profile, "upload": made, "object": key})
            )
        return made

    def sealing(self, connection: Connection, tenant: int, profile: str, now: int) -> int:
        """The time of an upload that is sealed now: later than that of any other, also when a clock was put back."""
        last = connection.execute(
            select(func.max(uploads.c.sealed)).where(uploads.c.tenant == tenant, uploads.c.profile == profile)
        ).scalar_one()
        return now if last is None else max(now, int(last) + 1)

    def latest_sealed(self, connection: Connection, tenant: int, profile: str) -> str | None:
        """The upload that the last start sealed, or None."""
        return connection.execute(
            select(uploads.c.id)
            .where(uploads.c.tenant == tenant, uploads.c.profile == profile, uploads.c.state == "sealed")
            .order_by(uploads.c.sealed.desc())
            .limit(1)
        ).scalar_one_or_none()

    def let_go(self, connection: Connection, tenant: int, profile: str) -> bool:
        """Whether the profile had uploads whose files are kept no longer: their time was over, or somebody erased."""
        mine = (uploads.c.tenant == tenant, uploads.c.profile == profile, uploads.c.state == "gone")
        return connection.execute(select(uploads.c.id).where(*mine).limit(1)).first() is not None

    # --- leftovers -------------------------------------------------------------------------------------------------

    def sweep(self, now: int) -> int:
        """Delete blocks nobody ever listed, and files that a crash left without a row; how many files went."""
        with self.control.write() as connection:
            connection.execute(delete(upload_blocks).where(upload_blocks.c.written < now - BLOCKS_KEPT))
        gone = 0
        for folder, files in self.objects.folders("uploads"):
            gone += self._sweep_folder(folder, [path for path, changed in files if changed < now - ORPHANED_AFTER])
        if gone:
            log.info("leftover upload files deleted", files=gone)
        return gone

    def _sweep_folder(self, folder: Path, old: list[Path]) -> int:
        if not old:
            return 0
        named = self._named(folder.parts[-5], folder.parts[-3], folder.name)
        leftover = [path for path in old if self.objects.key(path) not in named]
        for path in leftover:
            self.objects.drop(path)
        return len(leftover)

    def _named(self, tenant_id: str, profile: str, upload: str) -> set[str]:
        """Object keys that rows of an upload name."""
        number = select(tenants.c.number).where(tenants.c.id == tenant_id).scalar_subquery()
        with self.control.read() as connection:
            return {
                key
                for table in (upload_files, upload_blocks)
                for key in connection.execute(
                    select(table.c.object).where(
                        table.c.tenant == number, table.c.profile == profile, table.c.upload == upload
                    )
                ).scalars()
            }
