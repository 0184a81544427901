"""What a caller may write into a profile's status, and what that does to our own runs."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from schoolsync import ticks
from schoolsync.errors import Conflict, Forbidden, NotFound, PreconditionFailed
from schoolsync.profiles import status
from schoolsync.profiles.status import Act, ProfileStatus, Status
from schoolsync.runs.states import HeldFor, OpenRun, RunState

NEW = ProfileStatus(
    status=None,
    status_message=None,
    error_count=0,
    last_synchronization=None,
    last_activity=None,
    own_status=None,
    version=1,
)
VALUES = [None, *Status]
OPEN = [
    OpenRun("r", 3, RunState.PLANNING, None, None),
    OpenRun("r", 3, RunState.PAUSED, None, None),
    OpenRun("r", 3, RunState.HELD, HeldFor.FINDINGS, None),
    OpenRun("r", 3, RunState.HELD, HeldFor.FATAL, None),
    OpenRun("r", 3, RunState.HELD, HeldFor.GUARD, None),
]


def _now(shown: str | None, own: str | None) -> ProfileStatus:
    return replace(NEW, status=shown, own_status=own)


@pytest.mark.parametrize(
    ("wanted", "shown", "own", "act"),
    [
        ("success", None, None, Act.REPORT),
        ("inProgress", None, None, Act.REPORT),
        ("unknownFutureValue", "success", "success", Act.REPORT),
        ("extracting", "success", "success", Act.REPORT),
        (None, "success", "success", Act.REPORT),
        ("success", "success", "error", Act.NOTHING),
        ("error", "success", "error", Act.WITHDRAW),
        ("unknownFutureValue", "validating", "validating", Act.NOTHING),
        ("validating", "validating", "validating", Act.NOTHING),
        ("paused", "success", "success", Act.PAUSE),
        ("paused", "paused", "paused", Act.NOTHING),
        ("paused", "success", "paused", Act.WITHDRAW),
        ("inProgress", "paused", "paused", Act.RESUME),
        ("inProgress", "validationError", "validationError", Act.RESUME),
        ("inProgress", "validationError", "success", Act.REPORT),
        ("inProgress", "quarantined", "quarantined", Act.REPORT),
    ],
)
def test_a_written_status_means(wanted: str | None, shown: str | None, own: str | None, act: Act) -> None:
    """Without an open run a value is nothing new, a pause, a resume, or kept as the caller's report."""
    assert status.decide(wanted, now=_now(shown, own), run=None) is act


@given(some.sampled_from(VALUES), some.sampled_from(VALUES), some.none() | some.sampled_from(OPEN))
def test_writing_back_what_was_read_never_disturbs(shown: str | None, own: str | None, run: OpenRun | None) -> None:
    """Whatever is shown, in either spelling of a late member, can be written back at any time."""
    seen = {shown, "unknownFutureValue" if shown in status.LATE_MEMBERS else shown}
    for value in seen:
        assert status.decide(value, now=_now(shown, own), run=run) is Act.NOTHING


@given(some.sampled_from(VALUES), some.sampled_from(OPEN))
def test_an_open_run_is_never_hidden(wanted: str | None, run: OpenRun) -> None:
    """While a run works, is paused or held, only its own status, a pause and a resume are taken; the rest says why."""
    own = {RunState.PAUSED: "paused", RunState.HELD: "validationError"}.get(run.state, "inProgress")
    allowed = {own: Act.NOTHING, "paused": Act.PAUSE}
    if own in ("paused", "validationError"):
        allowed["inProgress"] = Act.RESUME
    allowed[own] = Act.NOTHING
    if wanted in allowed:
        assert status.decide(wanted, now=_now(own, own), run=run) is allowed[wanted]
        return
    with pytest.raises(Conflict, match=r"^Run 3 of this profile is (planning|paused|held)") as caught:
        status.decide(wanted, now=_now(own, own), run=run)
    assert caught.value.target == "status"


