"""What faces may ask about plans: what a run would change, what holds it, and a person's yes or no to it.

Each request is one transaction on the control database. Rows of a plan are read by a process of their own
(`runs.readers`), because whoever answers requests never loads the roster engine. Every act asks `access.roles`
itself whether the caller may, so no face can forget to.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from schoolsync import ticks, wrong_values
from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Act
from schoolsync.errors import Conflict, Invalid, NotFound
from schoolsync.plan.policy import CleanUp, Guards
from schoolsync.plan.verdicts import Verdict
from schoolsync.profiles import states
from schoolsync.profiles import status as statuses
from schoolsync.profiles.policy import own_settings
from schoolsync.runs import approvals, cancelling, previews
from schoolsync.runs.accepted import due_again
from schoolsync.runs.approvals import DISCARD, OBJECTS_MAX, Approval
from schoolsync.runs.cancelling import Applied
from schoolsync.runs.places import run_folder
from schoolsync.runs.plan_question import BySchool, Differences, Page, Picked, PlannedStep, Question, Renumbered
from schoolsync.runs.selections import WHOLE, Release, Selection
from schoolsync.runs.service import Approved
from schoolsync.runs.states import Cause, HeldFor, RunState
from schoolsync.store.control_tables import profiles, rekeys, runs
from schoolsync.store.objects import objects_of

if TYPE_CHECKING:
    from schoolsync.runs.readers import Readers
    from schoolsync.runs.service import Runs
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control
    from schoolsync.store.directories import Directories

WHY_MAX = 1000


class PlanSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run's plan in numbers, and what holds it."""

    run: str
    plan: str | None  # hash; None: the run has made no plan (yet)
    state: str  # runs.states.RunState
    held_for: str | None
    message: str | None
    steps: Mapping[str, Mapping[str, int]]  # kind -> op -> count
    verdicts: tuple[Verdict, ...]  # the widest first, at most plan.verdicts.LISTED
    verdict_count: int
    deferred: int  # removals that a window puts off
    notes: tuple[str, ...]  # who set other limits for it, and what taking a run back cannot do, in sentences
    approvals: tuple[Approval, ...]
    persons_needed: int
    applied: Applied  # what of it is in the directory
    rows: int | None  # how many it has in all
    undoable: bool  # whether there is something that `undo` can take back


def _overridden(limits: str | None, own: Guards, plan: str | None) -> tuple[str, ...]:
    """Who has set which limits for this plan alone, and why."""
    if limits is None:
        return ()
    given = json.loads(limits)
    if plan is not None and given.get("plan", plan) != plan:
        return (f"{given['person']} set other limits for an earlier plan; the profile's own judge this one.",)
    usual: dict[str, Any] = msgspec.to_builtins(own)
    other = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in given["guards"].items()
        if value != usual.get(name)
    ]
    why = f" (“{given['why']}”)" if given.get("why") else ""
    return (
        f"{given['person']} set other limits for this plan alone on {ticks.text(given['given'])}{why}: "
        f"{', '.join(other) or 'those that the profile has by now'}.",
    )


