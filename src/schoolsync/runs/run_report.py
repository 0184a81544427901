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

_WITH_SCHOOLS = """
WITH places AS (
    SELECT DISTINCT file, line FROM roster.findings WHERE line IS NOT NULL
), found AS (
    SELECT file, line, source_id AS school FROM roster.organizations SEMI JOIN places USING (file, line) WHERE is_school
    UNION ALL SELECT file, line, school_id FROM roster.classes SEMI JOIN places USING (file, line)
    UNION ALL SELECT file, line, school_id FROM roster.people SEMI JOIN places USING (file, line)
    UNION ALL SELECT file, line, school_id FROM roster.person_organizations SEMI JOIN places USING (file, line)
    UNION ALL SELECT one.file, one.line, classes.school_id
        FROM (FROM roster.enrollments SEMI JOIN places USING (file, line)) AS one
        JOIN roster.classes ON classes.source_id = one.class_id
    UNION ALL SELECT one.file, one.line, people.school_id
        FROM (FROM roster.contacts SEMI JOIN places USING (file, line)) AS one
        JOIN roster.people ON people.role = 'student' AND people.source_id = one.student_id
    UNION ALL SELECT file, line, CASE kind WHEN 'organizations' THEN source_id ELSE other END
        FROM roster.left_out WHERE kind IN ('organizations', 'person_organizations')
    UNION ALL SELECT one.file, one.line, classes.school_id FROM roster.left_out AS one
        JOIN roster.classes ON one.kind = 'enrollments' AND classes.source_id = one.source_id
    UNION ALL SELECT one.file, one.line, placed.school_id FROM roster.left_out AS one
        JOIN roster.person_organizations AS placed
        ON one.kind = 'people' AND placed.role = one.role AND placed.source_id = one.source_id
), known AS (
    SELECT source_id FROM roster.organizations
    UNION SELECT source_id FROM roster.left_out WHERE kind = 'organizations'
), schools AS (
    SELECT file, line, min(school) AS school FROM found SEMI JOIN known ON known.source_id = found.school GROUP BY ALL
)
SELECT findings.*, schools.school FROM roster.findings LEFT JOIN schools USING (file, line)
    ORDER BY lower(file), line NULLS FIRST, rule, "column"
"""


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
    """Store all findings, in the order of files and lines, for whoever asks for the list; written aside and renamed.

    Each says in whose records it is, where that is known: the school of the record in its line, left out or not.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = folder / f"{FINDINGS}.{fence}"
    quoted = str(temporary).replace("'", "''")
    db.execute(f"COPY ({_WITH_SCHOOLS}) TO '{quoted}' (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE 20480)")
    temporary.replace(folder / FINDINGS)


def _before(folder: Path) -> Statistics | None:
    """The numbers of the last applied run; None when they are not there any more."""
    try:
        return msgspec.json.decode((folder / REPORT).read_bytes(), type=_Kept).statistics
    except (OSError, msgspec.MsgspecError):
        return None
