"""Reading the set of CSV files that make up one roster: which file is which, and which column is which.

What is missing, there twice, unknown or spelled differently becomes a finding. Values are not looked at here, and an
absent file never becomes an empty table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import duckdb

from schoolsync.roster import findings, tables
from schoolsync.sources import csv_files
from schoolsync.sources.columns import Column, File, Table
from schoolsync.sources.csv_files import Header, Text, UnreadableError
from schoolsync.sources.files import SourceFile, opened
from schoolsync.sources.source import CheckOptions

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Wanted(Protocol):
    """What a profile needs of a format's columns."""

    def needed(self, file: File, column: Column) -> bool:
        """Whether the file must have the column."""

    def read(self, file: File, column: Column) -> bool:
        """Whether anything is done with the column's values."""


@dataclass(frozen=True, slots=True)
class CsvSet:
    """The files that could be read, and the data rows of all."""

    tables: Mapping[str, Table]
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file of the set whose header was read."""

    file: File
    source: SourceFile
    text: Text
    head: Header


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Make the empty schemas `roster` and `raw`, whatever an earlier extraction left in them."""
    views = "SELECT schema_name, view_name FROM duckdb_views() WHERE schema_name IN ('roster', 'raw') AND NOT internal"
    for schema, view in db.execute(views).fetchall():
        db.execute(f"DROP VIEW {schema}.{view}")
    for statement in tables.ddl():
        db.execute(statement)
    findings.create(db)
    db.execute("DROP SCHEMA IF EXISTS raw CASCADE")
    db.execute("CREATE SCHEMA raw")
    db.execute(csv_files.REJECTED_TABLE)


def read_set(
    db: duckdb.DuckDBPyConnection,
    files: Sequence[SourceFile],
    known: Sequence[File],
    options: CheckOptions,
    *,
    wanted: Callable[[Mapping[str, frozenset[str]]], Wanted],
    hint: Callable[[File, Column, frozenset[str]], str],
) -> CsvSet:
    """Read the files of the format `known` into the schema `raw`.

    `wanted` is asked once, with the headers of every table that is there; `hint` says more about a missing column.
    """
    with TemporaryDirectory(prefix="schoolsync-", dir=options.scratch) as name:
        scratch = Path(name)
        found = _found(db, opened(db, files, scratch), known, partial=options.partial)
        heads = [head for file in known if file.table in found for head in _headed(db, file, found[file.table])]
        needs = wanted({one.file.table: _spelled(one) for one in heads})
        read: dict[str, Table] = {}
        rows = {source.base: 0 for source in found.values()}
        for one in heads:
            columns = _columns(db, one, needs, hint)
            rows[one.source.base] = max(one.text.lines - one.head.lines, 0)
            table = _read(db, one, columns, needs, scratch, options)
            if table is not None:
                read[one.file.table] = table
                rows[one.source.base] = table.rows
        return CsvSet(read, rows)


def _found(
    db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], known: Sequence[File], *, partial: bool
) -> dict[str, SourceFile]:
    """Which upload is which file of the format.

    An upload container may only be written to, so what was sent by mistake cannot be deleted: a file without a single
    byte takes it back. That goes for strange files and for the second of two; the only file of a known name that is
    empty stays an error.
    """
    names = {file.name.lower(): file for file in known}
    filled = {source.base.strip().lower() for source in files if not source.blank}
    found: dict[str, SourceFile] = {}
    for source in files:
        name = source.base.strip().lower()
        if source.blank and (name not in names or name in filled):
            continue
        file = names.get(source.base.strip().lower())
        if file is None:
            findings.add_file(db, "unknown-file", file=source.base)
        elif file.table in found:
            findings.add_file(db, "double-file", file=source.base)
        else:
            found[file.table] = source
            if source.base not in {file.name, file.name.lower()}:
                findings.add_file(db, "file-spelling", file=source.base, detail=file.name)
    for file in known:
        pair = file.paired is not None and file.paired in found
        if file.table not in found and (file.paired is None or pair) and not partial:
            findings.add_file(db, "missing-file", file=file.name, detail=file.name)
    return found


