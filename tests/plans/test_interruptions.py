"""A run that is cut off anywhere goes on where it stopped, by whoever takes it up; nothing is applied twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psycopg
import pytest

from schoolsync.plan.policy import Guards
from schoolsync.runs import scratches
from schoolsync.runs.job import Job
from schoolsync.runs.places import ROSTER
from schoolsync.store import locks
from schoolsync.targets import sqlite

from ..acceptance.house import until
from ..databases import Cluster
from .districts import (
    CREATES,
    DISTRICT,
    Directory,
    GivenSource,
    Roster,
    attends,
    engine,
    enrolled,
    person,
    refused,
    section,
)

ADOPTS = msgspec.structs.replace(CREATES, guards=Guards(school_gone=False, adoption_least=9))

SMALL = 4  # rows of links in a batch; objects come one at a time


def prepared(job: Job) -> tuple[Job, int]:
    """The plan of `job`, stored; nothing of it is applied."""
    with engine(job) as work:
        work.extract()
        work.validate()
        return job, work.plan().batches


def test_every_batch_in_a_process_of_its_own_twice(directories: Callable[[], Directory]) -> None:
    """New stages for every batch, every batch asked for twice: the same directory as in one go."""
    whole, cut = directories(), directories()
    whole.sync(DISTRICT)
    job, batches = prepared(cut.job(DISTRICT, batch_rows=SMALL))
    assert batches > 10
    for batch in range(batches):
        for _ in range(2):
            with engine(job) as work:
                assert work.apply(batch).batch == batch
            assert cut.broken() == []
    with engine(job) as work:
        first = work.finish()
    with engine(job) as work:
        assert work.finish() == first
    assert cut.content() == whole.content()
    assert cut.query("SELECT position FROM positions") == [(batches,)]
    assert first.position == batches
    cut.done(job, first)
    assert cut.sync(DISTRICT, batch_rows=SMALL).unchanged


def test_what_cannot_be_made_ready_ahead(directory: Directory) -> None:
    """Checking has been answered when the disk is full: the plan says so, and the next attempt makes it."""
    job = directory.job(DISTRICT)
    in_the_way = Path(job.folder) / f"{ROSTER}.aside"
    with engine(job) as work:
        work.extract()
        assert work.validate().errors == 0
        in_the_way.write_text("")
        work.go_ahead()
        with refused() as said:
            work.plan()
        assert said[0].retry
    in_the_way.unlink()
    assert directory.work(job, DISTRICT).planned.rows > 0
    assert directory.broken() == []


def test_a_later_attempt_goes_on_with_the_stored_plan(directory: Directory) -> None:
    """The plan that an earlier attempt stored is used as it is, without reading a file again."""
    job = directory.job(DISTRICT, batch_rows=SMALL)
    with engine(job) as work:
        work.extract()
        work.validate()
        planned = work.plan()
        work.apply(0)
        work.apply(1)
    reads = directory.source.reads
    second = msgspec.structs.replace(job, fence=2)
    with engine(second) as work:
        assert work.plan() == planned
        for batch in range(planned.batches):
            work.apply(batch)
        work.finish()
    assert directory.source.reads == reads
    assert directory.broken() == []


def test_a_process_that_only_plans_reads_the_files_itself(directory: Directory) -> None:
    """Whoever ended after checking left nothing behind; planning starts from the files."""
    with engine(directory.job(DISTRICT)) as work:
        assert work.plan().steps["people"] == {"create": 5}


def test_a_plan_that_was_not_begun_is_made_anew_when_the_directory_has_changed(directory: Directory) -> None:
    """While a plan waits somebody makes an account that it would make: the next attempt adopts it."""
    job, _ = prepared(directory.job(DISTRICT, policy=ADOPTS))
    made = directory.person_by_hand("s1@pupils.example")
    second = msgspec.structs.replace(job, fence=2)
    outcome = directory.work(second, DISTRICT)
    assert outcome.steps["people"] == {"create": 4, "adopt": 1}
    assert directory.object("people", "student 1", "id") == (made,)


def test_what_happens_to_the_directory_under_a_plan_is_respected_and_made_good(directory: Directory) -> None:
    """Rows that no longer fit are passed over, the rest is applied, and the next run does what is left."""
    directory.sync(DISTRICT)
    roster = (
        DISTRICT.plus("people", person("student", "7", "A"), person("student", "8", "A"))
        .plus("person_organizations", attends("student", "7", "A"), attends("student", "8", "A"))
        .plus("enrollments", enrolled("M1", "student", "7"), enrolled("E1", "student", "8"))
        .changed("people", {"role": "student", "source_id": "3"}, grade="9")
    )
    job, batches = prepared(directory.job(roster, policy=ADOPTS))
    made = directory.person_by_hand("s7@pupils.example")
    ((empty,),) = directory.query("SELECT key FROM classes WHERE source_id = 'E1'")
    directory.by_hand(f"DELETE FROM school_classes WHERE class = {empty}")
    directory.by_hand(f"DELETE FROM classes WHERE key = {empty}")
    with engine(job) as work:
        for batch in range(batches):
            work.apply(batch)
            assert directory.broken() == []
        finished = work.finish()
    directory.done(job, finished)
    assert directory.object("people", "student 3", "student_grade") == ("9",)
    assert "student 7" not in directory.objects("people", "id")
    assert directory.classes_of("student 8") == set()
    outcome = directory.sync(roster, policy=ADOPTS)
    assert not outcome.unchanged
    assert outcome.errors == []
    assert directory.object("people", "student 7", "id") == (made,)
    assert directory.classes_of("student 7") == {"M1"}
    assert directory.classes_of("student 8") == {"E1"}
    assert directory.sync(roster, policy=ADOPTS).unchanged


def test_an_attempt_that_was_overtaken_writes_nothing(directory: Directory) -> None:
    """A lower fence is refused at planning and at applying, and says that it was overtaken."""
    job = directory.job(DISTRICT, batch_rows=SMALL)
    with engine(job) as old:
        old.extract()
        old.validate()
        planned = old.plan()
        old.apply(0)
        with engine(msgspec.structs.replace(job, fence=2)) as new:
            assert new.plan() == planned
            new.apply(1)
        before = directory.content()
        with refused() as said:
            old.apply(2)
        assert said[0].superseded
        assert not said[0].retry
        with engine(job) as again, refused() as said:
            again.plan()
        assert said[0].superseded
        assert directory.content() == before
        assert old.apply(0).rows > 0, "what is there is there"


def test_a_run_that_was_given_up_cannot_wake_up_again(directory: Directory) -> None:
    """A newer run of the profile has written: the older one may neither plan nor apply."""
    old, _ = prepared(directory.job(DISTRICT, batch_rows=SMALL))
    directory.sync(DISTRICT)
    before = directory.content()
    for stage in ("plan", "apply"):
        with engine(old) as work, refused() as said:
            _ = work.plan() if stage == "plan" else work.apply(0)
        assert said[0].superseded
    assert directory.content() == before


@pytest.mark.parametrize("how", ["UPDATE runs SET ended = 1", "DELETE FROM runs"], ids=["cancelled", "deleted"])
def test_a_frozen_worker_of_a_run_that_has_ended_writes_nothing(directory: Directory, how: str) -> None:
    """The queued run was cancelled, or its profile deleted, before its worker woke up: no fence was raised by that."""
    job = directory.job(DISTRICT, batch_rows=SMALL)
    job = msgspec.structs.replace(job, control=directory.control(job))
    with engine(job) as work:
        planned = work.plan()
        work.apply(0)
        before = directory.content()
        directory.ask_control(how)
        with refused() as said:
            work.apply(1)
        assert said[0].superseded
    with engine(job) as again, refused() as said:
        again.plan()
    assert said[0].superseded
    assert directory.content() == before
    assert directory.query("SELECT batch FROM batches") == [(0,)]
    assert planned.batches > 1


def test_a_run_cannot_end_beside_a_batch_that_has_passed_the_check(
    tmp_path: Path, roster_source: GivenSource, postgresql: Cluster
) -> None:
    """Whoever ends the run, or deletes it, waits for the batch that is being written; the next batch is refused.

    So on PostgreSQL; on SQLite a run ends between two batches, for its engine answers first or is ended first, as the
    next test shows.
    """
    with ExitStack() as stack:
        url = stack.enter_context(postgresql.database())
        directory = Directory(tmp_path / "house", roster_source, url)
        job = directory.job(DISTRICT, batch_rows=SMALL)
        work = stack.enter_context(engine(msgspec.structs.replace(job, control=directory.control(job))))
        other = stack.enter_context(psycopg.connect(url, autocommit=True))
        holder = stack.enter_context(psycopg.connect(url))
        threads = stack.enter_context(ThreadPoolExecutor(1))
        work.plan()
        work.apply(0)
        holder.execute("LOCK TABLE batches IN SHARE MODE")  # who has passed the check cannot enter the batch
        batch = threads.submit(work.apply, 1)
        waiting = "SELECT 1 FROM pg_locks WHERE relation = 'batches'::regclass AND NOT granted"
        until("the batch is being written", lambda: other.execute(waiting).fetchone())
        other.execute("SET lock_timeout = 50")
        for end in ("UPDATE runs SET ended = 1", "DELETE FROM runs"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(end)  # type: ignore[call-overload]  # not a literal
        holder.rollback()
        assert batch.result().batch == 1
        other.execute("UPDATE runs SET ended = 1")
        with refused() as said:
            work.apply(2)
        assert said[0].superseded
        assert directory.query("SELECT batch FROM batches ORDER BY batch") == [(0,), (1,)]


def test_engines_do_not_outlive_the_start_of_the_next_worker(tmp_path: Path) -> None:
    """One that is frozen when its worker dies is ended before another worker has taken anything up."""
    living, frozen = scratches.own(tmp_path, "living"), tmp_path / "worker-1-frozen"
    frozen.mkdir()
    code = "import sys, pathlib; from schoolsync.runs import scratches; scratches.attend(pathlib.Path(sys.argv[1])); "
    code += "print(flush=True); sys.stdin.read()"
    engines = [
        subprocess.Popen([sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for folder in (living, frozen)
    ]
    try:
        for one in engines:
            assert one.stdout is not None
            one.stdout.readline()
        engines[1].send_signal(signal.SIGSTOP)
        scratches.sweep(tmp_path)
        assert engines[1].wait(10) == -signal.SIGKILL
        assert not frozen.exists()
        assert engines[0].poll() is None
        assert living.exists()
    finally:
        for one in engines:
            one.kill()
            one.communicate()


def test_runs_of_two_profiles_may_take_turns(directory: Directory) -> None:
    """Batches of one profile's plan between those of another's do not disturb either."""
    directory.profiles = (1, 2)
    theirs = Roster({"organizations": ({"source_id": "Q", "name": "Q"},), "classes": (section("Q1", "Q"),)})
    one, ones = prepared(directory.job(DISTRICT, batch_rows=SMALL))
    two, twos = prepared(directory.job(theirs, profile=2, batch_rows=SMALL))
    with engine(one) as first, engine(two) as second:
        for batch in range(max(ones, twos)):
            if batch < ones:
                first.apply(batch)
            if batch < twos:
                second.apply(batch)
        directory.done(one, first.finish())
        directory.done(two, second.finish())
    assert directory.sync(DISTRICT, batch_rows=SMALL).steps == {}
    assert directory.sync(theirs, profile=2, batch_rows=SMALL).steps == {}
    assert directory.object("classes", "Q1", "profile") == (2,)


def test_a_run_is_not_finished_before_every_batch_is_there(directory: Directory) -> None:
    """Nobody can skip a batch."""
    job, batches = prepared(directory.job(DISTRICT, batch_rows=SMALL))
    with engine(job) as work:
        for batch in range(batches - 1):
            work.apply(batch)
        with refused() as said:
            work.finish()
    assert not said[0].retry


def test_a_plan_that_is_gone_is_said(directory: Directory) -> None:
    """Without its plan a run cannot be gone on with."""
    with engine(directory.job(DISTRICT)) as work, refused() as said:
        work.apply(0)
    assert "start again" in said[0].reason


def test_a_directory_that_is_locked_may_be_tried_again(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody holds the write lock for too long: the stage fails as one that can be repeated."""
    monkeypatch.setattr(sqlite, "_PRAGMAS", ("busy_timeout=20", *sqlite._PRAGMAS[1:]))
    monkeypatch.setattr(locks, "SESSION", "-c lock_timeout=20")
    job, _ = prepared(directory.job(DISTRICT))
    with directory.locked():
        with engine(job) as work, refused() as said:
            work.apply(0)
        assert said[0].retry
    with engine(job) as work:
        work.apply(0)


