"""A school or a kind that is set aside, before the whole profile is quarantined. Pure: values in and out.

A part is set aside when more than `partPercent` of its records fail, or when enough of them fail in `partRuns` runs in
a row. It is tried again alone, from the last roster, on the same ladder as a profile in quarantine, and leaves it as
soon as fewer than `failedLeast` of its records fail. What fails in schools that are set aside does not set the kind
aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from schoolsync.profiles.quarantine import Quarantine
from schoolsync.runs.endings import DAY, HOUR
from schoolsync.runs.job import PartCount

KINDS = {"class": "classes", "student": "students", "teacher": "teachers"}


Kind = Literal["class", "student", "teacher"]
Name = tuple[str | None, Kind | None]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A school, or all of a kind, in which many records fail; kept with the profile's last whole run."""

    school: str | None = None  # SIS ID
    kind: Kind | None = None
    failed: int  # records, of the kind of which the most fail
    seen: int
    runs: int  # in a row with so many failures
    why: str | None = None  # in numbers; None: it is not set aside yet
    since: int | None = None  # ticks
    tries: int = 0  # how often it was tried again alone in vain
    retry: int | None = None  # ticks
    gives_up: int | None = None  # ticks

    @property
    def name(self) -> Name:
        """Which part it is."""
        return self.school, self.kind


def whole(limits: Quarantine, counts: Sequence[PartCount], before: Iterable[Part], now: int) -> tuple[Part, ...]:
    """The parts after a run of the whole profile."""
    known = {part.name: part for part in before}
    schools = [
        _judged(limits, (school, None), worst, known, now)
        for school in sorted({one.school for one in counts if one.school is not None})
        if (worst := _worst(limits, [one for one in counts if one.school == school])) is not None
    ]
    away = {part.school for part in schools if part.why is not None}
    kinds = []
    for one in counts:
        if one.school is None:
            apart = [two for two in counts if two.kind == one.kind and two.school in away]
            rest = msgspec.structs.replace(
                one,
                failed=one.failed - sum(two.failed for two in apart),
                seen=one.seen - sum(two.seen for two in apart),
            )
            if rest.failed >= limits.failed_least:
                kinds.append(_judged(limits, (None, one.kind), rest, known, now))
    return (*schools, *kinds)


def alone(limits: Quarantine, part: Part, counts: Sequence[PartCount] | None, now: int) -> Part | None:
    """A part after it was tried again alone; None when it is set aside no longer. Without counts the run failed."""
    if counts is not None:
        mine = [one for one in counts if (one.school, None) == part.name or (one.school, one.kind) == part.name]
        worst = _worst(limits, mine)
        if worst is None:
            return None
        part = msgspec.structs.replace(part, failed=worst.failed, seen=worst.seen, why=_why(worst))
    tries = part.tries + 1
    return msgspec.structs.replace(part, tries=tries, retry=_retry(limits, part, tries, now))


def next_try(parts: Iterable[Part]) -> int | None:
    """When the first of the parts is tried again alone."""
    return min((part.retry for part in parts if part.retry is not None), default=None)


def told(parts: Iterable[Part]) -> str:
    """What a status message says of the parts that are set aside."""
    said = [f"{called(part)} ({part.why})" for part in parts if part.why is not None]
    if not said:
        return ""
    more = f" and {len(said) - 3:,} more" if len(said) > 3 else ""
    return f" Set aside, to be tried again alone: {', '.join(said[:3])}{more}."


def called(part: Part) -> str:
    """The part in words."""
    return f"school {part.school}" if part.school is not None else f"all {KINDS[str(part.kind)]}"


def _worst(limits: Quarantine, counts: Iterable[PartCount]) -> PartCount | None:
    """The kind of a part of which the largest share fails, if that is enough to be looked at."""
    enough = [one for one in counts if one.failed >= limits.failed_least]
    return max(enough, key=lambda one: (one.failed / max(one.seen, 1), one.failed), default=None)


def _judged(
    limits: Quarantine,
    name: Name,
    worst: PartCount,
    known: dict[Name, Part],
    now: int,
) -> Part:
    before = known.get(name)
    part = Part(
        school=name[0],
        kind=name[1],
        failed=worst.failed,
        seen=worst.seen,
        runs=1 if before is None else before.runs + 1,
    )
    again = limits.part_runs and part.runs >= limits.part_runs
    stays = before is not None and before.why is not None
    if not (stays or again or 100 * worst.failed > limits.part_percent * worst.seen):
        return part
    if before is None or before.why is None:
        begun = msgspec.structs.replace(part, since=now, gives_up=now + limits.give_up_days * DAY, why=_why(worst))
        return msgspec.structs.replace(begun, retry=_retry(limits, begun, 0, now))
    since, tries, retry = before.since, before.tries, before.retry
    if retry is not None and retry <= now:  # this run was the next try
        tries += 1
        retry = _retry(limits, before, tries, now)
    return msgspec.structs.replace(
        part, why=_why(worst), since=since, tries=tries, retry=retry, gives_up=before.gives_up
    )


def _why(worst: PartCount) -> str:
    share = 100 * worst.failed / max(worst.seen, 1)
    return f"{worst.failed:,} of {worst.seen:,} {KINDS[worst.kind]} failed, {share:.0f} %"


def _retry(limits: Quarantine, part: Part, tries: int, now: int) -> int | None:
    if part.gives_up is None or now >= part.gives_up:
        return None
    return now + limits.wait_hours[min(tries, len(limits.wait_hours) - 1)] * HOUR


def load(stored: object) -> tuple[Part, ...]:
    """The parts that are kept in the summary of a run."""
    return msgspec.convert(stored or [], tuple[Part, ...])
