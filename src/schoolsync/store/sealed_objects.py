"""Files that are encrypted wherever they are kept: in `objects/` of the data directory or in an object storage.

What is worked with is a decrypted copy in a private folder outside of the data directory (the setting `clear_folder`),
because the roster engine reads files by their paths. Copies go when nobody has used them for some minutes; whatever is
left goes with the last process that works there, and what a killed one has left goes when the next one comes: everyone
holds a lock on the folder, and who finds nobody else's clears it. The keys of files lie beside them, encrypted with the
key of `access.vault`, so that a new one of that needs no file to be written again.
"""

from __future__ import annotations

import atexit
import base64
import fcntl
import json
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import obstore

from schoolsync.errors import UsageError, WorldError
from schoolsync.folders import inside
from schoolsync.store import sealing
from schoolsync.store.objects import FILE_KEYS, UNFINISHED
from schoolsync.store.shared_objects import CHUNK, Meta, SharedObjects, told

FORGET_AFTER = 600.0
"""Seconds after which a decrypted copy goes that nobody has used."""
UNFINISHED_AFTER = 4 * 3600.0
"""Seconds after which a file goes that nobody has gone on writing."""
HOLD_EVERY = 60.0
_PLACE = "files/"
_LOCK = "in-use.lock"
_LEAD = len(sealing.MARK)


class Wrapping(Protocol):
    """What `access.vault.Vault` does to secrets."""

    def seal(self, secret: str, *, place: str) -> str: ...
    def open(self, kept: str, *, place: str) -> str: ...
    def renewed(self, kept: str, *, place: str) -> str | None: ...


class _Kept(NamedTuple):
    """What `FILE_KEYS` holds."""

    keys: dict[str, str]  # encrypted, by their names, the newest last
    whole: bool  # no file is left from before encryption was switched on


