"""What a run's verification found, kept in the run's folder: causes, numbers per school, and what changed in them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import duckdb
import msgspec

from schoolsync.roster import causes, statistics
from schoolsync.roster.statistics import Statistics
from schoolsync.runs.job import Base
from schoolsync.runs.places import FINDINGS, REPORT


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What the next run reads of it."""

    statistics: Statistics


def keep(
    db: duckdb.DuckDBPyConnection,
    folder: Path,
    base: Base | None,
    *,
    format: str = "",  # noqa: A002  what it is called everywhere
    why: str = "",
) -> dict[str, int]:
    """Write the report of the roster in the canonical tables; returns the numbers of the whole.

    To be called before records are left out. Written aside and renamed, so it is there whole or not at all.
    """
    counted = statistics.of(db)
    before = None if base is None else _before(Path(base.snapshot).parents[1])
    told = {
        "format": format,
        "why": why,
        "causes": [asdict(one) | {"message": one.message, "help": one.help} for one in causes.entries(db)],
        "statistics": asdict(counted),
        "changes": None if before is None else [asdict(one) for one in statistics.changes(before, counted)],
    }
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = folder / f"{REPORT}.tmp"
    temporary.write_bytes(msgspec.json.encode(told))
    temporary.replace(folder / REPORT)
    total = asdict(counted.total)
    return {"schools": len(counted.schools)} | {name: total[name] for name in statistics.COMPARED}


def keep_findings(db: duckdb.DuckDBPyConnection, folder: Path, fence: int) -> None:
    """Store all findings, in the order of files and lines, for whoever asks for the list; written aside and renamed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = folder / f"{FINDINGS}.{fence}"
    quoted = str(temporary).replace("'", "''")
    db.execute(
        'COPY (FROM roster.findings ORDER BY lower(file), line NULLS FIRST, rule, "column") '
        f"TO '{quoted}' (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE 20480)"
    )
    temporary.replace(folder / FINDINGS)


def _before(folder: Path) -> Statistics | None:
    """The numbers of the last applied run; None when they are not there any more."""
    try:
        return msgspec.json.decode((folder / REPORT).read_bytes(), type=_Kept).statistics
    except (OSError, msgspec.MsgspecError):
        return None
