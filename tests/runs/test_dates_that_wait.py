"""The dates of a roster: what becomes of them, and which roster a run that begins by itself works with."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update

from schoolsync import ticks
from schoolsync.runs import retention
from schoolsync.runs.job import Validated
from schoolsync.runs.plans import Plans
from schoolsync.runs.records import Key
from schoolsync.runs.states import Cause, RunState
from schoolsync.store.control_tables import profiles, runs, uploads

from .conftest import House
from .test_approvals import GOOD, HELD, caller
from .test_asking_for_runs import PLANNED, finished

HOUR = 3600 * ticks.PER_SECOND
OPERATOR = ("delegated", "schoolsync.operator")


def due(house: House, profile: str) -> int | None:
    with house.control.read() as connection:
        when: int | None = connection.execute(select(profiles.c.due).where(profiles.c.id == profile)).scalar_one()
        return when


def upload_of(house: House, key: Key) -> str:
    with house.control.read() as connection:
        return str(connection.execute(select(runs.c.upload).where(runs.c.id == key.run)).scalar_one())


def applied(house: House, profile: str, *, wakes: int | None) -> Key:
    """An upload is synchronized; something of it begins or ends at `wakes`."""
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    house.journal.finished(key, PLANNED, finished(house, wakes=wakes))
    return key


def held(house: House, profile: str) -> Key:
    """Another upload, whose plan a guard holds."""
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    house.journal.planned(key, HELD)
    assert house.run(profile).state == RunState.HELD
    return key


def refuse(house: House, plans: Plans, key: Key, how: str) -> None:
    """A person throws a run away, in one of the ways there are."""
    if how == "discard":
        plans.discard(caller(*OPERATOR), key.profile, key.run, plan="first", why="x", now=house.clock())
    else:
        plans.cancel(caller(*OPERATOR), key.profile, key.run, why="x", now=house.clock())


@pytest.mark.parametrize("how", ["discard", "cancel"])
def test_a_roster_that_was_refused_changes_no_date(house: House, plans: Plans, how: str) -> None:
    """The standing roster's date stays, and on it the standing roster is taken, not the refused one."""
    profile = house.profile()
    later = house.time[0] + 30 * HOUR
    first = applied(house, profile, wakes=later)
    refuse(house, plans, held(house, profile), how)
    assert due(house, profile) == later
    assert not house.journal.begin_due()
    house.time[0] = later
    assert house.journal.begin_due()
    run = house.run(profile)
    assert (run.cause, run.upload) == (Cause.DUE, upload_of(house, first))


def test_a_date_that_came_while_a_plan_was_held_is_seen_to(house: House, plans: Plans) -> None:
    """Once the plan is thrown away; a plan of that very date that is thrown away is not made again."""
    profile = house.profile()
    later = house.time[0] + 30 * HOUR
    applied(house, profile, wakes=later)
    waiting = held(house, profile)
    house.time[0] = later + HOUR
    assert not house.journal.begin_due()
    assert house.run(profile).number == 2, "an open run is left alone"
    refuse(house, plans, waiting, "discard")
    assert house.journal.begin_due()
    assert house.run(profile).cause == Cause.DUE
    key = Key(1, profile, house.run(profile).id, 1)
    assert house.journal.take(key)
    assert house.journal.verified(key, GOOD)
    house.journal.planned(key, HELD)
    refuse(house, plans, key, "discard")
    assert due(house, profile) is None
    assert not house.journal.begin_due()


def test_an_undo_leaves_the_dates_of_the_roster_before(house: House) -> None:
    """What was taken back is not applied again by a date or by the clock."""
    profile = house.profile()
    later = house.time[0] + 30 * HOUR
    first = applied(house, profile, wakes=later)
    second = applied(house, profile, wakes=later + HOUR)
    assert due(house, profile) == later + HOUR
    undo = house.begin(profile)
    with house.control.write() as connection:
        connection.execute(update(runs).where(runs.c.id == undo.run).values(undoes=second.run, upload=None))
    house.journal.finished(undo, PLANNED, finished(house, wakes=None))
    assert due(house, profile) == later
    house.time[0] = later
    assert house.journal.begin_due()
    assert house.run(profile).upload == upload_of(house, first)


