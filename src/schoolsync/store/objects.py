"""Where the files of an installation are kept: uploads, plans, snapshots, findings, reports.

Everybody writes a file below `root` (aside, flushed, renamed), then says `keep`; everybody who wants to read one that
somebody else may have written says `fetch` first. Without object storage the folder is the storage and both cost
nothing. With the setting `storage_url` the folder holds copies and `store.shared_objects` moves them: a file is in the
storage when `keep` returns, and rows may name it from then on. With the setting `encrypt_files` the folder holds
decrypted copies outside of the data directory, and `store.sealed_objects` encrypts what is kept.

A file's *key* is its path below `root`, the same on every machine; rows hold keys, never paths.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from schoolsync import ticks
from schoolsync.errors import UsageError
from schoolsync.folders import inside, listed

if TYPE_CHECKING:
    from schoolsync.settings import Settings

Listed = tuple[Path, list[tuple[Path, int]]]
"""A folder, and the files in it with the time of their last change (ticks)."""

FILE_KEYS = "files.keys"
"""The encrypted keys of encrypted files, beside these."""
ENCRYPTED = "The stored files are encrypted: set encrypt_files, and give the key that they were encrypted with."

UNFINISHED = (".part", ".tmp", ".erasing", ".aside")
"""Endings of files and folders that are still being written: nobody's but their writer's."""


class Objects:
    """Files in a folder of this machine. Safe to share between threads and processes.

    Methods that reach out raise WorldError when the storage cannot be used.
    """

    shared = False
    """Whether other machines see the same files."""

    sealed = False
    """Whether files are encrypted where they are kept."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where the file or folder of a key is on this machine, once it has been fetched."""
        return self.root / key

    def key(self, path: Path) -> str:
        """The key of a file or folder below `root`."""
        return path.relative_to(self.root).as_posix()

    def keep(self, *paths: Path) -> None:
        """Files that are whole on this machine's disk are there for everybody when this returns; may be repeated."""

    def keep_folder(self, folder: Path) -> None:
        """The same for whatever in a folder is new or has changed; files of a folder before those beside it."""

    def settle_folder(self, folder: Path) -> None:
        """Have a folder everywhere as it is here, without what has gone from it here."""

    def fetch(self, path: Path) -> Path:
        """Have a file on this machine, as it was last kept. Raises FileNotFoundError when nobody has it."""
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def fetch_folder(self, folder: Path, *names: str) -> None:
        """Have a folder on this machine as it was last kept, or the files of it whose paths match one of the patterns.

        A folder that is nowhere is none.
        """

    def copy(self, old: Path, new: Path) -> None:
        """Keep the same bytes under another key, without moving them where that can be."""
        new.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            os.link(old, new)
        except OSError:
            shutil.copyfile(old, new)

    def drop(self, path: Path) -> None:
        """Have a file nowhere any more; one that is not there is fine."""
        path.unlink(missing_ok=True)

    def drop_folder(self, folder: Path) -> None:
        """Have a folder nowhere any more; one that is not there is fine. Raises OSError when something of it stays."""
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)

    def folders(self, kind: str, *, tenant_id: str = "*", profile: str = "*") -> Iterator[Listed]:
        """The folders of uploads (`uploads`) or runs (`runs`) that are kept, with the files right inside them."""
        for tenant in listed(self.root / "tenants", tenant_id):
            for owner in listed(tenant / "profiles", profile):
                for folder in listed(owner / kind):
                    with suppress(FileNotFoundError, NotADirectoryError):  # its time had come, or it is a file
                        yield folder, _files(folder)

    def export(self, target: Path) -> int:
        """Copy all that is kept below a new root; how many files there are."""
        return copy_files(self.root, target)

    def take_in(self, folder: Path) -> None:
        """Keep the files of a backup. Raises UsageError when they are encrypted and the settings do not say so."""
        if (folder / FILE_KEYS).exists():
            raise UsageError(ENCRYPTED)
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.is_dir():  # there is none in the backup of an installation without files
            shutil.copytree(folder, self.root, dirs_exist_ok=True, ignore=lambda _, names: _unfinished(names))

    def probe(self) -> None:
        """Raise WorldError unless files can be kept, UsageError when they are encrypted and the settings say no."""
        if (self.root / FILE_KEYS).exists():
            raise UsageError(ENCRYPTED)

    @property
    def file_keys(self) -> dict[str, str] | None:
        """What another process of ours needs to open the files; None when they are not encrypted."""
        return None

    def renew(self) -> bool:
        """Wrap the keys of files under the newest key of the vault; False when there is nothing to do."""
        return False

    @property
    def mixed(self) -> bool:
        """Whether files that were kept before encryption was switched on may lie among the encrypted ones."""
        return False

    def encrypt(self) -> int:
        """Encrypt those; how many there were. May run beside a server, and again."""
        return 0

    def trim(self) -> None:
        """Forget copies on this machine that nobody has used for a while."""

    def leave(self) -> None:
        """This process works with files no longer."""


@cache
def _open(root: Path, url: str | None, options: tuple[str, ...]) -> Objects:
    if url is None:
        return Objects(root)
    from schoolsync.store.shared_objects import SharedObjects  # loaded by those alone who have such a storage

    return SharedObjects(root, _tags(root), url, options)


@cache
def _open_sealed(root: Path, url: str | None, options: tuple[str, ...], home: Path, key: Settings) -> Objects:
    from schoolsync.access.vault import Vault  # these are loaded by those alone whose files are encrypted
    from schoolsync.store.sealed_objects import SealedObjects

    return SealedObjects(root, _tags(root), url, options, home=home, wrapping=lambda: Vault(key))


def _tags(root: Path) -> Path:
    return root.with_name("objects.tags")


def objects_of(settings: Settings) -> Objects:
    """The storage that the settings name."""
    if settings.encrypt_files:
        key = type(settings)(secrets_key=settings.secrets_key, secrets_key_file=settings.secrets_key_file)
        return _open_sealed(
            settings.objects, settings.storage_url, tuple(settings.storage_options), settings.kept_objects, key
        )
    return _open(settings.objects, settings.storage_url, tuple(settings.storage_options))


@cache
def _open_handed(
    root: Path, url: str | None, options: tuple[str, ...], home: Path, keys: tuple[tuple[str, str], ...]
) -> Objects:
    from schoolsync.store.sealed_objects import SealedObjects

    return SealedObjects(root, _tags(root), url, options, home=home, keys=dict(keys))


def opened(
    root: Path, url: str | None, options: Sequence[str], *, home: Path, file_keys: Mapping[str, str] | None = None
) -> Objects:
    """A storage as another process of ours has it; `file_keys` are that one's."""
    if file_keys is not None:
        return _open_handed(root, url, tuple(options), home, tuple(file_keys.items()))
    return _open(root, url, tuple(options))


def copy_files(source: Path, target: Path) -> int:
    """Copy what is in a folder and stays there; files that are still being written are not what any row names."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    count = 0
    for path in inside(source):
        if path.name.endswith(UNFINISHED):
            continue
        into = target / path.relative_to(source)
        into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):  # it was replaced or its time had come
            shutil.copy2(path, into)
            count += 1
    return count


def _unfinished(names: Sequence[str]) -> set[str]:
    return {name for name in names if name.endswith(UNFINISHED)}


def _files(folder: Path) -> list[tuple[Path, int]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_file():
                    found.append((Path(entry.path), ticks.UNIX_EPOCH + entry.stat().st_mtime_ns // 100))
    return found
