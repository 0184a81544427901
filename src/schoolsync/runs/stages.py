"""The stages of one attempt at a run, as the engine process does them.

It only joins the parts: sources read and check, `plan` decides, `targets.local` reads and writes the directory. Every
stage may be done again by a new process that knows nothing but the job: a stored plan is gone on with, a batch that is
in the directory is not applied again. Nothing here loads `sqlite3`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from schoolsync import __version__, sources
from schoolsync.plan import changes, desired, guards, matching, purging, recipes, report, scope, steps, undo
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms
from schoolsync.plan.policy import Guards
from schoolsync.runs import arrivals, run_report, undoing
from schoolsync.runs.checking import Checking, StageFailed, told
from schoolsync.runs.job import Applied, Extracted, Failed, Finished, Job, Message, Planned, Undone, Validated
from schoolsync.runs.selections import Release
from schoolsync.runs.stored_plan import (
    TAKING,
    Description,
    Draft,
    Plans,
    SnapshotNote,
    held_ops,
    release_of_batch,
    snapshot_note,
)
from schoolsync.targets.local import (
    Batch,
    Claim,
    LocalDirectory,
    Writer,
    open_directory,
)

ENGINE_VERSION = 1
"""Raised when the same files under the same settings shall be looked at again, or snapshots change their shape."""

_PLAN_STEPS = 8
_ACCOUNT: dict[str, type] = dict.fromkeys(matching.ACCOUNT_COLUMNS, str)

PREVIEW_KEY = 1 << 59
"""The key of a preview's first new object: beyond any key that a directory gives out."""

pa.set_memory_pool(pa.system_memory_pool())  # gives memory back as soon as it is free; the default keeps it


