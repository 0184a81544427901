"""School Data Sync V1 ("classic") CSV: its files and columns.

The one place a new column of this format has to be added. docs/formats.md says the same to people.
"""

from __future__ import annotations

from schoolsync.sources.columns import Column, File, Key, Kind, LeftOut, Need
from schoolsync.sources.formats import Format, Shape

FORMAT = "sds-v1"

_ID = Column("SIS ID", "source_id", Need.ALWAYS, Kind.ID)
_SCHOOL_ID = Column("School SIS ID", "school_id", Need.ALWAYS, Kind.ID, refers="school")
_USERNAME = Column("Username", "username", Need.USERNAME, Kind.USERNAME, 113)
_NAMES = (
    Column("First Name", "given_name", Need.CREATION, length=64),
    Column("Last Name", "surname", Need.CREATION, length=64),
    Column("Password", "password", Need.CREATION, Kind.PASSWORD),
)

_PERSON_LEFT_OUT = (LeftOut("people"), LeftOut("person_organizations", "source_id", "school_id"))

SCHOOL = File(
    name="School.csv",
    table="school",
    records="organizations",
    properties="school",
    keys=(Key(("source_id",)),),
    left_out=(LeftOut("organizations"),),
    columns=(
        _ID,
        Column("Name", "name", Need.ALWAYS),
        Column("School Number", "number"),
        Column("School NCES_ID", "nces_id"),
        Column("State ID", "state_id"),
        Column("Grade Low", "grade_low", kind=Kind.GRADE),
        Column("Grade High", "grade_high", kind=Kind.GRADE),
        Column("Principal SIS ID", "principal_id"),
        Column("Principal Name", "principal_name"),
        Column("Principal Secondary Email", "principal_email", kind=Kind.MAIL),
        Column("Address", "street"),
        Column("City", "city"),
        Column("State", "state"),
        Column("Country", "country"),
        Column("Zip", "postal_code"),
        Column("Phone", "phone"),
        Column("Zone", "zone"),
    ),
)
SECTION = File(
    name="Section.csv",
    table="section",
    records="classes",
    properties="section",
    keys=(Key(("source_id",)),),
    left_out=(LeftOut("classes"),),
    columns=(
        Column("SIS ID", "source_id", Need.ALWAYS, Kind.ID, 56),  # 64 with the prefix of its alias
        _SCHOOL_ID,
        Column("Section Name", "name", Need.ALWAYS),
        Column("Section Number", "number"),
        Column("Term SIS ID", "term_id"),
        Column("Term Name", "term_name"),
        Column("Term StartDate", "term_start", kind=Kind.DATE),
        Column("Term EndDate", "term_end", kind=Kind.DATE),
        Column("Course SIS ID", "course_id"),
        Column("Course Name", "course_name"),
        Column("Course Number", "course_number"),
        Column("Course Description", "course_description"),
        Column("Course Subject", "course_subject"),
        Column("Periods", "periods"),
        Column("Status", "status"),
    ),
)
STUDENT = File(
    name="Student.csv",
    table="student",
    records="people",
    role="student",
    properties="student",
    left_out=_PERSON_LEFT_OUT,
    columns=(
        _ID,
        _SCHOOL_ID,
        _USERNAME,
        *_NAMES,
        Column("State ID", "state_id"),
        Column("Secondary Email", "secondary_email", Need.MATCHING, Kind.MAIL),
        Column("Student Number", "number", Need.MATCHING),
        Column("Middle Name", "middle_name"),
        Column("Grade", "grade", kind=Kind.GRADE),
        Column("Status", "status"),
        Column("Birthdate", "birth_date", kind=Kind.DATE, sensitive="birthDate"),
        Column("Graduation Year", "graduation_year", kind=Kind.YEAR, length=4),
    ),
    # Given up by the format in December 2018, still written by exporters; not read, as the pupils' privacy wants it.
    ignored=(
        *(
            f"{place} {part}"
            for place in ("Mailing", "Resident", "Residence")
            for part in ("Address", "City", "State", "Zip", "Latitude", "Longitude", "Country")
        ),
        "Gender",
        "ELL Status",
        "FederalRace",
    ),
)
TEACHER = File(
    name="Teacher.csv",
    table="teacher",
    records="people",
    role="teacher",
    properties="teacher",
    left_out=_PERSON_LEFT_OUT,
    columns=(
        _ID,
        _SCHOOL_ID,
        _USERNAME,
        *_NAMES,
        Column("State ID", "state_id"),
        Column("Teacher Number", "number", Need.MATCHING),
        Column("Status", "status"),
        Column("Middle Name", "middle_name"),
        Column("Secondary Email", "secondary_email", Need.MATCHING, Kind.MAIL),
        Column("Title", "title"),
        Column("Qualification", "qualification"),
    ),
)
_CLASS_ID = Column("Section SIS ID", "class_id", Need.ALWAYS, Kind.ID, refers="section")
_ONCE = (Key(("class_id", "source_id"), "repeated-enrollment"),)
_LINK_LEFT_OUT = (LeftOut("enrollments", "class_id", "source_id"),)
STUDENT_ENROLLMENT = File(
    name="StudentEnrollment.csv",
    table="student_enrollment",
    records="enrollments",
    role="student",
    keys=_ONCE,
    left_out=_LINK_LEFT_OUT,
    columns=(_CLASS_ID, Column("SIS ID", "source_id", Need.ALWAYS, Kind.ID, refers="student")),
)
TEACHER_ROSTER = File(
    name="TeacherRoster.csv",
    table="teacher_roster",
    records="enrollments",
    role="teacher",
    keys=_ONCE,
    left_out=_LINK_LEFT_OUT,
    columns=(_CLASS_ID, Column("SIS ID", "source_id", Need.ALWAYS, Kind.ID, refers="teacher")),
)
USER = File(
    name="User.csv",
    table="guardian",
    records="contacts",
    paired="relationship",
    sensitive="contacts",
    keys=(Key(("lower(email)",), "repeated-guardian"),),
    columns=(
        Column("Email", "email", Need.ALWAYS, Kind.MAIL),
        Column("First Name", "given_name", Need.ALWAYS, length=64),
        Column("Last Name", "surname", Need.ALWAYS, length=64),
        Column("Phone", "phone", Need.HEADER),
        Column("SIS ID", "", Need.HEADER),  # the guardian's, which is nothing to us
    ),
)
GUARDIAN_RELATIONSHIP = File(
    name="Guardianrelationship.csv",
    table="relationship",
    records="contacts",
    paired="guardian",
    sensitive="contacts",
    keys=(Key(("student_id", "lower(email)"), "repeated-relationship"),),
    left_out=(LeftOut("contacts", "student_id", "email"),),
    columns=(
        Column("SIS ID", "student_id", Need.ALWAYS, Kind.ID, refers="student"),
        Column("Email", "email", Need.ALWAYS, Kind.MAIL, refers="guardian"),
        Column("Role", "role", Need.HEADER, Kind.RELATIONSHIP),
    ),
)
FILES = (SCHOOL, SECTION, STUDENT, TEACHER, STUDENT_ENROLLMENT, TEACHER_ROSTER, USER, GUARDIAN_RELATIONSHIP)

# Headers of sister formats, in lower case: whoever uploads those files gets told which format they are.
_UK = frozenset({"id", "dfe number", "school dfe number", "section id"})
_CLEVER = frozenset({"school_id", "student_id", "teacher_id", "section_id"})


def _hint(file: File, column: Column, headers: frozenset[str]) -> str:
    """More about a missing column, when its file looks like a known mistake."""
    if headers & _CLEVER:
        return " The headers are those of the Clever format."
    if headers & _UK and "sis id" not in headers:
        return " The headers are those of the UK format."
    numbers = {other.header for other in file.columns if other.header.endswith(" Number")}
    there = sorted(number for number in numbers if number.lower() in headers)
    if column.header == "SIS ID" and there:
        return f" {there[0]} is another column and does not replace it."
    return ""


SDS_V1 = Format(
    id=FORMAT,
    title="School Data Sync V1 (classic)",
    shape=Shape.TWO_LISTS,
    files=FILES,
    hint=_hint,
)
