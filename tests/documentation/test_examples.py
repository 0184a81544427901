"""What the docs show is what there is: commands that can be typed, settings that are taken, programs that run.

Shell blocks of the tutorial and the guides, and the programs of the README, docs/access.md, docs/audit.md and
docs/uploads.md, are run by the tests of what they use; here is the rest.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from docs.site import reference

from schoolsync.access import trusted
from schoolsync.cli import profile
from schoolsync.settings import load

from ..examples import DOCS, ROOT, blocks

PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "guides").glob("*.md"))]
TYPED = re.compile(r"^(?:    |\$ )?((?:[A-Z_]+=\S+ )*schoolsync (?:-\S+|[a-z][a-z-]*)(?: .*)?)$", re.MULTILINE)
OPTIONAL = re.compile(r"[\[|…]")
"""What a line has that shows all that could be typed, and is not itself to be typed."""
REPLAYED = "Replayed from its request form, not run here."
RUN_BY = {"README.md", "access.md", "audit.md", "uploads.md"}
"""Pages whose programs are run by the tests of what they use."""


def commands() -> dict[str, Any]:
    return {name.partition(" ")[2]: command for name, command in reference.commands()}


def test_every_command_that_is_shown_can_be_typed() -> None:
    """Each is taken apart as the shell and the program would; nothing is done."""
    known, looked_at = commands(), 0
    for page in PAGES:
        prose = re.sub(r"^(?!    |```|schoolsync |[A-Z_]+=).*$", "", page.read_text("utf-8"), flags=re.MULTILINE)
        for line in TYPED.findall(prose.replace("\\\n", " ")):
            words = shlex.split(re.split(r" (?:[12]?>|&|\||<)", line)[0], comments=True) if _whole(line) else []
            while words and re.match(r"[A-Z_]+=", words[0]):
                del words[0]
            name = next((name for name in (" ".join(words[1:3]), " ".join(words[1:2])) if name in known), None)
            if name is None:
                continue  # prose, or an option of the program itself
            known[name].make_context(name, words[1 + len(name.split()) :])
            looked_at += 1
    assert looked_at > 150


def _whole(line: str) -> bool:
    """Whether a line is to be typed as it stands."""
    try:
        shlex.split(line)
    except ValueError:
        return False
    return OPTIONAL.search(line) is None


def test_every_file_of_settings_is_taken(tmp_path: Path) -> None:
    """By what reads it; a place-holder of a secret gives way to one that could be."""
    seen = 0
    for page in PAGES:
        for number, block in enumerate(blocks(page, "toml")):
            text = block.replace("whsec_…", "whsec_c2Nob29sc3luYy1zY2hvb2xzeW5jLXNjaG9vbHN5bmM=")
            file = tmp_path / f"{page.stem}-{number}" / "schoolsync.toml"
            file.parent.mkdir()
            file.write_text(text, "utf-8")
            seen += 1
            if page.name == "access.md":
                assert len(trusted.read(file)) == 2
            elif page.name == "commands.md":
                assert profile.read(file)["displayName"] == "District"
            else:
                load({"data_dir": file.parent})
    assert seen >= 6


@pytest.mark.parametrize("language", ["powershell", "csharp"])
def test_what_has_no_runtime_here_says_so(language: str) -> None:
    """Its requests are in the transcripts, which are replayed."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in blocks(page, language):
            assert text.partition(block)[0].rstrip().endswith(f"{REPLAYED}\n\n```{language}".rstrip()), page.name
            assert "synchronizationProfiles" in block


def test_programs_run(tmp_path: Path) -> None:
    """Those of docs/testing.md, for fewer people; no other page has any that nothing runs."""
    for page in PAGES:
        for block in blocks(page, "python"):
            compile(block, page.name, "exec")
            assert page.name in RUN_BY | {"testing.md"}, page.name
            if page.name == "testing.md":
                fewer = block.replace(
                    "people=5000, classes=1500, enrollments=45_000", "people=80, classes=20, enrollments=200"
                )
                assert fewer != block
                exec(fewer, {"folder": tmp_path})
    assert any(tmp_path.iterdir())
