"""What the docs show is what there is: commands that can be typed, settings that are taken, programs that run.

Shell blocks of the tutorial and the guides, and the programs of the README, docs/access.md, docs/audit.md and
docs/uploads.md, are run by the tests of what they use, and commands that are set in by
tests/acceptance/test_what_is_shown.py; here is the rest.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docs.site import reference

from schoolsync.access import trusted
from schoolsync.api.notice_shapes import ChangeNotices
from schoolsync.cli import profile
from schoolsync.profiles import code_lists
from schoolsync.serving.faults import Fault
from schoolsync.settings import load

from ..acceptance.test_what_is_shown import NO_SHELL, NOT_TYPED
from ..examples import DOCS, PAGES, ROOT, blocks, commands, indented, is_shell

REPLAYED = "Replayed from its request form, not run here."
RUN_BY = {"README.md", "access.md", "audit.md", "uploads.md"}
"""Pages whose programs are run by the tests of what they use."""
SHELL_RUN_BY = {"README.md": "the_readme", "tutorial.md": "the_guides", "faults.md": "what_is_shown"}
"""Pages beside the guides with shell blocks -> the test that runs them."""


def known() -> dict[str, Any]:
    return {name.partition(" ")[2]: command for name, command in reference.commands()}


def command_of(words: list[str]) -> str | None:
    """The name of a command, by the words behind `schoolsync`."""
    return next((name for name in (" ".join(words[:2]), " ".join(words[:1])) if name in COMMANDS), None)


COMMANDS = known()


def test_every_command_that_is_shown_can_be_typed() -> None:
    """Each is taken apart as the program would, and nothing is done; tests/acceptance/test_what_is_shown.py types them.

    Of those that show all that could be typed, the options are looked at.
    """
    looked_at = 0
    for page in PAGES:
        for one in commands(page):
            if one.words[0] != "schoolsync":
                continue
            name = command_of(one.words[1:])
            assert name is not None or one.words[1].startswith(("-", "profile", "context")), one
            if name is None:
                continue
            if one.is_form:
                _options_are(name, one.text)
            else:
                COMMANDS[name].make_context(name, one.words[1 + len(name.split()) :])
            looked_at += 1
    assert looked_at > 200


def test_every_command_in_the_text_is_there() -> None:
    """What stands between marks in a sentence names commands and options that there are."""
    looked_at = 0
    for page in PAGES:
        for text in re.findall(r"`schoolsync ([a-z][^`]*)`", page.read_text("utf-8")):
            if text.startswith("serves "):
                continue  # what the program says
            name = command_of(text.split())
            group = text.split()[0]
            assert name is not None or any(one.startswith(f"{group} ") for one in COMMANDS), f"{page.name}: {text}"
            if name is not None:
                _options_are(name, text)
                looked_at += 1
    assert looked_at > 100


def _options_are(name: str, text: str) -> None:
    there = {
        option for parameter in COMMANDS[name].params for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}
    assert set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", text)) <= there, text


def test_blocks_that_are_set_in_are_known() -> None:
    """Each is typed into a shell, or is known to be something else: nothing that could be typed is passed over."""
    for page in PAGES:
        others = [block for block in indented(page) if not is_shell(block)]
        begins = NO_SHELL.get(page.relative_to(ROOT).as_posix(), ())
        assert len(others) == len(begins), f"{page.name}: {others}"
        assert all(block.startswith(begin) for block, begin in zip(others, begins, strict=True)), page.name


def test_shell_blocks_are_run() -> None:
    """Each page with a shell block between ``` is run by a test of its own, which is there."""
    for page in PAGES:
        name = page.relative_to(DOCS if page.is_relative_to(DOCS) else ROOT).as_posix()
        if blocks(page, "sh"):
            test = "the_guides" if name.startswith("guides/") else SHELL_RUN_BY[name]
            assert (ROOT / "tests" / "acceptance" / f"test_{test}.py").is_file()


def test_what_is_not_typed_is_shown_and_has_a_reason_that_holds() -> None:
    """No entry outlives its command; a test that a reason names is there, and so is each target of make."""
    shown = {one.text for page in PAGES for one in commands(page)}
    assert not set(NOT_TYPED) - shown
    for reason in set(NOT_TYPED.values()):
        for test in re.findall(r"tests/\S+\.py", reason):
            assert (ROOT / test).is_file(), test
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for text in NOT_TYPED:
        if text.startswith("make "):
            assert re.search(rf"^{text[5:]}:", makefile, re.MULTILINE), text


def test_json_that_is_shown_is_taken() -> None:
    """By what reads it; answers and events are JSON at least."""
    kinds = {"faults": msgspec.json.Decoder(dict[str, list[Fault]]), "webhookUrl": msgspec.json.Decoder(ChangeNotices)}
    read = set()
    for page in PAGES:
        for block in blocks(page, "json"):
            first = next(iter(json.loads(block)))
            if first in kinds:
                assert kinds[first].decode(block)
                read.add(first)
    assert read == set(kinds)


def test_code_lists_that_are_shown_are_taken(tmp_path: Path) -> None:
    """The file of docs/formats.md, by what reads it."""
    (block,) = [block for block in indented(DOCS / "formats.md") if not is_shell(block)]
    file = tmp_path / "codes.toml"
    file.write_text(block, "utf-8")
    assert code_lists.load(file)


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
