"""`python -m schoolsync.testing.rosters FOLDER`: write an invented roster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from schoolsync.testing.rosters import DIRT, FORMATS, Moment, write, write_delta


def main(arguments: list[str]) -> int:
    """Write what the arguments ask for; 0 when it is there, 2 when it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m schoolsync.testing.rosters", description=(__doc__ or "").strip())
    parser.add_argument("folder", type=Path, help="where to; made when it is missing")
    parser.add_argument("--format", choices=FORMATS, default="sds-v1")
    parser.add_argument("--people", type=int, default=1000, help="pupils and teachers together")
    parser.add_argument("--classes", type=int, help="default: three for ten people")
    parser.add_argument("--enrollments", type=int, help="default: nine for every person")
    parser.add_argument("--seed", type=int, default=1, help="another number is another district")
    parser.add_argument("--churn", type=float, default=0.0, metavar="SHARE", help="a day later: 0.01 is a usual one")
    parser.add_argument("--term", type=int, default=0, metavar="N", help="so many term changes later")
    parser.add_argument("--year", type=int, default=0, metavar="N", help="so many summers later")
    parser.add_argument("--renumbered", action="store_true", help="the same people under other ids")
    parser.add_argument("--guardians", action="store_true", help="with families")
    parser.add_argument("--optional", action="store_true", help="with files that need not be there")
    parser.add_argument("--delta", action="store_true", help="OneRoster: what changed since the first day, no more")
    parser.add_argument("--tidy", action="store_true", help="nobody has two schools: not even a warning")
    parser.add_argument(
        "--dirt", action="append", default=[], metavar="RULE[=N]", help=f"break a rule, in N rows: {', '.join(DIRT)}"
    )
    given = parser.parse_args(arguments)
    moment = Moment(churn=given.churn, term=given.term, year=given.year, renumbered=given.renumbered)
    classes = given.classes or max(1, given.people * 3 // 10)
    size = {"people": given.people, "classes": classes, "enrollments": given.enrollments or given.people * 9}
    try:
        dirt = {rule: int(times or 1) for rule, _, times in (one.partition("=") for one in given.dirt)}
        if given.delta:
            write_delta(
                given.folder,
                **size,
                before=Moment(),
                after=moment,
                format=given.format,
                seed=given.seed,
                guardians=given.guardians,
                optional=given.optional,
            )
        else:
            write(
                given.folder,
                **size,
                format=given.format,
                seed=given.seed,
                moment=moment,
                guardians=given.guardians,
                optional=given.optional,
                several_schools=not given.tidy,
                dirt=dirt,
            )
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"rosters: {problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
