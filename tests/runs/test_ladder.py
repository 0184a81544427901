"""From a run that fails to quarantine and out of it: what the profile shows, and when it is tried again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select, update

from schoolsync import ticks
from schoolsync.errors import Conflict
from schoolsync.profiles import listing
from schoolsync.runs import looking
from schoolsync.runs.job import Finished, PartCount, Planned
from schoolsync.runs.one import wanted
from schoolsync.runs.records import Key
from schoolsync.runs.restarting import Scope
from schoolsync.runs.states import Cause, RunState
from schoolsync.store.control_tables import previews, profiles, runs

from .conftest import House

MINUTE = 60 * ticks.PER_SECOND
FULL = "A file of the run cannot be read or written (No space left on device)."


FINISHED = Finished(snapshot=None, input_hash="h", position=1, wakes=None)


def planned(*parts: PartCount, errors: int = 0) -> Planned:
    """A plan in which these have failed."""
    return Planned(
        plan="p",
        batches=1,
        rows=10,
        steps={},
        errors=errors,
        error_files=(),
        failed={"people": sum(part.failed for part in parts)},
        seen={"people": 1000},
        parts=parts,
        held=None,
    )


def due(house: House, profile: str) -> int | None:
    with house.control.read() as connection:
        found: int | None = connection.execute(select(profiles.c.due).where(profiles.c.id == profile)).scalar_one()
        return found


def ladder(house: House, profile: str) -> looking.Ladder:
    with house.control.read() as connection:
        return looking.ladder(connection, 1, profile)


def again(house: House, profile: str) -> Key:
    """The worker looks after the time has come, and takes up what it has begun."""
    when = due(house, profile)
    assert when is not None
    house.time[0] = max(house.time[0], when)
    house.journal.begin_due()
    key = Key(1, profile, house.run(profile).id, 1)
    assert house.journal.take(key)
    return key


def quarantined(house: House) -> tuple[str, str]:
    """A profile that the world has failed three times, and its upload."""
    profile = house.profile()
    upload = house.upload(profile)
    key = house.begin(profile)
    house.journal.failed(key, FULL, retry=True)
    for _ in range(2):
        house.journal.failed(again(house, profile), FULL, retry=True)
    return profile, upload


def test_the_same_files_are_tried_again_after_longer_and_longer_waits(house: House) -> None:
    """A full disk: one minute, ten minutes, then quarantine with its reason in numbers; a success leaves it."""
    profile = house.profile()
    upload = house.upload(profile)
    key = house.begin(profile)
    before = house.time[0]
    house.journal.failed(key, FULL, retry=True)
    assert 0 <= (due(house, profile) or 0) - before - MINUTE < MINUTE
    assert "Tried again at " in (house.status(profile).status_message or "")
    key = again(house, profile)
    assert (house.run(profile).cause, house.run(profile).upload) == (Cause.RETRY, upload)
    before = house.time[0]
    house.journal.failed(key, FULL, retry=True)
    assert 0 <= (due(house, profile) or 0) - before - 10 * MINUTE < MINUTE
    assert ladder(house, profile).failed_in_a_row == 2
    house.journal.failed(again(house, profile), FULL, retry=True)
    shown = house.status(profile)
    assert shown.status == "quarantined"
    assert "Quarantined: 3 runs in a row could not be finished. Tried again at " in (shown.status_message or "")
    found = ladder(house, profile)
    assert (found.quarantined, found.tries, found.failed_in_a_row) == (True, 0, 3)
    assert found.gives_up is not None
    house.journal.failed(again(house, profile), FULL, retry=True)
    assert ladder(house, profile).tries == 1


def test_a_retry_waits_no_longer_because_the_clock_was_ahead(house: House) -> None:
    """Set when it was weeks ahead, it comes a minute after the clock is right again."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    house.time[0] += 40 * 24 * 60 * MINUTE
    house.journal.begin_due()
    house.journal.failed(key, FULL, retry=True)
    house.time[0] -= 40 * 24 * 60 * MINUTE
    house.journal.begin_due()
    assert 0 < (due(house, profile) or 0) - house.time[0] <= MINUTE
    assert house.run(again(house, profile).profile).cause == Cause.RETRY


def test_a_run_of_which_too_much_failed_is_no_good_one(house: House) -> None:
    """Freshness goes by the run before, everywhere it is told."""

    def told() -> set[int | None]:
        with house.control.read() as connection:
            (listed,) = listing.named(connection, 1, "Contoso")
            (age,) = looking.freshness_of_all(connection, tenant=1)
            return {looking.freshness(connection, 1, profile).last_good, listed.last_good, age.last_good}

    profile = house.profile()
    house.upload(profile)
    for failed in (0, 500):
        key = house.begin(profile)
        house.journal.finished(
            key, planned(PartCount(kind="student", failed=failed, seen=1000), errors=failed), FINISHED
        )
        if not failed:
            good = told()
    assert house.status(profile).status == "quarantined"
    assert good == told() != {None}
    assert len(good) == 1


def test_a_run_that_fails_by_itself_is_not_tried_again(house: House) -> None:
    """What waiting does not mend waits for a person."""
    profile = house.profile()
    house.upload(profile)
    house.journal.failed(house.begin(profile), "This release cannot read that.")
    assert due(house, profile) is None
    assert house.status(profile).status == "error"


