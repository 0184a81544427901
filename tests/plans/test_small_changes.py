"""One roster after another, little changed and some of it wrong: who is set aside never changes what is planned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schoolsync.plan.policy import Customization
from schoolsync.runs import snapshots

from ..conftest import NIGHTLY
from .districts import (
    DISTRICT,
    Directory,
    Roster,
    attends,
    contact,
    enrolled,
    matching_accounts,
    person,
    school,
    section,
)
from .test_properties import FREE

EXAMPLES = 40 if NIGHTLY else 2
LENGTH = 6 if NIGHTLY else 3
pytestmark = pytest.mark.timeout(180 + 60 * EXAMPLES)

MATCHES = matching_accounts(FREE)
POLICIES = (
    FREE,
    MATCHES,
    msgspec.structs.replace(FREE, customizations={"studentEnrollment": Customization(deferred=True)}),
    msgspec.structs.replace(FREE, customizations={"student": Customization(deferred=True)}),
    msgspec.structs.replace(FREE, kept_by_hand=("given_name",)),
)
CLASSES = ("M1", "M2", "E1", "K1", "K 1", "K-1")  # an alias cannot have the blank; the last two may become one name
STUDENTS, TEACHERS = ("1", "2", "3", "7"), ("1", "9")
PEOPLE = st.one_of(
    st.tuples(st.just("student"), st.sampled_from(STUDENTS)), st.tuples(st.just("teacher"), st.sampled_from(TEACHERS))
)


def _ids(roster: Roster, table: str, *names: str) -> set[tuple[Any, ...]]:
    return {tuple(row[name] for name in names) for row in roster.rows(table)}


@st.composite
def edits(draw: st.DrawFn, roster: Roster) -> Roster:
    """The roster with one thing changed; what makes no sense for it changes nothing."""
    what = draw(st.sampled_from(["person", "class", "enrollment", "value", "username", "school", "contact", "place"]))
    role, one = draw(PEOPLE)
    where = {"role": role, "source_id": one}
    there = (role, one) in _ids(roster, "people", "role", "source_id")
    which = draw(st.sampled_from(CLASSES))
    known = (which,) in _ids(roster, "classes", "source_id")
    if what == "person":
        if there:
            return roster.left_without_person(role, one)
        return roster.plus("people", person(role, one, "A")).plus("person_organizations", attends(role, one, "A"))
    if what == "class":
        if known:
            return roster.left_without_class(which)
        return roster.plus("classes", section(which, draw(st.sampled_from("AB"))))
    if what == "enrollment" and there and known:
        link = {"class_id": which, "role": role, "source_id": one}
        if (which, role, one) in _ids(roster, "enrollments", "class_id", "role", "source_id"):
            return roster.without("enrollments", **link)
        return roster.plus("enrollments", enrolled(which, role, one))
    if what in ("value", "username") and there:
        values = {
            "value": [{"given_name": "Ada"}, {"given_name": "Bea"}, {"enabled": False}, {"enabled": True}],
            "username": [{"username": "s1"}, {"username": "same"}, {"username": "o o"}, {"username": f"own{one}"}],
        }[what]
        given = draw(st.sampled_from(values))
        rows = [{**row, **given} if where.items() <= row.items() else row for row in roster.rows("people")]
        return Roster({**roster.tables, "people": tuple(rows)})
    if what == "school" and ("C",) not in _ids(roster, "organizations", "source_id"):
        return roster.plus("organizations", school("C"))
    if what == "contact" and there and role == "student":
        return roster.plus("contacts", contact(one, f"{draw(st.sampled_from('abc'))}@home.example"))
    if what == "place" and there:
        at = draw(st.sampled_from("AB"))
        if (role, one, at) not in _ids(roster, "person_organizations", "role", "source_id", "school_id"):
            return roster.plus("person_organizations", attends(role, one, at))
    return roster


@st.composite
def stories(draw: st.DrawFn) -> list[Roster]:
    """Rosters, each a little different from the one before."""
    found = [DISTRICT]
    for _ in range(LENGTH):
        roster = found[-1]
        for _ in range(draw(st.integers(1, 3))):
            roster = draw(edits(roster))
        found.append(roster)
    return found


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not NIGHTLY,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a story says enough as it was found
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(story=stories(), policy=st.sampled_from(POLICIES), accounts=st.sets(st.sampled_from(["s1", "s2", "t1"])))
def test_a_plan_is_the_one_that_looks_at_everybody(
    directories: Callable[[], Directory], story: list[Roster], policy: Any, accounts: set[str]
) -> None:
    """Steps, reasons, errors, verdicts, and what is remembered: all as when nobody is set aside."""
    share, snapshots.SHARE = snapshots.SHARE, 0
    try:
        directory = directories()
        directory.compares = True
        directory.sync(story[0], policy=policy)
        for name in sorted(accounts):
            directory.person_by_hand(f"{name}@fjord.example")
        for roster in story:
            directory.sync(roster, policy=policy)
        assert directory.broken() == []
    finally:
        snapshots.SHARE = share
