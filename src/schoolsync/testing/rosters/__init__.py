"""Invented rosters of any size in every format: for tests, the demo, benchmarks, and for trying things out.

The same arguments give the same files, byte for byte. Names, twins, accents, people of two schools and commas inside
values are there on purpose; nobody in them exists. Rows are made by set-based SQL and streamed to the files: a million
people take seconds and little memory. `python -m schoolsync.testing.rosters --help` writes one from a shell.
"""

from __future__ import annotations

from schoolsync.testing.rosters.dirt import DIRT, spoil
from schoolsync.testing.rosters.layouts import FORMATS
from schoolsync.testing.rosters.model import Moment
from schoolsync.testing.rosters.writing import write, write_delta

__all__ = ["DIRT", "FORMATS", "Moment", "spoil", "write", "write_delta"]
