"""How a run ends: success, error or quarantine, and when the profile tries again. Pure: values in and out.

The numbers are those of `profiles.quarantine`, explained in docs/operations.md. By default: more than 40 % and at least
five records of one kind failed, or three runs failed in a row. A run that the world has failed is tried again after a
minute, then after ten. A quarantined profile is tried again after 6, 12 and 24 hours, then daily, and given up 28 days
after its quarantine began. One success leaves quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from schoolsync import ticks
from schoolsync.profiles.quarantine import Quarantine

MINUTE = 60 * ticks.PER_SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier run of the profile that ended by itself."""

    status: str  # the profile status it ended with
    failed: bool  # it could not be finished
    ended: int  # ticks


@dataclass(frozen=True, slots=True)
class Rung:
    """Where a quarantined profile stands on the ladder."""

    why: str  # in numbers
    since: int  # ticks
    tries: int  # how often it was tried again in vain
    gives_up: int  # ticks


@dataclass(frozen=True, slots=True)
class Ending:
    """The profile status that a run ends with."""

    status: Literal["success", "error", "quarantined"]
    retry: int | None = None  # ticks when the profile tries again by itself
    rung: Rung | None = None


def applied(
    limits: Quarantine,
    *,
    errors: int,
    failed: Mapping[str, int],
    seen: Mapping[str, int],
    past: Sequence[Past],
    now: int,
) -> Ending:
    """The ending of a run whose plan was applied; `past` is newest first."""
    if not errors:
        return Ending("success")
    for kind, count in failed.items():
        if count >= limits.failed_least and 100 * count > limits.failed_percent * seen[kind]:
            share = 100 * count / seen[kind] if seen[kind] else 100
            why = (
                f"{count:,} of {seen[kind]:,} {kind.replace('_', ' ')} failed ({share:.0f} %; more than "
                f"{limits.failed_percent:g} % and at least {limits.failed_least:,} are too many)"
            )
            return _quarantine(limits, why, past, now)
    return Ending("error")


def broken(limits: Quarantine, *, retry: bool, past: Sequence[Past], now: int) -> Ending:
    """The ending of a run that could not be finished; `retry`: the world failed it, trying again may help."""
    failures = 1
    for run in past:
        if not run.failed:
            break
        failures += 1
    if failures >= limits.runs_in_a_row:
        return _quarantine(limits, f"{failures:,} runs in a row could not be finished", past, now)
    if not retry or not limits.retry_minutes:
        return Ending("error")
    return Ending("error", retry=now + _of(limits.retry_minutes, failures - 1) * MINUTE)


def repeated(limits: Quarantine, why: str, *, past: Sequence[Past], now: int) -> Ending:
    """The ending of a run that found nothing changed in a quarantined profile."""
    return _quarantine(limits, why, past, now)


def _quarantine(limits: Quarantine, why: str, past: Sequence[Past], now: int) -> Ending:
    streak = []
    for run in past:
        if run.status != "quarantined":
            break
        streak.append(run)
    since = streak[-1].ended if streak else now
    rung = Rung(why=why, since=since, tries=len(streak), gives_up=since + limits.give_up_days * DAY)
    if now >= rung.gives_up:
        return Ending("quarantined", rung=rung)
    return Ending("quarantined", retry=now + _of(limits.wait_hours, len(streak)) * HOUR, rung=rung)


def _of(waits: Sequence[int], number: int) -> int:
    return waits[min(number, len(waits) - 1)]
