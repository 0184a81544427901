"""What a profile says about synchronizing: the policy a roster is planned under.

Built from a profile by `profiles.policy`, carried as JSON to the engine, hashed into what an unchanged upload is
recognised by. Values only; no defaults that depend on a clock.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

import msgspec

Role = Literal["student", "teacher"]
FormatName = Literal["auto", "sds-v1", "sds-v1-uk", "clever", "sds-v2", "sds-v2.1", "oneroster-1.1", "oneroster-1.2"]
"""How a roster is read: as the format that its files have, or as one that is named."""
Kind = Literal["school", "section", "student", "teacher", "studentEnrollment", "teacherRoster"]
Leaving = Literal["inactive", "disabled"]
"""What becomes of a person who leaves: the object is inactive, or the account is disabled too."""
Purgeable = Literal["school", "section", "student", "teacher"]
PurgeDays = Annotated[int, msgspec.Meta(ge=1, le=3650)]
BinDays = Annotated[int, msgspec.Meta(ge=0, le=3650)]
BIN_KEPT = 30
"""So many days what lies in the bin is kept, when the profile says no other number."""
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Count = Annotated[int, msgspec.Meta(ge=0)]
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


class Guards(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The limits of one profile; docs/plan.md has a row for each. Percentages are of what the directory holds."""

    removal_percent: Percent = 10.0  # of a kind, in the profile or in any one school
    removal_least: Count = 5  # so many removals of a kind never hold a plan
    removal_count: Count | None = None  # more than this many hold it whatever the percentage; None: no such limit
    class_percent: Percent = 50.0  # from this share on, a class that loses its pupils holds the plan
    class_least: Count = 5  # classes of fewer pupils are not looked at
    school_gone: bool = True  # a school that disappears holds the plan
    update_percent: Percent = 75.0  # of a kind
    window_days: Annotated[int, msgspec.Meta(ge=0, le=30)] = 7  # removals of so many days are counted together; 0: not
    leaver_percent: Percent = 1.0  # people who leave the profile in one run: more than this share of them ...
    leaver_least: Count = 500  # ... and more than this number always hold the plan
    adoption_least: Count = 0  # so many accounts made by hand may be taken over by their sign-in names without a yes
    additions_flow: bool = False  # while a plan is held, what it only adds is applied
    approval_hours: Annotated[int, msgspec.Meta(ge=1, le=24 * 30)] = 72  # an approval that is not used expires
    second_person: bool = False  # two people have to approve
    plain_resume: bool = False  # Graph's resume of any token counts as an approval


PRIVILEGED = ("abuse", "admin", "administrator", "hostmaster", "postmaster", "root", "security", "webmaster")
"""Sign-in names, before the @, of accounts that run a school's services: no record takes one over or is given one."""

