"""A plan on disk: Parquet files of its steps, one row group a batch, and a small JSON file that says what they are.

The JSON file is written last and whole, so a plan is there or it is not. Each attempt writes under its fence; the plan
of the highest fence is the run's. Nothing here decides what is in a plan or applies it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from schoolsync.plan.changes import WHY, Step
from schoolsync.runs.job import Planned

_NAME = re.compile(r"plan-(\d+)\.json")
_WIDE = 4
"""Rows of objects are this much wider than links: a batch of them has so many times fewer rows."""


class StoredBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One batch: a row group of a step's file."""

    op: str
    table: str
    file: str
    group: int
    rows: int


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The small JSON file."""

    folder: str  # of the Parquet files, inside the run's folder
    planned: Planned
    batches: tuple[StoredBatch, ...]
    position: int  # the directory's position that the plan was made at
    input_hash: str
    wakes: int | None


class SnapshotNote(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered beside a snapshot."""

    version: int
    rows: dict[str, int]  # data rows of every file of the upload


class Plans:
    """The plans of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reading: tuple[Path, Any] | None = None  # the file read last; pyarrow has no types

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

    def rows(self, plan: Description, number: int) -> pa.Table:
        """The rows of one batch, without what explains them."""
        batch = plan.batches[number]
        path = self._folder / plan.folder / batch.file
        if self._reading is None or self._reading[0] != path:
            self.close()
            self._reading = path, pq.ParquetFile(path)
        file = self._reading[1]
        names = [name for name in file.schema_arrow.names if name not in WHY]
        return file.read_row_group(batch.group, columns=names, use_threads=False)

    def close(self) -> None:
        """Give back what is open."""
        if self._reading is not None:
            self._reading[1].close()
            self._reading = None

    def keep_snapshot(self, plan: Description) -> Path:
        """Put the plan's snapshot where the next run finds it; may be called again."""
        final = self._folder / "snapshot"
        made = self._folder / plan.folder / "snapshot"
        if made.is_dir():
            shutil.rmtree(final, ignore_errors=True)
            made.rename(final)
            _sync_folder(self._folder)
        return final


class Draft:
    """A plan that is being written."""

    def __init__(self, run: Path, name: str) -> None:
        self._run = run
        self._name = name
        self._folder = run / name
        self._hash = hashlib.sha256()
        self._batches: list[StoredBatch] = []

    @property
    def batches(self) -> tuple[StoredBatch, ...]:
        """The batches so far."""
        return tuple(self._batches)

    @property
    def hash(self) -> str:
        """The hash of all batches so far."""
        return self._hash.hexdigest()

    def add(self, step: Step, read: Callable[[int], pa.RecordBatchReader], batch_rows: int) -> int:
        """Store the rows of a step, which `read` gives in batches of about so many rows; returns how many there are."""
        rows = max(1, batch_rows // _WIDE) if step.table in ("schools", "classes", "people") else batch_rows
        name = f"{len(self._batches):05}-{step.op}-{step.table}.parquet"
        sizes = _write(self._folder / name, read(rows), rows)
        if not sizes:
            return 0
        self._hash.update(f"{step.op} {step.table} {sizes}\n".encode())
        _digest(self._hash, self._folder / name)
        self._batches += [
            StoredBatch(op=step.op, table=step.table, file=name, group=group, rows=size)
            for group, size in enumerate(sizes)
        ]
        return sum(sizes)

    def add_snapshot(self, table: str, reader: pa.RecordBatchReader) -> None:
        """Store what the directory will hold in `table` when the plan is applied."""
        _write(self._folder / "snapshot" / f"{table}.parquet", reader, None)

    def note_snapshot(self, note: SnapshotNote) -> None:
        """Store what is remembered beside the snapshot."""
        _write_text(self._folder / "snapshot" / "snapshot.json", msgspec.json.encode(note))
        _sync_folder(self._folder / "snapshot")

    def add_errors(self, chunks: Iterable[str]) -> tuple[str, ...]:
        """Store the error entries; returns the paths of the files."""
        paths = []
        for number, chunk in enumerate(chunks):
            path = self._folder / f"errors-{number:05}.json"
            _write_text(path, chunk.encode())
            paths.append(str(path))
        return tuple(paths)

    def complete(self, *, planned: Planned, position: int, input_hash: str, wakes: int | None) -> Description:
        """Make it the run's plan."""
        made = Description(
            folder=self._name,
            planned=planned,
            batches=self.batches,
            position=position,
            input_hash=input_hash,
            wakes=wakes,
        )
        _sync_folder(self._folder)
        final = self._run / f"{self._name}.json"
        temporary = final.with_suffix(".tmp")
        _write_text(temporary, msgspec.json.encode(made))
        temporary.replace(final)
        _sync_folder(self._run)
        return made


def snapshot_note(folder: Path, version: int) -> SnapshotNote | None:
    """What is remembered beside a snapshot; None when it is not there, not whole or of another version."""
    try:
        note = msgspec.json.decode((folder / "snapshot.json").read_bytes(), type=SnapshotNote)
    except (OSError, msgspec.MsgspecError):
        return None
    return note if note.version == version else None


def _write(path: Path, reader: pa.RecordBatchReader, group_rows: int | None) -> list[int]:
    """Write what `reader` gives as row groups of at most `group_rows`; returns their sizes. No rows, no file."""
    sizes: list[int] = []
    writer: Any = None  # pyarrow has no types
    try:
        for batch in reader:
            if not batch.num_rows and sizes:
                continue
            if writer is None:
                # Fast rather than small: a plan is read once, a snapshot a few times.
                same = [name for name in WHY if name in reader.schema.names]
                writer = pq.ParquetWriter(path, reader.schema, compression="lz4", use_dictionary=same)
            for first in range(0, batch.num_rows, group_rows or max(batch.num_rows, 1)):
                part = batch.slice(first, group_rows or batch.num_rows)
                writer.write_table(pa.Table.from_batches([part]), row_group_size=part.num_rows)
                sizes.append(part.num_rows)
    finally:
        if writer is not None:
            writer.close()
    if group_rows is None and writer is None:
        pq.write_table(reader.schema.empty_table(), path)
    elif not sizes:
        path.unlink(missing_ok=True)
        return []
    _sync_file(path)
    return sizes


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
