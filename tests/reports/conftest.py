"""A roster with mistakes of several kinds, checked. Nobody in it exists."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from schoolsync import reports, sources
from schoolsync.reports import Report
from schoolsync.sources import CheckOptions, SourceFile
from schoolsync.testing import demo


def check(db: duckdb.DuckDBPyConnection, folder: Path, *, title: str = "Contoso") -> Report:
    """Check the roster in a folder, and gather its report."""
    options = CheckOptions()
    files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
    checked = sources.validate(db, sources.extract(db, files, options), options)
    return reports.gather(db, title=title, format=checked.format, files=checked.rows)


def spoil(path: Path, old: str, new: str, times: int = 1) -> None:
    """Replace a text of a file."""
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, times).encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundled roster, to spoil."""
    return Path(shutil.copytree(demo.BUNDLED, tmp_path / "roster"))


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine."""
    with duckdb.connect(config={"threads": 2}) as made:
        yield made
