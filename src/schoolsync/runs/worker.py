"""The worker process: takes runs up, drives their workflows, keeps the house in order.

It reads and writes the control database and DBOS's own file, and leaves directory files to the engines. Ended by a
signal or killed, it may be started again at any moment: DBOS and the journal know where everything stopped.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import FrameType

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID

from schoolsync import logs
from schoolsync.errors import WorldError
from schoolsync.profiles import housekeeping
from schoolsync.runs import lifeline, retention, scratches
from schoolsync.runs.engines import Engines
from schoolsync.runs.journal import Journal
from schoolsync.runs.processes import READY, clock, follow, from_line, make_folders, new_id, run
from schoolsync.runs.records import Key
from schoolsync.runs.roll import Roll, keep_beating
from schoolsync.runs.schedules import Schedules
from schoolsync.runs.service import Runs
from schoolsync.runs.workflow import synchronize, worker
from schoolsync.settings import Settings
from schoolsync.store.control import Control, open_control
from schoolsync.store.database import driver_url
from schoolsync.uploads.service import Uploads

POLL = 0.02
LOOK = 1.0  # seconds after which we look even if nobody seems to have written: time itself makes things due
WATCH = 5.0
TIDY = 3600.0
SILENCE = 5.0
"""Seconds after which an attempt that is open, yet made by nobody in this process, is given up for another one."""
ATTEMPTS = 25
"""A run whose attempts end without a word this often is given up; a person's pauses do not add up to it soon."""
WORKFLOW_VERSION = "1"
"""Raised when the order of the workflow's steps changes: kept answers then no longer fit."""

log = structlog.get_logger()


