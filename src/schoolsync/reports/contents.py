"""What stands in a report, gathered once and written in whatever form is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from schoolsync.roster import causes, comparison, findings, statistics
from schoolsync.roster.causes import Cause
from schoolsync.roster.comparison import Kind
from schoolsync.roster.statistics import Change, Statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs from an earlier roster."""

    title: str  # of the earlier one
    kinds: Sequence[Kind]
    schools: Sequence[Change]  # the first one is the total


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One roster, checked."""

    title: str  # what was checked, as a person calls it
    format: str
    files: Mapping[str, int]  # data rows by file
    errors: int
    warnings: int
    causes: Sequence[Cause]
    statistics: Statistics
    comparison: Comparison | None = None
    why: str = ""  # why it is that format

    @property
    def verdict(self) -> str:
        """clean, warnings or errors."""
        return "errors" if self.errors else "warnings" if self.warnings else "clean"

    @property
    def rows(self) -> int:
        """Data rows of all files."""
        return sum(self.files.values())


def gather(
    db: duckdb.DuckDBPyConnection,
    *,
    title: str,
    format: str,  # noqa: A002  what it is called everywhere
    files: Mapping[str, int],
    why: str = "",
    before: tuple[str, Statistics] | None = None,
) -> Report:
    """Make the report of the roster in the canonical tables.

    `before` is the title and the statistics of an earlier roster, which `comparison.keep` has put aside.
    """
    total = findings.totals(db)
    numbers = statistics.of(db)
    return Report(
        title=title,
        format=format,
        files=files,
        why=why,
        errors=total.errors,
        warnings=total.warnings,
        causes=causes.entries(db),
        statistics=numbers,
        comparison=None
        if before is None
        else Comparison(title=before[0], kinds=comparison.kinds(db), schools=statistics.changes(before[1], numbers)),
    )


def counted(number: int, things: str) -> str:
    """How many of the `things`, which are given in the plural: "1 row", "2,000 rows"."""
    return f"{number:,} {noun(number, things)}"


def noun(number: int, things: str) -> str:
    """The `things`, or one of them for one."""
    if number != 1 or not things.endswith("s"):
        return "person" if number == 1 and things == "people" else things
    return things[:-2] if things.endswith("sses") else things[:-1]
