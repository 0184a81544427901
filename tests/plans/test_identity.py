"""SIS IDs that change, hand edits, and the part of a roster that a profile takes: who is who stays who."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from schoolsync import ticks
from schoolsync.plan.desired import Terms
from schoolsync.plan.policy import Guards, Scope
from schoolsync.plan.scope import narrow
from schoolsync.runs.plan_reader import Reading

from .districts import CREATES, DISTRICT, NOW, Directory, Roster, contact, engine, fill, person, section
from .test_guards import STRICT, district
from .test_properties import active

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

KEEPS = msgspec.structs.replace(CREATES, kept_by_hand=("middle_name", "student_grade", "description"))


def renumbered(roster: Roster, kinds: str = "student teacher section school", *, by: str = "N") -> Roster:
    """The same roster with other ids of these kinds."""
    chosen = kinds.split()
    tables: dict[str, Any] = {}
    for table, rows in roster.tables.items():
        tables[table] = tuple(_renumbered(table, row, chosen, by) for row in rows)
    return Roster(tables)


def _renumbered(table: str, row: Any, kinds: list[str], by: str) -> dict[str, Any]:
    new = dict(row)
    own = {"organizations": "school", "classes": "section"}.get(table, row.get("role"))
    if "source_id" in row and own in kinds:
        new["source_id"] = by + row["source_id"]
    for column, kind in (("school_id", "school"), ("class_id", "section"), ("student_id", "student")):
        if column in row and kind in kinds:
            new[column] = by + row[column]
    return new


def pairs(folder: Path, roster: Roster, kinds: str = "student teacher section school", *, by: str = "N") -> str:
    """The map file for `renumbered`; returns its path."""
    lines = ["kind,old,new"]
    for table in ("organizations", "classes", "people"):
        for row in roster.rows(table):
            kind = {"organizations": "school", "classes": "section"}.get(table, row.get("role"))
            if kind in kinds.split():
                lines.append(f"{kind},{row['source_id']},{by}{row['source_id']}")
    path = folder / f"map-{by}.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def identities(directory: Directory) -> dict[str, Any]:
    """Ids of all objects, and all links by ids."""
    found: dict[str, Any] = {t: set(directory.query(f"SELECT id FROM {t}")) for t in ("schools", "classes", "people")}
    for table, left, right in (
        ("school_classes", "schools a ON a.key = l.school", "classes b ON b.key = l.class"),
        ("school_people", "schools a ON a.key = l.school", "people b ON b.key = l.person"),
        ("class_people", "classes a ON a.key = l.class", "people b ON b.key = l.person"),
    ):
        found[table] = set(directory.query(f"SELECT a.id, b.id FROM {table} l JOIN {left} JOIN {right}"))
    return found


@pytest.mark.parametrize("kinds", ["student", "school", "section teacher", "student teacher section school"])
def test_a_map_of_ids_keeps_objects_and_memberships(directory: Directory, tmp_path: Path, kinds: str) -> None:
    """A school or a whole id space is numbered anew: every object keeps its id and every link, under the new ids."""
    directory.sync(DISTRICT)
    before = identities(directory)
    after = renumbered(DISTRICT, kinds)
    outcome = directory.sync(after, policy=STRICT, rekeys=(pairs(tmp_path, DISTRICT, kinds),))
    assert outcome.planned is not None
    assert outcome.planned.held is None
    assert identities(directory) == before
    ops = {op for ops in outcome.steps.values() for op in ops}
    assert ops <= {"rekey", "update"}
    assert "rekey" in ops
    rekeys = (pairs(tmp_path, DISTRICT, kinds),)
    assert directory.sync(after, policy=STRICT, rekeys=rekeys, ignore_findings=True).steps == {}
    assert directory.broken() == []


def test_ids_that_change_places_are_told_by_a_map(directory: Directory, tmp_path: Path) -> None:
    """Three pupils in a circle, with signs that mean something to a CSV reader or to SQL: each stays who it was."""
    odd = ("#1", "a'b", 'c"d,e')
    roster = DISTRICT
    for number, one in enumerate(odd, 1):
        for table in ("people", "person_organizations", "enrollments"):
            roster = roster.changed(table, {"role": "student", "source_id": str(number)}, source_id=one)
    roster = roster.without("contacts")
    directory.sync(roster)
    query = "SELECT source_id, id FROM people WHERE primary_role = 'student'"
    before = dict(directory.query(query))
    turned = dict(zip(odd, (*odd[1:], odd[0]), strict=True))
    path = tmp_path / "circle.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [("kind", "old", "new"), *(("student", *pair) for pair in turned.items())]
        csv.writer(file, lineterminator="\n").writerows(rows)
    tables = {
        table: tuple(
            {**row, "source_id": turned[row["source_id"]]} if row.get("source_id") in turned else row for row in rows
        )
        for table, rows in roster.tables.items()
    }
    outcome = directory.sync(Roster(tables), policy=STRICT, rekeys=(str(path),))
    assert outcome.steps == {"people": {"rekey": 3}}
    assert dict(directory.query(query)) == {turned[one]: key for one, key in before.items()}
    assert directory.broken() == []
    # Once that is carried out the ids belong to whom they were given, whatever the next uploads are compared with.
    given: dict[str, Any] = {"policy": STRICT, "rekeys": (str(path),), "rekeyed": 1, "again": True}
    assert directory.sync(Roster(tables), **given).steps == {}
    directory.by_hand("UPDATE positions SET last_key = last_key")
    assert directory.sync(Roster(tables), **given).steps == {}
    directory.undo("run-2")
    assert dict(directory.query(query)) == before


def test_nobody_is_given_the_id_of_another_who_is_there(directory: Directory, tmp_path: Path) -> None:
    """A map that would make two pupils one is passed over; an id that moved on and comes back is somebody else's."""
    directory.sync(DISTRICT)
    before = active(directory)
    path = tmp_path / "wrong.csv"
    path.write_text("kind,old,new\nstudent,1,2\nstudent,3,1\n")
    assert directory.sync(DISTRICT, rekeys=(str(path),)).steps == {}
    without = DISTRICT.left_without_person("student", "1").without("contacts", student_id="1")
    assert directory.sync(without, rekeys=(str(path),)).steps["people"] == {"remove": 1}
    assert directory.object("people", "student 2", "given_name") == ("Given2",)
    directory.sync(DISTRICT)
    assert active(directory) == before


