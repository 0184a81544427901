"""`make demo`: the first thing anybody runs."""

from __future__ import annotations

import subprocess
import sys
import time
import zipfile
from pathlib import Path

from .rosters import DISTRICT


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "schoolsync.testing.demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_the_demo_shows_the_main_job_and_cleans_up() -> None:
    """It syncs the bundled roster, lists what arrived, reports a status, says 200, exits 0 and is soon done."""
    began = time.monotonic()
    answer = demo()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert time.monotonic() - began < 45, "fifteen seconds on a machine that does nothing else"
    assert "success" in answer.stdout
    assert "PATCH /v1.0/education/synchronizationProfiles/" in answer.stdout
    assert "2026-11-07T19:12:37.6472621Z" in answer.stdout
    assert "Traceback" not in answer.stdout + answer.stderr


def test_the_demo_takes_any_roster(tmp_path: Path) -> None:
    """A zip works as well as a folder; what is not there is exit status 2."""
    packed = tmp_path / "district.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in DISTRICT.files().items():
            archive.writestr(name, content)
    answer = demo(packed)
    assert answer.returncode == 0, answer.stdout
    assert "2 schools, 4 classes, 8 users" in answer.stdout
    assert demo(tmp_path / "nowhere").returncode == 2
