"""Laws that hold for every pair of rosters: doing it again does nothing, and the way does not matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schoolsync.plan.policy import Guards

from ..conftest import NIGHTLY
from .districts import (
    CREATES,
    Directory,
    Outcome,
    Roster,
    attends,
    contact,
    engine,
    enrolled,
    person,
    school,
    section,
    visible_columns,
)

EXAMPLES = 30 if NIGHTLY else 2
pytestmark = pytest.mark.timeout(180 + 30 * EXAMPLES)  # of all examples together
LAWS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not NIGHTLY,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Two such rosters have little in common: limits that fit a school would hold nearly every plan (see test_guards.py).
FREE = msgspec.structs.replace(
    CREATES,
    guards=Guards(removal_percent=100, class_least=100, update_percent=100, school_gone=False, window_days=0),
)


@st.composite
def rosters(draw: st.DrawFn) -> Roster:
    """Rosters over a small stock of ids, so that two of them have much in common. None leaves a kind empty."""
    schools = draw(st.sets(st.sampled_from("ABC"), min_size=1))
    some_school = st.sampled_from(sorted(schools))
    classes = draw(st.sets(st.sampled_from(["k1", "k2", "k3", "k4"]), min_size=1))
    students = draw(st.sets(st.sampled_from(["1", "2", "3", "4", "5"]), min_size=1))
    teachers = draw(st.sets(st.sampled_from(["1", "9"]), min_size=1))
    people, places = [], []
    for role, ids in (("student", students), ("teacher", teachers)):
        for one in sorted(ids):
            where = draw(st.lists(some_school, min_size=1, max_size=2, unique=True))
            values = {"number": draw(st.sampled_from([None, "x", "y"])), "status": draw(st.sampled_from(["in", "out"]))}
            people.append(person(role, one, where[0], **values))
            places += [attends(role, one, place) for place in where]
    some_class = st.sampled_from(sorted(classes))
    links = {
        (draw(some_class), "student", min(students)),
        (draw(some_class), "teacher", min(teachers)),
        *draw(st.sets(st.tuples(some_class, st.just("student"), st.sampled_from(sorted(students))))),
        *draw(st.sets(st.tuples(some_class, st.just("teacher"), st.sampled_from(sorted(teachers))))),
    }
    guarded = draw(st.sets(st.sampled_from(sorted(students)), min_size=1))
    return Roster(
        {
            "organizations": tuple(school(one, city=draw(st.sampled_from([None, "Ås"]))) for one in sorted(schools)),
            "classes": tuple(
                section(one, draw(some_school), periods=draw(st.sampled_from("12"))) for one in sorted(classes)
            ),
            "people": tuple(people),
            "person_organizations": tuple(places),
            "enrollments": tuple(enrolled(*link) for link in sorted(links)),
            "contacts": tuple(contact(one, f"home{one}@home.example") for one in sorted(guarded)),
        }
    )


def synced(directory: Directory, roster: Roster, **values: Any) -> Outcome:
    """One whole run that nothing holds."""
    outcome = directory.sync(roster, policy=FREE, **values)
    assert outcome.unchanged or outcome.finished is not None, outcome.planned
    return outcome


def active(directory: Directory) -> dict[str, Any]:
    """The active objects by id, and the links."""
    found: dict[str, Any] = {}
    for table in ("schools", "classes", "people"):
        chosen = visible_columns(table)
        rows = directory.query(f"SELECT {', '.join(chosen)} FROM {table} WHERE active")
        found[table] = {row[0]: row for row in rows}
    for table in ("school_classes", "school_people", "class_people"):
        found[table] = directory.links(table)
    return found


def disturb(directory: Directory, how: str) -> None:
    """What may lie between two runs."""
    if how == "touched":
        directory.query("UPDATE positions SET position = position + 1")
    if how == "reset":
        directory.forget_base()


BETWEEN = st.sampled_from(["nothing", "touched", "reset"])


@LAWS
@given(roster=rosters(), between=BETWEEN)
def test_a_second_plan_of_the_same_roster_is_empty(
    directories: Callable[[], Directory], roster: Roster, between: str
) -> None:
    """Whatever the next run is compared with, snapshot or directory, the same roster changes nothing."""
    directory = directories()
    synced(directory, roster)
    before = directory.content(), directory.touched()["people"]
    disturb(directory, between)
    outcome = synced(directory, roster, ignore_findings=True)
    assert outcome.steps == {}
    assert (directory.content(), directory.touched()["people"]) == before
    assert directory.broken() == []


@LAWS
@given(first=rosters(), second=rosters(), between=BETWEEN)
def test_the_way_to_a_roster_does_not_matter(
    directories: Callable[[], Directory], first: Roster, second: Roster, between: str
) -> None:
    """Another roster first, or none: what is in use afterwards is the same."""
    directory, scratch = directories(), directories()
    directory.compares = True
    synced(directory, first)
    disturb(directory, between)
    synced(directory, second)
    synced(scratch, second)
    assert active(directory) == active(scratch)
    assert directory.broken() == []


@LAWS
@given(first=rosters(), second=rosters())
def test_there_and_back_again(directories: Callable[[], Directory], first: Roster, second: Roster) -> None:
    """What left and came back is what it was, with its id."""
    directory = directories()
    synced(directory, first)
    before = active(directory)
    synced(directory, second)
    synced(directory, first)
    assert active(directory) == before


@pytest.mark.nightly("postgresql")
@LAWS
@given(first=rosters(), second=rosters(), third=rosters(), data=st.data())
def test_an_interrupted_run_ends_the_same(
    directories: Callable[[], Directory], first: Roster, second: Roster, third: Roster, data: st.DataObject
) -> None:
    """New attempts at any batch, or a run given up half-way for another: the end is the end of the last roster."""
    directory, scratch = directories(), directories()
    synced(directory, first)
    job = directory.job(second, policy=FREE, batch_rows=4)
    with engine(job) as work:
        planned = work.plan()
    assert planned.held is None
    batches = planned.batches
    given_up = data.draw(st.integers(0, batches))
    batch = 0
    while batch < given_up:
        repeat = data.draw(st.integers(0, 2))
        if data.draw(st.booleans()):
            job = msgspec.structs.replace(job, fence=job.fence + 1)
            with engine(job) as work:
                work.plan()
        for _ in range(repeat + 1):
            with engine(job) as work:
                work.apply(batch)
        batch += 1
    assert directory.broken() == []
    if batch == batches and data.draw(st.booleans()):
        with engine(job) as work:
            directory.done(job, work.finish())
        synced(scratch, second)
    else:
        synced(directory, third)
        synced(scratch, third)
    assert active(directory) == active(scratch)
