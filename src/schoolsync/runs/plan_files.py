"""The files of a stored plan as the reader process sees them: which steps lie where, and rows by their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from schoolsync.runs.stored_plan import Description

OBJECTS = {"school": "schools", "class": "classes", "person": "people"}

Row = dict[str, Any]  # a row of a file: values of any type


@dataclass(frozen=True, slots=True)
class File:
    """All rows of one step."""

    part: str
    op: str
    table: str
    record: str
    path: Path
    first: int  # number of its first row in the plan
    groups: tuple[int, ...]  # rows of its row groups

    @property
    def rows(self) -> int:
        return sum(self.groups)

    @property
    def of_objects(self) -> bool:
        return self.table in OBJECTS.values()


def files_of(folder: Path, plan: Description) -> Iterator[File]:
    """The files of the steps in their order; what a window puts off comes last."""
    groups: dict[str, list[int]] = {}
    entries = [("apply", batch) for batch in plan.batches] + [("deferred", batch) for batch in plan.deferred]
    for _, batch in entries:
        groups.setdefault(batch.file, []).append(batch.rows)
    first = 0
    for part, batch in entries:
        if batch.group == 0:
            sizes = tuple(groups[batch.file])
            path = folder / plan.folder / batch.file
            yield File(part, batch.op, batch.table, batch.record, path, first, sizes)
            first += sum(sizes)


def table_of(file: File) -> str:
    quoted = str(file.path).replace("'", "''")
    return f"read_parquet('{quoted}')"


def rows_of(file: File, numbers: Sequence[int]) -> list[Row]:
    """Whole rows by their places, which rise; of the row groups they lie in alone."""
    found: list[Row] = []
    with pq.ParquetFile(file.path) as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]
        first, left = 0, list(numbers)
        for group, size in enumerate(sizes):
            inside = [number - first for number in left if number < first + size]
            if inside:
                found += parquet.read_row_group(group, use_threads=False).take(inside).to_pylist()
                left = left[len(inside) :]
            if not left:
                break
            first += size
    return found
