"""The change history of a tenant with many runs costs what a page shows."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import insert, text

from schoolsync import ticks
from schoolsync.access import audit
from schoolsync.errors import NotFound
from schoolsync.graph.routes import changing_objects
from schoolsync.runs import change_history
from schoolsync.runs.change_history import WINDOW, ByHand, ChangeHistory, Wanted, cursor, window
from schoolsync.runs.plan_question import PlannedStep, Question
from schoolsync.store.control_tables import runs
from schoolsync.store.directories import Directories

from .conftest import NOW, TENANT_ID

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


ZOE, MAX = (str(uuid.UUID(int=number)) for number in (1, 2))
OPERATION = "PATCH education/users/{user}"


@dataclass
class Steps:
    """The plans of runs that have each changed Zoë, then Max, then Zoë."""

    steps: tuple[PlannedStep, ...]
    more: bool

    @classmethod
    def of(cls, question: Question) -> Steps:
        every = [_step(number, person) for number, person in enumerate((ZOE, MAX, ZOE))]
        found = [one for one in every if question.object in (None, one.object_id) and one.number > question.after]
        return cls(tuple(found[: question.top]), len(found) > question.top)


class PlansAtHand:
    """Plans that need no reader process."""

    def steps(self, _principal: Any, _profile: str, run: str, question: Question) -> Steps:
        if int(run[-1], 16) % 5 == 0:
            raise NotFound("It is not kept any more.")
        return Steps.of(question)


def _step(number: int, person: str) -> PlannedStep:
    names = PlannedStep.__struct_fields__
    values: dict[str, Any] = dict.fromkeys(names) | {"changes": (), "op": "update", "kind": "student"}
    return PlannedStep(**values | {"number": number, "object_id": person})


@pytest.mark.parametrize(
    "seed", [2, pytest.param(1, marks=pytest.mark.nightly), pytest.param(3, marks=pytest.mark.nightly)]
)
def test_whatever_narrows_it_the_newest_comes_first(house: Any, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Runs and hands in one order, every change once, however little is found in one look and whatever is filtered."""
    chance = random.Random(seed)
    for module, name, value in (
        (audit, "WINDOW", 4),
        *((change_history, name, value) for name, value in (("LOOKS_MAX", 1), ("WINDOW", 5), ("RUNS_MAX", 2))),
    ):
        monkeypatch.setattr(module, name, value)
    directories = Directories(house.settings)
    log = audit.Audit(house.control, directories, house.settings)
    moments = [NOW + moment for moment in chance.sample(range(1000), 60)]
    entries = sorted(moments[:40])
    for at in entries:
        # most are about something else: a look often finds nothing
        operation = OPERATION if chance.random() < 0.3 else "POST education/synchronizationProfiles/{profile}/pause"
        act = audit.Act(
            tenant=1,
            tenant_id=TENANT_ID,
            at=at,
            actor="delegated:a",
            operation=operation,
            object=f"education/users/{chance.choice((ZOE, MAX))}",
        )
        log.record(act)
    rows = [
        {
            "tenant": 1,
            "profile": f"profile-{number % 2}",
            "id": str(uuid.UUID(int=16 + number)),
            "number": number,
            "state": "done",
            "stage": chance.choice(("applying", "extracting")),
            "cause": "start",
            "asked": at,
            "began": at,
            "ended": at,
        }
        for number, at in enumerate(moments[40:])
    ]
    with house.control.write() as connection:
        connection.execute(insert(runs), rows)
    person = replace(house.person, roles=frozenset({"schoolsync.viewer"}))
    history = ChangeHistory(
        control=house.control,
        directories=directories,
        plans=PlansAtHand(),  # type: ignore[arg-type]
        audit=log,
        operations=[OPERATION],
    )

    def paged(wanted: Wanted, most: int) -> list[Any]:
        found: list[Any] = []
        after: str | None = None
        for _ in range(500):
            some, after = history.page(person, wanted, after=after, most=most)
            found += some
            if after is None:
                return found
        raise AssertionError("it never ends")

    every = paged(Wanted(), 1000)
    applied = [row for row in rows if row["stage"] == "applying" and int(row["id"][-1], 16) % 5]
    assert len(every) == 3 * len(applied) + sum(row.operation == OPERATION for row in log.all(1, TENANT_ID))
    middle = NOW + 500
    for wanted in (
        Wanted(),
        Wanted(object=ZOE),
        Wanted(object=MAX, by="hand"),
        Wanted(profile="profile-1"),
        Wanted(since=middle),
        Wanted(until=middle, object=ZOE),
    ):
        meant = [
            one
            for one in every
            if wanted.object in (None, one.object_id)
            and wanted.by in (None, one.by)
            and wanted.profile in (None, one.profile)
            and (wanted.since is None or ticks.parse(one.at) >= wanted.since)
            and (wanted.until is None or ticks.parse(one.at) < wanted.until)
        ]
        for most in (1, 3, 1000):
            found = paged(wanted, most)
            times = [ticks.parse(one.at) for one in found]
            assert times == sorted(times, reverse=True), (seed, wanted, most)
            assert found == meant, (seed, wanted, most)
    directories.close()


@pytest.mark.parametrize(
    ("operation", "op", "kind"),
    [
        ("DELETE education/classes/{class}/members/{user}", "unlink", "person"),
        ("POST education/schools/{school}/classes/$ref", "link", "section"),
        ("DELETE users/{user}", "remove", "person"),
        ("DELETE groups/{class}", "remove", "section"),
        ("DELETE directory/administrativeUnits/{school}", "remove", "school"),
        ("PATCH directory/administrativeUnits/{school}", "update", "school"),
        ("DELETE groups/{class}/owners/{user}/$ref", "unlink", "person"),
        ("POST directory/administrativeUnits/{school}/members/$ref", "link", "person"),
    ],
)
def test_what_an_operation_by_hand_did(operation: str, op: str, kind: str) -> None:
    """By whichever address an object was changed, it is told as what it is."""
    did = ByHand(operation)
    assert (did.op, did.kind) == (op, kind)
    assert operation in changing_objects()
