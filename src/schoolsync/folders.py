"""Looking into folders. What cannot be looked into is not empty: what nobody has seen is not gone.

`Path.glob` and `Path.rglob` say nothing of a folder that the disk does not give out, as if nothing were in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path


def inside(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in no order; none when it is not there.

    Raises OSError when a folder cannot be looked into: what nobody has seen is not gone.
    """

    def refuse(problem: OSError) -> None:
        if not isinstance(problem, FileNotFoundError):  # its time may have come meanwhile
            raise problem

    for place, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            yield Path(place) / name


def listed(folder: Path, pattern: str = "*") -> list[Path]:
    """What is right in a folder and has such a name, sorted; nothing when there is no such folder.

    Raises OSError when it cannot be looked into: `Path.glob` says of such a folder that it is empty.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if fnmatchcase(entry.name, pattern))
    except (FileNotFoundError, NotADirectoryError):
        return []
