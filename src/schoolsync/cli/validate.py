"""`schoolsync validate`: check a roster on this machine and say what is wrong, line by line.

Nothing is sent, and nothing kept but the reports that are asked for.
Exit status: 0 clean or warnings only, 1 errors, 2 unreadable or wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from schoolsync import reports, sources
from schoolsync.cli.opening import earlier, engine, files, options
from schoolsync.cli.roster_files import NoRosterError, refuse
from schoolsync.errors import UsageError, WorldError
from schoolsync.roster import comparison, statistics
from schoolsync.sources import Checked

# What cannot be opened at all is no roster with errors; these rules alone mean that.
_UNOPENED = frozenset({"unreadable-archive", "archive-too-large", "hostile-archive"})


def run(
    path: Path,
    *,
    format: str | None,  # noqa: A002  the option's name
    json: bool,
    reports_to: Sequence[Path] = (),
    against: Path | None = None,
    onto: Path | None = None,
) -> int:
    """Check the roster at `path`, a folder, a zip or one CSV file, and print the report.

    `onto` is the whole roster that changes alone belong to.
    """
    known = ", ".join((sources.AUTO, *sources.FORMATS))
    if format is not None and format not in (sources.AUTO, *sources.FORMATS):
        return refuse(f"There is no format {format}. Known formats: {known}.")
    for target in reports_to:
        if target.suffix.lower() not in reports.SUFFIXES:
            return refuse(f"{target}: a report ends in {', '.join(reports.SUFFIXES)}.")
    try:
        own = {one.path.resolve() for given in (path, against, onto) if given is not None for one in files(given)}
        for target in reports_to:
            if target.resolve() in own:
                return refuse(f"{target} is a file of the roster: a report is written to a place of its own.")
        with TemporaryDirectory(prefix="schoolsync-") as folder, engine(folder) as db:
            before = None
            if against is not None:
                compared = _check(db, against, format, Path(folder))
                if not any(compared.rows.values()):
                    return refuse(f"{against} cannot be compared with: none of its files can be read.")
                before = str(against), statistics.of(db)
                comparison.keep(db)
            kept = None if onto is None else earlier(db, onto, format, Path(folder))
            checked = _check(db, path, format, Path(folder), onto=kept)
            if not checked.rows and not checked.errors:
                return refuse(f"{path} holds no roster: it has no file that belongs to one and is not empty.")
            report = reports.gather(
                db, title=str(path), format=checked.format, why=checked.why, files=checked.rows, before=before
            )
            for target in reports_to:
                _report(db, report, target)
            if json:
                sys.stdout.flush()
                reports.write_json(db, report, sys.stdout.buffer)
            else:
                from schoolsync.cli.report import show

                show(report)
            opened = not any(cause.rule in _UNOPENED for cause in report.causes)
    except BrokenPipeError:  # whoever read our output has seen enough
        return 1
    except (NoRosterError, UsageError, WorldError) as problem:
        return refuse(str(problem))
    except (OSError, duckdb.OperationalError) as problem:
        told = problem.strerror if isinstance(problem, OSError) else None
        return refuse(f"{path} could not be checked: {told or type(problem).__name__}.")
    if not opened and not checked.rows:
        return 2
    return 1 if checked.errors else 0


def _report(db: duckdb.DuckDBPyConnection, report: reports.Report, target: Path) -> None:
    """Write a report. Raises UsageError when it cannot be."""
    try:
        reports.write(db, report, target)
    except (OSError, duckdb.IOException) as problem:
        told = problem.strerror if isinstance(problem, OSError) else "the disk does not take it"
        raise UsageError(f"{target} could not be written: {told}.") from problem


def _check(
    db: duckdb.DuckDBPyConnection,
    path: Path,
    format: str | None,  # noqa: A002
    scratch: Path,
    *,
    onto: Path | None = None,
) -> Checked:
    """Read and check the roster at `path` into the canonical tables."""
    given = replace(options(path, format, scratch), earlier=onto)
    return sources.validate(db, sources.extract(db, files(path), given), given)
