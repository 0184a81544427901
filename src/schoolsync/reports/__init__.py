"""Reports of what checking a roster found: as one HTML page, as JSON, and every finding as CSV or Parquet.

Reads the roster engine's tables and writes files; decides nothing. No report holds a value of a person, and text that
a spreadsheet would take for a formula is made plain.
"""

from __future__ import annotations

from schoolsync.reports.contents import Comparison, Report, gather
from schoolsync.reports.writing import SUFFIXES, write, write_json

__all__ = ["SUFFIXES", "Comparison", "Report", "gather", "write", "write_json"]