def test_a_directory_of_another_release_is_not_touched(directory: Directory) -> None:
    """A file with an unknown schema is refused with a sentence that says what to do."""
    directory.sync(DISTRICT)
    directory.query("UPDATE schema_version SET version = 99, oldest = 99")
    with refused() as said:
        directory.sync(DISTRICT, ignore_findings=True)
    assert "99" in said[0].reason


def test_the_files_of_a_run_are_private(directory: Directory) -> None:
    """The directory file and its folder are the owner's alone."""
    directory.sync(DISTRICT)
    assert directory.url is not None or directory.path.stat().st_mode & 0o777 == 0o600
    assert (directory.folder / "runs" / "run-1").stat().st_mode & 0o777 == 0o700
    assert not (directory.folder / "scratch" / "run-1").exists()


def test_the_engine_never_loads_a_second_sqlite() -> None:
    """Everything that the engine process imports comes without `sqlite3`, and without what would double its start."""
    modules = "schoolsync.runs.engine, schoolsync.runs.stages, schoolsync.targets.sqlite"
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "schoolsync.runs.stages" in loaded
    assert not {"sqlite3", "sqlalchemy"} & set(loaded)


WORKER = """
import sys, msgspec
from schoolsync.runs.job import Job
from schoolsync.runs.stages import Stages
work = Stages(msgspec.json.decode(open(sys.argv[1], 'rb').read(), type=Job), lambda done, total: None)
for batch in range(int(sys.argv[2])):
    work.apply(batch)
    print(batch, flush=True)
"""


