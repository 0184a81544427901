# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""Packages that hold changes alone (OneRoster's delta): with what earlier uploads said they are a whole roster again.

Rows that are kept from earlier uploads stand below the new ones in the same raw table, under lines of their own: a line
below zero says that a row is kept, and still holds the place and the physical line that it had. So one set of checks
and queries serves both, and `filling` and `tell_apart` say in the end which file a row really stands in.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import msgspec

from schoolsync.errors import raise_worlds
from schoolsync.roster import codes, findings
from schoolsync.roster.codes import CodeList
from schoolsync.sources.columns import EARLIER, LINE_BITS, Column, File, Kind, Need, Table, real_line
from schoolsync.sources.formats import Format
from schoolsync.sources.needs import Needs

_STATUS = "lower(row_status)"
_GONE = f"{_STATUS} = 'tobedeleted'"
_KEPT_LINE = -(1 << 62)
_COUNT = f"SELECT count(*), count(row_status), count(*) FILTER ({_GONE}) FROM {{table}}"
_NOTE_GONE = (
    f"INSERT INTO raw.gone SELECT '{{name}}', {{key}}, true FROM {{rows}} WHERE {_GONE} AND {{key}} IS NOT NULL"
)
_WITHOUT_GONE = f"""
CREATE TABLE raw.rebuilt AS SELECT {{columns}}, line FROM {{rows}}
    WHERE NOT coalesce({_GONE} AND {{key}} IS NOT NULL, false)
"""
_STALE = """
SELECT one.line FROM {rows} AS one JOIN {kept} AS old ON old.{key} = one.{key}
WHERE try_cast(one.modified AS TIMESTAMPTZ) < try_cast(old.modified AS TIMESTAMPTZ)
"""
_KEPT = """
CREATE OR REPLACE TABLE raw.kept AS
    SELECT {columns}, {first} + (file_row_number << {bits}) + line AS line
    FROM read_parquet($path, file_row_number = true)
"""
_TOGETHER = """
CREATE TABLE raw.rebuilt AS
    SELECT {columns}, line FROM (
        SELECT {kept}, line FROM raw.kept AS old
            WHERE NOT EXISTS (SELECT 1 FROM raw.fresh AS one WHERE one.{key} = old.{key})
            AND NOT EXISTS (SELECT 1 FROM raw.gone WHERE of = '{name}' AND id = old.{key} AND now)
        UNION ALL SELECT {new}, line FROM raw.fresh
    )
"""
_ORPHANS = """
SELECT line FROM {table} WHERE line < 0 AND {column} IN (SELECT id FROM raw.gone WHERE of = '{target}')
    AND {column} NOT IN (SELECT {key} FROM {other} WHERE {key} IS NOT NULL)
"""


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """What is noted beside the records that are kept of a roster."""

    format: str
    whole: bool  # every row of the whole roster that they began with could be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What a manifest says of the files beside it."""

    modes: Mapping[str, str]  # table -> bulk, delta or absent; nothing of files that it does not name
    changes: bool  # it holds changes alone, in a file at least

    def promises(self, file: File) -> bool:
        """Whether the manifest says that the file is there."""
        return self.modes.get(file.table) in {"bulk", "delta"}

    def holds_changes(self, table: str) -> bool:
        """Whether the rows of a file are changes."""
        return self.modes.get(table) == "delta"


NO_PACKAGE = Package(modes={}, changes=False)


def package(
    db: duckdb.DuckDBPyConnection, form: Format, said: Mapping[str, str], names: Collection[str], manifest: str
) -> Package:
    """What the manifest `said` of the files, whose `names` are given in lower case; where it is wrong is reported."""
    if form.manifest is None or not said:
        return NO_PACKAGE
    modes: dict[str, str] = {}
    for file in form.files:
        stem = file.name.lower().removesuffix(".csv")
        word = said.get(f"file.{stem}", "").lower()
        there = file.name.lower() in names
        if word not in {"", "absent", "bulk", "delta"}:
            detail = f"{file.name} is “{word[:20]}”, which is neither absent, bulk nor delta"
            findings.add_file(db, "manifest-differs", file=manifest, detail=detail)
        elif word == "absent" and there:
            detail = f"{file.name} is absent, and it is there"
            findings.add_file(db, "manifest-differs", file=manifest, detail=detail)
        elif word:
            modes[file.table] = word
    data = {file.name.lower() for file in form.files if file.table != form.manifest}
    nothing = not (data & set(names)) and bool(modes) and set(modes.values()) == {"absent"}
    return Package(modes=modes, changes="delta" in modes.values() or nothing)


