"""Checking the values of one raw table, column by column.

One scan counts what is wrong in every column; only what was found is looked at again, to say in which lines. Optional
values that cannot be used are emptied, everything else stays as it was given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from schoolsync.plan.policy import Policy
from schoolsync.roster import findings, values
from schoolsync.roster.codes import CodeList, is_known, parts
from schoolsync.sources.columns import Column, Kind, Need, Table

_COUNT = "SELECT {counts} FROM {table}"
_FIRST_FILLED = "SELECT {counts} FROM (FROM {table} LIMIT 2048)"
_FILLED = "SELECT count({column}) FROM {table}"
_WHERE = "SELECT line, {column} AS value FROM {table} WHERE {test}"
_REBUILD = "CREATE TABLE raw.rebuilt AS SELECT {columns}, line FROM {table} WHERE NOT ({blank})"
_TIDY = "(SELECT {columns}, line FROM {table})"
# The column with the first day of what has its last in the other.
_STARTS = {"term_end": "term_start", "end_date": "begin_date", "last_date": "begin_date"}
_LONG = 100_000  # rows from which a scan costs more than a statement
_MISSING = {"required-value", "expected-value"}  # what a column without any value can break
_EMPTY = "UPDATE {table} SET {column} = NULL WHERE {test}"


@dataclass(frozen=True, slots=True)
class _Test:
    """A rule, the column it is about, and the SQL that tells whether a row breaks it."""

    rule: str
    column: Column
    broken: str
    detail: str = "NULL"
    emptied: bool = False  # the value is left out, the record is kept


def clean(db: duckdb.DuckDBPyConnection, table: Table, *, most: int) -> Table:
    """Take off outer blanks and line breaks, and rows without any value; returns the table as it is then.

    `most` characters are the longest that a value may have.
    """
    every = (*table.columns, *table.extras)
    blank = " AND ".join(f"{name} IS NULL" for name in every)
    tests = list(_untidy(table, most, blanks=_has_outer_blanks(db, table)))
    counts = (*_counted(db, table, [test.broken for test in tests]), _blank_rows(db, table, blank))
    if not any(counts):
        return table
    for test, count in zip(tests, counts, strict=False):
        if count:
            _add(db, table, test)
    tidied_columns = [f"{_tidy(column, name)} AS {name}" for name, column in table.columns.items()]
    tidied_columns += [f"{values.without_outer_blanks(_flat(name))} AS {name}" for name in table.extras]
    tidy = ", ".join(tidied_columns)
    tidied = _TIDY.format(columns=tidy, table=table.lined)
    rows = _WHERE.format(column="NULL", table=tidied, test=blank)
    findings.add_rows(db, "blank-row", file=table.uploaded, rows=rows)
    made = db.execute(_REBUILD.format(columns=", ".join(every), table=tidied, blank=blank)).fetchone()
    if made == (0,):
        findings.add_file(db, "no-rows", file=table.uploaded)
    db.execute(f"DROP TABLE {table.stored}")
    db.execute(f"ALTER TABLE raw.rebuilt RENAME TO {table.file.table}")
    return replace(table, line="line", void=())


def _blank_rows(db: duckdb.DuckDBPyConnection, table: Table, blank: str) -> int:
    """How many rows have no value at all: all columns are read only if one that is always filled has gaps."""
    always = next((name for name, column in table.columns.items() if column.need is Need.ALWAYS), None)
    if always is not None and _counted(db, table, [f"{always} IS NULL"]) == (0,):
        return 0
    return _counted(db, table, [blank])[0]


def _has_outer_blanks(db: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Whether any value of any column begins or ends with a blank: one pattern over whole rows tells."""
    names = [name for name, column in table.columns.items() if not _secret(column) and name not in table.void]
    if not table.blanks or not names:
        return False
    # No value holds the separator: control characters have been refused.
    return _counted(db, table, [values.has_outer_blanks(f"concat_ws(chr(31), {', '.join(names)})", "\\x1f")])[0] > 0


def _untidy(table: Table, most: int, *, blanks: bool) -> Iterator[_Test]:
    for name, column in table.columns.items():
        if blanks and not _secret(column):
            yield _Test("outer-blanks", column, values.has_outer_blanks(name))
        if column.kind in {Kind.IDS, Kind.CODES}:  # the others are shorter anyway, and are told so
            yield _too_long(column, name, most)
        if not table.exact:
            yield _Test("line-break", column, f"contains({name}, chr(10))")
        if table.damaged:
            yield _Test("damaged-text", column, f"contains({name}, chr(65533))")
    for name, header in table.extras.items():
        yield _too_long(Column(header, name), name, most)


