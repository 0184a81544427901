"""Which files of a folder are a roster. Light to import: whoever sends a roster to a server loads no engine."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

_ENDINGS = {".csv", ".zip"}


class NoRosterError(Exception):
    """There is no roster at the path; the message says so."""


def files(path: Path) -> list[tuple[str, Path]]:
    """Names and places of the files of the roster; what else lies in its folder is none of it. Raises NoRosterError."""
    try:
        found = _files(path)
    except OSError as problem:
        raise NoRosterError(
            f"{path} cannot be read: {problem.strerror or 'the disk does not answer'}. Look at the path."
        ) from problem
    if not found:
        raise NoRosterError(f"{path} holds no CSV or zip file: export the roster as CSV files, or zip them.")
    return found


def _files(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        if path.suffix.lower() not in _ENDINGS or not stat.S_ISREG(path.stat().st_mode):
            path.stat()  # whether it is there
            return []  # a pipe is not waited for: a roster is read more than once
        with path.open("rb"):
            pass  # whether it may be read
        return [(path.name, path)]
    found = sorted(one for one in path.iterdir() if one.suffix.lower() in _ENDINGS and not one.name.startswith("."))
    return [(one.name, one) for one in found if one.is_file()]


def refuse(sentence: str) -> int:
    """Say on standard error why the command was not done; returns the exit status for that."""
    print(f"schoolsync: {sentence}", file=sys.stderr)
    return 2
