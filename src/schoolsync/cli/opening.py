"""What commands that read a roster on this machine share: its files, and an engine that leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb

from schoolsync import roster_engine, sources
from schoolsync.cli import roster_files
from schoolsync.cli.roster_files import NoRosterError
from schoolsync.profiles import code_lists
from schoolsync.settings import load
from schoolsync.sources import CheckOptions, Limits, SourceFile


def engine(folder: str) -> duckdb.DuckDBPyConnection:
    """A roster engine within the memory of the settings: it spills into a folder that goes away, fetches nothing."""
    settings = load()
    return roster_engine.opened(memory_limit=settings.memory_limit, threads=settings.threads, scratch=folder)


def options(path: Path, format: str | None, scratch: Path) -> CheckOptions:  # noqa: A002  what it is called everywhere
    """How the roster at `path` is read, within the limits of the settings: one CSV file alone is checked for itself."""
    settings = load()
    return CheckOptions(
        format=format or sources.AUTO,
        partial=not path.is_dir() and path.suffix.lower() == ".csv",
        max_rows=settings.roster_max_rows,
        limits=Limits(**settings.roster_limits),
        scratch=scratch,
        codes=code_lists.load(settings.code_lists),
    )


def earlier(db: duckdb.DuckDBPyConnection, path: Path, format: str | None, scratch: Path) -> Path:  # noqa: A002
    """What a package of changes goes on from: the records of the whole roster at `path`. Raises NoRosterError."""
    given = replace(options(path, format, scratch), keep=scratch / "records")
    if sources.validate(db, sources.extract(db, files(path), given), given).fatal:
        raise NoRosterError(f"{path} cannot be built on, because it cannot be used itself: validate it first.")
    assert given.keep is not None
    if not given.keep.is_dir():
        raise NoRosterError(f"{path} is no OneRoster package: no other format has packages of changes.")
    return given.keep


def files(path: Path) -> list[SourceFile]:
    """The files of the roster at `path`. Raises NoRosterError."""
    return [SourceFile(name, place) for name, place in roster_files.files(path)]
