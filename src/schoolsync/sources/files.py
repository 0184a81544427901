"""The files of one upload, with zip archives opened.

Only names and sizes are looked at here; what is inside a CSV is `csv_files`'s business. A zip is opened into a scratch
folder within limits, so that a small archive cannot fill the disk.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import duckdb

from schoolsync.errors import WorldError
from schoolsync.roster import findings

_MEMBERS = 64
_BYTES = 4 * 1024**3
# No table of names and numbers shrinks to a 250th; below this size the ratio says nothing.
_RATIO = 250
_RATIO_FROM = 16 * 1024**2
_CHUNK = 1024**2
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    OSError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it was uploaded: the name the client gave it, and where its bytes are."""

    name: str
    path: Path

    @property
    def base(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.name.replace("\\", "/")).name

    @property
    def blank(self) -> bool:
        """Whether there is not a single byte in it."""
        return self.path.stat().st_size == 0


def opened(db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], scratch: Path) -> list[SourceFile]:
    """The files with every archive replaced by what is in it; what is wrong with archives becomes findings.

    Raises WorldError when the scratch folder is full.
    """
    found: list[SourceFile] = []
    for number, file in enumerate(files):
        if file.base.lower().endswith(".zip") and file.blank and len(files) > 1:
            continue  # taken back, see `csv_sets`
        if file.base.lower().endswith(".zip"):
            found += _members(db, file, scratch / f"zip{number}")
        else:
            found.append(file)
    return found


def _members(db: duckdb.DuckDBPyConnection, archive: SourceFile, folder: Path) -> list[SourceFile]:
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive.path) as opened_zip:
            return _unpacked(db, archive, opened_zip, folder)
    except _TooLargeError as problem:
        findings.add_file(db, "unreadable-archive", file=archive.base, detail=str(problem))
    except _BROKEN as problem:
        detail = "it is protected by a password" if "password" in str(problem) else "it is not a whole zip archive"
        findings.add_file(db, "unreadable-archive", file=archive.base, detail=detail)
    return []


class _TooLargeError(Exception):
    """The archive unpacks to more than it may."""


def _unpacked(
    db: duckdb.DuckDBPyConnection, archive: SourceFile, opened_zip: zipfile.ZipFile, folder: Path
) -> list[SourceFile]:
    members = [member for member in opened_zip.infolist() if not _packing(member)]
    if len(members) > _MEMBERS:
        raise _TooLargeError(f"it holds more than {_MEMBERS} files")
    found = []
    left = _BYTES
    for number, member in enumerate(members):
        name = PurePosixPath(member.filename.replace("\\", "/")).name
        if not name.lower().endswith(".csv"):
            findings.add_file(db, "unknown-archive-member", file=archive.base, detail=f"entry {number + 1}")
            continue
        path = folder / f"{number}.csv"
        left -= _write(opened_zip, member, path, left)
        found.append(SourceFile(name, path))
    return found


def _packing(member: zipfile.ZipInfo) -> bool:
    """Whether it is a folder, or something macOS adds to every archive."""
    parts = PurePosixPath(member.filename).parts
    return member.is_dir() or "__MACOSX" in parts or (bool(parts) and parts[-1] == ".DS_Store")


def _write(opened_zip: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, most: int) -> int:
    """Unpack one member, trusting no size that the archive declares; returns the bytes written."""
    most = min(most, max(_RATIO_FROM, member.compress_size * _RATIO))
    written = 0
    with opened_zip.open(member) as source, path.open("wb") as target:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > most:
                raise _TooLargeError("it unpacks to more than a roster can have")
            try:
                target.write(chunk)
            except OSError as problem:
                raise WorldError(f"The scratch folder cannot be written: {problem.strerror}.") from problem
    return written
