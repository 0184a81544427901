"""A snapshot on disk: what the directory holds of a profile once a plan is applied, a Parquet file a table.

Of people, classes and memberships little changes from one run to the next. So the rows of whom a run has not looked at
are not written again: the files of the run before come along, as layers (`people.1.parquet`, `people.2.parquet`, ...),
and `over.parquet` says of whom a layer speaks no more, because a later run has; in `links_over.parquet` are those of
whose classes alone it speaks no more. When that becomes much, or the layers many, a snapshot is written whole again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LAYERED = {"classes": "key", "people": "key", "school_people": "person", "class_people": "person"}
"""The tables that have layers, and the column with the key by which rows are over; no class has a person's key."""

OVER = "over"
"""The file that says of whom a layer speaks no more: number of the layer, key of the person or class."""

LINKS_OVER = "links_over"
"""The same of people whose memberships in classes alone are over."""

LAYERS_MAX = 8
"""So many layers at most: whoever reads a snapshot opens every one."""

SHARE = 4
"""Written whole when more than one in so many people of the oldest layer are over."""


def files(folder: Path, table: str) -> list[Path]:
    """The files with the rows of a table, the run's own first; empty when the snapshot does not have the table."""
    own = folder / f"{table}.parquet"
    if not own.is_file():
        return []
    return [
        own,
        *(path for number in range(1, layers(folder) + 1) if (path := _layer(folder, table, number)).is_file()),
    ]


def relation(folder: Path, table: str) -> str:
    """The rows of a table, as SQL that may stand after FROM; the table is there (`files`)."""
    own, *earlier = files(folder, table)
    rows = f"read_parquet('{_quoted(own)}')"
    if not earlier:
        return rows
    key, over = LAYERED[table], _over(folder, OVER, *([LINKS_OVER] if table == "class_people" else []))
    parts = [f"SELECT * FROM {rows}"]  # noqa: S608  # names of files, quoted
    parts += [
        f"SELECT l.* FROM read_parquet('{_quoted(path)}') AS l ANTI JOIN "  # noqa: S608  # as above
        f"(SELECT key FROM {over} WHERE layer = {_number(path)}) AS o ON o.key = l.{key}"
        for path in earlier
    ]
    return f"({' UNION ALL '.join(parts)})"


def having(folder: Path, table: str, column: str, value: str) -> pa.Array:
    """The keys of the objects of a table that have a value; none when the snapshot does not have the table."""
    found = []
    for path in files(folder, table):
        keys = pq.read_table(path, columns=["key"], filters=[(column, "=", value)]).column("key")
        if number := _number(path):
            over = pq.read_table(folder / f"{OVER}.parquet", columns=["key"], filters=[("layer", "=", number)])
            keys = keys.filter(pc.invert(pc.is_in(keys, value_set=over.column("key"))))
        found += keys.chunks
    return pa.chunked_array(found, pa.int64()).combine_chunks()


def layers(folder: Path) -> int:
    """How many layers a snapshot has besides the run's own files."""
    found = (_number(path) for path in folder.glob("people.*.parquet"))
    return max(found, default=0)


def goes_on(folder: Path, *, people: int, looked_at: int) -> bool:
    """Whether the next snapshot takes the files of this one along; `people` are those who are not looked at."""
    there = [path for name in (OVER, LINKS_OVER) if (path := folder / f"{name}.parquet").is_file()]
    gone = [pq.read_table(path, columns=["layer"]).column("layer") for path in there]
    oldest = sum(pc.sum(pc.equal(layer, 1)).as_py() or 0 for layer in gone)
    return layers(folder) < LAYERS_MAX and (oldest + looked_at) * SHARE <= people


def _over(folder: Path, *names: str) -> str:
    paths = (folder / f"{name}.parquet" for name in names)
    listed = ", ".join(f"'{_quoted(path)}'" for path in paths if path.is_file())
    return f"read_parquet([{listed}])"


def over(folder: Path, name: str, looked_at: str) -> str:
    """The query for `OVER` or `LINKS_OVER` (`name`) of the snapshot that takes this one's files along.

    `looked_at` is a relation of keys.
    """
    before = f"SELECT layer, key FROM {_over(folder, name)} UNION ALL "  # noqa: S608
    there = before if (folder / f"{name}.parquet").is_file() else ""
    now = f"SELECT n::USMALLINT AS layer, key FROM {looked_at}, range(1, {layers(folder) + 2}) AS r(n)"  # noqa: S608
    return f"{there}{now} ORDER BY ALL"


def take_along(folder: Path, into: Path) -> None:
    """Have the files of the layered tables of a snapshot beside those that the next one has of its own."""
    newest = layers(folder) + 1
    for table in LAYERED:
        for path in files(folder, table):
            there = _layer(into, table, _number(path) or newest)
            try:
                os.link(path, there)
            except OSError:
                shutil.copyfile(path, there)


def _layer(folder: Path, table: str, number: int) -> Path:
    return folder / f"{table}.{number}.parquet"


def _number(path: Path) -> int:
    """The number of a layer; 0 of a run's own file."""
    _, _, number = path.stem.partition(".")
    return int(number) if number.isdecimal() else 0


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
