"""What can be asked about the steps of a stored plan, and the answer. Values only, light to import."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

PAGE_MAX = 1000


class Question(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which steps; what is None does not narrow."""

    op: str | None = None  # plan.steps.Op
    kind: str | None = None  # school, section, student, teacher, studentEnrollment, teacherRoster, …
    school: str | None = None  # SIS ID
    object: str | None = None  # object id or SIS ID: its own steps and those of its memberships
    search: str | None = None  # part of a name, mail address or SIS ID: as object, for whoever has it
    rule: str | None = None
    part: Literal["apply", "deferred"] | None = None  # deferred: a window puts them off, they are not applied
    applied: bool | None = None  # True: what is in the directory; False: what is not (yet)
    batches: int = 0  # how many batches are in the directory, for `applied`
    top: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 100
    after: int = -1  # the number of the last step of the page before
    counted: bool = False  # whether to say how many there are in all: that reads the whole plan


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """What of the steps that guards hold an approval would let go."""

    steps: int  # of its own; the memberships that come along with objects are not counted
    without: tuple[str, ...]  # objects that it names and that have no such step


class Change(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One property that a step changes."""

    field: str  # the directory's column
    before: str | None
    after: str | None


class Yes(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A person's yes by which a step that a guard held was let go."""

    approval: str  # id, in the approvals of the run
    person: str
    given: str  # when


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One step of a plan: one object or one membership."""

    number: int  # its place in the plan, from 0
    op: str
    kind: str
    object_id: str | None  # of a membership: the class' (or school's)
    source_id: str | None  # SIS ID, likewise
    name: str | None  # display name, likewise
    member_id: str | None = None  # of a membership: the person's (or class')
    member_source_id: str | None = None
    member_name: str | None = None
    school: str | None  # SIS ID
    changes: tuple[Change, ...]
    rule: str  # plan.steps.RULES
    reason: str  # the rule's sentence
    file: str | None  # of the upload
    line: int | None
    upload_run: int | None = None  # number of the run whose upload that is; null: of the run's own
    part: str  # apply | deferred
    held: bool = False  # whether a guard held it back
    approved_by: tuple[Yes, ...] = ()  # of a step that was held: who has let it go; of any other nobody has to


class Page(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Some steps in their order."""

    plan: str  # hash
    count: int | None  # how many the question picks in all, when that was asked
    more: bool  # whether there are more behind the last one
    steps: tuple[PlannedStep, ...]


class SchoolSteps(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many steps of one kind and operation one school has."""

    school: str | None  # SIS ID; None: those of no single school
    name: str | None
    kind: str
    op: str
    part: str
    count: int


class BySchool(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A plan in numbers, by school and kind."""

    plan: str
    schools: tuple[SchoolSteps, ...]
    complete: bool  # False: there are more schools than are listed; those with most steps come first


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many steps of one kind and operation differ between two plans, and how."""

    how: Literal["new", "gone", "other"]  # only in the newer plan, only in the earlier one, or with other values
    kind: str
    op: str
    count: int


class DifferentStep(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One step that differs; of `gone` as the earlier plan has it."""

    how: Literal["new", "gone", "other"]
    step: PlannedStep


class Differences(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What differs between two plans: all of it in numbers, and the first steps."""

    plan: str
    earlier: str
    counts: tuple[Difference, ...]
    steps: tuple[DifferentStep, ...]


class Renumbered(msgspec.Struct, frozen=True, kw_only=True):
    """Old and new SIS IDs that a plan takes for the same objects."""

    text: str  # CSV: kind,old,new