class Plans:
    """The plans of all profiles. Safe to share between threads."""

    def __init__(
        self,
        *,
        control: Control,
        settings: Settings,
        runs: Runs,
        readers: Readers,
        directories: Directories,
        new_id: Callable[[], str],
    ) -> None:
        self._control = control
        self._settings = settings
        self._objects = objects_of(settings)
        self._runs = runs
        self._readers = readers
        self._directories = directories
        self._new_id = new_id

    # --- looking ---------------------------------------------------------------------------------------------------

    def summary(self, principal: Principal, profile: str, run: str) -> PlanSummary:
        """A run's plan in numbers, its guards' verdicts and its approvals. Raises NotFound, Forbidden."""
        roles.check(principal, Act.READ)
        with self._control.read() as connection:
            row = self._run(connection, principal.tenant, profile, run)
            kept = json.loads(row.summary or "{}")
            guards = self._guards(connection, principal.tenant, profile)
            given = tuple(approvals.of(connection, principal.tenant, profile, run))
        applied = self._applied(principal, row)
        return PlanSummary(
            run=run,
            plan=kept.get("plan"),
            state=row.state,
            held_for=row.held_for,
            message=row.message,
            steps=kept.get("steps", {}),
            verdicts=msgspec.convert(kept.get("verdicts", []), tuple[Verdict, ...]),
            verdict_count=kept.get("verdict_count", 0),
            deferred=kept.get("deferred", 0),
            notes=(*_overridden(row.limits, guards, kept.get("plan")), *kept.get("notes", ())),
            approvals=given,
            persons_needed=2 if guards.second_person else 1,
            applied=applied,
            rows=row.rows_total,
            undoable=applied.rows > 0 and row.state in _CAN_BE_UNDONE,
        )

    def steps(self, principal: Principal, profile: str, run: str, question: Question) -> Page:
        """The steps of a run's plan that `question` picks, in the order in which they are applied.

        Raises NotFound when the run has no plan that is still kept, and Forbidden.
        """
        roles.check(principal, Act.READ_PEOPLE)
        folder = self._folder(principal, profile, run)
        if question.applied is not None:
            with self._control.read() as connection:
                row = self._run(connection, principal.tenant, profile, run)
            question = msgspec.structs.replace(question, batches=self._applied(principal, row).batches)
        return self._readers.ask("plan_page", Page, folder=folder, question=msgspec.to_builtins(question))

    def step(self, principal: Principal, profile: str, run: str, number: int) -> PlannedStep:
        """One step of a run's plan. Raises NotFound, Forbidden."""
        roles.check(principal, Act.READ_PEOPLE)
        folder = self._folder(principal, profile, run)
        return self._readers.ask("plan_step", PlannedStep, folder=folder, number=number)

    def schools(self, principal: Principal, profile: str, run: str) -> BySchool:
        """A run's plan in numbers, by school and kind. Raises NotFound, Forbidden."""
        roles.check(principal, Act.READ)
        return self._readers.ask("plan_schools", BySchool, folder=self._folder(principal, profile, run))

    def differences(self, principal: Principal, one: tuple[str, str], earlier: tuple[str, str]) -> Differences:
        """What differs between the plans of two runs or previews, each by where it is kept and its id.

        Raises NotFound when one of them has no plan that is still kept, and Forbidden.
        """
        roles.check(principal, Act.READ_PEOPLE)
        return self._readers.ask(
            "plan_differences",
            Differences,
            folder=self._folder(principal, *one),
            earlier=self._folder(principal, *earlier),
        )

    # --- deciding --------------------------------------------------------------------------------------------------

    def approve(
        self,
        principal: Principal,
        profile: str,
        run: str,
        *,
        plan: str,
        what: Selection = WHOLE,
        why: str | None,
        now: int,
    ) -> Approved:
        """Say yes to a held plan or a part of it; `plan` is the hash of what the person has seen.

        A yes to the whole plan lets the run go on at once (with `secondPerson`: the second one does). A yes to a part
        is kept until `apply`. Raises Conflict when the plan is another one or is not held, Invalid, Forbidden.
        """
        roles.check(principal, Act.APPROVE)
        tenant = principal.tenant
        if not what.whole:
            self._must_be_held(principal, profile, run, plan, what)
        with self._control.write(tenant) as connection:
            row = self._held(connection, tenant, profile, run, plan)
            return self._runs.approve(
                connection, row, by=principal, what=what, via="approve", why=_reason(why), now=now
            )

    def apply(self, principal: Principal, profile: str, run: str, *, plan: str, now: int) -> Release:
        """Let a held run go on with the parts that were approved; what was not is left out, for the next plan.

        Raises Conflict when nothing is approved, or the plan is another one; Forbidden.
        """
        roles.check(principal, Act.APPROVE)
        with self._control.write(principal.tenant) as connection:
            row = self._held(connection, principal.tenant, profile, run, plan)
            return self._runs.release(connection, row, now=now)

    def discard(
        self, principal: Principal, profile: str, run: str, *, plan: str | None, why: str | None, now: int
    ) -> None:
        """Throw a held run away; nothing (more) of it is applied. The next upload is planned anew.

        Raises Conflict when the run is not held or paused, or its plan is another one; Forbidden.
        """
        roles.check(principal, Act.DISCARD)
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            row = self._run(connection, tenant, profile, run)
            if row.state not in {RunState.HELD, RunState.PAUSED}:
                raise Conflict(f"Run {row.number} is {row.state}: only a held or paused run can be discarded.")
            if plan is not None and json.loads(row.summary or "{}").get("plan") != plan:
                raise Conflict(_OTHER_PLAN.format(number=row.number))
            connection.execute(
                update(runs)
                .where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.id == run)
                .values(state=RunState.DISCARDED, ended=now, released=None, message=_discarded(principal, why))
            )
            status, _ = self._runs.last_ending(connection, tenant, profile)
            message = f"The plan of run {row.number} was discarded; nothing of it was changed."
            if self._applied(principal, row).rows:
                message = (
                    f"The plan of run {row.number} was discarded; what had been applied of it stays: the plan lists "
                    "that, and undo takes it back."
                )
            statuses.record(
                connection,
                tenant=tenant,
                profile=profile,
                status=status,
                message=message,
                now=now,
            )
            due_again(connection, tenant, profile, since=row.asked, now=now)

    def leave_out(
        self,
        principal: Principal,
        profile: str,
        run: str,
        *,
        plan: str,
        what: Selection,
        why: str | None,
        now: int,
    ) -> Approval:
        """Discard a part of a held plan: whoever approves more lets the rest go on. The next plan has it again.

        A later approval of just that part takes it back. Raises Conflict when the plan is another one or is not held,
        Invalid when nothing of the part is held, Forbidden.
        """
        roles.check(principal, Act.DISCARD)
        self._must_be_held(principal, profile, run, plan, what)
        with self._control.write(principal.tenant) as connection:
            self._held(connection, principal.tenant, profile, run, plan)
            return approvals.give(
                connection,
                tenant=principal.tenant,
                profile=profile,
                run=run,
                plan=plan,
                what=what,
                by=principal,
                via=DISCARD,
                why=_reason(why),
                hours=0,
                now=now,
                new_id=self._new_id(),
            )

    def cancel(self, principal: Principal, profile: str, run: str, *, why: str | None, now: int) -> None:
        """End an open run within one batch; what is in the directory stays. Twice is once.

        Raises Conflict when the run has ended otherwise, NotFound, Forbidden.
        """
        roles.check(principal, Act.SYNC)
        with self._control.write(principal.tenant) as connection:
            row = self._run(connection, principal.tenant, profile, run)
            cancelling.cancel(connection, self._runs, row, by=principal.audit_name, why=_reason(why), now=now)

    def override(
        self,
        principal: Principal,
        profile: str,
        run: str,
        *,
        plan: str,
        limits: Mapping[str, Any],
        why: str | None,
        now: int,
    ) -> Guards:
        """Plan a held run again under other limits, for this one plan only; what still holds it is told as before.

        `limits` are guard settings by their names in the profile's settings. Raises Invalid, Conflict, Forbidden;
        Conflict also where two people have to approve, of whom one cannot let a plan go by other limits, and when a
        part of the plan is applied.
        """
        roles.check(principal, Act.APPROVE)
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            row = self._held(connection, tenant, profile, run, plan)
            own = self._guards(connection, tenant, profile)
            if own.second_person:
                raise Conflict(
                    "Two people have to approve plans of this profile, so nobody sets other limits alone: approve the "
                    f"plan of run {row.number}, and let a second person approve it too."
                )
            if self._applied(principal, row).rows:
                raise Conflict(
                    f"What the plan of run {row.number} only adds is in the directory already, so it cannot be judged "
                    "anew: approve the rest of it, or discard it and start again."
                )
            merged = msgspec.to_builtins(own) | dict(limits)
            try:
                guards = msgspec.convert(merged, Guards)
            except msgspec.ValidationError as problem:
                said, _ = wrong_values.explained(problem, Guards)
                raise Invalid(f"These limits cannot be used: {said}.", target="limits") from problem
            given = approvals.give(
                connection,
                tenant=tenant,
                profile=profile,
                run=run,
                plan=plan,
                what=WHOLE,
                by=principal,
                via=approvals.LIMITS,
                why=_reason(why),
                hours=0,
                now=now,
                new_id=self._new_id(),
            )
            kept = {"guards": guards, "person": given.person, "why": given.why, "given": now}
            connection.execute(
                update(runs)
                .where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.id == run)
                .values(
                    limits=msgspec.json.encode(kept | {"plan": plan, "approval": given.id}).decode(),
                    state=RunState.QUEUED,
                    held_for=None,
                )
            )
            statuses.record(
                connection,
                tenant=tenant,
                profile=profile,
                status="inProgress",
                message="Planning again under other limits.",
                now=now,
            )
            return guards

    def undo(self, principal: Principal, profile: str, run: str, *, why: str | None, now: int) -> str:
        """Begin a run that takes an earlier one back; returns its id. It has a plan and guards like any other.

        Raises Conflict when a run of the profile is open, when the run changed nothing or its plan is no longer kept.
        """
        roles.check(principal, Act.UNDO)
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            row = self._run(connection, tenant, profile, run)
            self._refuse_open(connection, tenant, profile)
            if row.stage != RunState.APPLYING or row.state not in _CAN_BE_UNDONE:
                raise Conflict(f"Run {row.number} has changed nothing that could be taken back.")
            said = {"undoes": run, "message": _reason(why)}
            return self._runs.begin(
                connection, tenant, profile, cause=Cause.UNDO, upload=None, now=now, by=principal, **said
            )

    def clean_up(self, principal: Principal, profile: str, *, what: CleanUp, why: str | None, now: int) -> str:
        """Begin a run that cleans up the classes of a profile that has expired; returns its id.

        Its plan always waits for a person's yes. Raises Conflict when the profile has not expired, or a run of it is
        open; NotFound, Invalid (nothing is chosen), Forbidden.
        """
        roles.check(principal, Act.SYNC)
        if not what.anything:
            raise Invalid("Choose at least one of mark, archive and removePupils.", target="mark")
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            row = connection.execute(
                select(profiles.c.state, profiles.c.expiration_date).where(
                    profiles.c.tenant == tenant, profiles.c.id == profile
                )
            ).one_or_none()
            if row is None:
                raise NotFound(f"There is no synchronization profile {profile[:40]}.")
            states.must_be_provisioned(row.state)
            if self._runs.expired(connection, tenant, profile, now) is None:
                until = f"on {row.expiration_date}" if row.expiration_date else "never"
                raise Conflict(
                    f"The profile expires {until}: only one that has expired is cleaned up. Set its expirationDate to "
                    "today first, or its `expiry` for classes that leave."
                )
            self._refuse_open(connection, tenant, profile)
            said = {"cleans": msgspec.json.encode(what).decode(), "message": _reason(why)}
            return self._runs.begin(
                connection, tenant, profile, cause=Cause.CLEAN_UP, upload=None, now=now, by=principal, **said
            )

    def rekey(self, principal: Principal, profile: str, pairs: str, *, why: str | None, now: int) -> int:
        """Say that SIS IDs have changed: from the next run on, records with the new ids mean the objects they had.

        `pairs` is CSV text with the header `kind,old,new`; kinds are school, section, student and teacher. Returns how
        many pairs there are. Nothing is changed before the next run, whose plan shows every re-key. Raises Invalid with
        the line that is wrong, NotFound, Forbidden.
        """
        roles.check(principal, Act.APPROVE)
        tenant = principal.tenant
        text, count = _pairs(pairs)
        this = select(profiles.c.id).where(profiles.c.tenant == tenant, profiles.c.id == profile)
        missing = NotFound(f"There is no synchronization profile {profile}.")
        with self._control.read() as connection:
            if connection.execute(this).one_or_none() is None:
                raise missing
        path = self._objects.path(f"tenants/{principal.tenant_id}/profiles/{profile}/rekeys/{self._new_id()}.csv")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text, "utf-8")
        self._objects.keep(path)
        with self._control.write(tenant) as connection:
            if connection.execute(this).one_or_none() is None:
                raise missing
            last = connection.execute(
                select(func.max(rekeys.c.number)).where(rekeys.c.tenant == tenant, rekeys.c.profile == profile)
            ).scalar_one()
            number = (last or 0) + 1
            connection.execute(
                insert(rekeys).values(
                    tenant=tenant,
                    profile=profile,
                    number=number,
                    object=self._objects.key(path),
                    pairs=count,
                    person=principal.audit_name,
                    why=_reason(why),
                    given=now,
                )
            )
        return count

    def proposal(self, principal: Principal, profile: str, run: str) -> str:
        """Old and new SIS IDs that a run's plan takes for the same objects, as the CSV text that `rekey` takes."""
        roles.check(principal, Act.READ_PEOPLE)
        return self._readers.ask("plan_renumbered", Renumbered, folder=self._folder(principal, profile, run)).text

    # --- inside ----------------------------------------------------------------------------------------------------

    def _must_be_held(self, principal: Principal, profile: str, run: str, plan: str, what: Selection) -> None:
        """Raise Conflict or Invalid unless a guard holds this part of this plan."""
        if len(what.objects) > OBJECTS_MAX:
            raise Invalid(f"At most {OBJECTS_MAX:,} objects can be named at once.", target="objects")
        with self._control.read() as connection:
            row = self._held(connection, principal.tenant, profile, run, plan)
        self._must_pick(row, what, str(run_folder(self._settings, principal.tenant_id, profile, run)))

    def _must_pick(self, row: Row[Any], what: Selection, folder: str) -> None:
        """Raise Invalid for a part in which nothing is held: a mistyped one must not look like a yes or a no."""
        found = self._readers.ask("plan_picked", Picked, folder=folder, what=msgspec.to_builtins(what))
        if found.without:
            raise Invalid(
                f"In the plan of run {row.number} nothing is held that the object {found.without[0]} is changed by, or "
                f"not in what else is named; {len(found.without)} of {len(what.objects)} objects are so. Memberships "
                "alone are named by kind or school.",
                target="objects",
            )
        if not found.steps:
            named = " and ".join(
                [f"kind {what.kind}"] * (what.kind is not None) + [f"school {what.school}"] * (what.school is not None)
            )
            raise Invalid(
                f"In the plan of run {row.number} nothing is held in {named}: the plan lists its kinds and schools.",
                target="kind" if what.school is None else "school",
            )

    def _applied(self, principal: Principal, row: Row[Any]) -> Applied:
        """What of a run (its row) is in the directory."""
        if row.stage != RunState.APPLYING:
            return Applied(0, 0)
        with self._directories.read(principal.tenant_id) as connection:
            return cancelling.applied(connection, principal.tenant, row.id)

    def _folder(self, principal: Principal, profile: str, run: str) -> str:
        with self._control.read() as connection:
            self._run(connection, principal.tenant, profile, run)
        return str(run_folder(self._settings, principal.tenant_id, profile, run))

    def _run(self, connection: Connection, tenant: int, profile: str, run: str) -> Row[Any]:
        row = connection.execute(
            select(runs).where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.id == run)
        ).one_or_none()
        if row is None:
            raise NotFound(f"Profile {profile} has no run {run}.")
        return row

    def _held(self, connection: Connection, tenant: int, profile: str, run: str, plan: str) -> Row[Any]:
        """The row of a run that a guard holds with exactly this plan."""
        row = self._run(connection, tenant, profile, run)
        if row.state != RunState.HELD or row.held_for != HeldFor.GUARD:
            raise Conflict(f"Run {row.number} is not held by a guard: there is nothing to approve.")
        if json.loads(row.summary or "{}").get("plan") != plan:
            raise Conflict(_OTHER_PLAN.format(number=row.number))
        return row

    def _refuse_open(self, connection: Connection, tenant: int, profile: str) -> None:
        opened = self._runs.open_run(connection, tenant, profile)
        if opened is not None:
            raise Conflict(f"Run {opened.number} of the profile is {opened.state}: wait for its end, or discard it.")

    def _guards(self, connection: Connection, tenant: int, profile: str) -> Guards:
        home = previews.profile_of(connection, tenant, profile)
        stored = connection.execute(
            select(profiles.c.policy).where(profiles.c.tenant == tenant, profiles.c.id == home)
        ).scalar_one()
        return own_settings(stored).guards


