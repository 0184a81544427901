"""The benchmarks that documents point to can be begun."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_benchmark_begins() -> None:
    """What each takes from the others and from the program is there; they are long, so nothing else tries them."""
    modules = [f"benchmarks.{path.stem}" for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__"]
    assert "benchmarks.api" in modules
    done = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(sorted(modules))}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
