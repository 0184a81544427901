"""`schoolsync db`, `backup` and `restore`: what administrators do with the databases as a whole."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from schoolsync.cli.answers import tell
from schoolsync.errors import UsageError
from schoolsync.settings import Settings
from schoolsync.store import backups, copying, schema


def upgrade(settings: Settings, *, finish: bool = False) -> int:
    """Bring the tables up to this release; 0 when they are."""
    if settings.database_url is None and not settings.control_db.exists():
        raise UsageError(f"There is no installation in {settings.data_dir} yet: serve makes its files.")
    version, oldest = schema.upgrade(settings, finish=finish)
    lines = [f"The database is up to date: it has schema {version}."]
    if oldest < version:
        lines.append(
            "The release before this one can still use it. When every process runs this release, type “schoolsync db "
            "upgrade --finish”."
        )
    tell(*lines, upgraded=True, schema=version, oldest=oldest)
    return 0


def copy(settings: Settings) -> int:
    """Copy the SQLite files of the data directory into the PostgreSQL of `database_url`."""
    if settings.database_url is None:
        raise UsageError("Set database_url to the PostgreSQL that the SQLite files shall be copied into.")
    source = replace(settings, database_url=None)
    if not source.control_db.exists():
        raise UsageError(f"There is no SQLite installation in {source.data_dir}.")
    with _nobody_serves(source.data_dir / "serve.lock"):
        counts = copying.copy(source, settings)
    tell(
        *(f"{table:<20} {rows:>12,}" for table, rows in counts.items() if rows),
        "Copied. Files, keys and certificates stay where they are; serve with database_url from now on.",
        copied=dict(counts),
    )
    return 0


def backup(settings: Settings, folder: Path) -> int:
    """Copy the whole installation into a new folder."""
    files = backups.back_up(settings, folder.absolute(), now=datetime.now(UTC).isoformat(timespec="seconds"))
    tell(f"Backed up to {folder}: the databases, the keys and {files:,} files.", folder=str(folder), files=files)
    return 0


def restore(settings: Settings, folder: Path) -> int:
    """Put a backup into an empty installation."""
    backups.restore(folder.absolute(), settings)
    tell(
        f"Restored {folder}. Serve it with --data-dir {settings.data_dir}.",
        folder=str(folder),
        dataDir=str(settings.data_dir),
    )
    return 0


@contextmanager
def _nobody_serves(path: Path) -> Iterator[None]:
    """Hold the lock that `serve` would hold."""
    with path.open("a+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{path.parent} is being served: stop that first.") from None
        yield
