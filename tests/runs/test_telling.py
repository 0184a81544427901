"""What the log tells of a run at work."""

from __future__ import annotations

from structlog.testing import capture_logs

from schoolsync.runs.telling import Telling


def test_a_long_run_tells_how_far_it_is_and_a_short_one_does_not() -> None:
    """Every ten seconds a line with rows, rate and time left, and one at the end; a quick run has none."""
    telling = Telling()
    with capture_logs() as told:
        for second in range(26):
            telling.rows("long", 1, "planning", 100 * (second + 1), 2600, second)
        for rows in (50, 100):
            telling.rows("short", 1, "applying", rows, 100, rows / 100)
    assert [(line["run"], line["rows"], line["of"], line["rate"], line["seconds_left"]) for line in told] == [
        ("long", 1100, 2600, 100, 15),
        ("long", 2100, 2600, 100, 5),
        ("long", 2600, 2600, 100, 0),
    ]
    assert {line["stage"] for line in told} == {"planning"}


def test_every_stage_is_counted_anew() -> None:
    """The rate of one stage is not that of the stage before."""
    telling = Telling()
    with capture_logs() as told:
        telling.rows("r", 1, "extracting", 500, 1000, 0)
        telling.stage("r", 1, "validating")
        for second in (20, 30):
            telling.rows("r", 1, "validating", 10 * second, 1000, second)
    assert [(line.get("rows"), line.get("rate")) for line in told] == [(None, None), (300, 10)]


def test_stages_are_told_as_they_begin() -> None:
    """One line for each."""
    with capture_logs() as told:
        Telling().stage("r", 2, "validating")
    assert told == [{"event": "run stage begins", "log_level": "info", "run": "r", "attempt": 2, "stage": "validating"}]
