"""A plan on disk: Parquet files of its steps, one row group a batch, and a small JSON file that says what they are.

The JSON file is written last and whole, so a plan is there or it is not. Each attempt writes under its fence; the plan
of the highest fence is the run's. Nothing here decides what is in a plan or applies it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schoolsync.errors import raise_worlds
from schoolsync.plan.desired import OBJECT_TABLES
from schoolsync.plan.kinds import LINK_SIDES
from schoolsync.plan.steps import FRESH, WHY, Step
from schoolsync.runs import snapshots
from schoolsync.runs.job import Planned
from schoolsync.runs.places import TALLY
from schoolsync.runs.selections import Release, Selection

NOTE = "snapshot.json"
"""What is remembered beside a snapshot, in its folder."""

_NAME = re.compile(r"plan-(\d+)\.json")
_LET = "let.json"
"""Who has let what of a held plan go; beside its files, because a yes comes after the plan and is not in its hash."""
_WIDE = 4
"""Rows of objects are this much wider than links: a batch of them has so many times fewer rows."""
_OBJECT_ROWS, _ROWS = 16_384, 131_072
"""Rows that a group of a snapshot's objects has, and of everything else that is stored; they are in memory at once."""


TAKING = frozenset({"unlink", "remove", "expire", "bin", "purge"})
"""Steps that take something away."""

CHANGING = frozenset({"update", "restore", "unbin", "rekey"})
"""Steps that change objects which belong to the profile."""

COMING = frozenset({"create", "restore", "adopt"})
"""Steps before which the profile has no active object: links to it wait for them."""

GOING = frozenset({"remove", "expire"})
"""Steps of objects that take links along."""

KEYS = frozenset({"key", "school", "class", "person"})
"""Columns with keys of the directory."""


def _with_real_keys(plan: Description, table: pa.Table) -> pa.Table:
    """The directory's keys in the place of those that count from FRESH."""
    for place, name in enumerate(table.column_names):
        if name in KEYS:
            keys = table.column(name)
            real = pc.add(pc.subtract(keys, FRESH), plan.first_key)
            table = table.set_column(place, name, pc.if_else(pc.greater_equal(keys, FRESH), real, keys))
    return table


_OBJECTS_OF = {"school": "schools", "class": "classes", "person": "people"}


def held_ops(holds: Sequence[str], op: str) -> bool:
    """Whether steps of this kind are held back when guards hold `holds`."""
    if "everything" in holds:
        return True
    return (op in TAKING and "removals" in holds) or (op in CHANGING and "updates" in holds)


def waits_for_held(holds: Sequence[str], op: str) -> bool:
    """Whether steps of this kind are not held themselves, while objects that they link may be: those that come back."""
    return op == "link" and "updates" in holds and "everything" not in holds


def is_let_go(holds: Sequence[str], op: str) -> bool:
    """Whether it follows from a person's yes which steps of this kind are applied."""
    return held_ops(holds, op) or waits_for_held(holds, op)


def is_waived(plan: Description, op: str) -> bool:
    """Whether steps of this kind are only not held because a person has set other limits for this plan."""
    return held_ops(plan.planned.waived, op) and not held_ops(plan.planned.holds, op)


def _meets(batch: StoredBatch, table: pa.Table, one: Selection) -> Any:  # pyarrow has no types
    """Which rows meet a selection."""
    mask = pa.repeat(pa.scalar(True), table.num_rows)
    if one.kind is not None:
        kind = pa.repeat(pa.scalar(batch.record), table.num_rows) if batch.record else _column(table, "kind")
        mask = pc.and_(mask, pc.fill_null(pc.equal(kind, one.kind), False))
    if one.school is not None:
        mask = pc.and_(mask, pc.fill_null(pc.equal(_column(table, "of_school"), one.school), False))
    if one.objects:
        mask = pc.and_(mask, pc.is_in(_column(table, "id"), value_set=pa.array(one.objects, pa.string())))
    return mask


def _let_go(batch: StoredBatch, table: pa.Table, picked: Release) -> Any:  # pyarrow has no types
    """Which rows meet one of the selections and none of what is discarded."""
    let_go, stays = (_any(table, (_meets(batch, table, one) for one in some)) for some in picked.said)
    return pc.and_(let_go, pc.invert(stays))


def _any(table: pa.Table, masks: Iterable[Any]) -> Any:  # pyarrow has no types
    """Which rows of a table meet one of several masks; without any, none."""
    return reduce(pc.or_, masks, pa.repeat(pa.scalar(False), table.num_rows))