RECIPE_FIELDS = {
    "givenName": "given_name",
    "middleName": "middle_name",
    "surname": "surname",
    "username": "username",
    "sisId": "source_id",
    "number": "number",
    "graduationYear": "graduation_year",
}
"""What a recipe for names may use, and the columns of people."""
RECIPE_PART = r"\{([A-Za-z]+)(?::([1-9][0-9]?))?\}"
_USERNAME = re.compile(rf"(?:[a-z0-9._-]|{RECIPE_PART})+")
_AROUND = re.compile(r"[A-Za-z0-9._-]*\{alias\}[A-Za-z0-9._-]*")
_MAIL = re.compile(r"[A-Za-z0-9._-]*\{alias\}[A-Za-z0-9._-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


class Recipe(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How names are made up for the new accounts of one role; docs/plan.md explains it."""

    username: Annotated[str, msgspec.Meta(max_length=200)]  # the part before the @, such as "{givenName:3}.{surname}"
    counter: bool = True  # who comes second gets a number, from 2 on; False: it is an error
    longest: Annotated[int, msgspec.Meta(ge=4, le=64)] = 20  # characters, the number included
    mail: str | None = None  # such as "{alias}@mail.example"; None: what the roster says
    nickname: str | None = None  # such as "p-{alias}"; None: the part before the @
    reserved: tuple[str, ...] = ()  # names that nobody is given, besides PRIVILEGED

    def __post_init__(self) -> None:
        """Refuse what no name can be made of. Raises ValueError."""
        fields = [one[0] for one in re.findall(RECIPE_PART, self.username)]
        strange = next((one for one in fields if one not in RECIPE_FIELDS), None)
        if strange is not None:
            raise ValueError(f"recipes.username: there is no field {strange!r}; known are {', '.join(RECIPE_FIELDS)}")
        if not fields or not _USERNAME.fullmatch(self.username):
            raise ValueError(
                "recipes.username: it needs a field such as {surname}, and may have a-z 0-9 . _ - around it"
            )
        if self.nickname is not None and not _AROUND.fullmatch(self.nickname):
            raise ValueError("recipes.nickname: it is {alias}, with letters, digits, . _ or - around it")
        if self.mail is not None and not _MAIL.fullmatch(self.mail):
            raise ValueError("recipes.mail: it is {alias} and a domain, such as {alias}@mail.example")

    @property
    def words(self) -> tuple[str, ...]:
        """The names that nobody is given."""
        return (*PRIVILEGED, *self.reserved)


class Scope(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The part of a roster that is synchronized; what is empty narrows nothing."""

    schools: tuple[str, ...] = ()  # SIS IDs
    grades: tuple[str, ...] = ()  # of students
    roles: tuple[Role, ...] = ()
    first_day: date | None = None  # classes whose term is over before it are left out ...
    last_day: date | None = None  # ... and those whose term begins after it
    current_terms: bool = False  # classes are synchronized only while their term lasts

    def __post_init__(self) -> None:
        """Refuse days the wrong way round. Raises ValueError."""
        if self.first_day is not None and self.last_day is not None and self.last_day < self.first_day:
            raise ValueError("scope.lastDay: it is before firstDay")

    @property
    def dates(self) -> bool:
        """Whether classes are left out for the days of their terms."""
        return self.current_terms or self.first_day is not None or self.last_day is not None

    @property
    def narrows(self) -> bool:
        """Whether anything is left out."""
        return bool(self.schools or self.grades or self.roles or self.dates)


class Expiry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What becomes of classes that leave; docs/plan.md explains it."""

    mark: bool = True  # names, SIS ID and nickname are led by ExpMMYY_, and the status is Expired
    archive: bool = True  # they are inactive, and nobody is in them any more
    remove_pupils: bool = True  # without archive: pupils leave them, teachers stay
    after_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 0  # so long after leaving they are marked
    term_over: bool = False  # they leave when their term is over, although the roster has them

    def __post_init__(self) -> None:
        """Refuse what cannot be had together. Raises ValueError."""
        if self.archive and not self.remove_pupils:
            raise ValueError(
                "expiry.removePupils: nobody is in an archived class; removePupils false needs archive false"
            )
        if self.after_days and not (self.archive and self.mark):
            raise ValueError("expiry.afterDays: it counts the days until an archived class is marked; it needs both")


class CleanUp(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a person has done to the classes of a profile that has expired; docs/plan.md explains it."""

    mark: bool = False  # as `Expiry.mark`
    archive: bool = False  # as `Expiry.archive`
    remove_pupils: bool = False  # pupils leave the classes, teachers stay; archived classes are left by all

    @property
    def anything(self) -> bool:
        """Whether anything is chosen."""
        return self.mark or self.archive or self.remove_pupils


class Only(msgspec.Struct, frozen=True, kw_only=True):
    """The one person, class or school that a plan is about, or all classes, students or teachers."""

    kind: Purgeable
    source_id: str | None  # SIS ID; None: all of the kind


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a profile is careful."""

    begins: int  # ticks
    ends: int  # ticks: the first moment that is not in it any more
    kind: Literal["blackout", "additionsOnly"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a profile that can change what a run does."""

    profile_name: str  # displayName: becomes externalSourceDetail
    key_space: str = "default"
    # Exactly one of the two identity modes: `domains` creates accounts, `matching` only ever finds them.
    domains: dict[Role, str] = {}
    matching: tuple[Matching, ...] = ()
    recipes: dict[Role, Recipe] = {}  # how accounts are called that are created; none: by the roster's Username
    licenses: dict[Role, tuple[str, ...]] = {}  # SKU ids given to accounts when they are created
    customizations: dict[Kind, Customization] = {}
    replace_special_characters: bool = False  # handleSpecialCharacterConstraint
    date_format: Literal["iso", "mdy", "dmy"] = "mdy"  # of slashed dates; ISO dates are always read
    errors: Errors = Errors()
    guards: Guards = Guards()
    windows: tuple[Window, ...] = ()
    scope: Scope = Scope()
    bin_days: dict[Purgeable, BinDays] = {}  # so long after leaving objects are put into the bin; none: never
    # So long after leaving, or where there is a bin after being put into it, objects go for good; see `kept_days`.
    purge_days: dict[Purgeable, PurgeDays] = {}
    leaving: dict[Role, Leaving] = {}  # what happens to accounts of people who leave; none: they stay as they are
    expiry: Expiry | None = None  # what happens to classes that leave; None: they are inactive under their own names
    protected: tuple[str, ...] = ()  # sign-in names and object ids of accounts that are never taken over
    kept_by_hand: tuple[str, ...] = ()  # columns in which a value written by hand stays (kinds.compared)
    time_zone: str = "UTC"  # in which days begin: those of terms and enrollments

    format: FormatName = "auto"
    fields: tuple[str, ...] = ()  # sensitive fields that may enter snapshot, directory and reports
    codes: dict[str, dict[str, str]] = {}  # what the profile adds to the code lists

    @property
    def creates(self) -> bool:
        """Whether accounts are created (True) or only matched (False)."""
        return bool(self.domains)

    def kept_days(self, kind: Kind) -> int | None:
        """For how many days an object that has left, or where there is a bin lies in it, is kept; None: for ever."""
        days = {**dict.fromkeys(self.bin_days, BIN_KEPT), **self.purge_days}
        return days.get(kind)  # type: ignore[arg-type]  # a kind of links is in none of them

    def customization(self, kind: Kind) -> Customization:
        """The customization of `kind`, or the default one."""
        return self.customizations.get(kind, Customization())

    def window(self, kind: Literal["blackout", "additionsOnly"], now: int) -> Window | None:
        """The window of this kind that is open now; of several the one that ends last."""
        there = [one for one in self.windows if one.kind == kind and one.begins <= now < one.ends]
        return max(there, key=lambda one: one.ends, default=None)
