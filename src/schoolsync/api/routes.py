"""Every operation of our own API: one row each, and the row names the handler, the act it takes and its shapes.

`access.roles` says who may do an act and with which kind of token. Handlers live in `api.resources` under the name the
row gives. The OpenAPI description and docs/api.md are made from this table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, cast

from schoolsync.access.roles import Act
from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call
from schoolsync.profiles.status import Status
from schoolsync.runs import metrics
from schoolsync.runs.explained import Explanation
from schoolsync.runs.plan_question import BySchool, Differences, PlannedStep
from schoolsync.runs.states import RunState
from schoolsync.runs.trying import Tried

Handler = Callable[[Call], Answer | Awaitable[Answer]]

ROOT = "schoolsync/v1"
TEXT_MAX = 256
"""Longest value of a query parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter. Several values are given as `a,b`."""

    name: str
    meaning: str
    kind: Literal["text", "integer", "boolean"] = "text"
    values: tuple[str, ...] = ()  # those it may have; empty: any
    several: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation."""

    method: str
    template: str  # below /schoolsync/v1; {name} is a key
    handler: str  # module.function in api.resources
    summary: str  # one sentence
    answers: Any = None  # a type; None: nothing is sent
    act: Act | None  # None: whoever has an accepted token
    parameters: tuple[Parameter, ...] = ()
    takes: Any = None  # the type of the body; dict: any object, which the service checks
    status: int = 200
    refusals: tuple[int, ...] = ()  # statuses beside those that every operation may answer
    public: bool = False  # needs no token
    media: str = "application/json"  # of the answer

    def resolve(self) -> Handler:
        """The handler itself."""
        module, _, name = self.handler.partition(".")
        return cast(Handler, getattr(import_module(f"schoolsync.api.resources.{module}"), name))


LIMIT = Parameter(name="limit", kind="integer", meaning="most items on a page")
AFTER = Parameter(name="after", meaning="where the page before ended; `nextLink` has it")
PAGED = (LIMIT, AFTER)

STEP_KINDS = (
    *("school", "section", "student", "teacher", "guardians", "studentEnrollment", "teacherRoster"),
    *("schoolSections", "studentSchools", "teacherSchools"),
)
STEP_OPS = ("create", "restore", "adopt", "rekey", "update", "link", "relink", "unlink", "remove", "expire", "purge")
STEP_PARTS = ("apply", "deferred")

_LOOKED_FOR = Parameter(
    name="search",
    meaning="only those with this in their name, with this id or SIS ID; people also by how their sign-in name begins",
)
_OF_SCHOOL = Parameter(name="school", meaning="only those of the school with this object id")
_OF_CLASS = Parameter(name="class", meaning="only those of the class with this object id")
_PROFILE = "profiles/{profile}"
_RUN = f"{_PROFILE}/runs/{{run}}"


