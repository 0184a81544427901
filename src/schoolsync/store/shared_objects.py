"""Object storage that several machines share: S3 and what speaks its protocol, Azure Blob, Google Cloud, a folder.

Each machine has copies of what it works with below its `root`. Beside each copy, in a folder of its own, lies a *tag*:
the storage's version of the file (its ETag) and the copy's size and time. A copy that fits its tag, and whose tag fits
the storage, is not fetched again; one that does not fit its tag was written here and is sent. Requests that fail are
repeated with growing pauses for half a minute; after that the error is the world's, and whoever asked tries again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions
from obstore.store import from_url

from schoolsync import ticks
from schoolsync.errors import UsageError, WorldError
from schoolsync.folders import inside
from schoolsync.store.objects import ENCRYPTED, FILE_KEYS, UNFINISHED, Listed, Objects

PATIENCE = 30.0
"""Seconds that a request is repeated which the storage does not answer; option `retry_seconds`."""
FORGET_AFTER = 6 * 3600.0
"""Seconds after which a copy that nobody has used goes; longer than any stage of a run works."""
AT_ONCE = 4  # files on their way at the same moment
CHUNK = 5 * 1024 * 1024
_CLIENT = frozenset({"allow_http", "allow_invalid_certificates", "proxy_url", "root_certificate", "timeout"})

Meta = dict[str, Any]  # what obstore says of an object: values of several types


class SharedObjects(Objects):
    """Files in an object storage, with copies in a folder of this machine."""

    shared = True

    def __init__(self, root: Path, tags: Path, url: str, options: tuple[str, ...], *, prefix: str = "") -> None:
        """Files below `root` lie below `prefix` in the storage. Raises UsageError for an option that there is not."""
        super().__init__(root)
        self._tags = tags
        self._prefix = prefix
        self._store: Any = connected(url, options)  # one of obstore's classes
        self._known_folders: set[Path] = set()  # whose entries above them have been flushed
        self._disk = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None

    # --- keeping ---------------------------------------------------------------------------------------------------

    def keep(self, *paths: Path) -> None:
        """Send files, unless they are what was last sent or fetched."""
        for path in paths:
            with suppress(FileNotFoundError):  # what is not there is not kept
                state = path.stat()
                if not _fits(state, self._tag(path)):
                    self._send(path, state)

    def keep_folder(self, folder: Path) -> None:
        """Send what is new or has changed: folders first, the files beside them last."""
        found = [path for path in sorted(inside(folder)) if _finished(path)]
        self._all(self.keep, [path for path in found if path.parent != folder])
        self._all(self.keep, [path for path in found if path.parent == folder])

    def settle_folder(self, folder: Path) -> None:
        """Send what is new or has changed, and delete what is not here."""
        self.keep_folder(folder)
        for meta in list(self._list(folder)):
            path = self.root / self._key(meta)
            if not path.is_file():
                self.drop(path)

    def create(self, path: Path) -> bool:
        """Send a small file unless the storage has one of its key; False: it has."""
        state = path.stat()
        try:
            with told():
                put = obstore.put(self._store, self._at(path), path.read_bytes(), mode="create")
        except FileExistsError:
            return False
        self._note(path, put["e_tag"], state)
        return True

    def _send(self, path: Path, state: os.stat_result) -> None:
        with told():
            put = obstore.put(self._store, self._at(path), self._out(path), chunk_size=CHUNK, max_concurrency=2)
        self._settled(self._at(path))
        self._note(path, put["e_tag"], state)

    def _out(self, path: Path) -> Any:  # what obstore takes as content
        """What is sent of a file."""
        return path

    def _in(self, path: Path, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """What a file is of what was sent."""
        return pieces

    def _settled(self, at: str) -> None:
        """Have what was sent on the platter where the storage is a folder; every other kind has seen to that."""
        if self._disk is None:
            return
        path = self._disk / at
        _flush(path)
        while path != self._disk:
            path, below = path.parent, path
            if below in self._known_folders:
                break
            _flush(path)
            if below.is_dir():
                self._known_folders.add(below)

    # --- fetching --------------------------------------------------------------------------------------------------

    def fetch(self, path: Path) -> Path:
        """Have the file here as the storage has it."""
        with told():
            meta = dict(obstore.head(self._store, self._at(path)))
        self._have(path, meta)
        return path

    def fetch_folder(self, folder: Path, *names: str) -> None:
        """Have the folder here as the storage has it; a copy of what the storage has no longer goes."""
        known = {self.root / self._key(meta): meta for meta in self._list(folder)}
        wanted = {path: meta for path, meta in known.items() if not names or _matches(path.relative_to(folder), names)}
        for path in inside(folder):
            with suppress(FileNotFoundError):
                if path not in known and _fits(path.stat(), self._tag(path)):
                    path.unlink()
        self._all(lambda path: self._have(path, wanted[path]), list(wanted))

    def _have(self, path: Path, meta: Meta) -> None:
        tag = self._tag(path)
        with suppress(FileNotFoundError):
            if _fits(path.stat(), tag) and tag[0] == _plain(meta["e_tag"]):
                os.utime(self._tags / self.key(path))  # it has been used
                return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        try:
            with told(), os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as sink:
                got = obstore.get(self._store, self._at(path))
                for chunk in self._in(path, got.stream(min_chunk_size=CHUNK)):
                    sink.write(chunk)
                sink.flush()
                os.fsync(sink.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        self._note(path, got.meta["e_tag"], path.stat())

    # --- the rest --------------------------------------------------------------------------------------------------

    def copy(self, old: Path, new: Path) -> None:
        """Have the storage copy the file."""
        with told():
            obstore.copy(self._store, self._at(old), self._at(new))

    def drop(self, path: Path) -> None:
        """Delete the file in the storage, then its copy here."""
        with told():
            obstore.delete(self._store, self._at(path))
        self._forget(path)

    def drop_folder(self, folder: Path) -> None:
        """Delete the folder in the storage, then what is here of it. Raises OSError when something of that stays."""
        for some in _hundreds(meta["path"] for meta in self._list(folder)):
            with told():
                obstore.delete(self._store, some)
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        shutil.rmtree(self._tags / self.key(folder), ignore_errors=True)

    def folders(self, kind: str, *, tenant_id: str = "*", profile: str = "*") -> Iterator[Listed]:
        """The storage's folders of uploads or runs."""
        below = self.root / "tenants"
        if tenant_id != "*":
            below = below / tenant_id / "profiles"
            below = below if profile == "*" else below / profile / kind
        pattern = f"tenants/{tenant_id}/profiles/{profile}/{kind}/*"
        for key, metas in groupby(self._list(below), lambda meta: "/".join(self._key(meta).split("/")[:6])):
            if fnmatchcase(key, pattern):
                folder = self.root / key
                files = [(self.root / self._key(meta), _modified(meta)) for meta in metas]
                yield folder, [(path, modified) for path, modified in files if path.parent == folder]

    def export(self, target: Path) -> int:
        """Fetch all that the storage has into a folder, where nothing is remembered of the storage."""
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        count = 0
        for meta in self._list(self.root / "tenants"):
            path = target / self._key(meta)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with told(), path.open("wb") as sink:
                    for chunk in obstore.get(self._store, meta["path"]).stream(min_chunk_size=CHUNK):
                        sink.write(chunk)
                count += 1
            except FileNotFoundError:
                path.unlink()  # its time had come
        return count

    def take_in(self, folder: Path) -> None:
        """Copy the files of a backup below the root, and send them."""
        super().take_in(folder)
        self.keep_folder(self.root)

    def probe(self) -> None:
        """Ask the storage for the keys of files, which are there when its files are encrypted."""
        with told(), suppress(FileNotFoundError):
            obstore.head(self._store, f"{self._prefix}{FILE_KEYS}")
            if not self.sealed:
                raise UsageError(ENCRYPTED)

    def trim(self) -> None:
        """Forget copies that the storage has and nobody has used for some hours."""
        before = time.time() - FORGET_AFTER
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder) / name
                with suppress(FileNotFoundError):
                    if name.endswith(UNFINISHED):
                        if path.stat().st_mtime < before - 24 * 3600:
                            path.unlink()
                        continue
                    tag = self._tags / self.key(path)
                    if tag.stat().st_mtime < before and _fits(path.stat(), self._tag(path)):
                        self._forget(path)

    # --- inside ----------------------------------------------------------------------------------------------------

    def is_copy(self, path: Path) -> bool:
        """Whether a file here is what was last sent or fetched."""
        return _fits(path.stat(), self._tag(path))

    def _at(self, path: Path) -> str:
        return self._prefix.rstrip("/") if path == self.root else f"{self._prefix}{self.key(path)}"

    def _key(self, meta: Meta) -> str:
        return str(meta["path"]).removeprefix(self._prefix)

    def _list(self, folder: Path) -> Iterator[Meta]:
        with told():
            for chunk in obstore.list(self._store, self._at(folder)):
                for meta in chunk:
                    yield dict(meta)

    def _all(self, do: Callable[[Path], object], paths: list[Path]) -> None:
        if len(paths) < 2:
            for path in paths:
                do(path)
            return
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects") as threads:
            list(threads.map(do, paths))  # the first error comes out here

    def _tag(self, path: Path) -> tuple[str, int, int]:
        """Version, size and time of the copy that was last fetched or sent; those of no file when there is none."""
        try:
            version, size, changed = (self._tags / self.key(path)).read_text("utf-8").split("\n")
            return version, int(size), int(changed)
        except (OSError, ValueError):
            return "", -1, -1

    def _note(self, path: Path, version: str | None, state: os.stat_result) -> None:
        tag = self._tags / self.key(path)
        tag.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = tag.with_name(f"{tag.name}.{secrets.token_hex(4)}.part")
        aside.write_text(f"{_plain(version)}\n{state.st_size}\n{state.st_mtime_ns}", "utf-8")
        aside.replace(tag)

    def _forget(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        (self._tags / self.key(path)).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have a file, or the entries of a folder, on the platter."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def connected(
    url: str, options: tuple[str, ...], *, names: tuple[str, str] = ("storage_url", "storage_options")
) -> Any:  # one of obstore's classes
    """A connection to the storage of a URL. Raises UsageError for an option that its kind does not know.

    `names` are those of the settings that say both.
    """
    given = dict(option.split("=", 1) for option in options)
    patience = float(given.pop("retry_seconds", PATIENCE))
    client: Any = {name: given.pop(name) for name in _CLIENT & given.keys()}  # settings of reqwest
    for name in ("allow_http", "allow_invalid_certificates"):
        if name in client:
            client[name] = client[name].lower() == "true"
    if url.startswith("file:"):
        return from_url(url, mkdir=True, automatic_cleanup=True)
    backoff: Any = {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2}
    retry: Any = {"max_retries": 20, "retry_timeout": timedelta(seconds=patience), "backoff": backoff}
    config: Any = given  # names of one of the three kinds
    try:
        return from_url(url, config=config, client_options=client or None, retry_config=retry)
    except (exceptions.BaseError, ValueError) as problem:
        raise UsageError(f"The settings {names[0]} and {names[1]} do not fit: {_first(problem)}.") from problem


