"""Where runs keep their files. Standard library alone: every process of the house may ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schoolsync.settings import Settings

FINDINGS = "findings.parquet"
"""All findings of a run's roster, in the order of files and lines, inside the run's folder."""

REPORT = "report.json"
"""Causes, numbers per school and what changed in them (`runs.run_report`)."""

RECORDS = "records"
"""Folder of what was kept of a run's roster, for packages that hold changes alone (`sources.changes`)."""

ROSTER = "roster"
"""The roster as it was checked (`runs.kept_roster`): a folder inside the run's."""

TALLY = "tally.parquet"
"""What the run took away without a person's yes (`plan.guards.TALLY`), in its folder and in its plan's."""


def run_of(snapshot: str) -> str:
    """The run that keeps a snapshot, by the snapshot's key."""
    parts = snapshot.split("/")
    return parts[parts.index("runs") + 1]


def run_folder(settings: Settings, tenant_id: str, profile: str, run: str) -> Path:
    """Where a run keeps its plan, snapshot and reports."""
    return settings.objects / "tenants" / tenant_id / "profiles" / profile / "runs" / run
