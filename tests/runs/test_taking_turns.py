"""Whose run is taken up next: nobody's size or number of profiles delays somebody else."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from schoolsync.runs.journal import Journal
from schoolsync.store.control_tables import runs, upload_files

from .conftest import NOW

MIB = 1 << 20


class Queue:
    """Rows of runs as they come, without anybody who works on them."""

    def __init__(self, house: Any) -> None:
        self._house = house
        self._asked = NOW

    def add(self, tenant: int, state: str = "queued", *, began: int | None = None, files: dict[str, int] | None) -> str:
        """A run of a profile of its own."""
        run, profile, upload = (str(uuid.uuid4()) for _ in range(3))
        self._asked += 1
        with self._house.control.write() as connection:
            connection.execute(
                insert(runs).values(
                    tenant=tenant,
                    profile=profile,
                    id=run,
                    number=1,
                    state=state,
                    cause="start",
                    upload=None if files is None else upload,
                    asked=self._asked,
                    began=began,
                    ended=NOW if state == "done" else None,
                )
            )
            for name, size in (files or {}).items():
                connection.execute(
                    insert(upload_files).values(
                        tenant=tenant,
                        profile=profile,
                        upload=upload,
                        name=name,
                        object="x",
                        size=size,
                        sha256="0",
                        etag="0",
                        modified=NOW,
                    )
                )
        return run

    def next(self, most: int, *, small: bool = False, **changed: int) -> list[str]:
        """Which runs are taken up."""
        house = self._house
        settings = replace(house.settings, **changed)
        journal = Journal(
            control=house.control, settings=settings, uploads=house.uploads, runs=house.runs, clock=house.clock
        )
        return [key.run for key in journal.queued(most, small=small)]


@pytest.fixture
def queue(house: Any) -> Queue:
    """An empty queue."""
    return Queue(house)


def test_of_equals_whoever_was_served_longest_ago_comes_first(queue: Queue) -> None:
    """Asking first again and again does not help: the tenant that has just had a run waits for the others."""
    few = {"School.csv": 1}
    for began in (10, 30):
        queue.add(1, "done", began=began, files=few)
    queue.add(2, "done", began=20, files=few)
    greedy = [queue.add(1, files=few) for _ in range(3)]
    other, new = queue.add(2, files=few), queue.add(3, files=few)
    assert queue.next(3) == [new, other, greedy[0]]
    assert queue.next(9) == [new, other, *greedy]
    assert queue.next(9, concurrent_runs_per_tenant=2) == [new, other, *greedy[:2]]
    assert queue.next(0) == []


def test_a_tenant_at_work_comes_behind_those_that_are_not(queue: Queue) -> None:
    """However long ago its run began."""
    few = {"School.csv": 1}
    queue.add(1, "applying", began=1, files=few)
    busy, idle = queue.add(1, files=few), queue.add(2, files=few)
    queue.add(2, "done", began=100, files=few)
    assert queue.next(2) == [idle, busy]


def test_small_runs_of_others_have_a_place_beside_large_ones(queue: Queue) -> None:
    """Small is what its files say, unpacked; whoever has a run at work waits for it like everybody."""
    queue.add(1, "applying", began=1, files={"Student.csv": 500 * MIB})
    queue.add(1, files={"School.csv": 1})
    large = queue.add(2, files={"Student.csv": 12 * MIB, "Section.csv": 5 * MIB})
    packed = queue.add(3, files={"roster.ZIP": 2 * MIB})
    nobody_knows = queue.add(4, files=None)
    small = queue.add(5, files={"Student.csv": 12 * MIB, "Section.csv": 4 * MIB})
    little_zip = queue.add(6, files={"roster.zip": MIB})
    assert queue.next(9, small=True) == [small, little_zip]
    assert queue.next(1, small=True) == [small]
    assert {large, packed, nobody_knows} < set(queue.next(9))
