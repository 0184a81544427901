"""What the log tells of a run at work: each stage as it begins, and now and then how far it is.

Numbers and ids alone. Pure but for the log: times come from the caller, in seconds of a clock that nobody can turn.
"""

from __future__ import annotations

import structlog

EVERY = 10.0

log = structlog.get_logger()


class Telling:
    """Remembers what was told, for as long as the process lives."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, int]] = {}  # attempt -> when its stage was first told of, and its rows
        self._last: dict[str, float] = {}

    def stage(self, run: str, attempt: int, stage: str) -> None:
        """A stage of an attempt begins."""
        self._forget(f"{run}:{attempt}")
        log.info("run stage begins", run=run, attempt=attempt, stage=stage)

    def rows(self, run: str, attempt: int, stage: str, done: int, total: int, now: float) -> None:
        """So many rows of a stage are done; a line every ten seconds, and one at the end of what took longer."""
        key = f"{run}:{attempt}"
        began, before = self._first.setdefault(key, (now, done))
        last = self._last.setdefault(key, now)
        ended = done >= total
        if now - last >= EVERY or (ended and now - began >= EVERY):
            self._last[key] = now
            rate = (done - before) / (now - began)
            left = None if rate <= 0 else round((total - done) / rate)
            log.info(
                "run progress",
                run=run,
                attempt=attempt,
                stage=stage,
                rows=done,
                of=total,
                rate=round(rate),
                seconds_left=left,
            )
        if ended:
            self._forget(key)

    def _forget(self, key: str) -> None:
        self._first.pop(key, None)
        self._last.pop(key, None)
