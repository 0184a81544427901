"""What a look at an installation, or at what a profile reads from, comes to: one sentence for each thing looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at, how bad it is, and what to do about it."""

    check: str
    level: Level
    sentence: str
