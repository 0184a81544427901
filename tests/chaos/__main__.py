"""`make chaos`: kill processes at random instants and at every named point, or have each input and output fail in turn.

Prints the seed first and the tally last; ends with 1 when anything was lost.
"""

from __future__ import annotations

import argparse
import errno
import random
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from schoolsync import fault_points

from ..databases import binaries, shared
from ..storages import Storage, s3
from .failing import KILL, compiler
from .fire import SMALL, Fire, burning


def main() -> int:
    """Run; 0 when nothing was lost."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--kills", type=int, default=1000, help="random kills")
    parser.add_argument("--random", action="store_true", help="random kills alone, none at the named points before")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--every", type=int, help="have every n-th input or output of a run fail, in place of kills")
    parser.add_argument("--first", type=int, help="where to begin with --every")
    parser.add_argument("--storage", choices=["s3"], help="with --every: files are in a storage, which fails as well")
    given = parser.parse_args()
    what = f"{given.kills} random kills" if given.every is None else f"one of {given.every} inputs and outputs fails"
    print(f"seed {given.seed}, {what}, {given.database}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever ends it by force leaves nothing behind either
    dice = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, _database(given.database, Path(name)) as database:
        if given.every is None:
            return _kills(Path(name), dice, database, given.kills, () if given.random else tuple(fault_points.POINTS))
        first = dice.randint(1, given.every) if given.first is None else given.first
        with s3(Path(name)) if given.storage else nullcontext() as storage:
            return _failures(Path(name), dice, database, storage, first, given.every)


def _kills(folder: Path, dice: random.Random, database: dict[str, object], kills: int, named: tuple[str, ...]) -> int:
    with burning(folder / "fire", dice, database) as fire:
        for points in (*((point,) for point in named), *([named] if named else ())):
            fire.run(points=points)
        points = sum(fire.tally.kills.values())
        while (left := kills + points - sum(fire.tally.kills.values())) > 0:
            fire.run(kills=min(dice.randint(1, 4), left))
            print(fire.tally, flush=True)
        return _told(fire)


def _failures(
    folder: Path, dice: random.Random, database: dict[str, object], storage: Storage | None, first: int, every: int
) -> int:
    """Until a run has no n-th one any more. Each fails once or with all that follows for a while, or kills."""
    if compiler() is None:
        raise SystemExit("There is no C compiler here: install one, or name it in CC.")
    with burning(folder / "fire", dice, database, size=SMALL, fails=True, storage=storage) as fire:
        at, error, told = first, errno.EIO, 0
        while fire.fail(at, error=error, seconds=dice.choice((None, None, 0.3)) if error else None):
            at, error = at + every, dice.choice((errno.EIO, errno.ENOSPC, KILL))
            while told < len(fire.tally.lost):
                print(f"LOST: {fire.tally.lost[told]}", flush=True)
                told += 1
            if fire.tally.failures % 20 == 0:
                print(fire.tally, flush=True)
        for one, times in fire.tally.stopped.items():
            print(f"stopped: {one}" + (f" ({times} times)" if times > 1 else ""))
        print(f"the last one was below {at}")
        return _told(fire)


def _told(fire: Fire) -> int:
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
