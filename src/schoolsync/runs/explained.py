"""What an explanation consists of. Values only, light to import."""

from __future__ import annotations

import msgspec

from schoolsync.runs.plan_question import PlannedStep


class Known(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An object that is meant, as the directory has it, or as the newest plan would make it."""

    kind: str  # school, class or person
    object_id: str
    source_id: str | None  # SIS ID
    name: str | None
    school: str | None  # SIS ID
    here: bool  # whether the directory has it
    active: bool  # whether it is in its source still
    by_hand: bool  # made by hand: no profile owns it
    binned: str | None = None  # since when it lies in the bin, seen by nobody
    elsewhere: bool = False  # another profile owns it
    role: str | None = None  # of a person: student, teacher, …
    kept_by_hand: tuple[str, ...] = ()  # properties that somebody has written by hand and the profile keeps


class LineFinding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the verification says about a line."""

    rule: str
    severity: str
    column: str | None
    message: str


class Line(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line of the newest upload that names what is explained."""

    file: str
    line: int  # physical line, the header is 1
    findings: tuple[LineFinding, ...] = ()


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the newest checked roster has of an object, or of a membership of the two that are asked about."""

    what: str  # school, class, person or membership
    role: str | None = None  # student, teacher, none
    source_id: str  # SIS ID; of a membership the inner one's
    school: str | None = None  # SIS ID
    begins: str | None = None  # of a class its term's, of a membership its first day
    ends: str | None = None  # of a class its term's last day, of a membership the first day on which it is over
    file: str | None = None
    line: int | None = None
    rule: str | None = None  # the finding that it is left out for; null: it is in the roster
    reason: str | None = None  # why it is none of the directory's business today, in a sentence


class Standing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The newest checked roster, and what it has of what is explained."""

    run: int  # number of the run that checked it
    records: tuple[Record, ...]


class Failure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An error of the profile's last run that names what is explained."""

    code: str | None
    message: str | None
    joining_value: str | None


class Happened(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A step of a run's plan that is about what is explained."""

    run: str
    number: int  # the run's
    state: str  # the run's: only what is done, or in part what failed or was cancelled, is in the directory
    ended: str | None
    step: PlannedStep


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why something is here, or is not."""

    answer: tuple[str, ...]  # in sentences, the most important first
    objects: tuple[Known, ...]  # several: the name is not one object's alone
    inside: tuple[Known, ...]  # of `in`
    linked: bool | None  # whether the one is in the other; null: that was not asked, or one of them is not known
    roster: Standing | None  # null: none is kept
    errors: tuple[Failure, ...]
    upload_run: int | None  # number of the run whose upload the lines are of
    upload_kept: bool  # whether its files are kept still
    lines: tuple[Line, ...]
    history: tuple[Happened, ...]  # newest run first


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """An object as a stored snapshot or the steps of a plan have it."""

    kind: str
    id: str
    source_id: str | None
    name: str | None
    school: str | None