class Stages(Checking):
    """One attempt at one run. Used by one thread."""

    def __init__(self, job: Job, progress: Callable[[int, int | None], None]) -> None:
        super().__init__(job)
        self._progress = progress
        self._plans = Plans(Path(job.folder))
        self._writer = Writer(profile=job.profile, living=job.living, run=job.run, fence=job.fence, now=job.now)
        self._directory: LocalDirectory | None = None
        self._plan: Description | None = None
        self._done: frozenset[int] | None = None  # the batches that earlier attempts have put into the directory

    # --- the stages ------------------------------------------------------------------------------------------------

    def extract(self) -> Extracted:
        """Read the files, unless they, the settings and the directory are what they were after the base run."""
        with told():
            known = self._unchanged()
            if known is not None:
                return Extracted(rows=known.rows, unchanged=True)
            self._read()
            assert self._extract is not None
            return Extracted(rows=dict(self._extract.rows), unchanged=False)

    def validate(self) -> Validated:
        """Run the rules over what was read."""
        with told():
            checked = self._check()
            db = self._roster()
            total = run_report.keep(db, Path(self._job.folder), self._job.base, format=checked.format, why=checked.why)
            run_report.keep_findings(db, Path(self._job.folder), self._job.fence)
            messages = checked.messages(db)
            lost, too_much = self._leave_out(checked)
            if too_much is not None:
                messages += (Message(type="Error", file_name="", description=too_much),)
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

    def plan(self) -> Planned:
        """Work out and store what changes; a plan that an earlier attempt stored is gone on with."""
        with told():
            stored = self._plans.latest()
            if stored is not None and self._still_holds(stored):
                self._plan = stored
            else:
                self._plan = self._make_plan() if self._job.undoes is None else self._make_undo(self._job.undoes)
            self._forget_roster()
            return self._plan.planned

    def apply(self, batch: int) -> Applied:
        """Put one batch of the stored plan into the directory; at once when it is there already."""
        with told():
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
                ),
                self._released_rows(plan, batch),
            )
            return Applied(batch=batch, rows=entry.rows)

    def finish(self) -> Finished:
        """Keep the snapshot that the next run is compared with."""
        with told():
            plan = self._stored()
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
            if self._job.released is None:
                self._plans.keep_tally(plan)
            return Finished(
                missed=missed,
                left_out=left_out,
                snapshot=None if left_out or self._job.undoes is not None else str(self._plans.keep_snapshot(plan)),
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
            self._directory.close()
            self._directory = None

    # --- reading and checking --------------------------------------------------------------------------------------

    def _unchanged(self) -> SnapshotNote | None:
        base = self._job.base
        if self._job.preview:
            return None  # whoever asks for a preview wants to see a plan, be it an empty one
        if base is None or self._job.again or base.input_hash != self._input_hash():
            return None
        if self._open_directory().position() != base.position:
            return None
        note = snapshot_note(Path(base.snapshot), ENGINE_VERSION)
        if note is not None and note.wakes is not None and self._job.now >= note.wakes:
            return None  # a day has come that something begins or ends on
        return note

    def _input_hash(self) -> str:
        """What a run depends on besides the directory: the same hash, the same plan."""
        job = self._job
        facts = {
            "engine": [__version__, ENGINE_VERSION],
            "format": job.format,
            "codes": job.codes,
            "files": sorted([file.name.lower(), file.sha256] for file in job.files),
            # The limits of guards decide whether a plan is applied, not what is in it.
            "policy": msgspec.structs.replace(job.policy, guards=Guards()),
            "living": sorted(job.living),
            "ignore_findings": job.ignore_findings,
            "max_rows": job.max_rows,
            "rekeys": [Path(path).name for path in job.rekeys],
            "limits": job.limits,
            "waits": self._terms(None).waits_until is not None,
        }
        return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()

    def _terms_hash(self) -> str:
        """What a stored plan was made under besides the directory: input and the limits of the guards."""
        guards_now = msgspec.json.encode(self._job.policy.guards, order="deterministic")
        return hashlib.sha256(self._input_hash().encode() + guards_now).hexdigest()

    # --- planning --------------------------------------------------------------------------------------------------

    def _terms(self, checked: sources.Checked | None) -> Terms:
        job = self._job
        return Terms(
            tenant_id=job.tenant_id,
            profile=job.profile,
            living=job.living,
            policy=job.policy,
            now=job.now,
            columns=None if checked is None else checked.columns,
            absent=() if checked is None else checked.absent,
        )

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
        same = claim.position == stored.position + begun and stored.terms == self._terms_hash()
        if begun and not same:
            reason = "What the plan was made from has changed while it was held."
            raise StageFailed(Failed(reason=reason, retry=False, replan=True))
        return same

    def _picked(self, plan: Description, batch: int) -> bool:
        """Whether only some rows of a batch are to be applied, because a person has approved only some."""
        released = self._release(plan, batch)
        return released is not None and not released.whole

    def _is_held(self, plan: Description, batch: int) -> bool:
        return plan.planned.held is not None and held_ops(plan.planned.holds, plan.batches[batch].op)

    def _note_release(self, plan: Description, batch: int) -> None:
        """Write down whose yes lets a held batch go, before it goes; of one that has gone that stays as it is."""
        if self._job.released is None or not self._is_held(plan, batch):
            return
        if self._done is None:
            self._done = frozenset(self._open_directory().applied(self._job.run))
        if batch not in self._done:
            self._plans.keep_release(plan, batch, self._job.released, run=self._job.run)

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
        return self._plans.rows(plan, batch, picked=released.selections)

    def _make_plan(self) -> Description:
        checked = self._check()
        lost, too_much = self._leave_out(checked)
        if checked.errors and (lost is None or too_much is not None):
            raise StageFailed(Failed(reason="The roster has errors; nothing was changed.", retry=False))
        db = self._roster()
        terms = self._terms(checked)
        directory = self._open_directory()
        self._progress(1, _PLAN_STEPS)
        scope.narrow(db, terms)
        desired.prepare(db, terms)
        self._load_rekeys(db)
        position = self._find_objects(db, terms, directory)
        self._progress(2, _PLAN_STEPS)
        new = matching.resolve(db, terms)
        if self._job.preview:
            claim = Claim(position=position, first_key=PREVIEW_KEY)
        else:
            claim = directory.claim(self._writer, keys=new)
        matching.settle(db)
        self._progress(3, _PLAN_STEPS)
        draft = self._plans.begin(self._job.fence)
        seen = report.seen(db)
        counted: dict[str, dict[str, int]] = {}
        changes.compare_objects(db, terms)
        guards.prepare(db)
        self._load_tallies(db)
        next_purge = purging.find(db, terms)
        changes.find_renumbered(db, terms)
        changes.find_others(db, terms)
        changes.find_adopted(db, terms)
        guards.count_objects(db, terms)
        self._store_steps(db, draft, steps.object_steps(db, terms), counted)
        for table in OBJECT_TABLES:
            draft.add_snapshot(
                table, db.sql(changes.objects_after(terms, table, claim.first_key)).to_arrow_reader(16_384)
            )
        changes.forget_objects(db, terms)
        self._progress(4, _PLAN_STEPS)
        changes.want_links(db, terms)
        self._find_links(db, terms, directory)
        self._progress(5, _PLAN_STEPS)
        changes.compare_links(db, terms)
        guards.count_links(db, terms)
        guards.count_classes(db, terms)
        said = guards.settled(db, terms)
        self._progress(6, _PLAN_STEPS)
        self._store_steps(db, draft, steps.link_steps(terms), counted)
        for link in LINK_TABLES:
            draft.add_snapshot(link, db.sql(changes.links_after(terms, link, claim.first_key)).to_arrow_reader(131_072))
        self._progress(7, _PLAN_STEPS)
        for step in steps.deferred_steps(terms):
            draft.defer(step, db.sql(step.query).to_arrow_reader(16_384))
        wakes = [terms.waits_until, desired.next_day(db, terms), next_purge]
        if terms.defers is not None and draft.deferred:
            wakes.append(terms.defers.ends)
        wake = min((time for time in wakes if time is not None), default=None)
        assert self._extract is not None
        draft.note_snapshot(SnapshotNote(version=ENGINE_VERSION, rows=dict(self._extract.rows), wakes=wake))
        draft.add_snapshot("by_hand", db.sql("FROM planned.by_hand ORDER BY ALL").to_arrow_reader(16_384))
        draft.add_table("tally", db.sql(guards.TALLY).to_arrow_reader(16_384))
        draft.add_table("renumbered", db.sql("FROM planned.renumbered ORDER BY ALL").to_arrow_reader(16_384))
        failed = report.failed(db)
        report.list_left_out(db, terms)
        planned = Planned(
            plan=draft.hash,
            batches=len(draft.batches),
            rows=sum(batch.rows for batch in draft.batches),
            steps=counted,
            errors=arrivals.count(db, "planned.errors"),
            error_files=draft.add_errors(report.entries(db, run=self._job.run, now=self._job.now)),
            failed=failed,
            seen=seen,
            held=said.sentence,
            verdicts=said.verdicts,
            verdict_count=said.count,
            holds=tuple(sorted(said.holds)),
            deferred=draft.deferred,
            flowing=draft.additions if said.holds <= {"removals"} else 0,
        )
        stored = draft.complete(
            planned=planned,
            position=position,
            first_key=claim.first_key,
            input_hash=self._input_hash(),
            terms=self._terms_hash(),
            wakes=wake,
        )
        self._progress(_PLAN_STEPS, _PLAN_STEPS)
        return stored

    def _make_undo(self, undone: Undone) -> Description:
        """The plan that takes an earlier run back."""
        db, terms, directory = self._roster(), self._terms(None), self._open_directory()
        self._progress(1, _PLAN_STEPS)
        earlier = Plans(Path(undone.folder))
        if earlier.latest() is None:
            raise StageFailed(Failed(reason="The plan of that run is not kept any more.", retry=False))
        undoing.read(db, earlier, directory.rows_applied(undone.run))
        position = undoing.look(db, directory, lambda table: arrivals.columns(table))  # type: ignore[arg-type]
        claim = directory.claim(self._writer)
        if claim.position != position:
            raise StageFailed(Failed(reason="The directory has just been changed.", retry=True))
        undo.mark_staying(db)
        draft = self._plans.begin(self._job.fence)
        counted: dict[str, dict[str, int]] = {}
        made = [(step, self._store_step(db, draft, step, counted)) for step in undo.steps(db, terms)]
        self._progress(4, _PLAN_STEPS)
        said = undoing.judge(db, directory, terms, draft, lambda: self._load_tallies(db))
        planned = Planned(
            plan=draft.hash,
            batches=len(draft.batches),
            rows=sum(batch.rows for batch in draft.batches),
            steps=counted,
            errors=0,
            error_files=(),
            failed={},
            seen={},
            held=said.sentence,
            verdicts=said.verdicts,
            verdict_count=said.count,
            holds=tuple(sorted(said.holds)),
            notes=undo.notes(db, made),
            flowing=draft.additions if said.holds <= {"removals"} else 0,
        )
        stored = draft.complete(
            planned=planned,
            position=position,
            first_key=claim.first_key,
            input_hash=self._input_hash(),
            terms=self._terms_hash(),
            wakes=None,
        )
        self._progress(_PLAN_STEPS, _PLAN_STEPS)
        return stored

    def _load_tallies(self, db: duckdb.DuckDBPyConnection) -> None:
        """What went in the days before without anybody's yes."""
        for path in self._job.tallies:
            if Path(path).is_file():
                db.execute("INSERT INTO planned.lately BY NAME FROM read_parquet($1)", [path])

    def _find_objects(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> int:
        """Fill `held` with this profile's objects and links, and with what new records may mean."""
        base = self._job.base
        with directory.reading() as position:
            if base is not None and base.position == position and snapshot_note(Path(base.snapshot), ENGINE_VERSION):
                self._from_snapshot(db, terms, Path(base.snapshot))
            else:
                self._from_directory(db, terms, directory)
            self._load_by_hand(db)
            if base is None or base.position != position:
                self._find_drift(db, terms, directory)
            self._load_away(db, terms, directory)
            matching.seek(db, terms)
            for lookup in matching.lookups(terms):
                if not directory.is_empty(lookup.table):
                    self._look_up(db, terms, directory, lookup)
            if recipes.wanted(db, terms):
                types: dict[str, type] = {"key": int, "account_name": str}
                with directory.owned("people", types, "true") as rows:
                    arrivals.keep(db, rows, "accounts", types)
                recipes.give(db, terms, "accounts")
                db.execute("DROP TABLE accounts")
            options = matching.options(terms)
            if options and not directory.is_empty("people"):
                self._match(db, terms, directory, sorted({option.column for option in options}))
        return position

    def _from_snapshot(self, db: duckdb.DuckDBPyConnection, terms: Terms, folder: Path) -> None:
        for table in (*OBJECT_TABLES, *LINK_TABLES):
            db.execute(
                f"INSERT INTO held.{table} BY NAME SELECT *, $1 AS owner FROM read_parquet($2)",  # noqa: S608  # ours
                [terms.profile, str(folder / f"{table}.parquet")],
            )

    def _from_directory(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """What the profile has, read back row by row: the directory was changed by others, or a run was cut off."""
        for table in OBJECT_TABLES:
            with directory.owned(table, arrivals.columns(table), terms.is_ours("profile")) as rows:
                arrivals.take(db, rows, table)
        # Links of profiles that are gone come along: they go with the objects that are taken over.
        owners = f"({terms.is_ours('profile')} OR {terms.is_orphaned('profile')})"
        for link in LINK_TABLES:
            with directory.owned(link, arrivals.columns(link), owners) as rows:
                arrivals.take(db, rows, link)

    def _load_rekeys(self, db: duckdb.DuckDBPyConnection) -> None:
        """The SIS IDs that have changed; what is said later about an id counts, and chains are followed."""
        for path in self._job.rekeys:
            db.execute(
                "CREATE OR REPLACE TEMP TABLE said AS SELECT * FROM read_csv($1, header = true, all_varchar = true, "
                "delim = ',', quote = '\"', escape = '\"', columns = {'kind': 'VARCHAR', 'old': 'VARCHAR', "
                "'new': 'VARCHAR'})",
                [path],
            )
            db.execute("""
                UPDATE planned.rekeyed AS k SET new_id = s.new FROM said AS s
                WHERE s.kind = k.kind AND s.old = k.new_id
            """)
            db.execute("""
                DELETE FROM planned.rekeyed AS k WHERE (kind, old_id) IN (SELECT (kind, old) FROM said)
                    OR old_id = new_id
            """)
            db.execute("INSERT INTO planned.rekeyed SELECT kind, old, new FROM said")
            db.execute("DROP TABLE said")

    def _load_by_hand(self, db: duckdb.DuckDBPyConnection) -> None:
        """What somebody has written by hand and the profile keeps, as the last run found it."""
        before = self._job.before
        if before is not None and (path := Path(before.snapshot) / "by_hand.parquet").is_file():
            db.execute("INSERT INTO planned.by_hand FROM read_parquet($1)", [str(path)])

    def _load_away(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """When the objects left that the profile keeps for a time only."""
        types: dict[str, type] = {"key": int, "left_at": int}
        for kind in purging.kept(terms):
            role = f"AND primary_role = '{kind.role}'" if kind.role else ""
            left = f"{terms.is_ours('profile')} AND NOT active AND left_at IS NOT NULL {role}"
            with directory.owned(kind.table, types, left) as rows:
                arrivals.keep(db, rows, "away", types)
            db.execute("INSERT INTO planned.away SELECT $1, key, left_at FROM away", [kind.name])
            db.execute("DROP TABLE away")

    def _find_drift(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """Compare what others have touched since the last run with what that run left."""
        before = self._job.before
        if before is None or snapshot_note(Path(before.snapshot), ENGINE_VERSION) is None:
            return
        db.execute("CREATE SCHEMA IF NOT EXISTS base")
        ours = terms.is_ours("profile")
        mine = f"SELECT position FROM batches WHERE tenant = {self._job.tenant} AND {ours}"  # noqa: S608  # numbers
        touched = f"{ours} AND position > {before.position} AND position NOT IN ({mine})"
        for table in OBJECT_TABLES:
            with directory.owned(table, {"key": int}, touched) as rows:
                arrivals.keep(db, rows, "touched", {"key": int})
            db.execute(
                f"CREATE OR REPLACE TABLE base.{table} AS SELECT * FROM read_parquet($1) "  # noqa: S608  # ours
                "WHERE key IN (SELECT key FROM touched)",
                [str(Path(before.snapshot) / f"{table}.parquet")],
            )
            db.execute("DROP TABLE touched")
        changes.find_drift(db, terms)
        db.execute("DROP SCHEMA base CASCADE")

    def _look_up(
        self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory, lookup: matching.Lookup
    ) -> None:
        values = db.sql(f"SELECT v AS value FROM ({lookup.values}) AS q(v)").to_arrow_table()  # noqa: S608  # ours
        if not values.num_rows:
            return
        columns = arrivals.columns(lookup.table) | (_ACCOUNT if lookup.table == "people" else {})
        with directory.known(lookup.table, columns, by=lookup.column, values=values) as rows:
            arrivals.keep(db, rows, "answer", {**columns, "value": str})
        matching.found(db, terms, lookup, "answer")
        db.execute("DROP TABLE answer")

    def _match(
        self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory, columns: Sequence[str]
    ) -> None:
        if not db.execute("SELECT 1 FROM planned.new WHERE kind IN ('student', 'teacher') LIMIT 1").fetchall():
            return
        types = {"key": int, **dict.fromkeys(columns, str)}
        with directory.owned("people", types, "true") as rows:
            arrivals.keep(db, rows, "accounts", types)
        wanted = db.sql(f"SELECT key AS value FROM ({matching.match(db, terms, 'accounts')})").to_arrow_table()  # noqa: S608  # ours
        if wanted.num_rows:
            columns_of = arrivals.columns("people") | _ACCOUNT
            with directory.known("people", columns_of, by="key", values=wanted) as rows:
                arrivals.keep(db, rows, "answer", {**columns_of, "value": int})
            matching.protect(db, terms, "answer")
            extra = ", ".join(("value", *matching.ACCOUNT_COLUMNS))
            db.execute(f"INSERT INTO held.people BY NAME SELECT * EXCLUDE ({extra}) FROM answer")  # noqa: S608  # ours
            db.execute("DROP TABLE answer")
        db.execute("DROP TABLE accounts")

    def _find_links(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """Add to `held` the links of others that new links would meet, and those of profiles that are gone."""
        adopted = db.execute("SELECT 1 FROM planned.targets WHERE how = 'adopted' LIMIT 1").fetchall()
        with directory.reading():
            for table in LINK_TABLES:
                if directory.is_empty(table):
                    continue
                columns = arrivals.columns(table)
                if adopted:
                    with directory.owned(table, columns, terms.is_orphaned("profile")) as rows:
                        arrivals.add(db, rows, table)
                asked = db.sql(f"FROM planned.{table}_asked").to_arrow_table()
                if asked.num_rows:
                    with directory.pairs(table, columns, asked) as rows:
                        arrivals.add(db, rows, table)

    def _store_steps(
        self,
        db: duckdb.DuckDBPyConnection,
        draft: Draft,
        made: Sequence[steps.Step],
        counted: dict[str, dict[str, int]],
    ) -> None:
        for step in made:
            self._store_step(db, draft, step, counted)

    def _store_step(
        self, db: duckdb.DuckDBPyConnection, draft: Draft, step: steps.Step, counted: dict[str, dict[str, int]]
    ) -> int:
        rows = draft.add(step, db.sql(step.query).to_arrow_reader, self._job.batch_rows)
        if rows:
            ops = counted.setdefault(step.kind, {})
            ops[step.counted] = ops.get(step.counted, 0) + rows
        return rows

    # --- applying --------------------------------------------------------------------------------------------------

    def _open_directory(self) -> LocalDirectory:
        if self._directory is None:
            self._directory = open_directory(
                self._job.directory, tenant=self._job.tenant, tenant_id=self._job.tenant_id
            )
        return self._directory

    def _stored(self) -> Description:
        if self._plan is None:
            self._plan = self._plans.latest()
        if self._plan is None:
            raise StageFailed(Failed(reason="The stored plan is not there any more; start again.", retry=False))
        return self._plan
