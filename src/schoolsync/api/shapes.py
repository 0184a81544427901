"""What answers and bodies look like. The OpenAPI description is made from these types.

Names are camelCase in JSON; points in time are ISO 8601 in UTC; a member that is not known is null, never left out.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from schoolsync.plan.typed import Person
from schoolsync.plan.verdicts import Verdict
from schoolsync.runs.change_history import Changed
from schoolsync.runs.one import Kind as One
from schoolsync.runs.plan_question import PlannedStep
from schoolsync.runs.quoting import QuotedLine

T = TypeVar("T")
Guid = Annotated[str, Meta(pattern="^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")]
Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z$")]
Number = Annotated[int, Meta(ge=0)]


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The manners that all shapes share."""


class Page(Shape, Generic[T], frozen=True, kw_only=True):
    """A part of a list."""

    value: tuple[T, ...]
    next_link: str | None  # where the list goes on; null: this was all


class InnerError(Shape, frozen=True, kw_only=True, rename=None):
    """Which request an error is about."""

    date: str
    request_id: str = msgspec.field(name="request-id")
    client_request_id: str = msgspec.field(name="client-request-id")


class Error(Shape, frozen=True, kw_only=True):
    """What is wrong and what to do, as in Graph."""

    code: str
    message: str
    inner_error: InnerError
    target: str | None = None


class ErrorBody(Shape, frozen=True, kw_only=True):
    """The body of every answer with a status of 400 or more."""

    error: Error


class Me(Shape, frozen=True, kw_only=True):
    """Who the token says is asking, and what that caller may do here."""

    tenant: Guid
    kind: str  # delegated, application or none
    name: str | None  # of a person
    id: str | None  # of the person or the program
    roles: tuple[str, ...]
    acts: tuple[str, ...]


class Check(Shape, frozen=True, kw_only=True):
    """One thing that was looked at, in a sentence that says what to do."""

    check: str  # profile, storage, upload, last upload or provider
    level: Literal["ok", "warning", "error"]
    message: str


class Connection(Shape, frozen=True, kw_only=True):
    """Whether a profile can get at its roster."""

    profile: Guid
    provider: str
    works: bool  # no check is an error
    checks: tuple[Check, ...]


class Freshness(Shape, frozen=True, kw_only=True):
    """How old what the directory holds of a profile is."""

    profile: Guid
    last_good: Moment | None
    last_good_run: Guid | None
    age_seconds: float | None  # of the last good run
    last_run: Guid | None
    last_run_state: str | None
    last_run_ended: Moment | None
    last_upload: Moment | None
    next_due: Moment | None  # when the profile synchronizes by itself, if it will
    status: str | None
    status_message: str | None


class SetAside(Shape, frozen=True, kw_only=True):
    """A school, or all of a kind, in which too many records fail."""

    school: str | None  # SIS ID
    kind: Literal["class", "student", "teacher"] | None
    why: str  # in numbers
    failed: Number  # records of the kind of which most fail
    seen: Number  # that the roster has
    since: Moment
    tries: Number  # how often it was tried again alone in vain
    next_try: Moment | None
    gives_up: Moment | None


class Quarantine(Shape, frozen=True, kw_only=True):
    """Where a profile stands on the way to quarantine or in it, and the numbers that decide."""

    profile: Guid
    quarantined: bool
    why: str | None  # in numbers
    since: Moment | None
    tries: Number  # how often it was tried again in vain
    next_try: Moment | None
    gives_up: Moment | None
    failed_in_a_row: Number  # runs that could not be finished
    aside: tuple[SetAside, ...]  # schools and kinds that are tried again alone, before the whole profile
    limits: dict[str, Any]  # the profile's setting `quarantine`