def _column(table: pa.Table, name: str) -> Any:  # pyarrow has no types
    return table.column(name) if name in table.column_names else pa.nulls(table.num_rows, pa.string())


def is_applied(column: str, op: str) -> bool:
    """Whether a column of a step is written to the directory; the others explain the row."""
    return column not in WHY and not column.startswith("was_") and (column != "id" or op == "create")


class StoredBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One batch: a row group of a step's file."""

    op: str
    table: str
    record: str = ""  # the kind of its objects: school, section, student, teacher; "" for links
    file: str
    group: int
    rows: int


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The small JSON file."""

    folder: str  # of the Parquet files, inside the run's folder
    planned: Planned
    batches: tuple[StoredBatch, ...]
    deferred: tuple[StoredBatch, ...] = ()  # what a window puts off: listed and never applied
    position: int  # the directory's position that the plan was made at
    first_key: int  # of the new objects' keys
    input_hash: str
    terms: str  # hash of input, settings and limits that it was made under
    wakes: int | None


class Let(msgspec.Struct, frozen=True, kw_only=True):
    """From which batch on a person's yes let which parts of a held plan go."""

    run: str
    batch: int
    release: Release


class SnapshotNote(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered beside a snapshot."""

    version: int
    rows: dict[str, int]  # data rows of every file of the upload
    wakes: int | None = None  # when the same upload comes to something else (ticks)
    prints: str | None = None  # hash of what its fingerprints were made under; None: it has none


class Plans:
    """The plans of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reading: tuple[Path, Any] | None = None  # the file read last; pyarrow has no types
        self._keys: dict[Any, Any] = {}  # keys of objects by what picks them

    def latest(self) -> Description | None:
        """The plan of the highest fence that was stored whole, or None."""
        found = sorted(self._stored(), reverse=True)
        return msgspec.json.decode(found[0][1].read_bytes(), type=Description) if found else None

    def _stored(self) -> Iterator[tuple[int, Path]]:
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                yield int(match[1]), path

    def begin(self, fence: int) -> Draft:
        """Start to write a plan; what an attempt of the same fence left half-done goes."""
        name = f"plan-{fence}"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(self._folder / name, ignore_errors=True)
        (self._folder / name / "snapshot").mkdir(parents=True, mode=0o700)
        return Draft(self._folder, name)

    def rows(self, plan: Description, number: int, *, picked: Release | None = None) -> pa.Table:
        """The rows of one batch, without what explains them; with `picked` those that it lets go."""
        batch = plan.batches[number]
        file = self._open(self._folder / plan.folder / batch.file)
        applied = [name for name in file.schema_arrow.names if is_applied(name, batch.op)]
        table = file.read_row_group(batch.group, columns=None if picked else applied, use_threads=False)
        if picked:
            table = table.filter(self._mask(plan, batch, table, picked)).select(applied)
        return _with_real_keys(plan, table)

    def explained(self, plan: Description, number: int, *, picked: Release | None = None) -> pa.Table:
        """The rows of one batch with all that explains them."""
        batch = plan.batches[number]
        table = self._open(self._folder / plan.folder / batch.file).read_row_group(batch.group, use_threads=False)
        if picked:
            table = table.filter(self._mask(plan, batch, table, picked))
        return _with_real_keys(plan, table)

    def let(self, plan: Description) -> tuple[Let, ...]:
        """What people have let go of a held plan, and from which batch on; empty when that was not needed."""
        return let(self._folder, plan)

    def keep_release(self, plan: Description, number: int, release: Release, *, run: str) -> None:
        """Write down beside the plan whose yes lets its batches go, from this one on; may be called again."""
        known = self.let(plan)
        if known and known[-1].release == release:
            return
        kept = (*(one for one in known if one.batch < number), Let(run=run, batch=number, release=release))
        path = self._folder / plan.folder / _LET
        temporary = path.with_suffix(".tmp")
        _write_text(temporary, msgspec.json.encode(kept))
        temporary.replace(path)
        _sync_folder(path.parent)

    def _open(self, path: Path) -> Any:  # pyarrow has no types
        if self._reading is None or self._reading[0] != path:
            self.close()
            self._reading = path, pq.ParquetFile(path)
        return self._reading[1]

    def _mask(self, plan: Description, batch: StoredBatch, table: pa.Table, picked: Release) -> Any:  # no types
        """Which rows of a batch are let go; the links of an object that may come or go come along."""
        if batch.record:
            return _let_go(batch, table, picked)
        none = _any(table, ())
        if batch.op == "unlink":
            let_go, stays = (
                _any(table, (_meets(batch, table, one) for one in some if not one.objects)) for some in picked.said
            )
            discarded = Release(plan=picked.plan, selections=picked.without, given=(), expires=picked.expires)
            goes = none
            for side in LINK_SIDES[batch.table]:  # type: ignore[index]  # stored names are those of tables
                keys = table.column(side)
                goes = pc.or_(goes, pc.is_in(keys, value_set=self._moving(plan, side, picked, GOING)))
                stays = pc.or_(stays, pc.is_in(keys, value_set=self._moving(plan, side, discarded, GOING)))
            return pc.or_(goes, pc.and_(let_go, pc.invert(stays)))
        table = _with_real_keys(plan, table)
        let_go, stays = (
            _any(table, (self._links_met(plan, batch, table, one) for one in some if not one.objects))
            for some in picked.said
        )
        if waits_for_held(plan.planned.holds, batch.op):
            let_go, stays = pc.invert(none), none
        held = frozenset(op for op in COMING if held_ops(plan.planned.holds, op))
        there = pc.invert(stays)
        for side in LINK_SIDES[batch.table]:  # type: ignore[index]  # as above
            keys = table.column(side)
            comes = pc.is_in(keys, value_set=self._moving(plan, side, picked, COMING))
            waits = pc.is_in(keys, value_set=self._moving(plan, side, None, held))
            let_go = pc.or_(let_go, comes)
            there = pc.and_(there, pc.or_(comes, pc.invert(waits)))
        return pc.and_(let_go, there)

    def _links_met(self, plan: Description, batch: StoredBatch, table: pa.Table, one: Selection) -> Any:  # no types
        """Which new links meet a selection; their school and kind are those of their ends in the snapshot."""
        left, right = LINK_SIDES[batch.table]  # type: ignore[index]  # stored names are those of tables
        mask = pa.repeat(pa.scalar(True), table.num_rows)
        if one.kind is not None:
            if batch.table == "class_people":
                wanted = {"teacherRoster": True, "studentEnrollment": False}.get(one.kind)
                met = (
                    pa.repeat(pa.scalar(False), table.num_rows)
                    if wanted is None
                    else pc.equal(table.column("teacher"), wanted)
                )
            elif batch.table == "school_classes":
                met = pa.repeat(pa.scalar(one.kind == "schoolSections"), table.num_rows)
            else:
                role = one.kind.removesuffix("Schools") if one.kind.endswith("Schools") else ""
                met = pc.is_in(table.column(right), value_set=self._having(plan, "people", "primary_role", role))
            mask = pc.and_(mask, met)
        if one.school is not None:
            place = "source_id" if left == "school" else "school_source_id"
            keys = self._having(plan, _OBJECTS_OF[left], place, one.school)
            mask = pc.and_(mask, pc.is_in(table.column(left), value_set=keys))
        return mask

    def _having(self, plan: Description, objects: str, column: str, value: str) -> pa.Array:
        """The keys of the objects that have a value, once the plan is applied."""
        known = (plan.planned.plan, objects, column, value)
        if known not in self._keys:
            self._keys[known] = snapshots.having(self.snapshot(plan), objects, column, value)
        return self._keys[known]

    def _moving(self, plan: Description, side: str, picked: Release | None, ops: frozenset[str]) -> pa.Array:
        """The keys of the objects that come or go by some steps and are let go (None: all)."""
        objects = _OBJECTS_OF[side]
        some = None if picked is None else picked.said
        known = (plan.planned.plan, objects, some, ops)
        if known not in self._keys:
            found: list[Any] = []
            for batch in plan.batches:
                if batch.op in ops and batch.table == objects:
                    with pq.ParquetFile(self._folder / plan.folder / batch.file) as file:
                        rows = file.read_row_group(batch.group)
                    if picked is not None:
                        rows = rows.filter(_let_go(batch, rows, picked))
                    found += (rows if ops is GOING else _with_real_keys(plan, rows)).column("key").chunks
            self._keys[known] = pa.chunked_array(found, pa.int64()).combine_chunks()
        return self._keys[known]

    def keep_tally(self, plan: Description) -> Path:
        """Put what the plan has taken away where the guards of the next runs find it; may be called again."""
        made = self._folder / plan.folder / TALLY
        if made.is_file():
            shutil.copyfile(made, self._folder / TALLY)
        return self._folder / TALLY

    def tally(self, plan: Description) -> Path:
        """What the plan would take away, by kind and school, and what there was of it."""
        return self._folder / plan.folder / TALLY

    def taken(self, plan: Description, written: Collection[int]) -> Iterator[pa.Table]:
        """Kind, school and class (its key) of each row that these batches took away without a person's yes."""
        known = self.let(plan)
        for number in sorted(written):
            batch = plan.batches[number]
            if batch.op not in TAKING - {"bin", "purge"} or release_of_batch(known, number) is not None:
                continue
            if is_waived(plan, batch.op):
                continue
            names = ["of_school"] if batch.record else ["of_school", "kind"]
            names += ["class"] if batch.table == "class_people" else []
            file = self._open(self._folder / plan.folder / batch.file)
            rows = file.read_row_group(batch.group, columns=names, use_threads=False)
            kinds = pa.repeat(pa.scalar(batch.record), rows.num_rows) if batch.record else rows.column("kind")
            groups = rows.column("class") if "class" in names else pa.nulls(rows.num_rows, pa.int64())
            yield pa.table({"kind": kinds, "school": rows.column("of_school"), "class": groups})

    def keep_by_hand(self, plan: Description) -> Path:
        """Put what was found written by hand where the next whole run finds it; may be called again."""
        made = self._folder / plan.folder / "snapshot" / "by_hand.parquet"
        if made.is_file():
            shutil.copyfile(made, self._folder / "by_hand.parquet")
        return self._folder / "by_hand.parquet"

    def close(self) -> None:
        """Give back what is open."""
        if self._reading is not None:
            self._reading[1].close()
            self._reading = None

    def snapshot(self, plan: Description) -> Path:
        """The folder of what the directory holds when the plan is applied."""
        return self._folder / plan.folder / "snapshot"


class Draft:
    """A plan that is being written."""

    def __init__(self, run: Path, name: str) -> None:
        self._run = run
        self._name = name
        self._folder = run / name
        self._hash = hashlib.sha256()
        self._batches: list[StoredBatch] = []
        self._deferred: list[StoredBatch] = []

    @property
    def batches(self) -> tuple[StoredBatch, ...]:
        """The batches so far."""
        return tuple(self._batches)

    def files(self) -> Iterator[tuple[Path, str, str, str]]:
        """The files of the steps so far: path, op, table and kind of objects."""
        for batch in self._batches:
            if batch.group == 0:
                yield self._folder / batch.file, batch.op, batch.table, batch.record

    @property
    def additions(self) -> int:
        """How many of the first batches only add or change: nothing is taken away before them."""
        return next((n for n, batch in enumerate(self._batches) if batch.op in TAKING), len(self._batches))

    @property
    def hash(self) -> str:
        """The hash of all batches so far."""
        return self._hash.hexdigest()

    def add(self, step: Step, read: Callable[[int], pa.RecordBatchReader], batch_rows: int) -> int:
        """Store the rows of a step, which `read` gives in pieces of about so many; returns how many there are."""
        rows = max(1, batch_rows // _WIDE) if step.table in ("schools", "classes", "people") else batch_rows
        name = f"{len(self._batches):05}-{step.op}-{step.table}.parquet"
        sizes = _write(self._folder / name, read(rows), rows)
        if not sizes:
            return 0
        self._hash.update(f"{step.op} {step.table} {sizes}\n".encode())
        _digest(self._hash, self._folder / name)
        self._batches += [
            StoredBatch(op=step.op, table=step.table, record=step.record, file=name, group=group, rows=size)
            for group, size in enumerate(sizes)
        ]
        return sum(sizes)

    def defer(self, step: Step, reader: pa.RecordBatchReader) -> None:
        """Store a step that is listed and not applied."""
        name = f"deferred-{step.op}-{step.table}-{step.record}.parquet"
        rows = sum(_write(self._folder / name, reader, _ROWS))
        if rows:
            self._hash.update(f"deferred {step.op} {step.table} {rows}\n".encode())
            _digest(self._hash, self._folder / name)
            self._deferred.append(
                StoredBatch(op=step.op, table=step.table, record=step.record, file=name, group=0, rows=rows)
            )

    @property
    def deferred(self) -> int:
        """How many rows are put off."""
        return sum(one.rows for one in self._deferred)

    def add_snapshot(self, table: str, reader: pa.RecordBatchReader) -> None:
        """Store what the directory will hold in `table` when the plan is applied."""
        rows = _OBJECT_ROWS if table in OBJECT_TABLES else _ROWS
        _write(self._folder / "snapshot" / f"{table}.parquet", reader, rows, empty=True)

    def take_along(self, snapshot: Path) -> None:
        """Have what an earlier snapshot says as well, but of those of whom it is stored that this is over."""
        snapshots.take_along(snapshot, self._folder / "snapshot")

    def snapshot_of(self, table: str) -> str:
        """What has been stored of a table of the snapshot, as SQL."""
        return snapshots.relation(self._folder / "snapshot", table)

    def add_table(self, name: str, reader: pa.RecordBatchReader) -> None:
        """Store what belongs to the plan and is not applied."""
        _write(self._folder / f"{name}.parquet", reader, _ROWS, empty=True)

    def note_snapshot(self, note: SnapshotNote) -> None:
        """Store what is remembered beside the snapshot."""
        _write_text(self._folder / "snapshot" / NOTE, msgspec.json.encode(note))
        _sync_folder(self._folder / "snapshot")

    def add_errors(self, chunks: Iterable[str]) -> tuple[str, ...]:
        """Store the error entries; returns the paths of the files inside the run's folder."""
        paths = []
        for number, chunk in enumerate(chunks):
            path = self._folder / f"errors-{number:05}.json"
            _write_text(path, chunk.encode())
            paths.append(f"{self._name}/{path.name}")
        return tuple(paths)

    def complete(
        self, *, planned: Planned, position: int, first_key: int, input_hash: str, terms: str, wakes: int | None
    ) -> Description:
        """Make it the run's plan."""
        made = Description(
            folder=self._name,
            planned=planned,
            batches=self.batches,
            deferred=tuple(self._deferred),
            position=position,
            first_key=first_key,
            input_hash=input_hash,
            terms=terms,
            wakes=wakes,
        )
        _sync_folder(self._folder)
        final = self._run / f"{self._name}.json"
        temporary = final.with_suffix(".tmp")
        _write_text(temporary, msgspec.json.encode(made))
        temporary.replace(final)
        _sync_folder(self._run)
        return made


def let(folder: Path, plan: Description) -> tuple[Let, ...]:
    """As `Plans.let`, of the plan in a run's folder."""
    path = folder / plan.folder / _LET
    return msgspec.json.decode(path.read_bytes(), type=tuple[Let, ...]) if path.is_file() else ()


def release_of_batch(known: Sequence[Let], number: int) -> Release | None:
    """The yes by which a batch of a held plan was let go, if any."""
    return next((one.release for one in reversed(known) if one.batch <= number), None)


def snapshot_note(folder: Path, version: int) -> SnapshotNote | None:
    """What is remembered beside a snapshot; None when it is not there, not whole or of another version."""
    try:
        note = msgspec.json.decode((folder / NOTE).read_bytes(), type=SnapshotNote)
    except (OSError, msgspec.MsgspecError) as problem:
        raise_worlds(problem)
        return None
    return note if note.version == version else None


def _write(path: Path, reader: pa.RecordBatchReader, group_rows: int, *, empty: bool = False) -> list[int]:
    """Write what `reader` gives as row groups of `group_rows`, the last one smaller; returns their sizes.

    In what pieces the rows come depends on how many threads have made them; the groups and the bytes do not. Without
    any row there is a file only where an `empty` one is wanted.
    """
    groups = _groups(reader, group_rows)
    first = next(groups, None)
    if first is None and not empty:
        return []
    sizes: list[int] = []
    # Fast rather than small: a plan is read once, a snapshot a few times.
    same = [name for name in WHY if name in reader.schema.names and name != "line"]
    with pq.ParquetWriter(path, reader.schema, compression="lz4", use_dictionary=same) as writer:
        for group in chain([] if first is None else [first], groups):
            writer.write_table(group, row_group_size=group_rows)
            sizes.append(group.num_rows)
    _sync_file(path)
    return sizes


def _groups(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.Table]:
    """What `reader` gives in tables of so many rows, the last one smaller."""
    waiting: list[pa.RecordBatch] = []
    many = 0
    for batch in reader:
        waiting.append(batch)
        many += batch.num_rows
        while many >= rows:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, rows).combine_chunks()
            waiting, many = table.slice(rows).to_batches(), many - rows
    if many:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _digest(digest: Any, path: Path) -> None:  # a hashlib object: its type has no public name
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            digest.update(chunk)


def _write_text(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
