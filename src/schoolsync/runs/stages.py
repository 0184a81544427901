"""The stages of one attempt at a run, as the engine process does them.

It only joins the parts: sources read and check, `plan` decides, `targets.local` reads and writes the directory. Every
stage may be done again by a new process that knows nothing but the job: a stored plan is gone on with, a batch that is
in the directory is not applied again. Nothing here loads `sqlite3`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from schoolsync.errors import WorldError
from schoolsync.plan import (
    alike,
    alone,
    changes,
    clean_up,
    desired,
    expiry,
    guards,
    matching,
    purging,
    report,
    steps,
    undo,
)
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms
from schoolsync.plan.policy import CleanUp
from schoolsync.plan.verdicts import Holds, Settled
from schoolsync.runs import alone as alone_reader
from schoolsync.runs import arrivals, cleaning, drafting, hashes, lately, run_report, snapshots, undoing
from schoolsync.runs.behind import Behind
from schoolsync.runs.checking import StageFailed, told
from schoolsync.runs.hashes import ENGINE_VERSION
from schoolsync.runs.job import (
    Applied,
    Extracted,
    Failed,
    Finished,
    Job,
    Message,
    PartCount,
    Planned,
    Undone,
    Validated,
)
from schoolsync.runs.places import REPORT
from schoolsync.runs.preparing import Preparing
from schoolsync.runs.selections import Release, Yes
from schoolsync.runs.stored_plan import (
    TAKING,
    Description,
    Draft,
    Plans,
    SnapshotNote,
    is_let_go,
    is_waived,
    release_of_batch,
)
from schoolsync.sources.source import Told
from schoolsync.targets.local import (
    Batch,
    Claim,
    LocalDirectory,
    Writer,
)

_PLAN_STEPS = 8
_PART = ("kind", "school", "failed", "seen")


@dataclass(frozen=True, slots=True)
class Judged:
    """What the guards say about a plan under the profile's limits, and under those that a person has set for it."""

    own: Settled
    other: Settled | None = None
    plan: str | None = None  # the one plan that the others are for; None: whichever comes
    yes: Yes | None = None  # whose they are

    def of(self, plan: str) -> tuple[Settled, tuple[Holds, ...]]:
        """What holds this plan, and what is not held only because of the other limits."""
        if self.other is None or self.plan not in (None, plan):
            return self.own, ()
        return self.other, tuple(sorted(self.own.holds - self.other.holds))


PREVIEW_KEY = 1 << 59
"""The key of a preview's first new object: beyond any key that a directory gives out."""

pa.set_memory_pool(pa.system_memory_pool())  # gives memory back as soon as it is free; the default keeps it


