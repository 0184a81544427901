"""How far a run is, on a real terminal and in a log."""

from __future__ import annotations

import io
import os
import pty
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from schoolsync.cli.progress import Progress

APPLYING = {
    "ended": None,
    "state": "applying",
    "stage": "applying",
    "progress": {
        "rowsDone": 12_500,
        "rowsTotal": 50_000,
        "rate": 2500.0,
        "secondsLeft": 15.0,
        "stageSecondsLeft": 15.0,
    },
}
DONE = {**APPLYING, "ended": "2026-11-26T00:00:00Z", "state": "done"}


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int, encoding: str) -> Iterator[int]:
    """Standard error is a terminal of so many columns; what is drawn can be read from the number."""
    screen, line = pty.openpty()
    termios.tcsetwinsize(line, (24, columns))
    with os.fdopen(line, "w", encoding=encoding, buffering=1) as stream:
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        yield screen
    os.close(screen)


@pytest.mark.parametrize(
    ("columns", "encoding", "drawn"),
    [
        (100, "utf-8", "applying  █████░░░░░░░░░░░░░░░  25%  12,500 of 50,000 rows  2,500 rows/s  15 s left"),
        (100, "ascii", "applying  #####---------------  25%  12,500 of 50,000 rows  2,500 rows/s  15 s left"),
        (40, "utf-8", "applying   25%  12,500 of 50,000 rows  2"),
    ],
)
def test_a_bar_with_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, columns: int, encoding: str, drawn: str
) -> None:
    """It is as wide as the terminal lets it, in characters that it can show, and nothing of it stays."""
    with terminal(monkeypatch, columns, encoding) as screen:
        told = Progress(quiet=False)
        told(APPLYING)
        assert os.read(screen, 4096).decode(encoding) == f"\r{drawn[: columns - 1]}"
        told({**APPLYING, "progress": dict.fromkeys(APPLYING["progress"])})
        assert os.read(screen, 4096).decode(encoding) == f"\r{'applying':<{len(drawn[: columns - 1])}}"
        told(APPLYING)
        told(DONE)
        left = ""
        while not left.endswith("\r"):  # a terminal hands out what is written in pieces
            left += os.read(screen, 4096).decode(encoding)


def test_plain_lines_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line when a stage begins, and no control characters; none at all for scripts."""
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    told = Progress(quiet=False)
    for run in (APPLYING, APPLYING, DONE):
        told(run)
    Progress(quiet=True)(APPLYING)
    assert log.getvalue() == "applying  12,500 of 50,000 rows  2,500 rows/s  15 s left\n"


def test_nobody_knows_yet_how_long_a_first_run_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the time that is left of the stage is told."""
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    counted = {**APPLYING["progress"], "secondsLeft": None, "stageSecondsLeft": 6.0}
    Progress(quiet=False)({**APPLYING, "state": "planning", "stage": "planning", "progress": counted})
    assert log.getvalue() == "planning  12,500 of 50,000 rows  2,500 rows/s  6 s left in this stage\n"
