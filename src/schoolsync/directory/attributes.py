"""The directory extension attributes that School Data Sync writes, read from our own columns.

Scripts of districts look for these names on administrative units, groups and users. All values are texts. Objects
that no roster ever named have none.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Row

PREFIX = "extension_fe2174665583431c953114ff7268b7b3_Education_"

_SCHOOL = {
    "SyncSource_SchoolId": "source_id",
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
    "SyncSource_SectionId": "source_id",
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


def of_school(row: Row[tuple[object, ...]]) -> dict[str, str]:
    """Attributes of the administrative unit behind a school."""
    return _attributes(row, "School", _SCHOOL)


def of_class(row: Row[tuple[object, ...]]) -> dict[str, str]:
    """Attributes of the group behind a class."""
    return _attributes(row, "Section", _SECTION)


def of_person(row: Row[tuple[object, ...]]) -> dict[str, str]:
    """Attributes of the user behind a pupil or a teacher."""
    if row._mapping["primary_role"] == "teacher":
        return _attributes(row, "Teacher", _TEACHER)
    return _attributes(row, "Student", _STUDENT)


def _attributes(row: Row[tuple[object, ...]], kind: str, columns: Mapping[str, str]) -> dict[str, str]:
    found = row._mapping
    source_id = found["source_id"]
    if source_id is None:
        return {}
    attributes = {
        "ObjectType": kind,
        "AnchorId": f"{kind}_{source_id}",
        "SyncSource": "SIS",
        **{name: found[column] for name, column in columns.items() if found[column] is not None},
    }
    return {PREFIX + name: value for name, value in attributes.items()}
