"""What faces and housekeeping may ask of runs: start, pause, resume, reset, look.

Everything happens in the caller's write transaction on the control database, so that a request and a worker never
see half of it. The work itself is the worker's: a run is handed over by its row in state `queued`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from schoolsync import ticks
from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Role
from schoolsync.errors import Conflict, Invalid, NotFound
from schoolsync.plan.policy import Guards
from schoolsync.profiles import status as statuses
from schoolsync.profiles.policy import own_settings
from schoolsync.profiles.states import must_be_startable
from schoolsync.runs import approvals, cancelling, restarting
from schoolsync.runs.apart import is_apart, of_all
from schoolsync.runs.approvals import Approval
from schoolsync.runs.job import Message
from schoolsync.runs.selections import WHOLE, Release, Selection
from schoolsync.runs.states import ACTIVE, Cause, HeldFor, OpenRun, RunState, Wish
from schoolsync.store.control import Control
from schoolsync.store.control_tables import errors, profile_status, profiles, runs

if TYPE_CHECKING:
    from schoolsync.settings import Settings
    from schoolsync.uploads.service import Uploads

POLL = 0.02
CSV_PROVIDER = "educationCsvDataProvider"

_WITHOUT_PAUSE = {Wish.PAUSE: None, Wish.RESET_PAUSED: Wish.RESET, Wish.CANCEL_PAUSED: Wish.CANCEL}
"""What is left of a wish when a resume takes its pause back."""


@dataclass(frozen=True, slots=True)
class Started:
    """What `start` can say: the verification's messages, and whether the sync goes on."""

    messages: tuple[Message, ...]
    accepted: bool
    run: str | None = None  # the run it is about; None when there is none any more


