"""What the worker writes down about runs: stages, progress, verdicts, endings.

Every entry is one short write transaction on the control database and may be written twice (a step of the workflow
can be repeated after a crash). An entry of an attempt that is no longer the run's is refused, and the answer tells
the workflow to stop. Status texts name counts, never people.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection, Row, select

from schoolsync import ticks
from schoolsync.errors import WorldError
from schoolsync.plan.policy import Window
from schoolsync.plan.verdicts import NOTHING_CHANGED
from schoolsync.profiles import status as statuses
from schoolsync.runs import asides, cancelling, endings
from schoolsync.runs.apart import is_apart
from schoolsync.runs.aside_records import kept, parts_of
from schoolsync.runs.job import Finished, Planned, Validated
from schoolsync.runs.jobs import Jobs
from schoolsync.runs.records import Key, release_of
from schoolsync.runs.sentences import MOVED, STAGES, counts, done_message, held_message, rung, told
from schoolsync.runs.service import Runs
from schoolsync.runs.states import ACTIVE, Cause, HeldFor, RunState, Wish
from schoolsync.runs.telling import Telling
from schoolsync.settings import Settings
from schoolsync.store import errors as error_rows
from schoolsync.store.control import Control
from schoolsync.store.control_tables import runs, tenants
from schoolsync.uploads.service import Uploads

TELL = 0.2
"""Progress of the applying is written down this often, in seconds."""

log = structlog.get_logger()


class Journal(Jobs):
    """The worker's pen."""

    def __init__(
        self,
        *,
        control: Control,
        settings: Settings,
        uploads: Uploads,
        runs: Runs,
        clock: Callable[[], int],
        worker: str = "local",
        scratch: Path | None = None,
    ) -> None:
        super().__init__(control=control, settings=settings, uploads=uploads, runs=runs, clock=clock, scratch=scratch)
        self._worker = worker
        self._told = 0.0  # when progress was last written down, by a clock that nobody can turn
        self._telling = Telling()

    # --- taking runs up --------------------------------------------------------------------------------------------

    def unfinished(self) -> list[Key]:
        """The runs that this worker took up and that have not stopped; their present attempts."""
        taken = ACTIVE - {RunState.QUEUED}
        with self._control.read() as connection:
            rows = connection.execute(
                select(runs.c.tenant, runs.c.profile, runs.c.id, runs.c.attempt).where(
                    runs.c.state.in_(taken), runs.c.worker == self._worker
                )
            ).all()
        return [Key(row.tenant, row.profile, row.id, row.attempt) for row in rows]

    def take(self, key: Key) -> bool:
        """Take a queued run up as attempt `key.attempt`; False when it is no longer to be had."""
        with self._control.write(key.tenant) as connection:
            found = self._find(connection, key)
            if found is None or found.state != RunState.QUEUED or found.attempt != key.attempt - 1:
                return False
            stage = RunState.APPLYING if found.stage == RunState.APPLYING else RunState.EXTRACTING
            began = found.began or self._clock()
            self._set(
                connection,
                key,
                attempt=key.attempt,
                worker=self._worker,
                state=stage,
                began=began,
                stages=self._begun(found, stage),
                stage_done=None,
                stage_total=None,
            )
            self._show(connection, key, *STAGES[stage])
            return True

    def give_back(self, key: Key) -> None:
        """Queue a run again whose attempt ended without a word (its workflow failed outside of any step)."""
        with self._control.write(key.tenant) as connection:
            if self._current(connection, key) is not None:
                self._set(connection, key, state=RunState.QUEUED)

    # --- stages ----------------------------------------------------------------------------------------------------

    def begins(self, key: Key, stage: RunState, rows: int | None = None) -> bool:
        """A stage begins that is to go over so many rows, where that is known.

        False: stop here, a person wished so or the run is another attempt's.
        """
        counted = {"stage_done": None if rows is None else 0, "stage_total": rows}
        with self._control.write(key.tenant) as connection:
            row = self._heed(connection, key)
            if row is None:
                return False
            begun = self._begun(row, stage)
            if row.state != stage:
                self._set(connection, key, state=stage, stage=stage, stages=begun, **counted)
                self._show(connection, key, *STAGES[stage])
            elif row.stage != stage:
                self._set(connection, key, stage=stage, stages=begun, **counted)
        self._telling.stage(key.run, key.attempt, stage)
        return True

    def went_over(self, key: Key, stage: RunState, done: int, total: int) -> None:
        """A stage before the applying has gone over so many rows, for people alone: no run fails for it."""
        try:
            with self._control.write(key.tenant) as connection:
                self._note_rows(connection, key, stage, done, total)
        except WorldError as problem:
            log.warning("progress not written down", run=key.run, reason=str(problem))

    def tell(self, key: Key, stage: RunState, done: int, total: int) -> None:
        """The same for the log, which has a line of it now and then."""
        self._telling.rows(key.run, key.attempt, stage, done, total, time.monotonic())

    def verified(self, key: Key, validated: Validated) -> bool:
        """The verification is there. True: go on. Otherwise the run is discarded (its caller waits) or held."""
        messages = msgspec.json.encode(validated.messages).decode()
        with self._control.write(key.tenant) as connection:
            row = self._heed(connection, key)
            if row is None:
                return False
            wrong = validated.fatal or (validated.errors > 0 and not (row.ignore_findings or validated.leaves_out))
            kept = {
                "format": validated.format,
                "why": validated.why,
                "statistics": validated.statistics,
                "left_out": validated.left_out,
            }
            self._set(connection, key, summary=json.dumps(json.loads(row.summary or "{}") | kept))
            if not wrong:
                self._set(connection, key, verification=messages)
                self._seal(connection, key, row)
                return True
            if row.cause in {Cause.START, Cause.PREVIEW}:
                self._set(
                    connection,
                    key,
                    verification=messages,
                    message=held_message(validated, waits=False),
                    state=RunState.DISCARDED,
                    ended=self._clock(),
                    wish=None,
                )
                if row.cause == Cause.START:
                    self._restore(connection, key, row)
                    self._due_again(connection, key, row)
                return False
            held_for = HeldFor.FATAL if validated.fatal else HeldFor.FINDINGS
            message = held_message(validated, waits=True)
            self._seal(connection, key, row)
            found = self._list_findings(connection, key, validated)
            self._set(
                connection,
                key,
                verification=messages,
                state=RunState.HELD,
                stages=self._begun(row, RunState.HELD),
                held_for=held_for,
                message=message,
                error_count=found,
            )
            self._show(connection, key, "validationError", message, error_count=found)
            return False

    def unchanged(self, key: Key) -> bool:
        """Files, settings and directory are as they were: the run ends as the last one did, and nothing is written."""
        now = self._clock()
        with self._control.write(key.tenant) as connection:
            row = self._heed(connection, key)
            if row is None:
                return False
            last = self._last_done(connection, key)
            assert last is not None, "an unchanged upload has a run it equals"
            self._seal(connection, key, row)
            summary = json.loads(row.summary or "{}")
            summary |= {name: value for name, value in json.loads(last.summary or "{}").items() if name != "before"}
            summary |= {"steps": {}, "unchanged": True}
            status = str(summary.get("status", "success"))
            message = "Nothing has changed since the last synchronization."
            if last.error_count:
                message += f" {last.error_count:,} records still could not be synchronized: see errors."
            ending = None
            if status == "quarantined":
                why = (summary.get("quarantine") or {}).get("why", "the same records fail as before")
                limits = self._limits(connection, key)
                ending = endings.repeated(limits, why, past=self._past(connection, key), now=now)
            parts = parts_of(connection, key.tenant, key.profile)
            summary |= {"quarantine": rung(ending), "parts": kept(parts)}
            message += told(ending) + asides.told(parts)
            self._set(
                connection,
                key,
                state=RunState.DONE,
                ended=now,
                verification=last.verification or "[]",
                snapshot=last.snapshot,
                input_hash=last.input_hash,
                position=last.position,
                error_count=last.error_count,
                summary=json.dumps(summary),
                message=message,
            )
            done = now if status == "success" else None
            self._show(connection, key, status, message, error_count=last.error_count, synchronized=done)
            retry = None if ending is None else ending.retry
            self._due_again(connection, key, row, _first(retry, asides.next_try(parts)))
            return True

    def planned(self, key: Key, planned: Planned) -> int:
        """The plan is stored: list its errors; hold it when a guard or a window says so.

        Returns how many of its batches are to be applied now; -1: stop here. When that is fewer than all, `held` is
        to be called behind them.
        """
        with self._control.write(key.tenant) as connection:
            row = self._heed(connection, key)
            if row is None:
                return -1
            if not is_apart(row):
                error_rows.forget(connection, tenant=key.tenant, profile=key.profile)
            tenant_id = connection.execute(select(tenants.c.id).where(tenants.c.number == key.tenant)).scalar_one()
        folder = self.folder(tenant_id, key.profile, key.run)
        for name in () if is_apart(row) else planned.error_files:
            path = self._objects.fetch(folder / name)
            with self._control.write(key.tenant) as connection:
                error_rows.insert_chunk(
                    connection,
                    tenant=key.tenant,
                    profile=key.profile,
                    run=key.run,
                    rows=path.read_text("utf-8"),
                )
        now = self._clock()
        with self._control.write(key.tenant) as connection:
            row = self._heed(connection, key)
            if row is None:
                return -1
            listed = None if is_apart(row) else planned.errors
            summary = json.loads(row.summary or "{}")
            before = summary.get("plan")
            summary |= {"plan": planned.plan, "steps": planned.steps, "failed": planned.failed, "seen": planned.seen}
            summary |= {
                "verdicts": msgspec.to_builtins(planned.verdicts),
                "verdict_count": planned.verdict_count,
                "deferred": planned.deferred,
                "notes": planned.notes,
            }
            self._set(
                connection,
                key,
                error_count=planned.errors,
                rows_total=planned.rows,
                summary=json.dumps(summary),
            )
            if row.cause == Cause.PREVIEW:
                message = planned.held or "Nothing holds this plan."
                self._set(connection, key, state=RunState.DONE, ended=now, wish=None, message=message)
                return -1
            if row.expects is not None and planned.plan != row.expects:
                self._set(connection, key, state=RunState.DISCARDED, ended=now, wish=None, message=MOVED)
                self._restore(connection, key, row)
                return -1
            policy = self._policy(connection, key)
            blackout = policy.window("blackout", now)
            if blackout is not None and planned.batches:
                self._wait(connection, key, blackout, listed)
                return -1
            release = release_of(row)
            if planned.held is None or (release is not None and release.plan == planned.plan):
                if planned.held is not None and release is not None and release.expires <= now:
                    self._hold(connection, key, planned, "The approval of this plan has expired. ")
                    return -1
                self._show(connection, key, "inProgress", "Applying the changes.", error_count=listed)
                return planned.batches
            if policy.guards.additions_flow and planned.flowing:
                self._show(connection, key, "inProgress", "Applying what the plan adds.", error_count=listed)
                return planned.flowing
            moved = "What it was made from has changed, so this is a new plan. " if release is not None else ""
            if row.limits is not None and json.loads(row.limits).get("plan", planned.plan) != planned.plan:
                moved = "What it was made from has changed, so this is a new plan, and the profile's own limits count. "
            if before is not None and before != planned.plan and not moved and row.limits is None:
                moved = "The plan was made anew. "
            self._hold(connection, key, planned, moved)
            return -1

    def held(self, key: Key, planned: Planned) -> None:
        """What may flow of a held plan is in the directory: the rest waits for a person."""
        with self._control.write(key.tenant) as connection:
            if self._heed(connection, key) is not None:
                rest = str(planned.held).removeprefix(NOTHING_CHANGED)
                self._hold(connection, key, planned, "What the plan only adds was applied; the rest waits: ", rest)

    def _hold(
        self, connection: Connection, key: Key, planned: Planned, before: str, sentence: str | None = None
    ) -> None:
        message = f"{before}{sentence or planned.held}"
        held = self._put_aside(connection, key)
        self._set(connection, key, **held, held_for=HeldFor.GUARD, released=None, message=message)
        row = self._find(connection, key)
        listed = None if row is None or is_apart(row) else planned.errors
        self._show(connection, key, "validationError", message, error_count=listed)

    def _wait(self, connection: Connection, key: Key, window: Window, errors: int | None) -> None:
        """Put a run aside until a blackout window closes; it goes on by itself then."""
        message = f"Waiting for {ticks.text(window.ends)}: the profile has a blackout window until then."
        self._set(connection, key, **self._put_aside(connection, key), held_for=HeldFor.WINDOW, message=message)
        self._show(connection, key, "paused", message, error_count=errors)
        self._due(connection, key, window.ends)

    def applied(self, key: Key, rows_done: int, rows_total: int) -> bool:
        """A batch is in the directory. False: stop here.

        Batches are many and quick: how far the run is, is written down a few times a second and at the end.
        """
        now = time.monotonic()
        self._telling.rows(key.run, key.attempt, RunState.APPLYING, rows_done, rows_total, now)
        if rows_done < rows_total and now - self._told < TELL:
            with self._control.read() as connection:
                row = self._current(connection, key)
            if row is not None and row.wish is None:
                return True
        self._told = now
        with self._control.write(key.tenant) as connection:
            if self._current(connection, key) is None:
                return False
            self._set(connection, key, rows_done=rows_done)
            if self._heed(connection, key) is None:
                return False
            self._show(connection, key, "inProgress", f"Applying: {rows_done:,} of {rows_total:,} rows.")
            return True

    # --- endings ---------------------------------------------------------------------------------------------------

    def finished(self, key: Key, planned: Planned, finished: Finished) -> None:
        """The run was applied whole."""
        now = self._clock()
        with self._control.write(key.tenant) as connection:
            row = self._current(connection, key)
            if row is None:
                return
            if is_apart(row):
                self._finished_alone(connection, key, row, planned, finished)
                self._after(connection, key, row)
                return
            ending = endings.applied(
                self._limits(connection, key),
                errors=planned.errors,
                failed=planned.failed,
                seen=planned.seen,
                past=self._past(connection, key),
                now=now,
            )
            status: str = ending.status
            message = done_message(planned) if row.undoes is None else self._undone_message(connection, key, planned)
            if finished.left_out:
                message += (
                    f" {finished.left_out:,} changes that nobody has approved were left out; the next upload is "
                    "compared with what is really there."
                )
            if finished.missed:
                # The next run finds the directory changed, reads it back and makes good what is missing.
                status = "error" if status == "success" else status
                message += (
                    f" {finished.missed:,} rows were passed over, because the directory was changed at the same time; "
                    "the profile synchronizes again by itself."
                )
            parts = parts_of(connection, key.tenant, key.profile)
            if row.undoes is None:
                parts = asides.whole(self._limits(connection, key), planned.parts, parts, now)
            message += told(ending) + asides.told(parts)
            summary = json.loads(row.summary or "{}") | {"status": status, "quarantine": rung(ending)}
            summary |= {"wakes": finished.wakes, "parts": kept(parts)}
            if finished.missed:  # at once, but never over and over
                summary["again"] = now if row.cause != Cause.DUE else now + endings.HOUR
            if finished.left_out:
                summary["partly"] = True
            self._set(
                connection,
                key,
                state=RunState.DONE,
                ended=now,
                wish=None,
                rows_done=planned.rows,
                snapshot=None if finished.snapshot is None else self._objects.key(Path(finished.snapshot)),
                input_hash=finished.input_hash,
                position=finished.position,
                message=message,
                summary=json.dumps(summary),
            )
            done = now if status == "success" else None
            self._show(connection, key, status, message, error_count=planned.errors, synchronized=done)
            wants = (ending.retry, finished.wakes, summary.get("again"), asides.next_try(parts))
            times = [time for time in wants if time is not None]
            if row.undoes is None:
                self._due(connection, key, min(times, default=None))
            else:
                self._due_again(connection, key, row, min(times, default=None))
            self._after(connection, key, row)

    def failed(self, key: Key, reason: str, *, replan: bool = False, retry: bool = False) -> None:
        """The run cannot go on.

        With `replan` a new one makes another plan of the same files at once; with `retry` the world has failed it, and
        the profile tries again by itself after a while.
        """
        now = self._clock()
        with self._control.write(key.tenant) as connection:
            # A pause or a cancel counts more than another plan; a run that fails is over whatever was wished.
            row = self._heed(connection, key) if replan else self._current(connection, key)
            if row is None:
                return
            if is_apart(row):
                self._end_alone(connection, key, row, RunState.FAILED, reason)
                self._try_done(connection, key, row, None, now)
                self._after(connection, key, row)
                return
            if replan:
                self._set(connection, key, state=RunState.DISCARDED, ended=now, wish=None, message=reason)
                self._runs.begin(connection, key.tenant, key.profile, cause=Cause.REPLAN, upload=row.upload, now=now)
                return
            ending = endings.Ending("error")
            if row.cause != Cause.PREVIEW:
                past = self._past(connection, key)
                ending = endings.broken(self._limits(connection, key), retry=retry, past=past, now=now)
            parts = parts_of(connection, key.tenant, key.profile)
            summary = json.loads(row.summary or "{}") | {"status": ending.status, "quarantine": rung(ending)}
            summary |= {"retry": ending.retry, "parts": kept(parts)}
            reason += told(ending)
            if ending.retry is not None:
                self._seal(connection, key, row)  # so that it is these files that are tried again
            self._set(
                connection,
                key,
                state=RunState.FAILED,
                ended=now,
                wish=None,
                message=reason,
                summary=json.dumps(summary),
            )
            self._show(connection, key, ending.status, reason)
            self._due_again(connection, key, row, _first(ending.retry, asides.next_try(parts)))
            self._after(connection, key, row)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _undone_message(self, connection: Connection, key: Key, planned: Planned) -> str:
        """What a run that took another one back has done, and what it could not."""
        row = self._find(connection, key)
        assert row is not None
        undone = self._find(connection, Key(key.tenant, key.profile, row.undoes, 0))
        number = "?" if undone is None else undone.number
        return " ".join([f"Took run {number} back: {counts(planned)}.", *planned.notes])

    def _heed(self, connection: Connection, key: Key) -> Row[Any] | None:
        """As `_current`, after heeding what a person wished meanwhile."""
        row = self._current(connection, key)
        if row is None or row.wish is None:
            return row
        if row.wish == Wish.PAUSE:
            late = {"cause": Cause.LATE} if row.cause == Cause.START else {}
            put_aside = self._begun(row, RunState.PAUSED)
            self._set(connection, key, state=RunState.PAUSED, wish=None, stages=put_aside, **late)
            self._show(connection, key, "paused", self._paused(connection, key))
        else:
            now = self._clock()
            self._set(connection, key, state=RunState.CANCELLED, ended=now, wish=None)
            self._after(connection, key, row)
            if row.wish in {Wish.CANCEL, Wish.CANCEL_PAUSED}:
                cancelling.show(connection, self._runs, row, paused=row.wish == Wish.CANCEL_PAUSED, now=now)
        return None

    def _after(self, connection: Connection, key: Key, row: Row[Any]) -> None:
        """A pause or reset that was wished for while the run came to its end still counts."""
        if row.wish in {Wish.RESET, Wish.RESET_PAUSED}:
            self._runs.begin_again(connection, key.tenant, key.profile, now=self._clock())
        if row.wish == Wish.RESET_PAUSED:
            self._runs.pause(connection, key.tenant, key.profile, now=self._clock(), by=None)
        elif row.wish in {Wish.PAUSE, Wish.CANCEL_PAUSED}:
            self._show(connection, key, "paused", self._paused(connection, key))

    def _paused(self, connection: Connection, key: Key) -> str:
        """What is said of a pause that has come into effect."""
        date = self._runs.expired(connection, key.tenant, key.profile, self._clock())
        return f"Paused: the profile expired on {date}." if date else "Paused."

    def _seal(self, connection: Connection, key: Key, row: Row[Any]) -> None:
        """The files belong to this run from now on; the next upload begins with an empty container."""
        sealing = {Cause.START, Cause.LATE, Cause.UPLOAD, Cause.SCHEDULE, Cause.PREVIEW}
        if row.upload is not None and row.cause in sealing:
            self._uploads.seal(connection, key.tenant, key.profile, row.upload, self._clock())

    def _restore(self, connection: Connection, key: Key, row: Row[Any]) -> None:
        """Put the status back as it was before `start`: files with errors are as if they had not been sent."""
        before = json.loads(row.summary)["before"]
        statuses.restore(connection, tenant=key.tenant, profile=key.profile, before=before)


def _first(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)
