# ruff: noqa: S608  # what is put into these statements are names of ours and numbers; values are bound or ingested
"""The built-in directory as a target: a tenant's schools, classes, people and links, in bulk through Arrow.

Every batch is one short transaction that also carries its line in the ledger and the proof that no newer attempt has
taken over, so a batch is applied once or not at all. The statements serve SQLite and PostgreSQL alike; what the two
do in different ways is behind `targets.bulk`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schoolsync import fault_points
from schoolsync.store import bin as bins
from schoolsync.store.release import REMOVALS_KEPT
from schoolsync.targets.bulk import Bulk, RunsTable

GREAT = 50_000
"""So many new rows in an empty table are a first load."""
LEARNED = 1_000
"""Rows of a batch from which on PostgreSQL has to learn of them. It counts a table of all tenants for that, which
beside a large synchronization takes longer than all of a small one. Fewer rows are soon read, whatever it expects."""
_OBJECTS = frozenset({"schools", "classes", "people"})
_SIDES = {
    "school_classes": (("school", "schools"), ("class", "classes")),
    "school_people": (("school", "schools"), ("person", "people")),
    "class_people": (("class", "classes"), ("person", "people")),
}


class SupersededError(Exception):
    """A newer attempt or a newer run of the same profile works on the directory: ours leaves everything alone."""


class UnknownBatchError(Exception):
    """The ledger has this batch from another plan: what is stored and what was applied do not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes."""

    profile: int
    profile_id: str = ""
    living: tuple[int, ...]  # numbers of the tenant's profiles
    run: str
    fence: int
    now: int  # ticks: when the run was asked for

    def may_take(self, owner: str) -> str:
        """The condition that a row of `owner` may be written: ours, nobody's, or one of a profile that is gone."""
        others = sorted({*self.living} - {self.profile})
        return f"({owner} IS NULL OR {owner} NOT IN ({', '.join(map(str, others))}))" if others else "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the directory answers to who begins to plan or to apply."""

    position: int
    first_key: int  # of the keys that were asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch of a plan."""

    plan: str
    number: int
    op: str  # plan.steps.Op
    table: str
    position: int  # the directory's position if nobody else has written since the plan was made
    coming: int = 0  # rows that the whole plan adds to the table


def open_directory(location: str, *, tenant: int, tenant_id: str, control: str = "") -> LocalDirectory:
    """The directory of a tenant at `location`: the path of a SQLite file, or the URL of a PostgreSQL.

    `control` says in the same way where the runs are; without it nobody asks whether a run has ended.

    Raises WorldError when it cannot be reached or has a schema of another release.
    """
    bulk: Bulk
    runs: RunsTable | None
    if location.startswith(("postgresql://", "postgres://")):
        from schoolsync.targets.postgresql import PostgresTables

        bulk = tables = PostgresTables(location, tenant_id)
        runs = tables if control else None  # one database has both
    else:
        from schoolsync.targets.sqlite import ControlFile, SqliteFile

        bulk = SqliteFile(Path(location))
        runs = ControlFile(Path(control)) if control else None
    return LocalDirectory(bulk, tenant=tenant, runs=runs)


