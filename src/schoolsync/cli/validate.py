"""`schoolsync validate`: check a roster on this machine and say what is wrong, line by line.

Nothing is sent or kept. Exit status: 0 clean or warnings only, 1 errors, 2 unreadable or wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec

from schoolsync import sources
from schoolsync.errors import WorldError
from schoolsync.roster.findings import Finding
from schoolsync.sources import Checked, CheckOptions, SourceFile

_ENDINGS = {".csv", ".zip"}
_SHOWN = 200
# What cannot be opened at all is no roster with errors; these rules alone mean that.
_UNOPENED = frozenset({"unreadable-archive"})


def run(path: Path, *, format: str | None, json: bool) -> int:  # noqa: A002  the option's name
    """Check the roster at `path`, a folder, a zip or one CSV file, and print the findings."""
    known = ", ".join(sources.FORMATS)
    if format is not None and format not in sources.FORMATS:
        return _refuse(f"There is no format {format}. Known formats: {known}.")
    try:
        files = _files(path)
    except OSError as problem:
        return _refuse(f"{path} cannot be read: {problem.strerror or 'the disk does not answer'}.")
    if not files:
        return _refuse(f"{path} holds no CSV or zip file.")
    alone = not path.is_dir() and path.suffix.lower() == ".csv"
    try:
        with TemporaryDirectory(prefix="schoolsync-") as folder, duckdb.connect(config=_engine(folder)) as db:
            options = CheckOptions(format=format or next(iter(sources.FORMATS)), partial=alone, scratch=Path(folder))
            checked = sources.validate(db, sources.extract(db, files, options), options)
            if json:
                _print_json(db, checked)
            else:
                _print_text(db, checked, path)
            opened = not any(finding.rule in _UNOPENED for finding in checked.findings(db, _SHOWN))
    except BrokenPipeError:  # whoever read our output has seen enough
        return 1
    except WorldError as problem:
        return _refuse(str(problem))
    except (OSError, duckdb.OperationalError) as problem:
        return _refuse(f"{path} could not be checked: {type(problem).__name__}.")
    if not opened and not checked.rows:
        return 2
    return 1 if checked.errors else 0


def _engine(folder: str) -> dict[str, str | bool | int | float | list[str]]:
    """Settings of the roster engine: it spills into a folder that goes away, and fetches nothing."""
    return {
        "temp_directory": folder,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def _refuse(sentence: str) -> int:
    print(f"schoolsync: {sentence}", file=sys.stderr)
    return 2


def _files(path: Path) -> list[SourceFile]:
    """The files of the roster; what else lies in its folder is none of it."""
    if not path.is_dir():
        with path.open("rb"):
            pass  # whether it is there and may be read
        return [SourceFile(path.name, path)] if path.suffix.lower() in _ENDINGS else []
    found = sorted(one for one in path.iterdir() if one.suffix.lower() in _ENDINGS and not one.name.startswith("."))
    return [SourceFile(one.name, one) for one in found if one.is_file()]


def _print_json(db: duckdb.DuckDBPyConnection, checked: Checked) -> None:
    """One JSON object; findings are written as they are read, however many there are."""
    head = {
        "format": checked.format,
        "verdict": checked.verdict,
        "files": {name: {"rows": rows} for name, rows in checked.rows.items()},
        "counts": {"errors": checked.errors, "warnings": checked.warnings},
    }
    encoder = msgspec.json.Encoder()
    out = sys.stdout.buffer
    sys.stdout.flush()
    out.write(encoder.encode(head)[:-1] + b',"findings":[')
    separator = b"\n"
    for finding in checked.findings(db):
        out.write(separator + encoder.encode(finding))
        separator = b",\n"
    out.write(b"]}\n")
    out.flush()


def _print_text(db: duckdb.DuckDBPyConnection, checked: Checked, path: Path) -> None:
    for line in _lines(checked.findings(db, _SHOWN)):
        print(line)
    left = checked.errors + checked.warnings - _SHOWN
    if left > 0:
        print(f"... and {left:,} more; --json lists all")
    rows = sum(checked.rows.values())
    print(
        f"{path}: {checked.verdict} ({checked.format}, {len(checked.rows)} files, {rows:,} rows, "
        f"{checked.errors:,} errors, {checked.warnings:,} warnings)"
    )


def _lines(findings: Iterator[Finding]) -> Iterator[str]:
    for finding in findings:
        where = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
        yield f"{where}: {finding.severity}: {finding.message} [{finding.rule}]"