@pytest.mark.nightly(2)
@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_while_batches_are_applied(directories: Callable[[], Directory], tmp_path: Path, seed: int) -> None:
    """A process that is killed at any moment leaves whole batches, and the next goes on to the same end."""
    chance = random.Random(seed)
    people = [person("student", str(number), "A") for number in range(100, 400)]
    roster = (
        DISTRICT.plus("people", *people)
        .plus("person_organizations", *(attends("student", row["source_id"], "A") for row in people))
        .plus("enrollments", *(enrolled(name, "student", row["source_id"]) for row in people for name in ("M1", "E1")))
    )
    whole, cut = directories(), directories()
    whole.sync(roster)
    job, batches = prepared(cut.job(roster, batch_rows=8))
    assert batches > 150
    kills = 0
    for attempt in range(10):
        job = msgspec.structs.replace(job, fence=attempt + 2)
        with engine(job) as work:
            work.plan()
        path = tmp_path / "job.json"
        path.write_bytes(msgspec.json.encode(job))
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(batches)], stdout=subprocess.PIPE)
        assert worker.stdout is not None
        try:
            worker.stdout.readline()
            if kills < 3:
                time.sleep(chance.uniform(0, 0.15))
                worker.kill()
                kills += 1
            ended = worker.wait(60)
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()
        done = cut.query("SELECT count(*), coalesce(max(batch), -1) FROM batches")[0]
        assert done[0] == done[1] + 1, "batches are there in order, without gaps"
        assert cut.query("SELECT position FROM positions") == [(done[0],)], "each batch moved the position by one"
        assert cut.broken() == []
        if ended == 0:
            break
    with engine(job) as work:
        work.finish()
    assert cut.content() == whole.content()


def test_batches_of_another_plan_are_noticed(directory: Directory) -> None:
    """Batches of another plan under the same run are never mixed with ours."""
    job, _ = prepared(directory.job(DISTRICT, batch_rows=SMALL))
    with engine(job) as work:
        work.apply(0)
    directory.query("UPDATE batches SET plan = 'another'")
    with engine(job) as work, refused() as said:
        work.apply(0)
    assert not said[0].retry
