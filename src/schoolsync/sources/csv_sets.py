"""Reading the set of CSV files that make up one roster: which file is which, and which column is which.

What is missing, there twice, unknown or spelled differently becomes a finding. Values are not looked at here, and an
absent file never becomes an empty table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from schoolsync.errors import raise_worlds
from schoolsync.roster import findings, tables
from schoolsync.sources import cells, changes, csv_files, detection, encodings, first_look
from schoolsync.sources import needs as needs_
from schoolsync.sources.changes import Package
from schoolsync.sources.columns import LARGE, File, Need, Table
from schoolsync.sources.csv_files import Header, UnreadableError
from schoolsync.sources.detection import Detected
from schoolsync.sources.files import SourceFile, opened
from schoolsync.sources.first_look import Text
from schoolsync.sources.formats import Format
from schoolsync.sources.needs import Needs
from schoolsync.sources.source import CheckOptions


@dataclass(frozen=True, slots=True)
class CsvSet:
    """The files that could be read, and the data rows of all."""

    detected: Detected
    needs: Needs
    package: Package
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
    db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], known: Sequence[Format], options: CheckOptions
) -> CsvSet:
    """Read the files of one of the formats `known` into the schema `raw`."""
    with TemporaryDirectory(prefix="schoolsync-", dir=options.scratch) as name:
        scratch = Path(name)
        there = _readable(db, opened(db, files, scratch, options.limits), scratch, options.limits.file_bytes)
        said, manifest = _manifest(there)
        detected = _detected(there, known, options, said)
        form = detected.format
        named = changes.package(db, form, said, {one.base.strip().lower() for one in there}, manifest)
        found = _found(db, there, form, named, partial=options.partial or _unpacked_in_part(db))
        heads = [
            head
            for file in form.files
            if file.table in found
            for head in _headed(db, file, found[file.table], scratch, options)
        ]
        headers = {one.file.table: _spelled(one) for one in heads}
        needs = Needs(options.policy, needs_.creates(options.policy, form.names, headers))
        read: dict[str, Table] = {}
        rows = {source.base: 0 for source in found.values()}
        lines = {one.source.base: max(one.text.lines - one.head.lines, 0) for one in heads}
        done = 0
        for one in heads:
            options.told(done, sum(lines.values()))
            done += lines[one.source.base]
            columns = _columns(db, one, needs, form)
            rows[one.source.base] = lines[one.source.base]
            table = _read(db, one, columns, needs, scratch, options, form)
            if table is not None:
                read[one.file.table] = table
                rows[one.source.base] = table.rows
        options.told(done, done)
        return CsvSet(detected, needs, named, read, rows)


def _unpacked_in_part(db: duckdb.DuckDBPyConnection) -> bool:
    """Whether files may be in an archive that could not be unpacked: then none is missing."""
    rules = "'unreadable-archive', 'archive-too-large', 'hostile-archive', 'nested-archive'"
    return db.execute(f"SELECT 1 FROM roster.findings WHERE rule IN ({rules}) LIMIT 1").fetchone() is not None  # noqa: S608


def _manifest(there: Sequence[SourceFile]) -> tuple[Mapping[str, str], str]:
    """What a manifest says, if there is one, and the name it came under."""
    found = next((source for source in there if source.base.strip().lower() == detection.MANIFEST), None)
    if found is None:
        return {}, detection.MANIFEST
    return detection.manifest_of(lambda: csv_files.first_rows(found.path)), found.base


def _detected(
    there: Sequence[SourceFile], known: Sequence[Format], options: CheckOptions, said: Mapping[str, str]
) -> Detected:
    """The format that was asked for, or the one that the files have."""
    forced = next((one for one in known if one.id == options.format), None)
    if forced is not None:
        return Detected(forced, "it was asked for")
    headers = {source.base.strip().lower(): csv_files.words(source.path) for source in there}
    return detection.detect(headers, said, known)


def _found(
    db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], form: Format, named: Package, *, partial: bool
) -> dict[str, SourceFile]:
    """Which upload is which file of the format.

    An upload container may only be written to, so what was sent by mistake cannot be deleted: a file without a single
    byte takes it back. That goes for strange files and for the second of two; the only file of a known name that is
    empty stays an error.
    """
    names = {file.name.lower(): file for file in form.files}
    filled = {source.base.strip().lower() for source in files if not source.blank}
    found: dict[str, SourceFile] = {}
    for source in files:
        name = source.base.strip().lower()
        if source.blank and (name not in names or name in filled):
            continue
        file = names.get(name)
        if file is None:
            rule = "file-not-read" if name in form.unread else "unknown-file"
            findings.add_file(db, rule, file=source.base)
        elif file.table in found:
            findings.add_file(db, "double-file", file=source.base)
        else:
            found[file.table] = source
            if source.base not in {file.name, file.name.lower()}:
                findings.add_file(db, "file-spelling", file=source.base, detail=file.name)
    for file in form.files:
        missed = (file.required and not named.changes) if file.paired is None else file.paired in found
        missed = missed or named.promises(file)
        if file.table not in found and missed and not partial:
            findings.add_file(db, "missing-file", file=file.name, detail=file.name)
    return found


def _readable(db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], scratch: Path, most: int) -> list[SourceFile]:
    """The files with those in UTF-16 copied as UTF-8, of at most so many bytes."""
    found = []
    for number, source in enumerate(files):
        codec = encodings.wide(encodings.start_of(source.path))
        copy = scratch / f"recoded{number}.csv"
        small = codec is not None and source.path.stat().st_size <= most
        if codec is not None and small and encodings.recoded(source.path, copy, codec):
            findings.add_file(db, "other-encoding", file=source.base, detail="UTF-16")
            source = SourceFile(source.name, copy)
        found.append(source)
    return found


def _headed(
    db: duckdb.DuckDBPyConnection, file: File, source: SourceFile, scratch: Path, options: CheckOptions
) -> list[_Opened]:
    """The file with its header, or nothing when it cannot be read."""
    limits = options.limits
    try:
        if source.path.stat().st_size > limits.file_bytes:
            raise UnreadableError("file-too-large", f"{limits.file_bytes:,} bytes")
        text = first_look.look(source.path)
        copy = scratch / f"{file.table}.windows.csv"
        windows = text.problem is None and text.invalid and encodings.is_windows(source.path)
        if windows and encodings.recoded(source.path, copy, "cp1252"):
            findings.add_file(db, "other-encoding", file=source.base, detail="Windows-1252")
            source = SourceFile(source.name, copy)
            text = first_look.look(copy)
        if text.problem is not None:
            raise UnreadableError(*text.problem)
        head = csv_files.header(source.path, most=limits.columns)
    except UnreadableError as problem:
        findings.add_file(db, problem.rule, file=source.base, detail=problem.detail)
        return []
    except OSError as problem:
        raise_worlds(problem)
        findings.add_file(
            db, "unreadable-file", file=source.base, detail=problem.strerror or "the disk does not answer"
        )
        return []
    if head.typed:
        findings.add_file(db, "type-line", file=source.base)
    if head.announced:
        findings.add_file(db, "separator-line", file=source.base)
    if text.marked:
        findings.add_file(db, "byte-order-mark", file=source.base)
    if head.separator != ",":
        findings.add_file(db, "wrong-separator", file=source.base, detail=csv_files.SEPARATORS[head.separator])
    return [_Opened(file, source, text, head)]


def _folded(cell: str) -> str:
    return cell.strip().strip('"').strip().lower()


def _spelled(one: _Opened) -> frozenset[str]:
    """The headers of the file, in lower case."""
    return frozenset(_folded(cell) for cell in one.head.cells)


def _columns(db: duckdb.DuckDBPyConnection, one: _Opened, needs: Needs, form: Format) -> dict[str, int] | None:
    """The place of every column of the format in the file's rows; None when the file does not say what it means.

    Columns of anybody's own (`metadata.…`) come last, under their headers in lower case.
    """
    file = one.source.base
    there = _spelled(one)
    places: dict[str, int] = {}
    good = True
    known = {name.lower() for name in one.file.ignored}
    for column in one.file.columns:
        spellings = [column.header.lower()]
        if column.header.lower() not in there:
            spellings += [alias.lower() for alias in column.aliases]
        known |= {*spellings}
        cells = [place for place, cell in enumerate(one.head.cells) if _folded(cell) in spellings]
        if len(cells) > 1:
            findings.add_file(db, "double-column", column=column.header, file=file)
            good = False
        elif not cells:
            if needs.needed(one.file, column):
                detail = form.hint(one.file, column, there)
                findings.add_file(db, "missing-column", column=column.header, detail=detail, file=file)
                good = False
            elif column.need is Need.EXPECTED:
                findings.add_file(db, "expected-column", column=column.header, file=file)
        else:
            places[column.name or column.header] = cells[0]
            spelled = one.head.cells[cells[0]]
            if _folded(spelled) != column.header.lower():
                findings.add_file(
                    db, "header-alias", column=column.header, detail=f"“{spelled.strip()[:64]}”", file=file
                )
            elif spelled != column.header:
                findings.add_file(db, "header-spelling", column=column.header, detail=f"“{spelled}”", file=file)
    if not places:  # the first line is no header, and may be somebody's data
        return None if not good else {}
    for place, cell in enumerate(one.head.cells):
        word = _folded(cell)
        if one.file.extensions and word.startswith("metadata."):
            if word in places:
                findings.add_file(db, "double-column", column=cell.strip()[:64], file=file)
                good = False
            elif needs.allows(word):
                places[word] = place
        elif word and word not in known:
            findings.add_file(db, "unknown-column", detail=f"“{cell.strip()[:64]}”", file=file)
    return places if good else None


def _read(
    db: duckdb.DuckDBPyConnection,
    one: _Opened,
    places: dict[str, int] | None,
    needs: Needs,
    scratch: Path,
    options: CheckOptions,
    form: Format,
) -> Table | None:
    used = {column.name: column for column in one.file.columns if needs.read(one.file, column)}
    extras = {f"extra{number}": word for number, word in enumerate(places or {}) if word.startswith("metadata.")}
    columns = {name: place for name, place in (places or {}).items() if name in used}
    if not columns:  # of a sensitive file that is not allowed, extension columns are not read either
        return None
    columns |= {name: (places or {})[word] for name, word in extras.items()}
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
    except UnreadableError as problem:
        findings.add_file(db, problem.rule, file=one.source.base, detail=problem.detail)
        return None
    if rows.count == rows.blank:
        rule = "no-rows" if one.file.required else "optional-file-empty"
        findings.add_file(db, rule, file=one.source.base)
        return None
    return Table(
        file=one.file,
        uploaded=one.source.base,
        columns={name: used[name] for name in columns if name in used},
        line=rows.line,
        rows=rows.count,
        exact=rows.exact,
        damaged=one.text.damaged,
        blanks=one.text.blanks != one.head.blanks,
        dates=form.dates or (options.policy.date_format if options.policy else "mdy"),
        extras=extras,
        void=_not_stored(db, one.file, columns, rows),
    )


def _not_stored(
    db: duckdb.DuckDBPyConnection, file: File, columns: Mapping[str, int], rows: csv_files.Rows
) -> tuple[str, ...]:
    """Give up the columns without any value, of a large table: they would take as much memory as short ones do."""
    if rows.count < LARGE:
        return ()
    void = cells.unfilled(db, f"raw.{file.table}", list(columns))
    if len(void) == len(columns):
        return ()
    for name in void:
        db.execute(f"ALTER TABLE raw.{file.table} DROP COLUMN {name}")
    return void
