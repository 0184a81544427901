"""`make promises`: runs the tests that docs/promises.md names and prints each promise with its result."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"


def promises() -> dict[str, list[str]]:
    """Each promise with the tests that hold it."""
    rows = re.findall(r"^\| (.+?) \| (`tests/.+?) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {promise: re.findall(r"`([^`]+)`", tests) for promise, tests in rows}


def main() -> int:
    """Run them, promise by promise; 0 when every one is held."""
    broken = 0
    for promise, tests in promises().items():
        answer = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", *tests],
            cwd=ROOT,
            env={**os.environ, "NIGHTLY": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        broken += answer.returncode != 0
        last = answer.stdout.strip().splitlines()[-1] if answer.stdout.strip() else answer.stderr[-200:]
        print(f"{'held  ' if answer.returncode == 0 else 'BROKEN'}  {promise}: {last}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
