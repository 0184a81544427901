"""Small districts as values, a source that hands them over as they are, and a directory to synchronize them into.

Nobody in them exists. Directories are read through the bulk driver alone: a file must not be opened by two SQLite
libraries in one process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import adbc_driver_sqlite.dbapi as driver
import duckdb
import msgspec
import psycopg
import pyarrow.parquet as pq
import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from schoolsync.plan.policy import Guards, Matching, Policy
from schoolsync.plan.steps import RULES
from schoolsync.roster import findings
from schoolsync.roster import tables as roster_tables
from schoolsync.runs import checking, snapshots
from schoolsync.runs.behind import Work
from schoolsync.runs.checking import StageFailed
from schoolsync.runs.job import Base, Failed, Finished, Job, JobFile, Known, Planned, Undone
from schoolsync.runs.selections import Release, Selection, Yes
from schoolsync.runs.sentences import done_message
from schoolsync.runs.stages import Stages
from schoolsync.runs.stored_plan import KEYS, Plans
from schoolsync.sources import Checked, Extract
from schoolsync.sources.changes import NO_PACKAGE
from schoolsync.sources.needs import Needs
from schoolsync.store import locks
from schoolsync.store.control_tables import runs
from schoolsync.store.directory_tables import directory as directory_tables

from ..german import assert_german
from .rosters import DISTRICT, FILES, Roster, Row, attends, contact, enrolled, left_out, person, school, section

# What tests of plans take from here, whichever of the two files it stands in.
__all__ = [
    "APPROVER",
    "CREATES",
    "DISTRICT",
    "FILES",
    "NOW",
    "TENANT",
    "Directory",
    "GivenSource",
    "Outcome",
    "Roster",
    "Row",
    "attends",
    "carried_out",
    "contact",
    "engine",
    "enrolled",
    "fill",
    "given_source",
    "left_out",
    "named_lines",
    "person",
    "refused",
    "school",
    "section",
    "visible_columns",
]

APPROVER = "ada@fjord.example"
TENANT = "0f1e2d3c-4b5a-4697-8877-665544332211"
OVERS = {snapshots.OVER, snapshots.LINKS_OVER}
CREATES = Policy(
    profile_name="Fjord",
    domains={"student": "pupils.example", "teacher": "staff.example"},
    guards=Guards(school_gone=False),  # districts of two schools lose one quite often here
)
NOW = 638_900_000_000_000_000


def matching_accounts(policy: Policy) -> Policy:
    """A policy that makes no accounts and matches those that are there by their sign-in names."""
    return msgspec.structs.replace(
        policy,
        domains={},
        matching=tuple(
            Matching(role=role, source="username", target="userPrincipalName", domain="fjord.example")
            for role in ("student", "teacher")
        ),
    )


def fill(db: duckdb.DuckDBPyConnection, roster: Roster) -> None:
    """Make the canonical tables of `roster`."""
    for statement in roster_tables.ddl():
        db.execute(statement)
    findings.create(db)
    for table, rows in roster.tables.items():
        columns = roster_tables.TABLES[table]
        marks = ", ".join("?" for _ in columns)
        values = [
            [*(row.get(name) for name in columns if name not in ("file", "line")), FILES[table], number + 2]
            for number, row in enumerate(rows)
        ]
        if values:
            names = ", ".join([*(name for name in columns if name not in ("file", "line")), "file", "line"])
            db.executemany(f"INSERT INTO roster.{table} ({names}) VALUES ({marks})", values)


class GivenSource:
    """A source whose rosters come as values: the engine has nothing to read and nothing to check."""

    CheckOptions = staticmethod(lambda **options: SimpleNamespace(**options))
    SourceFile = staticmethod(lambda name, path: (name, path))
    Limits = staticmethod(lambda **limits: SimpleNamespace(**limits))

    def __init__(self) -> None:
        self.roster = Roster()
        self.reads = 0

    def extract(self, db: duckdb.DuckDBPyConnection, files: Sequence[Any], options: Any) -> Extract:
        self.reads += 1
        fill(db, self.roster)
        needs = Needs(policy=None, creates=True)
        rows = {"People.csv": 1}
        return Extract(
            format="given",
            why="as given",
            rows=rows,
            tables={},
            creates=True,
            needs=needs,
            package=NO_PACKAGE,
            fatal=False,
        )

    def validate(self, db: duckdb.DuckDBPyConnection, extracted: Extract, options: Any) -> Checked:
        return Checked(
            format="given",
            why=extracted.why,
            rows=extracted.rows,
            errors=len(self.roster.rows("left_out")),
            warnings=0,
            fatal=False,
            absent=self.roster.absent,
            columns=self.roster.columns or _all_columns(),
        )


def _all_columns() -> dict[str, frozenset[str]]:
    columns = {table: frozenset(names) for table, names in roster_tables.TABLES.items()}
    return {**columns, "student": columns["people"], "teacher": columns["people"]}


@dataclass
class Outcome:
    """How a run went."""

    planned: Planned | None
    finished: Finished | None
    folder: Path  # the run's
    unchanged: bool = False

    @property
    def steps(self) -> dict[str, dict[str, int]]:
        assert self.planned is not None
        return self.planned.steps

    @property
    def errors(self) -> list[dict[str, Any]]:
        assert self.planned is not None
        found = [row for name in self.planned.error_files for row in json.loads((self.folder / name).read_text())]
        assert len(found) == self.planned.errors
        assert_german(*(row["error_message"] for row in found))
        return found

    def codes(self) -> list[tuple[str, str, str | None]]:
        """Entry type, code and identifier of every error."""
        return [(row["entry_type"], row["error_code"], row["reportable_identifier"]) for row in self.errors]


def carried_out(job: Job, work: Any) -> Outcome:
    """Plan, and unless a guard holds the plan, apply and finish it."""
    planned = work.plan()
    assert_german(planned.held, *planned.notes, *(one.sentence for one in planned.verdicts), done_message(planned))
    if planned.held is not None:
        return Outcome(planned, None, Path(job.folder))
    for batch in range(planned.batches):
        work.apply(batch)
    return Outcome(planned, work.finish(), Path(job.folder))


class Directory:
    """A directory, in a file or in the PostgreSQL at `url`, and the runs of a tenant's profiles into it."""

    def __init__(self, folder: Path, source: GivenSource, url: str | None = None) -> None:
        self.url = url
        self.folder = folder
        self.source = source
        self.path = folder / "directory" / f"{TENANT}.db"
        self.profiles: tuple[int, ...] = (1,)
        self._bases: dict[int, Base] = {}
        self._before: dict[int, Base] = {}
        self._runs = 0
        self._applied: set[str] = set()  # runs that were applied whole, since a run was last taken back
        self.rosters: dict[int, tuple[int, Roster]] = {}  # run -> profile and roster
        self.rekeys: tuple[str, ...] = ()  # the maps of ids that runs are given
        self.compares = False  # every plan with the one that sets nobody aside

    def job(self, roster: Roster, *, policy: Policy = CREATES, profile: int = 1, **values: Any) -> Job:
        """The job of the next run; `values` replace members of it."""
        self._runs += 1
        self.source.roster = roster
        self.rosters[self._runs] = profile, roster
        run = values.pop("run", f"run-{self._runs}")
        digest = roster.digest
        self.folder.mkdir(parents=True, exist_ok=True)
        uploaded = self.folder / "People.csv"  # it is there; what it holds is given
        uploaded.touch()
        given: dict[str, Any] = {
            "tenant": 1,
            "tenant_id": TENANT,
            "profile": profile,
            "profile_id": f"profile-{profile}",
            "living": self.profiles,
            "run": run,
            "fence": 1,
            "format": "given",
            "files": (JobFile(name="People.csv", path=str(uploaded), sha256=digest, size=1),),
            "policy": policy,
            "directory": self.url or str(self.path),
            "folder": str(self.folder / "runs" / run),
            "scratch": str(self.folder / "scratch" / run),
            "base": self._bases.get(profile),
            "before": self._before.get(profile),
            "known": tuple(
                Known(
                    number=number,
                    folder=str(self.folder / "runs" / f"run-{number}"),
                    applied=f"run-{number}" in self._applied,
                )
                for number in range(self._runs - 1, 0, -1)
                if self.rosters.get(number, (0,))[0] == profile
            ),
            "rekeys": self.rekeys,
            "ignore_findings": False,
            "now": NOW + self._runs,
            "memory_limit": "200MiB",
            "threads": 1,
            "batch_rows": 20_000,
            "max_rows": 1000,
        }
        return Job(**{**given, **values})

    def sync(self, roster: Roster, *, policy: Policy = CREATES, profile: int = 1, **values: Any) -> Outcome:
        """One whole run."""
        return self.work(self.job(roster, policy=policy, profile=profile, **values), roster)

    def work(self, job: Job, roster: Roster) -> Outcome:
        """All stages of a job, as the workflow asks for them."""
        self.source.roster = roster
        whole = self.looked_at_whole(job) if self.compares else None
        with engine(job) as work:
            if work.extract().unchanged:
                assert whole is None or whole[0].steps == {}
                return Outcome(None, None, Path(job.folder), unchanged=True)
            work.validate()
            work.go_ahead()
            outcome = carried_out(job, work)
        if whole is not None:
            assert self._found(job) == whole
        if outcome.finished is not None:
            self.done(job, outcome.finished)
        return outcome

    def looked_at_whole(self, job: Job) -> tuple[Planned, Any]:
        """What a job comes to when every record is looked at: the plan, and what would be in the directory."""
        run = f"{job.run}-whole"
        folder, scratch = str(self.folder / "runs" / run), str(self.folder / "scratch" / run)
        other = msgspec.structs.replace(job, run=run, folder=folder, scratch=scratch, again=True, preview=True)
        with engine(other) as work:
            work.extract()
            work.validate()
            assert work.plan().alike == 0
        return self._found(other)

    def _found(self, job: Job) -> tuple[Planned, Any]:
        """The plan of a job, without what differs from run to run, and its snapshot."""
        plans = Plans(Path(job.folder))
        plan = plans.latest()
        assert plan is not None
        snapshot: dict[str, Any] = {}
        folder = plans.snapshot(plan)
        for table in sorted({path.stem.partition(".")[0] for path in folder.glob("*.parquet")} - OVERS):
            rows = duckdb.sql(f"FROM {snapshots.relation(folder, table)}").to_arrow_table().to_pylist()
            for row in rows:
                for name in KEYS & row.keys():
                    row[name] = row[name] - plan.first_key if row[name] >= plan.first_key else -row[name]
            snapshot[table] = sorted(map(repr, rows))
        return msgspec.structs.replace(plan.planned, alike=0, error_files=()), (plan.wakes, snapshot)

    def undo(self, run: str, *, policy: Policy = CREATES, profile: int = 1, **values: Any) -> Outcome:
        """A run that takes an earlier one back."""
        number = int(run.rpartition("-")[2])
        undone = Undone(run=run, number=number, folder=str(self.folder / "runs" / run))
        job = self.job(self.source.roster, policy=policy, profile=profile, undoes=undone, **values)
        self._applied.clear()
        with engine(job) as work:
            outcome = carried_out(job, work)
        if outcome.finished is not None:
            self.forget_base(profile)
        return outcome

    def release(self, job: Job, roster: Roster, *selections: Selection, without: tuple[Selection, ...] = ()) -> Outcome:
        """A held run (its job) goes on with what was approved of its plan, and not with what was discarded."""
        self.source.roster = roster
        with engine(msgspec.structs.replace(job, fence=job.fence + 1)) as work:
            planned = work.plan()
        said = tuple(Yes(id=f"yes-{n}", what=one, person=APPROVER, given=job.now) for n, one in enumerate(selections))
        given = Release(plan=planned.plan, selections=selections, without=without, given=said, expires=job.now + 1)
        with engine(msgspec.structs.replace(job, fence=job.fence + 2, released=given)) as work:
            assert work.plan() == planned
            for batch in range(planned.batches):
                work.apply(batch)
            finished = work.finish()
        self.forget_base(job.profile)
        if finished.snapshot is not None:
            self.done(job, finished)
        return Outcome(planned, finished, Path(job.folder))

    def done(self, job: Job, finished: Finished) -> None:
        """Remember a run as the one that the next is compared with."""
        assert finished.snapshot is not None
        self._applied.add(job.run)
        self._bases[job.profile] = self._before[job.profile] = Base(
            run=job.run, snapshot=finished.snapshot, input_hash=finished.input_hash, position=finished.position
        )

    def forget_base(self, profile: int = 1) -> None:
        """As after a reset: the next run has nothing to compare with but the directory."""
        self._bases.pop(profile, None)

    # --- looking ---------------------------------------------------------------------------------------------------

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        if self.url is not None:
            with psycopg.connect(self.url, autocommit=True) as server:
                found = server.execute(statement)  # type: ignore[call-overload]  # statements of the tests' own
                return [] if found.description is None else found.fetchall()
        with driver.connect(str(self.path), autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return [] if cursor.description is None else list(cursor.fetchall())

    def control(self, job: Job) -> str:
        """A control database in which the run of `job` is open; where it is, as jobs say it."""
        if self.url is None:
            self.ask_control(str(CreateTable(runs).compile(dialect=sqlite.dialect())))
        self.ask_control(
            "INSERT INTO runs (tenant, profile, id, number, state, cause, asked) "
            f"VALUES ({job.tenant}, '{job.profile_id}', '{job.run}', 1, 'applying', 'start', {job.now})"
        )
        return self.url or str(self.folder / "control.db")

    def ask_control(self, statement: str) -> None:
        """A statement in that database."""
        if self.url is not None:
            self.query(statement)
            return
        with driver.connect(str(self.folder / "control.db"), autocommit=True) as control, control.cursor() as cursor:
            cursor.execute(statement)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Somebody else is in a write transaction."""
        if self.url is not None:
            with psycopg.connect(self.url) as server:
                server.execute(locks.directory(TENANT))  # type: ignore[call-overload]  # not a literal
                yield
            return
        with driver.connect(str(self.path), autocommit=True) as other, other.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            yield
            cursor.execute("ROLLBACK")

    def by_hand(self, statement: str) -> None:
        """A change through the API: it raises the position."""
        self.query(statement)
        self.query("UPDATE positions SET position = position + 1")

    def person_by_hand(self, account: str, **values: Any) -> str:
        """An account that somebody made; returns its id."""
        self.query("UPDATE positions SET last_key = last_key + 1")
        if not self.query("SELECT 1 FROM positions"):
            self.query("INSERT INTO positions VALUES (1, 0, 1)")
        ((key,),) = self.query("SELECT last_key FROM positions")
        made = {
            "tenant": 1,
            "key": key,
            "id": f"hand-{key}",
            "created": 5,
            "changed": 5,
            "position": 1,
            "primary_role": "none",
            "user_principal_name": account,
            "account_name": account.lower(),
            "display_name": f"By hand {key}",
            **values,
        }
        columns, marks = ", ".join(made), ", ".join(repr(value) for value in made.values())
        self.by_hand(f"INSERT INTO people ({columns}) VALUES ({marks})")
        return str(made["id"])

    def objects(self, table: str, *columns: str) -> dict[Any, tuple[Any, ...]]:
        """The objects of a table by source id (people: role and source id)."""
        key = "primary_role || ' ' || source_id" if table == "people" else "source_id"
        rows = self.query(f"SELECT {key}, {', '.join(columns)} FROM {table} WHERE source_id IS NOT NULL")
        return {row[0]: row[1:] for row in rows}

    def object(self, table: str, name: str, *columns: str) -> tuple[Any, ...]:
        return self.objects(table, *columns)[name]

    def links(self, table: str) -> set[tuple[Any, ...]]:
        """The links of a table by the source ids of their ends."""
        left, right = {"school_classes": ("schools", "classes"), "school_people": ("schools", "people")}.get(
            table, ("classes", "people")
        )
        sides = {"schools": "school", "classes": "class", "people": "person"}
        flags = ", l.member, l.teacher" if table == "class_people" else ""
        role = "r.primary_role || ' ' || r.source_id" if right == "people" else "r.source_id"
        return set(
            self.query(
                f"SELECT l.profile, a.source_id, {role}{flags} FROM {table} l "
                f'LEFT JOIN {left} a ON a.key = l."{sides[left]}" LEFT JOIN {right} r ON r.key = l."{sides[right]}"'
            )
        )

    def classes_of(self, name: str) -> set[str]:
        return {row[1] for row in self.links("class_people") if row[2] == name}

    def content(self) -> dict[str, Any]:
        """Everything but surrogate keys, times and positions: what two ways to the same state must agree on."""
        found: dict[str, Any] = {}
        for table in ("schools", "classes", "people"):
            chosen = visible_columns(table)
            found[table] = {row[0]: row for row in self.query(f"SELECT {', '.join(chosen)} FROM {table}")}
        for table in ("school_classes", "school_people", "class_people"):
            found[table] = self.links(table)
        return found

    def touched(self) -> dict[str, Any]:
        """Times and positions: what must stay when nothing changes."""
        found: dict[str, Any] = {
            table: dict(self.query(f"SELECT id, created || ' ' || changed || ' ' || position FROM {table}"))
            for table in ("schools", "classes", "people")
        }
        return found | {"position": self.query("SELECT position FROM positions")}

    def broken(self) -> list[str]:
        """What does not make sense by itself: links without ends, objects that are away and still linked."""
        found = []
        for table, (left, right) in {
            "school_classes": ("schools school", "classes class"),
            "school_people": ("schools school", "people person"),
            "class_people": ("classes class", "people person"),
        }.items():
            for objects, side in (left.split(), right.split()):
                lost = self.query(f'SELECT count(*) FROM {table} WHERE "{side}" NOT IN (SELECT key FROM {objects})')
                away = self.query(
                    f'SELECT count(*) FROM {table} l JOIN {objects} o ON o.key = l."{side}" '
                    "WHERE NOT o.active AND l.profile IS NOT NULL"
                )
                found += [f"{table}.{side} {what}" for what, rows in (("lost", lost), ("away", away)) if rows[0][0]]
        return found


def visible_columns(table: str) -> list[str]:
    """The columns that two ways to the same state must agree on."""
    inner = {"tenant", "key", "created", "changed", "position"}
    return [column.name for column in directory_tables.tables[table].columns if column.name not in inner]


def named_lines(directory: Directory, run: int) -> int:
    """Hold every step of a run's plan to its line: it is there, in the upload that is named, and has the step's ids.

    Returns how many steps there are.
    """
    steps = 0
    folder = directory.folder / "runs" / f"run-{run}"
    ids = {
        table: dict(directory.query(f"SELECT key, source_id FROM {table}"))
        for table in ("schools", "classes", "people")
    }
    for path in folder.glob("plan-*/*-*-*.parquet"):
        op, table = path.stem.split("-")[1:3]
        for row in pq.read_table(path).to_pylist():
            steps += 1
            assert row["rule"] in RULES
            upload = row.get("upload_run") or run
            assert op not in ("remove", "unlink", "purge") or row.get("upload_run") != run
            _, roster = directory.rosters[upload]
            assert row["file"] in FILES.values(), (op, table, row)
            holders = [name for name, file in FILES.items() if file == row["file"] and roster.rows(name)]
            named = [
                dict(roster.rows(name)[row["line"] - 2]) for name in holders if row["line"] - 2 < len(roster.rows(name))
            ]
            wanted = {row["source_id"]} if table in ids else _ends(ids, table, row)
            assert any(wanted <= {*one.values()} for one in named), (op, table, row, named)
    return steps


def _ends(ids: dict[str, dict[int, str]], table: str, row: Row) -> set[str]:
    """The SIS IDs of both ends of a link, where these objects are in the directory by now."""
    sides = {"school": "schools", "class": "classes", "person": "people"}
    return {ids[objects][row[side]] for side, objects in sides.items() if row.get(side) in ids[objects]}


class Late:
    """In place of `Behind`: does everything at the last moment, with the engine of whoever works on the rest."""

    class _Given(Future[Any]):
        def __init__(self, catch_up: Callable[[Future[Any]], None]) -> None:
            super().__init__()
            self._catch_up = catch_up

        def result(self, timeout: float | None = None) -> Any:
            self._catch_up(self)
            return super().result(timeout)

    def __init__(self, db: duckdb.DuckDBPyConnection, *, at_once: bool) -> None:
        self.at_once = at_once
        self._db = db
        self._waiting: list[tuple[Work[Any], Future[Any]]] = []

    def do(self, what: Work[Any]) -> Future[Any]:
        given = self._Given(self._catch_up)
        self._waiting.append((what, given))
        if self.at_once:
            self._catch_up()
        return given

    def _catch_up(self, until: Future[Any] | None = None) -> None:
        while self._waiting and (until is None or not until.done()):
            what, given = self._waiting.pop(0)
            given.set_result(what(self._db))

    def __enter__(self) -> Late:
        return self

    def __exit__(self, _: type[BaseException] | None, problem: BaseException | None, __: TracebackType | None) -> None:
        if problem is None:
            self._catch_up()


@contextmanager
def engine(job: Job, progress: Callable[[int, int | None], None] = lambda done, total: None) -> Iterator[Stages]:
    """The stages of a job; given back at the end, as when the process ends."""
    work = Stages(job, progress)
    try:
        yield work
    finally:
        work.close()


@contextmanager
def refused() -> Iterator[list[Failed]]:
    """A stage inside says that it cannot be done; the list has what it says."""
    said: list[Failed] = []
    with pytest.raises(StageFailed) as problem:
        yield said
    said.append(problem.value.failed)


def given_source(patch: pytest.MonkeyPatch) -> GivenSource:
    """Let the engine take its rosters from values."""
    source = GivenSource()
    patch.setattr(checking, "sources", source)
    return source
