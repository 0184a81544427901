"""Which workers are there, and what becomes of the runs of one that is not.

Every worker keeps a row that it counts up every few seconds; each watches the rows of the others by its own clock, so
that no two clocks need agree. A row that stands still for `worker_silence` seconds is a worker that was killed, cut off
or stopped: whoever sees it first takes the row away and queues its runs again, in one transaction. Who was started in
the place of one that has died need not wait for that. A worker that finds its own row gone has been given up and ends;
what its engine may still have in hand is refused by the directory, whose fence the next attempt has raised.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import delete, exists, insert, select, update

from schoolsync.errors import WorldError
from schoolsync.runs.records import Key
from schoolsync.runs.states import ACTIVE, RunState
from schoolsync.store.control import Control
from schoolsync.store.control_tables import control_schema, runs, workers
from schoolsync.store.release import SCHEMA_VERSION

BEATS = 6
"""So many beats may be missing before a worker is given up."""

_NOBODY = -1
"""No tenant has this number: a beat waits for other beats alone."""

log = structlog.get_logger()


class Roll:
    """The roll of workers, as one of them sees it. `beat` is called by one thread, the rest by another."""

    def __init__(
        self,
        control: Control,
        executor: str,
        *,
        silence: float,
        line: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`silence` seconds without a beat are a death. Whose id begins with `line` was here before us, and is dead."""
        self._control = control
        self._executor = executor
        self._line = line
        self._monotonic = monotonic
        self.silence = silence
        self._seen: dict[str, tuple[int, float]] = {}  # worker -> its count, and since when it stands there

    def join(self, now: int) -> None:
        """Enter the roll; `now` in ticks is for people to read."""
        with self._control.write() as connection:
            connection.execute(insert(workers).values(id=self._executor, beat=0, began=now))

    def beat(self) -> bool:
        """Say that we live; False when we must not go on: given up, or of a release that the database has left."""
        with self._control.write(_NOBODY) as connection:
            served = exists().where(control_schema.c.oldest <= SCHEMA_VERSION)
            mine = update(workers).where(workers.c.id == self._executor, served)
            return bool(connection.execute(mine.values(beat=workers.c.beat + 1)).rowcount)

    def leave(self) -> list[Key]:
        """Leave the roll in good order; our runs are another's at once."""
        return self._give_up(self._executor, None)

    def take_over(self) -> list[Key]:
        """Queue the runs of workers that are gone; the attempts that ended with them."""
        with self._control.read() as connection:
            rows = connection.execute(select(workers.c.id, workers.c.beat)).all()
        now = self._monotonic()
        self._seen = {
            row.id: self._seen[row.id] if self._seen.get(row.id, (None,))[0] == row.beat else (row.beat, now)
            for row in rows
            if row.id != self._executor
        }
        ended: list[Key] = []
        for other, (count, since) in list(self._seen.items()):
            if self._line is not None and other.startswith(self._line):
                ended += self._give_up(other, None)
            elif now - since >= self.silence:
                ended += self._give_up(other, count)
        return ended

    def _give_up(self, worker: str, count: int | None) -> list[Key]:
        """Strike a worker off, unless it has counted on, and queue what it had taken up."""
        with self._control.write() as connection:
            strike = delete(workers).where(workers.c.id == worker)
            if not connection.execute(strike if count is None else strike.where(workers.c.beat == count)).rowcount:
                return []
            theirs = (runs.c.worker == worker, runs.c.state.in_(ACTIVE - {RunState.QUEUED}))
            rows = connection.execute(
                select(runs.c.tenant, runs.c.profile, runs.c.id, runs.c.attempt).where(*theirs)
            ).all()
            connection.execute(update(runs).where(*theirs).values(state=RunState.QUEUED, worker=None))
        keys = [Key(row.tenant, row.profile, row.id, row.attempt) for row in rows]
        for key in keys:
            log.warning("run taken from a worker that is gone", run=key.run, attempt=key.attempt, worker=worker)
        return keys


def keep_beating(roll: Roll) -> None:
    """Beat in a thread of its own; end this process at once when it was given up."""

    def beat() -> None:
        while True:
            time.sleep(roll.silence / BEATS)
            try:
                if not roll.beat():
                    log.error("this worker was given up, or its release is not served any more: it ends")
                    os._exit(3)
            except WorldError as problem:
                log.error("a beat is missing", reason=str(problem))

    threading.Thread(target=beat, name="beat", daemon=True).start()
