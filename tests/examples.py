"""The examples of README and docs, as tests run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(DOCS.glob("*.md")),
    *sorted((DOCS / "guides").glob("*.md")),
]
PROGRAMS = {
    *("schoolsync", "make", "pip", "python", "python3", "export", "cp", "mkdir"),
    *("createdb", "systemctl", "useradd", "docker", "kubectl", "curl", "azcopy", "aws", "rsync"),
}
"""What a line begins with that is typed into a shell; a path leads to one, too."""
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?:(?: {4}.*)?\n)+")


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it, its lines joined and without what stands behind a #."""

    page: str
    text: str

    @property
    def is_form(self) -> bool:
        """Whether it shows all that could be typed, and is not itself to be typed."""
        marks = r"[\[|…]|\.\.\.| [A-Z]{2,}(?= |$)" if self.page == "docs/commands.md" else r"[\[|…]|\.\.\."
        return self.words[:1] == ["schoolsync"] and re.search(marks, self.text) is not None

    @property
    def words(self) -> list[str]:
        """What the shell hands to the program, without what it does itself."""
        words = shlex.split(re.split(r" (?:[12]?>|&|\|)", self.text)[0])
        while words and re.match(r"[A-Z_]+=", words[0]):
            del words[0]
        return words


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


def indented(page: Path) -> Iterator[str]:
    """The blocks of a page that are set in by four blanks, without these."""
    text = _FENCED.sub("", page.read_text("utf-8"))
    for block in _INDENTED.findall(text):
        if block.strip():
            yield "\n".join(line[4:] for line in block.rstrip().splitlines())


def is_shell(block: str) -> bool:
    """Whether a block is typed into a shell."""
    first = next(word for word in block.split() if not re.match(r"[A-Z_]+=", word))
    return first.rpartition("/")[2] in PROGRAMS


def commands(page: Path) -> Iterator[Shown]:
    """Every command of the indented blocks of a page."""
    for block in filter(is_shell, indented(page)):
        joined = re.sub(r"\\\n\s*|\n +", " ", block)
        for line in joined.splitlines():
            text = re.sub(r"(?:^|\s+)#.*$", "", line).strip()
            if text:
                yield Shown(page.relative_to(ROOT).as_posix(), re.sub(r"  +", " ", text))
