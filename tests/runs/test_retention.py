"""What is deleted after its time, and what never is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from schoolsync.runs import accepted, retention
from schoolsync.runs.job import Finished, Planned, Validated
from schoolsync.runs.records import Key
from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import runs, uploads

MONTH = 31 * retention.DAY


def _synced(house: Any, profile: str) -> tuple[Path, Path]:
    """A good run with files on disk; the folders of its upload and of itself."""
    upload = house.upload(profile)
    key: Key = house.begin(profile)
    base = house.settings.objects / "tenants" / house.person.tenant_id / "profiles" / profile
    folders = base / "uploads" / upload, base / "runs" / key.run
    for folder in folders:
        (folder / "snapshot").mkdir(parents=True)
    planned = Planned(plan="p", batches=0, rows=0, steps={}, errors=0, error_files=(), failed={}, seen={}, held=None)
    assert house.journal.verified(key, Validated(messages=(), errors=0, warnings=0, fatal=False))
    assert house.journal.begins(key, RunState.APPLYING)
    snapshot = str(folders[1] / "snapshot")
    house.journal.finished(key, planned, Finished(snapshot=snapshot, input_hash="h", position=1, wakes=None))
    return folders


@pytest.mark.parametrize("at_once", [1, 2, 500])
def test_old_files_go_and_the_ones_still_needed_stay(house: Any, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Of two old runs the last one's snapshot and upload are kept: the next run and a reset need them."""
    monkeypatch.setattr(retention, "AT_ONCE", at_once)
    profile = house.profile()
    first, last = _synced(house, profile), _synced(house, profile)
    assert retention.sweep(house.control, house.settings, house.clock()) == 0
    assert retention.sweep(house.control, house.settings, house.clock() + MONTH) == 2
    assert [folder.exists() for folder in (*first, *last)] == [False, False, True, True]
    with house.control.read() as connection:
        states = connection.execute(select(uploads.c.state).order_by(uploads.c.opened)).scalars().all()
        assert states == ["gone", "sealed"]
        assert len(connection.execute(select(runs.c.id)).all()) == 2  # what happened stays listed
        assert house.uploads.latest_sealed(connection, 1, profile) == last[0].name


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.HELD, RunState.APPLYING])
def test_an_open_run_keeps_its_files_however_old(house: Any, state: RunState) -> None:
    """Somebody may resume it."""
    profile = house.profile()
    folders = _synced(house, profile)
    later = _synced(house, profile)
    with house.control.write() as connection:
        connection.execute(update(runs).where(runs.c.id == folders[1].name).values(state=state, ended=None))
    assert retention.sweep(house.control, house.settings, house.clock() + MONTH) == 0
    assert all(folder.exists() for folder in (*folders, *later))


def test_the_files_of_a_failed_run_stay_as_long_as_it_may_be_tried_again(house: Any) -> None:
    """Newer files were held and discarded since: by itself the profile still takes those that the world has failed."""
    profile = house.profile()
    failed, discarded = _synced(house, profile), _synced(house, profile)
    with house.control.write() as connection:
        for folders, state in ((failed, RunState.FAILED), (discarded, RunState.DISCARDED)):
            connection.execute(update(runs).where(runs.c.id == folders[1].name).values(state=state))
    retention.sweep(house.control, house.settings, house.clock() + MONTH)
    with house.control.read() as connection:
        assert accepted.upload_of_itself(connection, 1, profile) == failed[0].name
    assert failed[0].exists()
    assert discarded[0].exists()
