"""The container behind an upload URL: its files and blocks, and the rules by which they come and go.

A container is the inbox of one profile. Bytes are on disk before a row names them, every change is one short
transaction that looks again at everything it relies on, and whatever a refused or replaced write left is deleted.
Errors are those of Azure's wire protocol (`refusals`). Nothing here knows HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, insert, select

from schoolsync.errors import WorldError
from schoolsync.store.control_tables import previews, profiles, runs, tenants, upload_blocks, upload_files, uploads
from schoolsync.uploads.block_lists import MOST_BLOCKS, Entry, Piece, resolve, same_length
from schoolsync.uploads.incoming import Incoming, too_large
from schoolsync.uploads.refusals import BlobRefused
from schoolsync.uploads.service import WRITABLE, Uploads
from schoolsync.uploads.signatures import Access

_COPY = 1024 * 1024
_TRIES = 3


class Properties(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client said about a file, and of which blocks it was made (column `upload_files.headers`)."""

    content_type: str = "application/octet-stream"
    content_encoding: str | None = None
    content_language: str | None = None
    content_disposition: str | None = None
    cache_control: str | None = None
    content_md5: str | None = None
    metadata: dict[str, str] = {}
    blocks: list[tuple[str, int]] = []
    created: int = 0


@dataclass(frozen=True, slots=True)
class Blob:
    """A complete file as a client may see it."""

    name: str
    object: str
    size: int
    etag: str
    modified: int  # ticks
    properties: Properties


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must hold for a request to be carried out; None when the client did not say."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check_write(self, blob: Blob | None, *, consumed: bool) -> None:
        """Refuse a write that the client does not want.

        `consumed`: a start has read and refused the file. Its correction may come without conditions, so the default
        of the SDKs, never to replace anything, does not stand in its way.
        """
        if self.if_none_match is not None and blob is not None:
            if self.if_none_match == "*":
                if not consumed:
                    raise BlobRefused("BlobAlreadyExists")
            elif _among(blob.etag, self.if_none_match):
                raise BlobRefused("ConditionNotMet")
        if self.if_match is not None and (blob is None or not _among(blob.etag, self.if_match)):
            raise BlobRefused("ConditionNotMet")

    def not_modified(self, blob: Blob) -> bool:
        """Whether a read may be answered with “not modified”; refuses a read that `If-Match` forbids."""
        if self.if_match is not None and not _among(blob.etag, self.if_match):
            raise BlobRefused("ConditionNotMet")
        return self.if_none_match is not None and _among(blob.etag, self.if_none_match)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a write goes: checked when its request began, and looked at again before it counts."""

    access: Access
    upload: str
    folder: str  # object key prefix


class Containers:
    """All containers. Methods block on disk and database: call them in a thread."""

    def __init__(self, service: Uploads) -> None:
        self._uploads = service
        self._control = service.control
        self._objects = service.objects
        self._largest = service.settings.upload_max_bytes
        self._most_files = service.settings.upload_max_files

    # --- looking ---------------------------------------------------------------------------------------------------

    def require(self, access: Access) -> None:
        """Refuse when the container's profile is gone."""
        with self._control.read() as connection:
            self._living(connection, access)

    def blobs(self, access: Access) -> list[Blob]:
        """All complete files, by name."""
        with self._control.read() as connection:
            self._living(connection, access)
            inbox = self._uploads.inbox(connection, access.tenant, access.profile)
            rows = connection.execute(select(upload_files).where(*_within(upload_files, access, inbox)))
            return sorted((_blob(row) for row in rows), key=lambda blob: blob.name)

    def blob(self, access: Access, name: str) -> Blob:
        """One complete file."""
        with self._control.read() as connection:
            self._living(connection, access)
            inbox = self._uploads.inbox(connection, access.tenant, access.profile)
            found = self._find(connection, access, inbox, name)
        if found is None:
            raise BlobRefused("BlobNotFound")
        return found

    def blocks(self, access: Access, name: str) -> tuple[list[Piece], list[Piece]]:
        """Committed and uncommitted blocks of a name."""
        with self._control.read() as connection:
            self._living(connection, access)
            inbox = self._uploads.inbox(connection, access.tenant, access.profile)
            found = self._find(connection, access, inbox, name)
            waiting = self._waiting(connection, access, inbox, name)
        if found is None and not waiting:
            raise BlobRefused("BlobNotFound")
        return _committed(found), list(waiting.values())

    def open(self, blob: Blob) -> BinaryIO:
        """The bytes of a file. Raises FileNotFoundError when it is gone."""
        return self._objects.fetch(self._objects.path(blob.object)).open("rb")

    # --- writing ---------------------------------------------------------------------------------------------------

    def place(self, access: Access, now: int) -> Place:
        """Where a write of this request may go; opens the inbox when there is none."""
        with self._control.read() as connection:
            self._writable(connection, access)
            upload = self._uploads.inbox(connection, access.tenant, access.profile)
            tenant_id = connection.execute(select(tenants.c.id).where(tenants.c.number == access.tenant)).scalar_one()
        if upload is None:
            upload = self._opened(access, now)
        return Place(access, upload, f"tenants/{tenant_id}/profiles/{access.profile}/uploads/{upload}")

    def incoming(self, place: Place, *, crc64: bool = False) -> Incoming:
        """A new object for bytes that arrive."""
        key = f"{place.folder}/{self._uploads.new_id()}"
        return Incoming(self._objects, key, largest=self._largest, crc64=crc64)

    def check_conditions(self, place: Place, name: str, conditions: Conditions) -> None:
        """Refuse early, before bytes are sent, what would be refused in the end."""
        with self._control.read() as connection:
            self._check(connection, place, name, conditions)

    def put_file(
        self, place: Place, name: str, incoming: Incoming, properties: Properties, conditions: Conditions, now: int
    ) -> Blob:
        """Make what arrived the file of this name; the incoming object is kept or gone afterwards."""
        access = place.access
        try:
            incoming.keep()
            with self._control.write(access.tenant) as connection:
                found = self._check(connection, place, name, conditions)
                blob = Blob(
                    name,
                    incoming.key,
                    incoming.size,
                    _new_etag(self._uploads.new_id()),
                    now,
                    msgspec.structs.replace(properties, created=found.properties.created if found else now),
                )
                unlisted = self._waiting(connection, access, place.upload, name)
                for table in (upload_blocks, upload_files):
                    mine = (*_within(table, access, place.upload), table.c.name == name)
                    connection.execute(delete(table).where(*mine))
                connection.execute(
                    insert(upload_files).values(
                        tenant=access.tenant,
                        profile=access.profile,
                        upload=place.upload,
                        name=name,
                        object=blob.object,
                        size=blob.size,
                        sha256=incoming.digests.sha256,
                        etag=blob.etag,
                        headers=msgspec.json.encode(blob.properties).decode(),
                        modified=now,
                    )
                )
        except BaseException:
            incoming.abandon()
            raise
        self._drop([piece.object for piece in unlisted.values()] + ([found.object] if found else []))
        return blob

    def put_block(self, place: Place, name: str, block: str, incoming: Incoming, now: int) -> None:
        """Keep a block until a block list names it; the incoming object is kept or gone afterwards."""
        access = place.access
        try:
            incoming.keep()
            with self._control.write(access.tenant) as connection:
                self._recheck(connection, place)
                self._room_for(connection, place, name)
                mine = (*_within(upload_blocks, access, place.upload), upload_blocks.c.name == name)
                replaced = connection.execute(
                    select(upload_blocks.c.object).where(*mine, upload_blocks.c.block == block)
                ).scalar_one_or_none()
                other = connection.execute(select(upload_blocks.c.block).where(*mine).limit(1)).scalar_one_or_none()
                if other is not None and not same_length(other, block):
                    raise BlobRefused("InvalidBlobOrBlock")
                count, size = connection.execute(
                    select(func.count(), func.coalesce(func.sum(upload_blocks.c.size), 0)).where(
                        *mine, upload_blocks.c.block != block
                    )
                ).one()
                if count >= MOST_BLOCKS:
                    raise BlobRefused("BlockCountExceedsLimit")
                if size + incoming.size > self._largest:
                    raise too_large(self._largest)
                connection.execute(delete(upload_blocks).where(*mine, upload_blocks.c.block == block))
                connection.execute(
                    insert(upload_blocks).values(
                        tenant=access.tenant,
                        profile=access.profile,
                        upload=place.upload,
                        name=name,
                        block=block,
                        object=incoming.key,
                        size=incoming.size,
                        written=now,
                    )
                )
        except BaseException:
            incoming.abandon()
            raise
        self._drop([replaced] if replaced else [])

    def put_list(
        self,
        place: Place,
        name: str,
        entries: Sequence[Entry],
        properties: Properties,
        conditions: Conditions,
        now: int,
    ) -> Blob:
        """Make a file of the listed blocks, all of it or nothing; blocks that are not listed are dropped."""
        for _ in range(_TRIES):
            with self._control.read() as connection:
                found = self._check(connection, place, name, conditions)
                waiting = self._waiting(connection, place.access, place.upload, name)
            committed = {piece.block: piece for piece in _committed(found)}
            pieces = resolve(entries, uncommitted=waiting, committed=committed)
            if sum(piece.size for piece in pieces) > self._largest:
                raise too_large(self._largest)
            incoming = self.incoming(place)
            try:
                self._assemble(incoming, pieces)
            except FileNotFoundError:
                # Somebody else listed or replaced these blocks meanwhile: look again.
                incoming.abandon()
                continue
            except BaseException:
                incoming.abandon()
                raise
            made_of = msgspec.structs.replace(properties, blocks=[(piece.block, piece.size) for piece in pieces])
            return self.put_file(place, name, incoming, made_of, conditions, now)
        raise BlobRefused("InvalidBlockList")

    def remove(self, access: Access, name: str, conditions: Conditions) -> None:
        """Delete a file."""
        with self._control.write(access.tenant) as connection:
            self._writable(connection, access)
            inbox = self._uploads.inbox(connection, access.tenant, access.profile)
            found = self._find(connection, access, inbox, name)
            if found is None:
                raise BlobRefused("BlobNotFound")
            if conditions.if_match is not None and not _among(found.etag, conditions.if_match):
                raise BlobRefused("ConditionNotMet")
            connection.execute(
                delete(upload_files).where(*_within(upload_files, access, inbox), upload_files.c.name == name)
            )
        self._drop([found.object])

    # --- the rules -------------------------------------------------------------------------------------------------

    def _assemble(self, incoming: Incoming, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            with self._objects.fetch(self._objects.path(piece.object)).open("rb") as source:
                source.seek(piece.offset)
                left = piece.size
                while left:
                    data = source.read(min(left, _COPY))
                    if not data:
                        raise WorldError("A stored block is shorter than it was: the disk lost data.")
                    incoming.write(data)
                    left -= len(data)

    def _check(self, connection: Connection, place: Place, name: str, conditions: Conditions) -> Blob | None:
        """Everything a file of this name depends on; gives back the file that it would replace."""
        self._recheck(connection, place)
        found = self._find(connection, place.access, place.upload, name)
        if found is None:
            self._room_for(connection, place, name)
        consumed = found is not None and self._consumed(connection, place, found.modified)
        conditions.check_write(found, consumed=consumed)
        return found

    def _living(self, connection: Connection, access: Access) -> None:
        state = connection.execute(
            select(profiles.c.state).where(profiles.c.tenant == access.tenant, profiles.c.id == access.profile)
        ).scalar_one_or_none()
        if state is None and self._is_open_preview(connection, access):
            return
        if state not in WRITABLE:
            raise BlobRefused("ContainerNotFound")

    def _is_open_preview(self, connection: Connection, access: Access) -> bool:
        """Whether the container is that of a preview that has not begun: there is no second upload for it."""
        preview = select(previews.c.id).where(previews.c.tenant == access.tenant, previews.c.id == access.profile)
        if connection.execute(preview).first() is None:
            return False
        return self._uploads.inbox(connection, access.tenant, access.profile) is not None

    def _writable(self, connection: Connection, access: Access) -> None:
        self._living(connection, access)
        if self._uploads.blocked(connection, access.tenant, access.profile):
            raise BlobRefused("OperationNotAllowedWhileSynchronizing")

    def _recheck(self, connection: Connection, place: Place) -> None:
        """Refuse a write whose inbox was sealed while its bytes were on their way."""
        self._writable(connection, place.access)
        if self._uploads.inbox(connection, place.access.tenant, place.access.profile) != place.upload:
            raise BlobRefused("OperationNotAllowedWhileSynchronizing", "The profile was started meanwhile: send again.")

    def _consumed(self, connection: Connection, place: Place, modified: int) -> bool:
        """Whether a run that is over has read this inbox since `modified`; an accepted one would have sealed it."""
        return (
            connection.execute(
                select(runs.c.id)
                .where(runs.c.tenant == place.access.tenant, runs.c.profile == place.access.profile)
                .where(runs.c.upload == place.upload, runs.c.ended.is_not(None), runs.c.asked >= modified)
                .limit(1)
            ).first()
            is not None
        )

    def _room_for(self, connection: Connection, place: Place, name: str) -> None:
        """Refuse one more name than an upload may hold, half-sent files included."""
        names = {
            known
            for table in (upload_files, upload_blocks)
            for known in connection.execute(
                select(table.c.name).where(*_within(table, place.access, place.upload)).distinct()
            ).scalars()
        }
        if name not in names and len(names) >= self._most_files:
            raise BlobRefused("FileCountExceedsLimit", MaxLimit=str(self._most_files))

    def _opened(self, access: Access, now: int) -> str:
        with self._control.write(access.tenant) as connection:
            self._writable(connection, access)
            upload = self._uploads.inbox(connection, access.tenant, access.profile)
            if upload is None:
                upload = self._uploads.new_id()
                connection.execute(
                    insert(uploads).values(
                        tenant=access.tenant, profile=access.profile, id=upload, state="open", opened=now
                    )
                )
        return upload

    def _find(self, connection: Connection, access: Access, inbox: str | None, name: str) -> Blob | None:
        row = connection.execute(
            select(upload_files).where(*_within(upload_files, access, inbox), upload_files.c.name == name)
        ).one_or_none()
        return _blob(row) if row is not None else None

    def _waiting(self, connection: Connection, access: Access, inbox: str | None, name: str) -> dict[str, Piece]:
        """Blocks of a name that no list has named yet."""
        rows = connection.execute(
            select(upload_blocks.c.block, upload_blocks.c.object, upload_blocks.c.size)
            .where(*_within(upload_blocks, access, inbox), upload_blocks.c.name == name)
            .order_by(upload_blocks.c.written, upload_blocks.c.block)
        )
        return {row.block: Piece(row.block, row.object, 0, row.size) for row in rows}

    def _drop(self, keys: Iterable[str]) -> None:
        """Delete objects that no row names any more; what cannot be deleted now is left to the sweep."""
        for key in keys:
            with suppress(OSError, WorldError):
                self._objects.drop(self._objects.path(key))


def _within(table: Table, access: Access, upload: str | None) -> tuple[ColumnElement[bool], ...]:
    """Rows of one upload of the container; without an upload, none."""
    return table.c.tenant == access.tenant, table.c.profile == access.profile, table.c.upload == (upload or "")


def _blob(row: Row[Any]) -> Blob:
    properties = msgspec.json.decode(row.headers, type=Properties)
    return Blob(row.name, row.object, row.size, row.etag, row.modified, properties)


def _committed(blob: Blob | None) -> list[Piece]:
    """The blocks that a file was made of, as ranges of it."""
    if blob is None:
        return []
    pieces, offset = [], 0
    for block, size in blob.properties.blocks:
        pieces.append(Piece(block, blob.object, offset, size))
        offset += size
    return pieces


def _new_etag(unique: str) -> str:
    return f'"0x{unique.replace("-", "")[:15].upper()}"'


def _among(etag: str, condition: str) -> bool:
    """Whether `etag` is one that an If-Match or If-None-Match header names."""
    return any(part.strip().removeprefix("W/") in {"*", etag, etag.strip('"')} for part in condition.split(","))
