"""How a run ends: success, error or quarantine, and when a quarantined profile tries again. Pure: values in and out.

The thresholds are those of docs/operations.md: more than 40 % and at least five records of one kind failed, or three
runs failed in a row. A quarantined profile is tried again after 6, 12 and 24 hours, then daily, and given up 28 days
after its quarantine began. One success leaves quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from schoolsync import ticks

SHARE = 0.4
AT_LEAST = 5
FAILURES = 3
HOUR = 3600 * ticks.PER_SECOND
WAITS = (6 * HOUR, 12 * HOUR, 24 * HOUR)
GIVEN_UP = 28 * 24 * HOUR


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier run of the profile that ended by itself."""

    status: str  # the profile status it ended with
    failed: bool  # it could not be finished
    ended: int  # ticks


@dataclass(frozen=True, slots=True)
class Ending:
    """The profile status that a run ends with."""

    status: Literal["success", "error", "quarantined"]
    retry: int | None = None  # ticks when the profile tries again by itself


def applied(
    *, errors: int, failed: Mapping[str, int], seen: Mapping[str, int], past: Sequence[Past], now: int
) -> Ending:
    """The ending of a run whose plan was applied; `past` is newest first."""
    if not errors:
        return Ending("success")
    if any(count >= AT_LEAST and count > SHARE * seen[kind] for kind, count in failed.items()):
        return _quarantine(past, now)
    return Ending("error")


def broken(*, past: Sequence[Past], now: int) -> Ending:
    """The ending of a run that could not be finished; `past` is newest first."""
    before = past[: FAILURES - 1]
    if len(before) == FAILURES - 1 and all(run.failed for run in before):
        return _quarantine(past, now)
    return Ending("error")


def _quarantine(past: Sequence[Past], now: int) -> Ending:
    streak = []
    for run in past:
        if run.status != "quarantined":
            break
        streak.append(run)
    began = streak[-1].ended if streak else now
    if now - began >= GIVEN_UP:
        return Ending("quarantined")
    return Ending("quarantined", retry=now + WAITS[min(len(streak), len(WAITS) - 1)])


def repeated(*, past: Sequence[Past], now: int) -> Ending:
    """The ending of a run that found nothing changed in a quarantined profile."""
    return _quarantine(past, now)