@given(
    given=some.fixed_dictionaries(
        {},
        optional={
            "status_message": some.sampled_from([None, "", "a", "b"]),
            "error_count": some.none() | some.integers(0, 2**63 - 1),
            "last_synchronization": some.none() | some.integers(0, 3 * 10**18),
            "last_activity": some.none() | some.integers(0, 3 * 10**18),
            "status": some.sampled_from(VALUES),
        },
    ),
    act=some.sampled_from(Act),
)
def test_merging_keeps_what_was_not_given(given: dict[str, Any], act: Act) -> None:
    """Only given members change; the last activity moves with any change, unless the caller sets it."""
    assume(act is not Act.REPORT or "status" in given)
    before = replace(NEW, status="success", own_status="error", status_message="a", error_count=4, last_activity=5)
    changes = status.settle(given, before=before, act=act, now=99)
    after = {name: getattr(before, name) for name in status.initial("")} | changes
    for name, value in given.items():
        if name != "status":
            assert after[name] == value
    assert after["status"] == {Act.REPORT: given.get("status"), Act.WITHDRAW: "error"}.get(act, "success")
    untouched = set(after) - set(given) - {"status", "last_activity"}
    assert all(after[name] == getattr(before, name) for name in untouched)
    if "last_activity" not in given:
        changed = any(changes[name] != getattr(before, name) for name in changes if name != "last_activity")
        assert after["last_activity"] == (99 if changed else 5)
    assert "own_status" not in changes


def test_a_report_stands_until_our_next_transition(house: Any) -> None:
    """A reported status is shown until our own work moves on; the real state is kept beside it."""
    profile = house.made()
    house.ran(profile, "error")
    assert house.patch(profile, status="success").status == "success"
    assert house.status(profile).own_status == "error"
    house.clock.step()
    house.begin(profile)
    assert (house.status(profile).status, house.status(profile).own_status) == ("extracting", "extracting")


def test_reporting_starts_nothing(house: Any) -> None:
    """`inProgress` on a resting profile is recorded and begins no run."""
    profile = house.made()
    assert house.patch(profile, status="inProgress").status == "inProgress"
    assert house.open_run(profile) is None


def test_writing_the_real_status_withdraws_a_report(house: Any) -> None:
    """Who reports the state that is real takes the earlier report back."""
    profile = house.made()
    house.ran(profile, "error")
    house.patch(profile, status="success")
    assert house.patch(profile, status="error").status == "error"


def test_timestamps_keep_their_seventh_digit(house: Any) -> None:
    """A time with seven digits is read back to the last of them."""
    profile = house.made()
    moment = ticks.parse("2026-11-07T19:12:37.6472621Z")
    after = house.patch(profile, last_synchronization=moment, last_activity=moment + 1)
    assert ticks.text(after.last_synchronization or 0) == "2026-11-07T19:12:37.6472621Z"
    assert ticks.text(after.last_activity or 0) == "2026-11-07T19:12:37.6472622Z"


def test_every_member_can_be_cleared(house: Any) -> None:
    """Null clears any member, the error count too."""
    profile = house.made()
    house.patch(profile, status="success", status_message="x", error_count=3, last_synchronization=5, last_activity=6)
    after = house.patch(
        profile, status=None, status_message=None, error_count=None, last_synchronization=None, last_activity=None
    )
    shown = (after.status, after.status_message, after.error_count, after.last_synchronization, after.last_activity)
    assert shown == (None,) * 5


def test_a_change_moves_the_version_and_nothing_else_does(house: Any) -> None:
    """The version rises with a change and stays when nothing changes."""
    profile = house.made()
    first = house.patch(profile, status="success")
    house.clock.step()
    assert house.patch(profile, status="success") == first
    assert house.patch(profile) == first
    second = house.patch(profile, error_count=1)
    assert second.version == first.version + 1
    assert second.last_activity == house.clock()


def test_a_write_on_an_old_version_is_refused(house: Any) -> None:
    """Who read an older version is told so, and nothing changes."""
    profile = house.made()
    version = house.status(profile).version
    after = house.patch(profile, version=version, status="success")
    with pytest.raises(PreconditionFailed):
        house.patch(profile, version=version, status="error")
    assert house.status(profile) == after


