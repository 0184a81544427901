"""The condition of a profile, in the five words that notices know, and what a change from one to another is called.

Pure. A profile that is at work, paused or was never synchronized has no condition of its own: it stays what it was.
"""

from __future__ import annotations

from enum import StrEnum

from schoolsync import ticks
from schoolsync.profiles.status import Status

HOUR = 3600 * ticks.PER_SECOND


class Condition(StrEnum):
    """What a profile was last told to be."""

    GOOD = "good"
    HELD = "held"  # a run waits for a person
    FAILED = "failed"  # the last run failed, or its files were wrong
    QUARANTINED = "quarantined"
    STALE = "stale"  # nothing is wrong, but no run has ended well for too long


EVENTS = {
    Condition.HELD: "held",
    Condition.FAILED: "failed",
    Condition.QUARANTINED: "quarantined",
    Condition.STALE: "stale",
    Condition.GOOD: "recovered",
}
"""What the change to each condition is called."""

ADVICE = {
    "held": "A run waits for a person: look at its plan, then approve or discard it.",
    "failed": "The last run did not end well: its message says what to correct.",
    "quarantined": "Too much failed; it is tried again at longer and longer intervals until somebody mends the cause.",
    "stale": "No run has ended well for too long: look whether its files arrive.",
    "recovered": "All is well again.",
}


def condition(*, held: bool, status: str | None, last_good: int | None, stale_hours: int, now: int) -> Condition | None:
    """The condition that a profile is in now; None: it stays what it was."""
    if held:
        return Condition.HELD
    match status:
        case Status.QUARANTINED:
            return Condition.QUARANTINED
        case Status.ERROR | Status.VALIDATION_ERROR:
            return Condition.FAILED
        case Status.SUCCESS:
            old = stale_hours > 0 and last_good is not None and now - last_good > stale_hours * HOUR
            return Condition.STALE if old else Condition.GOOD
    return None


def event(before: str | None, after: Condition | None) -> str | None:
    """What is told of a change; None: nothing. That all is well is told to those alone who were told otherwise."""
    if after is None or after == before or (before is None and after is Condition.GOOD):
        return None
    return EVENTS[after]
