"""Where rosters come from: one module per format, all filling the same canonical tables.

`extract` reads the files, `validate` runs the rules. Both work set by set inside the DuckDB connection they are given
and keep nothing outside it; a source decides nothing about the directory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from schoolsync.errors import UsageError
from schoolsync.sources import reading
from schoolsync.sources.clever import CLEVER
from schoolsync.sources.files import Limits, SourceFile
from schoolsync.sources.formats import Format
from schoolsync.sources.oneroster import ONEROSTER_1_1, ONEROSTER_1_2
from schoolsync.sources.sds_v1 import SDS_V1
from schoolsync.sources.sds_v1_uk import SDS_V1_UK
from schoolsync.sources.sds_v2 import SDS_V2, SDS_V2_1
from schoolsync.sources.source import Checked, CheckOptions, Extract

__all__ = [
    "AUTO",
    "FORMATS",
    "CheckOptions",
    "Checked",
    "Extract",
    "Limits",
    "SourceFile",
    "extract",
    "leave_out",
    "validate",
]

AUTO = "auto"


FORMATS: Mapping[str, Format] = {
    one.id: one for one in (SDS_V1, SDS_V1_UK, CLEVER, SDS_V2, SDS_V2_1, ONEROSTER_1_1, ONEROSTER_1_2)
}
"""Every format by its name. An upload that looks like none of them is taken for the first."""


def extract(db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], options: CheckOptions) -> Extract:
    """Read the files into raw tables. Whatever is wrong with them becomes a finding; only the disk can fail.

    The format `auto` is told from the files.
    """
    if options.format != AUTO and options.format not in FORMATS:
        raise UsageError(f"There is no format {options.format}. Known formats: {', '.join((AUTO, *FORMATS))}.")
    return reading.extract(db, files, options, tuple(FORMATS.values()))


def validate(db: duckdb.DuckDBPyConnection, extracted: Extract, options: CheckOptions) -> Checked:
    """Run the rules over what was extracted and fill the canonical tables. The raw tables are given up."""
    return reading.validate(db, extracted, options, FORMATS[extracted.format])


def leave_out(db: duckdb.DuckDBPyConnection, checked: Checked) -> None:
    """Go on without the records that errors are about; the same as `checked.leave_out(db)`."""
    checked.leave_out(db)
