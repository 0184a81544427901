"""What is done beside the rest of a plan: in order, whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import duckdb
import pytest

from schoolsync.runs.behind import Behind


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("CREATE TABLE told (n INTEGER)")
        yield made


def told(db: duckdb.DuckDBPyConnection) -> list[int]:
    return [n for (n,) in db.execute("SELECT n FROM told ORDER BY rowid").fetchall()]


def tell(number: int, db: duckdb.DuckDBPyConnection) -> None:
    db.execute("INSERT INTO told VALUES ($1)", [number])


def fail(_: duckdb.DuckDBPyConnection) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("at_once", [False, True])
def test_one_after_another(db: duckdb.DuckDBPyConnection, at_once: bool) -> None:
    """All of it is done in the end, in the order in which it was asked for."""
    with Behind(db, at_once=at_once) as behind:
        for number in range(20):
            behind.do(partial(tell, number))
    assert told(db) == list(range(20))


def test_what_it_gives(db: duckdb.DuckDBPyConnection) -> None:
    """Whoever needs the answer waits for it; after an error nothing is given any more."""

    def plan() -> None:
        with Behind(db, at_once=False) as behind:
            assert behind.do(lambda db: told(db)).result() == []
            first, second = behind.do(fail), behind.do(told)
            for one in (second, first):
                with pytest.raises(OSError, match="No space"):
                    one.result()

    with pytest.raises(OSError, match="No space"):
        plan()


def test_beside_and_at_once(db: duckdb.DuckDBPyConnection) -> None:
    """A small plan is worked out meanwhile; of a large one everything is done by whoever asks."""
    for at_once in (False, True):
        by: list[threading.Thread] = []
        with Behind(db, at_once=at_once) as behind:
            behind.do(lambda _, by=by: by.append(threading.current_thread()))
        assert (by[0] is threading.current_thread()) == at_once


@pytest.mark.parametrize("at_once", [False, True])
def test_a_full_disk(db: duckdb.DuckDBPyConnection, at_once: bool) -> None:
    """What cannot be stored ends the plan; nothing that comes after it is stored."""

    def plan() -> None:
        with Behind(db, at_once=at_once) as behind:
            behind.do(partial(tell, 1))
            behind.do(fail)
            behind.do(partial(tell, 2))

    with pytest.raises(OSError, match="No space"):
        plan()
    assert told(db) == [1]


def test_a_plan_that_cannot_be_made(db: duckdb.DuckDBPyConnection) -> None:
    """What was to be stored of it is left, and its error is the one that is raised."""
    reached = threading.Event()

    def slowly(_: duckdb.DuckDBPyConnection) -> None:
        reached.wait(10)
        raise OSError(28, "No space left on device")

    def plan() -> None:
        with Behind(db, at_once=False) as behind:
            behind.do(slowly)
            behind.do(partial(tell, 1))
            threading.Timer(0.1, reached.set).start()
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        plan()
    assert told(db) == []
