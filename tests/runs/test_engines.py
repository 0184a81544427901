"""Which processes runs are done in: a small run's engine waits for the next, any other gives its memory back."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from schoolsync.plan.policy import Policy
from schoolsync.runs import engines
from schoolsync.runs.engines import EngineFailed, Engines
from schoolsync.runs.job import Job, JobFile, Planned, Validated
from schoolsync.testing import rosters


@pytest.fixture
def jobs(tmp_path: Path) -> Callable[[str], Job]:
    """The job of a tenant with a roster of 20 people."""
    rosters.write(tmp_path / "roster", people=20, classes=4, enrollments=40)

    def job(name: str) -> Job:
        files = [
            JobFile(name=path.name, path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=1)
            for path in sorted((tmp_path / "roster").glob("*.csv"))
        ]
        scratch = tmp_path / "scratch" / "worker-1" / name
        scratch.parent.mkdir(parents=True, exist_ok=True)
        return Job(
            tenant=1,
            tenant_id="0f1e2d3c-4b5a-4697-8877-665544332211",
            profile=1,
            profile_id="demo",
            living=(1,),
            run=name,
            fence=1,
            format="sds-v1",
            files=tuple(files),
            policy=Policy(profile_name="Demo", domains={"student": "s.example", "teacher": "t.example"}),
            directory=str(tmp_path / "directories" / f"{name}.db"),
            folder=str(tmp_path / "runs" / name),
            scratch=str(scratch),
            base=None,
            ignore_findings=False,
            now=1,
            memory_limit="200MiB",
            threads=1,
            batch_rows=1000,
            max_rows=1000,
        )

    return job


@pytest.fixture
def house() -> Iterator[Engines]:
    kept = Engines(spares=1)
    yield kept
    for engine in (*kept._waiting, *kept._at_work.values()):  # nothing else ends those that wait
        engine.end()


def planned(house: Engines, jobs: Callable[[str], Job], name: str) -> tuple[int, Planned]:
    """The process that has planned a tenant's first run, and the plan."""
    engine = house.of(name, lambda: jobs(name))
    engine.ask("validate", Validated)
    return engine.pid, engine.ask("plan", Planned)


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_small_runs_share_a_process_and_nothing_else(house: Engines, jobs: Callable[[str], Job]) -> None:
    """One after the other they come to what each comes to by itself."""
    first, plan = planned(house, jobs, "one")
    house.release("one", idle=True)
    assert is_there(first)
    second, again = planned(house, jobs, "two")
    assert (second, again.plan, again.steps) == (first, plan.plan, plan.steps)
    assert not Path(jobs("one").scratch).exists()
    house.release("two", idle=True)
    house.warm_up()
    assert is_there(first)


def test_a_process_ends_that_is_one_too_many_or_large_or_silent_or_not_done(
    house: Engines, jobs: Callable[[str], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is the machine's again, and what it was doing is over."""
    first, _ = planned(house, jobs, "one")
    second, _ = planned(house, jobs, "two")
    house.release("one", idle=True)
    house.release("two", idle=True)
    assert (is_there(first), is_there(second)) == (True, False)
    house.of("three", lambda: jobs("three"))
    house.release("three")
    assert not is_there(first)
    monkeypatch.setattr(engines, "SPARE", 1)
    large = house.of("four", lambda: jobs("four")).pid
    house.release("four", idle=True)
    assert not is_there(large)
    monkeypatch.undo()
    monkeypatch.setattr(engines, "RESTS", 0.1)
    frozen = house.of("five", lambda: jobs("five")).pid
    os.kill(frozen, signal.SIGSTOP)
    house.release("five", idle=True)
    assert not is_there(frozen)


def test_the_engine_of_a_large_run_lets_others_go_first_and_does_no_other(
    house: Engines, jobs: Callable[[str], Job]
) -> None:
    """Small runs, and those who ask the API, wait the less for it; nobody can give a process its place back."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    small = house.of("one", lambda: jobs("one")).pid
    assert os.getpriority(os.PRIO_PROCESS, small) == usual
    large = house.of("two", lambda: msgspec.structs.replace(jobs("two"), large=True)).pid
    assert os.getpriority(os.PRIO_PROCESS, large) > usual
    house.release("two", idle=True)
    assert not is_there(large)


def test_an_engine_whose_run_failed_does_the_next(house: Engines, jobs: Callable[[str], Job]) -> None:
    """A refusal is an answer like any other."""
    engine = house.of("one", lambda: jobs("one"))
    with pytest.raises(EngineFailed):
        engine.ask("finish", Planned)
    house.release("one", idle=True)
    process, plan = planned(house, jobs, "two")
    assert process == engine.pid
    assert plan.rows
