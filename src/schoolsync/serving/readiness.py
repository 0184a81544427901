"""What `GET /healthz` says: whether requests and synchronizations can be served now, and otherwise why not.

Whoever asks needs no token, so the parts are looked at once in a while, however often that is asked, and a part that
does not answer holds nobody up.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from sqlalchemy import select

from schoolsync.errors import Refusal, SchoolsyncError, Unready, WorldError
from schoolsync.settings import Settings
from schoolsync.store import migrations
from schoolsync.store.control import WHAT, Control
from schoolsync.store.control_tables import control_schema
from schoolsync.store.objects import objects_of

FRESH = 1.0
"""Seconds for which an answer is good."""
PATIENCE = 3.0
"""Seconds that a part may take to answer."""

log = structlog.get_logger()

ENDING = "The server is ending and takes no more work: ask another one, or wait until it is started again."
STARTING = "The sync engine is starting, or is being started again."


class Readiness:
    """Looks at what serving takes. Safe to share between threads; asked of a thread that may wait."""

    def __init__(
        self, control: Control, settings: Settings, *, worker: Callable[[], bool], ending: Callable[[], bool]
    ) -> None:
        self._worker = worker
        self._ending = ending
        self._looks: dict[str, Callable[[], None]] = {
            WHAT: lambda: _database(control),
            "storage": lambda: _storage(settings),
        }
        self._asked: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(len(self._looks), thread_name_prefix="ready")
        self._lock = threading.Lock()
        self._at = -FRESH
        self._reason = ""

    def check(self) -> None:
        """Raise Unready when something is missing; it says what."""
        if self._ending():
            raise Unready(ENDING)
        if not self._worker():
            raise Unready(STARTING)
        with self._lock:
            if time.monotonic() - self._at >= FRESH:
                found = self._look()
                if found != self._reason:
                    log.warning("what serving takes", missing=found or None)
                self._reason, self._at = found, time.monotonic()
            reason = self._reason
        if reason:
            raise Unready(reason)

    def _look(self) -> str:
        """Why the parts cannot be used; empty when they can. One that has not answered yet is not asked again."""
        for name, look in self._looks.items():
            if name not in self._asked:
                self._asked[name] = self._pool.submit(look)
        end = time.monotonic() + PATIENCE
        reasons = []
        for name, asked in list(self._asked.items()):
            try:
                asked.result(max(0.0, end - time.monotonic()))
            except TimeoutError:
                reasons.append(f"The {name} does not answer.")
                continue
            except Refusal as problem:
                reasons.append(str(problem))
            except (SchoolsyncError, OSError) as problem:
                log.warning("a look for what serving takes failed", part=name, reason=str(problem))
                reasons.append(f"The {name} cannot be used now; the server's log says why.")
            del self._asked[name]
        return " ".join(reasons)


def _database(control: Control) -> None:
    """It can be asked, and serves this release still."""
    with control.glance() as connection:
        row = connection.execute(select(control_schema.c.version, control_schema.c.oldest)).one()
    migrations.check(row.version, row.oldest, "database")


def _storage(settings: Settings) -> None:
    folder = settings.objects
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise WorldError(f"The folder {folder.name} of the data directory is not there, or cannot be written.")
    objects_of(settings).probe()
