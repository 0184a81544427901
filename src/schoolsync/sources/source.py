"""What goes into reading a roster and what comes out, the same for every format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from schoolsync.plan.policy import Policy
from schoolsync.roster import findings
from schoolsync.roster.codes import Extra
from schoolsync.roster.findings import Finding
from schoolsync.roster.rules import RULES, Severity
from schoolsync.runs.job import Message
from schoolsync.sources.changes import Package
from schoolsync.sources.columns import Table
from schoolsync.sources.files import DEFAULT_LIMITS, Limits
from schoolsync.sources.needs import Needs

Told = Callable[[int, int], None]
"""Hears how many rows are done, and of how many."""


def nobody(done: int, total: int) -> None:
    """Whoever does not want to hear it."""


@dataclass(slots=True)
class Passes:
    """Tells of work that goes over all rows several times: each time counts as a share of every row."""

    told: Told
    rows: int
    passes: int
    done: int = 0

    def over(self) -> None:
        """All rows have been gone over once more."""
        self.done += 1
        self.told(self.rows * self.done // self.passes, self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """How a roster is to be read and checked."""

    format: str = "auto"  # or one of `sources.FORMATS`
    policy: Policy | None = None  # None: whether accounts are created is told from the columns
    max_rows: int = 50_000_000  # of one file
    limits: Limits = DEFAULT_LIMITS
    scratch: Path | None = None  # where archives and damaged files are copied to meanwhile
    codes: Extra = field(default_factory=dict)  # what the installation adds to the code lists
    earlier: Path | None = None  # what was kept of the last roster: a package of changes alone goes on from it
    keep: Path | None = None  # where to keep what such a package needs, for formats that have them
    partial: bool = False  # check the given files alone: others are not missed, nor is what they would hold
    told: Told = nobody  # hears how far reading and checking are


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """The files are read into the schema `raw`; what is wrong with them stands in `roster.findings`."""

    format: str
    why: str  # why it is that one
    rows: Mapping[str, int]  # data rows per file, by the name it came with
    tables: Mapping[str, Table]  # what could be read, by table
    creates: bool  # whether accounts are created (True) or only matched (False)
    needs: Needs
    package: Package
    fatal: bool  # nobody may go on with this upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The rules have run: the canonical tables hold the good records, `roster.findings` what is wrong."""

    format: str
    why: str
    rows: Mapping[str, int]
    errors: int
    warnings: int
    fatal: bool
    # Canonical tables without any file in this upload (guardians are optional): they say nothing, not "none".
    absent: frozenset[str]
    # Canonical table (people: the role) -> its columns that this upload has. Others say nothing either.
    columns: Mapping[str, frozenset[str]]

    @property
    def verdict(self) -> str:
        """clean, warnings or errors."""
        return "errors" if self.errors else "warnings" if self.warnings else "clean"

    def messages(self, db: duckdb.DuckDBPyConnection) -> tuple[Message, ...]:
        """What `start` answers: one message per file, column and kind of finding, errors first."""
        seen: dict[tuple[str, str, str], Message] = {}
        counts: dict[tuple[str, str, str], int] = {}
        for group in findings.grouped(db):
            rule = RULES[group.rule]
            if rule.severity is Severity.INFORMATION:
                continue
            kind = rule.family.value if rule.family.value != "other" else f"{rule.id} {group.detail or ''}"
            if rule.summary:
                kind = rule.id
            key = (f"{rule.severity} {group.file.lower()}", group.column or "", kind)
            counts[key] = counts.get(key, 0) + group.count
            described = rule.description(count=counts[key], column=group.column, detail=group.detail)
            seen[key] = Message(
                type="Error" if rule.severity is Severity.ERROR else "Warning",
                file_name=group.file.lower(),
                description=described,
            )
        return tuple(seen.values())

    def findings(self, db: duckdb.DuckDBPyConnection, limit: int | None = None) -> Iterator[Finding]:
        """The findings one by one, in the order of files and lines, `limit` at most."""
        return findings.listed(db, limit=limit)

    def leave_out(self, db: duckdb.DuckDBPyConnection) -> None:
        """Go on without the records that errors are about, and without what hangs on them (`roster.left_out`)."""
        findings.leave_out(db)
