"""The worker of a server in memory: threads of the API process, and an engine process while one is needed.

What lies in memory is gone with the process, so nothing is kept to go on with, and no DBOS is loaded: that is what lets
such a server start within a second. Runs are made by the same workflow, journal and engine as anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from schoolsync.runs import scratches
from schoolsync.runs.dial import Dial
from schoolsync.runs.dispatcher import Dispatcher
from schoolsync.runs.engines import Engines
from schoolsync.runs.journal import Journal
from schoolsync.runs.records import Key
from schoolsync.runs.schedules import Schedules
from schoolsync.runs.service import Runs
from schoolsync.runs.workflow import synchronize, worker
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.uploads.service import Uploads

NOTICES = 1.0
"""Seconds after which notices are looked after: nothing has happened before, and a start is not to wait for them."""

POLL = 0.004
"""Seconds between two glances at whether somebody has written; nobody else looks at what lies in memory."""

log = structlog.get_logger()


class Plain:
    """Attempts as threads."""

    def __init__(self) -> None:
        self._begun: dict[str, threading.Thread] = {}

    def begin(self, key: Key) -> None:
        """Begin an attempt."""
        thread = threading.Thread(target=_attempt, args=(key,), name=key.workflow, daemon=True)
        self._begun[key.workflow] = thread
        thread.start()

    def over(self, key: Key) -> bool | None:
        """Whether an attempt has ended, however that was; None when it was never begun."""
        thread = self._begun.get(key.workflow)
        return None if thread is None else not thread.is_alive()

    def cancel(self, key: Key) -> None:
        """Nobody else makes attempts."""

    def forget(self, days: int) -> None:
        """Forget attempts that have ended."""
        self._begun = {name: thread for name, thread in self._begun.items() if thread.is_alive()}


def _attempt(key: Key) -> None:
    try:
        synchronize(key.tenant, key.profile, key.run, key.attempt)
    except Exception as problem:
        # The dispatcher sees that it ended without a word, and begins another one.
        log.error("run attempt failed", run=key.run, attempt=key.attempt, error=type(problem).__name__)


def start(
    *,
    settings: Settings,
    control: Control,
    uploads: Uploads,
    runs: Runs,
    engines: Engines,
    dial: Dial | None,
    clock: Callable[[], int],
    new_id: Callable[[], str],
) -> None:
    """Take runs up from now on, until the process ends."""
    scratch = scratches.own(settings.scratch, new_id()[:8])
    worker.journal = Journal(
        control=control, settings=settings, uploads=uploads, runs=runs, clock=clock, scratch=scratch
    )
    worker.engines = engines
    worker.dial = dial
    dispatcher = Dispatcher(
        settings=settings,
        control=control,
        runs=runs,
        journal=worker.journal,
        engines=engines,
        uploads=uploads,
        schedules=Schedules(control=control, settings=settings, runs=runs, uploads=uploads, clock=clock, new_id=new_id),
        attempts=Plain(),
        roll=None,
        keep_warm=False,  # a server that only answers stays small
        stopping=lambda: False,
        poll=POLL,
    )

    def tell() -> None:
        from schoolsync.notices import teller

        teller.start(settings, control, clock=clock, new_id=new_id, stopping=lambda: False)

    later = threading.Timer(NOTICES, tell)
    later.daemon = True
    later.start()
    threading.Thread(target=dispatcher.loop, name="dispatcher", daemon=True).start()