def test_a_re_key_is_taken_back(directory: Directory, tmp_path: Path) -> None:
    """The old ids are there again, all objects and memberships are the same; a map back keeps it so."""
    directory.sync(DISTRICT)
    before, there = active(directory), identities(directory)
    maps = (pairs(tmp_path, DISTRICT, "student section"),)
    directory.sync(renumbered(DISTRICT, "student section"), rekeys=maps)
    assert active(directory) != before
    assert directory.undo("run-2").finished is not None
    assert active(directory) == before
    assert identities(directory) == there
    back = tmp_path / "back.csv"
    rows = [line.split(",") for line in Path(maps[0]).read_text().splitlines()[1:]]
    back.write_text("kind,old,new\n" + "".join(f"{kind},{new},{old}\n" for kind, old, new in rows))
    assert directory.sync(DISTRICT, rekeys=(*maps, str(back))).steps == {}
    assert active(directory) == before


def test_chains_of_maps_and_a_used_id_that_comes_back(directory: Directory, tmp_path: Path) -> None:
    """Two maps one after the other; then another pupil under the first id is another object."""
    directory.sync(DISTRICT)
    ((first,),) = directory.query("SELECT id FROM people WHERE source_id = '3'")
    maps = (pairs(tmp_path, DISTRICT, "student"), pairs(tmp_path, renumbered(DISTRICT, "student"), "student", by="M"))
    twice = renumbered(renumbered(DISTRICT, "student"), "student", by="M")
    directory.sync(twice, rekeys=maps)
    assert directory.object("people", "student MN3", "id") == (first,)
    more = twice.plus("people", person("student", "3", "A", username="else"))
    outcome = directory.sync(more, rekeys=maps)
    assert outcome.errors == []
    assert directory.object("people", "student MN3", "id") == (first,)
    assert directory.object("people", "student 3", "id") != (first,)


def test_the_proposal_of_a_held_plan_is_the_map(directory: Directory) -> None:
    """Without a map the renumbering is held; what the plan proposes, given back as the map, keeps everybody."""
    roster = district(12)
    directory.sync(roster, policy=STRICT)
    before = identities(directory)
    after = renumbered(roster, "student")
    held = directory.sync(after, policy=STRICT)
    assert held.planned is not None
    assert held.planned.verdicts[0].guard == "renumbered"
    with duckdb.connect() as db:
        said = Reading(db, directory.folder / "runs" / "run-2").renumbered().text
    path = directory.folder / "map.csv"
    path.write_text(said)
    assert len(said.splitlines()) == 13
    outcome = directory.sync(after, policy=STRICT, rekeys=(str(path),))
    assert outcome.finished is not None
    assert identities(directory) == before


def test_swapped_user_names_move_no_account(directory: Directory) -> None:
    """Two pupils swap their names at the sign-in: a name once given does not move."""
    directory.sync(DISTRICT)
    before = active(directory)
    swapped = DISTRICT.changed("people", {"role": "student", "source_id": "1"}, username="s2").changed(
        "people", {"role": "student", "source_id": "2"}, username="s1"
    )
    outcome = directory.sync(swapped)
    assert outcome.errors == []
    assert active(directory) == before