_CAN_BE_UNDONE = frozenset({RunState.DONE, RunState.FAILED, RunState.DISCARDED, RunState.CANCELLED})
_OTHER_PLAN = (
    "Run {number} has another plan by now: look at it again. An approval counts only for the plan it was given for."
)


def _discarded(principal: Principal, why: str | None) -> str:
    reason = _reason(why)
    return f"Discarded by {principal.audit_name}" + (f": {reason}" if reason else ".")


def _reason(why: str | None) -> str | None:
    """What somebody gave as a reason; at most WHY_MAX characters. Raises Invalid."""
    if why is None or not why.strip():
        return None
    if len(why) > WHY_MAX:
        raise Invalid(f"A reason has at most {WHY_MAX:,} characters.", target="why")
    return why.strip()


def _pairs(given: str) -> tuple[str, int]:
    """The CSV text of old and new ids, written anew, and how many there are. Raises Invalid."""
    rows = _rows_of(given)
    _, header = next(rows, (1, []))
    if [name.strip().lower() for name in header] != ["kind", "old", "new"]:
        raise Invalid("The first line has to be kind,old,new.", target="pairs")
    seen: tuple[set[tuple[str, str]], set[tuple[str, str]]] = (set(), set())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "old", "new"])
    for line, row in rows:
        if not row:
            continue
        kind, old, new = [cell.strip() for cell in row] if len(row) == 3 else ("", "", "")
        if kind not in _KINDS or not _is_id(old) or not _is_id(new) or old == new:
            raise Invalid(
                f"Line {line} is not a pair: it needs one of {', '.join(_KINDS)}, the old id and another new one.",
                target="pairs",
            )
        for ids, one in zip(seen, (old, new), strict=True):
            if (kind, one) in ids:
                raise Invalid(f"Line {line} names an id a second time.", target="pairs")
            ids.add((kind, one))
        writer.writerow([kind, old, new])
    if not seen[0]:
        raise Invalid("There is no pair of ids.", target="pairs")
    return text.getvalue(), len(seen[0])


def _rows_of(given: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV text and the lines that they end in. Raises Invalid for what is no CSV."""
    rows = csv.reader(io.StringIO(given.removeprefix("\ufeff"), newline=None), strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as problem:
        raise Invalid(f"Line {rows.line_num} is not CSV: {problem}.", target="pairs") from problem


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_MAX and not any(unicodedata.category(letter) == "Cc" for letter in text)


_KINDS = ("school", "section", "student", "teacher")
ID_MAX = 256
