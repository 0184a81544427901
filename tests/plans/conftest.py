"""Directories for tests of plans."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .districts import Directory, GivenSource, given_source


@pytest.fixture
def roster_source(monkeypatch: pytest.MonkeyPatch) -> GivenSource:
    """Rosters are given as values."""
    return given_source(monkeypatch)


@pytest.fixture
def directory(tmp_path: Path, roster_source: GivenSource) -> Directory:
    """An empty directory of one tenant with one profile."""
    return Directory(tmp_path / "house", roster_source)


@pytest.fixture
def directories(tmp_path: Path, roster_source: GivenSource) -> Iterator[Callable[[], Directory]]:
    """As many empty directories as asked for."""
    made: list[Path] = []

    def make() -> Directory:
        made.append(tmp_path / f"house{len(made)}")
        return Directory(made[-1], roster_source)

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)
