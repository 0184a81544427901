"""The examples of README and docs, as tests run them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def blocks(page: Path, language: str) -> list[str]:
    """What stands on a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def program(page: str, beginning: str, changed: Mapping[str, str]) -> str:
    """The Python program of a page of the docs that begins so, with other words for some of its own."""
    (found,) = [block for block in blocks(DOCS / page, "python") if block.startswith(beginning)]
    for word, ours in changed.items():
        assert word in found, word
        found = found.replace(word, ours)
    return found
