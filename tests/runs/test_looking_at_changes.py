"""The change history of a tenant with many runs costs what a page shows."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import insert, text

from schoolsync.runs.change_history import WINDOW, Wanted, cursor, window
from schoolsync.store.control_tables import runs

from .conftest import NOW

MANY = 4_000


@pytest.fixture
def crowded(house: Any) -> Any:
    """A tenant whose profiles have run thousands of times."""
    rows = [
        {
            "tenant": 1,
            "profile": f"profile-{number % 40}",
            "id": str(uuid.UUID(int=number)),
            "number": number,
            "state": "done",
            "stage": "applying" if number % 20 == 0 else "extracting",
            "cause": "start",
            "asked": NOW + number,
            "began": NOW + number // 2,
            "ended": NOW + number,
        }
        for number in range(MANY)
    ]
    with house.control.write() as connection:
        connection.execute(insert(runs), rows)
        connection.execute(text("ANALYZE"))
    return house


def test_runs_are_looked_at_a_window_at_a_time(crowded: Any) -> None:
    """Each run once, the newest first, and no look reads more rows than it answers: an index leads to them."""
    seen: list[str] = []
    place = None
    with crowded.control.read() as connection:
        while True:
            query = window(1, Wanted(), cursor(place))
            rows = connection.execute(query).all()
            seen += [row.id for row in rows]
            plan = _plan(connection, query)
            assert "runs_begun" in plan, plan
            assert "SCAN runs" not in plan, plan
            assert "Seq Scan" not in plan, plan
            if len(rows) < WINDOW:
                break
            place = f"{rows[-1].began}.{rows[-1].id}.-2.-"
    assert seen == [str(uuid.UUID(int=number)) for number in reversed(range(MANY))]


def _plan(connection: Any, query: Any) -> str:
    explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    statement = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
    return "\n".join(str(row) for row in connection.execute(text(f"{explain} {statement.replace(':', chr(92) + ':')}")))
