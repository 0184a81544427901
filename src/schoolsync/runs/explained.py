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
    upload_run: int | None  # number of the run whose upload the lines are of
    upload_kept: bool  # whether its files are kept still
    lines: tuple[Line, ...]
    history: tuple[Happened, ...]  # newest run first


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """An object as a stored snapshot has it."""

    kind: str
    id: str
    source_id: str | None
    name: str | None
    school: str | None