def _browse(template: str, handler: str, summary: str, *parameters: Parameter, people: bool = False) -> Route:
    """A list of the directory, or one of its objects."""
    return Route(
        method="GET",
        template=f"directory/{template}",
        handler=f"directory.{handler}",
        summary=summary,
        answers=shapes.Entries if parameters else shapes.DirectoryObject,
        act=Act.READ_PEOPLE if people else Act.READ,
        parameters=(*PAGED, *parameters) if parameters else (),
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        template="openapi.json",
        handler="root.describe",
        summary="This description, as OpenAPI 3.1.",
        answers=dict[str, Any],
        act=None,
        public=True,
    ),
    Route(
        method="GET",
        template="me",
        handler="root.me",
        summary="Who the token says is asking, its roles and the acts they open.",
        answers=shapes.Me,
        act=None,
    ),
    Route(
        method="GET",
        template="metrics",
        handler="root.get_metrics",
        summary="How old each profile's data is, and the runs in numbers, in the text format of Prometheus.",
        answers=str,
        act=Act.READ,
        media=metrics.CONTENT_TYPE,
    ),
    Route(
        method="GET",
        template="profiles",
        handler="profiles.list_profiles",
        summary="The tenant's profiles in short, by name.",
        answers=shapes.Page[shapes.Profile],
        act=Act.READ,
        parameters=(
            *PAGED,
            Parameter(name="search", meaning="only profiles with this in their name"),
            Parameter(name="status", meaning="only profiles of this status", values=tuple(map(str, Status))),
            Parameter(name="attention", kind="boolean", meaning="true: only profiles that need a person now"),
            Parameter(name="trend", kind="boolean", meaning="whether to add the newest ended runs in numbers"),
        ),
    ),
    Route(
        method="GET",
        template="overview",
        handler="profiles.get_overview",
        summary="How many profiles there are of each status, and how many need a person now.",
        answers=shapes.Overview,
        act=Act.READ,
    ),
    Route(
        method="POST",
        template="profiles",
        handler="profiles.create_profile",
        summary="A new profile; the body is Graph's educationSynchronizationProfile.",
        answers=shapes.Configuration,
        act=Act.POLICY,
        takes=dict,
        status=202,
    ),
    Route(
        method="GET",
        template=_PROFILE,
        handler="profiles.get_profile",
        summary="One profile in short.",
        answers=shapes.Profile,
        act=Act.READ,
        parameters=(
            Parameter(name="trend", kind="boolean", meaning="whether to add the newest ended runs in numbers"),
        ),
    ),
    Route(
        method="GET",
        template=f"{_PROFILE}/freshness",
        handler="profiles.get_freshness",
        summary="The last good run, how old it is, and when the next one is due.",
        answers=shapes.Freshness,
        act=Act.READ,
    ),
    Route(
        method="GET",
        template=f"{_PROFILE}/quarantine",
        handler="profiles.get_quarantine",
        summary="Whether the profile is quarantined, why in numbers, when it is tried again and when given up.",
        answers=shapes.Quarantine,
        act=Act.READ,
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/restart",
        handler="profiles.restart",
        summary="Try again now: what failed, with the failures so far forgotten, or everything as a reset does.",
        answers=shapes.Quarantine,
        act=Act.SYNC,
        takes=shapes.Restart,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/pause",
        handler="profiles.pause",
        summary="Stop the profile's synchronizing at the next batch, until it is resumed.",
        answers=shapes.Profile,
        act=Act.SYNC,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/resume",
        handler="profiles.resume",
        summary="Go on after a pause, or past wrong records, which are then left out.",
        answers=shapes.Profile,
        act=Act.SYNC,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/reset",
        handler="profiles.reset",
        summary="Forget the errors and synchronize again from the last files; nothing is deleted.",
        answers=shapes.Profile,
        act=Act.SYNC,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="GET",
        template=f"{_PROFILE}/configuration",
        handler="profiles.get_configuration",
        summary="The profile as Graph's educationSynchronizationProfile, without secrets.",
        answers=shapes.Configuration,
        act=Act.READ,
    ),
    Route(
        method="PATCH",
        template=f"{_PROFILE}/configuration",
        handler="profiles.patch_configuration",
        summary="Change the profile itself, as Graph's PATCH does: members given are merged, lists replace.",
        answers=shapes.Configuration,
        act=Act.POLICY,
        takes=dict,
        refusals=(409, 412),
    ),
    Route(
        method="GET",
        template=f"{_PROFILE}/settings",
        handler="profiles.get_settings",
        summary="The profile's settings of our own, with the defaults of those never set.",
        answers=shapes.Settings,
        act=Act.READ,
    ),
    Route(
        method="PATCH",
        template=f"{_PROFILE}/settings",
        handler="profiles.patch_settings",
        summary="Change settings: members given replace, null goes back to the default, objects are merged.",
        answers=shapes.Settings,
        act=Act.POLICY,
        takes=dict,
        refusals=(409, 412),
    ),
    Route(
        method="GET",
        template=f"{_PROFILE}/runs",
        handler="runs.list_runs",
        summary="The profile's runs, newest first.",
        answers=shapes.Page[shapes.Run],
        act=Act.READ,
        parameters=(
            *PAGED,
            Parameter(
                name="state", meaning="only runs in these states", values=tuple(map(str, RunState)), several=True
            ),
        ),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/runs",
        handler="runs.start",
        summary="Start the profile with the files that were uploaded; waits for their verification, as Graph's start.",
        answers=shapes.Started,
        act=Act.SYNC,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/sync-one",
        handler="runs.sync_one",
        summary="Begin a run of one person, class or school alone, from the last upload; it has a plan and guards too.",
        answers=shapes.Begun,
        act=Act.SYNC,
        takes=shapes.SyncOne,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="GET",
        template=_RUN,
        handler="runs.get_run",
        summary="One run, by id or number: its stages, how far it is, how fast, and when it will be done.",
        answers=shapes.Run,
        act=Act.READ,
    ),
    Route(
        method="GET",
        template=f"{_RUN}/findings",
        handler="findings.list_findings",
        summary="All findings of the run's files, in the order of files and lines.",
        answers=shapes.Page[shapes.Finding],
        act=Act.READ_PEOPLE,
        parameters=(
            *PAGED,
            Parameter(name="rule", meaning="only findings of this rule"),
            Parameter(name="severity", meaning="only these", values=("error", "warning", "information")),
            Parameter(name="file", meaning="only findings in this file"),
            Parameter(name="column", meaning="only findings in this column"),
            Parameter(name="school", meaning="only findings in records of the school with this SIS ID"),
        ),
    ),
    Route(
        method="GET",
        template=f"{_RUN}/findings/groups",
        handler="findings.list_groups",
        summary="The findings of the run counted by rule, file and column, errors first.",
        answers=shapes.FindingGroups,
        act=Act.READ_PEOPLE,
    ),
    Route(
        method="GET",
        template=f"{_RUN}/findings/schools",
        handler="findings.list_schools",
        summary="The findings of the run counted by the school whose records they are in, most errors first.",
        answers=shapes.FindingSchools,
        act=Act.READ_PEOPLE,
    ),
    Route(
        method="GET",
        template=f"{_RUN}/lines",
        handler="findings.list_lines",
        summary="Lines of an uploaded file of the run, cell by cell; passwords and birth dates are not shown.",
        answers=shapes.QuotedLines,
        act=Act.READ_PEOPLE,
        parameters=(
            Parameter(name="file", meaning="the file, as findings call it"),
            Parameter(name="line", meaning="physical lines, the header is 1; at most 20", several=True),
        ),
    ),
    Route(
        method="GET",
        template=f"{_RUN}/report",
        handler="findings.get_report",
        summary="What lies behind the findings, the numbers of every school, and what changed since the last run.",
        answers=shapes.Report,
        act=Act.READ_PEOPLE,
    ),
    Route(
        method="GET",
        template=f"{_RUN}/plan",
        handler="plans.get_plan",
        summary="What the run would change or has changed in numbers, the guards' verdicts in words, the approvals.",
        answers=shapes.Plan,
        act=Act.READ,
    ),
    Route(
        method="GET",
        template=f"{_RUN}/plan/schools",
        handler="plans.get_schools",
        summary="The plan in numbers, by school and kind.",
        answers=BySchool,
        act=Act.READ,
    ),
    Route(
        method="GET",
        template=f"{_RUN}/plan/steps",
        handler="plans.list_steps",
        summary="The steps of the plan in their order, each with before and after, rule, reason, file and line.",
        answers=shapes.Steps,
        act=Act.READ_PEOPLE,
        parameters=(
            *PAGED,
            Parameter(name="kind", meaning="only steps of this kind", values=STEP_KINDS),
            Parameter(name="op", meaning="only this operation", values=STEP_OPS),
            Parameter(name="school", meaning="only steps of the school with this SIS ID"),
            Parameter(name="rule", meaning="only steps that this rule wants"),
            Parameter(name="object", meaning="only steps of the object with this id or SIS ID, and of its memberships"),
            Parameter(
                name="search", meaning="only steps of whoever has this in a name, the mail address or the SIS ID"
            ),
            Parameter(name="part", meaning="only what is applied, or what a window defers", values=STEP_PARTS),
            Parameter(name="applied", kind="boolean", meaning="only what is in the directory, or only what is not"),
            Parameter(name="count", kind="boolean", meaning="whether to say how many there are in all"),
        ),
    ),
    Route(
        method="GET",
        template=f"{_RUN}/plan/steps/{{step}}",
        handler="plans.get_step",
        summary="One step by its number.",
        answers=PlannedStep,
        act=Act.READ_PEOPLE,
    ),
    Route(
        method="GET",
        template=f"{_RUN}/plan/differences",
        handler="plans.get_differences",
        summary="What the plan has that an earlier one of the profile has not, and the other way round.",
        answers=Differences,
        act=Act.READ_PEOPLE,
        parameters=(Parameter(name="earlier", meaning="id or number of the run or preview that is compared with"),),
    ),
    Route(
        method="GET",
        template=f"{_RUN}/approvals",
        handler="plans.list_approvals",
        summary="Who has approved what of the run's plans, when and why.",
        answers=shapes.Approvals,
        act=Act.READ,
    ),
    Route(
        method="POST",
        template=f"{_RUN}/approvals",
        handler="plans.approve",
        summary="Say yes to a held plan, a kind, a school or single objects of it; a yes to all lets the run go on.",
        answers=shapes.Approved,
        act=Act.APPROVE,
        takes=shapes.Approve,
        status=201,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_RUN}/apply",
        handler="plans.apply",
        summary="Let a held run go on with the parts that were approved; the rest is left for the next plan.",
        answers=shapes.Run,
        act=Act.APPROVE,
        takes=shapes.Apply,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_RUN}/discard",
        handler="plans.discard",
        summary="Throw a held or paused run away; nothing (more) of it is applied.",
        answers=shapes.Run,
        act=Act.DISCARD,
        takes=shapes.Discard,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_RUN}/cancel",
        handler="plans.cancel",
        summary="End a run within one batch; its plan then lists what was applied and what was not, and can be undone.",
        answers=shapes.Plan,
        act=Act.SYNC,
        takes=shapes.Cancel,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_RUN}/override",
        handler="plans.override",
        summary="Plan a held run again under other limits, for this one plan only.",
        answers=shapes.Run,
        act=Act.APPROVE,
        takes=shapes.Override,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_RUN}/undo",
        handler="plans.undo",
        summary="Begin a run that takes this one back; it has a plan and guards like any other.",
        answers=shapes.Begun,
        act=Act.UNDO,
        takes=shapes.Undo,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="GET",
        template=f"{_RUN}/renumbered",
        handler="rekeys.get_proposal",
        summary="Old and new SIS IDs that the run's plan takes for the same objects, as `rekeys` takes them.",
        answers=shapes.Pairs,
        act=Act.READ_PEOPLE,
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/rekeys",
        handler="rekeys.rekey",
        summary="Say which SIS IDs have changed: from the next run on, the new ones mean the objects of the old ones.",
        answers=shapes.Rekeyed,
        act=Act.APPROVE,
        takes=shapes.Rekey,
        status=201,
        refusals=(409,),
    ),
    Route(
        method="GET",
        template=f"{_PROFILE}/explain",
        handler="explain.explain",
        summary="Why a person, class or school is here or not, or is in another or not: state, lines, rules, runs.",
        answers=Explanation,
        act=Act.READ_PEOPLE,
        parameters=(
            Parameter(name="object", meaning="object id, SIS ID, principal name or display name"),
            Parameter(name="in", meaning="a class or school, likewise: why is the one (not) in the other"),
        ),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/identify",
        handler="identify.identify",
        summary="What a run would make of a person with these values: names, key, the account that fits.",
        answers=Tried,
        act=Act.READ_PEOPLE,
        takes=shapes.Identify,
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/previews",
        handler="previews.open_preview",
        summary="Make a preview (a dry run): its files go into a container of its own.",
        answers=shapes.Preview,
        act=Act.PLAN,
        status=201,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/previews/{{preview}}/start",
        handler="previews.start",
        summary="Plan with the files that were uploaded; then its id is that of a run in all operations that read one.",
        answers=shapes.Run,
        act=Act.PLAN,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/previews/{{preview}}/again",
        handler="previews.again",
        summary="Make another preview of the same files, planned with the profile as it is now.",
        answers=shapes.Run,
        act=Act.PLAN,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="POST",
        template=f"{_PROFILE}/previews/{{preview}}/apply",
        handler="previews.apply",
        summary="Begin a run with the preview's files that applies exactly its plan, or nothing when it has moved.",
        answers=shapes.Begun,
        act=Act.SYNC,
        takes=shapes.Apply,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="GET",
        template="changes",
        handler="changes.list_changes",
        summary="What was changed in the directory, by which run or by hand, over all profiles, the newest first.",
        answers=shapes.Changes,
        act=Act.READ_PEOPLE,
        parameters=(
            *PAGED,
            Parameter(name="by", meaning="only what runs did, or what was done by hand", values=("run", "hand")),
            Parameter(name="profile", meaning="only what runs of this profile did"),
            Parameter(
                name="kind", meaning="only this kind; by hand a student or teacher is a person", values=STEP_KINDS
            ),
            Parameter(name="op", meaning="only this operation", values=STEP_OPS),
            Parameter(
                name="object", meaning="only changes of this object id, or of runs this SIS ID, and of its memberships"
            ),
            Parameter(name="since", meaning="only from this day on (UTC), as 2026-01-31"),
            Parameter(name="until", meaning="only until this day (UTC), which is included"),
        ),
    ),
    Route(
        method="GET",
        template="audit",
        handler="system.list_audit",
        summary="The tenant's audit log, the newest entries first.",
        answers=shapes.AuditEntries,
        act=Act.AUDIT,
        parameters=(
            *PAGED,
            Parameter(name="actor", meaning="only entries with this in the actor"),
            Parameter(name="operation", meaning="only entries with this in the operation"),
            Parameter(name="object", meaning="only entries with this in the object"),
        ),
    ),
    Route(
        method="GET",
        template="system",
        handler="system.get_system",
        summary="Version, database, storage, workers, and the tenant's runs that wait or are at work.",
        answers=shapes.System,
        act=Act.READ,
    ),
    Route(
        method="GET",
        template="system/doctor",
        handler="system.list_diagnoses",
        summary="What `schoolsync doctor` finds; only where the installation has one tenant alone.",
        answers=shapes.Diagnoses,
        act=Act.CLIENTS,
        refusals=(409,),
    ),
    _browse("schools", "list_schools", "Schools of the directory.", _LOOKED_FOR),
    _browse("classes", "list_classes", "Classes of the directory.", _LOOKED_FOR, _OF_SCHOOL),
    _browse("people", "list_people", "People of the directory.", _LOOKED_FOR, _OF_SCHOOL, _OF_CLASS, people=True),
    _browse("schools/{school}", "get_school", "One school of the directory."),
    _browse("classes/{class}", "get_class", "One class of the directory and its schools."),
    _browse("people/{person}", "get_person", "One person, by id or sign-in name, with schools, classes.", people=True),
)
"""Every operation, in the order of docs/api.md."""