def completed(
    db: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Table],
    form: Format,
    given: Package,
    needs: Needs,
    *,
    earlier: Path | None,
    keep: Path | None,
    lists: Mapping[str, CodeList],
) -> tuple[dict[str, Table], bool]:
    """The raw tables with rows that are marked as deleted taken away, and with what is kept from uploads before.

    `earlier` are the records of the last roster, `keep` is where those of this one go. Whether the result is a whole
    roster comes second: changes without a roster that they belong to are none.
    """
    if not form.changes:
        return dict(tables), True
    db.execute("CREATE OR REPLACE TABLE raw.gone (of VARCHAR, id VARCHAR, now BOOLEAN)")
    made = {name: _without_gone(db, table, given) for name, table in tables.items()}
    whole = True
    if given.changes:
        problem = _problem(form, earlier)
        if problem is not None or earlier is None:
            findings.add_file(db, "delta-without-base", file=_manifest(form), detail=problem)
            return made, False
        made = _together(db, made, form, given, needs, earlier)
        whole = msgspec.json.decode((earlier / "records.json").read_bytes(), type=Records).whole
    if keep is not None:
        nobody = None if needs.names("contacts") else _nobody(made, lists["roles"])
        _keep(db, made, form, keep, whole=whole and (given.changes or not _rejected(db)), nobody=nobody)
    if given.changes:
        _set_aside(db, made, form)
    return made, True


def tell_apart(db: duckdb.DuckDBPyConnection) -> None:
    """Findings and left-out records that are about kept rows say so, and name the line that the row had."""
    for table in ("findings", "left_out"):
        db.execute(f"UPDATE roster.{table} SET file = file || '{EARLIER}', line = {real_line('line')} WHERE line < 0")
    db.execute(
        f"UPDATE roster.findings SET cause_file = cause_file || '{EARLIER}', cause_line = {real_line('cause_line')} "
        "WHERE cause_line < 0"
    )


def _manifest(form: Format) -> str:
    return next(file.name for file in form.files if file.table == form.manifest)


def _rejected(db: duckdb.DuckDBPyConnection) -> bool:
    return db.execute("SELECT 1 FROM raw.rejected LIMIT 1").fetchone() is not None


def _key(file: File) -> str:
    """The column that tells the rows of a file apart."""
    return file.keys[0].columns[0]


def _columns(table: Table) -> list[str]:
    return [*table.columns, *table.extras]


# --- rows that are marked -------------------------------------------------------------------------------------------


def _without_gone(db: duckdb.DuckDBPyConnection, table: Table, given: Package) -> Table:
    """Report what is odd about the marks, and take away the rows that are marked as deleted."""
    if "row_status" not in table.columns:
        return table
    counted = db.execute(_COUNT.format(table=table.raw)).fetchone()
    assert counted is not None
    rows, marked, gone = counted
    changes = given.holds_changes(table.file.table)
    column = table.columns["row_status"].header
    if marked < rows and (marked or changes):
        missing = f"SELECT line FROM {table.lined} WHERE row_status IS NULL"
        findings.add_rows(db, "status-missing", file=table.uploaded, column=column, rows=missing)
    elif marked and not changes and not gone:
        findings.add_file(db, "status-in-bulk", file=table.uploaded, column=column)
    if gone and not changes:
        rows_gone = f"SELECT line FROM {table.lined} WHERE {_GONE}"
        findings.add_rows(db, "deleted-in-bulk", file=table.uploaded, column=column, rows=rows_gone)
    if changes:
        detail = f"{marked - gone:,} new or changed, {gone:,} deleted"
        findings.add_file(db, "delta-file", file=table.uploaded, detail=detail)
    if not gone:
        return table
    key = _key(table.file)
    if key not in table.columns:
        return table
    db.execute(_NOTE_GONE.format(name=table.file.table, key=key, rows=table.raw))
    columns = ", ".join(_columns(table))
    db.execute(_WITHOUT_GONE.format(columns=columns, rows=table.lined, key=key))
    return _rebuilt(db, table)


def _rebuilt(db: duckdb.DuckDBPyConnection, table: Table) -> Table:
    db.execute(f"DROP TABLE IF EXISTS {table.stored}")
    db.execute(f"ALTER TABLE raw.rebuilt RENAME TO {table.file.table}")
    return replace(table, line="line", void=())


# --- rows that are kept ---------------------------------------------------------------------------------------------


def _problem(form: Format, earlier: Path | None) -> str | None:
    """Why changes cannot be put together with what is kept; None: they can."""
    if earlier is None:
        return "none is known, or a package since then was refused"
    try:
        known = msgspec.json.decode((earlier / "records.json").read_bytes(), type=Records)
    except (OSError, msgspec.MsgspecError) as problem:
        raise_worlds(problem)
        return "what was kept of the last one cannot be read"
    if known.format != form.id:
        return f"the last one was {known.format}"
    return None if known.whole else "the last one had rows that could not be read"


