"""Unpacks the wheels of the Graph SDKs that `pip download` left in a folder: of their tens of thousands of files those
that the tests of schools, classes and people load.

python requirements/unpack_sdks.py FOLDER
"""

import sys
import zipfile
from pathlib import Path

WHOLE = {"education", "models"}  # below `generated`
TOP = {"users", "groups", "directory"}  # of these the lists and the single objects, not what is below them
TOP_DEPTH = 6


def wanted(name: str) -> bool:
    """Whether a file of a wheel is needed."""
    parts = name.split("/")
    if parts[0].endswith((".dist-info", ".data")) or not name.endswith(".py"):
        return parts[0].endswith(".dist-info") and parts[-1] == "METADATA"
    return len(parts) <= 3 or parts[2] in WHOLE or (parts[2] in TOP and len(parts) <= TOP_DEPTH)


def main(folder: Path) -> None:
    """Each wheel into a folder of its own, named as the distribution is."""
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder / wheel.name.partition("-")[0], filter(wanted, packed.namelist()))
        wheel.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
