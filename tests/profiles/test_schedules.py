"""When a profile's schedule comes next, in its time zone."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from schoolsync import ticks
from schoolsync.profiles.schedules import Schedule, following


def times(schedule: Schedule, *, zone: str, after: str, count: int) -> list[str]:
    """The next times, as they are in UTC."""
    found, now = [], ticks.parse(after)
    for _ in range(count):
        due = following(schedule, time_zone=zone, after=now, seed="x")
        assert due is not None
        found.append(ticks.text(due))
        now = due
    return found


def test_cron_is_read_in_the_profiles_time_zone() -> None:
    """Half past five in Oslo is another time in UTC in summer than in winter."""
    schedule = Schedule(cron="30 5 * * MON-FRI")
    assert times(schedule, zone="Europe/Oslo", after="2026-10-23T00:00:00Z", count=3) == [
        "2026-10-23T03:30:00Z",
        "2026-10-26T04:30:00Z",
        "2026-10-27T04:30:00Z",
    ]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),  # 02:30 does not exist: at 03:00
        ("2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),  # 02:30 comes twice: the first
    ],
)
def test_a_job_at_a_fixed_time_runs_once_where_clocks_change(day: str, expected: list[str]) -> None:
    """Neither a missing hour nor a repeated one loses or doubles a run."""
    assert times(Schedule(cron="30 2 * * *"), zone="Europe/Oslo", after=day, count=2) == expected


def test_every_so_many_minutes() -> None:
    """The next time counts from the time before."""
    assert times(Schedule(every_minutes=90), zone="UTC", after="2026-01-01T00:10:00Z", count=2) == [
        "2026-01-01T01:40:00Z",
        "2026-01-01T03:10:00Z",
    ]
    assert following(Schedule(), time_zone="UTC", after=0, seed="x") is None


@given(some.integers(1, 6 * 3600), some.uuids(), some.integers(0, 10**6))
def test_jitter_delays_and_never_skips(jitter: int, seed: object, minutes: int) -> None:
    """A delay below the limit, the same whoever works it out, and times that only ever go forward."""
    after = ticks.parse("2026-01-01T00:00:00Z") + minutes * 60 * ticks.PER_SECOND
    plain = following(Schedule(cron="*/30 * * * *"), time_zone="UTC", after=after, seed=str(seed))
    late = Schedule(cron="*/30 * * * *", jitter_seconds=jitter)
    due = following(late, time_zone="UTC", after=after, seed=str(seed))
    assert plain is not None
    assert due is not None
    assert plain <= due < plain + jitter * ticks.PER_SECOND
    assert due == following(late, time_zone="UTC", after=after, seed=str(seed))
    found = [due]
    for _ in range(3):
        found.append(following(late, time_zone="UTC", after=found[-1], seed=str(seed)) or 0)
    assert all(one < two for one, two in pairwise(found))


@pytest.mark.parametrize(
    "given_",
    [
        {"cron": "* * * *"},
        {"cron": "0 0 5 * * *"},
        {"cron": "61 * * * *"},
        {"cron": "0 0 31 2 *"},
        {"cron": "0 5 * * *", "everyMinutes": 60},
        {"everyMinutes": 1},
        {"jitterSeconds": -1},
        {"quietSeconds": 0},
        {"often": True},
    ],
)
def test_what_is_no_schedule_is_refused(given_: dict[str, object]) -> None:
    """Wrong fields, days that never come, two rhythms, numbers out of range and unknown members."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given_, Schedule)