class LocalDirectory:
    """One tenant's directory. Used by one thread."""

    def __init__(self, bulk: Bulk, *, tenant: int, runs: RunsTable | None = None) -> None:
        self._tenant = tenant
        self._bulk = bulk
        self._runs = runs
        self._execute = bulk.execute

    def close(self) -> None:
        """Give the database back."""
        self._bulk.close()
        if self._runs is not None:
            self._runs.close()

    # --- reading ---------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Everything read inside is of one moment; yields the directory's position at that moment."""
        with self._bulk.reading():
            yield self.position()

    def position(self) -> int:
        """How many transactions have changed the directory."""
        rows = self._execute(f"SELECT position FROM positions WHERE tenant = {self._tenant}")
        return int(rows[0][0]) if rows else 0

    def is_empty(self, table: str) -> bool:
        """Whether there is not a single row."""
        return not self._execute(f"SELECT 1 FROM {table} WHERE tenant = {self._tenant} LIMIT 1")

    @contextmanager
    def owned(self, table: str, columns: Mapping[str, type], owners: str) -> Iterator[pa.RecordBatchReader]:
        """The rows of `table` whose owner meets `owners`, a condition over the column `profile`."""
        source = f"FROM {table} AS o WHERE o.tenant = {self._tenant} AND {owners}"
        with self._bulk.read(columns, source) as reader:
            yield reader

    @contextmanager
    def known(
        self, table: str, columns: Mapping[str, type], *, by: str, values: pa.Table
    ) -> Iterator[pa.RecordBatchReader]:
        """The rows of `table` that have one of `values` (one column, `value`) in the indexed column `by`."""
        found = self._bulk.looked_up(table, "o", self._tenant, {by: "b.value"})
        source = f"FROM {self._staged('wanted', values)} AS b {found}"
        with self._bulk.read({**columns, "b.value": str if by != "key" else int}, source) as reader:
            yield reader

    @contextmanager
    def having(
        self, table: str, columns: Mapping[str, type], *, by: str, values: pa.Table, which: str = "true"
    ) -> Iterator[pa.RecordBatchReader]:
        """The rows of `table` that have one of `values` (one column, `value`) in `by`, whether that is indexed or not.

        `which` is a condition over the table's columns that they meet as well.

        Without an index all rows are looked through once, which for few values takes less than asking for each.
        """
        source = f'FROM {table} AS o WHERE o.tenant = {self._tenant} AND {which} AND o."{by}" IN (SELECT value FROM '
        with self._bulk.read(columns, f"{source}{self._staged('wanted', values)})") as reader:
            yield reader

    @contextmanager
    def pairs(self, table: str, columns: Mapping[str, type], wanted: pa.Table) -> Iterator[pa.RecordBatchReader]:
        """The rows of a table of links that link one of the `wanted` pairs (the two key columns)."""
        found = self._bulk.looked_up(table, "o", self._tenant, {side: f'b."{side}"' for side, _ in _SIDES[table]})
        with self._bulk.read(columns, f"FROM {self._staged('wanted', wanted)} AS b {found}") as reader:
            yield reader

    def _staged(self, name: str, rows: pa.Table) -> str:
        """Put rows into a temporary table; its name in a query."""
        self._bulk.stage(name, rows)
        return f"{self._bulk.temporary}{name}"

    # --- writing ---------------------------------------------------------------------------------------------------

    def claim(self, writer: Writer, *, keys: int = 0) -> Claim:
        """Make `writer` the only one who may write for its profile, and hand out `keys` new surrogate keys.

        Raises SupersededError when a newer attempt, or a newer run of the profile, has been here, or the run has ended.
        """
        self.complete()
        with self._bulk.writing():
            self._check_open(writer)
            rows = self._execute(
                f"SELECT run, fence FROM fences WHERE tenant = {self._tenant} AND profile = {writer.profile}"
            )
            if rows and rows[0][0] == writer.run and rows[0][1] > writer.fence:
                raise SupersededError
            # Fences are counted run by run; across runs the later one counts, and the ledger knows when it was asked.
            newer = self._execute(
                "SELECT 1 FROM batches WHERE tenant = $1 AND profile = $2 AND run <> $3 AND applied > $4 LIMIT 1",
                (self._tenant, writer.profile, writer.run, writer.now),
            )
            if newer:
                raise SupersededError
            self._execute(
                "INSERT INTO fences (tenant, profile, run, fence) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT (tenant, profile) DO UPDATE SET run = excluded.run, fence = excluded.fence",
                (self._tenant, writer.profile, writer.run, writer.fence),
            )
            self._execute(
                f"INSERT INTO positions (tenant, position, last_key) VALUES ({self._tenant}, 0, 0) "
                "ON CONFLICT DO NOTHING"
            )
            ((position, last),) = self._execute(
                f"UPDATE positions SET last_key = last_key + {int(keys)} WHERE tenant = {self._tenant} "
                "RETURNING position, last_key"
            )
            self._forget_removals(writer.now)
        return Claim(position=position, first_key=last - keys + 1)

    def complete(self) -> None:
        """See that everything can be looked up again as it should; after a first load, also one that was broken off."""
        self._bulk.complete()

    def applied(self, run: str) -> dict[int, str]:
        """The batches of a run that are in the directory, with the hash of the plan they are from."""
        rows = self._execute("SELECT batch, plan FROM batches WHERE tenant = $1 AND run = $2", (self._tenant, run))
        return {int(batch): str(plan) for batch, plan in rows}

    def rows_applied(self, run: str) -> dict[int, int]:
        """How many rows each batch of a run has written."""
        rows = self._execute("SELECT batch, rows FROM batches WHERE tenant = $1 AND run = $2", (self._tenant, run))
        return {int(batch): int(count) for batch, count in rows}

    def apply(self, writer: Writer, batch: Batch, rows: pa.Table) -> None:
        """Apply one batch in one transaction; nothing happens when it was applied before.

        Raises SupersededError when a newer attempt has taken over or the run has ended. When somebody else has changed
        the directory since the plan was made, rows that no longer fit are passed over: the next plan sees that and
        makes it good.
        """
        if self._is_done(writer, batch):
            return
        fault_points.begin(f"batch {writer.run} {batch.number}")
        if not _inserts(batch):  # staged before the lock is taken, to hold it the shorter
            self._bulk.stage("batch", rows)
        with self._bulk.writing():
            self._check_fence(writer)
            if self._is_done(writer, batch):
                return
            position = self.position()
            written = rows.num_rows
            if _inserts(batch):
                data = self._row_columns(writer, batch, rows, position + 1)
                if position == batch.position:
                    if batch.coming >= GREAT and batch.table in _OBJECTS and self.is_empty(batch.table):
                        self._bulk.load(batch.table)
                    self._bulk.ingest(batch.table, data)
                else:
                    self._bulk.stage("batch", data)
                    written = self._bulk.change(self._careful_insert(batch, data.column_names))
            else:
                if batch.op == "expire":
                    self._spend(batch, f"SELECT key FROM {self._bulk.temporary}batch")
                if batch.op == "purge":
                    self._spend(batch, self._left(writer, batch))
                    self._tell_gone(writer, batch, position + 1)
                    self._forget_links(writer, batch)
                if batch.op == "bin":
                    self._tell_gone(writer, batch, position + 1)
                if batch.op in _COME_BACK:
                    self._tell_back(writer, batch, position + 1)
                if batch.op in ("unlink", "relink") and batch.table == "class_people":
                    self._execute(self._remembered(writer, batch, rows.column_names, position + 1))
                written = self._bulk.change(self._statement(writer, batch, rows.column_names, position + 1))
            if batch.table == "class_people":
                self._touch_classes(rows, position + 1)
            self._execute(
                "INSERT INTO batches (tenant, run, batch, profile, plan, rows, position, applied) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                (
                    *(self._tenant, writer.run, batch.number, writer.profile),
                    *(batch.plan, written, position + 1, writer.now),
                ),
            )
            self._execute(f"UPDATE positions SET position = {position + 1} WHERE tenant = {self._tenant}")
            fault_points.reach("engine-writing")
        if _inserts(batch) and written >= LEARNED:
            self._bulk.learn(batch.table, self._tenant)

    def _forget_removals(self, now: int) -> None:
        """Removals are remembered for a time; who follows changes and has not asked since begins anew."""
        for table in ("removed_objects", "removed_members"):
            old = f"FROM {table} WHERE tenant = {self._tenant} AND removed < {now - REMOVALS_KEPT}"
            self._execute(
                f"UPDATE positions SET forgotten = (SELECT max(position) {old}) WHERE tenant = {self._tenant} "
                f"AND forgotten < (SELECT max(position) {old})"
            )
            self._execute(f"DELETE {old}")

    def _left(self, writer: Writer, batch: Batch) -> str:
        """The query for the keys of what a batch purges or bins: who is in use again by now, or another's, stays."""
        lies = " AND o.binned_at IS NULL" if batch.op == "bin" else ""
        return (
            f"SELECT o.key FROM {self._bulk.temporary}batch AS b "
            f"{self._bulk.looked_up(batch.table, 'o', self._tenant, {'key': 'b.key'})} "
            f"WHERE NOT o.active AND o.profile = {writer.profile}{lies}"
        )

    def _spend(self, batch: Batch, keys: str) -> None:
        """No other object shall have the ids of these."""
        self._execute(
            f"INSERT INTO spent_ids (tenant, id) SELECT tenant, id FROM {batch.table} "
            f"WHERE tenant = {self._tenant} AND key IN ({keys}) ON CONFLICT DO NOTHING"
        )

    def _tell_gone(self, writer: Writer, batch: Batch, position: int) -> None:
        """Whoever follows the changes is told that these are gone, and from which classes."""
        keys = self._left(writer, batch)
        if batch.table != "schools":
            side = "class" if batch.table == "classes" else "person"
            self._execute(
                'INSERT INTO removed_members (tenant, "class", position, id, member, teacher, removed) '
                f'SELECT l.tenant, l."class", {position}, p.id, l.member, l.teacher, {writer.now} '
                f"FROM class_people AS l JOIN people AS p ON p.tenant = l.tenant AND p.key = l.person "
                f'WHERE l.tenant = {self._tenant} AND l."{side}" IN ({keys}) ON CONFLICT DO NOTHING'
            )
            self._execute(
                f"UPDATE classes SET position = {position} WHERE tenant = {self._tenant} AND key IN "
                f'(SELECT "class" FROM class_people WHERE tenant = {self._tenant} AND "{side}" IN ({keys}))'
            )
        self._execute(
            "INSERT INTO removed_objects (tenant, kind, position, id, removed, restorable) "
            f"SELECT {self._tenant}, '{batch.table}', {position}, id, {writer.now}, "
            f"{'true' if batch.op == 'bin' else 'false'} FROM {batch.table} "
            f"WHERE tenant = {self._tenant} AND key IN ({keys}) ON CONFLICT DO NOTHING"
        )

    def _tell_back(self, writer: Writer, batch: Batch, position: int) -> None:
        """Whoever follows the changes is told of all memberships of what comes out of the bin, and of those it lost."""
        if not self._execute(
            f"SELECT 1 FROM {batch.table} WHERE tenant = {self._tenant} AND binned_at IS NOT NULL LIMIT 1"
        ):
            return
        found = self._bulk.looked_up(batch.table, "o", self._tenant, {"key": "b.key"})
        keys = (
            f"SELECT o.key FROM {self._bulk.temporary}batch AS b {found} "
            f"WHERE o.binned_at IS NOT NULL AND {writer.may_take('o.profile')}"
        )
        for statement in bins.told_back(batch.table, self._tenant, keys, position, writer.now):
            self._execute(statement)

    def _forget_links(self, writer: Writer, batch: Batch) -> None:
        """Take away the links that others made of what is purged."""
        keys = self._left(writer, batch)
        for table, sides in _SIDES.items():
            for side, objects in sides:
                if objects == batch.table:
                    self._execute(f'DELETE FROM {table} WHERE tenant = {self._tenant} AND "{side}" IN ({keys})')

    def _touch_classes(self, rows: pa.Table, position: int) -> None:
        """Classes change with their members: whoever follows the changes of classes finds them by their position."""
        self._staged("touched", pa.table({"key": pc.unique(rows.column("class"))}))
        touched = self._bulk.met("touched", "classes", self._tenant, ["key"])
        self._execute(f"UPDATE classes SET position = {position} WHERE {touched}")

    def _remembered(self, writer: Writer, batch: Batch, columns: Sequence[str], position: int) -> str:
        """What is written down of what people are no longer in classes, before the batch takes it."""
        lost = ["o.member", "o.teacher"]
        if batch.op == "relink":
            lost = [f"o.{part} AND NOT b.{part}" if part in columns else "false" for part in ("member", "teacher")]
        whose = "o.profile IS NOT NULL AND " if batch.op == "unlink" else ""
        return (
            'INSERT INTO removed_members (tenant, "class", position, id, member, teacher, removed) '
            f'SELECT o.tenant, o."class", {position}, p.id, {", ".join(lost)}, {writer.now} '
            f"FROM {self._bulk.temporary}batch AS b "
            f"{self._bulk.looked_up('class_people', 'o', self._tenant, {'class': 'b.class', 'person': 'b.person'})} "
            f"{self._bulk.looked_up('people', 'p', self._tenant, {'key': 'o.person'})} "
            f"WHERE ({' OR '.join(lost)}) AND {whose}{writer.may_take('o.profile')} ON CONFLICT DO NOTHING"
        )

    def _check_open(self, writer: Writer) -> None:
        """A run that was cancelled while its worker was thought dead has no newer attempt whose fence would refuse it.

        Neither has one whose profile was deleted: its row is gone. On PostgreSQL the row is held until the batch is
        committed, so that a run ends before the check or behind the batch, never between the two.
        """
        if self._runs is None:
            return
        values = (self._tenant, writer.profile_id, writer.run)
        found = "SELECT 1 FROM runs WHERE tenant = $1 AND profile = $2 AND id = $3 AND ended IS NULL"
        if not self._runs.execute(f"{found}{self._runs.holding}", values):
            raise SupersededError

    def _check_fence(self, writer: Writer) -> None:
        self._check_open(writer)
        rows = self._execute(
            f"SELECT run, fence FROM fences WHERE tenant = {self._tenant} AND profile = {writer.profile}"
        )
        if not rows or rows[0][0] != writer.run or rows[0][1] > writer.fence:
            raise SupersededError
        if rows[0][1] < writer.fence:
            self._execute(
                f"UPDATE fences SET fence = {writer.fence} WHERE tenant = {self._tenant} AND profile = {writer.profile}"
            )

    def _is_done(self, writer: Writer, batch: Batch) -> bool:
        rows = self._execute(
            "SELECT plan FROM batches WHERE tenant = $1 AND run = $2 AND batch = $3",
            (self._tenant, writer.run, batch.number),
        )
        if rows and rows[0][0] != batch.plan:
            raise UnknownBatchError
        return bool(rows)

    def _row_columns(self, writer: Writer, batch: Batch, rows: pa.Table, position: int) -> pa.Table:
        """The rows with the columns that are the same in all of them; columns without any value are left out."""
        empty = [name for name in rows.column_names if rows.column(name).null_count == rows.num_rows]
        rows = rows.drop_columns(empty)
        same = {"tenant": self._tenant, "profile": writer.profile}
        if batch.table == "class_people":
            same |= {"position": position}
        if batch.table in _OBJECTS:
            same |= {"active": True, "created": writer.now, "changed": writer.now, "position": position}
        for name, value in same.items():
            rows = rows.append_column(name, pa.repeat(pa.scalar(value), rows.num_rows))
        return rows

    def _careful_insert(self, batch: Batch, columns: Sequence[str]) -> str:
        """For a directory that changed under the plan: what is there already or has lost an end is passed over."""
        names = ", ".join(f'"{name}"' for name in columns)
        ends = "true"
        if batch.table not in _OBJECTS:
            ends = " AND ".join(
                f'EXISTS (SELECT 1 FROM {table} AS o WHERE o.tenant = {self._tenant} AND o.key = b."{side}")'
                for side, table in _SIDES[batch.table]
            )
        return (
            f"INSERT INTO {batch.table} ({names}) SELECT {names} FROM {self._bulk.temporary}batch AS b WHERE {ends} "
            "ON CONFLICT DO NOTHING"
        )

    def _statement(self, writer: Writer, batch: Batch, columns: Sequence[str], position: int) -> str:
        table = batch.table
        stamp = f"changed = {writer.now}, position = {position}"
        key = self._bulk.met("batch", table, self._tenant, ["key"], joined=True) if table in _OBJECTS else ""
        if batch.op in _CHANGES:
            values = ", ".join(f"{name} = b.{name}" for name in columns if name != "key")
            life = "active = true, left_at = NULL, binned_at = NULL"
            if "active" in columns:  # what expired when it was away is away again once that is taken back
                life = ", ".join(
                    f"{name} = CASE WHEN b.active THEN NULL ELSE {table}.{name} END"
                    for name in ("left_at", "binned_at")
                )
            values = ", ".join((*([values] if values else []), life))
            if table == "people":  # whoever is here again can sign in again, unless somebody else had disabled that
                values += (
                    ", account_enabled = CASE WHEN people.left_disabled THEN true ELSE people.account_enabled END"
                    ", left_disabled = NULL"
                )
            return (
                f"UPDATE {table} SET {values}, profile = {writer.profile}, {stamp} "
                f"FROM {self._bulk.temporary}batch AS b WHERE {key} AND {writer.may_take(f'{table}.profile')}"
            )
        if batch.op == "expire":
            values = ", ".join(f"{name} = b.{name}" for name in columns if name != "key")
            left = f"left_at = CASE WHEN b.active THEN NULL ELSE coalesce({table}.left_at, {writer.now}) END"
            return (
                f"UPDATE {table} SET {values}, {left}, {stamp} FROM {self._bulk.temporary}batch AS b "
                f"WHERE {key} AND {table}.profile = {writer.profile}"
            )
        if batch.op == "remove":
            disabled = ""
            if "account_enabled" in columns:
                disabled = (
                    ", left_disabled = CASE WHEN people.account_enabled THEN true ELSE people.left_disabled END"
                    ", account_enabled = false"
                )
            return (
                f"UPDATE {table} SET active = false, left_at = {writer.now}, binned_at = NULL{disabled}, {stamp} "
                f"FROM {self._bulk.temporary}batch AS b "
                f"WHERE {key} AND {table}.profile = {writer.profile}"
            )
        if batch.op == "unlink" and table == "people":  # from guardians, who stand in the pupil's own row
            return (
                f"UPDATE people SET related_contacts = b.related_contacts, {stamp} "
                f"FROM {self._bulk.temporary}batch AS b WHERE {key} AND people.profile = {writer.profile}"
            )
        if batch.op == "purge":
            return f"DELETE FROM {table} WHERE tenant = {self._tenant} AND key IN ({self._left(writer, batch)})"
        if batch.op == "bin":
            return (
                f"UPDATE {table} SET binned_at = {writer.now}, left_at = coalesce(left_at, {writer.now}), {stamp} "
                f"WHERE tenant = {self._tenant} AND key IN ({self._left(writer, batch)})"
            )
        if batch.op == "unbin":  # it has not left anew: nothing puts it back by itself
            return (
                f"UPDATE {table} SET binned_at = NULL, left_at = NULL, {stamp} FROM {self._bulk.temporary}batch AS b "
                f"WHERE {key} AND NOT {table}.active AND {table}.profile = {writer.profile}"
            )
        sides = [side for side, _ in _SIDES[table]]
        if batch.op == "relink":
            flags = "".join(f", {name} = b.{name}" for name in columns if name in ("member", "teacher"))
            if table == "class_people":
                flags += f", position = {position}"
            return (
                f"UPDATE {table} SET profile = {writer.profile}{flags} FROM {self._bulk.temporary}batch AS b "
                f"WHERE {self._bulk.met('batch', table, self._tenant, sides, joined=True)} "
                f"AND {writer.may_take(f'{table}.profile')}"
            )
        assert batch.op == "unlink", batch.op
        return (
            f"DELETE FROM {table} WHERE profile IS NOT NULL AND {writer.may_take('profile')} "
            f"AND {self._bulk.met('batch', table, self._tenant, sides)}"
        )


_CHANGES = frozenset({"update", "restore", "adopt", "rekey"})
_COME_BACK = frozenset({"restore", "adopt", "rekey", "unbin"})
"""Steps that may take something out of the bin."""


def _inserts(batch: Batch) -> bool:
    return batch.op in ("create", "link")