def _together(
    db: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Table],
    form: Format,
    given: Package,
    needs: Needs,
    earlier: Path,
) -> dict[str, Table]:
    db.execute("INSERT INTO raw.gone SELECT of, id, false FROM read_parquet($1)", [str(earlier / "gone.parquet")])
    made = dict(tables)
    for file in form.files:
        path = earlier / f"{file.table}.parquet"
        if file.table == form.manifest or not path.is_file() or given.modes.get(file.table) == "bulk":
            continue
        there = tables.get(file.table)
        kept = _kept_columns(db, file, path, needs)
        if _key(file) not in kept:
            continue
        names = ", ".join(f'"{stored}" AS {ours}' for ours, stored in _numbered(kept, there).items())
        db.execute(_KEPT.format(columns=names, first=_KEPT_LINE, bits=LINE_BITS), {"path": str(path)})
        made[file.table] = _joined(db, file, there, kept)
    db.execute("DROP TABLE IF EXISTS raw.kept")
    return made


def _kept_columns(db: duckdb.DuckDBPyConnection, file: File, path: Path, needs: Needs) -> dict[str, Column | None]:
    """The stored columns that are still read: ours by name, those of anybody's own (None) by header."""
    stored = [row[0] for row in db.execute("SELECT name FROM parquet_schema($1)", [str(path)]).fetchall()]
    known = {column.name: column for column in file.columns if column.name and needs.read(file, column)}
    found: dict[str, Column | None] = {name: known[name] for name in stored if name in known}
    found |= {name: None for name in stored if name.startswith("metadata.") and needs.allows(name)}
    return found


def _numbered(kept: Mapping[str, Column | None], there: Table | None) -> dict[str, str]:
    """What the stored columns are called in `raw`: those of anybody's own have numbers there."""
    names = {} if there is None else {header: name for name, header in there.extras.items()}
    for word, column in kept.items():
        if column is None and word not in names:
            names[word] = f"kept{len(names)}"
    return {word if column is not None else names[word]: word for word, column in kept.items()}


def _joined(db: duckdb.DuckDBPyConnection, file: File, there: Table | None, kept: Mapping[str, Column | None]) -> Table:
    """One table of what is kept and what is new; a row of the upload counts more than a kept one of its id."""
    names = _numbered(kept, there)
    columns = {name: column for name, column in kept.items() if column is not None}
    extras = {ours: stored for ours, stored in names.items() if kept[stored] is None}
    fresh = {} if there is None else dict.fromkeys(_columns(there))
    every = [*dict.fromkeys([*fresh, *names])]
    key = _key(file)
    if there is None:
        made = replace(_EMPTY, file=file, uploaded=file.name, columns=columns, extras=extras)
        db.execute(f"CREATE OR REPLACE VIEW raw.fresh AS SELECT {key}, line FROM raw.kept LIMIT 0")
    else:
        made = replace(there, columns={**columns, **there.columns}, extras={**extras, **there.extras})
        stale = _stale(db, there, kept)
        db.execute(
            f"CREATE OR REPLACE VIEW raw.fresh AS SELECT * FROM {there.lined} AS one WHERE line NOT IN ({stale})"
        )
    db.execute(
        _TOGETHER.format(
            columns=", ".join(every),
            kept=", ".join(name if name in names else f"NULL AS {name}" for name in every),
            new=", ".join(name if name in {*fresh, key} else f"NULL AS {name}" for name in every),
            key=key,
            name=file.table,
        )
    )
    db.execute("DROP VIEW raw.fresh")
    return replace(_rebuilt(db, made), earlier=True)


_EMPTY = Table(
    file=File(name="", table="", columns=()),
    uploaded="",
    columns={},
    line="line",
    rows=0,
    exact=True,
    damaged=False,
    blanks=False,
    dates="iso",
)


def _stale(db: duckdb.DuckDBPyConnection, there: Table, kept: Mapping[str, Column | None]) -> str:
    """The lines of rows that are older than what is kept, as a query; they change nothing, and it is said."""
    if "modified" not in kept or "modified" not in there.columns:
        return "SELECT NULL::BIGINT WHERE false"
    rows = _STALE.format(rows=there.lined, kept="raw.kept", key=_key(there.file))
    db.execute(f"CREATE OR REPLACE TABLE raw.stale AS {rows}")
    findings.add_rows(
        db, "stale-row", file=there.uploaded, column=there.columns["modified"].header, rows="FROM raw.stale"
    )
    return "SELECT line FROM raw.stale"


