"""Which schools and kinds are set aside, and when they are tried again."""

from __future__ import annotations

from schoolsync.profiles.quarantine import Quarantine
from schoolsync.runs import asides
from schoolsync.runs.asides import Part
from schoolsync.runs.endings import DAY, HOUR
from schoolsync.runs.job import PartCount

NOW = 639_000_000_000_000_000
LIMITS = Quarantine()


def _after(*counts: PartCount, before: tuple[Part, ...] = (), limits: Quarantine = LIMITS) -> dict[object, Part]:
    return {part.school or part.kind: part for part in asides.whole(limits, counts, before, NOW)}


def _aside(*counts: PartCount, limits: Quarantine = LIMITS) -> set[object]:
    return {name for name, part in _after(*counts, limits=limits).items() if part.why is not None}


def students(failed: int, seen: int, school: str | None = None) -> PartCount:
    return PartCount(kind="student", school=school, failed=failed, seen=seen)


def test_a_school_needs_both_a_large_share_and_five_records() -> None:
    """As a profile does, by numbers of its own."""
    assert _aside(students(4, 4, "1"), students(4, 400)) == set()
    assert _aside(students(20, 100, "1"), students(20, 400)) == set()
    assert _aside(students(21, 100, "1"), students(21, 400)) == {"1"}
    assert _aside(students(21, 100, "1"), students(21, 400), limits=Quarantine(part_percent=30)) == set()


def test_a_kind_is_set_aside_for_what_fails_elsewhere_than_in_schools_that_are() -> None:
    """A hundred failures in one school are that school's; two in each of a hundred are the kind's."""
    assert _aside(students(100, 100, "1"), students(104, 300)) == {"1"}
    spread = [students(2, 5, str(number)) for number in range(100)]
    assert _aside(*spread, students(200, 500)) == {"student"}
    assert _aside(students(100, 100, "1"), *spread, students(300, 600)) == {"1", "student"}


def test_few_that_fail_again_and_again_set_a_school_aside_too() -> None:
    """Three runs in a row with five failures, whatever the share; fewer begin the count again."""
    few = (students(5, 1000, "1"), students(5, 9000))
    once = _after(*few)
    twice = _after(*few, before=tuple(once.values()))
    assert {part.why for part in twice.values()} == {None}
    thrice = _after(*few, before=tuple(twice.values()))
    assert thrice["1"].why == "5 of 1,000 students failed, 0 %"
    never = _after(*few, before=tuple(twice.values()), limits=Quarantine(part_runs=0))
    assert {part.why for part in never.values()} == {None}
    assert _after(students(4, 1000, "1"), students(4, 9000), before=tuple(thrice.values())) == {}


def test_it_is_tried_again_after_longer_and_longer_waits_and_given_up() -> None:
    """After 6, 12, 24 hours, then daily, for 28 days; a run of the whole profile that comes first changes nothing."""
    part = _after(students(50, 100, "1"), students(50, 900))["1"]
    assert (part.retry, part.gives_up) == (NOW + 6 * HOUR, NOW + 28 * DAY)
    still = _after(students(60, 100, "1"), students(60, 900), before=(part,))["1"]
    assert (still.retry, still.tries, still.failed) == (part.retry, 0, 60)
    waits, now = [], NOW
    while part.retry is not None:
        waits.append((part.retry - now) // HOUR)
        now = part.retry
        tried = asides.alone(LIMITS, part, (students(50, 100, "1"),), now)
        assert tried is not None
        part = tried
    assert waits[:4] == [6, 12, 24, 24]
    assert 28 <= part.tries <= 30
    assert asides.alone(LIMITS, part, (students(4, 100, "1"),), now) is None


def test_a_status_names_three_of_many() -> None:
    """And says how many more there are."""
    many = [students(50, 100, str(number)) for number in range(1, 6)]
    said = asides.told(asides.whole(LIMITS, (*many, students(250, 900)), (), NOW))
    assert said.startswith(" Set aside, to be tried again alone: school 1 (50 of 100 students failed, 50 %), school 2 ")
    assert said.endswith(" and 2 more.")
    assert asides.told(()) == ""
