"""The directory extension attributes that School Data Sync writes, over our own columns.

Scripts of districts look for these names on administrative units, groups and users. All values are texts. Most have a
column; those that say what an object is to School Data Sync are made up from who it is, for objects that a roster
brought. Whatever else a script writes under the prefix is kept as it is, beside the columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, func, literal, null, or_

from schoolsync.errors import Invalid
from schoolsync.store.directory_tables import classes, people, schools
from schoolsync.store.json_text import json_has, json_text

PREFIX = "extension_fe2174665583431c953114ff7268b7b3_Education_"
TEXT_MAX = 256

_SCHOOL = {
    "SyncSource_SchoolId": "external_id",
    "StateId": "state_id",
    "SchoolNumber": "school_number",
    "SchoolNationalCenterForEducationStatisticsId": "nces_id",
    "LowestGrade": "lowest_grade",
    "HighestGrade": "highest_grade",
    "SchoolPrincipalSyncSourceId": "external_principal_id",
    "SchoolPrincipalName": "principal_name",
    "SchoolPrincipalEmail": "principal_email",
    "Address": "address_street",
    "City": "address_city",
    "State": "address_state",
    "Zip": "address_postal_code",
    "Country": "address_country",
    "Phone": "phone",
    "SchoolZone": "zone",
}
_SECTION = {
    "SyncSource_SectionId": "external_id",
    "SyncSource_SchoolId": "school_source_id",
    "SyncSource_CourseId": "course_external_id",
    "SectionName": "external_name",
    "SectionNumber": "class_code",
    "TermId": "term_external_id",
    "TermName": "term_name",
    "TermStartDate": "term_start",
    "TermEndDate": "term_end",
    "CourseName": "course_name",
    "CourseNumber": "course_number",
    "CourseDescription": "course_description",
    "CourseSubject": "course_subject",
    "Period": "period",
    "Status": "status",
}
_PERSON = {
    "SyncSource_SchoolId": "school_source_id",
    "StateId": "state_id",
    "MiddleName": "middle_name",
    "Email": "secondary_email",
}
_STUDENT = _PERSON | {
    "SyncSource_StudentId": "student_external_id",
    "StudentNumber": "student_number",
    "StudentStatus": "status",
    "Grade": "student_grade",
    "GraduationYear": "graduation_year",
}
_TEACHER = _PERSON | {
    "SyncSource_TeacherId": "teacher_external_id",
    "TeacherNumber": "teacher_number",
    "TeacherStatus": "status",
    "Title": "title",
    "TeacherQualification": "qualification",
}

_MADE_UP = ("ObjectType", "AnchorId", "SyncSource")
# Written by School Data Sync until December 2018 and by scripts since; they have no column, and are kept when written.
_BESIDE = {
    "schools": (),
    "classes": (),
    "people": (
        *("Gender", "DateOfBirth", "FederalRace", "EnglishLanguageLearnersStatus"),
        *(f"Mailing{part}" for part in ("Address", "City", "State", "Zip", "Country", "Latitude", "Longitude")),
        *(f"Resident{part}" for part in ("Address", "City", "State", "Zip", "Country", "Latitude", "Longitude")),
        *(f"Residence{part}" for part in ("Address", "City", "State", "Zip", "Country")),
    ),
}
_MARK = len("Exp1126_")
"""The SIS ID of a class that a synchronization marked as expired is led by so much, and so is its anchor."""

# One column, two names: which of them an object has depends on what it is.
_OF_ONE_KIND = frozenset({"StudentStatus", "TeacherStatus"})

_TABLES = {"schools": schools, "classes": classes, "people": people}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a row is to School Data Sync: its name, and the columns behind its attributes."""

    name: str
    columns: Mapping[str, str]
    number: str  # the column with its id in the source, which its anchor is made of

    @property
    def lead(self) -> str:
        """What an anchor that nobody marked begins with."""
        return f"{self.name}_"


_KINDS: Mapping[str, tuple[_Kind, ...]] = {
    "schools": (_Kind("School", _SCHOOL, "external_id"),),
    "classes": (_Kind("Section", _SECTION, "external_id"),),
    "people": (
        _Kind("Student", _STUDENT, "student_external_id"),
        _Kind("Teacher", _TEACHER, "teacher_external_id"),
    ),
}


def _kind_of(table: str, row: Row[Any]) -> _Kind:
    kinds = _KINDS[table]
    return kinds[-1] if table == "people" and row._mapping["primary_role"] == "teacher" else kinds[0]


def names(table: str) -> tuple[str, ...]:
    """The attributes known of a table's objects, without the prefix."""
    known = [name for kind in _KINDS[table] for name in kind.columns]
    return tuple(dict.fromkeys((*_MADE_UP, *known, *_BESIDE[table])))


