"""Files whose copies on this machine fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from schoolsync.errors import WorldError
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
