"""The newest Graph SDKs for Python, of v1.0 and beta, do with schools, classes and people what the pinned one does.

The pinned one is the last with the synchronization API, and two of one name cannot be installed: the newest ones lie in
folders of their own, and the same tests run through each in a process of its own. `make sdks` unpacks and runs them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path(sys.prefix) / "sdks"
LOCK = HERE.parents[2] / "requirements" / "sdks.txt"
TESTS = HERE.with_name("test_the_directory_by_sdk.py")
WHICH = "import msgraph_beta.generated.models.education_class as m; print(m.__file__)"


def run(name: str) -> str | None:
    """Every test of the directory through one SDK, without a change to either. What went wrong, if anything did."""
    there = FOLDER / name.replace("-", "_")
    version = re.search(rf"^{name}==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE)
    if version is None or not any(there.glob(f"*-{version[1]}.dist-info")):
        return "it is not unpacked: run `make sdks`"
    print(f"{name} {version[1]}", flush=True)
    first = [] if name == "msgraph-beta-sdk" else [str(HERE)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    environment |= {"PYTHONPATH": os.pathsep.join([*first, str(there)]), "PYTHONDONTWRITEBYTECODE": "1"}
    which = subprocess.run([sys.executable, "-c", WHICH], env=environment, capture_output=True, text=True, check=True)
    if not which.stdout.startswith(str(there)):
        return f"another one was loaded: {which.stdout}"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(TESTS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode or not re.search(r"\b[1-9]\d* passed", done.stdout) or "skipped" in done.stdout:
        return f"its tests did not pass: {done.stderr[-1000:]}"
    return None


def main() -> int:
    """Both of them; 1 when one did not do everything."""
    failed = 0
    for name in ("msgraph-sdk", "msgraph-beta-sdk"):
        wrong = run(name)
        if wrong is not None:
            print(f"{name}: {wrong}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
