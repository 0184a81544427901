"""What a person meets at the command line before anything is served."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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


def cpu_seconds(arguments: list[str], folder: Path) -> float:
    """CPU time of a Python program with its modules compiled, as in every installation that was used once."""
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        env={**compiled, "PYTHONPYCACHEPREFIX": str(folder)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_and_tokens_stay_light(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`--help` costs 0.2 s of CPU at most and `token` 0.4 s, or little more than the libraries they cannot do without.

    The libraries are the measure on a machine that others keep busy: there the same work takes more CPU time. They are
    measured in turns with the commands, the least counts, and as soon as it is light enough it is.
    """
    compiled, data = tmp_path_factory.mktemp("compiled"), tmp_path_factory.mktemp("data")
    token = ["token", "--data-dir", str(data), "--tenant", TENANT, "--scope", "EduRoster.Read"]
    programs = {
        "help": ["-m", "schoolsync", "--help"],
        "its libraries": ["-c", "import typer"],
        "token": ["-m", "schoolsync", *token],
        "their libraries": ["-c", "import typer._adapters, joserfc.jwt"],
    }
    least = dict.fromkeys(programs, 1e9)
    for _ in range(12):
        for name, arguments in programs.items():
            least[name] = min(least[name], cpu_seconds(arguments, compiled))
        light = least["help"] <= max(0.2, 2 * least["its libraries"])
        if light and least["token"] <= max(0.4, 1.4 * least["their libraries"]):
            return
    raise AssertionError(least)


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
