"""Keys of this installation: files under `keys/` that are made when first needed and never leave the machine.

Several processes may need a key at the same moment, before any of them made it: each writes its own candidate aside
and only the first to link it under the final name wins; everybody then reads the winner. A file that was replaced
is noticed at the next use. No SQLAlchemy here: `schoolsync token` works without a server and without a database.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from schoolsync.errors import WorldError

Key = TypeVar("Key")

ISSUER = "issuer.pem"
UPLOADS = "uploads.key"
UPLOADS_BYTES = 32
AUDIT = "audit.key"
AUDIT_BYTES = 32
CONSOLE = "console.key"
CONSOLE_BYTES = 32


class KeyFile(Generic[Key]):
    """One key, kept in a file that only its owner may read. Safe to share between threads."""

    def __init__(self, path: Path, *, make: Callable[[], bytes], load: Callable[[bytes], Key]) -> None:
        self._path = path
        self._make = make
        self._load = load
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._key: Key | None = None

    def get(self) -> Key:
        """The key; made if there is none, read again if the file was replaced.

        Raises WorldError when the file can be neither read nor made.
        """
        try:
            state = self._state() or self._created()
            if state != self._seen or self._key is None:
                with self._lock:
                    self._key, self._seen = self._load(self._path.read_bytes()), state
            return self._key
        except OSError as problem:
            raise WorldError(f"The key file {self._path} cannot be used: {problem.strerror}.") from problem
        except ValueError as problem:
            raise WorldError(
                f"The key file {self._path} is damaged: put back a good copy, or delete it to get a new key."
            ) from problem

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _created(self) -> tuple[int, int, int]:
        """Make the file, or find that another process has just done so."""
        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        candidate = folder / f".{self._path.name}.{secrets.token_hex(8)}"
        descriptor = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as sink:
                sink.write(self._make())
                sink.flush()
                os.fsync(sink.fileno())
            # A link, not a rename: it fails when the name is taken, so nobody's key is ever replaced.
            with suppress(FileExistsError):
                os.link(candidate, self._path)
        finally:
            candidate.unlink()
        sync_folder(folder)
        state = self._state()
        assert state is not None
        return state


def uploads_key(folder: Path) -> KeyFile[bytes]:
    """The key that signs upload URLs."""
    return _random(folder / UPLOADS, UPLOADS_BYTES)


def audit_key(folder: Path) -> KeyFile[bytes]:
    """The key that seals the audit log."""
    return _random(folder / AUDIT, AUDIT_BYTES)


def console_key(folder: Path) -> KeyFile[bytes]:
    """The key that signs the console's cookies and the links that it makes."""
    return _random(folder / CONSOLE, CONSOLE_BYTES)


def _random(path: Path, length: int) -> KeyFile[bytes]:
    def load(content: bytes) -> bytes:
        if len(content) != length:
            raise ValueError("wrong length")
        return content

    return KeyFile(path, make=lambda: secrets.token_bytes(length), load=load)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a key file whole, or not at all."""
    candidate = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        candidate.replace(path)
        sync_folder(path.parent)
    except OSError as problem:
        candidate.unlink(missing_ok=True)
        raise WorldError(f"The key file {path} cannot be written: {problem.strerror}.") from problem


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
