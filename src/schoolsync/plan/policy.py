"""What a profile says about synchronizing: the policy a roster is planned under.

Built from a profile by `profiles.policy`, carried as JSON to the engine, hashed into what an unchanged upload is
recognised by. Values only; no defaults that depend on a clock.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Role = Literal["student", "teacher"]
Kind = Literal["school", "section", "student", "teacher", "studentEnrollment", "teacherRoster"]
KINDS: tuple[Kind, ...] = ("school", "section", "student", "teacher", "studentEnrollment", "teacherRoster")


class Matching(msgspec.Struct, frozen=True, kw_only=True):
    """How people of one role are found among existing accounts (educationIdentityMatchingOptions)."""

    role: Role
    source: str  # CSV header, e.g. "Username"
    target: str  # directory property: userPrincipalName, mail, mailNickname, …
    domain: str | None = None  # appended to the source value as @domain; None compares as is


class Customization(msgspec.Struct, frozen=True, kw_only=True):
    """educationSynchronizationCustomization of one kind."""

    optional_properties: tuple[str, ...] | None = None  # CSV headers; None means all there are
    deferred: bool = False  # isSyncDeferred: leave this kind alone for now
    allow_display_name_update: bool = False
    start: int | None = None  # synchronizationStartDate in ticks, studentEnrollment only; None means now


class Errors(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What errors in a roster do; docs/rules.md explains it. Fatal findings stop every roster."""

    policy: Literal["refuse", "leaveOut"] = "refuse"
    most_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 5.0  # of any kind of record; more refuses


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a profile that can change what a run does."""

    profile_name: str  # displayName: becomes externalSourceDetail
    key_space: str = "default"
    # Exactly one of the two identity modes: `domains` creates accounts, `matching` only ever finds them.
    domains: dict[Role, str] = {}
    matching: tuple[Matching, ...] = ()
    licenses: dict[Role, tuple[str, ...]] = {}  # SKU ids given to accounts when they are created
    customizations: dict[Kind, Customization] = {}
    replace_special_characters: bool = False  # handleSpecialCharacterConstraint
    date_format: Literal["iso", "mdy", "dmy"] = "mdy"  # of slashed dates; ISO dates are always read
    errors: Errors = Errors()

    @property
    def creates(self) -> bool:
        """Whether accounts are created (True) or only matched (False)."""
        return bool(self.domains)

    def customization(self, kind: Kind) -> Customization:
        """The customization of `kind`, or the default one."""
        return self.customizations.get(kind, Customization())
