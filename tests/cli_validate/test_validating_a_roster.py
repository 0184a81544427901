"""`schoolsync validate`: what it prints, how it ends, and that no file makes it fall over."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from schoolsync.cli import app, convert, validate
from schoolsync.testing import demo, rosters

KEYS = {"format", "why", "verdict", "files", "counts", "causes", "statistics", "against", "findings"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundled roster, to spoil."""
    return Path(shutil.copytree(demo.BUNDLED, tmp_path / "roster"))


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schoolsync", "validate", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # of whoever runs the tests
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def answer(capfd: pytest.CaptureFixture[str], path: Path, *, status: int) -> dict[str, Any]:
    """What `--json` prints, with the exit status as expected."""
    assert validate.run(path, format=None, json=True) == status
    out, err = capfd.readouterr()
    assert err == ""
    said = json.loads(out)
    assert said.keys() == KEYS
    assert said["counts"].keys() == {"errors", "warnings"}
    for finding in said["findings"]:
        assert finding.keys() == {"rule", "severity", "file", "line", "column", "message", "hint", "help"}
    found = [finding["severity"] for finding in said["findings"]]
    assert set(found) <= {"error", "warning", "information"}
    assert said["counts"] == {"errors": found.count("error"), "warnings": found.count("warning")}
    return dict(said)


def test_a_roster_with_warnings_ends_with_0(folder: Path) -> None:
    """The command itself: an entry for every mistake, the schools, and a line that sums up."""
    done = program(folder)
    assert done.returncode == 0
    assert done.stderr == ""
    first, *_, last = done.stdout.splitlines()
    assert ": warning" in first
    assert first.endswith("[several-schools]")
    assert "all schools" in done.stdout
    assert "warnings (sds-v1, 8 files" in last


