"""Files whose copies on this machine fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from schoolsync import folders
from schoolsync.errors import WorldError
from schoolsync.store.objects import Objects
from schoolsync.store.shared_objects import SharedObjects

FAILS = Path("/proc/self/mem")


@pytest.mark.skipif(not FAILS.exists(), reason="needs a file that fails to be read, as Linux has one")
def test_a_copy_that_the_disk_fails_to_give_is_the_worlds_fault(tmp_path: Path) -> None:
    """What is sent to a storage is read by a library with errors of its own: here, too, the world has failed."""
    (tmp_path / "storage").mkdir()
    (tmp_path / "objects").mkdir()
    copy = tmp_path / "objects" / "file"
    copy.symlink_to(FAILS)
    objects = SharedObjects(tmp_path / "objects", tmp_path / "tags", f"file://{tmp_path}/storage", ())
    with pytest.raises(WorldError, match="look at the disk"):
        objects.keep(copy)


def test_a_folder_that_cannot_be_looked_into_is_not_an_empty_one(tmp_path: Path) -> None:
    """Nobody takes for gone what the disk has not given out: neither files, nor runs that time has passed."""
    there = tmp_path / "tenants" / "t" / "profiles" / "p" / "runs"
    (there / "r").mkdir(parents=True)
    (there / "r" / "plan.json").touch()
    (there / "note").touch()
    found = [(folder.name, [path.name for path, _ in files]) for folder, files in Objects(tmp_path).folders("runs")]
    assert found == [("r", ["plan.json"])]
    assert folders.listed(tmp_path / "nowhere") == list(folders.inside(tmp_path / "nowhere")) == []
    (there / "loop").symlink_to(there / "loop")
    for look in (
        lambda: list(Objects(tmp_path).folders("runs")),
        lambda: folders.listed(there / "loop", "*.json"),
        lambda: list(folders.inside(there / "loop")),
    ):
        with pytest.raises(OSError, match="symbolic links"):
            look()
