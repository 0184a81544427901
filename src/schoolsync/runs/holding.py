"""What the directory holds of a profile, as a plan is made from it: read from the last snapshot or from the directory.

It only reads. Which objects records mean is decided in `plan.matching`, with what is looked up here.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import duckdb

from schoolsync.plan import alike, alone, changes, desired, expiry, matching, purging, recipes, remembered
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms, held_columns
from schoolsync.runs import arrivals, hashes, kept_roster, snapshots
from schoolsync.runs.checking import Checking
from schoolsync.runs.hashes import ENGINE_VERSION
from schoolsync.runs.job import Base, Job
from schoolsync.runs.places import ROSTER
from schoolsync.runs.stored_plan import NOTE, SnapshotNote, snapshot_note
from schoolsync.sources import filling
from schoolsync.sources.source import Told, nobody
from schoolsync.targets.local import LocalDirectory, open_directory

_ACCOUNT: dict[str, type] = dict.fromkeys(matching.ACCOUNT_COLUMNS, str)


class Holding(Checking):
    """The roster of one attempt, and beside it what the directory holds."""

    def __init__(self, job: Job, told: Told = nobody) -> None:
        super().__init__(job, told)
        self._directory: LocalDirectory | None = None
        self._aside_from: Path | None = None  # the snapshot of which people are set aside
        self._asking = threading.Lock()  # one question at a time to the directory

    def _open_directory(self) -> LocalDirectory:
        if self._directory is None:
            job = self._job
            self._directory = open_directory(
                job.directory, tenant=job.tenant, tenant_id=job.tenant_id, control=job.control
            )
        return self._directory

    def _note(self, base: Base) -> SnapshotNote | None:
        """What is remembered beside a snapshot; None when it is not kept any more."""
        self._objects.fetch_folder(Path(base.snapshot), NOTE)
        return snapshot_note(Path(base.snapshot), ENGINE_VERSION)

    def _find_objects(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> int:
        """Fill `held` with this profile's objects and links, and with what new records may mean."""
        base = self._job.base
        with directory.reading() as position:
            if self._job.only is not None:
                alone.hold(db)
            elif base is not None and base.position == position and (note := self._note(base)):
                self._objects.fetch_folder(Path(base.snapshot))
                self._from_snapshot(db, terms, Path(base.snapshot), note)
            else:
                self._from_directory(db, terms, directory)
            self._load_by_hand(db)
            if base is None or base.position != position:
                self._find_drift(db, terms, directory)
            if self._job.only is None:
                self._load_away(db, terms, directory)
            matching.seek(db, terms)
            self._remember(db, terms)
            self._pass_over_spent(db, terms, directory)
            for lookup in matching.lookups(terms):
                if not directory.is_empty(lookup.table):
                    self._look_up(db, terms, directory, lookup)
            if recipes.wanted(db, terms):
                types: dict[str, type] = {"key": int, **dict.fromkeys(recipes.ACCOUNT_COLUMNS, str)}
                with directory.owned("people", types, "true") as rows:
                    arrivals.keep(db, rows, "accounts", types)
                recipes.give(db, terms, "accounts")
                db.execute("DROP TABLE accounts")
            options = matching.options(terms)
            if options and not directory.is_empty("people"):
                self._match(db, terms, directory, sorted({option.column for option in options}))
            alike.bring(db, terms)
            if self._job.only is not None:
                alone.surround(db)
        return position

    def _from_snapshot(self, db: duckdb.DuckDBPyConnection, terms: Terms, folder: Path, note: SnapshotNote) -> None:
        """What the last run left; what the roster says as it did then is set aside."""
        same = note.prints is not None and note.prints == hashes.of_prints(self._job, terms)
        tables = (*OBJECT_TABLES, *LINK_TABLES)
        there = (folder / f"{alike.PRINTS}.parquet").is_file()
        aside = same and there and not self._job.again and alike.fits(db, terms)
        if aside:
            self._aside_from = folder
            db.execute("CREATE SCHEMA before")
            for table in (*tables, alike.PRINTS, alike.SIZES):
                rows = snapshots.relation(folder, table)
                db.execute(f"CREATE VIEW before.{table} AS SELECT {alike.before(table)} FROM {rows}")  # noqa: S608  # ours
            alike.set_aside(db, terms)
            filling.forget_read(db)
            desired.list_records(db, terms)
        for table in tables:
            names = ", ".join(f'"{name}"' for name in held_columns(table) if name != "owner")
            rows = alike.rest(table, terms) if aside else f"FROM {snapshots.relation(folder, table)}"
            db.execute(
                f"INSERT INTO held.{table} BY NAME SELECT {names}, $1 AS owner FROM ({rows})",  # noqa: S608  # ours
                [terms.profile],
            )
        if aside:
            alike.keep(db, terms)

    def _from_directory(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """What the profile has, read back row by row: the directory was changed by others, or a run was cut off."""
        for table in OBJECT_TABLES:
            if not directory.is_empty(table):
                with directory.owned(table, arrivals.columns(table), terms.is_ours("profile")) as rows:
                    arrivals.take(db, rows, table)
        # Links of profiles that are gone come along: they go with the objects that are taken over.
        owners = f"({terms.is_ours('profile')} OR {terms.is_orphaned('profile')})"
        for link in LINK_TABLES:
            if not directory.is_empty(link):
                with directory.owned(link, arrivals.columns(link), owners) as rows:
                    arrivals.take(db, rows, link)

    def _load_rekeys(self, db: duckdb.DuckDBPyConnection, table: str) -> None:
        """The SIS IDs that have changed; what is said later about an id counts, and chains are followed.

        An id that a map has given to another object is no old id any more once that has been carried out: it belongs to
        whoever was given it.
        """
        given_out = f"DELETE FROM {table} WHERE (kind, old_id) IN (SELECT (kind, new_id) FROM {table})"  # noqa: S608  # ours
        for number, path in enumerate(self._job.rekeys):
            if number == self._job.rekeyed:
                db.execute(given_out)
            self._objects.fetch(Path(path))
            db.execute(
                "CREATE OR REPLACE TEMP TABLE said AS SELECT * FROM read_csv($1, header = true, all_varchar = true, "
                "delim = ',', quote = '\"', escape = '\"', columns = {'kind': 'VARCHAR', 'old': 'VARCHAR', "
                "'new': 'VARCHAR'})",
                [path],
            )
            db.execute(f"""
                UPDATE {table} AS k SET new_id = s.new FROM said AS s WHERE s.kind = k.kind AND s.old = k.new_id
            """)  # noqa: S608  # ours
            db.execute(f"""
                DELETE FROM {table} AS k WHERE (kind, old_id) IN (SELECT (kind, old) FROM said) OR old_id = new_id
            """)  # noqa: S608  # ours
            db.execute(f"INSERT INTO {table} SELECT kind, old, new FROM said")  # noqa: S608  # ours
            db.execute("DROP TABLE said")
        if self._job.rekeyed == len(self._job.rekeys):
            db.execute(given_out)

    def _load_by_hand(self, db: duckdb.DuckDBPyConnection) -> None:
        """What somebody has written by hand and the profile keeps, as the last run found it."""
        before = self._job.before
        found = [] if before is None else [Path(before.snapshot) / "by_hand.parquet"]
        for path in [*found, *map(Path, self._job.by_hand)]:
            if self._have(path):
                db.execute("INSERT INTO planned.by_hand FROM read_parquet($1)", [str(path)])

    def _load_away(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """When the objects left that the profile keeps for a time only."""
        types: dict[str, type] = {"key": int, "left_at": int, "binned_at": int}
        for kind in purging.watched(terms):
            role = f"AND primary_role = '{kind.role}'" if kind.role else ""
            left = f"{terms.is_ours('profile')} AND NOT active AND left_at IS NOT NULL {role}"
            with directory.owned(kind.table, types, left) as rows:
                arrivals.keep(db, rows, "away", types)
            db.execute("INSERT INTO planned.away SELECT $1, key, left_at, binned_at FROM away", [kind.name])
            db.execute("DROP TABLE away")

    def _find_drift(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """Compare what others have touched since the last run with what that run left."""
        before = self._job.before
        if before is None or self._note(before) is None:
            return
        self._objects.fetch_folder(Path(before.snapshot))
        db.execute("CREATE SCHEMA IF NOT EXISTS base")
        ours = terms.is_ours("profile")
        mine = f"SELECT position FROM batches WHERE tenant = {self._job.tenant} AND {ours}"  # noqa: S608  # numbers
        touched = f"{ours} AND position > {before.position} AND position NOT IN ({mine})"
        for table in OBJECT_TABLES:
            with directory.owned(table, {"key": int}, touched) as rows:
                arrivals.keep(db, rows, "touched", {"key": int})
            db.execute(
                f"CREATE OR REPLACE TABLE base.{table} AS SELECT * FROM "  # noqa: S608  # ours
                f"{snapshots.relation(Path(before.snapshot), table)} WHERE key IN (SELECT key FROM touched)"
            )
            db.execute("DROP TABLE touched")
        changes.find_drift(db, terms)
        db.execute("DROP SCHEMA base CASCADE")

    def _remember(self, db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
        """What earlier rosters said of people whose objects do not tell it: the one that was applied last counts.

        Of the others, which may have been refused or taken back, the oldest.
        """
        if not remembered.wanted(db, terms):
            return
        applied = [one for one in self._job.known if one.applied]
        others = [one for one in self._job.known if not one.applied]
        for one in (*applied, *reversed(others)):
            self._objects.fetch_folder(Path(one.folder) / ROSTER)
            if kept_roster.open_up(db, Path(one.folder), "earlier") and not remembered.take(db, "earlier"):
                return

    def _pass_over_spent(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """Ids of objects that are gone for good or expired are not given out again."""
        if directory.is_empty("spent_ids"):
            return
        columns = {"tenant": int, "id": str}
        asked = "FROM planned.new"
        while (values := db.sql(f"SELECT id AS value {asked}").to_arrow_table()).num_rows:  # ours
            with directory.known("spent_ids", columns, by="id", values=values) as rows:
                arrivals.keep(db, rows, "spent", {**columns, "value": str})
            matching.pass_over(db, terms, "spent")
            db.execute("DROP TABLE spent")
            asked = "FROM planned.new SEMI JOIN planned.passed USING (kind, source_id)"

    def _settle_expiring(self, db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory) -> None:
        """Classes are marked as expired unless any class of the directory has the name that they would have."""
        names = expiry.nicknames(db)
        if names is not None:
            columns = {"key": int, "mail_nickname": str}
            with (
                self._asking,
                directory.having("classes", columns, by="mail_nickname", values=names.to_arrow_table()) as rows,
            ):
                arrivals.keep(db, rows, "taken", columns)
        expiry.settle(db, terms, None if names is None else "taken")
        db.execute("DROP TABLE IF EXISTS taken")

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
        with self._asking, directory.reading():
            for table in LINK_TABLES:
                if directory.is_empty(table):
                    continue
                columns = arrivals.columns(table)
                if adopted:
                    with directory.owned(table, columns, terms.is_orphaned("profile")) as rows:
                        arrivals.add(db, rows, table)
                asked = db.sql(f"FROM planned.{table}_asked ORDER BY ALL").to_arrow_table()
                if asked.num_rows:
                    with directory.pairs(table, columns, asked) as rows:
                        arrivals.add(db, rows, table)
