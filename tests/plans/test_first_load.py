"""A first load sets the indexes aside that only make look-ups quick, and however it ends they are there again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from schoolsync.targets import local

from .districts import DISTRICT, Directory, GivenSource, engine, person

LOOKED_UP = {"people_student_external_id", "people_teacher_external_id"}


@pytest.fixture
def directory(tmp_path: Path, roster_source: GivenSource, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """An empty directory in a file, where three new rows are a great many."""
    monkeypatch.setattr(local, "GREAT", 3)
    return Directory(tmp_path / "house", roster_source)


def schema(directory: Directory) -> dict[str, list[tuple[object, ...]]]:
    """All that SQLite knows of the file's tables, and what it is told to expect of them."""
    return {
        "made": directory.query("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 2"),
        "expects": directory.query("SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY 1, 2"),
    }


def aside(directory: Directory) -> set[object]:
    """The indexes of people that are not there."""
    return LOOKED_UP - {name for (name,) in directory.query("SELECT name FROM sqlite_master WHERE type = 'index'")}


def begun(directory: Directory) -> tuple[msgspec.Struct, int]:
    """A first load with its first people in; its job and the number of its batches."""
    job = directory.job(DISTRICT, batch_rows=4)
    with engine(job) as work:
        work.extract()
        work.validate()
        batches = work.plan().batches
        assert aside(directory) == set()
        while not aside(directory):
            work.apply(_next(directory))
        # Whoever is killed here leaves the file like this; the engine's own way out is tested below.
        work._directory, left = None, work._directory
        assert left is not None
        left._bulk.close()
    return job, batches


def _next(directory: Directory) -> int:
    return int(directory.query("SELECT count(*) FROM batches")[0][0])


def test_a_first_load_leaves_the_file_as_a_small_one_does(
    directory: Directory, tmp_path: Path, roster_source: GivenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tables, indexes and expectations, and the same content."""
    directory.sync(DISTRICT)
    monkeypatch.setattr(local, "GREAT", 1000)
    small = Directory(tmp_path / "small", roster_source)
    small.sync(DISTRICT)
    assert schema(directory) == schema(small)
    assert directory.content() == small.content()


def test_what_is_unique_and_what_has_changed_is_known_at_any_moment(directory: Directory) -> None:
    """While indexes are aside no two accounts can have one name, and delta queries find what has come."""
    begun(directory)
    assert aside(directory) == LOOKED_UP
    there = {name for (name,) in directory.query("SELECT name FROM sqlite_master WHERE tbl_name = 'people'")}
    assert {"people_account", "people_position", "sqlite_autoindex_people_2"} <= there


def test_an_attempt_after_a_death_makes_them_and_goes_on(
    directory: Directory, tmp_path: Path, roster_source: GivenSource
) -> None:
    """The next attempt at the run has all indexes before it writes, and ends with the undisturbed result."""
    job, batches = begun(directory)
    with engine(msgspec.structs.replace(job, fence=2)) as work:
        work.plan()
        assert aside(directory) == set()
        for batch in range(batches):
            work.apply(batch)
        assert aside(directory) == set()  # there is somebody in the table: it is no first load any more
        work.finish()
    whole = Directory(tmp_path / "whole", roster_source)
    whole.sync(DISTRICT)
    assert directory.content() == whole.content()
    assert schema(directory) == schema(whole)


def test_a_load_that_is_paused_or_cancelled_makes_them(directory: Directory) -> None:
    """An engine that is sent away between two batches leaves nothing aside."""
    job = directory.job(DISTRICT, batch_rows=4)
    with engine(job) as work:
        work.extract()
        work.validate()
        work.plan()
        while not aside(directory):
            work.apply(_next(directory))
    assert aside(directory) == set()
    assert "indexes_aside" not in {name for (name,) in directory.query("SELECT name FROM sqlite_master")}


def test_another_run_makes_what_a_dead_one_left(directory: Directory) -> None:
    """The load is given up for good: whoever writes next makes them."""
    begun(directory)
    directory.sync(DISTRICT, profile=1)
    assert aside(directory) == set()


def test_a_first_synchronization_has_larger_batches_of_its_own(directory: Directory) -> None:
    """What comes later keeps to the small ones, for which hardly anybody waits."""
    sizes = {"batch_rows": 4, "first_batch_rows": 1000}
    directory.sync(DISTRICT, **sizes)
    first = directory.query("SELECT rows FROM batches")
    assert max(first) > (4,)
    again = Directory(directory.folder.with_name("again"), directory.source)
    again.sync(DISTRICT, batch_rows=4)
    assert len(again.query("SELECT rows FROM batches")) > len(first)
    assert again.content() == directory.content()
    more = DISTRICT
    for number in range(6):
        more = more.plus("people", person("student", f"new-{number}", "A"))
    assert directory.sync(more, **sizes).steps["people"] == {"create": 6}
    assert directory.query("SELECT max(rows) FROM batches WHERE run = 'run-2'") == [(1,)]
