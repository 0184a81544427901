"""How far a run is, as people are told, from what is known of it."""

from __future__ import annotations

import pytest

from schoolsync import ticks
from schoolsync.runs.progress import Progress, Rows, progress, stages

BEFORE = {"extracting": 10.0, "validating": 20.0, "planning": 20.0, "applying": 60.0}
"""Seconds that the stages took last time."""
NOBODY = Rows(0, None)


def told(*begun: tuple[str, int], early: Rows = NOBODY, applied: Rows = NOBODY, before: bool = False) -> Progress:
    """What is told in second 30 of a run whose stages began in these seconds."""
    known = stages([(name, second * ticks.PER_SECOND) for name, second in begun], stopped=None)
    now = 30 * ticks.PER_SECOND
    return progress(known, early=early, applied=applied, before=BEFORE if before else {}, now=now)


EXTRACTING, VALIDATING, PLANNING = ("extracting", 0), ("validating", 5), ("planning", 10)
HALF = Rows(500, 1000)


@pytest.mark.parametrize(
    ("seen", "rows", "rate", "stage_left", "left"),
    [
        (told(EXTRACTING), (0, None), None, None, None),
        (told(EXTRACTING, early=Rows(300, 1200)), (300, 1200), 10, 90, None),
        (told(EXTRACTING, VALIDATING, early=HALF), (500, 1000), 20, 25, None),
        (told(EXTRACTING, VALIDATING, early=HALF, before=True), (500, 1000), 20, 25, 105),
        (told(EXTRACTING, VALIDATING, PLANNING, early=Rows(0, 1000), before=True), (0, 1000), None, 0, 60),
        (told(PLANNING, ("applying", 20), early=HALF, applied=Rows(50, 80)), (50, 80), 5, 6, 6),
        (told(PLANNING, ("held", 20), early=HALF), (0, None), None, None, None),
        (told(("queued", 20)), (0, None), None, None, None),
    ],
)
def test_rows_rate_and_time_left(
    seen: Progress, rows: tuple[int, int | None], rate: float | None, stage_left: float | None, left: float | None
) -> None:
    """Of every stage; how long the run takes is told where the last run tells how long later stages take."""
    assert (seen.rows_done, seen.rows_total) == rows
    assert (seen.rate, seen.stage_seconds_left, seen.seconds_left) == (rate, stage_left, left)
