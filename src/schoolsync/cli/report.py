"""The report of `validate` as it is read in a terminal: grouped, coloured, as wide as the window."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from schoolsync.reports import Report
from schoolsync.reports.contents import Comparison, counted, noun
from schoolsync.reports.page import notes, problems, rows_of
from schoolsync.roster.causes import Cause
from schoolsync.roster.statistics import School

_WIDEST = 120
_STYLES = {"error": "bold red", "warning": "yellow", "information": "cyan"}
_SCHOOLS = 10


def show(report: Report) -> None:
    """Print the report on standard output, as wide as the terminal, or as COLUMNS says, but never over 120."""
    console = Console(highlight=False, emoji=False, markup=False)
    if console.width > _WIDEST or not (console.is_terminal or "COLUMNS" in os.environ):
        console.width = _WIDEST
    for cause in report.causes:
        _show_cause(console, cause)
    if report.causes:
        console.print(
            Text(f"What the rules in [ ] mean, with examples: {report.causes[0].help}", "dim"), overflow="fold"
        )
    if report.comparison:
        _show_comparison(console, report.comparison)
    _show_schools(console, (report.statistics.total, *report.statistics.schools))
    if report.why:
        console.print(f"Read as {report.format}: {report.why}.", soft_wrap=console.width == _WIDEST)
    verdict = {"errors": "bold red", "warnings": "yellow", "clean": "green"}[report.verdict]
    console.print(
        Text.assemble(
            f"{report.title}: ",
            (report.verdict, verdict),
            f" ({report.format}, {counted(len(report.files), 'files')}, {counted(report.rows, 'rows')}, "
            f"{counted(report.errors, 'errors')}, {counted(report.warnings, 'warnings')})",
        ),
        soft_wrap=console.width == _WIDEST,  # a script reads the last line
    )


def _show_cause(console: Console, cause: Cause) -> None:
    style = _STYLES[cause.severity]
    place = f"{cause.file}:{cause.lines[0]}" if cause.lines else cause.file
    head = Text.assemble((place, "bold"), ": ", ("fatal" if cause.fatal else cause.severity, style))
    if cause.count > 1:
        others = ", ".join(map(str, cause.lines[1:]))
        more = f" in lines {others}" if others else ""
        more += " …" if cause.count > len(cause.lines) else ""
        head.append(f": {rows_of(cause)}, also{more}" if others else f": {rows_of(cause)}")
    head.append(f" [{cause.rule}]", "dim")
    console.print(head, overflow="fold")
    body = Text(cause.message)
    if cause.hint:
        body.append(f" {cause.hint}", "bold cyan")
    for note in notes(cause):
        body.append(f" {note}", "dim")
    console.print(Padding(body, (0, 0, 0, 4), expand=False), overflow="fold")


def _show_schools(console: Console, schools: Sequence[School]) -> None:
    """The numbers of all schools, and those of the ones that somebody should look at."""
    total, *rest = schools
    if not rest:
        return
    look = sorted((one for one in rest if problems(one)), key=lambda one: -problems(one))
    table = _table("school", "students", "staff", "classes", "no teacher", "no class", "class size")
    for one in (total, *look[:_SCHOOLS]):
        name = "all schools" if one.id is None else f"{one.name} ({one.id})"
        size = "-" if one.median is None else f"{one.smallest}-{one.median}-{one.largest}"
        table.add_row(
            name,
            *(f"{number:,}" for number in (one.students, one.teachers, one.classes)),
            *(Text(f"{number:,}", "red" if number else "") for number in (one.without_teacher, one.unplaced)),
            size,
        )
    console.print(table)
    if len(look) > _SCHOOLS:
        left = len(look) - _SCHOOLS
        console.print(
            f"  and {left:,} more {noun(left, 'schools')} with classes without teacher or students without class"
        )


def _show_comparison(console: Console, comparison: Comparison) -> None:
    table = _table(f"compared with {comparison.title}", "before", "now", "new", "gone", "changed")
    for kind in comparison.kinds:
        if kind.before or kind.after:
            numbers = (kind.before, kind.after, kind.new, kind.gone, kind.changed)
            table.add_row(kind.kind.replace("_", " "), *(f"{number:,}" for number in numbers))
    console.print(table)
    changed = [one for one in comparison.schools if one.id is not None]
    if not changed:
        return
    table = _table("school that changed", "students", "staff", "classes", "enrollments")
    for one in changed[:_SCHOOLS]:
        name = f"{one.name} ({one.id})" + ("" if one.presence == "kept" else f", {one.presence}")
        table.add_row(
            name,
            *(
                f"{one.after[key]:,}"
                + (f" ({one.after[key] - one.before[key]:+,})" if one.after[key] != one.before[key] else "")
                for key in ("students", "teachers", "classes", "enrollments")
            ),
        )
    console.print(table)
    if len(changed) > _SCHOOLS:
        left = len(changed) - _SCHOOLS
        console.print(f"  and {left:,} more {noun(left, 'schools')}; --json lists all")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, overflow="fold", ratio=None)
    for name in others:
        table.add_column(name, justify="right", no_wrap=False)
    return table
