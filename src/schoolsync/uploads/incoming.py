"""One file on its way to disk: written beside its name, hashed as it grows, in bounded memory.

It gets its final name only when it is complete and on the platter, and the row that names it comes after that; so a
crash leaves at worst a file without a row, which the sweep deletes. Names on disk are made here, never by a client.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from schoolsync.access.keys import sync_folder
from schoolsync.errors import WorldError
from schoolsync.store.objects import Objects
from schoolsync.uploads.checksums import Digests
from schoolsync.uploads.refusals import BlobRefused

PART = ".part"


class Incoming:
    """A new object. Either `keep` or `abandon` ends it; `abandon` may be called again, from any thread."""

    def __init__(self, objects: Objects, key: str, *, largest: int, crc64: bool = False) -> None:
        self.key = key
        self.size = 0
        self.digests = Digests(crc64=crc64)
        self._objects = objects
        self._path = objects.path(key)
        self._part = self._path.with_name(self._path.name + PART)
        self._largest = largest
        self._lock = threading.Lock()
        self._kept = False
        _make_folder(self._path.parent, objects.root)
        self._descriptor: int | None = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: bytes) -> None:
        """Append; refuses what makes the file larger than it may be."""
        if self.size + len(data) > self._largest:
            raise too_large(self._largest)
        with self._lock:
            if self._descriptor is None:
                raise InterruptedError("the upload was abandoned")
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self.digests.update(data)
        self.size += len(data)

    def keep(self) -> None:
        """The file is complete: put it on the platter under its final name, and where all machines find it."""
        with self._lock:
            if self._descriptor is None:
                raise InterruptedError("the upload was abandoned")
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            self._part.rename(self._path)
        sync_folder(self._path.parent)
        self._objects.keep(self._path)
        self._kept = True

    def abandon(self) -> None:
        """Leave nothing behind."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
            for path in (self._part, self._path):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            if self._kept:  # what cannot be deleted now is left to the sweep
                self._kept = False
                with suppress(OSError, WorldError):
                    self._objects.drop(self._path)


def too_large(largest: int) -> BlobRefused:
    """The refusal of a body above `largest` bytes."""
    return BlobRefused("RequestBodyTooLarge", MaxLimit=str(largest))


def _make_folder(folder: Path, root: Path) -> None:
    """`folder` and what is missing above it, each entry durable before anything is put into it."""
    if folder.is_dir():
        return
    if folder != root:
        _make_folder(folder.parent, root)
    else:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    sync_folder(folder.parent)
