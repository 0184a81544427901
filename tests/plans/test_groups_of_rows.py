"""How the rows of a plan are stored, and so its hash, does not depend on the pieces in which an engine gives them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from schoolsync.plan.desired import OBJECT_TABLES
from schoolsync.runs.stored_plan import Plans

ROWS = 40_000  # so many that a column of texts takes several pages
TABLE = pa.table(
    {
        "key": pa.array(range(ROWS)),
        "id": pa.array([f"{number:036}" for number in range(ROWS)]),
        "rule": pa.array(["new-record", "changed"][number % 3 == 0] for number in range(ROWS)),
    }
)


def reader(pieces: list[int]) -> pa.RecordBatchReader:
    """The table in pieces that end at these rows."""
    ends = sorted({min(end, ROWS) for end in pieces} | {ROWS})
    batches = []
    for first, end in zip([0, *ends], ends, strict=False):
        batches += TABLE.slice(first, end - first).combine_chunks().to_batches() or [pa.record_batch(TABLE.slice(0, 0))]
    return pa.RecordBatchReader.from_batches(TABLE.schema, batches)


def stored(folder: Path, pieces: list[int], table: str) -> bytes:
    """A snapshot's file of these rows."""
    draft = Plans(folder).begin(1)
    draft.add_snapshot(table, reader(pieces))
    (path,) = folder.rglob(f"{table}.parquet")
    return path.read_bytes()


@given(pieces=st.lists(st.integers(1, ROWS), max_size=30), table=st.sampled_from([*OBJECT_TABLES, "class_people"]))
@settings(max_examples=25, deadline=None)
def test_the_pieces_are_not_seen(pieces: list[int], table: str) -> None:
    """One piece, or any others: the same bytes, the same rows, groups as large as they may be."""
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        whole = stored(Path(one), [], table)
        assert stored(Path(other), pieces, table) == whole
        (path,) = Path(one).rglob(f"{table}.parquet")
        file = pq.ParquetFile(path)
        assert file.read().equals(TABLE)
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        assert len(set(groups[:-1])) <= 1
        assert groups[-1] <= groups[0]


def test_what_has_no_rows_is_there_all_the_same(tmp_path: Path) -> None:
    """Whoever reads the snapshot finds the table and its columns."""
    draft = Plans(tmp_path).begin(1)
    draft.add_snapshot("people", pa.RecordBatchReader.from_batches(TABLE.schema, []))
    (path,) = tmp_path.rglob("people.parquet")
    assert pq.read_schema(path).names == TABLE.column_names
