"""Directories for tests of plans."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from schoolsync.runs import stages

from .districts import Directory, GivenSource, Late, given_source


@pytest.fixture(autouse=True)
def _everything_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done beside the rest of a plan is done as late as can be: nobody may have changed what it reads."""
    monkeypatch.setattr(stages, "Behind", Late)


@pytest.fixture
def roster_source(monkeypatch: pytest.MonkeyPatch) -> GivenSource:
    """Rosters are given as values."""
    return given_source(monkeypatch)


@pytest.fixture
def directory(tmp_path: Path, roster_source: GivenSource, database_url: str | None) -> Directory:
    """An empty directory of one tenant with one profile."""
    return Directory(tmp_path / "house", roster_source, database_url)


@pytest.fixture
def directories(
    tmp_path: Path, roster_source: GivenSource, database_url: str | None, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Directory]]:
    """As many empty directories as asked for."""
    made: list[Path] = []
    with ExitStack() as databases:

        def make() -> Directory:
            made.append(tmp_path / f"house{len(made)}")
            url = None
            if database_url is not None:
                url = databases.enter_context(request.getfixturevalue("postgresql").database())
            return Directory(made[-1], roster_source, url)

        yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)