def _too_long(column: Column, name: str, most: int) -> _Test:
    # Bytes are known without reading the value, characters have to be counted.
    return _Test("cell-too-long", column, f"strlen({name}) > {most} AND length({name}) > {most}", f"'{most:,}'")


def _secret(column: Column) -> bool:
    return column.kind is Kind.PASSWORD


def _tidy(column: Column, name: str) -> str:
    return _flat(name) if _secret(column) else values.without_outer_blanks(_flat(name))


def _flat(name: str) -> str:
    return f"regexp_replace({name}, '\\n+', ' ', 'g')"


def check(
    db: duckdb.DuckDBPyConnection,
    table: Table,
    *,
    required: Collection[str],
    policy: Policy | None,
    codes: Mapping[str, CodeList],
) -> None:
    """Report every value that is missing or has the wrong shape, and empty those that are left out."""
    tests = [
        test
        for name, column in table.columns.items()
        for test in _tests(table, column, required=name in required, policy=policy, codes=codes)
    ]
    empty = _empty(db, table)
    tests = [test for test in tests if test.rule in _MISSING or test.column.name not in empty]
    counts = _counted(db, table, [test.broken for test in tests])
    broken = [test for test, count in zip(tests, counts, strict=True) if count]
    for test in broken:
        _add(db, table, test)
    for test in broken:
        if test.emptied:
            db.execute(_EMPTY.format(table=table.stored, column=test.column.name, test=test.broken))


def check_filled(db: duckdb.DuckDBPyConnection, table: Table, column: Column) -> None:
    """Report an optional column that the profile asks for and that has no value in any row."""
    if column.name not in table.columns or not _counted(db, table, [f"{column.name} IS NOT NULL"])[0]:
        findings.add_file(db, "empty-column", file=table.uploaded, column=column.header)


def _tests(
    table: Table, column: Column, *, required: bool, policy: Policy | None, codes: Mapping[str, CodeList]
) -> Iterator[_Test]:
    name = column.name
    if required:
        # Passwords keep their blanks, but nothing else is no password.
        yield _Test(
            "required-value", column, f"nullif(trim({name}), '') IS NULL" if _secret(column) else f"{name} IS NULL"
        )
    elif column.need is Need.EXPECTED:
        yield _Test("expected-value", column, f"{name} IS NULL")
    match column.kind:
        case Kind.ID if name != "source_id" or table.file.records == "enrollments":
            return  # it has to be in the file it refers to, and is checked there
        case Kind.ID:
            yield _Test("blank-in-id", column, values.has_blank(name))
        case Kind.DATE:
            form = table.dates
            parsed = values.date(name, form)
            shape = values.shape("found.value")
            yield _Test("invalid-date", column, f"{name} IS NOT NULL AND ({parsed}) IS NULL", shape)
            start = _STARTS.get(name, "")
            if start in table.columns:
                yield _Test("end-before-start", column, f"({parsed}) < ({values.date(start, form)})")
            return
        case Kind.DAY:
            parsed = values.date(name, table.dates)
            shape = values.shape("found.value")
            yield _Test("optional-date", column, f"{name} IS NOT NULL AND ({parsed}) IS NULL", shape, emptied=True)
            start = _STARTS.get(name, "")
            if start in table.columns:
                yield _Test("end-before-start", column, f"({parsed}) < ({values.date(start, table.dates)})")
            return
        case Kind.CODE:
            known = is_known(codes[column.codes or ""], name)
            rule = "unknown-code" if required else "optional-code"
            yield _Test(rule, column, f"NOT {known}", values.named("found.value"), emptied=not required)
            return
        case Kind.CODES:
            known = is_known(codes[column.codes or ""], "x")
            yield _Test(
                "optional-codes", column, f"NOT coalesce(list_bool_and([{known} FOR x IN {parts(name)}]), true)"
            )
            return
        case Kind.BOOLEAN:
            yield _Test("invalid-boolean", column, f"NOT {values.is_boolean(name)}", emptied=True)
            return
        case Kind.SCHOOL_YEAR:
            yield _Test("invalid-school-year", column, f"NOT {values.is_school_year(name)}", emptied=not required)
            return
        case Kind.MOMENT | Kind.IDS:
            return
        case Kind.USERNAME:
            domains = policy.domains.items() if policy else ()
            domain = next((added for role, added in domains if role == table.file.role), "")
            problem = values.username_problem(name, domain=domain)
            detail = values.username_problem("found.value", domain=domain)
            yield _Test("invalid-username", column, f"({problem}) IS NOT NULL", detail)
        case Kind.PASSWORD:
            yield _Test("weak-password", column, f"trim({name}) <> '' AND NOT {values.is_password(name)}")
            return
        case Kind.MAIL if required:
            yield _Test("invalid-mail", column, f"NOT {values.is_mail(name)}")
        case Kind.MAIL:
            yield _Test("optional-mail", column, f"NOT {values.is_mail(name)}", emptied=True)
        case Kind.YEAR:
            yield _Test("invalid-year", column, f"NOT {values.is_year(name)}", emptied=True)
            return
        case Kind.GRADE:
            yield _Test("unknown-grade", column, f"NOT {values.is_grade(name)}")
        case Kind.RELATIONSHIP:
            yield _Test("unknown-relationship", column, f"NOT {values.is_relationship(name)}")
            return
        case _:
            pass
    yield from _lengths(column, required=required)
    if not (policy and policy.replace_special_characters):
        yield from _characters(table, column)