def test_a_pause_holds_the_next_try_back(house: House) -> None:
    """While paused nothing is tried; after the resume it is."""
    profile, _ = quarantined(house)
    house.ask("pause", profile)
    runs_before = house.run(profile).number
    house.time[0] = (due(house, profile) or 0) + MINUTE
    house.journal.begin_due()
    assert house.run(profile).number == runs_before
    house.ask("resume", profile)
    again(house, profile)
    assert house.run(profile).number == runs_before + 1


@pytest.mark.parametrize("scope", list(Scope))
def test_restarting(house: House, scope: Scope) -> None:
    """Each scope begins a run with the last files at once; only one of the ladder forgets what failed before."""
    profile, upload = quarantined(house)
    house.profiles.restart(house.script, profile, scope, now=house.clock())
    run = house.run(profile)
    assert (run.cause, run.upload) == (Cause.RESET if scope is Scope.EVERYTHING else Cause.AGAIN, upload)
    key = Key(1, profile, run.id, 1)
    assert house.journal.take(key)
    job = house.journal.job(key)
    assert job is not None
    assert job.again == (scope is not Scope.EVERYTHING)
    if scope is not Scope.EVERYTHING:
        with pytest.raises(Conflict, match="wait for its end"):
            house.profiles.restart(house.script, profile, scope, now=house.clock())
    house.journal.failed(key, FULL, retry=True)
    assert house.status(profile).status == ("quarantined" if scope is Scope.FAILED_ITEMS else "error")


def test_what_is_set_aside_is_tried_again_alone(house: House) -> None:
    """A school after six hours, from the last roster, while nothing is due for the profile; a success ends it."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.begins(key, RunState.APPLYING)
    failed = PartCount(kind="student", school="200", failed=30, seen=100)
    house.journal.finished(key, planned(failed, errors=30), FINISHED)
    assert house.status(profile).status == "error"
    (part,) = ladder(house, profile).aside
    assert (part.school, part.tries, due(house, profile)) == ("200", 0, part.retry)
    key = again(house, profile)
    assert (house.run(profile).cause, wanted(house.run(profile).only).only.source_id) == (Cause.ONE, "200")
    assert due(house, profile) is None
    house.journal.finished(key, planned(failed), FINISHED)
    (part,) = ladder(house, profile).aside
    assert (part.tries, due(house, profile)) == (1, part.retry)
    house.journal.failed(again(house, profile), FULL, retry=True)
    (part,) = ladder(house, profile).aside
    assert (part.tries, due(house, profile)) == (2, part.retry)
    house.journal.finished(again(house, profile), planned(), FINISHED)
    assert (ladder(house, profile).aside, due(house, profile)) == ((), None)
    assert house.status(profile).status == "error", "which a whole run alone can change"


def test_a_profile_that_is_due_itself_is_tried_whole(house: House) -> None:
    """What is set aside goes with it, and the next try of a profile that the world has failed is its own."""
    profile = house.profile()
    house.upload(profile)
    house.journal.finished(
        house.begin(profile), planned(PartCount(kind="class", failed=9, seen=30), errors=9), FINISHED
    )
    (part,) = ladder(house, profile).aside
    assert (part.kind, part.school) == ("class", None)
    house.journal.failed(house.begin(profile), FULL, retry=True)
    assert ladder(house, profile).aside == (part,)
    house.time[0] = (part.retry or 0) + MINUTE
    key = again(house, profile)
    assert (house.run(profile).cause, house.run(profile).only) == (Cause.RETRY, None)
    house.journal.finished(key, planned(), FINISHED)
    assert ladder(house, profile).aside == ()


def test_what_cannot_be_restarted(house: House) -> None:
    """A profile without files, a paused one and an expired one say why."""

    def refused(profile: str, why: str, **columns: Any) -> None:
        if columns:
            with house.control.write() as connection:
                connection.execute(update(profiles).where(profiles.c.id == profile).values(**columns))
        with pytest.raises(Conflict, match=why):
            house.profiles.restart(house.person, profile, Scope.QUARANTINE, now=house.clock())

    fresh = house.profile()
    refused(fresh, "upload the files")
    profile, _ = quarantined(house)
    house.ask("pause", profile)
    refused(profile, "resume it first")
    refused(profile, "expired", expiration_date="2020-01-01")


def test_a_preview_that_fails_is_nobodys_failure(house: House) -> None:
    """A dry run that the world has failed ends for good; the profile it was for is as before."""
    profile = house.profile()
    preview = "00000000-0000-4000-8000-00000000dddd"
    now = house.clock()
    with house.control.write() as connection:
        connection.execute(
            insert(previews).values(
                tenant=1, id=preview, profile=profile, created=now, created_by="delegated:a", expires=now + 60 * MINUTE
            )
        )
        run = {"tenant": 1, "profile": preview, "id": preview, "number": 0, "state": "queued", "cause": "preview"}
        connection.execute(insert(runs).values(**run, summary="{}", asked=now))
    before = house.status(profile)
    key = Key(1, preview, preview, 1)
    assert house.journal.take(key)
    house.journal.failed(key, FULL, retry=True)
    assert (house.run(preview).state, house.run(preview).message) == ("failed", FULL)
    assert (house.status(profile), due(house, profile)) == (before, None)
