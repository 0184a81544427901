"""Runs that begin by themselves: at times, when files are there, and never when they should not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from schoolsync import ticks
from schoolsync.runs.schedules import Schedules
from schoolsync.runs.states import Cause, RunState
from schoolsync.runs.watching import Found, WatchedBucket, WatchedFolder
from schoolsync.sources import FORMATS
from schoolsync.store.buckets import Bucket
from schoolsync.store.control_tables import profile_status, profiles, runs, upload_files, uploads
from schoolsync.uploads import sets

from .conftest import House

HOUR = 3600 * ticks.PER_SECOND
WHOLE = sorted(sets.NEEDED["sds-v1"])


@pytest.fixture
def watch(tmp_path: Path) -> Path:
    return tmp_path / "watch"


@pytest.fixture
def schedules(house: House, watch: Path) -> Schedules:
    return Schedules(
        control=house.control,
        settings=replace(house.settings, watch_folder=watch),
        runs=house.runs,
        uploads=house.uploads,
        clock=house.clock,
        new_id=house.runs._new_id,
    )


def profile_with(house: House, **schedule: Any) -> str:
    """A profile with a schedule, given as the API gives it."""
    profile = house.profile()
    house.profiles.change_settings(
        house.person, profile, {"schedule": schedule}, condition=lambda _: None, now=house.clock()
    )
    return profile


def upload(house: House, profile: str, names: list[str], *, state: str = "open", key: str = "a") -> str:
    """Files in a container."""
    now = house.clock()
    mine = {"tenant": 1, "profile": profile}
    with house.control.write() as connection:
        connection.execute(
            insert(uploads).values(**mine, id=key, state=state, opened=now, sealed=now if state == "sealed" else None)
        )
        for name in names:
            connection.execute(
                insert(upload_files).values(
                    **mine, upload=key, name=name, object=f"{key}{name}", size=1, sha256="0", etag="0", modified=now
                )
            )
    return key


def causes(house: House, profile: str) -> list[str]:
    with house.control.read() as connection:
        return list(
            connection.execute(select(runs.c.cause).where(runs.c.profile == profile).order_by(runs.c.number)).scalars()
        )


def ends(house: House, profile: str, state: RunState = RunState.DONE, status: str = "success", **columns: Any) -> None:
    """The open run ends, or is put aside, without a word."""
    with house.control.write() as connection:
        mine = (runs.c.profile == profile, runs.c.ended.is_(None))
        ended = None if state == RunState.HELD else house.clock()
        connection.execute(update(runs).where(*mine).values(state=state, ended=ended, **columns))
        own = {"own_status": status, "status": status}
        connection.execute(update(profile_status).where(profile_status.c.profile == profile).values(**own))


def synchronized(house: House, profile: str) -> str:
    """An upload that has been applied."""
    key = upload(house, profile, WHOLE, state="sealed")
    with house.control.write() as connection:
        house.runs.begin(connection, 1, profile, cause=Cause.START, upload=key, now=house.clock())
    ends(house, profile)
    return key


def scheduled(house: House, profile: str) -> int | None:
    with house.control.read() as connection:
        found: int | None = connection.execute(
            select(profiles.c.scheduled).where(profiles.c.id == profile)
        ).scalar_one()
        return found


def test_times_that_were_missed_are_caught_up_by_one_run(house: House, schedules: Schedules) -> None:
    """A day without a worker means one run, and the next one comes at the next time."""
    profile = profile_with(house, everyMinutes=60)
    synchronized(house, profile)
    schedules.begin_scheduled()
    assert causes(house, profile) == [Cause.START]
    house.time[0] += 24 * HOUR
    for _ in range(3):
        schedules.begin_scheduled()
    assert causes(house, profile) == [Cause.START, Cause.SCHEDULE]
    ends(house, profile)
    schedules.begin_scheduled()
    assert causes(house, profile) == [Cause.START, Cause.SCHEDULE]
    due = scheduled(house, profile)
    assert due is not None
    assert 0 < due - house.time[0] <= HOUR
    house.profiles.change_settings(
        house.person, profile, {"schedule": None}, condition=lambda _: None, now=house.clock()
    )
    assert scheduled(house, profile) is None


@pytest.mark.parametrize("rhythm", [{"everyMinutes": 60}, {"cron": "0 3 * * *", "jitterSeconds": 600}])
def test_a_clock_that_was_ahead_costs_no_nights(house: House, schedules: Schedules, rhythm: dict[str, Any]) -> None:
    """Weeks ahead a run is begun, and the next one set; once the clock is right again the next one comes in time."""
    profile = profile_with(house, **rhythm)
    due = scheduled(house, profile)
    synchronized(house, profile)
    schedules.begin_scheduled()
    house.time[0] += 40 * 24 * HOUR
    schedules.begin_scheduled()
    ends(house, profile)
    house.time[0] -= 40 * 24 * HOUR
    schedules.begin_scheduled()
    assert causes(house, profile) == [Cause.START, Cause.SCHEDULE]
    set_again = scheduled(house, profile)
    assert due is not None
    assert set_again is not None
    assert abs(set_again - due) < ticks.PER_SECOND
    house.time[0] = set_again
    schedules.begin_scheduled()
    assert causes(house, profile) == [Cause.START, Cause.SCHEDULE, Cause.SCHEDULE]


def test_a_schedule_waits_for_the_resume_and_passes_over_what_is_open(house: House, schedules: Schedules) -> None:
    """While paused nothing begins, afterwards one run does; a run that is open or held is left alone."""
    profile = profile_with(house, everyMinutes=60)
    synchronized(house, profile)
    house.ask("pause", profile)
    house.time[0] += 5 * HOUR
    schedules.begin_scheduled()
    assert len(causes(house, profile)) == 1
    house.ask("resume", profile)
    schedules.begin_scheduled()
    assert len(causes(house, profile)) == 2
    for state, held_for in ((RunState.APPLYING, None), (RunState.HELD, "guard")):
        ends(house, profile, RunState.HELD, "validationError", held_for=held_for)
        with house.control.write() as connection:
            connection.execute(update(runs).where(runs.c.profile == profile).values(state=state))
        house.time[0] += 2 * HOUR
        schedules.begin_scheduled()
        assert len(causes(house, profile)) == 2


def test_files_that_somebody_replaces_are_not_read_by_the_clock(house: House, schedules: Schedules) -> None:
    """A run that failed for good leaves its files in the inbox: a time that comes works with the standing roster."""
    profile = profile_with(house, everyMinutes=60)
    standing = synchronized(house, profile)
    schedules.begin_scheduled()
    for comes in (house.journal.begin_due, schedules.begin_scheduled):
        upload(house, profile, WHOLE[:-1], key=f"b{comes.__name__}")
        with house.control.write() as connection:
            house.runs.begin(connection, 1, profile, cause=Cause.START, upload=f"b{comes.__name__}", now=house.clock())
        ends(house, profile, RunState.FAILED, "error")
        house.time[0] += 2 * HOUR
        with house.control.write() as connection:
            due = house.clock() if comes == house.journal.begin_due else None
            connection.execute(update(profiles).where(profiles.c.id == profile).values(due=due))
        comes()
        assert house.run(profile).upload == standing
        ends(house, profile)
        with house.control.write() as connection:
            connection.execute(update(uploads).values(state="sealed", sealed=1))


def test_neither_quarantine_nor_expiry_is_passed_over(house: House, schedules: Schedules) -> None:
    """A quarantined profile keeps its own times until new files come; an expired one begins nothing."""
    profile = profile_with(house, everyMinutes=60, quietSeconds=1)
    upload(house, profile, WHOLE, state="sealed")
    with house.control.write() as connection:
        own = update(profile_status).where(profile_status.c.profile == profile)
        connection.execute(own.values(own_status="quarantined"))
    house.time[0] += 2 * HOUR
    schedules.begin_scheduled()
    assert causes(house, profile) == []
    upload(house, profile, WHOLE, key="b")
    house.time[0] += 2 * HOUR
    schedules.begin_scheduled()
    assert causes(house, profile) == [Cause.SCHEDULE]
    assert house.run(profile).upload == "b"
    ends(house, profile)
    with house.control.write() as connection:
        connection.execute(update(profiles).where(profiles.c.id == profile).values(expiration_date="2026-01-01"))
    house.time[0] += 2 * HOUR
    schedules.begin_scheduled()
    assert len(causes(house, profile)) == 1


def test_an_upload_begins_a_run_once_it_is_whole_and_quiet(house: House, schedules: Schedules) -> None:
    """Not before the last file is there, not while somebody writes, and only once; a held run gives way."""
    profile = profile_with(house, onUpload=True, quietSeconds=60)
    upload(house, profile, WHOLE[:-1])
    house.time[0] += HOUR
    schedules.begin_uploaded()
    assert causes(house, profile) == []
    with house.control.write() as connection:
        connection.execute(
            insert(upload_files).values(
                tenant=1,
                profile=profile,
                upload="a",
                name=f"monday/{WHOLE[-1].upper()}",
                object="x",
                size=1,
                sha256="0",
                etag="0",
                modified=house.clock(),
            )
        )
    schedules.begin_uploaded()
    assert causes(house, profile) == []
    house.time[0] += 61 * ticks.PER_SECOND
    schedules.begin_uploaded()
    schedules.begin_uploaded()
    assert causes(house, profile) == [Cause.UPLOAD]
    ends(house, profile, RunState.CANCELLED)
    schedules.begin_uploaded()
    assert causes(house, profile) == [Cause.UPLOAD], "a run that was cancelled is not begun again"
    with house.control.write() as connection:
        connection.execute(update(uploads).where(uploads.c.profile == profile).values(state="sealed", sealed=1))
        house.runs.begin(connection, 1, profile, cause=Cause.START, upload="a", now=house.clock())
    ends(house, profile, RunState.HELD, "validationError", held_for="findings")
    upload(house, profile, ["all.zip"], key="b")
    house.time[0] += 61 * ticks.PER_SECOND
    schedules.begin_uploaded()
    assert causes(house, profile) == [Cause.UPLOAD, Cause.START, Cause.UPLOAD]


def test_a_watched_folder_is_taken_over_when_its_files_are_others(
    house: House, schedules: Schedules, watch: Path
) -> None:
    """A whole, quiet set is copied and begun, once for every state of the files; the folder stays as it is."""
    profile = profile_with(house, quietSeconds=60)
    schedules.begin_watched(WatchedFolder(watch))
    folder = watch / house.person.tenant_id / profile
    folder.mkdir(parents=True)

    def put(name: str, text: str, *, at: int) -> None:
        (folder / name).write_text(text)
        seconds = (at - ticks.UNIX_EPOCH) // ticks.PER_SECOND
        os.utime(folder / name, (seconds, seconds))

    for name in WHOLE[:-1]:
        put(name, "SIS ID\n", at=house.clock())
    (folder / WHOLE[-1]).symlink_to("/etc/hostname")
    put("later.csv.part", "", at=house.clock())
    house.time[0] += HOUR
    schedules.begin_watched(WatchedFolder(watch))
    assert causes(house, profile) == [], "links are not followed, so the set is not whole"
    (folder / WHOLE[-1]).unlink()
    put(WHOLE[-1], "SIS ID\n", at=house.clock())
    schedules.begin_watched(WatchedFolder(watch))
    assert causes(house, profile) == [], "it was changed just now"
    house.time[0] += 61 * ticks.PER_SECOND
    schedules.begin_watched(WatchedFolder(watch))
    schedules.begin_watched(WatchedFolder(watch))
    assert causes(house, profile) == [Cause.WATCH]
    with house.control.read() as connection:
        files = house.uploads.files(connection, 1, profile, house.run(profile).upload)
    assert [file.name for file in files] == WHOLE
    assert all(file.path.read_text() == "SIS ID\n" for file in files)
    ends(house, profile)
    schedules.begin_watched(WatchedFolder(watch))
    assert len(causes(house, profile)) == 1
    put("School.csv".lower(), "SIS ID\n1\n", at=house.clock())
    house.time[0] += 61 * ticks.PER_SECOND
    schedules.begin_watched(WatchedFolder(watch))
    assert len(causes(house, profile)) == 2
    assert len(list(folder.iterdir())) == len(WHOLE) + 1


def test_files_of_a_machine_whose_clock_is_ahead_wait_no_longer(
    house: House, schedules: Schedules, watch: Path
) -> None:
    """By their times nobody would be done with them for hours; they are quiet when nothing changes for the set time."""
    profile = profile_with(house, quietSeconds=60)
    folder, place = watch / house.person.tenant_id / profile, WatchedFolder(watch)
    folder.mkdir(parents=True)
    ahead = (house.clock() + 3 * HOUR - ticks.UNIX_EPOCH) // ticks.PER_SECOND
    for number, name in enumerate(WHOLE):
        (folder / name).write_text("SIS ID\n")
        os.utime(folder / name, (ahead, ahead))
        schedules.begin_watched(place)
        house.time[0] += 40 * ticks.PER_SECOND
        schedules.begin_watched(place)
        assert causes(house, profile) == [], f"{number + 1} of {len(WHOLE)}, or only just all of them"
    house.time[0] += 30 * ticks.PER_SECOND
    schedules.begin_watched(place)
    schedules.begin_watched(place)
    assert causes(house, profile) == [Cause.WATCH]


def test_a_watched_bucket_is_taken_over_when_its_files_are_others(
    house: House, schedules: Schedules, tmp_path: Path
) -> None:
    """As a folder, with quiet told by our own clock alone; what changes while it is copied waits for the next look."""
    profile = profile_with(house, quietSeconds=60)
    bucket = Bucket((tmp_path / "bucket").as_uri(), ())
    folder = tmp_path / "bucket" / house.person.tenant_id / profile
    (folder / "inside").mkdir(parents=True)

    class Changing(WatchedBucket):
        """Somebody writes while a file is copied."""

        def copy(self, tenant_id: str, profile: str, file: Found, target: Path) -> str:
            (folder / "School.csv").write_text("SIS ID\n2\n")
            return super().copy(tenant_id, profile, file, target)

    place = WatchedBucket(bucket)

    def look(at: WatchedBucket = place) -> int:
        schedules.begin_watched(at)
        return len(causes(house, profile))

    for name in WHOLE[:-1]:
        (folder / name).write_text("SIS ID\n")
    (folder / f"{WHOLE[-1]}.part").write_text("")
    (folder / "inside" / WHOLE[-1]).write_text("")
    assert look() == 0
    house.time[0] += HOUR
    assert look() == 0, "it is not whole"
    (folder / WHOLE[-1]).write_text("SIS ID\n")
    os.utime(folder / WHOLE[-1], (0, 0))
    assert look() == 0, "what the storage says of times does not count"
    house.time[0] += 59 * ticks.PER_SECOND
    assert look() == 0
    house.time[0] += 2 * ticks.PER_SECOND
    assert look() == 1
    assert causes(house, profile) == [Cause.WATCH]
    with house.control.read() as connection:
        files = house.uploads.files(connection, 1, profile, house.run(profile).upload)
    assert [file.name for file in files] == WHOLE
    assert all(file.path.read_text() == "SIS ID\n" for file in files)
    ends(house, profile)
    assert look() == 1
    changing = Changing(bucket)
    (folder / "School.csv").write_text("SIS ID\n1\n")
    assert look(changing) == 1
    house.time[0] += 61 * ticks.PER_SECOND
    assert look(changing) == 1, "another one was there when it was copied"
    look()
    house.time[0] += 61 * ticks.PER_SECOND
    assert look() == 2


def test_a_whole_set_is_what_the_formats_say() -> None:
    """The files that make a set are those that its format requires, and the manifest where there is one."""
    for name, one in FORMATS.items():
        required = {file.name.lower() for file in one.files if file.required and file.paired is None}
        assert sets.NEEDED[name] == required | ({"manifest.csv"} if one.manifest else set())