def test_pausing_by_status_stops_the_run(house: Any) -> None:
    """Writing `paused` does to a run at work what pause does, and `inProgress` what resume does."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state="applying", shows="inProgress")
    assert house.patch(profile, status="paused", status_message="night").status == "paused"
    assert house.status(profile).status_message == "night"
    assert house.open_run(profile).wish == "pause"
    assert house.patch(profile, status="inProgress").own_status == "inProgress"
    assert house.open_run(profile).wish is None


def test_a_paused_profile_goes_back_to_how_its_last_run_ended(house: Any) -> None:
    """Resuming a profile that has nothing to do shows the ending of its last run again."""
    profile = house.made()
    house.ran(profile, "error")
    house.patch(profile, status="paused")
    assert house.patch(profile, status="inProgress").status == "error"


def test_findings_are_passed_over_by_people_alone(house: Any) -> None:
    """`inProgress` on a held roster resumes it for a person and is refused to a program, as resume is."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state="held", shows="validationError", held_for="findings")
    program = replace(house.admin, kind="application")
    with pytest.raises((Conflict, Forbidden)):
        house.profiles.change_status(
            program, profile, {"status": "inProgress"}, condition=house.always, now=house.clock()
        )
    assert house.status(profile).status == "validationError"
    assert house.patch(profile, status="inProgress").status == "inProgress"
    assert house.open_run(profile).state == "queued"


@pytest.mark.parametrize("held_for", ["fatal", "guard"])
def test_no_status_releases_a_hold(house: Any, held_for: str) -> None:
    """A run held by a guard or by missing files stays held whatever is written."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state="held", shows="validationError", held_for=held_for)
    before = house.status(profile)
    for value in [None, *Status]:
        if value in ("validationError", "paused"):
            continue
        with pytest.raises(Conflict):
            house.patch(profile, status=value, status_message="through?")
    assert house.status(profile) == before
    assert house.open_run(profile).state == "held"


def test_other_members_can_be_written_while_a_run_works(house: Any) -> None:
    """Only `status` is guarded while a run works."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state="applying", shows="inProgress")
    assert house.patch(profile, last_synchronization=77, status="inProgress").last_synchronization == 77


def test_clearing_goes_back_to_the_beginning(house: Any) -> None:
    """A deleted status is that of a new profile again, never missing."""
    profile = house.made()
    first = house.status(profile)
    house.ran(profile, "error")
    house.patch(profile, error_count=9, last_synchronization=1)
    house.profiles.clear_status(house.admin, profile, condition=house.always)
    after = house.status(profile)
    assert replace(after, version=1) == replace(first, version=1)
    assert after.version > first.version


@pytest.mark.parametrize("state", ["queued", "planning", "paused", "held"])
def test_clearing_is_refused_while_a_run_is_open(house: Any, state: str) -> None:
    """A status that stands for a run cannot be deleted under it."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state=state, shows="inProgress")
    with pytest.raises(Conflict, match=r"^Run 1"):
        house.profiles.clear_status(house.admin, profile, condition=house.always)


def test_another_tenant_finds_nothing(house: Any) -> None:
    """A status of another tenant's profile can neither be read nor written nor deleted."""
    profile = house.made()
    stranger = house.person("00000000-0000-0000-0000-00000000beef")
    with pytest.raises(NotFound):
        house.profiles.status(stranger.tenant, profile)
    with pytest.raises(NotFound):
        house.profiles.change_status(stranger, profile, {"status": "error"}, condition=house.always, now=1)
    with pytest.raises(NotFound):
        house.profiles.clear_status(stranger, profile, condition=house.always)
    assert house.status(profile).status is None


def test_concurrent_writers_lose_nothing(house: Any) -> None:
    """Writers of different members at the same time all get through, and every one of their changes is there."""
    profile = house.made()
    writes: list[dict[str, Any]] = [
        *({"error_count": number} for number in range(1, 11)),
        *({"status_message": f"m{number}"} for number in range(1, 11)),
        *({"last_synchronization": number} for number in range(1, 11)),
    ]
    start, problems, seen = threading.Barrier(len(writes)), [], []

    def write(columns: dict[str, Any]) -> None:
        start.wait()
        try:
            seen.append(house.patch(profile, **columns).version)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=write, args=(columns,)) for columns in writes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = house.status(profile)
    assert problems == []
    assert sorted(seen) == list(range(2, 2 + len(writes)))
    assert {after.error_count, after.status_message, after.last_synchronization}.isdisjoint({0, None})


def test_of_conditional_writers_one_wins(house: Any) -> None:
    """Of writers that name the same version exactly one gets through; the others are told."""
    profile = house.made()
    version = house.status(profile).version
    start, won, refused = threading.Barrier(8), [], []

    def write(number: int) -> None:
        start.wait()
        try:
            won.append(house.patch(profile, version=version, error_count=number).error_count)
        except PreconditionFailed:
            refused.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(refused) == 7
    assert house.status(profile).error_count == won[0]