def test_a_start_that_is_refused_for_its_files_changes_no_date(house: House) -> None:
    """The caller is told what is wrong; everything is as before."""
    profile = house.profile()
    later = house.time[0] + 30 * HOUR
    applied(house, profile, wakes=later)
    house.upload(profile)
    bad = Validated(messages=(), errors=0, warnings=0, fatal=True)
    assert not house.journal.verified(house.begin(profile), bad)
    assert due(house, profile) == later


def test_a_run_that_was_cut_off_waits_for_a_person(house: House, plans: Plans) -> None:
    """Neither the half of one roster nor the one before is applied by a date: it comes again until somebody decides."""
    profile = house.profile()
    later = house.time[0] + 30 * HOUR
    applied(house, profile, wakes=later)
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    assert house.journal.planned(key, PLANNED) == PLANNED.batches
    assert house.journal.begins(key, RunState.APPLYING)
    plans.cancel(caller(*OPERATOR), profile, key.run, why="x", now=house.clock())
    assert not house.journal.applied(key, 1, PLANNED.rows)
    assert house.run(profile).state == RunState.CANCELLED
    assert due(house, profile) == later
    house.time[0] = later
    assert house.journal.begin_due()
    assert house.run(profile).number == 2
    again = due(house, profile)
    assert again is not None
    assert again > later
    undo = house.begin(profile)
    with house.control.write() as connection:
        connection.execute(update(runs).where(runs.c.id == undo.run).values(undoes=key.run, upload=None))
    house.journal.finished(undo, PLANNED, finished(house, wakes=None))
    house.time[0] = later
    assert due(house, profile) is None, "the date has come and gone"


def test_the_standing_roster_is_kept_beyond_its_time(house: House) -> None:
    """Files of the upload that dates will need are not deleted, however many newer ones were refused."""
    profile = house.profile()
    first = upload_of(house, applied(house, profile, wakes=None))
    old = []
    for _ in range(2):
        house.upload(profile)
        key = house.begin(profile)
        assert house.journal.verified(key, GOOD)
        old.append(upload_of(house, key))
        house.journal.failed(key, "broken")
    for name in (first, *old):
        folder = house.settings.objects / f"tenants/{house.person.tenant_id}/profiles/{profile}/uploads/{name}"
        folder.mkdir(parents=True)
    house.time[0] += (house.settings.retention_days + 1) * 24 * HOUR
    retention.sweep(house.control, house.settings, house.clock())
    with house.control.read() as connection:
        left = {row.id: row.state for row in connection.execute(select(uploads.c.id, uploads.c.state))}
    assert left == {first: "sealed", old[0]: "gone", old[1]: "sealed"}


def test_the_window_counts_what_was_cut_off_and_not_what_was_taken_back(house: House, plans: Plans) -> None:
    """A run that was applied, one that was cancelled halfway, and an undo of the first."""
    profile = house.profile()
    first = applied(house, profile, wakes=None)
    house.upload(profile)
    cut = house.begin(profile)
    assert house.journal.verified(cut, GOOD)
    house.journal.planned(cut, PLANNED)
    assert house.journal.begins(cut, RunState.APPLYING)
    plans.cancel(caller(*OPERATOR), profile, cut.run, why="x", now=house.clock())
    assert not house.journal.applied(cut, 1, PLANNED.rows)
    undo = house.begin(profile)
    job = house.journal.job(undo)
    assert job is not None
    assert [Path(tally).parent.name for tally in job.tallies] == [first.run]
    assert [one.run for one in job.cut_off] == [cut.run]
    for partly, counted in ((1, [first.run, undo.run]), (0, [undo.run])):
        with house.control.write() as connection:
            connection.execute(update(runs).where(runs.c.id == undo.run).values(undoes=first.run, upload=None))
            connection.execute(update(runs).where(runs.c.id == undo.run).values(state=RunState.APPLYING, summary="{}"))
        house.journal.finished(undo, PLANNED, finished(house, left_out=partly))
        after = house.begin(profile)
        job = house.journal.job(after)
        assert job is not None
        assert [Path(tally).parent.name for tally in job.tallies] == counted
        house.journal.failed(after, "over")
