"""`make promises`: runs the tests that docs/promises.md names and writes into the README how they ended.

Numbers choose promises: `make promises ONLY="3 4"`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime

from . import table


def main(only: set[int]) -> int:
    """Run them, promise by promise; 0 when every one is held."""
    broken = 0
    for number, (promise, tests) in enumerate(table.tests().items(), 1):
        if only and number not in only:
            continue
        answer = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *tests],
            cwd=table.ROOT,
            env={**os.environ, "NIGHTLY": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        held = answer.returncode == 0
        broken += not held
        result = f"{datetime.now(UTC):%Y-%m-%d}: {ended(answer.stdout, held=held)}"
        if tests[0] in table.modules():
            table.write(tests[0], result)
        print(f"{number:2} {'held  ' if held else 'BROKEN'}  {promise}  ({result})", flush=True)
        if not held:
            print(answer.stdout[-6000:], answer.stderr[-2000:], flush=True)
    return 1 if broken else 0


def ended(output: str, *, held: bool) -> str:
    """How many tests passed, or failed, by pytest's last line."""
    last = output.strip().rpartition("\n")[2]
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", last)}
    if not held:
        lost = sum(counts.get(word, 0) for word in ("failed", "error", "errors"))
        return f"{lost} of {lost + counts.get('passed', 0)} failed" if lost else "could not be run"
    return ", ".join(f"{counts[word]} {word}" for word in ("passed", "skipped") if word in counts)


if __name__ == "__main__":
    sys.exit(main({int(number) for number in sys.argv[1:]}))
