"""Has the n-th input or output of a server's processes fail, of files and of sessions of a database; turns their clock.

A small library (`failing.c`) stands between the processes and the kernel. It counts in a file that all of them and the
test have mapped, so that a test says in one place what is to fail, and sees what did.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("failing.c")
NEVER = 2**63
KILL = 0
"""In place of an error: the process dies before it reads or writes."""


class _Control(ctypes.Structure):
    """As `struct control` of failing.c."""

    armed: int
    writes: int
    first: int
    behind: int
    error: int
    count: int
    failed: int
    part: bytes
    said: bytes
    ahead: int
    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("armed", "writes", "first", "behind", "error", "count", "failed")),
        ("part", ctypes.c_char * 128),
        ("said", ctypes.c_char * 512),
        ("ahead", ctypes.c_int64),
    )


def compiler() -> str | None:
    """The C compiler that is here; none where a library cannot be put before a process as on Linux."""
    return shutil.which(os.environ.get("CC", "cc")) if sys.platform == "linux" else None


def needed() -> None:
    """A newcomer may do without a compiler, the check of a change may not."""
    if compiler() is not None:
        return
    reason = "there is no Linux with a C compiler here: install one, or name it in CC"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Failing:
    """What of the input and output of processes with `environment` fails."""

    def __init__(self, folder: Path, data: Path, ports: Sequence[int] = ()) -> None:
        """Only what lies below `data`, and what goes to one of `ports`, counts. Needs a C compiler."""
        folder.mkdir(parents=True, exist_ok=True)
        library, where = folder / "failing.so", folder / "failing"
        made = [str(compiler()), "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(made, check=True, timeout=60)
        where.write_bytes(bytes(ctypes.sizeof(_Control)))
        with where.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), ctypes.sizeof(_Control))
        self._control = _Control.from_buffer(self._mapped)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAILING_CONTROL": str(where),
            "FAILING_FOLDER": str(data),
            "FAILING_PORTS": ",".join(map(str, ports)),
        }

    def arm(self, first: int, behind: int = NEVER, *, error: int = errno.EIO) -> None:
        """From now on everything counts, and what is from the first on and before the other fails, or kills."""
        self._set(first, behind, error, part=None)

    def fill(self, part: str) -> None:
        """From now on there is no room for files with `part` in their path."""
        self._set(1, NEVER, errno.ENOSPC, part=part)

    def turn(self, ahead: int) -> None:
        """From now on the clock of all processes is so many seconds ahead of the true one, or behind it."""
        self._control.ahead = ahead

    def mend(self) -> None:
        """Nothing fails any more."""
        self._control.armed = 0

    @property
    def count(self) -> int:
        """How much there was since it was armed."""
        return self._control.count

    @property
    def failed(self) -> int:
        """How much of it failed."""
        return self._control.failed

    @property
    def said(self) -> str:
        """What failed first: the call, the file, the process."""
        return self._control.said.decode("utf-8", "replace")

    def _set(self, first: int, behind: int, error: int, *, part: str | None) -> None:
        control = self._control
        control.armed = 0
        control.first, control.behind, control.error = first, behind, error
        control.writes, control.part = part is not None, (part or "").encode()
        control.count = control.failed = 0
        control.said = b""
        control.armed = 1

    def close(self) -> None:
        self.mend()
        del self._control
        self._mapped.close()


@contextmanager
def failing(folder: Path, data: Path, ports: Sequence[int] = ()) -> Iterator[Failing]:
    """Nothing fails before it is armed, nor afterwards."""
    made = Failing(folder, data, ports)
    try:
        yield made
    finally:
        made.close()