class Dispatcher:
    """Turns rows that ask for work into workflows."""

    def __init__(
        self,
        *,
        settings: Settings,
        control: Control,
        runs: Runs,
        journal: Journal,
        engines: Engines,
        uploads: Uploads,
        schedules: Schedules,
        roll: Roll | None,
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._control = control
        self._runs = runs
        self._journal = journal
        self._engines = engines
        self._uploads = uploads
        self._schedules = schedules
        self._roll = roll
        self._stopping = stopping
        self._silent: dict[str, float] = {}  # workflows that nobody executes, since when

    def loop(self) -> None:
        """Work until asked to stop."""
        watch = self._control.watch()
        looked = tidied = watched = 0.0
        while not self._stopping():
            now = time.monotonic()
            try:
                if watch.changed() or now - looked >= LOOK:
                    looked = now
                    self.look()
                if now - watched >= WATCH:
                    watched = now
                    self._schedules.begin_watched()
                if now - tidied >= TIDY:
                    tidied = now
                    retention.sweep(self._control, self._settings, clock())
                    self._uploads.sweep(clock())
                    _forget_workflows(self._settings.retention_days)
            except WorldError as problem:
                log.error("the control database cannot be used", reason=str(problem))
                time.sleep(1)
            time.sleep(POLL)

    def look(self) -> None:
        """Do whatever is due now."""
        housekeeping.sweep(self._control, self._settings, self._runs, clock())
        self._journal.begin_due()
        self._schedules.begin_scheduled()
        self._schedules.begin_uploaded()
        if self._roll is not None:
            for key in self._roll.take_over():
                DBOS.cancel_workflow(key.workflow)  # should the dead come back, it finds that it has ended
        at_work = self._journal.unfinished()
        for key in at_work:
            self._mend(key)
        for key in self._journal.queued(self._settings.concurrent_runs - len(at_work)):
            if self._journal.take(key):
                self._begin(key)
        self._engines.warm_up()

    def _begin(self, key: Key) -> None:
        log.info("run attempt begins", tenant=key.tenant, profile=key.profile, run=key.run, attempt=key.attempt)
        with SetWorkflowID(key.workflow):
            DBOS.start_workflow(synchronize, key.tenant, key.profile, key.run, key.attempt)

    def _mend(self, key: Key) -> None:
        """A run that is marked as taken up, yet nothing works on it, is begun (again)."""
        if key.workflow in worker.at_work:
            self._silent.pop(key.workflow, None)
            return
        status = DBOS.get_workflow_status(key.workflow)
        if status is None:
            self._begin(key)  # we were killed between the mark and the beginning
        elif status.status in {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}:
            # The workflow ended after we listed the run, or failed outside of its steps.
            self._again(key)
        elif time.monotonic() - self._silent.setdefault(key.workflow, time.monotonic()) >= SILENCE:
            # It ended, and not even that could be written down: the disk was full. Should it be taken up once more
            # when we start the next time, the journal sends it away.
            self._again(key)

    def _again(self, key: Key) -> None:
        """Another attempt at a run whose attempt ended without a word, if it is still wanted."""
        if key in self._journal.unfinished():
            if key.attempt >= ATTEMPTS:
                self._journal.failed(key, "The run was given up after many attempts; see the server's log.")
            else:
                log.warning("run attempt ended without a word", run=key.run, attempt=key.attempt)
                self._journal.give_back(key)
        self._silent.pop(key.workflow, None)


def main() -> int:
    """Run until the supervisor goes."""
    said = lifeline.lines()
    settings = from_line(next(said))
    lifeline.watch(said)
    logs.configure(settings.log_level, "worker")
    make_folders(settings)
    control = open_control(settings)
    uploads = Uploads(control=control, settings=settings, clock=clock, new_id=new_id)
    scratch = scratches.own(settings.scratch, new_id()[:8])
    runs = Runs(control=control, settings=settings, uploads=uploads, clock=clock, new_id=new_id)
    # On SQLite there is one worker, and its successor is the same one to DBOS: it goes on with its workflows.
    executor = "local" if settings.database_url is None else f"{socket.gethostname()}-{os.getpid()}-{new_id()[:8]}"
    worker.journal = Journal(
        control=control,
        settings=settings,
        uploads=uploads,
        runs=runs,
        clock=clock,
        worker=executor,
        scratch=scratch,
    )
    worker.engines = Engines()
    worker.dial = follow(settings)

    roll = None if settings.database_url is None else Roll(control, executor)
    stopping = False

    def end(_number: int, _frame: FrameType | None) -> None:
        # Every step may be repeated: ending in the middle of one loses nothing. The engines notice and end as well;
        # to end them from here could wait for a lock that the interrupted thread holds.
        nonlocal stopping
        stopping = True
        if roll is None:
            shutil.rmtree(scratch, ignore_errors=True)
            os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor hears Ctrl-C and tells us
    worker.engines.warm_up()
    _launch_dbos(settings, executor)
    if roll is not None:
        roll.join(clock())
        keep_beating(roll)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    dispatcher = Dispatcher(
        settings=settings,
        control=control,
        runs=runs,
        journal=worker.journal,
        engines=worker.engines,
        uploads=uploads,
        schedules=Schedules(control=control, settings=settings, runs=runs, uploads=uploads, clock=clock, new_id=new_id),
        roll=roll,
        stopping=lambda: stopping,
    )
    dispatcher.loop()
    if roll is not None:
        roll.leave()  # the others need not wait until they miss us
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def _launch_dbos(settings: Settings, executor: str) -> None:
    url = settings.database_url
    config: DBOSConfig = {
        "name": "schoolsync",
        "system_database_url": f"sqlite:///{settings.runs_db}" if url is None else driver_url(url),
        "dbos_system_schema": "dbos",  # on PostgreSQL: a schema of its own beside our tables
        "sys_db_pool_size": 5,
        "application_version": WORKFLOW_VERSION,
        "executor_id": executor,
        "log_level": "WARNING",
        "enable_otlp": False,
        "notification_listener_polling_interval_sec": 1.0,
    }
    DBOS(config=config)
    DBOS.launch()
    library = logging.getLogger("dbos")
    library.handlers.clear()  # it speaks in our manner, through `logs`
    library.propagate = True


def _forget_workflows(days: int) -> int:
    """Delete the checkpoints of attempts that ended so many days ago; how many went. Runs themselves stay listed."""
    before = datetime.now(UTC) - timedelta(days=days)
    old = DBOS.list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED"],
        completed_before=before.isoformat(),
        limit=1000,
        load_input=False,
        load_output=False,
    )
    if old:
        DBOS.delete_workflows([workflow.workflow_id for workflow in old])
        log.info("checkpoints deleted after their time", attempts=len(old))
    return len(old)


if __name__ == "__main__":
    sys.exit(run(main))