class Stages(Preparing):
    """One attempt at one run. Used by one thread."""

    def __init__(self, job: Job, told: Told) -> None:
        super().__init__(job, told)
        self._plans = Plans(Path(job.folder))
        self._writer = Writer(
            profile=job.profile,
            profile_id=job.profile_id,
            living=job.living,
            run=job.run,
            fence=job.fence,
            now=job.now,
        )
        self._plan: Description | None = None
        self._done: frozenset[int] | None = None  # the batches that earlier attempts have put into the directory
        self._arrived = False
        self._goes_on = False  # the roster was checked just now and will be planned
        self._is_over = False  # it has been planned: applying does not need it
        self._stopped: StageFailed | None = None  # why it could not be made ready ahead

    # --- the stages ------------------------------------------------------------------------------------------------

    def extract(self) -> Extracted:
        """Read the files, unless they, the settings and the directory are what they were after the base run."""
        with self._told():
            known = self._unchanged()
            if known is not None:
                return Extracted(rows=known.rows, unchanged=True)
            self._read()
            assert self._extract is not None
            return Extracted(rows=dict(self._extract.rows), unchanged=False)

    def validate(self) -> Validated:
        """Run the rules over what was read."""
        with self._told():
            checked = self._check()
            db = self._roster()
            if self._job.base is not None:
                self._have(Path(self._job.base.snapshot).parents[1] / REPORT)
            total = run_report.keep(db, Path(self._job.folder), self._job.base, format=checked.format, why=checked.why)
            run_report.keep_findings(db, Path(self._job.folder), self._job.fence)
            self._objects.keep_folder(Path(self._job.folder))
            messages = checked.messages(db)
            lost, too_much = self._leave_out(checked)
            if too_much is not None:
                messages += (Message(type="Error", file_name="", description=too_much),)
            self._goes_on = self._is_planned(checked, lost, too_much)
            self._said(self._rows(), self._rows())
            return Validated(
                messages=messages,
                errors=checked.errors,
                warnings=checked.warnings,
                fatal=checked.fatal,
                leaves_out=checked.errors > 0 and lost is not None and too_much is None,
                left_out={one.name: one.left_out for one in lost or () if one.left_out},
                format=checked.format,
                why=checked.why,
                statistics=total,
            )

    def go_ahead(self) -> None:
        """Do what the next stage needs before it is asked for, while the answer of the last one is written down.

        That is the roster made ready to be planned, or let go once it has been; what fails, `plan` says.
        """
        if self._is_over:
            self._forget_roster()
        if not self._goes_on:
            return
        self._goes_on = False
        try:
            with self._told():
                self._prepared()
        except StageFailed as problem:
            self._stopped = problem

    def plan(self) -> Planned:
        """Work out and store what changes; a plan that an earlier attempt stored is gone on with."""
        if self._stopped is not None:
            raise self._stopped
        with self._told():
            stored = self._plans.latest()
            if stored is not None and self._still_holds(stored):
                self._plan = stored
            else:
                self._plan = self._made()
            self._is_over = True
            return self._plan.planned

    def apply(self, batch: int) -> Applied:
        """Put one batch of the stored plan into the directory; at once when it is there already."""
        with self._told():
            if self._is_over:
                self._forget_roster()
            plan = self._stored()
            entry = plan.batches[batch]
            self._note_release(plan, batch)
            self._open_directory().apply(
                self._writer,
                Batch(
                    plan=plan.planned.plan,
                    number=batch,
                    op=entry.op,
                    table=entry.table,
                    position=plan.position + batch,
                    coming=sum(one.rows for one in plan.batches if (one.op, one.table) == ("create", entry.table)),
                ),
                self._released_rows(plan, batch),
            )
            return Applied(batch=batch, rows=entry.rows)

    def finish(self) -> Finished:
        """Keep the snapshot that the next run is compared with."""
        with self._told():
            plan = self._stored()
            self._open_directory().complete()
            applied = self._open_directory().applied(self._job.run)
            if set(applied) != set(range(len(plan.batches))):
                raise StageFailed(
                    Failed(reason="Not every batch of the plan is in the directory; start again.", retry=False)
                )
            written = self._open_directory().rows_applied(self._job.run)
            kept = {
                n: self._released_rows(plan, n).num_rows for n, _ in enumerate(plan.batches) if self._picked(plan, n)
            }
            # What is to go may be gone already; everything else that was not written is missing.
            missed = sum(
                kept.get(number, entry.rows) - written[number]
                for number, entry in enumerate(plan.batches)
                if entry.op not in TAKING
            )
            left_out = sum(plan.batches[number].rows - rows for number, rows in kept.items())
            if self._job.released is None and not is_waived(plan, "remove"):
                self._objects.keep(self._plans.keep_tally(plan))
            apart = self._job.undoes or self._job.only or self._job.cleans
            whole = not left_out and apart is None
            if self._job.only is not None:
                self._objects.keep(self._plans.keep_by_hand(plan))
            return Finished(
                missed=missed,
                left_out=left_out,
                snapshot=str(self._plans.snapshot(plan)) if whole else None,
                input_hash=plan.input_hash,
                # If anybody else has written meanwhile the directory is further than this, which the next run sees.
                position=plan.position + len(plan.batches),
                wakes=plan.wakes,
            )

    def close(self) -> None:
        """Give everything back."""
        self._forget_roster()
        self._plans.close()
        if self._directory is not None:
            if not self._job.preview:
                with suppress(WorldError):  # whoever writes next tries again
                    self._directory.complete()
            self._directory.close()
            self._directory = None

    def _forget_roster(self) -> None:
        self._is_over = False
        super()._forget_roster()

    # --- files -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The files of the run are here, and whatever a person must know comes out as StageFailed."""
        with told():
            if not self._arrived:
                self._objects.fetch_folder(Path(self._job.folder))
                self._arrived = True
            yield

    # --- reading and checking --------------------------------------------------------------------------------------

    def _unchanged(self) -> SnapshotNote | None:
        base = self._job.base
        if self._job.preview:
            return None  # whoever asks for a preview wants to see a plan, be it an empty one
        if base is None or self._job.again or base.input_hash != hashes.of_input(self._job):
            return None
        if self._open_directory().position() != base.position:
            return None
        note = self._note(base)
        if note is not None and note.wakes is not None and self._job.now >= note.wakes:
            return None  # a day has come that something begins or ends on
        return note

    # --- planning --------------------------------------------------------------------------------------------------

    def _still_holds(self, stored: Description) -> bool:
        """Whether a stored plan may be gone on with: nothing it was made from has changed, or it was begun.

        Of a plan that is held only what it adds may have been begun; the rest waits for a person's yes, and is not
        gone on with when anybody else has changed the directory or the settings meanwhile.
        """
        directory = self._open_directory()
        if self._job.preview:
            return directory.position() == stored.position
        claim = directory.claim(self._writer)
        begun = len(directory.applied(self._job.run))
        if begun and (stored.planned.held is None or begun > stored.planned.flowing):
            return True
        same = claim.position == stored.position + begun and stored.terms == hashes.of_terms(self._job)
        if begun and not same:
            reason = "What the plan was made from has changed while it was held."
            raise StageFailed(Failed(reason=reason, retry=False, replan=True))
        return same

    def _picked(self, plan: Description, batch: int) -> bool:
        """Whether only some rows of a batch are to be applied, because a person has approved only some."""
        released = self._release(plan, batch)
        return released is not None and not released.whole

    def _is_held(self, plan: Description, batch: int) -> bool:
        return plan.planned.held is not None and is_let_go(plan.planned.holds, plan.batches[batch].op)

    def _note_release(self, plan: Description, batch: int) -> None:
        """Write down whose yes lets a held batch go, before it goes; of one that has gone that stays as it is."""
        if self._job.released is None or not self._is_held(plan, batch):
            return
        if self._done is None:
            self._done = frozenset(self._open_directory().applied(self._job.run))
        if batch not in self._done:
            self._plans.keep_release(plan, batch, self._job.released, run=self._job.run)
            self._objects.keep_folder(Path(self._job.folder) / plan.folder)

    def _release(self, plan: Description, batch: int) -> Release | None:
        """The yes by which a held batch is or was let go; a batch that was applied keeps the one it was applied by."""
        if not self._is_held(plan, batch):
            return None
        released = release_of_batch(self._plans.let(plan), batch) or self._job.released
        return released if released is not None and released.plan == plan.planned.plan else None

    def _released_rows(self, plan: Description, batch: int) -> pa.Table:
        """The rows of a batch that are to be applied: of what is held, those that were approved."""
        released = self._release(plan, batch)
        if released is None or released.whole:
            return self._plans.rows(plan, batch)
        return self._plans.rows(plan, batch, picked=released)

    def _made(self) -> Description:
        if self._job.undoes is not None:
            return self._make_undo(self._job.undoes)
        if self._job.cleans is not None:
            return self._make_clean_up(self._job.cleans)
        return self._make_plan()

    def _make_plan(self) -> Description:
        db, directory = self._roster(), self._open_directory()
        only = self._job.only
        ready = self._prepared()
        terms, prints, read_at = ready.terms, ready.prints, ready.read_at
        self._progress(1, _PLAN_STEPS)
        self._load_rekeys(db, "planned.rekeyed")
        wakes = [terms.waits_until, desired.next_day(db, terms)]
        position = self._find_objects(db, terms, directory)
        if read_at not in (None, position):
            raise StageFailed(Failed(reason="The directory has just been changed.", retry=True))
        self._progress(2, _PLAN_STEPS)
        new = matching.resolve(db, terms)
        if self._job.preview:
            claim = Claim(position=position, first_key=PREVIEW_KEY)
        else:
            claim = directory.claim(self._writer, keys=new)
        matching.settle(db)
        alike.dismiss(db)
        self._progress(3, _PLAN_STEPS)
        draft = self._plans.begin(self._job.fence)
        guards.prepare(db)
        self._load_lately(db)
        layered = self._layered(db)
        whole = layered is None
        counted: dict[str, dict[str, int]] = {}
        # Objects and links are compared beside each other unless there may be much of both: then one makes room first.
        with Behind(db, at_once=whole and not self._is_small) as behind:
            compared = behind.do(partial(self._compare_objects, terms, directory))
            parts = behind.do(partial(self._store_objects, draft, terms, claim.first_key, counted, whole))
            if behind.at_once:
                changes.forget_objects(db, terms)
            changes.want_links(db, terms)
            self._progress(4, _PLAN_STEPS)
            self._find_links(db, terms, directory)
            wakes += compared.result()
            self._progress(5, _PLAN_STEPS)
            for step in steps.link_steps(terms):
                behind.do(partial(drafting.add_step, draft, step, counted, self._batch_rows))
            if prints:
                alike.unsure(db)
                behind.do(partial(drafting.add_snapshot, draft, alike.PRINTS, alike.PRINTED))
            behind.do(partial(drafting.add_snapshot, draft, "by_hand", "FROM planned.by_hand ORDER BY ALL"))
            behind.do(partial(drafting.add_table, draft, "renumbered", "FROM planned.renumbered ORDER BY ALL"))
            changes.compare_links(db, terms)
            for step in steps.taking_steps(terms):
                behind.do(partial(drafting.add_step, draft, step, counted, self._batch_rows))
            for link in LINK_TABLES:
                after = changes.links_after(terms, link, claim.first_key, aside=whole)
                behind.do(partial(drafting.add_snapshot, draft, link, after))
            if prints:
                behind.do(partial(drafting.add_sizes, draft, terms, not whole))
            if layered is not None:
                for name, over in ((snapshots.OVER, alike.OVER), (snapshots.LINKS_OVER, alike.LINKS_OVER)):
                    behind.do(partial(drafting.add_snapshot, draft, name, snapshots.over(layered, name, over)))
                behind.do(partial(drafting.take_along, draft, layered))
            for step in steps.deferred_steps(terms):
                behind.do(partial(drafting.defer, draft, step))
            self._progress(6, _PLAN_STEPS)
            guards.count_links(db, terms)
            guards.count_classes(db)
            if only is not None:
                before = self._job.before
                alone.widen(db, terms, {} if before is None else alone_reader.left_by(Path(before.snapshot)))
            said = self._settled(db, terms)
            behind.do(partial(drafting.add_table, draft, "tally", guards.TALLY))
            self._progress(7, _PLAN_STEPS)
            failed = report.failed(db)
            report.list_left_out(db, terms)
            error_files = draft.add_errors(report.entries(db, run=self._job.run, now=self._job.now))
        if terms.defers is not None and draft.deferred:
            wakes.append(terms.defers.ends)
        wake = min((time for time in wakes if time is not None), default=None)
        rows = {} if self._extract is None else dict(self._extract.rows)
        made = hashes.of_prints(self._job, terms) if prints else None
        draft.note_snapshot(SnapshotNote(version=ENGINE_VERSION, rows=rows, wakes=wake, prints=made))
        planned = msgspec.structs.replace(
            self._planned(draft, counted, said),
            errors=arrivals.count(db, "planned.errors"),
            error_files=error_files,
            failed=failed,
            seen=dict(ready.seen),
            parts=tuple(msgspec.convert(dict(zip(_PART, one, strict=True)), PartCount) for one in parts.result()),
            alike=alike.count(db),
            deferred=draft.deferred,
            notes=(*guards.renumbered_notes(db), *expiry.note(db, terms)),
        )
        return self._complete(draft, planned, position, claim, wakes=wake)

    def _compare_objects(
        self, terms: Terms, directory: LocalDirectory, db: duckdb.DuckDBPyConnection
    ) -> list[int | None]:
        """What differs about objects, and what the guards count of that; the times at which more will."""
        changes.compare_objects(db, terms)
        wakes = [purging.find(db, terms), expiry.find(db, terms)]
        changes.find_renumbered(db, terms)
        changes.find_others(db, terms)
        changes.find_adopted(db, terms)
        self._settle_expiring(db, terms, directory)
        guards.count_objects(db, terms)
        return wakes

    def _store_objects(
        self,
        draft: Draft,
        terms: Terms,
        first_key: int,
        counted: dict[str, dict[str, int]],
        whole: bool,
        db: duckdb.DuckDBPyConnection,
    ) -> list[tuple[str, str | None, int, int]]:
        """Store the steps of objects and what there is after them; what failed in each school."""
        for step in steps.object_steps(db, terms):
            drafting.add_step(draft, step, counted, self._batch_rows, db)
        for table in OBJECT_TABLES:
            drafting.add_snapshot(draft, table, changes.objects_after(terms, table, first_key, aside=whole), db)
        return report.failed_parts(db)

    def _make_undo(self, undone: Undone) -> Description:
        """The plan that takes an earlier run back."""
        db, terms, directory = self._roster(), self._terms(None), self._open_directory()
        self._progress(1, _PLAN_STEPS)
        self._objects.fetch_folder(Path(undone.folder), "plan-*")
        earlier = Plans(Path(undone.folder))
        if earlier.latest() is None:
            raise StageFailed(Failed(reason="The plan of that run is not kept any more.", retry=False))
        undoing.read(db, earlier, directory.rows_applied(undone.run), undone.number)
        position = undoing.look(db, terms, directory, lambda table: arrivals.columns(table))  # type: ignore[arg-type]
        claim = directory.claim(self._writer)
        if claim.position != position:
            raise StageFailed(Failed(reason="The directory has just been changed.", retry=True))
        undo.mark_staying(db)
        draft = self._plans.begin(self._job.fence)
        counted: dict[str, dict[str, int]] = {}
        made = [(step, drafting.add_step(draft, step, counted, self._batch_rows, db)) for step in undo.steps(db, terms)]
        self._progress(4, _PLAN_STEPS)
        undoing.keep_names(db, draft, "now")
        undoing.count(db, directory, terms, draft, lambda: self._load_lately(db))
        said = self._settled(db, terms)
        drafting.add_table(draft, "tally", guards.TALLY, db)
        planned = msgspec.structs.replace(self._planned(draft, counted, said), notes=undo.notes(db, made))
        return self._complete(draft, planned, position, claim)

    def _make_clean_up(self, what: CleanUp) -> Description:
        """The plan that cleans up the classes of a profile that has expired."""
        db, terms, directory = self._roster(), self._terms(None), self._open_directory()
        self._progress(1, _PLAN_STEPS)
        position = cleaning.read(db, terms, directory, what)
        claim = directory.claim(self._writer)
        if claim.position != position:
            raise StageFailed(Failed(reason="The directory has just been changed.", retry=True))
        draft = self._plans.begin(self._job.fence)
        counted: dict[str, dict[str, int]] = {}
        for step in clean_up.steps(db, terms):
            drafting.add_step(draft, step, counted, self._batch_rows, db)
        undoing.keep_names(db, draft, "held")
        errors = arrivals.count(db, "planned.errors")
        files = draft.add_errors(report.entries(db, run=self._job.run, now=self._job.now))
        said = Judged(clean_up.judged(db))
        planned = msgspec.structs.replace(self._planned(draft, counted, said), errors=errors, error_files=files)
        return self._complete(draft, planned, position, claim)

    @staticmethod
    def _planned(draft: Draft, counted: dict[str, dict[str, int]], said: Judged) -> Planned:
        """What is to be told of any plan."""
        held, waived = said.of(draft.hash)
        return Planned(
            plan=draft.hash,
            batches=len(draft.batches),
            rows=sum(batch.rows for batch in draft.batches),
            steps=counted,
            errors=0,
            error_files=(),
            failed={},
            seen={},
            held=held.sentence,
            verdicts=held.verdicts,
            verdict_count=held.count,
            holds=tuple(sorted(held.holds)),
            waived=waived,
            waiver=said.yes if waived else None,
            flowing=draft.additions if held.holds <= {"removals"} else 0,
        )

    def _complete(
        self, draft: Draft, planned: Planned, position: int, claim: Claim, *, wakes: int | None = None
    ) -> Description:
        """Make it the run's plan."""
        stored = draft.complete(
            planned=planned,
            position=position,
            first_key=claim.first_key,
            input_hash=hashes.of_input(self._job),
            terms=hashes.of_terms(self._job),
            wakes=wakes,
        )
        self._objects.keep_folder(Path(self._job.folder))
        self._progress(_PLAN_STEPS, _PLAN_STEPS)
        return stored

    @property
    def _batch_rows(self) -> int:
        """Each batch goes over the whole of an index whose order is not the rows': fewer and larger ones save that.

        Of a first load hardly anybody else writes to the directory, who would have to wait.
        """
        first = self._job.base is None and self._job.before is None
        return (self._job.first_batch_rows if first else 0) or self._job.batch_rows

    def _progress(self, step: int, steps: int) -> None:
        """Planning goes over all rows in steps: each counts as a share of every row."""
        if self._rows():
            self._said(self._rows() * step // steps, self._rows())

    def _layered(self, db: duckdb.DuckDBPyConnection) -> Path | None:
        """The snapshot whose files the next one takes along; None when that is written whole."""
        before = self._aside_from
        if before is None:
            return None
        return before if snapshots.goes_on(before, people=alike.count(db), looked_at=alike.looked_at(db)) else None

    def _settled(self, db: duckdb.DuckDBPyConnection, terms: Terms) -> Judged:
        """What the guards say, and what they would say under the limits that a person has set for one plan."""
        own, other = guards.settled(db, terms), self._job.override
        if other is None:
            return Judged(own)
        under = msgspec.structs.replace(terms.policy, guards=other.guards)
        return Judged(own, guards.settled(db, dataclasses.replace(terms, policy=under)), other.plan, other.yes)

    def _load_lately(self, db: duckdb.DuckDBPyConnection) -> None:
        """What went in the days before without anybody's yes."""
        lately.load(db, self._job, self._objects, self._open_directory())

    # --- applying --------------------------------------------------------------------------------------------------

    def _stored(self) -> Description:
        if self._plan is None:
            self._plan = self._plans.latest()
        if self._plan is None:
            raise StageFailed(Failed(reason="The stored plan is not there any more; start again.", retry=False))
        return self._plan
