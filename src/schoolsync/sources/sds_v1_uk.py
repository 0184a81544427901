"""The UK form of School Data Sync V1: the same files with other headers for ids. Terms and courses keep theirs.

Dates are written the day first. What is not said here is as in `sds_v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from schoolsync.sources import sds_v1
from schoolsync.sources.columns import File
from schoolsync.sources.formats import Format, Shape

FORMAT = "sds-v1-uk"

_PERSON = {"SIS ID": "ID", "School SIS ID": "School DfE Number"}
_LINK = {"Section SIS ID": "Section ID", "SIS ID": "ID"}
_HEADERS: Mapping[str, Mapping[str, str]] = {
    "school": {"SIS ID": "DfE Number", "Zip": "Postal Code"},
    "section": _PERSON,
    "student": _PERSON,
    "teacher": _PERSON,
    "student_enrollment": _LINK,
    "teacher_roster": _LINK,
    "guardian": {},
    "relationship": {},
}


def _renamed(file: File) -> File:
    names = _HEADERS[file.table]
    columns = tuple(replace(column, header=names.get(column.header, column.header)) for column in file.columns)
    return replace(file, columns=columns)


FILES = tuple(_renamed(file) for file in sds_v1.FILES)

SDS_V1_UK = Format(id=FORMAT, title="School Data Sync V1, UK headers", shape=Shape.TWO_LISTS, files=FILES, dates="dmy")
