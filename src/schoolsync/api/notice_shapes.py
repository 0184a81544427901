"""What answers and bodies about notices look like."""

from __future__ import annotations

from typing import Literal

import msgspec

from schoolsync.api.shapes import Guid, Moment, Number, Shape

Told = Literal["held", "failed", "quarantined", "stale", "recovered"]


class Notices(Shape, frozen=True, kw_only=True):
    """Where the tenant's changes of state are told, beside what the installation does; the secret is never shown."""

    webhook_url: str | None
    webhook_secret_set: bool
    webhook_secret: str | None  # one that this very request had made; null in every other answer
    mail_to: tuple[str, ...]
    mail_possible: bool  # whether the installation sends mail
    events: tuple[Told, ...]
    stale_hours: Number | None  # null: as the installation says
    installation_stale_hours: Number


class ChangeNotices(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise; what is left out stays, null takes away or goes back to the default."""

    webhook_url: str | msgspec.UnsetType | None = msgspec.UNSET
    webhook_secret: str | None = None  # base64 of 24 bytes or more; one is made when there is none
    new_secret: bool = False  # whether to make another secret, which this answer shows
    mail_to: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    events: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    stale_hours: int | msgspec.UnsetType | None = msgspec.UNSET


class SentNotice(Shape, frozen=True, kw_only=True):
    """One notice to a receiver of the tenant."""

    id: Guid
    channel: Literal["webhook", "mail"]
    about: str  # its type, such as profile.held
    profile: Guid | None  # null: a test
    made: Moment
    tries: Number
    state: Literal["waiting", "sent", "given up"]
    next_try: Moment | None
    problem: str | None  # why the last try failed


class SentNotices(Shape, frozen=True, kw_only=True):
    """The newest notices to the tenant's receivers."""

    value: tuple[SentNotice, ...]
