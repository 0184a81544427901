"""The folders below the scratch folder that workers put aside what does not fit into memory in, one for each worker.

A worker holds a lock on its own, so whoever comes later can tell the folders of the living from those of the dead.
Standard library alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

_held: list[int] = []


def own(root: Path, name: str) -> Path:
    """A folder of our own, for as long as this process lives; those of workers that are gone are removed."""
    sweep(root)
    made = root / f"worker-{os.getpid()}-{name}"
    made.mkdir(mode=0o700)
    lock = _lock(made)
    assert lock is not None
    _held.append(lock)
    return made


def sweep(root: Path) -> None:
    """Remove the folders of workers that are gone."""
    for entry in root.glob("worker-*"):
        lock = _lock(entry)
        if lock is not None:
            shutil.rmtree(entry, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder; None when its worker holds it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
