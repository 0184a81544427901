"""Rows that are looked up all the time, past the pool of connections."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import psycopg
import pytest
from sqlalchemy import ARRAY, QueuePool, Text, any_, bindparam, insert, select, update

from schoolsync.errors import WorldError
from schoolsync.settings import Settings
from schoolsync.store.control import Control, open_control
from schoolsync.store.control_tables import tenants
from schoolsync.store.database import LookUp, postgresql_engine, sqlite_engine

from ..databases import Cluster

BY_ID = LookUp(select(tenants.c.number, tenants.c.created).where(tenants.c.id == bindparam("its_id")))
_WANTED = tenants.c.id == any_(bindparam("its_ids", type_=ARRAY(Text())))
BY_IDS = LookUp(select(tenants.c.id, tenants.c.created).where(_WANTED))


def test_a_look_up_sees_what_was_committed_last(tmp_path: Path, database_url: str | None) -> None:
    """Also what another process has written, from every thread, and holds up neither a write nor a clean-up."""
    control, other = _opened(tmp_path, database_url), _opened(tmp_path, database_url)
    with ThreadPoolExecutor(8) as threads:
        for moment in range(50):
            with other.write() as connection:
                connection.execute(update(tenants).values(created=moment))
            found = threads.map(lambda _: control.look_up(BY_ID, its_id="a"), range(8))
            assert [row and row["created"] for row in found] == [moment] * 8
    assert control.look_up(BY_ID, its_id="b") is None
    if database_url is None:
        with other.engine.connect() as connection:
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            assert not busy
    other.close()
    control.close()


def test_a_look_up_goes_on_after_one_that_failed_and_after_the_end(tmp_path: Path, database_url: str | None) -> None:
    """The connection that stays open is no longer used once anything was wrong with it."""
    control = _opened(tmp_path, database_url)
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


def test_a_look_up_outlives_the_server_and_leaves_the_pool_to_others(tmp_path: Path, postgresql: Cluster) -> None:
    """A PostgreSQL that was started again has ended every connection; those kept are a quarter of the pool at most."""
    with postgresql.database() as url:
        control = _opened(tmp_path, url)
        together = threading.Barrier(8)

        def look_up(_: int) -> object:
            together.wait(30)
            return control.look_up(BY_ID, its_id="a")

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(look_up, range(8)))
        pool = cast(QueuePool, control.engine.pool)
        kept = pool.checkedout()
        assert 1 <= kept <= pool.size() // 4
        with psycopg.connect(url) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
            assert ended is not None
            assert ended[0] >= kept
        assert control.look_up(BY_ID, its_id="a") is not None
        control.close()


def test_an_event_loop_looks_up_itself(tmp_path: Path, postgresql: Cluster) -> None:
    """Many look-ups at once, however long, each have their own answer, and see what was committed before they began;
    one that nobody waits for any more leaves nothing behind, and an error costs the ones after it nothing."""
    with postgresql.database() as url:
        control, other = _opened(tmp_path, url), _opened(tmp_path, url)
        with other.write() as connection:
            connection.execute(insert(tenants), [{"id": f"t{n}", "created": n} for n in range(20)])
        long = [f"nobody {number}" for number in range(100_000)]  # more than a socket takes at once

        async def ask() -> None:
            async def created(name: str) -> int:
                (row,) = await control.ask(BY_IDS, its_ids=[name, *long] if name == "t7" else [name])
                return int(row[1])

            assert await asyncio.gather(*(created(f"t{n}") for n in range(20))) == [*range(20)]
            for moment in range(30):
                with other.write() as connection:
                    connection.execute(update(tenants).values(created=moment))
                assert await asyncio.gather(*(created(f"t{n}") for n in range(4))) == [moment] * 4
            impatient = [asyncio.ensure_future(created(f"t{n}")) for n in range(8)]
            await asyncio.sleep(0)
            for one in impatient:
                one.cancel()
            assert {type(end) for end in await asyncio.gather(*impatient, return_exceptions=True)} <= {
                asyncio.CancelledError,
                int,
            }
            assert await created("t3") == moment
            with other.write() as connection:
                connection.exec_driver_sql("ALTER TABLE tenants RENAME TO moved")
            with pytest.raises(WorldError, match="control database"):
                await created("t3")
            with other.write() as connection:
                connection.exec_driver_sql("ALTER TABLE moved RENAME TO tenants")
            assert await created("t3") == moment

        asyncio.run(ask())
        control.close()
        other.close()


def test_an_event_loop_outlives_the_server_and_leaves_the_pool_to_others(tmp_path: Path, postgresql: Cluster) -> None:
    """Lines that a server has ended, silent or not, are opened anew; there are no more than a quarter of the pool."""
    with postgresql.database() as url:
        control = _opened(tmp_path, url)

        def taken() -> tuple[int, int]:
            pool = cast(QueuePool, control.engine.pool)  # another one after the server has ended its connections
            return pool.checkedout(), pool.size() // 4

        async def ask() -> None:
            for _ in range(2):
                control.known_tenant("a")  # a connection stays in the pool, and is ended there
                found = await asyncio.gather(*(control.ask(BY_IDS, its_ids=["a"]) for _ in range(8)))
                assert [len(rows) for rows in found] == [1] * 8
                assert 1 <= taken()[0] <= taken()[1]
                with psycopg.connect(url) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
            control.close()

        for _ in range(2):  # in another loop too
            asyncio.run(ask())
            assert taken()[0] == 0


def _opened(folder: Path, url: str | None = None) -> Control:
    """A control database, in the folder unless `url` leads to one, with one tenant."""
    control = open_control(Settings(data_dir=folder, database_url=url))
    if control.known_tenant("a") is None:
        with control.write() as connection:
            connection.execute(insert(tenants).values(id="a", created=0))
    return control


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_that_cannot_be_reached_is_the_worlds_doing(tmp_path: Path, kind: str) -> None:
    """Not even a connection can be opened: that is told as for everything else, and nobody is blamed for it."""
    nowhere = tmp_path / "nowhere" / "control.db"
    engine = sqlite_engine(nowhere) if kind == "sqlite" else postgresql_engine("postgresql://a@127.0.0.1:1/b", 1)
    with pytest.raises(WorldError, match="cannot be used now"):
        Control(engine).look_up(LookUp(select(tenants.c.id)))
    with pytest.raises(WorldError, match="cannot be used now"):
        asyncio.run(Control(engine).ask(LookUp(select(tenants.c.id))))
