"""Checking a roster and making it canonical, beside the bare parse of the same files and beside another validator.

make bench                                                     # 1 000 000 people, writes benchmarks/CHECKING.md
python -m benchmarks.checking --people 100000 --rounds 1       # a quick look, prints only
python -m benchmarks.checking --without-validator              # ours and the floor alone

Every figure is a process of its own, from its start to its end; memory is the most that the process ever held.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.__main__ import FLOOR, machine
from schoolsync.settings import Settings

RESULTS = Path(__file__).parent / "CHECKING.md"
FORMATS = ("sds-v1", "oneroster-1.2")
PEOPLE = 1_000_000
LOCK = Path(__file__).parents[1] / "requirements" / "bench.txt"
DEFAULT, CAPPED = Settings().memory_limit, "256MiB"

OURS = """
import sys, tempfile
from pathlib import Path
import duckdb
from schoolsync import sources
from schoolsync.sources import CheckOptions, SourceFile
format, memory, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
with tempfile.TemporaryDirectory() as scratch:
    config = {"memory_limit": memory, "threads": 2, "temp_directory": scratch}
    with duckdb.connect(config=config) as db:
        options = CheckOptions(format=format, scratch=Path(scratch))
        files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
        checked = sources.validate(db, sources.extract(db, files, options), options)
        assert not checked.errors, list(checked.findings(db, 5))
