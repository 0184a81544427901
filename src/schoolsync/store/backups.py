"""A copy of a whole installation in a folder, made while it serves, and the way back.

A backup is an installation on SQLite files, whichever database it was made from: `control.db`, `directory/`,
`objects/`, `keys/` and `tls/`, with a `backup.json` that says what it is and is written last. Control rows are copied
before directories, and directories before files: what a run has done in between is in the directory's ledger and in
files, and the run goes on behind it after a restore. Checkpoints of the workflow library are not needed for that.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import select

from schoolsync import __version__
from schoolsync.access.keys import sync_folder
from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings
from schoolsync.store import copying, installation
from schoolsync.store.control import Control, open_control
from schoolsync.store.control_tables import profiles, tenants, upload_files, uploads
from schoolsync.store.database import world
from schoolsync.store.objects import copy_files, objects_of
from schoolsync.store.release import SCHEMA_VERSION

NOTE = "backup.json"
_TLS = "tls"
_TRIES = 3


def back_up(settings: Settings, folder: Path, *, now: str) -> int:
    """Copy the installation into `folder`, which must not be there; how many files of objects there are.

    Raises UsageError when the folder is there, WorldError when it cannot be written or files kept changing.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already: name a new folder.")
    if folder.resolve().is_relative_to(settings.data_dir.resolve()):
        raise UsageError(f"{folder} is inside the data directory, which a backup is of: name a folder elsewhere.")
    made = folder.with_name(f".{folder.name}.part")
    try:
        for _ in range(_TRIES):
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True, mode=0o700)
            copied = Settings(data_dir=made)
            if not _copy_databases(settings, copied):
                continue
            _settle(copied)
            count = objects_of(settings).export(copied.objects)
            copy_files(settings.keys, copied.keys)
            copy_files(settings.data_dir / _TLS, made / _TLS)
            if not _missing(copied):
                break
        else:
            raise WorldError(
                "Profiles or uploaded files kept coming and going while they were copied: try again when it is quieter."
            )
        note = {"schoolsync": __version__, "schema": SCHEMA_VERSION, "made": now}
        (made / NOTE).write_text(json.dumps(note), "utf-8")
        made.rename(folder)
        try:
            sync_folder(folder.parent)
        except OSError:
            folder.rename(made)  # it may be gone after a power cut: no backup then
            raise
    except OSError as problem:
        raise WorldError(f"The backup cannot be written to {folder}: {problem.strerror}.") from problem
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return count


def restore(folder: Path, settings: Settings) -> None:
    """Put a backup into an empty data directory, and into an empty PostgreSQL when the settings name one.

    Raises UsageError when `folder` is no backup of a release that this one knows, or there is something already.
    """
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{folder} is not a backup: it has no readable {NOTE}.") from problem
    if not isinstance(note, dict):
        raise UsageError(f"{folder} is not a backup: its {NOTE} says something else.")
    if note.get("schema") != SCHEMA_VERSION:
        raise UsageError(
            f"The backup was made by schoolsync {note.get('schoolsync')}: restore it with that release, then upgrade."
        )
    if settings.data_dir.exists() and any(settings.data_dir.iterdir()):
        raise UsageError(f"The data directory {settings.data_dir} is not empty: restore into a new one.")
    source = Settings(data_dir=folder)
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if settings.database_url is not None:
            copying.copy(source, settings)
        else:
            _copy_sqlite(source, settings)
        copy_files(source.keys, settings.keys)
        objects_of(settings).take_in(source.objects)
        _settle(settings)
        copy_files(folder / _TLS, settings.data_dir / _TLS)
    except BaseException as problem:
        for left in settings.data_dir.iterdir() if settings.data_dir.exists() else ():
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        if isinstance(problem, OSError):
            raise WorldError(f"The backup cannot be put back: {problem.strerror}.") from problem
        raise


def _settle(settings: Settings) -> None:
    """Databases and files belong together, as they did where the backup was made."""
    control = open_control(settings)
    try:
        installation.settle(control, settings)
    finally:
        control.close()


def _copy_databases(settings: Settings, copied: Settings) -> bool:
    """Copy them; False when profiles came or went meanwhile, whose rows some directory may have."""
    if settings.database_url is not None:
        copying.copy(settings, copied)  # one moment of everything
        return True
    _copy_sqlite(settings, copied)
    here, there = open_control(settings), open_control(copied)
    try:
        with there.write() as connection:
            copying.hand_over(connection)
        return _profiles(here) == _profiles(there)
    finally:
        here.close()
        there.close()


def _profiles(control: Control) -> list[tuple[int, int]]:
    chosen = select(profiles.c.tenant, profiles.c.number).order_by(profiles.c.tenant, profiles.c.number)
    with control.read() as connection:
        return [(row.tenant, row.number) for row in connection.execute(chosen)]


def _copy_sqlite(source: Settings, target: Settings) -> None:
    """SQLite's own way to copy a file that others write to."""
    if not source.control_db.exists():
        raise UsageError(f"There is no installation in {source.data_dir}.")
    target.directories.mkdir(parents=True, exist_ok=True, mode=0o700)
    _copy_file(source.control_db, target.control_db)
    try:
        with closing(sqlite3.connect(target.control_db)) as control:
            known = [str(tenant) for (tenant,) in control.execute("SELECT id FROM tenants ORDER BY number")]
    except sqlite3.Error as problem:
        raise WorldError("The copied database control.db cannot be read now.") from problem
    for tenant in known:  # a directory that came later has rows of a number that another tenant may get
        if source.directory_db(tenant).exists():
            _copy_file(source.directory_db(tenant), target.directory_db(tenant))


def _copy_file(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as here:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(target)) as there:
                here.backup(there)
    except sqlite3.Error as problem:
        raise WorldError(f"The database {source.name} cannot be copied now.") from problem


def _missing(copied: Settings) -> bool:
    """Whether an uploaded file that a row names is not in the copy."""
    control = open_control(copied)
    try:
        with world("copied database"), control.read() as connection:
            named = connection.execute(
                select(upload_files.c.object)
                .join(
                    uploads,
                    (uploads.c.tenant == upload_files.c.tenant)
                    & (uploads.c.profile == upload_files.c.profile)
                    & (uploads.c.id == upload_files.c.upload),
                )
                .join(tenants, tenants.c.number == uploads.c.tenant)
                .where(uploads.c.state != "gone")
            ).scalars()
            return any(not (copied.objects / name).exists() for name in named)
    finally:
        control.close()
