"""How far a run is, how fast it goes and when it will be done. Pure: values in and out.

An estimate is made from what this run has done so far and from how long the stages took in the profile's last run
that was applied. Where neither says anything there is none: a guess would be worse.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    rows_done: int
    rows_total: int | None
    rate: float | None  # rows a second that the applying has made so far
    seconds_left: float | None  # an estimate


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


def progress(
    known: Sequence[Stage], *, rows_done: int, rows_total: int | None, before: Mapping[str, float], now: int
) -> Progress:
    """How far a run is; `before` are the seconds that the stages took in the last run, if there was one."""
    at_work = known[-1] if known and known[-1].ended is None else None
    rate: float | None = None
    left: float | None = None
    seconds = took(known, now).get(RunState.APPLYING, 0.0)
    if rows_done and seconds > 0:
        rate = rows_done / seconds
    if at_work is not None and at_work.name == RunState.APPLYING:
        if rate and rows_total is not None:
            left = max(0, rows_total - rows_done) / rate
    elif at_work is not None and at_work.name in STAGES and before:
        rest = sum(before.get(stage, 0.0) for stage in STAGES[STAGES.index(RunState(at_work.name)) + 1 :])
        left = rest + max(0.0, before.get(at_work.name, 0.0) - at_work.seconds(now))
    return Progress(rows_done=rows_done, rows_total=rows_total, rate=rate, seconds_left=left)