@contextmanager
def told() -> Iterator[None]:
    """What the storage says as one of our errors, or as Python says that a file is there or not."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except exceptions.AlreadyExistsError as problem:
        raise FileExistsError(str(problem)) from problem
    except (exceptions.UnauthenticatedError, exceptions.PermissionDeniedError) as problem:
        raise WorldError("The object storage refuses us: check its credentials and what they allow.") from problem
    except exceptions.BaseError as problem:
        raise WorldError(f"The object storage cannot be used: {_first(problem)}.") from problem
    except OSError as problem:  # of the copy here; what comes from the library has no number
        why = problem.strerror or _first(problem)
        raise WorldError(
            f"A file cannot be read or written now ({why}): look at the disk, then try again."
        ) from problem


def _first(problem: BaseException) -> str:
    line = str(problem).split("\n", 1)[0].strip()
    return line[:300].rstrip(".")


def _plain(version: str | None) -> str:
    """An ETag as every kind of answer has it."""
    return (version or "").strip('"')


def _fits(state: os.stat_result, tag: tuple[str, int, int]) -> bool:
    return (state.st_size, state.st_mtime_ns) == tag[1:]


def _finished(path: Path) -> bool:
    return not path.name.endswith(UNFINISHED) and not path.parent.name.endswith(UNFINISHED)


def _matches(path: Path, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path.as_posix(), name) for name in names)


def _modified(meta: Meta) -> int:
    changed: datetime = meta["last_modified"]
    return ticks.of(changed)


def _hundreds(paths: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    for path in paths:
        some.append(path)
        if len(some) == 500:
            yield some
            some = []
    if some:
        yield some