def shown(table: str, row: Row[Any]) -> dict[str, str]:
    """The attributes that an object has, by their whole names."""
    found = row._mapping
    kind = _kind_of(table, row)
    attributes: dict[str, str | None] = {}
    if found["source_id"] is not None:
        mark = _MARK if table == "classes" and found["expired"] is not None else 0
        number = found[kind.number]
        anchor = None if number is None else f"{number[:mark]}{kind.name}_{number[mark:]}"
        attributes = {"ObjectType": kind.name, "AnchorId": anchor, "SyncSource": "SIS"}
    attributes.update((name, found[column]) for name, column in kind.columns.items())
    beside: dict[str, str | None] = json.loads(found["extensions"] or "{}")
    if "AnchorId" in beside and _is_ours(row) and not _fits(kind, beside["AnchorId"], found[kind.number]):
        del beside["AnchorId"]  # the id has changed since it was written
    attributes.update(beside)
    return {PREFIX + name: value for name, value in attributes.items() if value is not None}


def column(table: str, written: str) -> ColumnElement[Any] | None:
    """What an attribute is in a query, by its whole name in any letter case; None when nothing is known of it."""
    name = _known(table, written)
    if name is None:
        return None
    rows = _TABLES[table].c
    kinds = _KINDS[table]

    def of(kind: _Kind) -> ColumnElement[Any]:
        match name:
            case "ObjectType":
                return literal(kind.name)
            case "AnchorId":
                number = rows[kind.number]
                anchor = literal(f"{kind.name}_").concat(number)
                if table != "classes":
                    return anchor
                mark, rest = (func.substr(number, *part) for part in ((1, _MARK), (_MARK + 1,)))
                marked = mark.concat(f"{kind.name}_").concat(rest)
                return case((rows.expired.is_not(None), marked), else_=anchor)
            case "SyncSource":
                return literal("SIS")
        return rows[kind.columns[name]] if name in kind.columns else null()

    plain = of(kinds[0])
    if len(kinds) > 1:
        shared = {kind.columns[name] for kind in kinds if name in kind.columns}
        if len(shared) == 1 and name not in _OF_ONE_KIND:
            plain = rows[shared.pop()]
        else:
            plain = case((rows.primary_role == "teacher", of(kinds[1])), else_=of(kinds[0]))
    if name not in _MADE_UP and name not in _BESIDE[table]:
        return plain
    if name in _MADE_UP:
        plain = case((rows.source_id.is_not(None), plain), else_=null())
    by_hand = json_text(rows.extensions, name)
    counts: ColumnElement[bool] = json_has(rows.extensions, name)
    if name == "AnchorId":
        fitting = [_fitting(kind, by_hand, rows[kind.number]) for kind in kinds]
        fits = case((rows.primary_role == "teacher", fitting[1]), else_=fitting[0]) if len(kinds) > 1 else fitting[0]
        foreign = [rows.source_id.is_(None), *([rows.expired.is_not(None)] if table == "classes" else [])]
        counts = and_(counts, or_(*foreign, fits))
    return case((counts, by_hand), else_=plain)


def written(table: str, row: Row[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that writing these attributes (whole names, texts or null) changes.

    An anchor changes the id that it is made of, as the attribute of that id does, and the next plan sees it; one that a
    clean-up script has marked is also kept beside the columns, and is shown for as long as the id stays.

    Raises Invalid for one that is not known, or that is no text.
    """
    kind = _kind_of(table, row)
    columns: dict[str, Any] = {}
    beside: dict[str, str | None] = json.loads(row._mapping["extensions"] or "{}")
    for spelled, value in given.items():
        name = _known(table, spelled)
        if name is None:
            raise Invalid(f"The property '{spelled[:100]}' does not exist.", target=spelled[:100])
        if value is not None and not (isinstance(value, str) and len(value) <= TEXT_MAX and "\0" not in value):
            raise Invalid(
                f"Invalid value specified for property '{spelled}': it must be a text of at most {TEXT_MAX} "
                "characters.",
                target=spelled,
            )
        if name in kind.columns:
            columns[kind.columns[name]] = value
        elif name == "AnchorId" and _is_ours(row):
            columns[kind.number] = None if value is None else value.replace(kind.lead, "", 1)
            beside.pop(name, None)
            if value is None or not value.startswith(kind.lead):
                beside[name] = value
        else:
            beside[name] = value
    if any(_known(table, spelled) not in kind.columns for spelled in given):
        kept = json.dumps(beside, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        columns["extensions"] = kept if beside else None
    return columns


def _is_ours(row: Row[Any]) -> bool:
    """Whether an object's anchor is made of its id: a roster brought it, and no synchronization has marked it."""
    return row._mapping["source_id"] is not None and row._mapping.get("expired") is None


def _fits(kind: _Kind, anchor: str | None, number: str | None) -> bool:
    """Whether an anchor that was written still says the id."""
    if anchor is None or number is None:
        return anchor is number
    return anchor.replace(kind.lead, "") == number.replace(kind.lead, "")


def _fitting(kind: _Kind, anchor: ColumnElement[Any], number: ColumnElement[Any]) -> ColumnElement[bool]:
    """`_fits` as the database sees it."""
    same = func.replace(anchor, kind.lead, "") == func.replace(number, kind.lead, "")
    return or_(same, and_(anchor.is_(None), number.is_(None)))


def _known(table: str, written: str) -> str | None:
    """The attribute's declared name."""
    if not written.lower().startswith(PREFIX.lower()):
        return None
    rest = written[len(PREFIX) :].lower()
    return next((name for name in names(table) if name.lower() == rest), None)