def _lengths(column: Column, *, required: bool) -> Iterator[_Test]:
    if column.kind is Kind.USERNAME:
        return  # counted with its domain, above
    # Bytes are known without reading the value, characters have to be counted.
    long = f"strlen({column.name}) > {column.length} AND length({column.name}) > {column.length}"
    detail = f"length(found.value) || ' characters, more than {column.length}'"
    if required:
        yield _Test("too-long", column, long, detail)
    else:
        yield _Test("optional-too-long", column, long, detail, emptied=True)


def _characters(table: Table, column: Column) -> Iterator[_Test]:
    """Sign-in names and the aliases of classes are refused by directories when they have odd characters."""
    refused = values.has_refused_characters(column.name, username=column.kind is Kind.USERNAME)
    if column.kind is Kind.USERNAME or (column.kind is Kind.ID and table.file.records == "classes"):
        odd = f"{refused} AND NOT {values.has_blank(column.name)}"
        if column.kind is Kind.USERNAME:  # nearly all are plain, which is told by a pattern that is looked for anyway
            odd = f"CASE WHEN {values.is_plain_name(column.name)} THEN false ELSE {odd} END"
        yield _Test("special-characters", column, odd)


def _counted(db: duckdb.DuckDBPyConnection, table: Table, tests: list[str]) -> tuple[int, ...]:
    """How many rows pass each test. Gaps are counted apart: a column without any is known to have none."""
    gaps = {f"{name} IS NULL": f"count(*) - count({name})" for name in (*table.columns, *table.extras)}
    asked = list(dict.fromkeys(test for test in tests if test in gaps))
    found = dict(zip(asked, _numbers(db, table, [gaps[test] for test in asked], apart=True), strict=True))
    others = list(dict.fromkeys(test for test in tests if test not in gaps))
    counts = _numbers(db, table, [f"count(*) FILTER ({test})" for test in others])
    found |= dict(zip(others, counts, strict=True))
    return tuple(found[test] for test in tests)


def _numbers(db: duckdb.DuckDBPyConnection, table: Table, counts: list[str], *, apart: bool = False) -> tuple[int, ...]:
    """What is counted over the raw table; `apart` where a scan that one count needs would drag the others along."""
    if not counts:
        return ()
    if apart and table.rows > _LONG:
        return tuple(_numbers(db, table, [one])[0] for one in counts)
    row = db.execute(_COUNT.format(counts=", ".join(counts), table=table.raw)).fetchone()
    assert row is not None
    return row


def unfilled(db: duckdb.DuckDBPyConnection, table: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the columns of a table that have no value in any row. Most are known to have one from the first rows."""
    if not names:
        return ()
    counts = ", ".join(f"count({name})" for name in names)
    first = db.execute(_FIRST_FILLED.format(counts=counts, table=table)).fetchone()
    assert first is not None
    doubtful = [name for name, count in zip(names, first, strict=True) if not count]
    # One statement each: a scan of one column need not drag the others along.
    return tuple(name for name in doubtful if db.execute(_FILLED.format(column=name, table=table)).fetchone() == (0,))


def _empty(db: duckdb.DuckDBPyConnection, table: Table) -> set[str]:
    """The columns without any value."""
    stored = [name for name in table.columns if name not in table.void]
    return {*table.void, *unfilled(db, table.stored, stored)}


def _add(db: duckdb.DuckDBPyConnection, table: Table, test: _Test) -> None:
    rows = _WHERE.format(column=test.column.name, table=table.lined, test=test.broken)
    findings.add_rows(db, test.rule, file=table.uploaded, column=test.column.header, rows=rows, detail=test.detail)
