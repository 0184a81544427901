"""Writing an invented roster to a folder, as a whole or as what has changed since another moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from schoolsync import roster_engine
from schoolsync.testing.rosters import dirt as spoiling
from schoolsync.testing.rosters import layouts, model
from schoolsync.testing.rosters.layouts import Wanted
from schoolsync.testing.rosters.model import Moment, Size

_CHANGED = "2026-11-25T06:00:00.000Z"
# What a delta says: rows that are new or different, and the ids of those that are gone.
_DELTA = """
WITH after AS ({after}), before AS ({before})
SELECT * REPLACE ('active' AS "status", '{at}' AS "dateLastModified")
    FROM (SELECT * FROM after EXCEPT SELECT * FROM before)
UNION ALL SELECT * REPLACE ('tobedeleted' AS "status", '{at}' AS "dateLastModified")
    FROM before ANTI JOIN after USING ("sourcedId")
ORDER BY "sourcedId"
"""


def write(
    folder: Path,
    *,
    people: int,
    classes: int,
    enrollments: int,
    format: str = "sds-v1",  # noqa: A002  what it is called everywhere
    seed: int = 1,
    churn: float = 0.0,
    moment: Moment | None = None,
    guardians: bool = False,
    optional: bool = False,
    several_schools: bool = True,
    dirt: Mapping[str, int] | None = None,
    memory: str = "512MiB",
) -> None:
    """Write the files of a roster to `folder`, which is made when it is missing.

    `people` are pupils and teachers together, `enrollments` are links of both to classes. `moment` says when the
    district is looked at; `churn` alone is short for a day of so much change. `guardians` adds families, `optional`
    the files that need not be there; without `several_schools` nobody has two. `dirt` says which rules of
    docs/rules.md the roster breaks, and in how many rows. Raises ValueError for a size, a format or dirt that cannot
    be.
    """
    size = Size(people=people, classes=classes, enrollments=enrollments)
    when = moment or Moment(churn=churn)
    layout = _layout(format)
    folder.mkdir(parents=True, exist_ok=True)
    with _engine(memory) as db:
        model.prepare(db, size, when, seed=seed, guardians=guardians, several_schools=several_schools)
        for name, query in layout(Wanted(moment=when, guardians=guardians, optional=optional)).items():
            _copy(db, query, folder / name)
    for rule, times in (dirt or {}).items():
        spoiling.spoil(folder, rule, format=format, times=times)


def write_delta(
    folder: Path,
    *,
    people: int,
    classes: int,
    enrollments: int,
    before: Moment,
    after: Moment,
    format: str = "oneroster-1.2",  # noqa: A002
    seed: int = 1,
    guardians: bool = False,
    optional: bool = False,
    memory: str = "512MiB",
) -> None:
    """Write what changed between two moments as a OneRoster delta. Raises ValueError for other formats."""
    if not format.startswith("oneroster-"):
        raise ValueError("only OneRoster writes down what has changed")
    size = Size(people=people, classes=classes, enrollments=enrollments)
    layout = _layout(format)
    folder.mkdir(parents=True, exist_ok=True)
    with _engine(memory) as db, TemporaryDirectory(prefix="schoolsync-") as scratch:
        parts: dict[str, list[str]] = {}
        for place, moment in enumerate((before, after)):
            db.execute(f"CREATE SCHEMA moment{place}; SET schema = 'moment{place}'")
            model.prepare(db, size, moment, seed=seed, guardians=guardians, several_schools=True)
            for name, query in layout(Wanted(moment=moment, guardians=guardians, optional=optional)).items():
                path = Path(scratch, f"{place}-{name}.parquet")
                db.execute(f"COPY (SELECT COLUMNS(*)::VARCHAR FROM ({query})) TO '{path}' (FORMAT parquet)")  # noqa: S608
                parts.setdefault(name, []).append(f"FROM read_parquet('{path}')")
        present = {}
        for name, (old, new) in parts.items():
            if name == "manifest.csv":
                continue
            query = _DELTA.format(before=old, after=new, at=_CHANGED)
            if db.execute(f"SELECT count(*) FROM ({query})").fetchone() != (0,):  # noqa: S608
                _copy(db, query, folder / name)
                present[name] = "delta"
        _copy(db, layouts.manifest(format.removeprefix("oneroster-"), present), folder / "manifest.csv")


def _layout(format: str) -> layouts.Layout:  # noqa: A002
    if format not in layouts.FORMATS:
        raise ValueError(f"there is no format {format}: known are {', '.join(layouts.FORMATS)}")
    return layouts.FORMATS[format]


@contextmanager
def _engine(memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with (
        TemporaryDirectory(prefix="schoolsync-") as scratch,
        roster_engine.opened(memory_limit=memory, scratch=scratch) as db,
    ):
        yield db


def _copy(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    target = str(path).replace("'", "''")
    db.execute(f"COPY ({query}) TO '{target}' (FORMAT csv, HEADER true)")
