"""What a person meets at the command line before anything is served."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import typer

from schoolsync.cli import app, examples

TENANT = "11111111-2222-4333-8444-555555555555"


def schoolsync(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SCHOOLSYNC_")}
    return subprocess.run(
        [sys.executable, "-m", "schoolsync", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**clean, **environment},
        check=False,
    )


def loaded(*arguments: str) -> set[str]:
    """Which modules a command loads, as the interpreter tells it."""
    answer = schoolsync(*arguments, PYTHONPROFILEIMPORTTIME="1")
    assert answer.returncode == 0, answer.stderr
    lines = [line for line in answer.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


SLOW = {"asyncio", "http.client", "ssl", "sqlite3", "multiprocessing", "concurrent.futures", "xml.etree"}
"""Parts of the standard library that cost a command more than it does itself."""
FACE = {"typer", "annotated_doc", "shellingham"}
SIGNING = {"joserfc", "cryptography", "_cffi_backend", "bcrypt", "pydantic", "pydantic_core", "annotated_types"}
TYPING = {"typing_extensions", "typing_inspection"}


@pytest.mark.parametrize(
    ("arguments", "needed", "rooms"),
    [
        (["--help"], FACE, {"cli", "errors", "loading"}),
        (
            ["token", "--tenant", TENANT, "--scope", "EduRoster.Read"],
            FACE | SIGNING | TYPING,
            {"cli", "errors", "folders", "loading", "access", "settings"},
        ),
    ],
    ids=["help", "token"],
)
def test_help_and_tokens_stay_light(arguments: list[str], needed: set[str], rooms: set[str], tmp_path: Path) -> None:
    """What is asked for most often loads the libraries it cannot do without: no server, no database, no roster engine.

    What is loaded is what it costs, and other than time it is the same on a busy machine.
    """
    here = [] if arguments == ["--help"] else ["--data-dir", str(tmp_path)]
    modules = loaded(*arguments, *here)
    assert "schoolsync.cli.app" in modules
    installed = set(packages_distributions()) - {"schoolsync", "_distutils_hack"}  # the latter is told by a .pth file
    assert {name.partition(".")[0] for name in modules} & installed <= needed
    assert not modules & SLOW
    assert {name.split(".")[1] for name in modules if name.startswith("schoolsync.")} <= rooms


def test_help_lists_every_command() -> None:
    """A newcomer finds the commands by asking."""
    answer = schoolsync("--help")
    for command in ("serve", "token", "validate", "settings", "client"):
        assert f"\n  {command} " in answer.stdout


def test_settings_are_shown_with_their_source(tmp_path: Path) -> None:
    """Where a value comes from is told beside it."""
    (tmp_path / "schoolsync.toml").write_text("page_size = 50\n")
    answer = schoolsync("settings", "--data-dir", str(tmp_path), SCHOOLSYNC_PORT="9999")
    lines = {line.split()[0]: line.split(None, 2)[1:] for line in answer.stdout.splitlines()}
    assert lines["port"] == ["9999", "environment SCHOOLSYNC_PORT"]
    assert lines["page_size"] == ["50", f"file {tmp_path / 'schoolsync.toml'}"]
    assert lines["host"] == ["127.0.0.1", "default"]


def test_a_wrong_setting_is_one_line_and_status_2(tmp_path: Path) -> None:
    """No traceback for a slip in the environment."""
    answer = schoolsync("settings", "--data-dir", str(tmp_path), SCHOOLSYNC_PORT="many")
    assert answer.returncode == 2
    assert answer.stderr == "schoolsync: The setting port (environment SCHOOLSYNC_PORT) must be a whole number.\n"


def test_serve_says_in_words_that_the_port_is_taken(tmp_path: Path) -> None:
    """Nothing is started, the sentence names address and port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = schoolsync("serve", "--data-dir", str(tmp_path / "data"), "--port", str(port))
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"schoolsync: Cannot listen on 127.0.0.1 port {port}: ")
    assert answer.stderr.count("\n") == 1


def test_serve_says_in_words_that_the_data_directory_cannot_be_used(tmp_path: Path) -> None:
    """A file where the directory should be."""
    (tmp_path / "data").write_text("")
    answer = schoolsync("serve", "--data-dir", str(tmp_path / "data"), "--port", "0")
    assert answer.returncode == 1
    assert "cannot be used" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--port", "x"),
        ("token",),
        ("token", "--tenant", TENANT),
        ("token", "--tenant", "contoso", "--role", "EduRoster.Read.All"),
        ("token", "--tenant", TENANT, "--role", "EduRoster.Write.All"),
        ("token", "--tenant", TENANT, "--scope", "EduRoster.Read nonsense"),
        ("nothing",),
    ],
)
def test_wrong_usage_is_status_2_without_a_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Every slip at the command line is a sentence."""
    answer = schoolsync(*arguments, SCHOOLSYNC_DATA_DIR=str(tmp_path))
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr


def test_ctrl_c_before_a_command_has_begun_says_nothing(tmp_path: Path) -> None:
    """While it loads what it needs: no traceback, and the shell is told by which signal it ended."""
    (tmp_path / "typer.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(120)\n")
    # As in a shell of one's own: whatever runs the tests may ignore the signal, and children inherit that.
    begun = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "os.execv(sys.executable, [sys.executable, '-m', 'schoolsync', 'settings'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", begun],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (-signal.SIGINT, "", "")


def every_command() -> dict[str, Any]:
    """The commands by the words that are typed for them."""
    found: dict[str, Any] = {}

    def look(command: Any, words: str) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            look(inner, f"{words} {name}".strip())
        if not hasattr(command, "commands"):
            found[words] = command

    look(typer.main.get_command(app.app), "")
    return found


def test_the_help_of_every_command_ends_with_examples_that_can_be_typed() -> None:
    """Each is taken apart as the shell and the command would, and stands in docs/commands.md."""
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    commands = every_command()
    assert examples.EXAMPLES.keys() == commands.keys()
    for name, command in commands.items():
        for line in examples.EXAMPLES[name]:
            words = shlex.split(line.partition(" > ")[0])
            typed = ["schoolsync", *name.split()]
            assert words[: len(typed)] == typed, line
            command.make_context(name, words[len(typed) :])
            assert line in page, line
    shown = schoolsync("approve", "--help").stdout
    assert shown.rstrip().endswith(f"  {examples.EXAMPLES['approve'][-1]}")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["banana"], "No such command 'banana'. `"),
        (["valdiate"], "Did you mean 'validate'"),
        (["approve", "1", "--profile", "x"], "Missing option '--plan'. `"),
        (["identify", "janitor", "a=b", "--profile", "x"], "'janitor' is not one of 'student', 'teacher'."),
        (["notices", "sent", "--limit", "0"], "greater than or equal to 1. `"),
        (["freshness"], "holds no installation: name its folder with --data-dir"),
        (["user", "list", "--tenant", "11111111-2222-4333-8444-555555555555"], "holds no installation"),
    ],
)
def test_what_is_mistyped_is_one_line_and_a_next_step(typed: list[str], said: str, tmp_path: Path) -> None:
    """Nothing is made where nothing was, and nothing is printed for a program to parse."""
    nowhere = tmp_path / "nowhere"
    told = schoolsync(*typed, *(["--data-dir", str(nowhere)] if "holds no" in said else []))
    assert (told.returncode, told.stdout, len(told.stderr.splitlines())) == (2, "", 1), told.stderr
    assert said in told.stderr
    assert not nowhere.exists()
