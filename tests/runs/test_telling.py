"""What the log tells of a run at work."""

from __future__ import annotations

from structlog.testing import capture_logs

from schoolsync import ticks
from schoolsync.runs.telling import Telling

SECOND = ticks.PER_SECOND


def test_a_long_run_tells_how_far_it_is_and_a_short_one_does_not() -> None:
    """Every ten seconds a line with rows, rate and time left, and one at the end; a quick run has none."""
    telling = Telling()
    with capture_logs() as told:
        for second in range(26):
            telling.applied("long", 1, 100 * (second + 1), 2600, second * SECOND)
        for rows in (50, 100):
            telling.applied("short", 1, rows, 100, rows * SECOND // 100)
    assert [(line["run"], line["rows"], line["of"], line["rate"], line["seconds_left"]) for line in told] == [
        ("long", 1100, 2600, 100, 15),
        ("long", 2100, 2600, 100, 5),
        ("long", 2600, 2600, 100, 0),
    ]


def test_stages_are_told_as_they_begin() -> None:
    """One line for each."""
    with capture_logs() as told:
        Telling().stage("r", 2, "validating")
    assert told == [{"event": "run stage begins", "log_level": "info", "run": "r", "attempt": 2, "stage": "validating"}]
