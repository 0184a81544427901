"""The policy that a profile's roster is planned under, made from the profile's row.

Nothing is decided here: names are translated from Graph's shape into the plan's. A changed policy makes the next run
look at every record again.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfoNotFoundError

import msgspec

from schoolsync import ticks, wrong_values
from schoolsync.errors import Invalid, UsageError
from schoolsync.plan import kinds
from schoolsync.plan.policy import (
    BinDays,
    Errors,
    Expiry,
    FormatName,
    Guards,
    Leaving,
    Matching,
    Policy,
    Purgeable,
    PurgeDays,
    Recipe,
    Role,
    Scope,
    Window,
)
from schoolsync.profiles import configuration, customizations
from schoolsync.profiles.quarantine import Quarantine
from schoolsync.profiles.schedules import Schedule
from schoolsync.roster import codes, fields


class OwnWindow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Days on which a profile is careful."""

    first_day: date
    last_day: date  # it is in the window
    kind: Literal["blackout", "additionsOnly"]


class OwnSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What schoolsync knows about a profile and Graph has no property for (column `profiles.policy`)."""

    date_format: Literal["iso", "mdy", "dmy"] = "mdy"
    format: FormatName = "auto"
    fields: tuple[str, ...] | None = None  # sensitive fields that are kept; None: those of the installation
    codes: dict[str, dict[str, str]] = {}  # words of one's own in code lists
    errors: Errors = Errors()
    guards: Guards = Guards()
    windows: tuple[OwnWindow, ...] = ()
    scope: Scope = Scope()
    recipes: dict[Role, Recipe] = {}  # how new accounts are called; none: by the roster's Username
    bin_days: dict[Purgeable, BinDays] = {}  # so long after leaving objects are put into the bin; none: never
    # So long after leaving, or after being put into the bin, objects go for good; none: never, from the bin after 30.
    purge_days: dict[Purgeable, PurgeDays] = {}
    leaving: dict[Role, Leaving] = {}  # what happens to accounts of people who leave; none: they stay as they are
    expiry: Expiry | None = None  # what happens to classes that leave; None: they are inactive under their own names
    protected: tuple[str, ...] = ()  # sign-in names and object ids of accounts that are never taken over
    kept_by_hand: tuple[str, ...] = ()  # properties in which a value written by hand in the directory stays
    time_zone: str = "UTC"  # in which days begin: windows, schedules, and the dates of terms and enrollments
    schedule: Schedule = Schedule()  # when the profile synchronizes by itself
    quarantine: Quarantine = Quarantine()  # what happens when it fails

    def __post_init__(self) -> None:
        """Refuse a time zone, a property, a sensitive field or a code list that does not exist. Raises ValueError."""
        written = {name for table in ("schools", "classes", "people") for name in kinds.compared(table)}
        foreign = sorted({*self.kept_by_hand} - written)
        if foreign:
            raise ValueError(
                f"keptByHand: a synchronization writes no {foreign[0]!r}; it writes {', '.join(sorted(written))}"
            )
        try:
            ticks.zone(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as problem:
            raise ValueError(
                f"timeZone: there is no time zone {self.time_zone[:60]!r}; Europe/Oslo is one"
            ) from problem
        strange = fields.unknown(self.fields or ())
        if strange is not None:
            known = ", ".join(fields.SENSITIVE)
            raise ValueError(f"fields: there is no sensitive field {strange!r}; known are {known} and metadata.…")
        try:
            codes.lists(self.codes)
        except UsageError as problem:
            raise ValueError(f"codes: {str(problem).rstrip('.')}") from problem


def own_settings(text: str | bytes) -> OwnSettings:
    """Settings that somebody has written. Raises Invalid with what is wrong and where."""
    try:
        return msgspec.json.decode(text, type=OwnSettings)
    except msgspec.MsgspecError as problem:
        said = str(problem)
        if isinstance(problem, msgspec.ValidationError):
            said, _ = wrong_values.explained(problem, OwnSettings)
        raise Invalid(f"The profile's settings cannot be used: {said}.") from problem


def policy_of(row: Any, *, sensitive_fields: tuple[str, ...] = ()) -> Policy:
    """The policy of a row of `profiles` (columns by attribute).

    `sensitive_fields` are kept for profiles that do not say themselves which are.
    """
    profile = configuration.stored(row, {})
    own = msgspec.json.decode(row.policy, type=OwnSettings)
    roles: tuple[Role, ...] = ("student", "teacher")
    licenses: dict[Role, tuple[str, ...]] = {}
    for role in roles:
        skus = [sku for entry in profile.licenses if entry["appliesTo"] in (None, role) for sku in entry["skuIds"]]
        if skus:
            licenses[role] = tuple(dict.fromkeys(skus))
    return Policy(
        profile_name=profile.display_name,
        key_space=row.key_space,
        domains={rule["appliesTo"]: rule["name"] for rule in profile.identity.get("userDomains", [])},
        matching=tuple(
            Matching(
                role=rule["appliesTo"],
                source=rule["sourcePropertyName"],
                target=rule["targetPropertyName"],
                domain=rule.get("targetDomain"),
            )
            for rule in profile.identity.get("matchingOptions", [])
        ),
        licenses=licenses,
        customizations=customizations.policies(profile.data_provider.get("customizations", {})),
        replace_special_characters=bool(profile.special_characters),
        date_format=own.date_format,
        format=own.format,
        fields=sensitive_fields if own.fields is None else own.fields,
        codes=own.codes,
        errors=own.errors,
        guards=own.guards,
        time_zone=own.time_zone,
        scope=msgspec.structs.replace(own.scope, grades=tuple(grade.lower() for grade in own.scope.grades)),
        recipes=own.recipes,
        bin_days=own.bin_days,
        purge_days=own.purge_days,
        leaving=own.leaving,
        expiry=own.expiry,
        protected=own.protected,
        kept_by_hand=own.kept_by_hand,
        windows=tuple(_window(one, own.time_zone) for one in own.windows),
    )


def _window(one: OwnWindow, time_zone: str) -> Window:
    return Window(
        begins=ticks.midnight(one.first_day, time_zone),
        ends=ticks.midnight(one.last_day + timedelta(days=1), time_zone),
        kind=one.kind,
    )
