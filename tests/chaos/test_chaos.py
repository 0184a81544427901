"""The short version of `make chaos`: every named point in one run, and some kills at random instants."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from schoolsync import fault_points

from .fire import Fire, burning

pytestmark = pytest.mark.xdist_group("chaos")

SEED = 11
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def fire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fire]:
    with burning(tmp_path_factory.mktemp("chaos"), random.Random(SEED), {}) as burning_server:
        yield burning_server


def test_a_run_that_dies_at_every_named_point_loses_nothing(fire: Fire) -> None:
    """One run, killed at each point after the other, goes on by itself each time; directory and ledger are those of an
    undisturbed run."""
    fire.tally.lost.clear()
    fire.run(points=[*fault_points.POINTS])
    assert not fire.tally.lost


@pytest.mark.nightly
def test_random_kills_lose_nothing(fire: Fire) -> None:
    """Any process, at instants that a seed decides, several times a run."""
    fire.tally.lost.clear()
    fire.run(kills=3)
    assert not fire.tally.lost, f"seed {SEED}"


def test_every_point_is_documented() -> None:
    """docs/operations.md lists the fault points."""
    text = (DOCS / "operations.md").read_text("utf-8")
    missing = [point for point in fault_points.POINTS if f"| `{point}` |" not in text]
    assert not missing