def test_json_has_the_promised_keys(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Files with their rows, counts, and findings with physical lines."""
    spoil(folder / "Section.csv", "2026-08-31", "soon")
    said = answer(capfd, folder, status=1)
    assert said["format"] == "sds-v1"
    assert said["verdict"] == "errors"
    assert said["files"]["School.csv"] == {"rows": 3}
    assert len(said["files"]) == 8
    error = next(finding for finding in said["findings"] if finding["severity"] == "error")
    assert error["rule"] == "invalid-date"
    assert (error["file"], error["line"], error["column"]) == ("Section.csv", 2, "Term StartDate")


def test_a_clean_roster_says_so(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No finding at all: verdict clean, status 0."""
    for name in ("Student.csv", "Teacher.csv"):
        rows = (folder / name).read_bytes().splitlines(keepends=True)
        seen: set[bytes] = set()
        kept = [row for row in rows if not (row.split(b",")[0] in seen or seen.add(row.split(b",")[0]))]  # type: ignore[func-returns-value]
        (folder / name).write_bytes(b"".join(kept))
    said = answer(capfd, folder, status=0)
    assert said["verdict"] == "clean"
    assert said["findings"] == []


def test_a_zip_and_a_single_file_can_be_checked(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A zip is a whole roster; one CSV is checked for itself."""
    packed = tmp_path / "roster.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"export/{path.name}")
    assert len(answer(capfd, packed, status=0)["files"]) == 8
    assert answer(capfd, folder / "StudentEnrollment.csv", status=0)["verdict"] == "clean"
    spoil(folder / "School.csv", "HZ01", "")
    assert answer(capfd, folder / "School.csv", status=1)["findings"][0]["rule"] == "required-value"


def test_what_cannot_be_read_ends_with_2(tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No such path, nothing in it, no roster, no such format: one sentence, no traceback."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "torn.zip").write_bytes(b"PK\x03\x04torn")
    for path in ("nowhere", "empty", "notes.txt", "torn.zip"):
        assert validate.run(tmp_path / path, format=None, json=False) == 2, path
    assert validate.run(folder, format="oneroster-9", json=False) == 2
    assert len(capfd.readouterr().err.splitlines()) == 4
    cases: list[list[str | Path]] = [[tmp_path / "nowhere"], [], [folder, "--no-such-option"]]
    for arguments in cases:
        done = program(*arguments)
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to be read, as Linux has one")
def test_a_file_that_the_disk_fails_to_give_is_no_fault_of_the_roster(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody is sent to export again what is right: one sentence says that the disk fails."""
    (folder / "School.csv").unlink()
    (folder / "School.csv").symlink_to("/proc/self/mem")
    assert validate.run(folder, format=None, json=False) == 2
    assert "(Input/output error): look at the disk" in capfd.readouterr().err


def test_folders_with_odd_names_are_no_patterns(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Brackets, stars and quotes in a path mean themselves."""
    odd = folder.with_name("ros*ter [2026] 'x'?")
    folder.rename(odd)
    assert answer(capfd, odd, status=0)["files"]["School.csv"] == {"rows": 3}
    spoil(odd / "School.csv", "\r\n", "\n")
    assert "mixed-line-ends" in {finding["rule"] for finding in answer(capfd, odd, status=0)["findings"]}


def test_nothing_is_left_behind(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the temporary folder nor where the command was given."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("TMPDIR", str(temporary))
    spoil(folder / "School.csv", "\r\n", "\n")
    assert program(folder).returncode == 0
    assert list(work.iterdir()) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("seed", range(12))
def test_no_spoiled_file_makes_it_fall_over(folder: Path, capfd: pytest.CaptureFixture[str], seed: int) -> None:
    """Bytes changed, cut, doubled and shuffled at random: always a verdict, never an exception."""
    chance = random.Random(seed)
    for path in sorted(folder.iterdir()):
        content = bytearray(path.read_bytes())
        for _ in range(chance.randrange(1, 12)):
            place = chance.randrange(len(content))
            match chance.randrange(5):
                case 0:
                    content[place : place + 1] = bytes([chance.randrange(256)])
                case 1:
                    content[place:place] = chance.choice([b'"', b",", b"\r", b"\n", b"\0", b"\xff", b"'", b"\\", b"$1"])
                case 2:
                    del content[place : place + chance.randrange(1, 40)]
                case 3:
                    content += content[place : place + 200]
                case _ if chance.random() < 0.2:
                    del content[place:]
            content = content or bytearray(b"x")
        path.write_bytes(content)
    status = validate.run(folder, format=None, json=True)
    out, _ = capfd.readouterr()
    said = json.loads(out)
    assert status == (1 if said["counts"]["errors"] else 0)
    for finding in said["findings"]:
        if finding["line"] is not None:
            lines = (folder / finding["file"]).read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n")
            assert 1 < finding["line"] <= lines + 1


def test_many_findings_are_all_in_the_json(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The text has one entry for the class that is missing, and its number of rows."""
    header = "Section SIS ID,SIS ID\r\n"
    (folder / "StudentEnrollment.csv").write_text(header + "x404,S1001\r\n" * 3000, newline="")
    said = answer(capfd, folder, status=1)
    assert said["counts"]["errors"] == 3000
    (cause,) = (one for one in said["causes"] if one["severity"] == "error")
    assert (cause["rule"], cause["count"], cause["lines"]) == ("unknown-reference", 3000, [2, 3, 4, 5, 6])
    assert validate.run(folder, format=None, json=False) == 1
    out, _ = capfd.readouterr()
    assert "3,000 rows" in out
    assert len(out.splitlines()) < 60


@pytest.mark.parametrize(("path", "status"), [("roster", 0), ("nowhere", 2)])
def test_streams_may_be_closed(folder: Path, path: str, status: int) -> None:
    """`schoolsync validate … >&-` is asked for its exit status alone; no file takes the place of what is closed."""
    command = (
        f'"{sys.executable}" -m schoolsync validate "{folder.with_name(path)}" <&- >&- --report "{folder}/../r.csv"'
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == (status > 0)
    if not status:
        assert (folder.parent / "r.csv").read_text("utf-8-sig").startswith("rule,severity,")


def test_a_pipe_is_not_waited_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody may ever write into it, and a roster is read more than once."""
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path):
        assert validate.run(path, format=None, json=False) == 2
        assert "holds no CSV or zip file" in capfd.readouterr().err


def test_one_of_something_is_called_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither "1 rows" nor "1 files"."""
    (tmp_path / "School.csv").write_text("SIS ID,Name\n1\n")
    assert validate.run(tmp_path / "School.csv", format=None, json=False) == 1
    said = capfd.readouterr().out
    assert "The row has 1 value where the header has 2 columns." in said
    assert "1 file name and 2 headers are those" in said
    assert "(sds-v1, 1 file, 1 row, 1 error, 0 warnings)" in said


def test_an_empty_file_of_no_roster_is_not_clean(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing was checked, so nothing is right."""
    (tmp_path / "people.csv").touch()
    assert validate.run(tmp_path / "people.csv", format=None, json=False) == 2
    assert "holds no roster" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["validate", "convert"])
def test_a_full_disk_is_one_sentence(folder: Path, tmp_path: Path, command: str) -> None:
    """Where the answer is written to, too."""
    more = ["--to", "sds-v2.1", str(tmp_path / "made")] if command == "convert" else []
    with Path("/dev/full").open("wb") as full:
        said = subprocess.run(
            [sys.executable, "-m", "schoolsync", command, str(folder), *more],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert said.returncode == 2
    assert said.stderr.splitlines()[-1].endswith("No space left on device.")
    assert "Traceback" not in said.stderr


def test_ctrl_c_in_the_engine_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The roster engine has an error of its own for it, which ends the command as Ctrl-C does; any other stays one."""
    said = {"text": "Query interrupted"}

    def failing(*_: object, **__: object) -> None:
        raise RuntimeError(said["text"])

    monkeypatch.setattr("schoolsync.cli.app.app", failing)
    assert app.main() == 130
    said["text"] = "something else"
    with pytest.raises(RuntimeError, match="something else"):
        app.main()


def test_the_report_may_be_cut_off_by_its_reader(folder: Path) -> None:
    """`schoolsync validate … | head -1` is no reason for a traceback."""
    command = f'"{sys.executable}" -m schoolsync validate "{folder}" --json | head -c 1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr


def test_a_package_of_changes_is_checked_with_the_roster_it_belongs_to(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Alone it is refused with what to do; onto its roster it is that roster a day later, and can be converted."""
    size = {"people": 40, "classes": 5, "enrollments": 90}
    rosters.write(tmp_path / "whole", **size, format="oneroster-1.2")
    rosters.write_delta(tmp_path / "delta", **size, before=rosters.Moment(), after=rosters.Moment(churn=0.2))
    said = answer(capfd, tmp_path / "delta", status=1)
    assert [one["rule"] for one in said["causes"] if one["fatal"]] == ["delta-without-base"]
    assert "--onto" in next(one["message"] for one in said["causes"] if one["fatal"])
    assert validate.run(tmp_path / "delta", format=None, json=True, onto=tmp_path / "whole") == 0
    total = json.loads(capfd.readouterr().out)["statistics"]["total"]
    assert total["students"] + total["teachers"] == 40
    for other in (demo.BUNDLED, tmp_path / "delta", tmp_path / "nowhere"):
        assert validate.run(tmp_path / "delta", format=None, json=False, onto=other) == 2
        out, err = capfd.readouterr()
        assert (out, err.count("\n")) == ("", 1)
    made = {"to": "sds-v1", "format": None, "day": date(2026, 11, 26), "passwords": False, "json": True}
    assert convert.run(tmp_path / "delta", tmp_path / "made", **made, onto=tmp_path / "whole") == 0
    assert convert.run(tmp_path / "delta", tmp_path / "none", **made) == 1


def test_what_was_forgiven_is_told_in_every_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Findings that are no more than information are in the text, and in the page; one of a thing is called one."""
    rosters.write(tmp_path / "a", people=60, classes=6, enrollments=200, several_schools=False)
    for rule in ("separator-line", "byte-order-mark"):
        rosters.spoil(tmp_path / "a", rule, times=1)
    page = tmp_path / "report.html"
    assert validate.run(tmp_path / "a", format=None, json=False, reports_to=(page,)) == 0
    text = " ".join(capfd.readouterr().out.split())  # however wide the terminal is
    assert text.count(": information [") == 2
    assert re.search(r": clean \(sds-v1, 6 files, \d+ rows, 0 errors, 0 warnings\)$", text)
    assert page.read_text("utf-8").count("information</span>") == 2
    rosters.spoil(tmp_path / "a", "required-value", times=1)
    assert validate.run(tmp_path / "a", format=None, json=False) == 1
    assert re.search(r" rows, 1 error, \d+ warnings?\)$", " ".join(capfd.readouterr().out.split()))