class SealedObjects(SharedObjects):
    """Files in an object storage or in a folder, encrypted there, with decrypted copies in a folder of this machine."""

    sealed = True

    def __init__(
        self,
        root: Path,
        tags: Path,
        url: str | None,
        options: tuple[str, ...],
        *,
        home: Path,
        wrapping: Callable[[], Wrapping] | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        """Files lie in the storage of `url`, or below `home` without one.

        Their keys are found there and opened by what `wrapping` makes, or are `keys`: the latter for a process that
        is handed them, which holds what it has used for as long as it lives.
        """
        super().__init__(root, tags, url or home.absolute().as_uri(), options)
        self.shared = url is not None
        self._wrapping = wrapping
        self._known = None if keys is None else {name: base64.b64decode(key) for name, key in keys.items()}
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._folder = Folder(root.parent)
        if keys is not None:
            threading.Thread(target=self._hold, name="holding copies", daemon=True).start()

    # --- keys ------------------------------------------------------------------------------------------------------

    @property
    def file_keys(self) -> dict[str, str]:
        """The keys of files, for a process of ours that works with them."""
        return {name: base64.b64encode(key).decode() for name, key in self._keys().items()}

    def renew(self) -> bool:
        """Wrap the keys of files under the newest key of the vault; False when they were already."""
        kept = self._kept_keys()
        vault = self._vault()
        after = {name: vault.renewed(value, place=_PLACE + name) or value for name, value in kept.keys.items()}
        if after == kept.keys:
            return False
        self._write(_Kept(after, kept.whole))
        return True

    def _write(self, kept: _Kept) -> None:
        with told():
            obstore.put(self._store, self._keys_at, _written(kept))
        self._settled(self._keys_at)

    def probe(self) -> None:
        """Ask the storage, and open the keys of files."""
        super().probe()
        self._keys()

    def _keys(self) -> Mapping[str, bytes]:
        """The keys of files by their names, the newest last; made when there are none."""
        with self._lock:
            if self._known is None:
                kept = self._kept_keys().keys
                if not kept:
                    name = secrets.token_hex(sealing.ID_BYTES // 2)
                    fresh = base64.b64encode(secrets.token_bytes(sealing.KEY_BYTES)).decode()
                    sealed = {name: self._vault().seal(fresh, place=_PLACE + name)}
                    made = _written(_Kept(sealed, next(self._list(self.root / "tenants"), None) is None))
                    with suppress(FileExistsError), told():  # another process was first: its keys are the ones
                        obstore.put(self._store, self._keys_at, made, mode="create")
                    self._settled(self._keys_at)
                    kept = self._kept_keys().keys
                vault = self._vault()
                self._known = {
                    name: base64.b64decode(vault.open(value, place=_PLACE + name)) for name, value in kept.items()
                }
            return self._known

    def _kept_keys(self) -> _Kept:
        try:
            with told():
                content = bytes(obstore.get(self._store, self._keys_at).bytes())
        except FileNotFoundError:
            return _Kept({}, False)
        return _read(content)

    def _vault(self) -> Wrapping:
        assert self._wrapping is not None
        return self._wrapping()

    @property
    def _keys_at(self) -> str:
        return f"{self._prefix}{FILE_KEYS}"

    # --- what was there before -------------------------------------------------------------------------------------

    @property
    def mixed(self) -> bool:
        """Whether that may lie here unencrypted still."""
        return not self._kept_keys().whole

    def encrypt(self) -> int:
        """Encrypt it; how many files there were. What is written meanwhile is encrypted by whoever writes it."""
        done = 0
        unfinished = time.time() - UNFINISHED_AFTER
        for meta in list(self._list(self.root / "tenants")):
            with suppress(FileNotFoundError):  # its time has come meanwhile
                if meta["path"].endswith(UNFINISHED):
                    if meta["last_modified"].timestamp() < unfinished:
                        obstore.delete(self._store, meta["path"])
                    continue
                done += self._encrypted(meta)
        self._write(_Kept(self._kept_keys().keys, True))
        return done

    def _encrypted(self, meta: Meta) -> bool:
        """Encrypt one file; False when it was, or somebody has just written it anew."""
        at = meta["path"]
        with told():
            if meta["size"] and bytes(obstore.get_range(self._store, at, start=0, length=_LEAD)) == sealing.MARK:
                return False
        path = self.root / self._key(meta)
        self._have(path, meta)
        with told():
            if obstore.head(self._store, at)["e_tag"] != meta["e_tag"]:
                return False
        self._send(path, path.stat())
        return True

    # --- on the way out and in -------------------------------------------------------------------------------------

    def _out(self, path: Path) -> Any:  # what obstore takes as content
        pieces = self._sealed(path)
        return pieces if path.stat().st_size > CHUNK else b"".join(pieces)

    def _sealed(self, path: Path) -> Iterator[bytes]:
        keys = self._keys()
        name = next(reversed(list(keys)))
        salt = secrets.token_bytes(sealing.SALT_BYTES)
        return sealing.seal(_pieces(path), name=name, key=keys[name], owner=self._owner(path), salt=salt)

    def _in(self, path: Path, pieces: Iterable[bytes]) -> Iterable[bytes]:
        return sealing.unseal((bytes(piece) for piece in pieces), keys=self._keys(), owner=self._owner(path))

    def _owner(self, path: Path) -> str:
        """The tenant whose file it is."""
        return "/".join(path.relative_to(self.root).parts[:2])

    def take_in(self, folder: Path) -> None:
        """Keep the files of a backup; those that are encrypted in it as they are, with their keys."""
        if (folder / FILE_KEYS).exists():
            with told():
                obstore.put(self._store, self._keys_at, (folder / FILE_KEYS).read_bytes())
            self._settled(self._keys_at)
        self._keys()  # raises when the vault does not open them
        for path in sorted(inside(folder)):
            if path.parent != folder:
                into = self.root / path.relative_to(folder)
                with path.open("rb") as source:
                    sealed = source.read(len(sealing.MARK)) == sealing.MARK
                if not sealed:
                    into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    shutil.copyfile(path, into)
                    self.keep(into)
                    continue
                with told():
                    obstore.put(self._store, self._at(into), path)
                self._settled(self._at(into))

    def export(self, target: Path) -> int:
        """Copy what is kept, encrypted as it is, with the encrypted keys."""
        self._keys()
        count = super().export(target)
        (target / FILE_KEYS).write_bytes(_written(self._kept_keys()))
        return count

    # --- copies ----------------------------------------------------------------------------------------------------

    def trim(self) -> None:
        """Forget copies that nobody has used for some minutes, and what was never finished."""
        before = time.time()
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder) / name
                with suppress(FileNotFoundError):
                    changed = path.stat().st_mtime
                    if name.endswith(UNFINISHED):
                        if changed < before - UNFINISHED_AFTER:
                            path.unlink()
                        continue
                    tag = self._tags / self.key(path)
                    if tag.stat().st_mtime < before - FORGET_AFTER and self.is_copy(path):
                        self._forget(path)

    def leave(self) -> None:
        """Nothing more is worked with by this process; the last one clears the folder."""
        self._folder.leave()

    def _have(self, path: Path, meta: Meta) -> None:
        super()._have(path, meta)
        self._used.add(self.key(path))

    def _note(self, path: Path, version: str | None, state: os.stat_result) -> None:
        super()._note(path, version, state)
        self._used.add(self.key(path))

    def _hold(self) -> None:
        """Whoever works for long with the same files keeps them from being forgotten."""
        while True:
            time.sleep(HOLD_EVERY)
            for key in list(self._used):
                with suppress(OSError):
                    os.utime(self._tags / key)


class Folder:
    """The private folder of decrypted copies, shared by all processes of an installation on this machine."""

    def __init__(self, path: Path) -> None:
        """Work there; what the dead have left is removed first. Raises WorldError when it is not ours alone."""
        self._path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise WorldError(f"The folder of decrypted files {path} is not ours alone: remove it.")
            self._lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as problem:
            raise WorldError(f"The folder of decrypted files {path} cannot be used: {problem.strerror}.") from problem
        self._clear()
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self._left = False
        atexit.register(self.leave)

    def leave(self) -> None:
        """Go; the last one clears the folder. May be called again."""
        if not self._left:
            self._left = True
            self._clear()
            os.close(self._lock)

    def _clear(self) -> None:
        """Remove everything unless somebody works here."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        for entry in self._path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != _LOCK:
                entry.unlink(missing_ok=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while piece := source.read(sealing.PIECE):
            yield piece


def _written(kept: _Kept) -> bytes:
    return json.dumps({"version": 1, "keys": kept.keys, "whole": kept.whole}, indent=1).encode() + b"\n"


def _read(content: bytes) -> _Kept:
    try:
        found = json.loads(content)
        keys = {str(name): str(value) for name, value in found["keys"].items()}
        return _Kept(keys, found.get("whole") is True)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UsageError(f"{FILE_KEYS} beside the stored files is damaged: put back a good copy.") from problem