class Restart(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is forgotten before the profile tries again.

    With `school` (object id or SIS ID) or `kind`, what failed is tried again there alone.
    """

    scope: Literal["failedItems", "quarantine", "everything"] = "failedItems"
    school: str | None = None
    kind: Literal["class", "student", "teacher"] | None = None


class TrendPoint(Shape, frozen=True, kw_only=True):
    """One ended run in numbers."""

    run: Number
    state: str
    ended: Moment
    people: Number | None  # in the roster; null: the run did not get so far
    classes: Number | None
    errors: Number


class Profile(Shape, frozen=True, kw_only=True):
    """A synchronization profile in short; Graph's route has the whole of it."""

    id: Guid
    display_name: str
    state: str
    provider: str
    key_space: str
    expired: bool  # its expirationDate has come: it is paused, and its classes can be cleaned up
    status: str | None
    status_message: str | None
    last_good: Moment | None
    last_activity: Moment | None  # when the status was last written
    next_due: Moment | None  # when the profile synchronizes by itself, if it will
    trend: tuple[TrendPoint, ...] | None  # its newest ended runs, the oldest first; null unless `trend` asks for them


class Overview(Shape, frozen=True, kw_only=True):
    """All profiles of the tenant in numbers."""

    profiles: Number
    attention: Number  # how many need a person now
    statuses: dict[str, int]  # status -> how many profiles; `none`: nothing was synchronized yet


class Stage(Shape, frozen=True, kw_only=True):
    """One stage that a run has begun, or `paused` or `held`."""

    name: str
    began: Moment
    ended: Moment | None
    seconds: float


class Progress(Shape, frozen=True, kw_only=True):
    """How far a run is: rows of the files while they are read, checked and compared, then rows that are written.

    `rate` is in rows a second; `stageSecondsLeft` is an estimate for the stage at work, `secondsLeft` for the run.
    """

    rows_done: Number
    rows_total: Number | None
    rate: float | None
    stage_seconds_left: float | None
    seconds_left: float | None


class VerificationMessage(Shape, frozen=True, kw_only=True):
    """What the verification of the files says about one file."""

    type: str
    file_name: str
    description: str


class Run(Shape, frozen=True, kw_only=True):
    """One synchronization, or a preview of one."""

    id: Guid
    preview: bool  # planned and never applied
    number: Number
    state: str
    stage: str | None
    cause: str
    held_for: str | None
    message: str | None
    error_count: Number
    asked: Moment
    asked_by: str | None
    approved_by: tuple[str, ...]  # who has said yes to its plan or a part of it
    began: Moment | None
    ended: Moment | None
    unchanged: bool
    plan: str | None  # its hash
    steps: dict[str, dict[str, int]]  # kind -> operation -> how many
    seen: dict[str, int]  # kind -> records in the roster
    failed: dict[str, int]  # kind -> records that could not be synchronized
    verification: tuple[VerificationMessage, ...]
    stages: tuple[Stage, ...]
    progress: Progress


class Finding(Shape, frozen=True, kw_only=True):
    """One thing wrong with a roster; it never repeats a value."""

    rule: str
    severity: str
    file: str
    line: int | None  # physical line, the header is 1
    column: str | None
    message: str
    hint: str | None  # what was probably meant
    help: str | None  # where the rule is explained


class FindingGroup(Finding, frozen=True, kw_only=True):
    """All findings of one rule in one column of one file; `line` is the first one's."""

    count: Number


class FindingGroups(Shape, frozen=True, kw_only=True):
    """All groups, errors first, then the largest."""

    value: tuple[FindingGroup, ...]


class SchoolFindings(Shape, frozen=True, kw_only=True):
    """How many findings are in the records of one school."""

    school: str | None  # SIS ID; null: those of no school that is known
    name: str | None
    errors: Number
    warnings: Number


class FindingSchools(Shape, frozen=True, kw_only=True):
    """All schools that have findings, those with most errors first."""

    value: tuple[SchoolFindings, ...]


class QuotedLines(Shape, frozen=True, kw_only=True):
    """Lines of an uploaded file."""

    value: tuple[QuotedLine, ...]


class Report(Shape, frozen=True, kw_only=True):
    """What the verification of a run's files found; docs/reports.md explains the members."""

    format: str = ""  # what the roster was read as
    why: str = ""  # why as that
    causes: tuple[dict[str, Any], ...]
    statistics: dict[str, Any]
    changes: tuple[dict[str, Any], ...] | None  # against the last applied run; null: there is none


class Settings(Shape, frozen=True, kw_only=True):
    """A profile's settings of our own, those it does not name included."""

    profile: Guid
    settings: dict[str, Any]


class Configuration(Shape, frozen=True, kw_only=True):
    """What a person sets on a profile, in Graph's words."""

    profile: Guid
    configuration: dict[str, Any]  # educationSynchronizationProfile


class Approval(Shape, frozen=True, kw_only=True):
    """A person's yes to a plan or a part of it, or a no to a part."""

    id: Guid
    run: Guid
    plan: str  # the hash it was given for
    kind: str | None
    school: str | None
    objects: tuple[str, ...]
    person: str
    via: str  # approve, resume, limits: has set others for this plan, or discard: a no
    why: str | None
    given: Moment
    expires: Moment | None  # null: a no, or other limits, which stand as long as the plan


class Approvals(Shape, frozen=True, kw_only=True):
    """All approvals of a run's plans, the oldest first; expired ones and those of earlier plans included."""

    value: tuple[Approval, ...]


class Plan(Shape, frozen=True, kw_only=True):
    """A run's plan in numbers, and what the guards say about it in words."""

    run: Guid
    plan: str | None  # its hash; null: the run has made no plan (yet)
    state: str
    held_for: str | None
    message: str | None
    steps: dict[str, dict[str, int]]  # kind -> operation -> how many
    verdicts: tuple[Verdict, ...]  # the widest first
    verdict_count: Number
    deferred: Number  # removals that a window puts off
    notes: tuple[str, ...]  # who set other limits for it, and what taking a run back cannot do, in sentences
    approvals: tuple[Approval, ...]
    persons_needed: Number
    rows: Number | None  # how many steps are to be applied in all
    rows_applied: Number  # how many of them are in the directory
    batches_applied: Number
    undoable: bool  # whether POST …/undo can take something back


class Steps(Shape, frozen=True, kw_only=True):
    """A part of a plan's steps, in the order in which they are applied."""

    plan: str
    count: int | None  # how many the filters pick in all; null unless `count=true`
    value: tuple[PlannedStep, ...]
    next_link: str | None


class Approve(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A yes to the plan of this hash; `kind`, `school` and `objects` narrow it to a part."""

    plan: Annotated[str, Meta(max_length=100)]
    kind: Annotated[str, Meta(max_length=100)] | None = None
    school: Annotated[str, Meta(max_length=256)] | None = None
    objects: Annotated[tuple[Guid, ...], Meta(max_length=1000)] = ()
    why: str | None = None


class Approved(Shape, frozen=True, kw_only=True):
    """What an approval has brought about."""

    approval: Approval
    released: bool  # the run goes on
    persons_missing: Number  # so many more people have to approve the same


class Apply(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plan whose approved parts are to be applied."""

    plan: Annotated[str, Meta(max_length=100)]


class Discard(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a plan is thrown away; with `plan` only if it is still that one.

    `kind`, `school` and `objects` narrow it to a part: the run waits on, and what is approved leaves that part out.
    """

    plan: Annotated[str, Meta(max_length=100)] | None = None
    kind: Annotated[str, Meta(max_length=100)] | None = None
    school: Annotated[str, Meta(max_length=256)] | None = None
    objects: Annotated[tuple[Guid, ...], Meta(max_length=1000)] = ()
    why: str | None = None


class Cancel(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a run is ended."""

    why: str | None = None


class Override(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other limits for this one plan, by the names they have in the setting `guards`."""

    plan: Annotated[str, Meta(max_length=100)]
    limits: dict[str, Any]
    why: str | None = None


class Undo(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a run is taken back."""

    why: str | None = None


class CleanUp(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done to the classes of a profile that has expired; at least one of the three."""

    mark: bool = False  # as expired: name, SIS ID and mail nickname are led by ExpMMYY_
    archive: bool = False  # they are inactive, and nobody is in them any more
    remove_pupils: bool = False  # pupils leave them, teachers stay
    why: str | None = None


class SyncOne(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one person, class or school that is synchronized: an object id, a SIS ID or a principal name."""

    kind: One
    object: str
    why: str | None = None


class Identify(Person, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The values of a person, and rules to try instead of the saved ones: as PATCH of both takes them."""

    settings: dict[str, Any] | None = None
    configuration: dict[str, Any] | None = None


class Begun(Shape, frozen=True, kw_only=True):
    """The run that was begun."""

    run: Guid


class Preview(Shape, frozen=True, kw_only=True):
    """A preview that waits for its files: put them into the container, then start it."""

    id: Guid
    upload_url: str  # a container as Graph's uploadUrl gives one
    expires: Moment  # when it goes, with its files


class Rekey(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SIS IDs that have changed: CSV text with the header `kind,old,new`."""

    pairs: str
    why: str | None = None


class Pairs(Shape, frozen=True, kw_only=True):
    """Old and new SIS IDs, as CSV text with the header `kind,old,new`."""

    pairs: str


class Rekeyed(Shape, frozen=True, kw_only=True):
    """How many changed SIS IDs were taken."""

    pairs: Number


class Changes(Shape, frozen=True, kw_only=True):
    """A part of the change history, the newest first; it may be short and still not be the last."""

    value: tuple[Changed, ...]
    next_link: str | None


class AuditEntry(Shape, frozen=True, kw_only=True):
    """One act as the audit log keeps it: ids alone."""

    number: Number
    at: Moment
    actor: str  # delegated:<id>, application:<id> or machine:<who may run commands here>
    client: str | None
    operation: str
    object: str
    members: str  # names of the members that a body gave
    outcome: str
    request: str | None
    hash: str


class AuditEntries(Shape, frozen=True, kw_only=True):
    """A part of the audit log, the newest entries first; it may be short and still not be the last."""

    value: tuple[AuditEntry, ...]
    next_link: str | None


class System(Shape, frozen=True, kw_only=True):
    """How this installation is, as far as it concerns the tenant."""

    version: str
    database: str  # sqlite or postgresql
    storage: str  # folder, or the kind of the object storage: s3, az, gs …
    workers: Number  # that are there
    queued: Number  # runs of the tenant that wait for a worker
    at_work: Number
    held: Number  # that wait for a person
    paused: Number


class Diagnosis(Shape, frozen=True, kw_only=True):
    """What one check of `schoolsync doctor` found."""

    check: str
    level: str  # ok, warning or error
    message: str


class Diagnoses(Shape, frozen=True, kw_only=True):
    """All of them, in the order of docs/doctor.md."""

    value: tuple[Diagnosis, ...]


class Entry(Shape, frozen=True, kw_only=True):
    """One school, class or person of the directory."""

    kind: str  # school, class or person
    id: Guid
    source_id: str | None  # SIS ID
    name: str | None
    active: bool  # whether it is in its source still
    binned: Moment | None  # since when it lies in the bin; null: it does not
    by_hand: bool  # made by hand: no profile owns it
    profile: Guid | None  # the owner; null also when that profile is gone
    role: str | None  # of a person; in the list of a class what the person is there
    sign_in: str | None  # of a person
    details: dict[str, str]  # what else is shown, by the names of columns; only of single objects


class Entries(Shape, frozen=True, kw_only=True):
    """A part of a list of the directory."""

    value: tuple[Entry, ...]
    looked_at: Number | None  # of a search that is not done: how many names it has read for this page
    next_link: str | None


class DirectoryObject(Shape, frozen=True, kw_only=True):
    """One object of the directory and what stands beside it."""

    object: Entry
    schools: tuple[Entry, ...]  # of a class or person
    classes: tuple[Entry, ...]  # of a person
    counts: dict[str, int]  # classes and people of a school, people of a class; counted to 10,000


class Started(Shape, frozen=True, kw_only=True):
    """What starting a profile said."""

    accepted: bool
    run: Guid | None
    verification: tuple[VerificationMessage, ...]
