"""Places where sets of files are put for schoolsync to take: a folder, or a prefix of an object storage.

Below either lie `<tenant>/<profile>/<file>`. Both are only read. Files that are still being written end in `.part` or
`.tmp`, or begin with a dot; the rest of a set counts once nobody has written to it for a while.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from schoolsync import ticks
from schoolsync.store.buckets import Bucket, Held

FILES_MAX = 1_000
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a set."""

    name: str
    size: int
    changed: int  # ticks
    version: str = ""


class Place(Protocol):
    """Where sets are looked for. Used by one thread. Raises OSError, or WorldError when it cannot be reached."""

    what: str
    """What the log calls it."""

    def look(self) -> bool:
        """See what is there; False when there is no such place."""

    def files(self, tenant_id: str, profile: str, *, anew: bool = False) -> list[Found]:
        """The files of a profile by name, as they were at the last look or as they are now."""

    def quiet(self, profile: str, files: list[Found], *, now: int, ticks_long: int) -> bool:
        """Whether nobody has written to them for so long."""

    def copy(self, tenant_id: str, profile: str, file: Found, target: Path) -> str:
        """Copy a file; returns its SHA-256. Raises OSError when it is not what was found."""


class _Since:
    """Since when the files of profiles have been these, by our own clock."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, int]] = {}  # profile -> its files, and when they were first seen

    def of(self, profile: str, files: list[Found], now: int) -> int:
        """Since when the files have been these (ticks); now, when they have not been seen before."""
        mark = fingerprint(files)
        if self._known.get(profile, ("", 0))[0] != mark:
            self._known[profile] = (mark, now)
        return self._known[profile][1]

    def forget_but(self, profiles: set[str]) -> None:
        """Forget everybody else."""
        self._known = {profile: since for profile, since in self._known.items() if profile in profiles}


class WatchedFolder:
    """A folder of this machine, or one that is mounted."""

    what = "folder"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._since = _Since()

    def look(self) -> bool:
        """See whether the folder is there."""
        return self._root.is_dir()

    def files(self, tenant_id: str, profile: str, *, anew: bool = False) -> list[Found]:
        """The plain files of the profile's folder, as they are now; links are not followed."""
        return sorted(_plain(self._root / tenant_id / profile), key=lambda file: file.name)

    def quiet(self, profile: str, files: list[Found], *, now: int, ticks_long: int) -> bool:
        """By the times of the files; where some are still to come, by our own clock: another machine's is ahead."""
        last = max((file.changed for file in files), default=0)
        if last > now:
            last = self._since.of(profile, files, now)
        return last <= now - ticks_long

    def copy(self, tenant_id: str, profile: str, file: Found, target: Path) -> str:
        """Copy a file, never what a link leads to."""
        source = os.open(self._root / tenant_id / profile / file.name, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(source, "rb") as reading, _new(target) as writing:
            return _poured(iter(lambda: reading.read(CHUNK), b""), writing)


class WatchedBucket:
    """A prefix of an object storage. One listing tells of the sets of all profiles."""

    what = "bucket"

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._seen: dict[tuple[str, str], list[Found]] = {}
        self._since = _Since()

    def look(self) -> bool:
        """List all there is."""
        self._seen = {}
        for held in self._bucket.below():
            owner = (held.tenant_id, held.profile)
            if _is_whole(held.name) and len(self._seen.setdefault(owner, [])) < FILES_MAX:
                self._seen[owner].append(_found(held))
        self._since.forget_but({profile for _, profile in self._seen})
        return True

    def files(self, tenant_id: str, profile: str, *, anew: bool = False) -> list[Found]:
        """The files of a profile, without those that are still being written."""
        if not anew:
            return sorted(self._seen.get((tenant_id, profile), []), key=lambda file: file.name)
        there = (_found(held) for held in self._bucket.below(tenant_id, profile) if _is_whole(held.name))
        return sorted(there, key=lambda file: file.name)

    def quiet(self, profile: str, files: list[Found], *, now: int, ticks_long: int) -> bool:
        """By our own clock: since when they have been these. The storage's clock is another one."""
        return self._since.of(profile, files, now) <= now - ticks_long

    def copy(self, tenant_id: str, profile: str, file: Found, target: Path) -> str:
        """Copy an object of the version that was found."""
        with _new(target) as writing:
            return _poured(self._bucket.read(f"{tenant_id}/{profile}/{file.name}", version=file.version), writing)


def fingerprint(files: Iterable[Found]) -> str:
    """What is another one when any file is."""
    said = "\n".join(f"{file.name} {file.size} {file.changed}{file.version and f' {file.version}'}" for file in files)
    return hashlib.sha256(said.encode(errors="surrogateescape")).hexdigest()


def _plain(folder: Path) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= FILES_MAX:
                    return
                state = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(state.st_mode) and _is_whole(entry.name):
                    yield Found(entry.name, state.st_size, ticks.UNIX_EPOCH + state.st_mtime_ns // 100)
    except (FileNotFoundError, NotADirectoryError):
        return


def _found(held: Held) -> Found:
    return Found(held.name, held.size, held.changed, held.version)


def _is_whole(name: str) -> bool:
    return not name.startswith(".") and not name.lower().endswith((".part", ".tmp"))


def _new(target: Path) -> IO[bytes]:
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _poured(pieces: Iterable[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        target.write(piece)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()
