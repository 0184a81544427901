"""What the Tab key does: in a real bash with the script loaded, and in zsh and fish by what their scripts ask."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from schoolsync import convert
from schoolsync.api import routes
from schoolsync.api.notice_shapes import Told
from schoolsync.cli import completing
from schoolsync.plan.typed import Person
from schoolsync.profiles.status import Status
from schoolsync.runs.one import Part
from schoolsync.runs.restarting import Scope
from schoolsync.sources import FORMATS

BIN = Path(sys.executable).parent
COMPLETING = """
source <(_SCHOOLSYNC_COMPLETE=source_bash schoolsync)
complete -p schoolsync
COMP_WORDS=("$@")
COMP_CWORD=$(( $# - 1 ))
_schoolsync_completion schoolsync
printf '%s\\n' "${COMPREPLY[@]}"
"""


def said(*command: str, **environment: str) -> str:
    """What a shell is answered."""
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    answer = subprocess.run(
        command, env={**os.environ, **path, **environment}, capture_output=True, text=True, timeout=60, check=True
    )
    assert answer.stderr == ""
    return answer.stdout


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (("val",), ["validate"]),
        (("validate", "--ag"), ["--against"]),
        (("profile", "re"), ["resume", "reset"]),
        (("sync", "roster.zip", "--prof"), ["--profile"]),
        (("keys", "rotate", "se"), ["secrets"]),
        (("convert", "in", "out", "--to", "one"), ["oneroster-1.1", "oneroster-1.2"]),
        (("show", "12", "--kind", "gu"), ["guardians"]),
    ],
)
def test_bash_completes_commands_options_and_choices(typed: tuple[str, ...], completed: list[str]) -> None:
    """The script is loaded as docs/commands.md says and asked as the Tab key asks it."""
    registered, *words = said("bash", "-c", COMPLETING, "bash", "schoolsync", *typed).splitlines()
    assert registered.endswith("_schoolsync_completion schoolsync")
    assert words == completed


def test_zsh_and_fish_are_answered_in_their_own_way() -> None:
    """Words with what they are for; their scripts call the program by this name."""
    asked = {"_TYPER_COMPLETE_ARGS": "schoolsync val"}
    zsh = said("schoolsync", _SCHOOLSYNC_COMPLETE="complete_zsh", **asked)
    assert re.fullmatch(r'_arguments \'\*: :\(\("validate":"[^"]+"\)\)\'\n?', zsh)
    fish = said("schoolsync", _SCHOOLSYNC_COMPLETE="complete_fish", _TYPER_COMPLETE_FISH_ACTION="get-args", **asked)
    assert re.fullmatch(r"validate\t.+\n?", fish)
    for shell in ("zsh", "fish"):
        script = said("schoolsync", _SCHOOLSYNC_COMPLETE=f"source_{shell}")
        assert re.search(rf"_SCHOOLSYNC_COMPLETE=complete_{shell} .*schoolsync", script)


def test_what_is_offered_is_what_is_taken() -> None:
    """Nothing that a command refuses, nothing left out."""
    assert set(completing.FORMATS) == set(FORMATS)
    assert set(completing.TARGETS) == set(convert.TARGETS)
    assert (completing.KINDS, completing.OPS) == (routes.STEP_KINDS, routes.STEP_OPS)
    assert set(completing.SCOPES) == {one.value for one in Scope}
    assert get_args(Part) == completing.PARTS
    assert get_args(Told) == completing.EVENTS
    assert set(completing.STATUSES) == {one.value for one in Status}
    members = [field.encode_name for field in msgspec.structs.fields(Person)]
    assert {*completing.PERSON} == {f"{name}=" for name in members} - {"role="}