class Approved(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an approval has brought about."""

    approval: Approval
    released: bool  # the run goes on
    persons_missing: int  # so many more people have to approve the same


class Runs:
    """Runs of all profiles. Safe to share between threads."""

    def __init__(
        self,
        *,
        control: Control,
        settings: Settings,
        uploads: Uploads,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._control = control
        self._settings = settings
        self._uploads = uploads
        self._clock = clock
        self._new_id = new_id

    # --- looking ---------------------------------------------------------------------------------------------------

    def open_run(self, connection: Connection, tenant: int, profile: str) -> OpenRun | None:
        """The run of the profile that has not ended, or None."""
        row = connection.execute(
            select(
                *(runs.c.id, runs.c.number, runs.c.state, runs.c.held_for, runs.c.wish),
                *(runs.c.only, runs.c.cleans, runs.c.undoes),
            ).where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.ended.is_(None))
        ).one_or_none()
        if row is None:
            return None
        return OpenRun(
            row.id,
            row.number,
            RunState(row.state),
            HeldFor(row.held_for) if row.held_for else None,
            Wish(row.wish) if row.wish else None,
            is_apart(row),
            row.cleans is not None or row.undoes is not None,
        )

    def active(self, connection: Connection, tenant: int, profile: str) -> bool:
        """Whether a run of the profile works or is about to: uploads are blocked then."""
        run = self.open_run(connection, tenant, profile)
        return run is not None and run.active

    # --- asking ----------------------------------------------------------------------------------------------------

    def begin(
        self,
        connection: Connection,
        tenant: int,
        profile: str,
        *,
        cause: str,
        upload: str | None,
        now: int,
        by: Principal | None = None,
        **columns: Any,
    ) -> str:
        """Queue a new run and return its id. The caller has made sure that no run is open.

        `columns` are further ones of its row, with values of any type.
        """
        run = self._new_id()
        highest, last = connection.execute(
            select(func.max(runs.c.number), func.max(runs.c.asked)).where(
                runs.c.tenant == tenant, runs.c.profile == profile
            )
        ).one()
        before = connection.execute(
            select(profile_status).where(profile_status.c.tenant == tenant, profile_status.c.profile == profile)
        ).one()
        kept = ("status", "status_message", "error_count", "last_synchronization", "last_activity", "own_status")
        summary = {"before": {name: getattr(before, name) for name in kept}}
        # What a person has passed over once in these very files need not be asked again.
        passed_over = connection.execute(
            select(runs.c.id)
            .where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.upload == upload)
            .where(runs.c.ignore_findings)
            .limit(1)
        ).one_or_none()
        connection.execute(
            insert(runs).values(
                tenant=tenant,
                profile=profile,
                id=run,
                number=(highest or 0) + 1,
                state=RunState.QUEUED,
                cause=cause,
                upload=upload,
                ignore_findings=passed_over is not None and cause != Cause.START,
                summary=json.dumps(summary),
                # The directory lets the run that was asked for last write, whatever was done to the clock.
                asked=now if last is None else max(now, last + 1),
                asked_by=by.audit_name if by else None,
                **columns,
            )
        )
        if cause not in (Cause.ONE, Cause.CLEAN_UP):  # which do nothing of what is due for the others
            connection.execute(
                update(profiles).where(profiles.c.tenant == tenant, profiles.c.id == profile).values(due=None)
            )
        first = "inProgress" if cause == Cause.RESET else "extracting"
        self._record(connection, tenant, profile, first, "Waiting for a worker.", now)
        return run

    def pause(self, connection: Connection, tenant: int, profile: str, *, now: int, by: Principal | None) -> None:
        """Stop the work of the profile at the next batch, until `resume`. Twice is once."""
        run = self.open_run(connection, tenant, profile)
        if run is None:
            known = statuses.load(connection, tenant=tenant, profile=profile)
            if not known.status == known.own_status == "paused":
                self._record(connection, tenant, profile, "paused", "Paused.", now)
        elif run.state == RunState.PAUSED or run.wish in {Wish.PAUSE, Wish.RESET_PAUSED, Wish.CANCEL_PAUSED}:
            return
        elif run.wish in {Wish.RESET, Wish.CANCEL}:
            after = Wish.RESET_PAUSED if run.wish == Wish.RESET else Wish.CANCEL_PAUSED
            self._set(connection, tenant, profile, run.id, wish=after)
            self._record(connection, tenant, profile, "paused", "Paused.", now)
        elif run.state in {RunState.HELD, RunState.QUEUED}:
            self._set(connection, tenant, profile, run.id, state=RunState.PAUSED, cause=Cause.LATE)
            self._record(connection, tenant, profile, "paused", "Paused.", now)
        else:
            self._set(connection, tenant, profile, run.id, wish=Wish.PAUSE)
            self._record(connection, tenant, profile, "paused", "Paused: the batch at work is finished first.", now)

    def resume(self, connection: Connection, tenant: int, profile: str, *, now: int, by: Principal) -> None:
        """Go on where a pause or findings stopped the work.

        Findings are passed over only for a delegated caller, and only those of single records: no resume turns a
        missing or unreadable file into an empty one (Conflict).
        """
        run = self.open_run(connection, tenant, profile)
        if run is None or not run.after_expiry:
            self._refuse_expired(connection, tenant, profile, now)
        if run is None:
            self._resume_without_run(connection, tenant, profile, now)
            return
        if run.active:
            if run.wish in _WITHOUT_PAUSE:
                self._set(connection, tenant, profile, run.id, wish=_WITHOUT_PAUSE[run.wish])
                message = cancelling.CANCELLING if run.wish == Wish.CANCEL_PAUSED else "Going on."
                self._record(connection, tenant, profile, "inProgress", message, now)
            return
        if run.state == RunState.PAUSED and run.held_for is not None:
            # The first resume takes the pause back; what held the run before still does.
            self._set(connection, tenant, profile, run.id, state=RunState.HELD)
            message = self._message(connection, tenant, profile, run.id)
            self._record(connection, tenant, profile, "validationError", message, now)
            return
        changes: dict[str, Any] = {"state": RunState.QUEUED, "wish": None}  # column values are of any type
        if run.held_for == HeldFor.WINDOW:
            changes["held_for"] = None  # it waits again when the window is still open
        if run.held_for == HeldFor.FATAL:
            raise Conflict(
                f"Run {run.number} is held because a file is missing, unreadable or empty. Resuming cannot mean that "
                "the school is empty: upload the right files and start again."
            )
        if run.held_for == HeldFor.GUARD:
            self._resume_past_guard(connection, tenant, profile, run, now=now, by=by)
            return
        if run.held_for == HeldFor.FINDINGS:
            if by.kind != "delegated":
                raise Conflict(
                    f"Run {run.number} is held because records of the roster are wrong. Leaving them out needs a "
                    "person: resume with a delegated token, or upload corrected files and start again."
                )
            changes |= {"ignore_findings": True, "held_for": None}
        self._set(connection, tenant, profile, run.id, **changes)
        self._record(connection, tenant, profile, "inProgress", "Going on.", now)

    def _resume_past_guard(
        self, connection: Connection, tenant: int, profile: str, run: OpenRun, *, now: int, by: Principal
    ) -> None:
        """Take a resume for the caller's yes to this very plan, when the caller may give it."""
        row = self._row(connection, tenant, profile, run.id)
        if row.cleans is not None:  # the profile is shown as paused meanwhile: whoever resumes it means something else
            raise Conflict(
                f"Run {run.number} waits to clean up the classes of the profile: approve exactly its plan, or discard "
                "it. A resume is never a yes to that."
            )
        plain = self._guards(connection, tenant, profile).plain_resume
        if not plain and not roles.may_approve(by):
            raise Conflict(
                f"Run {run.number} is held by a guard: {row.message or ''} It needs an approval of exactly this plan "
                f"by a person who may approve (role {Role.APPROVER.value} or {Role.ADMIN.value}, delegated token), or "
                "other files and a new start. This resume is not an approval."
            )
        self.approve(connection, row, by=by, what=WHOLE, via="resume", why=None, now=now)

    def approve(
        self,
        connection: Connection,
        row: Row[Any],
        *,
        by: Principal,
        what: Selection,
        via: str,
        why: str | None,
        now: int,
    ) -> Approved:
        """Keep an approval of the plan of a held run (its row); a yes to all of it lets the run go on.

        The caller has made sure that the principal may approve and that the plan is the one that was meant.
        """
        guards = self._guards(connection, row.tenant, row.profile)
        needed = 2 if guards.second_person else 1
        plan = str(json.loads(row.summary)["plan"])
        approval = approvals.give(
            connection,
            tenant=row.tenant,
            profile=row.profile,
            run=row.id,
            plan=plan,
            what=what,
            by=by,
            via=via,
            why=why,
            hours=guards.approval_hours,
            now=now,
            new_id=self._new_id(),
        )
        given = approvals.of(connection, row.tenant, row.profile, row.id)
        missing = max(0, needed - approvals.persons(given, plan=plan, what=what, now=now))
        if what.whole and not missing:
            self.release(connection, row, now=now)
            return Approved(approval=approval, released=True, persons_missing=0)
        if missing:
            message = f"{row.message} Approved by one person; one more has to."
            self._record(connection, row.tenant, row.profile, "validationError", message, now)
        return Approved(approval=approval, released=False, persons_missing=missing)

    def release(self, connection: Connection, row: Row[Any], *, now: int) -> Release:
        """Let a held run (its row) go on with what was approved of its plan. Raises Conflict when that is nothing."""
        guards = self._guards(connection, row.tenant, row.profile)
        given = approvals.of(connection, row.tenant, row.profile, row.id)
        plan = str(json.loads(row.summary)["plan"])
        made = approvals.release(given, plan=plan, persons=2 if guards.second_person else 1, now=now)
        if made is None:
            raise Conflict(f"Nothing of the plan of run {row.number} is approved (any more): approve it first.")
        self._set(
            connection,
            row.tenant,
            row.profile,
            row.id,
            released=msgspec.json.encode(made).decode(),
            state=RunState.QUEUED,
            held_for=None,
            wish=None,
        )
        self._record(connection, row.tenant, row.profile, "inProgress", "Approved: going on.", now)
        return made

    def reset(self, connection: Connection, tenant: int, profile: str, *, now: int, by: Principal | None) -> None:
        """Forget the errors and synchronize again from the last sealed upload, comparing with what is really there.

        Nothing is deleted from the directory.
        """
        connection.execute(errors.delete().where(errors.c.tenant == tenant, errors.c.profile == profile))
        restarting.forget(connection, tenant, profile, now)
        run = self.open_run(connection, tenant, profile)
        if run is not None and run.active and run.state != RunState.QUEUED:
            self._set(connection, tenant, profile, run.id, wish=Wish.RESET)
            statuses.record(
                connection,
                tenant=tenant,
                profile=profile,
                status="inProgress",
                message="Starting again.",
                now=now,
                error_count=0,
            )
            return
        if run is not None:
            self._set(connection, tenant, profile, run.id, state=RunState.CANCELLED, ended=now)
        self.begin_again(connection, tenant, profile, now=now, by=by)

    def restart(
        self, connection: Connection, tenant: int, profile: str, *, scope: restarting.Scope, now: int, by: Principal
    ) -> None:
        """Try again now, and forget as much of what failed before as `scope` says. Raises Conflict."""
        restarting.restart(connection, self, self._uploads, tenant=tenant, profile=profile, scope=scope, by=by, now=now)

    def begin_again(
        self, connection: Connection, tenant: int, profile: str, *, now: int, by: Principal | None = None
    ) -> None:
        """Queue the run that a reset asks for; without any upload so far there is only the waiting to go back to."""
        upload, cause = self._uploads.latest_sealed(connection, tenant, profile), Cause.RESET
        if upload is None:  # the very first files may have been cut off while they were looked at
            upload, cause = restarting.cut_off(connection, self._uploads, tenant, profile), Cause.LATE
        if upload is None and self._provider(connection, tenant, profile) == CSV_PROVIDER:
            statuses.record(
                connection,
                tenant=tenant,
                profile=profile,
                status=None,
                message=restarting.without_files(connection, self._uploads, tenant, profile),
                now=now,
                error_count=0,
            )
            return
        cause = Cause.RESET if upload is None else cause
        self.begin(connection, tenant, profile, cause=cause, upload=upload, now=now, by=by)
        statuses.record(
            connection,
            tenant=tenant,
            profile=profile,
            status="inProgress",
            message="Starting again.",
            now=now,
            error_count=0,
        )

    async def start(self, principal: Principal, profile_id: str, now: int) -> Started:
        """Verify the uploaded files and, when they hold no error, synchronize them.

        Waits for the verification, at most `start_wait` seconds; a verification that takes longer goes on, and what
        it finds then holds the run. A start during an active run answers with that run's messages. Raises NotFound,
        Invalid (provider without files), Conflict (not provisioned, paused).
        """
        run = await asyncio.to_thread(self._accept_start, principal, profile_id, now)
        deadline = asyncio.get_running_loop().time() + self._settings.start_wait
        while True:
            answer = await asyncio.to_thread(self._verified, principal.tenant, profile_id, run)
            if answer is not None:
                return replace(answer, run=run)
            if asyncio.get_running_loop().time() >= deadline:
                if await asyncio.to_thread(self._stop_waiting, principal.tenant, profile_id, run):
                    return Started((), True, run)
                continue  # it was verified just now
            await asyncio.sleep(POLL)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _accept_start(self, principal: Principal, profile_id: str, now: int) -> str:
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            active = self._make_way(connection, tenant, profile_id, now)
            if active is not None:
                return active.id
            inbox = self._uploads.inbox(connection, tenant, profile_id)
            return self.begin(connection, tenant, profile_id, cause=Cause.START, upload=inbox, now=now, by=principal)

    def start_with(
        self, connection: Connection, principal: Principal, profile: str, *, upload: str, expects: str, now: int
    ) -> str:
        """Begin a run that reads a sealed upload and applies the plan of the hash `expects`, or nothing.

        Raises NotFound, Invalid (provider without files), Conflict (not provisioned, paused, a run at work).
        """
        tenant = principal.tenant
        active = self._make_way(connection, tenant, profile, now)
        if active is not None:
            raise Conflict(f"Run {active.number} of the profile is {active.state}: wait until it ends.")
        run = self.begin(connection, tenant, profile, cause=Cause.LATE, upload=upload, now=now, by=principal)
        self._set(connection, tenant, profile, run, expects=expects)
        return run

    def _make_way(self, connection: Connection, tenant: int, profile: str, now: int) -> OpenRun | None:
        """The run that is at work, or None: then one may be begun, and one that was held is discarded for it."""
        row = connection.execute(
            select(profiles.c.state, profiles.c.data_provider).where(
                profiles.c.tenant == tenant, profiles.c.id == profile
            )
        ).one_or_none()
        if row is None:
            raise NotFound(f"There is no synchronization profile {profile}.")
        if not _is_csv(row.data_provider):
            raise Invalid("Only a profile with a CSV data provider is started: this release reads from no server.")
        must_be_startable(row.state)
        self._refuse_expired(connection, tenant, profile, now)
        run = self.open_run(connection, tenant, profile)
        if run is not None and run.active and run.wish not in _WITHOUT_PAUSE:
            return run
        own = connection.execute(
            select(profile_status.c.own_status).where(
                profile_status.c.tenant == tenant, profile_status.c.profile == profile
            )
        ).scalar_one()
        if own == "paused" or (run is not None and run.state == RunState.PAUSED):
            raise Conflict("The profile is paused: resume it before you start it.")
        if run is not None:
            self._set(connection, tenant, profile, run.id, state=RunState.DISCARDED, ended=now)
        return None

    def _verified(self, tenant: int, profile: str, run: str) -> Started | None:
        with self._control.read() as connection:
            row = connection.execute(
                select(runs.c.state, runs.c.verification).where(
                    runs.c.tenant == tenant, runs.c.profile == profile, runs.c.id == run
                )
            ).one_or_none()
        if row is None:
            return Started((), True)  # the profile was deleted meanwhile
        if row.verification is not None:
            messages = msgspec.json.decode(row.verification, type=tuple[Message, ...])
            return Started(messages, row.state != RunState.DISCARDED)
        return None if row.state in ACTIVE else Started((), True)

    def _stop_waiting(self, tenant: int, profile: str, run: str) -> bool:
        """Tell the worker that nobody waits any more; False when the verification is there after all."""
        with self._control.write(tenant) as connection:
            return bool(
                connection.execute(
                    update(runs)
                    .where(
                        runs.c.tenant == tenant,
                        runs.c.profile == profile,
                        runs.c.id == run,
                        runs.c.verification.is_(None),
                    )
                    .values(cause=Cause.LATE)
                ).rowcount
            )

    def _resume_without_run(self, connection: Connection, tenant: int, profile: str, now: int) -> None:
        own = connection.execute(
            select(profile_status.c.own_status).where(
                profile_status.c.tenant == tenant, profile_status.c.profile == profile
            )
        ).scalar_one_or_none()
        if own != "paused":
            return
        last = self.last_ending(connection, tenant, profile)
        self._record(connection, tenant, profile, last[0], last[1], now)

    def last_ending(self, connection: Connection, tenant: int, profile: str) -> tuple[str | None, str]:
        """Status and message that the profile's last run ended with; before any run, those of a new profile."""
        row = connection.execute(
            select(runs.c.number, runs.c.state, runs.c.summary, runs.c.message)
            .where(
                runs.c.tenant == tenant,
                runs.c.profile == profile,
                *of_all(),
                or_(
                    runs.c.state.in_([RunState.DONE, RunState.FAILED]),
                    and_(runs.c.state == RunState.CANCELLED, runs.c.stage == RunState.APPLYING),
                ),
            )
            .order_by(runs.c.number.desc())
            .limit(1)
        ).one_or_none()
        if row is None:
            return None, statuses.WAITS_FOR_FILES
        if row.state == RunState.CANCELLED:  # by a person, or for a reset whose own run did not get so far
            return "error", cancelling.cut_off(row.number)
        return json.loads(row.summary or "{}").get("status", "success"), row.message or ""

    def _refuse_expired(self, connection: Connection, tenant: int, profile: str, now: int) -> None:
        date = self.expired(connection, tenant, profile, now)
        if date is not None:
            raise Conflict(f"The profile expired on {date}: set a later expirationDate first.")

    def expired(self, connection: Connection, tenant: int, profile: str, now: int) -> str | None:
        """The date on which the profile expired, or None when it has not."""
        date: str | None = connection.execute(
            select(profiles.c.expiration_date).where(profiles.c.tenant == tenant, profiles.c.id == profile)
        ).scalar_one_or_none()
        return date if date is not None and date <= ticks.text(now)[:10] else None

    def _message(self, connection: Connection, tenant: int, profile: str, run: str) -> str:
        message: str | None = connection.execute(
            select(runs.c.message).where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.id == run)
        ).scalar_one()
        return message or "The run is held."

    def _row(self, connection: Connection, tenant: int, profile: str, run: str) -> Row[Any]:
        return connection.execute(
            select(runs).where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.id == run)
        ).one()

    def _guards(self, connection: Connection, tenant: int, profile: str) -> Guards:
        stored = connection.execute(
            select(profiles.c.policy).where(profiles.c.tenant == tenant, profiles.c.id == profile)
        ).scalar_one()
        return own_settings(stored).guards

    def _provider(self, connection: Connection, tenant: int, profile: str) -> str:
        stored = connection.execute(
            select(profiles.c.data_provider).where(profiles.c.tenant == tenant, profiles.c.id == profile)
        ).scalar_one()
        return CSV_PROVIDER if _is_csv(stored) else ""

    def _record(
        self, connection: Connection, tenant: int, profile: str, status: str | None, message: str, now: int
    ) -> None:
        statuses.record(connection, tenant=tenant, profile=profile, status=status, message=message, now=now)

    def _set(self, connection: Connection, tenant: int, profile: str, run: str, **values: Any) -> None:
        connection.execute(
            update(runs).where(runs.c.tenant == tenant, runs.c.profile == profile, runs.c.id == run).values(**values)
        )


def _is_csv(data_provider: str) -> bool:
    return str(json.loads(data_provider).get("@odata.type", "")).lower().endswith(CSV_PROVIDER.lower())
