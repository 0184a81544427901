"""The commands that need no server, each as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .house import command
from .rosters import DISTRICT, GUARDIANS, Roster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The district as a folder."""
    return written(tmp_path / "district", DISTRICT)


def written(folder: Path, roster: Roster) -> Path:
    folder.mkdir()
    for name, content in roster.files().items():
        (folder / name).write_text(content, "utf-8", newline="")
    return folder


def test_a_clean_roster_is_exit_status_zero(folder: Path) -> None:
    """validate of a folder and of a zip: 0, and the JSON has the documented keys."""
    for name, content in GUARDIANS.items():
        (folder / name).write_text(content, "utf-8", newline="")
    packed = folder.parent / "district.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    for path in (folder, packed):
        assert command("validate", path).returncode == 0
        answer = command("validate", path, "--json")
        assert answer.returncode == 0
        report = json.loads(answer.stdout)
        assert report.keys() >= {"format", "verdict", "files", "counts", "findings"}
        assert report["format"] == "sds-v1"
        assert report["verdict"] in {"clean", "warnings"}
        assert report["counts"]["errors"] == 0
        assert {name.lower(): file["rows"] for name, file in report["files"].items()} == {
            "school.csv": 2,
            "section.csv": 4,
            "student.csv": 6,
            "teacher.csv": 3,
            "studentenrollment.csv": 7,
            "teacherroster.csv": 3,
            "user.csv": 2,
            "guardianrelationship.csv": 2,
        }


def test_an_error_is_exit_status_one_and_names_line_and_column(tmp_path: Path) -> None:
    """Findings carry rule, severity, file, physical line (the header is 1), column and a sentence."""
    roster = DISTRICT.changed("students", "3003", Last_Name="")
    answer = command("validate", written(tmp_path / "wrong", roster), "--json")
    assert answer.returncode == 1
    report = json.loads(answer.stdout)
    assert report["verdict"] == "errors"
    assert report["counts"]["errors"] == 1
    (finding,) = [item for item in report["findings"] if item["severity"] == "error"]
    assert finding.keys() >= {"rule", "severity", "file", "line", "column", "message"}
    assert finding["file"].lower() == "student.csv"
    assert finding["line"] == 4
    assert finding["column"] == "Last Name"
    assert finding["rule"]
    assert finding["message"]
    shown = command("validate", tmp_path / "wrong")
    assert shown.returncode == 1
    assert finding["rule"] in shown.stdout


def test_warnings_alone_are_exit_status_zero(tmp_path: Path) -> None:
    """Somebody of two schools is a warning, which stops nobody."""
    roster = DISTRICT.with_rows("students", {**DISTRICT.students[0], "School SIS ID": "200"})
    answer = command("validate", written(tmp_path / "twice", roster), "--json")
    assert answer.returncode == 0
    report = json.loads(answer.stdout)
    assert report["verdict"] == "warnings"
    assert report["counts"]["warnings"] >= 1


@pytest.mark.parametrize(
    "arguments",
    [["nowhere"], [], ["{folder}", "--format", "telepathy"], ["{folder}", "--colour"], ["{file}"]],
    ids=["missing", "nothing", "format", "option", "no roster"],
)
def test_what_cannot_be_read_is_exit_status_two(folder: Path, arguments: list[str]) -> None:
    """Missing or unreadable input and wrong usage are 2, in words, with nothing on standard output to parse."""
    picture = folder.parent / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    answer = command("validate", *(part.format(folder=folder, file=picture) for part in arguments), cwd=folder.parent)
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr


TOKEN = ("--tenant", "11111111-2222-3333-4444-555555555555", "--scope", "EduRoster.Read")


def test_commands_load_only_what_they_need(tmp_path: Path) -> None:
    """What is never imported cannot be slow: --help and token stay away from the heavy libraries."""
    heavy = {"sqlalchemy", "litestar", "duckdb", "pyarrow", "dbos", "granian", "adbc_driver_manager"}
    program = f"""
import runpy, sys
sys.argv = ["schoolsync", *sys.argv[1:]]
try:
    runpy.run_module("schoolsync", run_name="__main__")
except SystemExit:
    pass
print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)
"""
    for arguments in (["--help"], ["token", "--data-dir", str(tmp_path), *TOKEN], ["settings"]):
        answer = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert answer.stderr.strip().endswith("[]"), f"{arguments}: {answer.stderr}"


def test_settings_say_where_they_come_from(tmp_path: Path) -> None:
    """Command line, environment, file and default are told apart."""
    (tmp_path / "schoolsync.toml").write_text('log_level = "warning"\npage_size = 50\n')
    answer = command("settings", "--data-dir", tmp_path, env={**os.environ, "SCHOOLSYNC_PAGE_SIZE": "60"})
    assert answer.returncode == 0
    lines = {line.split()[0]: line for line in answer.stdout.splitlines() if line}
    assert "60" in lines["page_size"]
    assert "SCHOOLSYNC_PAGE_SIZE" in lines["page_size"]
    assert "warning" in lines["log_level"]
    assert "schoolsync.toml" in lines["log_level"]
    assert "command line" in lines["data_dir"]
    assert "default" in lines["threads"]
    wrong = command("settings", "--data-dir", tmp_path, env={**os.environ, "SCHOOLSYNC_PORT": "harbour"})
    assert wrong.returncode == 2
    assert "port" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_every_command_explains_itself() -> None:
    """--help of each command is exit status 0 and says what it does."""
    for arguments in (["serve"], ["token"], ["validate"], ["settings"], ["client"], ["client", "add"]):
        answer = command(*arguments, "--help")
        assert answer.returncode == 0
        assert "Usage" in answer.stdout
