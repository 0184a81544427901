"""The ten promises of schoolsync as three places have them: the modules here, docs/promises.md and the README's table.

A module says its promise in its first line. docs/promises.md names, promise by promise, every test that holds it; the
README shows how those tests ended last.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = "tests/promises"
PAGE = ROOT / "docs" / "promises.md"
README = ROOT / "README.md"
NEVER = "not run yet"


@dataclass(frozen=True)
class Row:
    """A promise in the README's table."""

    promise: str
    module: str
    result: str


def modules() -> dict[str, str]:
    """Each module of this folder, in the order of their promises, with the promise that it says it holds."""
    found: list[tuple[int, str, str]] = []
    for path in (ROOT / FOLDER).glob("test_*.py"):
        said = " ".join((ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split())
        number, promise = re.fullmatch(r"Promise (\d+): (.+)", said).groups()  # type: ignore[union-attr]
        found.append((int(number), f"{FOLDER}/{path.name}", promise))
    assert [number for number, _, _ in sorted(found)] == list(range(1, len(found) + 1))
    return {module: promise for _, module, promise in sorted(found)}


def tests() -> dict[str, list[str]]:
    """Each promise of docs/promises.md with the tests that hold it; of the ten the first is the module here."""
    rows = re.findall(r"^\| (.+?) \| (`tests/.+?) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {promise: re.findall(r"`([^`]+)`", named) for promise, named in rows}


def rows() -> list[Row]:
    """The README's table."""
    found = re.findall(rf"^\| (.+?) \| `({FOLDER}/[^`]+)` \| (.+?) \|$", README.read_text("utf-8"), re.MULTILINE)
    return [Row(*cells) for cells in found]


def write(module: str, result: str) -> None:
    """Put how the tests of a promise ended into the README's table."""
    text = README.read_text("utf-8")
    shown, places = re.subn(rf"^(\| .+? \| `{module}` \| ).+?( \|)$", rf"\g<1>{result}\g<2>", text, flags=re.MULTILINE)
    assert places == 1, f"{module} is not in the README's table"
    README.write_text(shown, "utf-8")
