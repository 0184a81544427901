"""Clever's CSV files as School Data Sync reads them: five files, the teachers of a class in its own row.

Headers are compared without letter case, because many systems write `school_id` where the documentation has
`School_id`. Columns about race, lunch and contacts are neither read nor reported.
"""

from __future__ import annotations

from schoolsync.sources.columns import Column, File, Key, Kind, LeftOut, Need
from schoolsync.sources.formats import Format, Shape

FORMAT = "clever"
TEACHERS = ("Teacher_id", *(f"Teacher_{number}_id" for number in range(2, 11)))

_SCHOOL_ID = Column("School_id", "school_id", Need.ALWAYS, Kind.ID, refers="school")
_PERSON_LEFT_OUT = (LeftOut("people"), LeftOut("person_organizations", "source_id", "school_id"))
_NAMES = (
    Column("Last_name", "surname", Need.CREATION, length=64),
    Column("Middle_name", "middle_name"),
    Column("First_name", "given_name", Need.CREATION, length=64),
)
_ACCOUNT = (
    Column("Username", "username", Need.USERNAME, Kind.USERNAME, 113),
    Column("Password", "password", Need.OPTIONAL, Kind.PASSWORD),
)

SCHOOLS = File(
    name="schools.csv",
    table="school",
    records="organizations",
    properties="school",
    keys=(Key(("source_id",)),),
    left_out=(LeftOut("organizations"),),
    columns=(
        Column("School_id", "source_id", Need.ALWAYS, Kind.ID),
        Column("School_name", "name", Need.ALWAYS),
        Column("School_number", "number"),
        Column("State_id", "state_id"),
        Column("Low_grade", "grade_low", kind=Kind.GRADE),
        Column("High_grade", "grade_high", kind=Kind.GRADE),
        Column("Principal", "principal_name"),
        Column("Principal_email", "principal_email", kind=Kind.MAIL),
        Column("School_address", "street"),
        Column("School_city", "city"),
        Column("School_state", "state"),
        Column("School_zip", "postal_code"),
        Column("School_phone", "phone"),
    ),
)
STUDENTS = File(
    name="students.csv",
    table="student",
    records="people",
    role="student",
    properties="student",
    left_out=_PERSON_LEFT_OUT,
    columns=(
        _SCHOOL_ID,
        Column("Student_id", "source_id", Need.ALWAYS, Kind.ID),
        Column("Student_number", "number", Need.MATCHING),
        Column("State_id", "state_id"),
        *_NAMES,
        Column("Grade", "grade", kind=Kind.GRADE),
        Column("DOB", "birth_date", kind=Kind.DATE, sensitive="birthDate"),
        Column("Student_email", "secondary_email", Need.MATCHING, Kind.MAIL),
        *_ACCOUNT,
    ),
    ignored=(
        *("Gender", "Race", "Hispanic_Latino", "Home_language", "Ell_status", "Frl_status", "IEP_status"),
        *(f"Student_{part}" for part in ("street", "city", "state", "zip")),
        *(f"Contact_{part}" for part in ("relationship", "type", "name", "phone", "phone_type", "email", "sis_id")),
        *("Unweighted_gpa", "Weighted_gpa", "Graduation_year"),
    ),
)
TEACHERS_FILE = File(
    name="teachers.csv",
    table="teacher",
    records="people",
    role="teacher",
    properties="teacher",
    left_out=_PERSON_LEFT_OUT,
    columns=(
        _SCHOOL_ID,
        Column("Teacher_id", "source_id", Need.ALWAYS, Kind.ID),
        Column("Teacher_number", "number", Need.MATCHING),
        Column("State_teacher_id", "state_id"),
        Column("Teacher_email", "secondary_email", Need.MATCHING, Kind.MAIL),
        *_NAMES,
        Column("Title", "title"),
        *_ACCOUNT,
    ),
)
SECTIONS = File(
    name="sections.csv",
    table="section",
    records="classes",
    properties="section",
    keys=(Key(("source_id",)),),
    left_out=(LeftOut("classes"),),
    columns=(
        _SCHOOL_ID,
        Column("Section_id", "source_id", Need.ALWAYS, Kind.ID, 56),
        *(
            Column(header, f"teacher{number}", Need.ALWAYS if number == 1 else Need.OPTIONAL, Kind.ID, refers="teacher")
            for number, header in enumerate(TEACHERS, 1)
        ),
        Column("Name", "name"),
        Column("Section_number", "number"),
        Column("Grade", "grades", kind=Kind.GRADE),
        Column("Course_name", "course_name"),
        Column("Course_number", "course_number"),
        Column("Course_description", "course_description"),
        Column("Period", "periods"),
        Column("Subject", "course_subject"),
        Column("Term_name", "term_name"),
        Column("Term_start", "term_start", kind=Kind.DATE),
        Column("Term_end", "term_end", kind=Kind.DATE),
    ),
)
ENROLLMENTS = File(
    name="enrollments.csv",
    table="student_enrollment",
    records="enrollments",
    role="student",
    keys=(Key(("class_id", "source_id"), "repeated-enrollment"),),
    left_out=(LeftOut("enrollments", "class_id", "source_id"),),
    columns=(
        _SCHOOL_ID,
        Column("Section_id", "class_id", Need.ALWAYS, Kind.ID, refers="section"),
        Column("Student_id", "source_id", Need.ALWAYS, Kind.ID, refers="student"),
    ),
)
FILES = (SCHOOLS, SECTIONS, STUDENTS, TEACHERS_FILE, ENROLLMENTS)

CLEVER = Format(id=FORMAT, title="Clever", shape=Shape.TWO_LISTS, files=FILES)
