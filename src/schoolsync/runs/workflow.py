"""One attempt at one run, as a durable workflow.

Each stage and each batch is a step: its answer is kept by DBOS, so that a worker that was killed goes on behind the
last step that was finished. A step can be done twice; the journal and the directory's ledger make twice the same as
once. What is decided here depends on answers of steps alone.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

import msgspec
import structlog

from schoolsync import fault_points, traces
from schoolsync.errors import WorldError
from schoolsync.profiles.configuration import not_read
from schoolsync.runs.dial import Dial
from schoolsync.runs.durable import step, workflow
from schoolsync.runs.engines import EngineFailed, EngineLost, Engines
from schoolsync.runs.job import Applied, Extracted, Failed, Finished, Job, Planned, Validated
from schoolsync.runs.journal import Journal
from schoolsync.runs.records import Key
from schoolsync.runs.states import RunState

TRIES = 5
"""How often one stage is tried when the world fails it (an engine killed, a disk full, a lock held too long)."""

NOTE = 1.0
"""Seconds after which it is written down how far a stage is that reads, checks or plans."""

CSV_PROVIDER = "educationCsvDataProvider"

T = TypeVar("T", Extracted, Validated, Planned, Applied, Finished)
Kept = dict[str, Any]  # a step's answer as DBOS keeps it: JSON of one of the structs above
log = structlog.get_logger()


class Superseded(Exception):
    """Another attempt has taken the run over: this one stops without a word."""


class Worker:
    """What the steps work with, and the attempts that are being made; one per process."""

    journal: Journal
    engines: Engines
    dial: Dial | None = None  # the fault dial, where the settings have one

    def __init__(self) -> None:
        self.at_work: set[str] = set()  # ids of workflows


worker = Worker()


@workflow
def synchronize(tenant: int, profile: str, run: str, attempt: int) -> str:
    """Make attempt `attempt` at a run; returns how it went, for the log alone."""
    key = Key(tenant, profile, run, attempt)
    worker.at_work.add(key.workflow)
    idle = False
    try:
        outcome = _synchronize(key)
        idle = True
    except Superseded:
        outcome = "superseded"
    except EngineFailed as problem:
        failed = problem.failed
        _fail(tenant, profile, run, attempt, failed.reason, replan=failed.replan, retry=failed.retry)
        outcome = "failed"
    finally:
        worker.engines.release(key.workflow, idle=idle)
        worker.at_work.discard(key.workflow)
    log.info("run attempt ended", tenant=tenant, profile=profile, run=run, attempt=attempt, outcome=outcome)
    return outcome


def _synchronize(key: Key) -> str:
    who = (key.tenant, key.profile, key.run, key.attempt)
    provider = _provider(*who)
    if provider != CSV_PROVIDER:
        _fail(*who, not_read(provider))
        return "failed"
    if not _is_planned(*who):
        if not _begins(*who, RunState.EXTRACTING):
            return "stopped"
        extracted = _answer(_extract(*who), Extracted)
        if extracted.unchanged:
            return "unchanged" if _unchanged(*who) else "stopped"
        rows = sum(extracted.rows.values())
        if not _begins(*who, RunState.VALIDATING, rows):
            return "stopped"
        if not _validate(*who):
            return "stopped"
        if not _begins(*who, RunState.PLANNING, rows):
            return "stopped"
    planned = _answer(_plan(*who), Planned)
    wanted = _note_plan(*who, msgspec.to_builtins(planned))
    if wanted < 0:
        return "stopped"
    if not _begins(*who, RunState.APPLYING):
        return "stopped"
    done = 0
    for batch in range(wanted):
        rows = _apply(*who, batch, done, planned.rows)
        if rows < 0:
            return "stopped"
        done += rows
    if wanted < planned.batches:
        _hold(*who, msgspec.to_builtins(planned))
        return "held"
    _finish(*who, msgspec.to_builtins(planned))
    return "done"


# --- steps: arguments and answers are plain values, because DBOS may keep them ----------------------------------------


@step
def _provider(tenant: int, profile: str, run: str, attempt: int) -> str:
    fault_points.reach("worker-taken")
    return worker.journal.provider(Key(tenant, profile, run, attempt))


@step
def _is_planned(tenant: int, profile: str, run: str, attempt: int) -> bool:
    """Whether an earlier attempt stopped while it applied: the stored plan is gone on with."""
    return worker.journal.is_planned(Key(tenant, profile, run, attempt))


@step
def _begins(tenant: int, profile: str, run: str, attempt: int, stage: str, rows: int | None = None) -> bool:
    return worker.journal.begins(Key(tenant, profile, run, attempt), RunState(stage), rows)


@step
def _extract(tenant: int, profile: str, run: str, attempt: int) -> Kept:
    key = Key(tenant, profile, run, attempt)
    kept = _ask(key, "extract", Extracted, told=RunState.EXTRACTING)
    _wait_on_dial(key, "extracting")
    return kept


@step
def _unchanged(tenant: int, profile: str, run: str, attempt: int) -> bool:
    return worker.journal.unchanged(Key(tenant, profile, run, attempt))


@step
def _validate(tenant: int, profile: str, run: str, attempt: int) -> bool:
    key = Key(tenant, profile, run, attempt)
    _wait_on_dial(key, "validating")
    validated = _answer(_ask(key, "validate", Validated, told=RunState.VALIDATING), Validated)
    goes_on = worker.journal.verified(key, validated)
    fault_points.reach("worker-verified")
    return goes_on


@step
def _plan(tenant: int, profile: str, run: str, attempt: int) -> Kept:
    return _ask(Key(tenant, profile, run, attempt), "plan", Planned, told=RunState.PLANNING)


@step
def _note_plan(tenant: int, profile: str, run: str, attempt: int, planned: Kept) -> int:
    wanted = worker.journal.planned(Key(tenant, profile, run, attempt), _answer(planned, Planned))
    fault_points.reach("worker-planned")
    return wanted


@step
def _hold(tenant: int, profile: str, run: str, attempt: int, planned: Kept) -> None:
    worker.journal.held(Key(tenant, profile, run, attempt), _answer(planned, Planned))


@step
def _apply(tenant: int, profile: str, run: str, attempt: int, batch: int, done: int, total: int) -> int:
    """Apply one batch; its rows, or -1 when the run is to stop here."""
    key = Key(tenant, profile, run, attempt)
    applied = _answer(_ask(key, "apply", Applied, batch=batch), Applied)
    goes_on = worker.journal.applied(key, done + applied.rows, total)
    fault_points.reach("worker-applied")
    return applied.rows if goes_on else -1


@step
def _finish(tenant: int, profile: str, run: str, attempt: int, planned: Kept) -> None:
    key = Key(tenant, profile, run, attempt)
    finished = _answer(_ask(key, "finish", Finished), Finished)
    worker.journal.finished(key, _answer(planned, Planned), finished)
    fault_points.reach("worker-finished")


@step
def _fail(
    tenant: int, profile: str, run: str, attempt: int, reason: str, replan: bool = False, retry: bool = False
) -> None:
    worker.journal.failed(Key(tenant, profile, run, attempt), reason, replan=replan, retry=retry)


# --- inside a step -------------------------------------------------------------------------------------------------


def _ask(key: Key, stage: str, kind: type[T], *, batch: int | None = None, told: RunState | None = None) -> Kept:
    """Have the engine do a stage; again, by a new engine, when the world failed it.

    How far it is, is written down where `told` says which state the run is in meanwhile.
    """

    def job() -> Job:
        made = worker.journal.job(key)
        if made is None:
            raise Superseded
        return made

    noted = time.monotonic()

    def went_over(done: int, total: int) -> None:
        nonlocal noted
        if told is None:
            return
        worker.journal.tell(key, told, done, total)
        if time.monotonic() - noted >= NOTE:
            worker.journal.went_over(key, told, done, total)
            noted = time.monotonic()

    failed = Failed(reason="The roster engine ended unexpectedly again and again; see the server's log.", retry=True)
    for tried in range(TRIES):
        if tried:
            time.sleep(0.1 * 2**tried)
        try:
            with traces.stage(stage, run=key.run, profile=key.profile, attempt=key.attempt, batch=batch):
                engine = worker.engines.of(key.workflow, job)
                return _of(engine.ask(stage, kind, batch=batch, progress=went_over))
        except EngineLost as problem:
            log.warning("engine lost", run=key.run, stage=stage, batch=batch, reason=str(problem))
        except WorldError as problem:  # the job could not be put together
            failed = Failed(reason=str(problem), retry=True)
            log.warning("stage failed", run=key.run, stage=stage, batch=batch, reason=failed.reason)
        except EngineFailed as problem:
            if problem.failed.superseded:
                raise Superseded from problem
            if not problem.failed.retry:
                raise
            failed = problem.failed
            log.warning("stage failed", run=key.run, stage=stage, batch=batch, reason=failed.reason)
        worker.engines.release(key.workflow)
    raise EngineFailed(failed)


def _wait_on_dial(key: Key, stage: str) -> None:
    """Where the fault dial holds a stage, it does not end."""
    if worker.dial is not None:
        worker.dial.hold(key.tenant, stage, lambda: worker.journal.job(key) is None)


def _of(answer: T) -> Kept:
    kept: Kept = msgspec.to_builtins(answer)
    return kept


def _answer(kept: Kept, kind: type[T]) -> T:
    return msgspec.convert(kept, kind)
