"""Writing a report to a file; its ending says in which form.

`.html` is for people, `.json` holds everything, `.csv` and `.parquet` hold every finding, one row each. The lists are
written by the roster engine, however long they are.
"""

from __future__ import annotations

import codecs
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import duckdb
import msgspec

from schoolsync.errors import UsageError
from schoolsync.reports import page
from schoolsync.reports.contents import Report
from schoolsync.roster import findings, values

SUFFIXES = (".html", ".json", ".csv", ".parquet")
_COLUMNS = ("rule", "severity", "file", "line", "column", "message", "hint", "help")
_TEXTS = frozenset(_COLUMNS) - {"line"}


def write(db: duckdb.DuckDBPyConnection, report: Report, path: Path) -> None:
    """Write the report to `path`, where it stands when it is whole. What is there already is replaced.

    Raises UsageError when its ending is none of SUFFIXES, OSError or duckdb.IOException when it cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path.name}: a report ends in {', '.join(SUFFIXES)}.")
    place = path.resolve()
    with TemporaryDirectory(dir=place.parent, prefix=".schoolsync-") as folder:
        part = Path(folder, f"report{place.suffix.lower()}")
        _write(db, report, part)
        part.replace(place)


def _write(db: duckdb.DuckDBPyConnection, report: Report, path: Path) -> None:
    match path.suffix:
        case ".html":
            path.write_text(page.of(report), encoding="utf-8")
        case ".json":
            with path.open("wb") as target:
                write_json(db, report, target)
        case ".csv":
            _write_csv(db, path)
        case _:
            _copy(db, path, {name: f'"{name}"' for name in _COLUMNS}, "FORMAT parquet, COMPRESSION zstd")


def write_json(db: duckdb.DuckDBPyConnection, report: Report, target: BinaryIO) -> None:
    """Write one JSON object; findings are written as they are read, however many there are."""
    head = {
        "format": report.format,
        "why": report.why,
        "verdict": report.verdict,
        "files": {name: {"rows": rows} for name, rows in report.files.items()},
        "counts": {"errors": report.errors, "warnings": report.warnings},
        "causes": [asdict(one) | {"message": one.message, "help": one.help} for one in report.causes],
        "statistics": asdict(report.statistics),
        "against": None if report.comparison is None else asdict(report.comparison),
    }
    encoder = msgspec.json.Encoder()
    target.write(encoder.encode(head)[:-1] + b',"findings":[')
    separator = b"\n"
    for finding in findings.listed(db):
        target.write(separator + encoder.encode(finding))
        separator = b",\n"
    target.write(b"]}\n")
    target.flush()


def _write_csv(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    """For spreadsheets: with a byte-order mark, so that they read UTF-8, and without formulas."""
    columns = {name: values.plain_text(f'"{name}"') if name in _TEXTS else f'"{name}"' for name in _COLUMNS}
    rows = path.with_name("rows.csv")
    _copy(db, rows, columns, "FORMAT csv, HEADER true")
    with path.open("wb") as target, rows.open("rb") as source:
        target.write(codecs.BOM_UTF8)
        shutil.copyfileobj(source, target)


def _copy(db: duckdb.DuckDBPyConnection, path: Path, columns: Mapping[str, str], options: str) -> None:
    chosen = ", ".join(f'{expression} AS "{name}"' for name, expression in columns.items())
    target = str(path).replace("'", "''")
    with findings.told(db) as rows:
        db.execute(f"COPY (SELECT {chosen} FROM ({rows})) TO '{target}' ({options})")  # noqa: S608  # ours
