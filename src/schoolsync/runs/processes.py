"""What the processes of one `serve` share: how settings are handed over, the clock, the ids."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schoolsync import ticks
from schoolsync.errors import Refusal, SchoolsyncError, UsageError, WorldError
from schoolsync.runs.dial import Dial
from schoolsync.settings import Settings
from schoolsync.store.objects import objects_of

READY = b"ready\n"
"""What a child says once it works, and what the API hears when the worker does."""
REFUSED = b"refused "
MISTAKEN = b"mistaken "
"""How a child's last word begins when it must not work here at all; the sentence for people follows."""
WORKER_READY = b"worker ready\n"
WORKER_GONE = b"worker gone\n"
SEEDED = b"seeded\n"
NOT_SEEDED = b"not seeded\n"
"""What the API says when the roster it was to be filled with is there, or cannot be."""


def clock() -> int:
    """Now, in ticks; as the fault dial has it, where there is one."""
    return real_clock() if _dial is None else real_clock() + _dial.read().offset


def real_clock() -> int:
    """Now, in ticks, whatever a dial says."""
    return ticks.of(datetime.now(UTC))


_dial: Dial | None = None


def follow(settings: Settings) -> Dial | None:
    """Let this process's clock follow the fault dial, where the settings have one."""
    global _dial
    _dial = Dial(settings.data_dir) if settings.faults else None
    return _dial


def new_id() -> str:
    """A fresh object id: a random GUID, as `uuid.uuid4` makes them, which takes three times as long."""
    digits = _random().hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


_BYTES = 16
_AT_ONCE = 256
_drawn: deque[bytes] = deque()
os.register_at_fork(after_in_child=_drawn.clear)


def _random() -> bytes:
    """Random bytes of the operating system, drawn for many ids at once: asking for them takes longer than the rest."""
    try:
        return _drawn.popleft()
    except IndexError:
        drawn = os.urandom(_BYTES * _AT_ONCE)
        _drawn.extend(drawn[start : start + _BYTES] for start in range(_BYTES, len(drawn), _BYTES))
        return drawn[:_BYTES]


def to_line(settings: Settings) -> bytes:
    """The settings as one line of JSON for a child process."""
    values = {entry.name: getattr(settings, entry.name) for entry in fields(Settings)}
    return json.dumps(values, default=str).encode() + b"\n"


def from_line(line: bytes) -> Settings:
    """The settings a parent handed over."""
    values: dict[str, Any] = json.loads(line)  # of every type a setting has
    for entry in fields(Settings):
        value = values[entry.name]
        if str(entry.type).startswith("Path") and value is not None:
            values[entry.name] = Path(value)
        elif isinstance(value, list):
            values[entry.name] = tuple(value)
    return Settings(**values)


def run(main: Callable[[], int]) -> int:
    """Run the main function of a child process; what the world does to it is one line, not a traceback."""
    try:
        return main()
    except Refusal as problem:
        return refuse(problem)
    except UsageError as problem:
        return refuse(problem, MISTAKEN)
    except SchoolsyncError as problem:
        sys.stderr.write(f"schoolsync: {problem}\n")
        return 1


def refuse(problem: SchoolsyncError, word: bytes = REFUSED) -> int:
    """Have the parent say why this process must not work here, or which setting keeps it from beginning."""
    sys.stdout.buffer.write(word + str(problem).encode() + b"\n")
    sys.stdout.buffer.flush()
    return 1


def make_folders(settings: Settings) -> None:
    """Make the data directory and what is in it; children's data is for the owner's eyes alone.

    Raises WorldError when it cannot be made or written.
    """
    os.umask(0o077)
    if settings.encrypt_files:
        objects_of(settings)  # makes the folder of decrypted copies ours, and clears what the dead have left there
    try:
        for folder in (
            settings.data_dir,
            settings.directories,
            settings.objects,
            settings.keys,
            settings.scratch,
        ):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
    except OSError as problem:
        raise WorldError(f"The data directory {settings.data_dir} cannot be used: {problem.strerror}.") from problem
