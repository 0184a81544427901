"""What the fault dial tells every process of an installation: how far its clock is off, and which stages are held.

A small file in the data directory, written by the API when somebody turns the dial and read by whoever needs it; only
with the setting `faults`. Without it nothing here is ever looked at.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = "faults.json"
POLL = 0.1
HOLDABLE = ("extracting", "validating")


@dataclass(frozen=True, slots=True)
class Turned:
    """Where the dial stands."""

    offset: int = 0  # ticks that the clock is ahead
    holds: Mapping[str, list[str]] = field(default_factory=dict)  # tenant's number -> stages that do not end


class Dial:
    """The dial's file. Safe to use from several processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._seen: tuple[int, int, int] | None = None
        self._turned = Turned()

    def read(self) -> Turned:
        """Where the dial stands now."""
        try:
            found = self._path.stat()
            state = found.st_ino, found.st_mtime_ns, found.st_size
            if state != self._seen:
                said = json.loads(self._path.read_bytes())
                self._turned, self._seen = Turned(int(said["offset"]), dict(said["holds"])), state
        except FileNotFoundError:
            self._turned, self._seen = Turned(), None
        return self._turned

    def write(self, turned: Turned) -> None:
        """Turn the dial."""
        aside = self._path.with_name(f".{FILE}.{secrets.token_hex(8)}")
        aside.write_text(json.dumps({"offset": turned.offset, "holds": turned.holds}))
        os.replace(aside, self._path)  # noqa: PTH105

    def hold(self, tenant: int, stage: str, superseded: Callable[[], bool]) -> None:
        """Wait while a stage of the tenant's runs is held, or until the run is nobody's any more."""
        while stage in self.read().holds.get(str(tenant), ()) and not superseded():
            time.sleep(POLL)