# --- hand edits ---------------------------------------------------------------------------------------------------


def test_what_a_person_loses_in_a_class_is_remembered(directory: Directory) -> None:
    """Whoever follows the changes is told of the part that is gone, of a link changed and of one taken back, alike."""
    directory.sync(DISTRICT)
    someone = "SELECT key FROM people WHERE source_id = '1' AND primary_role = 'student'"
    directory.by_hand(f"UPDATE class_people SET teacher = true WHERE person = ({someone})")
    assert directory.sync(DISTRICT).steps == {"links": {"update": 1}}
    lost = "SELECT p.source_id, m.member, m.teacher FROM removed_members AS m JOIN people AS p ON p.id = m.id"
    assert [(who, bool(member), bool(teacher)) for who, member, teacher in directory.query(lost)] == [
        ("1", False, True)
    ]
    directory.sync(DISTRICT.without("enrollments", class_id="M1", role="student", source_id="2"))
    told = {(who, bool(member), bool(teacher)) for who, member, teacher in directory.query(lost)}
    assert told == {("1", False, True), ("2", True, False)}


def test_a_hand_edit_is_seen_as_drift(directory: Directory) -> None:
    """The roster's value counts again, and the step says that somebody had changed it, not the roster."""
    directory.sync(DISTRICT)
    directory.by_hand(
        "UPDATE people SET middle_name = 'Hand', position = (SELECT position + 1 FROM positions) WHERE source_id = '3'"
    )
    roster = DISTRICT.changed("people", {"role": "student", "source_id": "2"}, middle_name="Roster")
    directory.sync(roster)
    rules = rules_of(directory, "run-2")
    assert rules == {"3": "drift", "2": "changed"}
    assert directory.object("people", "student 3", "middle_name") == (None,)


@pytest.mark.parametrize("between", ["nothing", "touched", "reset"])
def test_a_value_written_by_hand_stays_where_the_profile_keeps_it(directory: Directory, between: str) -> None:
    """However the next run compares, and when the roster changes the value later on; other properties follow it."""
    directory.sync(DISTRICT, policy=KEEPS)
    directory.by_hand(
        "UPDATE people SET middle_name = 'Hand', position = (SELECT position + 1 FROM positions) WHERE source_id = '3'"
    )
    assert directory.sync(DISTRICT, policy=KEEPS).steps == {}
    if between == "touched":
        directory.by_hand("UPDATE people SET department = 'x' WHERE source_id = '2'")
    if between == "reset":
        directory.forget_base()
    later = DISTRICT.changed("people", {"role": "student", "source_id": "3"}, middle_name="Roster", grade="9")
    directory.sync(later, policy=KEEPS)
    assert directory.object("people", "student 3", "middle_name", "student_grade") == ("Hand", "9")
    directory.sync(later, policy=CREATES)
    assert directory.object("people", "student 3", "middle_name") == ("Roster",)


def test_what_a_cut_off_run_wrote_is_no_hand_edit(directory: Directory) -> None:
    """Half a run, then another roster: its values are the profile's own, and are not kept."""
    directory.sync(DISTRICT, policy=KEEPS)
    who = {"role": "student", "source_id": "3"}
    job = directory.job(DISTRICT.changed("people", who, middle_name="Half"), policy=KEEPS)
    with engine(job) as work:
        for batch in range(work.plan().batches):
            work.apply(batch)
    directory.forget_base()
    directory.sync(DISTRICT.changed("people", who, middle_name="Whole"), policy=KEEPS)
    assert directory.object("people", "student 3", "middle_name") == ("Whole",)


def rules_of(directory: Directory, run: str) -> dict[str, str]:
    """The rule of every update of a run, by SIS ID."""
    found = {}
    for path in (directory.folder / "runs" / run / "plan-1").glob("[0-9]*-update-people.parquet"):
        found |= {row["source_id"]: row["rule"] for row in pq.read_table(path).to_pylist()}
    return found


