"""Where rosters come from: one module per format, all filling the same canonical tables.

`extract` reads the files, `validate` runs the rules. Both work set by set inside the DuckDB connection they are given
and keep nothing outside it; a source decides nothing about the directory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import duckdb

from schoolsync.errors import UsageError
from schoolsync.sources import sds_v1
from schoolsync.sources.files import SourceFile
from schoolsync.sources.source import Checked, CheckOptions, Extract

__all__ = ["FORMATS", "CheckOptions", "Checked", "Extract", "SourceFile", "extract", "leave_out", "validate"]


class Source(Protocol):
    """What a module that reads one format offers."""

    def extract(self, db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], options: CheckOptions) -> Extract:
        """Read the files into raw tables; what is wrong with them becomes findings."""

    def validate(self, db: duckdb.DuckDBPyConnection, extracted: Extract, options: CheckOptions) -> Checked:
        """Run the rules over the raw tables and fill the canonical ones."""


FORMATS: Mapping[str, Source] = {sds_v1.FORMAT: sds_v1}


def extract(db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], options: CheckOptions) -> Extract:
    """Read the files into raw tables. Whatever is wrong with them becomes a finding; only the disk can fail."""
    source = FORMATS.get(options.format)
    if source is None:
        raise UsageError(f"There is no format {options.format}. Known formats: {', '.join(FORMATS)}.")
    return source.extract(db, files, options)


def validate(db: duckdb.DuckDBPyConnection, extracted: Extract, options: CheckOptions) -> Checked:
    """Run the rules over what was extracted and fill the canonical tables. The raw tables are given up."""
    return FORMATS[extracted.format].validate(db, extracted, options)


def leave_out(db: duckdb.DuckDBPyConnection, checked: Checked) -> None:
    """Go on without the records that errors are about; the same as `checked.leave_out(db)`."""
    checked.leave_out(db)