def _set_aside(db: duckdb.DuckDBPyConnection, tables: Mapping[str, Table], form: Format) -> None:
    """Kept rows that hang on a record which a package took away do not count as long as that is gone."""
    aside: dict[str, int] = {}
    for _ in form.files:
        before = sum(aside.values())
        for name, table in tables.items():
            for target, column in _hanging(table, tables):
                query = _ORPHANS.format(
                    table=table.raw, column=column, target=target.file.table, key=_key(target.file), other=target.raw
                )
                db.execute(f"CREATE OR REPLACE TABLE raw.aside AS {query}")
                counted = db.execute("SELECT count(*) FROM raw.aside").fetchone()
                if counted is None or not counted[0]:
                    continue
                here = f"FROM {table.stored} WHERE line IN (SELECT line FROM raw.aside)"
                db.execute(f"INSERT INTO raw.gone SELECT '{name}', {_key(table.file)}, true {here}")
                db.execute(f"DELETE {here}")
                aside[name] = aside.get(name, 0) + counted[0]
        if sum(aside.values()) == before:
            break
    for name, count in aside.items():
        findings.add_file(db, "kept-orphan", file=tables[name].uploaded, detail=f"{count:,}")


def _hanging(table: Table, tables: Mapping[str, Table]) -> Sequence[tuple[Table, str]]:
    """What a row of the table cannot be without: the table of that, and the column that names it."""
    if not table.earlier:
        return []
    return [
        (other, name)
        for name, column in table.columns.items()
        if column.need is Need.ALWAYS and column.kind is Kind.ID and (other := tables.get(column.refers or ""))
    ]


_PRIVATE = frozenset(
    {*("username", "given_name", "middle_name", "surname", "email", "sms", "phone", "match_id", "number", "user_ids")}
    | {*("master_id", "preferred_given_name", "preferred_middle_name", "preferred_surname", "pronouns")}
)
"""What is not kept of people who are guardians alone, or nobody, unless the profile lets their contacts in."""

_FILLED = {
    **dict.fromkeys(("username", "given_name", "surname"), "source_id"),
    **{name: f"CASE WHEN {name} IS NOT NULL THEN source_id END" for name in ("number", "match_id")},
    "email": "CASE WHEN email IS NOT NULL THEN hash(source_id) || '@guardian.invalid' END",
}
"""Of those, what a format or a profile may want to be filled, with what stands there instead."""


def _nobody(tables: Mapping[str, Table], roles: CodeList) -> str:
    """The condition that a row of the file of users is about somebody who has no role but that of a guardian."""
    said = next((one for name in ("roles", "users") if (one := tables.get(name)) and "role" in one.columns), None)
    if said is None:
        return "true"
    key = "user_id" if "user_id" in said.columns else "source_id"
    guardians = ", ".join(f"'{role}'" for role in codes.GUARDIANS)
    somebody = f"SELECT {key} FROM {said.raw} WHERE {codes.normal(roles, 'role')} NOT IN ({guardians})"
    return f"source_id NOT IN ({somebody} AND {key} IS NOT NULL)"


def _keep(
    db: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Table],
    form: Format,
    folder: Path,
    *,
    whole: bool,
    nobody: str | None,
) -> None:
    """Write the records down, for packages of changes to come. Passwords are not among them.

    Of people for whom `nobody` holds no more than the id is kept; it stands for what the format wants to be filled.
    """
    aside = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, mode=0o700)
    for name, table in tables.items():
        if name == form.manifest:
            continue
        stored = {
            ours: ours
            for ours, column in table.columns.items()
            if column.kind is not Kind.PASSWORD and ours != "row_status"
        } | {header: ours for ours, header in table.extras.items()}
        if nobody is not None and name == "users":
            for word in stored.keys() & (_PRIVATE | set(table.extras.values())):
                stored[word] = f"CASE WHEN {nobody} THEN {_FILLED.get(word, 'NULL')} ELSE {stored[word]} END"
        columns = ", ".join(f'{expression} AS "{word}"' for word, expression in stored.items())
        path = str(aside / f"{name}.parquet").replace("'", "''")
        db.execute(
            f"COPY (SELECT {columns}, {real_line('line')} AS line FROM {table.lined} AS one ORDER BY one.line) "
            f"TO '{path}' (FORMAT parquet)"
        )
    gone = str(aside / "gone.parquet").replace("'", "''")
    db.execute(f"COPY (SELECT DISTINCT of, id FROM raw.gone) TO '{gone}' (FORMAT parquet)")
    (aside / "records.json").write_bytes(msgspec.json.encode(Records(format=form.id, whole=whole)))
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
