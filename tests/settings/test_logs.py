"""What the log says of failures, and what it never says."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, sys, structlog, traceback
from schoolsync import logs
logs.configure("info", "test")
try:
    raise ValueError("Zoe Mueller, born 2013-02-28")
except ValueError:
    structlog.get_logger().exception("it failed", request="r1")
    logging.getLogger("library").exception("theirs failed")
    logging.getLogger("library").error(f"looking failed: {traceback.format_exc()}")
structlog.get_logger().info("it goes on")
"""


def test_an_exception_is_told_by_class_and_place() -> None:
    """Ours and a library's are one JSON line each; neither message nor trace, which could quote a pupil's data."""
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in answer.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["it failed", "theirs failed", "looking failed", "it goes on"]
    assert {line["error"] for line in lines[:3]} == {"ValueError"}
    for line in lines[:2]:
        assert line["at"] == ["<string>:6 <module>"]
    assert "Zoe" not in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_log_on_a_full_disk_ends_nothing() -> None:
    """Lines that cannot be written are lost, and the program goes on."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, not a path of ours
        assert subprocess.run([sys.executable, "-c", PROGRAM], stderr=full, check=False).returncode == 0
