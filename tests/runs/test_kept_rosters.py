"""How many of the rosters that runs have kept are read for the line of what goes away."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from schoolsync.roster import tables
from schoolsync.runs import kept_roster
from schoolsync.runs.job import Known


@pytest.mark.parametrize(
    ("everything", "applied", "read"),
    [
        ({1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}, [0, 5]),
        ({1, 2, 3, 4, 5}, {1, 2, 3}, [0, 5, 4, 3]),  # two plans that were thrown away lie between
        ({2}, {1, 2, 3, 4, 5}, [0, 5, 4, 3, 2]),  # mistakes were left out since
        (set(), {1, 2, 3, 4, 5}, [0, 5, 4, 3, 2, 1]),
        ({1, 2, 3, 4, 5}, set(), [0, 5, 4, 3, 2, 1]),  # a run was taken back since
    ],
)
def test_older_rosters_are_read_only_where_they_can_know_more(
    tmp_path: Path, everything: set[int], applied: set[int], read: list[int]
) -> None:
    """Behind a roster that was applied whole and left nothing else in the directory no older one is even fetched."""
    folders = {number: tmp_path / str(number) for number in range(6)}
    fetched: list[Path] = []
    with duckdb.connect() as db:
        for statement in tables.ddl():
            db.execute(statement)
        for number, folder in folders.items():
            note = kept_roster.Note(reading="", columns=None, absent=(), everything=number in everything)
            kept_roster.keep(db, folder, note)
        earlier = [Known(number=n, folder=str(folders[n]), applied=n in applied) for n in range(5, 0, -1)]
        rosters = kept_roster.Rosters(lambda: db, fetched.append, folders[0], earlier)
        assert list(rosters.present) == read
        assert [int(path.parent.name) for path in fetched] == read[1:]
        assert list(rosters.present) == read  # again, for the next table
        assert list(rosters) == [0, 5, 4, 3, 2, 1]  # what left long ago may be in any of them
