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
import msgspec

from schoolsync.errors import WorldError, raise_worlds
from schoolsync.roster import findings

# Below this size the ratio says nothing.
_RATIO_FROM = 16 * 1024**2
_SYSTEM = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_ARCHIVES = frozenset({".zip", ".7z", ".rar", ".gz", ".tgz", ".tar", ".bz2", ".xz"})
_LINK = 0o120000
_KIND = 0o170000
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


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything a roster may have, so that no upload can fill the disk."""

    file_bytes: int = 16 * 1024**3  # of one file, unpacked
    columns: int = 500  # of one file
    cell: int = 32_768  # characters of one value
    archive_files: int = 64
    archive_bytes: int = 16 * 1024**3  # of all files of one archive, unpacked
    archive_ratio: int = 250  # how much larger a file may get; no table of names and numbers shrinks to less


DEFAULT_LIMITS = Limits()


def opened(
    db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], scratch: Path, limits: Limits
) -> list[SourceFile]:
    """The files with every archive replaced by what is in it; what is wrong with archives becomes findings.

    Raises WorldError when the scratch folder is full.
    """
    found: list[SourceFile] = []
    for number, file in enumerate(files):
        if file.base.lower().endswith(".zip") and file.blank and len(files) > 1:
            continue  # taken back, see `csv_sets`
        if file.base.lower().endswith(".zip"):
            found += _members(db, file, scratch / f"zip{number}", limits)
        else:
            found.append(file)
    return found


def _members(db: duckdb.DuckDBPyConnection, archive: SourceFile, folder: Path, limits: Limits) -> list[SourceFile]:
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive.path) as opened_zip:
            return _unpacked(db, archive, opened_zip, folder, limits)
    except _TooLargeError as problem:
        findings.add_file(db, "archive-too-large", file=archive.base, detail=str(problem))
    except _HostileError as problem:
        findings.add_file(db, "hostile-archive", file=archive.base, detail=str(problem))
    except _BROKEN as problem:
        raise_worlds(problem)
        detail = "it is protected by a password" if "password" in str(problem) else "it is not a whole zip archive"
        findings.add_file(db, "unreadable-archive", file=archive.base, detail=detail)
    return []


class _TooLargeError(Exception):
    """The archive unpacks to more than it may."""


class _HostileError(Exception):
    """The archive tries something that no roster needs."""


def _unpacked(
    db: duckdb.DuckDBPyConnection, archive: SourceFile, opened_zip: zipfile.ZipFile, folder: Path, limits: Limits
) -> list[SourceFile]:
    for number, member in enumerate(opened_zip.infolist()):
        _harmless(member, number + 1)
    members = [member for member in opened_zip.infolist() if not _packing(member)]
    if any(_system(member) for member in opened_zip.infolist()):
        findings.add_file(db, "system-files", file=archive.base)
    if len(members) > limits.archive_files:
        raise _TooLargeError(f"the setting archive_max_files allows {limits.archive_files}, and it holds more")
    found = []
    left = limits.archive_bytes
    for number, member in enumerate(members):
        name = PurePosixPath(member.filename.replace("\\", "/")).name
        if PurePosixPath(name).suffix.lower() in _ARCHIVES:
            findings.add_file(db, "nested-archive", file=archive.base, detail=f"entry {number + 1}")
            continue
        if not name.lower().endswith(".csv"):
            findings.add_file(db, "unknown-archive-member", file=archive.base, detail=f"entry {number + 1}")
            continue
        path = folder / f"{number}.csv"
        left -= _write(opened_zip, member, path, left, limits)
        found.append(SourceFile(name, path))
    if any("/" in member.filename.replace("\\", "/") for member in members):
        findings.add_file(db, "archive-folder", file=archive.base)
    return found


def _harmless(member: zipfile.ZipInfo, number: int) -> None:
    """Nothing is ever written where an archive says; one that says so is nobody's export all the same."""
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    if ".." in parts or (parts and (parts[0] == "/" or parts[0].endswith(":"))):
        raise _HostileError(f"entry {number} names a place outside of the archive")
    if (member.external_attr >> 16) & _KIND == _LINK:
        raise _HostileError(f"entry {number} is a link to another file")


def _packing(member: zipfile.ZipInfo) -> bool:
    """Whether it is a folder, or something a system adds to every archive."""
    return member.is_dir() or _system(member)


def _system(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    return "__MACOSX" in parts or (bool(parts) and (parts[-1].lower() in _SYSTEM or parts[-1].startswith("._")))


def _write(opened_zip: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, most: int, limits: Limits) -> int:
    """Unpack one member, trusting no size that the archive declares; returns the bytes written."""
    shrunk = max(_RATIO_FROM, member.compress_size * limits.archive_ratio)
    written = 0
    with opened_zip.open(member) as source, path.open("wb") as target:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > most:
                raise _TooLargeError(
                    f"it unpacks to more than {limits.archive_bytes:,} bytes (setting archive_max_bytes)"
                )
            if written > shrunk:
                most_times = f"{limits.archive_ratio} times its size (setting archive_max_ratio)"
                raise _TooLargeError(f"a file in it unpacks to more than {most_times}")
            try:
                target.write(chunk)
            except OSError as problem:
                raise WorldError(f"The scratch folder cannot be written: {problem.strerror}.") from problem
    return written
