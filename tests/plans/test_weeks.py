"""Weeks of uploads, whole, partial and damaged, new ids, hand edits, held plans, runs cut off or taken back, mixed."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from schoolsync import sources
from schoolsync.plan.policy import Guards
from schoolsync.runs import checking
from schoolsync.runs.checking import StageFailed
from schoolsync.runs.selections import WHOLE, Selection
from schoolsync.runs.stored_plan import TAKING, Plans

from ..conftest import NIGHTLY
from .districts import APPROVER, CREATES, Directory, Outcome, Roster, engine, named_lines
from .test_damaged_files import DAMAGES
from .test_properties import FREE as NO_BIN
from .test_properties import active, rosters
from .test_real_files import files_of
from .test_taking_back import ask

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

EXAMPLES = 20 if NIGHTLY else 2
WEEKS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=6,
    deadline=None,
    derandomize=not NIGHTLY,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
LIMIT = 30  # percent
BINS = dict.fromkeys(("school", "section", "student", "teacher"), 0)
FREE = msgspec.structs.replace(NO_BIN, bin_days=BINS)
CAREFUL = msgspec.structs.replace(
    CREATES,
    guards=Guards(removal_percent=LIMIT, removal_least=0, update_percent=100, school_gone=False, window_days=0),
    bin_days=BINS,
)
_KINDS = {"school": "schools", "section": "classes", "student": "student", "teacher": "teacher"}
TABLES = ("schools", "classes", "people")
LINKS = ("school_classes", "school_people", "class_people")
NOTHING = Guards(removal_percent=0, removal_least=0, class_percent=0, class_least=0, update_percent=100)
SDS_V1 = {
    # file -> the table it is of, whose role, and the column for every header
    "School.csv": ("organizations", "", {"SIS ID": "source_id", "Name": "name", "School Number": "number"}),
    "Section.csv": (
        "classes", "", {"SIS ID": "source_id", "School SIS ID": "school_id", "Section Name": "name"}
    ),
    **{
        f"{role.title()}.csv": (
            "person_organizations",
            role,
            {
                "SIS ID": "source_id", "School SIS ID": "school_id", "Username": "username", "First Name": "given_name",
                "Last Name": "surname", "Password": "password", f"{role.title()} Number": "number", "Status": "status",
            },
        )
        for role in ("student", "teacher")
    },
    "StudentEnrollment.csv": ("enrollments", "student", {"Section SIS ID": "class_id", "SIS ID": "source_id"}),
    "TeacherRoster.csv": ("enrollments", "teacher", {"Section SIS ID": "class_id", "SIS ID": "source_id"}),
    "User.csv": (
        "contacts", "",
        {"Email": "email", "First Name": "name", "Last Name": "name", "Phone": "phone", "SIS ID": "none"},
    ),
    "Guardianrelationship.csv": ("contacts", "", {"SIS ID": "student_id", "Email": "email", "Role": "relationship"}),
}  # fmt: skip


class Weeks(RuleBasedStateMachine):
    """One profile over time. What the directory has to hold is said by the roster alone, never by the engine."""

    directory: Directory

    @initialize(roster=rosters())
    def first(self, roster: Roster) -> None:
        """The first upload."""
        self.roster = roster
        self.clean = False  # the directory equals the roster
        self.undoable: tuple[str, dict[str, Any]] | None = None
        self.names: dict[str, str] = {}  # what students were called by the first SIS, and are by now
        self.upload(roster)

    def _done(self, outcome: Outcome, roster: Roster) -> None:
        assert outcome.unchanged or outcome.finished is not None
        self.roster, self.clean = roster, True
        there, said = content(self.directory), wanted(roster)
        if "contacts" in roster.absent:
            del there["guardians"], said["guardians"]
        assert there == said
        away = "NOT active AND binned_at IS NULL"
        assert not any(self.directory.query(f"SELECT 1 FROM {table} WHERE {away}") for table in TABLES)
        self._explained(outcome)

    def _explained(self, outcome: Outcome) -> None:
        """Every step has a reason and a line that is there; what is taken away the line that named it last."""
        if outcome.planned is not None:
            named_lines(self.directory, self.directory._runs)

    @rule(roster=rosters())
    def upload(self, roster: Roster) -> None:
        """An upload that nothing holds: the directory is as the roster says, whatever was before."""
        roster = renamed(roster, self.names)
        before, clean = (active(self.directory) if self.clean else {}), self.clean
        outcome = self.directory.sync(roster, policy=FREE)
        self._done(outcome, roster)
        run = f"run-{self.directory._runs}"
        self.undoable = (run, before) if clean and not outcome.unchanged else None

    @precondition(lambda self: self.clean)
    @rule()
    def again(self) -> None:
        """The same once more writes nothing."""
        before = self.directory.touched()
        outcome = self.directory.sync(self.roster, policy=FREE, ignore_findings=True)
        assert outcome.unchanged or outcome.steps == {}
        assert self.directory.touched() == before

    def _let_go(self, run: str) -> None:
        """Every step that a guard held names who has let it go; the yes names the run and its plan."""
        steps = ask(self.directory, run, top=1000).steps
        assert {one.held for one in steps} >= {True}
        assert all([yes.person for yes in one.approved_by] == [APPROVER] for one in steps if one.held)
        plans = Plans(self.directory.folder / "runs" / run)
        plan = plans.latest()
        assert plan is not None
        assert {(one.run, one.release.plan) for one in plans.let(plan)} == {(run, plan.planned.plan)}

    @precondition(lambda self: self.clean)
    @rule(roster=rosters())
    def without_a_file(self, roster: Roster) -> None:
        """An upload without the guardians' file: whoever is there keeps the guardians."""
        roster = renamed(roster, self.names)
        part = {table: rows for table, rows in roster.tables.items() if table != "contacts"}
        roster = Roster(part, absent=frozenset({"contacts"}))
        query = "SELECT id, related_contacts FROM people"
        before = dict(self.directory.query(query))
        self._done(self.directory.sync(roster, policy=FREE), roster)
        after = dict(self.directory.query(query))
        assert {one: after[one] for one in before} == before
        self.undoable = None

    @precondition(lambda self: self.clean)
    @rule(name=st.sampled_from(sorted(SDS_V1)), damage=st.sampled_from(["none", *DAMAGES]))
    def a_file_is_damaged(self, name: str, damage: str) -> None:
        """What is there comes once more as the files of SDS V1, of which one is missing or damaged: nothing goes.

        Without any limit of removals a file that is absent, empty, unreadable or a header alone is refused or held.
        """
        folder = self.directory.folder / "files"
        write_sds_v1(self.roster, folder)
        left = (folder / name).read_bytes() if damage == "none" else DAMAGES[damage]((folder / name).read_bytes())
        if left is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(left)
        limits = NOTHING if damage.startswith("cut") else FREE.guards
        policy = msgspec.structs.replace(FREE, guards=limits, fields=("contacts",))
        before = content(self.directory)
        job = self.directory.job(
            Roster(), policy=policy, format="sds-v1", files=files_of(folder), ignore_findings=True, again=True
        )
        self.directory.rosters.pop(self.directory._runs)  # nothing of it gets in, so no later step names its lines
        with pytest.MonkeyPatch.context() as patch, engine(job) as work:
            patch.setattr(checking, "sources", sources)
            try:
                work.extract()
                refused = work.validate().fatal
                planned = None if refused else work.plan()
            except StageFailed:
                refused, planned = True, None
        assert not (refused and damage == "none")
        taken = {op for ops in ({} if planned is None else planned.steps).values() for op in ops} & TAKING
        assert not taken or (planned is not None and planned.held is not None and damage != "none"), (planned, name)
        assert content(self.directory) == before

    def map_of(self, new: dict[str, str]) -> None:
        """Give the profile a map of new ids of students."""
        path = self.directory.folder / f"map-{len(self.directory.rekeys) + 1}.csv"
        path.write_text("kind,old,new\n" + "".join(f"student,{old},{now}\n" for old, now in new.items()), "utf-8")
        self.directory.rekeys += (str(path),)

    @precondition(lambda self: self.clean)
    @rule()
    def renumber(self) -> None:
        """All students have new ids, and a map says so: they are who they were."""
        query = "SELECT source_id, id FROM people WHERE active AND primary_role = 'student'"
        before = dict(self.directory.query(query))
        new = {one: f"{one}n" for one in before}
        self.map_of(new)
        self.names = {
            **{first: new.get(now, now) for first, now in self.names.items()},
            **{one: now for one, now in new.items() if one not in self.names.values()},
        }
        roster = renamed(self.roster, new)
        self._done(self.directory.sync(roster, policy=FREE), roster)
        assert dict(self.directory.query(query)) == {new[one]: key for one, key in before.items()}
        self.undoable = None

    @precondition(lambda self: self.clean)
    @rule(roster=rosters(), yes=st.booleans())
    def guarded(self, roster: Roster, yes: bool) -> None:
        """Within the limits it goes on; beyond them nothing is changed until a person says yes."""
        roster, before = renamed(roster, self.names), content(self.directory)
        job = self.directory.job(roster, policy=CAREFUL)
        outcome = self.directory.work(job, roster)
        if outcome.unchanged or outcome.finished is not None:
            after = content(self.directory)
            for kind in ("schools", "classes", "student", "teacher"):
                assert len(keys(before[kind]) - keys(after[kind])) * 100 <= LIMIT * len(before[kind])
            lost = (before["guardians"] & keys(after["student"])) - after["guardians"]
            assert len(lost) * 100 <= LIMIT * len(before["guardians"]) or "contacts" in roster.absent
            self._done(outcome, roster)
        elif yes:
            self._done(self.directory.release(job, roster, WHOLE), roster)
            self._let_go(job.run)
        else:
            assert content(self.directory) == before
        self.undoable = None

    @precondition(lambda self: self.clean)
    @rule(
        roster=rosters(),
        kind=st.sampled_from(["student", "section", "guardians", "studentEnrollment"]),
        but=st.booleans(),
    )
    def approved_in_part(self, roster: Roster, kind: str, but: bool) -> None:
        """Of a plan that is held only one kind goes, or all but that one; taken back, everything is as it was."""
        roster, before, in_use = renamed(roster, self.names), content(self.directory), active(self.directory)
        job = self.directory.job(roster, policy=CAREFUL)
        outcome = self.directory.work(job, roster)
        if outcome.unchanged or outcome.finished is not None:
            self._done(outcome, roster)
            self.undoable = None
            return
        assert outcome.planned is not None
        part = Selection(kind=kind)
        if but:
            self.directory.release(job, roster, WHOLE, without=(part,))
        else:
            self.directory.release(job, roster, part)
        assert self.directory.broken() == []
        after = content(self.directory)
        if {"removals", "everything"} & {*outcome.planned.holds}:
            for other, table in _KINDS.items():
                if (other == kind) is but:
                    assert keys(before[table]) <= keys(after[table])
            if (kind == "guardians") is but:
                assert before["guardians"] & keys(after["student"]) <= after["guardians"]
        self.clean, self.undoable = False, (job.run, in_use)

    @precondition(lambda self: self.clean)
    @rule()
    def renumbered_without_a_map(self) -> None:
        """All students have new ids and nobody says so: nothing is changed, and the proposed map keeps who they are."""
        query = "SELECT source_id, id FROM people WHERE active AND primary_role = 'student'"
        before, there = dict(self.directory.query(query)), content(self.directory)
        new = {one: f"{one}r" for one in before}
        roster = renamed(self.roster, new)
        outcome = self.directory.sync(roster, policy=CAREFUL)
        assert outcome.finished is None
        assert content(self.directory) == there
        plan = Plans(outcome.folder).latest()
        assert plan is not None
        proposed = pq.read_table(outcome.folder / plan.folder / "renumbered.parquet").to_pylist()
        pairs = {row["old_id"]: row["new_id"] for row in proposed if row["kind"] == "student"}
        assert pairs.items() <= new.items()
        self.map_of(pairs)
        self.names = {
            **{first: new.get(now, now) for first, now in self.names.items()},
            **{one: now for one, now in new.items() if one not in self.names.values()},
        }
        self._done(self.directory.sync(roster, policy=FREE), roster)
        after = dict(self.directory.query(query))
        assert {old: after[new] for old, new in pairs.items()} == {old: before[old] for old in pairs}
        self.undoable = None

    @precondition(lambda self: self.clean)
    @rule(roster=rosters(), part=st.integers(0, 3))
    def cut_off(self, roster: Roster, part: int) -> None:
        """A run that ends after some of its batches, one of them twice; nobody goes on with it."""
        roster = renamed(roster, self.names)
        job = self.directory.job(roster, policy=FREE, batch_rows=4)
        with engine(job) as work:
            batches = work.plan().batches
            for batch in range(batches * part // 4):
                work.apply(batch)
                work.apply(batch)
        self.clean, self.undoable = False, None

    @precondition(lambda self: self.undoable is not None)
    @rule()
    def undo(self) -> None:
        """The last run is taken back: what is in use is what it was."""
        assert self.undoable is not None
        run, before = self.undoable
        outcome = self.directory.undo(run, policy=FREE)
        assert outcome.finished is not None
        assert active(self.directory) == before
        named_lines(self.directory, self.directory._runs)
        self.clean, self.undoable = False, None

    @rule(value=st.sampled_from(["Ola", "Ida"]), whose=st.integers(0, 9))
    def by_hand(self, value: str, whose: int) -> None:
        """Somebody changes a name, or ends a membership."""
        people = sorted(self.directory.query("SELECT key FROM people WHERE active"))
        (key,) = people[whose % len(people)]
        if whose % 2:
            self.directory.by_hand(f"UPDATE people SET given_name = '{value}' WHERE key = {key}")
        else:
            self.directory.by_hand(f"DELETE FROM class_people WHERE person = {key}")
        self.clean, self.undoable = False, None

    @invariant()
    def whole(self) -> None:
        """No link without its ends, and none of an object that is away; what is in use lies in no bin."""
        if hasattr(self, "roster"):
            assert self.directory.broken() == []
            lies = "active AND binned_at IS NOT NULL"
            assert not any(self.directory.query(f"SELECT 1 FROM {table} WHERE {lies}") for table in TABLES)


def content(directory: Directory) -> dict[str, set[Any]]:
    """What is in use in the directory, by SIS IDs."""
    found = {
        table: {row[0] for row in directory.query(f"SELECT source_id FROM {table} WHERE active")}
        for table in ("schools", "classes")
    }
    for role in ("student", "teacher"):
        rows = directory.query(
            "SELECT source_id, given_name, coalesce(student_number, teacher_number), status FROM people "
            f"WHERE active AND primary_role = '{role}'"
        )
        found[role] = {tuple(row) for row in rows}
    some = "active AND primary_role = 'student' AND related_contacts <> '[]'"
    found["guardians"] = {row[0] for row in directory.query(f"SELECT source_id FROM people WHERE {some}")}
    return found | {table: {tuple(row[1:]) for row in directory.links(table)} for table in LINKS}


def renamed(roster: Roster, names: dict[str, str]) -> Roster:
    """The same with other SIS IDs of students."""
    if not names:
        return roster
    tables = {}
    for table, rows in roster.tables.items():
        column = "student_id" if table == "contacts" else "source_id"
        tables[table] = tuple(
            {**row, column: names.get(row[column], row[column])}
            if table == "contacts" or row.get("role") == "student"
            else row
            for row in rows
        )
    return Roster(tables, absent=roster.absent)


def write_sds_v1(roster: Roster, folder: Path) -> None:
    """The roster as the files of SDS V1, guardians included."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    people = {(row["role"], row["source_id"]): {**row, "password": "Sommer-2026"} for row in roster.rows("people")}
    for name, (table, role, columns) in SDS_V1.items():
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(columns)
            for row in roster.rows(table):
                if not role or row["role"] == role:
                    whole = {**people.get((row.get("role", ""), row.get("source_id", "")), {}), **row}
                    out.writerow([whole.get(column) or "" for column in columns.values()])


def keys(objects: set[Any]) -> set[str]:
    """The SIS IDs alone."""
    return {one if isinstance(one, str) else one[0] for one in objects}


def wanted(roster: Roster) -> dict[str, set[Any]]:
    """What the roster says shall be in use."""
    found: dict[str, set[Any]] = {
        "schools": {row["source_id"] for row in roster.rows("organizations")},
        "classes": {row["source_id"] for row in roster.rows("classes")},
        "guardians": {row["student_id"] for row in roster.rows("contacts")},
        "school_classes": {(row["school_id"], row["source_id"]) for row in roster.rows("classes")},
        "school_people": {
            (row["school_id"], f"{row['role']} {row['source_id']}") for row in roster.rows("person_organizations")
        },
        "class_people": {
            (row["class_id"], f"{row['person_role']} {row['source_id']}", True, row["role"] == "teacher")
            for row in roster.rows("enrollments")
        },
    }
    for role in ("student", "teacher"):
        found[role] = {
            (row["source_id"], row["given_name"], row["number"], row["status"])
            for row in roster.rows("people")
            if row["role"] == role
        }
    return found


@pytest.mark.timeout(120 + 60 * EXAMPLES)  # of all examples together
def test_weeks_of_a_profile(directories: Callable[[], Directory]) -> None:
    """Whatever happened before, a clean run makes the directory what the roster says, and nothing is lost unasked."""

    class Here(Weeks):
        def __init__(self) -> None:
            super().__init__()
            self.directory = directories()
            self.directory.compares = True

    run_state_machine_as_test(Here, settings=WEEKS)  # type: ignore[no-untyped-call]  # hypothesis has no type for it
