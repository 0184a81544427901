"""Which format an upload has, told from the names and the first lines of its files; and why.

Every format is asked how much of the upload it can explain: files by their names, columns by their headers. The one
that explains most is taken, and what decided between it and the next is said in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from schoolsync.sources.formats import Format

Headers = Mapping[str, frozenset[str]]
"""Name of a file without folders, in lower case -> its headers, in lower case."""

MANIFEST = "manifest.csv"
_VERSION = re.compile(r"1\.2(\.\d+)?|1\.20")


@dataclass(frozen=True, slots=True)
class Detected:
    """A format, and the sentence that says why it is this one."""

    format: Format
    why: str


def detect(files: Headers, manifest: Mapping[str, str], known: Sequence[Format]) -> Detected:
    """The format of an upload; `manifest` holds what its manifest says, if it has one.

    An upload that looks like nothing is taken for the first of `known`, which then says what it misses.
    """
    formats = {one.id: one for one in known}
    for test in (_oneroster, _users, _lists):
        found = test(files, manifest)
        if found is not None and found[0] in formats:
            return Detected(formats[found[0]], found[1])
    return _nearest(files, known)


def _has(files: Headers, name: str, *headers: str) -> bool:
    return set(headers) <= files.get(name, frozenset())


def _oneroster(files: Headers, manifest: Mapping[str, str]) -> tuple[str, str] | None:
    version = manifest.get("oneroster.version")
    if version is not None:
        newer = _VERSION.fullmatch(version) is not None
        return ("oneroster-1.2" if newer else "oneroster-1.1"), f"manifest.csv names OneRoster {version}"
    recorded = [name for name, headers in files.items() if {"sourcedid", "status", "datelastmodified"} <= headers]
    if not recorded and not _has(files, "users.csv", "enableduser"):
        return None
    what = "files have the columns status and dateLastModified" if recorded else "users.csv has the column enabledUser"
    if "roles.csv" in files or "userprofiles.csv" in files or _has(files, "users.csv", "usermasteridentifier"):
        return "oneroster-1.2", f"{what}, and roles stand in a file of their own"
    return "oneroster-1.1", f"{what}, and there is no roles.csv"


def _users(files: Headers, manifest: Mapping[str, str]) -> tuple[str, str] | None:
    if "roles.csv" in files and {"orgs.csv", "users.csv"} & files.keys():
        return "sds-v2.1", "roles.csv stands beside users.csv and orgs.csv"
    if _has(files, "users.csv", "orgsourcedids", "role"):
        return "sds-v2", "users.csv has the columns orgSourcedIds and role, and there is no roles.csv"
    if {"userflags.csv", "relationships.csv", "academicsessions.csv"} & files.keys():
        return "sds-v2.1", "there are files that only School Data Sync V2.1 has"
    return None


def _lists(files: Headers, manifest: Mapping[str, str]) -> tuple[str, str] | None:
    asked = ["school.csv"] if "school.csv" in files else list(files)
    uk = [name for name in asked if {"dfe number", "school dfe number"} & files[name]]
    if uk:
        return "sds-v1-uk", f"{min(uk)} has the DfE number as its id"
    clever = [name for name, headers in files.items() if {"school_id", "section_id", "student_id"} & headers]
    if clever and {"schools.csv", "students.csv", "teachers.csv", "sections.csv", "enrollments.csv"} & set(clever):
        return "clever", f"{min(clever)} has the ids of the Clever format"
    return None


def _nearest(files: Headers, known: Sequence[Format]) -> Detected:
    """The format that has most of the names, then most of the headers; the first of equals."""

    def explained(one: Format) -> tuple[int, int]:
        names = {file.name.lower(): file for file in one.files}
        there = [names[name] for name in files if name in names]
        columns = sum(len({header.lower() for header in file.headers} & files[file.name.lower()]) for file in there)
        return columns, len(there)

    best = max(known, key=explained)
    columns, names = explained(best)
    if not names:
        return Detected(known[0], "no file has a name that any format knows")
    said = f"{names} file name{'s' * (names > 1)} and {columns} header{'s' * (columns > 1)}"
    return Detected(best, f"{said} are those of {best.title}")


def manifest_of(read: Callable[[], Sequence[Sequence[str]]]) -> dict[str, str]:
    """What a manifest says, property by property, from the rows that `read` gives."""
    return {row[0].strip().lower(): row[1].strip() for row in read() if len(row) >= 2}
