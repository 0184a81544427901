"""One installation per database: databases and files that belong together carry the same id.

Two installations over one database, each with files of its own, would take each other's runs and not find what was
uploaded for them. So an id is kept in the control database and beside the files, in the object storage or else in the
data directory, and nobody works with two that differ. Whatever moves an installation moves the id with it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from schoolsync.errors import Refusal, WorldError
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import installation
from schoolsync.store.database import insert_new

FILE = "installation"
"""In the data directory, or at the path of the object storage."""
_MOST = 64


def join(control: Control, settings: Settings, new_id: Callable[[], str]) -> None:
    """Have database and files belong together; they get an id when neither has one.

    Raises Refusal when they belong to two installations, WorldError when one of them cannot be asked.
    """
    there, here = known(control), beside_files(settings)
    if there is None:
        here = here or _place(settings, new_id())
        with control.write() as connection:
            connection.execute(insert_new(connection, installation), {"only": 1, "id": here})
        there = known(control)
        assert there is not None
    elif here is None and settings.storage_url is not None and _read(settings.data_dir / FILE) == there:
        here = _place(settings, there)  # its files have been in this data directory and are in a storage from now on
    refuse_strangers(there, here, settings)


def refuse_strangers(there: str | None, here: str | None, settings: Settings) -> None:
    """Raise Refusal when a database of the installation `there` and files of `here` do not belong together."""
    if there is None or there == here:
        return
    where = settings.storage_url or settings.data_dir
    if here is None:
        raise Refusal(
            f"The database belongs to an installation whose files are not in {where}: use the storage_url or data "
            f"directory that it has. If its files are there, put its id {there} into a file “{FILE}” beside them."
        )
    raise Refusal(
        f"The database belongs to another installation than the files in {where}: a database has one installation, so "
        "use the storage_url or data directory that belongs to it, or another database."
    )


def settle(control: Control, settings: Settings) -> None:
    """Let files that were just put where they are be those of the database."""
    there = known(control)
    if there is not None:
        refuse_strangers(there, _place(settings, there), settings)


def known(control: Control) -> str | None:
    """The id in the database."""
    with control.read() as connection:
        return connection.execute(select(installation.c.id)).scalar_one_or_none()


def beside_files(settings: Settings) -> str | None:
    """The id beside the files."""
    if settings.storage_url is None:
        return _read(settings.data_dir / FILE)
    import obstore

    from schoolsync.store import shared_objects  # loaded by those alone who have such a storage

    store = shared_objects.connected(settings.storage_url, settings.storage_options)
    with suppress(FileNotFoundError), shared_objects.told():
        return bytes(obstore.get(store, FILE).bytes())[:_MOST].decode("ascii", "replace").strip()
    return None


def _place(settings: Settings, name: str) -> str:
    """Put an id beside the files unless they have one; the one that they have."""
    if settings.storage_url is None:
        _write(settings.data_dir / FILE, name)
    else:
        import obstore

        from schoolsync.store import shared_objects

        store = shared_objects.connected(settings.storage_url, settings.storage_options)
        with suppress(FileExistsError), shared_objects.told():
            obstore.put(store, FILE, name.encode(), mode="create")
    placed = beside_files(settings)
    if placed is None:
        raise WorldError("The storage does not keep what is written to it.")
    return placed


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii", "replace")[:_MOST].strip()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise WorldError(f"{path} cannot be read: {problem.strerror}.") from problem


def _write(path: Path, name: str) -> None:
    """Whole or not at all, and never over another's."""
    aside = path.with_name(f".{FILE}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as sink:
            sink.write(name)
            sink.flush()
            os.fsync(sink.fileno())
        with suppress(FileExistsError):
            os.link(aside, path)
    except OSError as problem:
        raise WorldError(f"{path} cannot be written: {problem.strerror}.") from problem
    finally:
        aside.unlink(missing_ok=True)