# --- scope --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "people", "classes"),
    [
        (Scope(schools=("A",)), {"student 1", "student 2", "teacher 1"}, {"M1"}),
        (Scope(schools=("B",)), {"student 3", "teacher 1", "teacher 9"}, {"M2", "E1"}),
        (Scope(roles=("teacher",)), {"teacher 1", "teacher 9"}, {"M1", "M2", "E1"}),
        (Scope(grades=("8",)), {"student 3", "teacher 1", "teacher 9"}, {"M1", "M2", "E1"}),
    ],
)
def test_only_what_is_in_scope_is_there(
    directories: Callable[[], Directory], scope: Scope, people: set[str], classes: set[str]
) -> None:
    """From the first sync on, and when the scope narrows later: what leaves it leaves with that reason, no errors."""
    roster = DISTRICT.changed("people", {"role": "student", "source_id": "3"}, grade="8").plus(
        "contacts", contact("3", "far@home.example")
    )
    narrow = msgspec.structs.replace(CREATES, scope=scope)
    fresh, later = directories(), directories()
    assert fresh.sync(roster, policy=narrow).errors == []
    later.sync(roster)
    assert later.sync(roster, policy=narrow).errors == []
    for directory in (fresh, later):
        there = {name for name, (on,) in directory.objects("people", "active").items() if on}
        assert there == people
        assert {name for name, (on,) in directory.objects("classes", "active").items() if on} == classes
        assert directory.broken() == []
    assert active(fresh) == active(later)
    gone = [
        row["rule"]
        for path in (later.folder / "runs" / "run-2" / "plan-1").glob("[0-9]*-remove-*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    assert set(gone) == {"left-scope"}


def test_terms_begin_and_end_on_their_day(directory: Directory) -> None:
    """A class is there while its term lasts, and the profile asks for a run on the days on which that changes."""
    policy = msgspec.structs.replace(
        CREATES, time_zone="Europe/Oslo", guards=Guards(removal_percent=100), scope=Scope(current_terms=True)
    )
    today = ticks.day(NOW, "Europe/Oslo")
    tomorrow, after = today + timedelta(days=1), today + timedelta(days=2)
    roster = (
        DISTRICT.changed("classes", {"source_id": "M1"}, term_start=None, term_end=f"{today}")
        .changed("classes", {"source_id": "M2"}, term_start=f"{after}", term_end=None)
        .changed("classes", {"source_id": "E1"}, term_start=None, term_end=None)
    )

    def there() -> set[str]:
        return {name for name, (on,) in directory.objects("classes", "active").items() if on}

    first = directory.sync(roster, policy=policy)
    assert first.finished is not None
    assert first.finished.wakes == ticks.midnight(tomorrow, "Europe/Oslo")
    assert there() == {"M1", "E1"}
    assert directory.sync(roster, policy=policy).unchanged
    second = directory.sync(roster, policy=policy, now=ticks.midnight(tomorrow, "Europe/Oslo"))
    assert second.finished is not None
    assert there() == {"E1"}
    assert second.steps["classes"] == {"remove": 1}
    assert second.finished.wakes == ticks.midnight(after, "Europe/Oslo")
    third = directory.sync(roster, policy=policy, now=ticks.midnight(after, "Europe/Oslo"))
    assert third.finished is not None
    assert third.finished.wakes is None
    assert there() == {"M2", "E1"}
    assert directory.broken() == []


def test_days_of_a_scope_leave_out_the_terms_outside() -> None:
    """A term that touches the days is in; who writes them the wrong way round is told."""
    with pytest.raises(ValueError, match="lastDay: it is before firstDay"):
        Scope(first_day=date(2026, 8, 1), last_day=date(2026, 7, 1))
    db = duckdb.connect()
    for name in ("roster", "outside"):
        db.execute(f"CREATE SCHEMA {name}")
    fill(
        db,
        Roster(
            {
                "classes": (
                    section("past", "A", term_start="2025-08-01", term_end="2026-07-31"),
                    section("touches", "A", term_start="2026-01-01", term_end="2026-08-01"),
                    section("during", "A", term_start="2026-09-01", term_end="2026-10-01"),
                    section("begins", "A", term_start="2026-12-31", term_end="2027-02-01"),
                    section("later", "A", term_start="2027-01-01", term_end="2027-02-01"),
                    section("strange", "A", term_start="autumn", term_end="winter"),
                )
            }
        ),
    )
    policy = msgspec.structs.replace(CREATES, scope=Scope(first_day=date(2026, 8, 1), last_day=date(2026, 12, 31)))
    narrow(db, Terms(tenant_id="t", profile=1, living=(1,), policy=policy, now=NOW))
    inside = {name for (name,) in db.execute("SELECT source_id FROM roster.classes").fetchall()}
    assert inside == {"touches", "during", "begins", "strange"}
    outside = {name for (name,) in db.execute("SELECT source_id FROM outside.records").fetchall()}
    assert outside == {"past", "later"}


def test_leaving_scope_is_guarded(directory: Directory) -> None:
    """Who narrows a profile by mistake is told what would go."""
    roster = district(20, schools="AB")
    directory.sync(roster, policy=STRICT)
    narrow = msgspec.structs.replace(STRICT, scope=Scope(schools=("A",)))
    outcome = directory.sync(roster, policy=narrow)
    assert outcome.planned is not None
    assert {one.guard for one in outcome.planned.verdicts} >= {"school-gone", "removals"}
