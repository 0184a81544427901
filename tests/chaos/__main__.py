"""`make chaos`: kill processes at random instants and at every named point, as long as one likes.

Prints the seed first and the tally last; ends with 1 when anything was lost.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schoolsync import fault_points

from ..databases import binaries, shared
from .fire import burning


def main() -> int:
    """Run; 0 when nothing was lost."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--kills", type=int, default=1000, help="random kills")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.kills} random kills, {given.database}", flush=True)
    dice = random.Random(given.seed)
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as name,
        _database(given.database, Path(name)) as database,
        burning(Path(name) / "fire", dice, database) as fire,
    ):
        for point in fault_points.POINTS:
            fire.run(points=[point])
        fire.run(points=[*fault_points.POINTS])
        points = sum(fire.tally.kills.values())
        while (left := given.kills + points - sum(fire.tally.kills.values())) > 0:
            fire.run(kills=min(dice.randint(1, 4), left))
            print(fire.tally, flush=True)
        print(fire.tally)
        for one in fire.tally.lost:
            print(f"LOST: {one}")
        return 1 if fire.tally.lost else 0


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[dict[str, object]]:
    if kind == "sqlite":
        yield {}
        return
    programs = binaries()
    if programs is None:
        raise SystemExit("There is no PostgreSQL here: install version 15 or newer.")
    with shared(folder, programs) as cluster, cluster.database() as url:
        yield {"database_url": url}


if __name__ == "__main__":
    sys.exit(main())