def _headed(db: duckdb.DuckDBPyConnection, file: File, source: SourceFile) -> list[_Opened]:
    """The file with its header, or nothing when it cannot be read."""
    try:
        text = csv_files.look(source.path)
        if text.problem is not None:
            raise UnreadableError(*text.problem)
        head = csv_files.header(source.path)
        one = _Opened(file, source, text, head)
        _separated(one)
    except UnreadableError as problem:
        findings.add_file(db, problem.rule, file=source.base, detail=problem.detail)
        return []
    if head.typed:
        findings.add_file(db, "type-line", file=source.base)
    return [one]


def _separated(one: _Opened) -> None:
    """Refuse a file whose values are separated by something other than commas."""
    known = {column.header.lower() for column in one.file.columns}
    if any(_folded(cell) in known for cell in one.head.cells):
        return
    for separator, name in _SEPARATORS.items():
        if any(_folded(part) in known for cell in one.head.cells for part in cell.split(separator)):
            raise UnreadableError("wrong-separator", name)


def _folded(cell: str) -> str:
    return cell.strip().strip('"').strip().lower()


def _spelled(one: _Opened) -> frozenset[str]:
    """The headers of the file, in lower case."""
    return frozenset(_folded(cell) for cell in one.head.cells)


def _columns(
    db: duckdb.DuckDBPyConnection, one: _Opened, needs: Wanted, hint: Callable[[File, Column, frozenset[str]], str]
) -> dict[str, int] | None:
    """The place of every column of the format in the file's rows; None when the file does not say what it means."""
    file = one.source.base
    there = _spelled(one)
    places: dict[str, int] = {}
    good = True
    for column in one.file.columns:
        cells = [place for place, cell in enumerate(one.head.cells) if _folded(cell) == column.header.lower()]
        if len(cells) > 1:
            findings.add_file(db, "double-column", column=column.header, file=file)
            good = False
        elif not cells:
            if needs.needed(one.file, column):
                detail = hint(one.file, column, there)
                findings.add_file(db, "missing-column", column=column.header, detail=detail, file=file)
                good = False
        else:
            places[column.name] = cells[0]
            spelled = one.head.cells[cells[0]]
            if spelled != column.header:
                findings.add_file(db, "header-spelling", column=column.header, detail=f"“{spelled}”", file=file)
    if places:  # else the first line is no header, and may be somebody's data
        known = {column.header.lower() for column in one.file.columns} | {name.lower() for name in one.file.ignored}
        for cell in one.head.cells:
            if _folded(cell) and _folded(cell) not in known:
                findings.add_file(db, "unknown-column", detail=f"“{cell.strip()[:64]}”", file=file)
    return places if good else None


def _read(
    db: duckdb.DuckDBPyConnection,
    one: _Opened,
    places: dict[str, int] | None,
    needs: Wanted,
    scratch: Path,
    options: CheckOptions,
) -> Table | None:
    used = {column.name: column for column in one.file.columns if needs.read(one.file, column)}
    columns = {name: place for name, place in (places or {}).items() if name in used}
    if not columns:
        return None
    try:
        rows = csv_files.read(
            db,
            one.source.path,
            one.text,
            one.head,
            table=f"raw.{one.file.table}",
            columns=columns,
            file=one.source.base,
            scratch=scratch,
            max_rows=options.max_rows,
        )
        if rows.count == 0:
            raise UnreadableError("no-rows")
    except UnreadableError as problem:
        findings.add_file(db, problem.rule, file=one.source.base, detail=problem.detail)
        return None
    return Table(
        file=one.file,
        uploaded=one.source.base,
        columns={name: used[name] for name in columns},
        line=rows.line,
        rows=rows.count,
        exact=rows.exact,
        damaged=one.text.damaged,
        blanks=one.text.blanks != one.head.blanks,
        dates=options.policy.date_format if options.policy else "mdy",
    )
