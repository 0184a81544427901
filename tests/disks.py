"""Disks that are small, and full when a test wants them to be."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """Inside, a folder is a disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a small disk")
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder.stat()
    options = f"size={megabytes}m,mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tests", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Inside there is no room left on it."""
    rest = disk / "rest"
    with rest.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    assert not shutil.disk_usage(disk).free
    try:
        yield
    finally:
        rest.unlink()
