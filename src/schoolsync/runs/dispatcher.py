"""Turns rows that ask for work into attempts, and does what time makes due.

How an attempt is made is another's: with its steps kept by DBOS in a worker process, plainly in a server that keeps
nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from schoolsync.errors import UsageError, WorldError
from schoolsync.profiles import housekeeping
from schoolsync.runs import at_hand, retention
from schoolsync.runs.engines import Engines
from schoolsync.runs.journal import Journal
from schoolsync.runs.processes import clock
from schoolsync.runs.records import Key
from schoolsync.runs.roll import Roll
from schoolsync.runs.schedules import Schedules
from schoolsync.runs.service import Runs
from schoolsync.runs.watching import WatchedBucket, WatchedFolder
from schoolsync.runs.workflow import worker
from schoolsync.settings import Settings
from schoolsync.store.buckets import Bucket
from schoolsync.store.control import Control
from schoolsync.uploads.service import Uploads

POLL = 0.02
LOOK = 1.0  # seconds after which we look even if nobody seems to have written: time itself makes things due
IDLE = 10.0  # seconds without any work after which PostgreSQL is asked less often whether there is some
WATCH = 5.0
TIDY = 3600.0
SILENCE = 5.0
"""Seconds after which an attempt that is open, yet made by nobody in this process, is given up for another one."""
ATTEMPTS = 25
"""A run whose attempts end without a word this often is given up; a person's pauses do not add up to it soon."""
log = structlog.get_logger()


class Attempts(Protocol):
    """Who makes attempts. Nothing here waits for the end of one."""

    def begin(self, key: Key) -> None:
        """Begin an attempt."""

    def over(self, key: Key) -> bool | None:
        """Whether an attempt has ended, however that was; None when it was never begun."""

    def cancel(self, key: Key) -> None:
        """See that an attempt of somebody who seems dead does not go on."""

    def forget(self, days: int) -> None:
        """Forget attempts that ended so many days ago."""


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
        attempts: Attempts,
        roll: Roll | None,
        keep_warm: bool,
        stopping: Callable[[], bool],
        poll: float = POLL,
    ) -> None:
        self._settings = settings
        self._control = control
        self._runs = runs
        self._journal = journal
        self._engines = engines
        self._uploads = uploads
        self._schedules = schedules
        self._attempts = attempts
        self._roll = roll
        self._keep_warm = keep_warm
        self._stopping = stopping
        self._poll = poll
        self._beside: set[str] = set()  # runs that were taken up beside those that have the places
        self._silent: dict[str, float] = {}  # workflows that nobody executes, since when

    def loop(self) -> None:
        """Work until asked to stop."""
        watch = self._control.watch()
        root = self._settings.watch_folder
        folder = None if root is None else WatchedFolder(root)
        if self._settings.watch_url is not None:
            threading.Thread(
                target=self._look_into, args=(self._settings.watch_url,), name="watch", daemon=True
            ).start()
        tidied = watched = worked = 0.0
        # What is seen first is that there is a database: without an engine to keep warm, nothing more is to be done.
        looked = 0.0 if self._keep_warm else time.monotonic()
        while not self._stopping():
            now = time.monotonic()
            try:
                changed = watch.changed(idle=now - worked >= IDLE)
                if (changed and self._is_something()) or now - looked >= LOOK:
                    looked = now
                    if self.look():
                        worked = now
                if folder is not None and now - watched >= WATCH:
                    watched = now
                    self._schedules.begin_watched(folder)
                if now - tidied >= TIDY:
                    tidied = now
                    retention.sweep(self._control, self._settings, clock())
                    self._uploads.sweep(clock())
                    self._attempts.forget(self._settings.retention_days)
            except WorldError as problem:
                log.error("the control database cannot be used", reason=str(problem))
                time.sleep(1)
            except OSError as problem:  # of a file or folder that is tidied up: no run needs it
                log.error("a file cannot be read or removed", reason=problem.strerror or type(problem).__name__)
                time.sleep(1)
            time.sleep(self._poll)

    def _look_into(self, url: str) -> None:
        """Look at a bucket again and again, beside everything else: its answers may take long, and its files."""
        said = ""
        options = self._settings.watch_options or self._settings.storage_options
        while not self._stopping():
            try:
                bucket = WatchedBucket(Bucket(url, options))
                while not self._stopping():
                    self._schedules.begin_watched(bucket)
                    said = ""
                    self._rest()
            except (WorldError, UsageError) as problem:
                if str(problem) != said:
                    said = str(problem)
                    log.warning("a watched place cannot be used", place=WatchedBucket.what, reason=said)
                self._rest()

    def _rest(self) -> None:
        until = time.monotonic() + self._settings.watch_seconds
        while time.monotonic() < until and not self._stopping():
            time.sleep(0.2)

    def _is_something(self) -> bool:
        """Whether what has just been written may be work; each of several workers looks after others too."""
        return self._roll is not None or at_hand.is_something(self._control, clock(), len(worker.at_work))

    def look(self) -> bool:
        """Do whatever is due now; whether there is any run to work at."""
        housekeeping.sweep(self._control, self._settings, self._runs, clock())
        self._journal.begin_due()
        self._schedules.begin_scheduled()
        self._schedules.begin_uploaded()
        if self._roll is not None:
            for key in self._roll.take_over():
                self._attempts.cancel(key)  # should the dead come back, it finds that it has ended
        at_work = self._journal.unfinished()
        for key in at_work:
            self._mend(key)
        begun = self._take(at_work)
        if self._keep_warm:
            self._engines.warm_up()
        return bool(at_work or begun)

    def _take(self, at_work: list[Key]) -> int:
        """Take up what waits: as many runs as there are places, and small ones of other tenants beside them.

        Returns how many.
        """
        begun = 0
        self._beside &= {key.run for key in at_work}
        for key in self._journal.queued(self._settings.concurrent_runs - len(at_work) + len(self._beside)):
            if self._journal.take(key):
                self._begin(key)
                begun += 1
        for key in self._journal.queued(self._settings.concurrent_small_runs - len(self._beside), small=True):
            if self._journal.take(key):
                self._beside.add(key.run)
                self._begin(key)
                begun += 1
        return begun

    def _begin(self, key: Key) -> None:
        log.info("run attempt begins", tenant=key.tenant, profile=key.profile, run=key.run, attempt=key.attempt)
        self._attempts.begin(key)

    def _mend(self, key: Key) -> None:
        """A run that is marked as taken up, yet nothing works on it, is begun (again)."""
        if key.workflow in worker.at_work:
            self._silent.pop(key.workflow, None)
            return
        over = self._attempts.over(key)
        if over is None:
            self._begin(key)  # we were killed between the mark and the beginning
        elif over:
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
