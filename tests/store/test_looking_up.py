"""Rows that are looked up all the time, past the pool of connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select, update

from schoolsync.errors import WorldError
from schoolsync.settings import Settings
from schoolsync.store.control import Control, open_control
from schoolsync.store.control_tables import tenants
from schoolsync.store.database import LookUp

BY_ID = LookUp(select(tenants.c.number, tenants.c.created).where(tenants.c.id == bindparam("its_id")))


def test_a_look_up_sees_what_was_committed_last(tmp_path: Path) -> None:
    """Also what another process has written, from every thread, and holds up neither a write nor a clean-up."""
    control, other = _opened(tmp_path), _opened(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        for moment in range(50):
            with other.write() as connection:
                connection.execute(update(tenants).values(created=moment))
            found = threads.map(lambda _: control.look_up(BY_ID, its_id="a"), range(8))
            assert [row and row["created"] for row in found] == [moment] * 8
    assert control.look_up(BY_ID, its_id="b") is None
    with other.engine.connect() as connection:
        busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        assert not busy
    other.close()
    control.close()


def test_a_look_up_goes_on_after_one_that_failed_and_after_the_end(tmp_path: Path) -> None:
    """The connection that stays open is no longer used once anything was wrong with it."""
    control = _opened(tmp_path)
    with control.write() as connection:
        connection.exec_driver_sql("ALTER TABLE tenants RENAME TO moved")
    with pytest.raises(WorldError, match="control database"):
        control.look_up(BY_ID, its_id="a")
    with control.write() as connection:
        connection.exec_driver_sql("ALTER TABLE moved RENAME TO tenants")
    assert control.look_up(BY_ID, its_id="a") is not None
    control.close()
    assert control.look_up(BY_ID, its_id="a") is not None
    control.close()


def _opened(folder: Path) -> Control:
    """A control database in the folder, with one tenant."""
    control = open_control(Settings(data_dir=folder))
    if control.known_tenant("a") is None:
        with control.write() as connection:
            connection.execute(insert(tenants).values(id="a", created=0))
    return control
