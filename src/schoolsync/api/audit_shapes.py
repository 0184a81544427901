"""What answers about the audit log look like that are made to be kept and checked elsewhere."""

from __future__ import annotations

from schoolsync.api.shapes import Guid, Moment, Number, Shape


class AuditRecord(Shape, frozen=True, kw_only=True):
    """One entry with all that its hash covers; docs/audit.md says how it is checked."""

    tenant: Guid
    number: Number
    id: Guid
    at: Number  # ticks of 100 ns since 0001-01-01, as the hash covers it
    actor: str
    client: str | None
    issuer: str | None
    token: str | None
    request: str | None
    operation: str
    object: str
    members: str
    outcome: str
    time: Moment  # the same as `at`
    previous: str  # hash of the entry before
    hash: str
    seal: str
    sealed: bool  # whether the seal is one of this installation


class AuditRecords(Shape, frozen=True, kw_only=True):
    """A part of the audit log, in order."""

    value: tuple[AuditRecord, ...]
    head_number: Number  # what the log ended with before these were read
    head_hash: str
    next_link: str | None
