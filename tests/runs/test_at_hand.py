"""Whether there is work: what a worker asks before it looks, each time that somebody has written."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text, update

from schoolsync.profiles import housekeeping, status
from schoolsync.runs import at_hand
from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import profiles, runs
from schoolsync.store.database import is_postgresql

from .conftest import NOW, House


def there_is(house: House, at_work: int = 0) -> bool:
    return at_hand.is_something(house.control, house.clock(), at_work)


def set_(house: House, table: Any, **values: Any) -> None:
    with house.control.write() as connection:
        connection.execute(update(table).values(**values))


@pytest.fixture
def profile(house: House) -> str:
    """A profile that nothing is to be done for."""
    made = house.profile()
    assert not there_is(house)
    return made


def test_profiles_that_want_nothing_are_not_read(house: House) -> None:
    """However many there are: what a worker asks all the time finds by indexes whatever is to be done."""
    with house.control.read() as connection:
        server = is_postgresql(connection)
        if server:
            connection.execute(text("SET LOCAL enable_seqscan = off"))  # there are few here, and a look at all is quick
        explain = "EXPLAIN" if server else "EXPLAIN QUERY PLAN"
        asked = str(housekeeping.wanted("2026-09-01").compile(connection, compile_kwargs={"literal_binds": True}))
        asked = asked.replace("?", "'paused'")  # SQLAlchemy 2.1 leaves it out for SQLite
        plan = str(connection.exec_driver_sql(f"{explain} {asked}").all())
        if not server:  # it is not asked there
            asked = at_hand._LOOK_UP.text(connection.engine).replace(":now", str(NOW))
            plan += str(connection.exec_driver_sql(f"{explain} {asked}").all())
    assert "profiles_state" in plan
    assert "SCAN profiles" not in plan


def test_a_report_is_no_work(house: House, profile: str) -> None:
    """What monitors write all day lets no worker look; nor does a roster that waits for its start."""
    with house.control.write() as connection:
        status.change(connection, tenant=1, profile=profile, error_count=3, last_activity=NOW)
    house.upload(profile)
    assert not there_is(house)


def test_a_run_is_work_until_it_ends(house: House, profile: str) -> None:
    """It is taken up, looked after, and let be when a person has to decide or it is over."""
    house.upload(profile)
    house.begin(profile)
    for state in RunState:
        set_(house, runs, state=state)
        assert there_is(house) == (state in {"queued", "extracting", "validating", "planning", "applying"}), state
        assert there_is(house, at_work=1) == (state == "queued"), state  # every step of its attempt is a commit


@pytest.mark.parametrize("state", ["provisioning", "deleting"])
def test_profiles_come_and_go(house: House, profile: str, state: str) -> None:
    """Somebody makes room for a profile, and tidies up behind one."""
    set_(house, profiles, state=state)
    assert there_is(house)


@pytest.mark.parametrize("when", ["due", "scheduled"])
def test_a_time_has_come(house: House, profile: str, when: str) -> None:
    """A retry and a schedule are work once their time is there."""
    set_(house, profiles, **{when: NOW + 3600 * 10_000_000})
    assert not there_is(house)
    set_(house, profiles, **{when: NOW})
    assert there_is(house)


def test_files_that_begin_a_run_by_themselves(house: House, profile: str) -> None:
    """Files are work where they begin a run, and only when there are any."""
    set_(house, profiles, on_upload=60)
    assert not there_is(house)
    house.upload(profile)
    assert there_is(house)
    set_(house, profiles, on_upload=None)
    assert not there_is(house)
