"""Guardians are planned, held, approved, put off and taken back on their own, though pupils' rows have them."""

from __future__ import annotations

import json

import msgspec
import pytest

from schoolsync.plan.policy import Guards, Window
from schoolsync.runs.selections import Selection
from schoolsync.runs.stored_plan import Plans

from .districts import NOW, Directory, Roster, contact, engine
from .test_guards import STRICT, district

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

PUPILS = 40


def families(*without: str, address: str = "home") -> Roster:
    """Forty pupils with a guardian each, but for some."""
    pupils = [f"A{n}" for n in range(PUPILS)]
    roster = district(PUPILS)
    rows = tuple(contact(one, f"{address}.{one}@home.example") for one in pupils if one not in without)
    return Roster({**roster.tables, "contacts": rows})


def guarded(directory: Directory) -> int:
    ((count,),) = directory.query("SELECT count(*) FROM people WHERE related_contacts <> '[]'")
    return int(count)


def test_changes_of_guardians_are_steps_of_their_own(directory: Directory) -> None:
    """Another address, a new guardian and the last one going, beside another name of the same pupil."""
    directory.sync(families("A1"), policy=STRICT)
    after = families("A2").changed("contacts", {"student_id": "A3"}, email="far@home.example")
    after = after.changed("people", {"role": "student", "source_id": "A3"}, surname="Ny")
    outcome = directory.sync(after, policy=STRICT)
    assert outcome.steps == {"guardians": {"update": 2, "unlink": 1}, "people": {"update": 1}}
    plan = Plans(outcome.folder).latest()
    assert plan is not None
    ((gone),) = [number for number, one in enumerate(plan.batches) if (one.op, one.record) == ("unlink", "guardians")]
    (row,) = Plans(outcome.folder).explained(plan, gone).to_pylist()
    assert (row["source_id"], row["related_contacts"], row["rule"]) == ("A2", "[]", "changed")
    assert "home.A2@home.example" in row["was_related_contacts"]
    assert row["line"] is not None
    assert "far@home" in directory.object("people", "student A3", "related_contacts")[0]
    assert directory.sync(after, policy=STRICT).unchanged


def test_who_loses_guardians_is_held_with_the_removals(directory: Directory) -> None:
    """Additions and other changes may flow; the guardians wait until their kind, a school or a pupil is approved."""
    policy = msgspec.structs.replace(STRICT, guards=Guards(additions_flow=True))
    directory.sync(families(), policy=policy)
    many = [f"A{n}" for n in range(10)]
    after = families(*many).changed("people", {"role": "student", "source_id": "A39"}, surname="Ny")
    job = directory.job(after, policy=policy)
    with engine(job) as work:
        work.extract()
        work.validate()
        planned = work.plan()
        assert {(one.kind, one.guard) for one in planned.verdicts} == {("guardians", "removals")}
        assert planned.flowing == 1
        work.apply(0)
    assert guarded(directory) == PUPILS
    assert directory.object("people", "student A39", "surname")[0] == "Ny"
    id_of = directory.object("people", "student A4", "id")[0]
    directory.release(job, after, Selection(objects=(id_of,)))
    assert guarded(directory) == PUPILS - 1
    again = directory.job(after, policy=policy)
    with engine(again) as work:
        work.extract()
        work.validate()
        assert work.plan().held
    directory.release(again, after, Selection(kind="student"))
    assert guarded(directory) == PUPILS - 1
    third = directory.job(after, policy=policy)
    with engine(third) as work:
        work.extract()
        work.validate()
        assert work.plan().held
    directory.release(third, after, Selection(kind="guardians"))
    assert guarded(directory) == PUPILS - len(many)


def test_a_window_puts_off_that_guardians_go(directory: Directory) -> None:
    """They are listed and stay; when the window is over the same roster takes them away."""
    directory.sync(families(), policy=STRICT)
    window = Window(kind="additionsOnly", begins=NOW - 10, ends=NOW + 10_000)
    closed = msgspec.structs.replace(STRICT, windows=(window,))
    after = families("A1", "A2").changed("people", {"role": "student", "source_id": "A2"}, surname="Ny")
    outcome = directory.sync(after, policy=closed)
    assert outcome.planned is not None
    assert outcome.steps == {"people": {"update": 1}}
    assert outcome.planned.deferred == 2
    assert guarded(directory) == PUPILS
    assert directory.sync(after, policy=STRICT).steps == {"guardians": {"unlink": 2}}
    assert guarded(directory) == PUPILS - 2


def test_first_guardians_of_many_are_no_danger(directory: Directory) -> None:
    """A profile that lets guardians through from today on only adds."""
    directory.sync(district(PUPILS), policy=STRICT)
    assert directory.sync(families(), policy=STRICT).steps == {"guardians": {"update": PUPILS}}


@pytest.mark.parametrize("since", ["nothing", "another"])
def test_guardians_are_taken_back(directory: Directory, since: str) -> None:
    """Each as it was, and who had none loses them; what was changed since stays, and that is said."""
    before = families("A1")
    directory.sync(before, policy=STRICT)
    was = directory.query("SELECT source_id, related_contacts FROM people ORDER BY 1")
    changed = families("A2", address="new")
    held = directory.sync(changed, policy=STRICT)
    assert held.planned is not None
    assert {(one.kind, one.guard) for one in held.planned.verdicts} == {("guardians", "updates")}
    loose = msgspec.structs.replace(STRICT, guards=Guards(update_percent=100))
    directory.sync(changed, policy=loose)
    if since == "another":
        contacts = json.dumps([{"displayName": "By hand"}])
        directory.by_hand(f"UPDATE people SET related_contacts = '{contacts}' WHERE source_id = 'A5'")
    outcome = directory.undo("run-3", policy=loose)
    assert outcome.planned is not None
    kept = int(since == "another")
    assert outcome.steps == {"guardians": {"update": PUPILS - 1 - kept, "unlink": 1}}
    assert len(outcome.planned.notes) == kept
    now = directory.query("SELECT source_id, related_contacts FROM people ORDER BY 1")
    assert [row[0] for row, old in zip(now, was, strict=True) if row != old] == ["A5"] * kept
