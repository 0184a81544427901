"""How far a run is, how fast it goes and when it will be done. Pure: values in and out.

An estimate is made from what this run has done so far and from how long the stages took in the profile's last run
that was applied. Where neither says anything there is none: a guess would be worse. So of a first run it is known how
long the stage at work will take, and of the whole run only once it applies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schoolsync import ticks
from schoolsync.runs.states import RunState

STAGES = (RunState.EXTRACTING, RunState.VALIDATING, RunState.PLANNING, RunState.APPLYING)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage that a run has begun, or `paused` or `held`."""

    name: str
    began: int  # ticks
    ended: int | None  # None: it is at work

    def seconds(self, now: int) -> float:
        """How long it took, or has taken so far."""
        return max(0, (self.ended if self.ended is not None else now) - self.began) / ticks.PER_SECOND


@dataclass(frozen=True, slots=True)
class Rows:
    """So many rows of all."""

    done: int
    total: int | None  # None: nobody knows yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: rows of the files while they are read, checked and compared, then rows that are written."""

    rows_done: int
    rows_total: int | None
    rate: float | None  # rows a second that the stage has made so far
    stage_seconds_left: float | None  # an estimate for the stage at work
    seconds_left: float | None  # and for the run


def stages(begun: Sequence[tuple[str, int]], *, stopped: int | None) -> tuple[Stage, ...]:
    """The stages of a run in the order they began; `stopped` is when the run ended or was put aside."""
    ends = [began for _, began in begun[1:]] + [stopped]
    return tuple(Stage(name, began, end) for (name, began), end in zip(begun, ends, strict=False))


def took(known: Sequence[Stage], now: int) -> dict[str, float]:
    """Seconds per stage, those of repeated attempts together."""
    sums: dict[str, float] = {}
    for stage in known:
        sums[stage.name] = sums.get(stage.name, 0.0) + stage.seconds(now)
    return sums


def progress(known: Sequence[Stage], *, early: Rows, applied: Rows, before: Mapping[str, float], now: int) -> Progress:
    """How far a run is.

    `early` are the rows of the stage at work before the applying; `before` are the seconds that the stages took in the
    last run, if there was one.
    """
    at_work = known[-1] if known and known[-1].ended is None and known[-1].name in STAGES else None
    if at_work is None or at_work.name == RunState.APPLYING:
        rows, seconds = applied, took(known, now).get(RunState.APPLYING, 0.0)
    else:
        rows, seconds = early, at_work.seconds(now)
    rate = rows.done / seconds if rows.done and seconds > 0 else None
    stage_left: float | None = None
    left: float | None = None
    if at_work is not None:
        later = STAGES[STAGES.index(RunState(at_work.name)) + 1 :]
        if rate and rows.total is not None:
            stage_left = max(0, rows.total - rows.done) / rate
        elif at_work.name in before and later:
            stage_left = max(0.0, before[at_work.name] - at_work.seconds(now))
        if not later:
            left = stage_left
        elif before:
            left = (stage_left or 0.0) + sum(before.get(stage, 0.0) for stage in later)
    return Progress(
        rows_done=rows.done, rows_total=rows.total, rate=rate, stage_seconds_left=stage_left, seconds_left=left
    )
