"""`schoolsync validate`: check a roster on this machine and say what is wrong, line by line.

Nothing is sent, and nothing kept but the reports that are asked for.
Exit status: 0 clean or warnings only, 1 errors, 2 unreadable or wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from schoolsync import reports, sources
from schoolsync.errors import WorldError
from schoolsync.roster import comparison, statistics
from schoolsync.sources import Checked, CheckOptions, SourceFile

_ENDINGS = {".csv", ".zip"}
# What cannot be opened at all is no roster with errors; these rules alone mean that.
_UNOPENED = frozenset({"unreadable-archive"})


def run(
    path: Path,
    *,
    format: str | None,  # noqa: A002  the option's name
    json: bool,
    reports_to: Sequence[Path] = (),
    against: Path | None = None,
) -> int:
    """Check the roster at `path`, a folder, a zip or one CSV file, and print the report."""
    known = ", ".join((sources.AUTO, *sources.FORMATS))
    if format is not None and format not in (sources.AUTO, *sources.FORMATS):
        return _refuse(f"There is no format {format}. Known formats: {known}.")
    for target in reports_to:
        if target.suffix.lower() not in reports.SUFFIXES:
            return _refuse(f"{target}: a report ends in {', '.join(reports.SUFFIXES)}.")
    try:
        with TemporaryDirectory(prefix="schoolsync-") as folder, duckdb.connect(config=_engine(folder)) as db:
            before = None
            if against is not None:
                earlier = _check(db, against, format, Path(folder))
                if not any(earlier.rows.values()):
                    return _refuse(f"{against} cannot be compared with: none of its files can be read.")
                before = str(against), statistics.of(db)
                comparison.keep(db)
            checked = _check(db, path, format, Path(folder))
            report = reports.gather(
                db, title=str(path), format=checked.format, why=checked.why, files=checked.rows, before=before
            )
            for target in reports_to:
                reports.write(db, report, target)
            if json:
                sys.stdout.flush()
                reports.write_json(db, report, sys.stdout.buffer)
            else:
                from schoolsync.cli.report import show

                show(report)
            opened = not any(cause.rule in _UNOPENED for cause in report.causes)
    except BrokenPipeError:  # whoever read our output has seen enough
        return 1
    except (_NoRosterError, WorldError) as problem:
        return _refuse(str(problem))
    except (OSError, duckdb.OperationalError) as problem:
        told = problem.strerror if isinstance(problem, OSError) else None
        return _refuse(f"{path} could not be checked: {told or type(problem).__name__}.")
    if not opened and not checked.rows:
        return 2
    return 1 if checked.errors else 0


class _NoRosterError(Exception):
    """There is no roster at the path; the message says so."""


def _check(db: duckdb.DuckDBPyConnection, path: Path, format: str | None, scratch: Path) -> Checked:  # noqa: A002
    """Read and check the roster at `path` into the canonical tables."""
    try:
        files = _files(path)
    except OSError as problem:
        raise _NoRosterError(f"{path} cannot be read: {problem.strerror or 'the disk does not answer'}.") from problem
    if not files:
        raise _NoRosterError(f"{path} holds no CSV or zip file.")
    alone = not path.is_dir() and path.suffix.lower() == ".csv"
    options = CheckOptions(format=format or sources.AUTO, partial=alone, scratch=scratch)
    return sources.validate(db, sources.extract(db, files, options), options)


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