"""
VALIDATOR = """
import sys
from frictionless import Package
report = Package(sys.argv[1]).validate()
sys.exit(0 if report.valid else 1)
"""


@dataclass(frozen=True)
class Figure:
    """One process: how long it took and how much it held."""

    seconds: float
    mib: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.checking", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--validator-people", type=int, help="size for the other validator; default: a twentieth")
    parser.add_argument("--without-validator", action="store_true")
    options = parser.parse_args()
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name:
        folder = Path(name)
        for form in FORMATS:
            lines += _of_format(folder, form, options.people, options.rounds)
        lines += _flatness(folder, options.people)
        if not options.without_validator:
            people = options.validator_people or max(options.people // 20, 1000)
            lines += _beside_another(folder, people)
    print("\n".join(lines))
    if options.people == PEOPLE and options.rounds >= 3:
        RESULTS.write_text("\n".join([*_heading(options.rounds), *lines, ""]), encoding="utf-8")
    return 0


def _size(people: int) -> dict[str, int]:
    return {"people": people, "classes": people * 3 // 10, "enrollments": people * 9}


def _written(roster: Path, form: str, size: dict[str, int], *options: str) -> None:
    """Have a roster written by a process of its own: what it holds must not count as the memory of those measured."""
    sizes = [f"--{name}={number}" for name, number in size.items()]
    command = [sys.executable, "-m", "schoolsync.testing.rosters", "--format", form, *sizes, *options, str(roster)]
    subprocess.run(command, check=True)


def _of_format(folder: Path, form: str, people: int, rounds: int) -> list[str]:
    size = _size(people)
    roster = folder / form
    _written(roster, form, size)
    floor, default, capped = [], [], []
    for number in range(rounds):
        floor.append(_bare_parse(roster))
        default.append(_ours(form, DEFAULT, roster))
        capped.append(_ours(form, CAPPED, roster))
        print(f"{form}, round {number + 1}: {floor[-1]} {default[-1]} {capped[-1]}", flush=True)
    bytes_ = sum(path.stat().st_size for path in roster.iterdir())
    for path in roster.iterdir():
        path.unlink()
    base = statistics.median(one.seconds for one in floor)
    return [
        f"## {form}",
        "",
        f"{people:,} people, {size['classes']:,} classes, {size['enrollments']:,} enrollments, {bytes_ / 1e6:,.0f} MB.",
        "",
        "| work | median s | range s | × floor | peak MiB | to reach |",
        "| --- | --- | --- | --- | --- | --- |",
        _row("bare DuckDB parse of the same files", floor, base, "floor"),
        _row(f"checked and canonical, memory_limit {DEFAULT}", default, base, "3.5 ×, 1024 MiB"),
        _row(f"checked and canonical, memory_limit {CAPPED}", capped, base, "512 MiB"),
        "",
    ]


def _row(name: str, figures: list[Figure], base: float, limit: str) -> str:
    seconds = [one.seconds for one in figures]
    median, peak = statistics.median(seconds), max(one.mib for one in figures)
    span = f"{min(seconds):.2f}–{max(seconds):.2f}"
    return f"| {name} | {median:.2f} | {span} | {median / base:.1f} | {peak:.0f} | {limit} |"


def _flatness(folder: Path, people: int) -> list[str]:
    """The same people with one enrollment each and with ten: memory should not follow."""
    lines = [
        "## Memory as enrollments grow",
        "",
        f"SDS V1, {people:,} people; one run each, memory_limit {DEFAULT}.",
        "",
        "| enrollments | s | peak MiB |",
        "| --- | --- | --- |",
    ]
    for times in (1, 10):
        roster = folder / f"flat{times}"
        _written(roster, "sds-v1", {**_size(people), "enrollments": people * times})
        figure = _ours("sds-v1", DEFAULT, roster)
        lines.append(f"| {people * times:,} | {figure.seconds:.2f} | {figure.mib:.0f} |")
        for path in roster.iterdir():
            path.unlink()
    return [*lines, ""]


def _beside_another(folder: Path, people: int) -> list[str]:
    """frictionless, told of the same keys, references, types and required cells, on the same files."""
    python = _validator_python(folder)
    if python is None:
        return ["## Beside another validator", "", "Not measured: frictionless could not be installed here.", ""]
    size = _size(people)
    roster = folder / "beside"
    _written(roster, "sds-v1", size, "--tidy")
    package = folder / "beside.json"
    package.write_text(json.dumps(_package(roster)), encoding="utf-8")
    floor, ours = _bare_parse(roster), _ours("sds-v1", DEFAULT, roster)
    theirs = _run([str(python), "-c", VALIDATOR, str(package)], cwd=folder)
    return [
        "## Beside another validator",
        "",
        "frictionless with a data package of the same files (primary and foreign keys, required cells, dates); SDS "
        f"V1, {people:,} people, {size['enrollments']:,} enrollments; one run each. It is asked for less: no sign-in "
        "names, passwords, mail addresses, grades or look-alikes, and it makes no records.",
        "",
        "| work | s | × floor | peak MiB |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {one.seconds:.2f} | {one.seconds / floor.seconds:.1f} | {one.mib:.0f} |"
            for name, one in (
                ("bare DuckDB parse", floor),
                ("schoolsync, checked and canonical", ours),
                ("frictionless, validated", theirs),
            )
        ),
        "",
    ]


def _package(roster: Path) -> dict[str, object]:
    """A data package of SDS V1 files."""
    keys: dict[str, list[str]] = {
        "School": ["SIS ID"],
        "Section": ["SIS ID"],
        "Student": ["SIS ID"],
        "Teacher": ["SIS ID"],
        "StudentEnrollment": ["Section SIS ID", "SIS ID"],
        "TeacherRoster": ["Section SIS ID", "SIS ID"],
    }
    references = {
        "Section": {"School SIS ID": "school"},
        "Student": {"School SIS ID": "school"},
        "Teacher": {"School SIS ID": "school"},
        "StudentEnrollment": {"Section SIS ID": "section", "SIS ID": "student"},
        "TeacherRoster": {"Section SIS ID": "section", "SIS ID": "teacher"},
    }
    required = {"SIS ID", "School SIS ID", "Section SIS ID", "Name", "Section Name", "Username", "First Name"}
    dates = {"Birthdate", "Term StartDate", "Term EndDate"}
    resources = []
    for name, key in keys.items():
        with (roster / f"{name}.csv").open(encoding="utf-8") as file:
            headers = file.readline().strip().split(",")
        fields: list[dict[str, object]] = []
        for header in headers:
            field: dict[str, object] = {"name": header, "type": "string"}
            if header in dates:
                field |= {"type": "date", "format": "%m/%d/%Y"}
            if header in required:
                field["constraints"] = {"required": True}
            fields.append(field)
        schema: dict[str, object] = {"fields": fields, "primaryKey": key}
        if name in references:
            schema["foreignKeys"] = [
                {"fields": [column], "reference": {"resource": target, "fields": ["SIS ID"]}}
                for column, target in references[name].items()
            ]
        resources.append({"name": name.lower(), "path": f"{roster.name}/{name}.csv", "schema": schema})
    return {"name": "roster", "resources": resources}


def _validator_python(folder: Path) -> Path | None:
    """An environment of its own with the other validator; None when it cannot be made."""
    environment = folder / "validator"
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True)
        subprocess.run([*pip, "--no-deps", "-r", str(LOCK)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return python


def _bare_parse(roster: Path) -> Figure:
    return _run([sys.executable, "-c", FLOOR, *map(str, sorted(roster.glob("*.csv")))])


def _ours(form: str, memory: str, roster: Path) -> Figure:
    return _run([sys.executable, "-c", OURS, form, memory, str(roster)])


def _run(command: list[str], cwd: Path | None = None) -> Figure:
    """Run a process to its end. Raises SystemExit with what it said when it fails."""
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=cwd)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(
                f"{command[0]} ended with {process.returncode}:\n{said.read()[-4000:].decode(errors='replace')}"
            )
    unit = 1 if sys.platform == "darwin" else 1024
    return Figure(seconds, usage.ru_maxrss * unit / 1024**2)


def _heading(rounds: int) -> list[str]:
    return [
        "# Measured: checking rosters",
        "",
        f"`make bench` on {datetime.now(UTC):%Y-%m-%d}, {rounds} rounds, the works of a round one after the other.",
        machine(),
        "Absolute seconds depend on the machine; the ratio to the floor, measured in the same run, travels better.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
