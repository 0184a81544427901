"""When a profile synchronizes by itself: at times, or when its files are there. Pure: values in and out.

Cron expressions are those of Debian's cron with five fields, read in the profile's time zone; where clocks are put
forward or back, jobs at fixed times run once. Runs that were missed are caught up by one.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Annotated

import msgspec
from cronsim import CronSim, CronSimError

from schoolsync import ticks

FIELDS = 5
LEAST_MINUTES = 5
"""Between two times at which a profile synchronizes by itself."""
_LOOKED_AT = 3_000  # times of an expression, should its minutes alone not say how near they come
_LIKE = "30 2 * * 1-5 is half past two from Monday to Friday"


class Schedule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The setting `schedule` of a profile; docs/profiles.md has a row for each."""

    cron: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    every_minutes: Annotated[int, msgspec.Meta(ge=LEAST_MINUTES, le=60 * 24 * 31)] | None = None
    jitter_seconds: Annotated[int, msgspec.Meta(ge=0, le=6 * 3600)] = 0
    on_upload: bool = False  # starts by itself once the set of files is complete and quiet
    quiet_seconds: Annotated[int, msgspec.Meta(ge=1, le=24 * 3600)] = 120

    def __post_init__(self) -> None:
        """Refuse two rhythms, and an expression that is none. Raises ValueError."""
        if self.cron is None:
            return
        if self.every_minutes is not None:
            raise ValueError("schedule.cron: cron and everyMinutes exclude each other: leave one of them out")
        if len(self.cron.split()) != FIELDS:
            raise ValueError("schedule.cron: five fields are expected: minute, hour, day of month, month, day of week")
        try:
            next(CronSim(self.cron, datetime(2024, 1, 1, tzinfo=UTC)))
        except CronSimError as problem:
            raise ValueError(f"schedule.cron: it cannot be read ({problem}); {_LIKE}") from problem
        except StopIteration:
            raise ValueError(f"schedule.cron: it never comes; {_LIKE}") from None


def check_rhythm(schedule: Schedule) -> None:
    """Refuse times that come too close, when somebody sets them; a schedule that was stored is never refused. Raises
    ValueError."""
    if schedule.cron is None:
        return
    times = CronSim(schedule.cron, datetime(2024, 1, 1, tzinfo=UTC))
    minutes = sorted(times.minutes)
    close = any(two - one < LEAST_MINUTES for one, two in pairwise(minutes))
    if not close and 60 - minutes[-1] + minutes[0] < LEAST_MINUTES and len(times.hours) > 1:  # over the full hour
        least = timedelta(minutes=LEAST_MINUTES)
        close = any(two - one < least for one, two in pairwise(islice(times, _LOOKED_AT)))
    if close:
        raise ValueError(
            f"schedule.cron: two of its times are less than {LEAST_MINUTES} minutes apart; "
            f"*/{LEAST_MINUTES} * * * * is as often as can be"
        )


def following(schedule: Schedule, *, time_zone: str, after: int, seed: str) -> int | None:
    """When the schedule comes next behind `after`, both in ticks; None: it has no rhythm.

    Jitter is a delay that follows from `seed` (the profile) and the time: the same for whoever works it out.
    """
    if schedule.every_minutes is not None:
        due = after + schedule.every_minutes * 60 * ticks.PER_SECOND
    elif schedule.cron is not None:
        try:
            moment = next(CronSim(schedule.cron, ticks.moment(after).astimezone(ticks.zone(time_zone))))
        except StopIteration:
            return None
        due = ticks.of(moment.astimezone(UTC))
    else:
        return None
    if not schedule.jitter_seconds:
        return due
    dice = int.from_bytes(hashlib.sha256(f"{seed} {due}".encode()).digest()[:8], "big")
    return due + dice % (schedule.jitter_seconds * ticks.PER_SECOND)
