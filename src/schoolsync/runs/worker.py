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
from datetime import UTC, datetime, timedelta
from types import FrameType

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID

from schoolsync import logs, traces
from schoolsync.access.vault import Vault, must_be_there
from schoolsync.notices import teller
from schoolsync.runs import durable, lifeline, scratches
from schoolsync.runs.dispatcher import Dispatcher
from schoolsync.runs.engines import Engines
from schoolsync.runs.journal import Journal
from schoolsync.runs.processes import READY, clock, follow, from_line, make_folders, new_id, run
from schoolsync.runs.records import Key
from schoolsync.runs.roll import Roll, keep_beating
from schoolsync.runs.schedules import Schedules
from schoolsync.runs.service import Runs
from schoolsync.runs.workflow import synchronize, worker
from schoolsync.settings import Settings
from schoolsync.store import installation, locks
from schoolsync.store.control import open_control
from schoolsync.store.database import driver_url, world
from schoolsync.uploads.service import Uploads

ENDED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
WHAT = "database of checkpoints"
WORKFLOW_VERSION = "1"
"""Raised when the order of the workflow's steps changes: kept answers then no longer fit."""

log = structlog.get_logger()


class Kept:
    """Attempts as workflows of DBOS, which keeps the answer of every step. Raises WorldError when it cannot."""

    def begin(self, key: Key) -> None:
        """Begin an attempt."""
        with world(WHAT), SetWorkflowID(key.workflow):
            DBOS.start_workflow(synchronize.kept, key.tenant, key.profile, key.run, key.attempt)

    def over(self, key: Key) -> bool | None:
        """Whether an attempt has ended, however that was; None when it was never begun."""
        with world(WHAT):
            status = DBOS.get_workflow_status(key.workflow)
        return None if status is None else status.status in ENDED

    def cancel(self, key: Key) -> None:
        """See that an attempt of somebody who seems dead does not go on."""
        with world(WHAT):
            DBOS.cancel_workflow(key.workflow)

    def forget(self, days: int) -> None:
        """Delete the checkpoints of attempts that ended so many days ago. Runs themselves stay listed."""
        before = datetime.now(UTC) - timedelta(days=days)
        with world(WHAT):
            old = DBOS.list_workflows(
                status=["SUCCESS", "ERROR", "CANCELLED"],
                completed_before=before.isoformat(),
                limit=1000,
                load_input=False,
                load_output=False,
            )
            if old:
                DBOS.delete_workflows([workflow.workflow_id for workflow in old])
        if old:
            log.info("checkpoints deleted after their time", attempts=len(old))


def main() -> int:
    """Run until the supervisor goes."""
    said = lifeline.lines()
    settings = from_line(next(said))
    lifeline.watch(said)
    logs.configure(settings.log_level, "worker")
    traces.configure(settings, "worker")
    make_folders(settings)
    Vault(settings)  # a key that is none ends the start, not the first run that would need it
    control = open_control(settings)
    installation.join(control, settings, new_id)
    must_be_there(control, settings)
    uploads = Uploads(control=control, settings=settings, clock=clock, new_id=new_id)
    scratch = scratches.own(settings.scratch, new_id()[:8])
    runs = Runs(control=control, settings=settings, uploads=uploads, clock=clock, new_id=new_id)
    # On SQLite there is one worker, and its successor is the same one to DBOS: it goes on with its workflows.
    # Elsewhere the supervisor says in whose line it stands: it starts a successor when the one before has ended.
    line = f"{socket.gethostname()}-{sys.argv[2] if len(sys.argv) > 2 else new_id()[:8]}-"
    executor = "local" if settings.database_url is None else f"{line}{os.getpid()}-{new_id()[:8]}"
    worker.journal = Journal(
        control=control,
        settings=settings,
        uploads=uploads,
        runs=runs,
        clock=clock,
        worker=executor,
        scratch=scratch,
    )
    worker.engines = Engines(spares=settings.concurrent_runs + settings.concurrent_small_runs)
    worker.dial = follow(settings)

    roll = None
    if settings.database_url is not None:
        roll = Roll(control, executor, silence=settings.worker_silence, line=line)
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
    durable.keep_answers()
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
        attempts=Kept(),
        roll=roll,
        keep_warm=True,
        stopping=lambda: stopping,
    )
    teller.start(settings, control, clock=clock, new_id=new_id, stopping=lambda: stopping)
    dispatcher.loop()
    if roll is not None:
        roll.leave()  # the others need not wait until they miss us
    shutil.rmtree(scratch, ignore_errors=True)
    traces.flush()
    os._exit(0)


def _launch_dbos(settings: Settings, executor: str) -> None:
    url = settings.database_url
    config: DBOSConfig = {
        "name": "schoolsync",
        "system_database_url": f"sqlite:///{settings.runs_db}" if url is None else driver_url(url, **locks.ALIVE),
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


if __name__ == "__main__":
    sys.exit(run(main))
