"""How runs end, and when a quarantined profile is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schoolsync.profiles.quarantine import Quarantine
from schoolsync.runs import endings
from schoolsync.runs.endings import HOUR, Past

NOW = 639_000_000_000_000_000
LIMITS = Quarantine()


def _applied(failed: dict[str, int], seen: dict[str, int], past: tuple[Past, ...] = ()) -> endings.Ending:
    return endings.applied(LIMITS, errors=sum(failed.values()), failed=failed, seen=seen, past=past, now=NOW)


def _broken(*past: Past, retry: bool = False, limits: Quarantine = LIMITS) -> endings.Ending:
    return endings.broken(limits, retry=retry, past=past, now=NOW)


def test_success_is_only_for_a_run_without_any_error() -> None:
    """A single record that could not be synchronized makes the run end in error."""
    assert _applied({}, {"people": 100}).status == "success"
    assert _applied({"people": 1}, {"people": 100}).status == "error"


def test_quarantine_needs_both_a_large_share_and_five_records() -> None:
    """Four of four is too few records, forty of a hundred is too small a share, five of twelve is enough."""
    assert _applied({"people": 4}, {"people": 4}).status == "error"
    assert _applied({"people": 40}, {"people": 100}).status == "error"
    assert _applied({"people": 5}, {"people": 12}).status == "quarantined"
    assert _applied({"classes": 5, "people": 1}, {"classes": 10, "people": 1000}).status == "quarantined"


def test_five_of_a_hundred_are_never_enough() -> None:
    """Their memberships of schools count against all memberships of schools."""
    failed = {"people": 5, "school_links": 5, "links": 5}
    assert _applied(failed, {"people": 100, "school_links": 104, "links": 900}).status == "error"


def test_three_broken_runs_in_a_row_quarantine_the_profile() -> None:
    """A success between them starts the count again."""
    broken = Past("error", True, NOW)
    fine = Past("success", False, NOW)
    assert _broken().status == "error"
    assert _broken(broken).status == "error"
    assert _broken(broken, fine, broken).status == "error"
    assert _broken(broken, broken).status == "quarantined"
    assert _broken(broken, broken, limits=Quarantine(runs_in_a_row=4)).status == "error"
    assert _broken(limits=Quarantine(runs_in_a_row=1)).status == "quarantined"


def test_what_the_world_has_failed_is_tried_again_soon() -> None:
    """After one minute, then after ten, then the ladder of quarantine begins; a run that failed by itself waits."""
    broken = Past("error", True, NOW)
    assert _broken(retry=True).retry == NOW + endings.MINUTE
    assert _broken(broken, retry=True).retry == NOW + 10 * endings.MINUTE
    third = _broken(broken, broken, retry=True)
    assert (third.status, third.retry) == ("quarantined", NOW + 6 * HOUR)
    assert _broken(broken).retry is None
    assert _broken(retry=True, limits=Quarantine(retry_minutes=())).retry is None


def test_every_number_counts() -> None:
    """Other limits are other verdicts, and the reason names them."""
    many = {"people": 5}
    ending = _applied(many, {"people": 100})
    assert (ending.status, ending.rung) == ("error", None)
    strict = Quarantine(failed_percent=2, failed_least=3, wait_hours=(1,), give_up_days=1)
    ending = endings.applied(strict, errors=5, failed=many, seen={"people": 100}, past=(), now=NOW)
    assert (ending.status, ending.retry) == ("quarantined", NOW + HOUR)
    assert ending.rung is not None
    assert "5 of 100 people failed (5 %; more than 2 % and at least 3" in ending.rung.why
    assert ending.rung.gives_up == NOW + 24 * HOUR
    past = (Past("quarantined", False, NOW - 24 * HOUR),)
    late = endings.applied(strict, errors=5, failed=many, seen={"people": 100}, past=past, now=NOW)
    assert (late.status, late.retry) == ("quarantined", None)


def test_retries_come_after_6_12_and_24_hours_then_daily_then_never() -> None:
    """The wait grows with each failed retry; after 28 days the profile is left alone."""
    past: tuple[Past, ...] = ()
    now, waits = NOW, []
    while True:
        ending = endings.applied(LIMITS, errors=9, failed={"people": 9}, seen={"people": 9}, past=past, now=now)
        past = (Past(ending.status, False, now), *past)
        if ending.retry is None:
            break
        waits.append((ending.retry - now) // HOUR)
        now = ending.retry
    assert waits[:4] == [6, 12, 24, 24]
    assert 27 * 24 <= sum(waits) <= 29 * 24


@given(st.lists(st.sampled_from(["success", "error"]), max_size=5))
def test_one_success_leaves_quarantine(statuses: list[str]) -> None:
    """Whatever came before it, the first quarantine after another ending waits six hours."""
    past = tuple(Past(status, False, NOW - 1) for status in statuses)
    ending = endings.applied(LIMITS, errors=9, failed={"people": 9}, seen={"people": 9}, past=past, now=NOW)
    assert ending.retry == NOW + 6 * HOUR
