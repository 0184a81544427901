"""The values of one person whose identity is tried, what has to be known for it, and what is decided.

Values only, for processes that load no roster engine too; `plan.trial` decides.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from schoolsync.plan.policy import Role

Outcome = Literal["keeps", "takesOver", "creates", "refused", "leftAlone"]


class Person(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The values of one person, as a roster would have them."""

    role: Role
    sis_id: str | None = None
    username: str | None = None
    given_name: str | None = None
    middle_name: str | None = None
    surname: str | None = None
    email: str | None = None
    secondary_email: str | None = None
    number: str | None = None
    state_id: str | None = None
    graduation_year: str | None = None
    match_id: str | None = None  # Active Directory Match ID


class LookedFor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One way in which the profile matches accounts, with the person's own value."""

    property: str  # userPrincipalName, mail, …
    value: str | None  # null: the person has none
    accounts: int = 0  # that have it


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be looked up in the directory."""

    ids: tuple[str, ...]  # that an object of the record may have
    name: str | None  # sign-in name in lower case of which somebody may have the account already
    aliases: tuple[str, ...]  # parts before the @ of which somebody may have one already
    mails: tuple[str, ...] = ()  # mail addresses that these would make, in lower case
    nicknames: tuple[str, ...] = ()  # and mail nicknames
    columns: tuple[tuple[str, str], ...]  # columns of people and the values that are looked for


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person of the directory that may be meant."""

    key: int
    id: str
    owner: int | None
    source_id: str | None
    active: bool
    primary_role: str
    account_name: str | None
    user_type: str | None
    user_principal_name: str | None = None
    mail: str | None = None
    mail_nickname: str | None = None
    immutable_id: str | None = None
    student_external_id: str | None = None
    student_number: str | None = None
    teacher_external_id: str | None = None
    teacher_number: str | None = None


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the person."""

    outcome: Outcome
    key: int | None = None  # of the account that is kept or taken over
    id: str | None = None  # of the account that is made
    user_principal_name: str | None = None  # of the account that is made, and so on
    mail: str | None = None
    mail_nickname: str | None = None
    code: str | None = None  # why it is refused
    message: str | None = None
    looked_for: tuple[LookedFor, ...] = ()
