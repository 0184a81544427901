"""Reading and checking a roster of any format: from files to raw tables, from raw tables to canonical ones."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from schoolsync.roster import codes, findings
from schoolsync.sources import cells, changes, csv_sets, merging, two_lists, user_lists
from schoolsync.sources.files import SourceFile
from schoolsync.sources.formats import Format, Shape
from schoolsync.sources.source import Checked, CheckOptions, Extract, Passes

_PASSES = 6
"""How often checking goes over all rows: cells, references, ids, rows that are there twice, filling, and once more by
whoever reports what was found."""


def extract(
    db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], options: CheckOptions, known: Sequence[Format]
) -> Extract:
    """Read the files into raw tables; see `schoolsync.sources.extract`."""
    csv_sets.prepare(db)
    read = csv_sets.read_set(db, files, known, options)
    return Extract(
        format=read.detected.format.id,
        why=read.detected.why,
        rows=read.rows,
        tables=read.tables,
        creates=read.needs.creates,
        needs=read.needs,
        package=read.package,
        fatal=findings.totals(db).fatal,
    )


def validate(db: duckdb.DuckDBPyConnection, extracted: Extract, options: CheckOptions, form: Format) -> Checked:
    """Run the rules and fill the canonical tables; see `schoolsync.sources.validate`."""
    needs = extracted.needs
    passes = Passes(options.told, sum(extracted.rows.values()), _PASSES)
    lists = codes.lists(options.codes, options.policy.codes if options.policy else {})
    tables = {name: cells.clean(db, table, most=options.limits.cell) for name, table in extracted.tables.items()}
    tables, whole = changes.completed(
        db, tables, form, extracted.package, needs, earlier=options.earlier, keep=options.keep, lists=lists
    )
    for table in tables.values():
        cells.check(
            db,
            table,
            required=[name for name, column in table.columns.items() if needs.filled(table.file, column)],
            policy=options.policy,
            codes=lists,
        )
        for column in needs.asked_for(table.file):
            cells.check_filled(db, table, column)
    passes.over()
    merger = merging.merged(
        db,
        tables,
        options.policy,
        told_apart_by=needs.told_apart_by,
        complete=not options.partial and not extracted.fatal,
        references=whole,
        over=passes.over,
    )
    if form.shape is Shape.USERS:
        user_lists.fill(merger, form, lists, guardians=needs.names("contacts"))
        columns, absent = user_lists.said(tables), user_lists.absent(tables)
    else:
        two_lists.fill(merger)
        columns, absent = two_lists.said(tables), two_lists.absent(tables)
    if any(table.earlier for table in tables.values()):
        changes.tell_apart(db)
    total = findings.totals(db)
    passes.over()
    return Checked(
        format=form.id,
        why=extracted.why,
        rows=extracted.rows,
        errors=total.errors,
        warnings=total.warnings,
        fatal=total.fatal,
        absent=absent,
        columns=columns,
    )
