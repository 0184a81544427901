"""The folders below the scratch folder that workers put aside what does not fit into memory in, one for each worker.

A worker holds a lock on its own, so whoever comes later can tell the folders of the living from those of the dead. Each
of its engines holds one on a file in it: one that outlives its worker, be it frozen in the middle of a batch, is ended
before anybody takes over or ends a run of its. Standard library alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from schoolsync.errors import WorldError
from schoolsync.folders import listed

ENDS = 10.0
"""Seconds that a process may take to end that was killed."""
_ENGINE = "engine-"

_held: list[int] = []
_attended: set[Path] = set()


def own(root: Path, name: str) -> Path:
    """A folder of our own, for as long as this process lives; those of workers that are gone are removed."""
    sweep(root)
    made = root / f"worker-{os.getpid()}-{name}"
    made.mkdir(mode=0o700)
    lock = _lock(made)
    assert lock is not None
    _held.append(lock)
    return made


def attend(folder: Path) -> None:
    """Say in the worker's folder that this process, one of its engines, lives. Raises OSError when it is gone.

    May be said again.
    """
    if folder in _attended:
        return
    lock = os.open(folder / f"{_ENGINE}{os.getpid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _held.append(lock)
    _attended.add(folder)


def sweep(root: Path) -> None:
    """Remove the folders of workers that are gone; their engines are, too, when this returns.

    Raises WorldError when one cannot be ended.
    """
    for entry in listed(root, "worker-*"):
        lock = _lock(entry)
        if lock is not None:
            try:
                for engine in listed(entry, f"{_ENGINE}*"):
                    _end(engine)
                shutil.rmtree(entry, ignore_errors=True)
            finally:
                os.close(lock)


def _end(engine: Path) -> None:
    """End the process that holds the lock of an engine's file, if one does."""
    lock = os.open(engine, os.O_RDWR | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + ENDS
        while True:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            process = int(engine.name.removeprefix(_ENGINE))
            if time.monotonic() >= deadline:
                raise WorldError(f"Process {process}, an engine of a worker that is gone, does not end: end it.")
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
            time.sleep(0.01)
    finally:
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
