"""The short version of `make chaos`: every named point in one run, some kills at random instants, some reads and writes
that fail."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from schoolsync import fault_points

from ..conftest import NIGHTLY
from ..databases import Cluster
from .failing import compiler, needed
from .fire import Fire, burning

pytestmark = pytest.mark.xdist_group("chaos")

SEED = 11
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def fire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fire]:
    folder, dice = tmp_path_factory.mktemp("chaos"), random.Random(SEED)
    with burning(folder, dice, {}, fails=compiler() is not None) as burning_server:
        yield burning_server


@pytest.fixture
def failing(fire: Fire) -> Fire:
    needed()
    return fire


def test_a_run_that_dies_at_every_named_point_loses_nothing(fire: Fire) -> None:
    """One run, killed at each point after the other, goes on by itself each time; directory and ledger are those of an
    undisturbed run. One batch is begun once more, the one that was written and not committed."""
    fire.tally.lost.clear()
    again = fire.tally.again
    fire.run(points=[*fault_points.POINTS])
    assert not fire.tally.lost
    assert fire.tally.again == again + 1


@pytest.mark.nightly
def test_random_kills_lose_nothing(fire: Fire) -> None:
    """Any process, at instants that a seed decides, several times a run."""
    fire.tally.lost.clear()
    fire.run(kills=3)
    assert not fire.tally.lost, f"seed {SEED}"


@pytest.mark.nightly(0.3)
@pytest.mark.parametrize("seconds", [None, 0.3])
def test_reads_and_writes_that_fail_lose_nothing(failing: Fire, seconds: float | None) -> None:
    """Whichever it is, of whatever process and file: once, or with all that follow for a while."""
    failing.tally.lost.clear()
    tried = []
    for _ in range(6 if NIGHTLY else 1):
        tried.append(failing.dice.randint(1, 1500))
        assert failing.fail(tried[-1], error=errno.ENOSPC if seconds else errno.EIO, seconds=seconds), tried
    assert not failing.tally.lost, f"seed {SEED}, {tried}"


def test_clocks_that_jump_within_a_run_lose_nothing(failing: Fire) -> None:
    """At every stage, of all processes, by seconds and by weeks, ahead and back: the run ends as an undisturbed one."""
    failing.tally.lost.clear()
    assert failing.turn() > 5
    assert not failing.tally.lost, f"seed {SEED}"


@pytest.mark.nightly
def test_clocks_that_jump_let_workers_lose_nothing(tmp_path: Path, postgresql: Cluster) -> None:
    """On the machine of two workers, while the database goes by another clock."""
    needed()
    with (
        postgresql.database() as url,
        burning(tmp_path, random.Random(SEED), {"database_url": url}, fails=True, workers=2) as burning_server,
    ):
        jumps = [burning_server.turn() for _ in range(6)]
        assert not burning_server.tally.lost, f"seed {SEED}"
        assert min(jumps) > 5


PARTS = ("/runs/", "/uploads/", "/scratch/", "/directory/", "control.db", "runs.db", "")


@pytest.mark.nightly(*PARTS[1:])
@pytest.mark.parametrize("part", PARTS)
def test_a_disk_that_is_full_loses_nothing(failing: Fire, part: str) -> None:
    """Of uploads, plans and snapshots, spill space, each database, and of everything: what was tried goes on by itself
    when there is room; a run that gives up before says what is missing, and the next start makes it good.
    """
    failing.tally.lost.clear()
    failing.tally.stopped.clear()
    noticed = failing.fill(part, seconds=9 if NIGHTLY else 0.3)
    assert noticed or part == "/scratch/", "a roster that fits into memory spills nothing"
    assert not failing.tally.lost
    assert all("disk" in said or "No space left" in said for said in failing.tally.stopped), failing.tally.stopped


def test_every_point_is_documented() -> None:
    """docs/operations.md lists the fault points."""
    text = (DOCS / "operations.md").read_text("utf-8")
    missing = [point for point in fault_points.POINTS if f"| `{point}` |" not in text]
    assert not missing
