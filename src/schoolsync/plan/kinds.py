"""The kinds of objects and links a plan knows, and where each of their properties comes from.

A new column of the canonical roster that shall reach the directory gets one line here. Names of columns are those of
the directory's tables; values are SQL expressions over a record `r` of the roster.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from schoolsync.plan.policy import Kind, Policy, Role

ObjectTable = Literal["schools", "classes", "people"]
LinkTable = Literal["school_classes", "school_people", "class_people"]


@dataclass(frozen=True, slots=True)
class Property:
    """One column of an object."""

    column: str
    source: str  # the column of the canonical roster, or an SQL expression over the record `r`
    header: str | None = None  # CSV header, for what a profile may choose to leave out
    account: bool = False  # belongs to the account: written only by profiles that create accounts
    sticky: bool = False  # given once; later only when the profile allows display names to be updated
    # What other rows say of the record, by their kind in `roster.left_out`: when such a row is left out for a mistake,
    # an object that is there keeps the value.
    told_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKind:
    """Schools, classes, students or teachers."""

    name: Kind
    table: ObjectTable
    records: str  # canonical table
    role: Role | None = None
    identity: str  # the kind as object ids are derived from it
    entry: str  # the kind as errors name it
    given: str  # what the source calls its set of columns
    properties: tuple[Property, ...]

    @property
    def where(self) -> str:
        """The condition that picks the kind's records `r` out of their canonical table, or out of `left_out`."""
        return f"r.role = '{self.role}'" if self.role else "true"

    @property
    def relation(self) -> str:
        """Where its records are read from."""
        return f"planned.{self.records}" if self.records == "organizations" else f"roster.{self.records}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKind:
    """One kind of membership: which records say so, and whose customization rules it."""

    name: str
    table: LinkTable
    policy: Kind  # whose isSyncDeferred leaves it alone
    left: Kind
    right: Kind
    records: str  # canonical table
    left_source: str  # its column with the left object's source id
    right_source: str
    role: Role | None = None  # of its records
    entry: str  # the kind as errors name it
    left_out: tuple[str, str]  # the columns of roster.left_out that hold the same two source ids

    @property
    def where(self) -> str:
        """The condition that picks the kind's records `r` out of their canonical table."""
        return f"r.role = '{self.role}'" if self.role else "true"

    @property
    def relation(self) -> str:
        """Where its records are read from: those that hold today, one for each pair."""
        return f"roster.{self.records}" if self.records == "classes" else f"planned.{self.records}"

    @property
    def person(self) -> str | None:
        """The column that says which kind of person the right end is, when that is not always the same."""
        return "person_role" if self.records == "enrollments" else None

    @property
    def teacher(self) -> bool:
        """Whether the person teaches the class."""
        return self.name == "teacherRoster"


GUARDIANS = "guardians"
"""What steps on guardians are called: they stand in the rows of pupils and are planned, held and approved apart."""

CONTACTS = "coalesce(c.contacts, '[]')"
"""A student's guardians, from the canonical table that a source may not have at all."""

# `facts` is the one-row table of what holds for the whole plan (`desired.prepare`).
_WHO = (Property("external_source", "'sis'"), Property("external_source_detail", "facts.profile_name"))

_FULL_NAME = "coalesce(nullif(concat_ws(' ', r.given_name, r.surname), ''), r.username)"
_PERSON = (
    *_WHO,
    Property("primary_role", "r.role"),
    Property("school_source_id", "school_id"),
    Property("display_name", _FULL_NAME, account=True, sticky=True),
    Property("given_name", "given_name", account=True),
    Property("surname", "surname", account=True),
    Property("mail", "email", account=True),
    Property("mobile_phone", "phone"),
    Property("middle_name", "middle_name", "Middle Name"),
    Property("state_id", "state_id", "State ID"),
    Property("secondary_email", "secondary_email", "Secondary Email"),
    Property("status", "status", "Status"),
)

SCHOOL = ObjectKind(
    name="school",
    table="schools",
    records="organizations",
    identity="school",
    entry="School",
    given="organizations",
    properties=(
        *_WHO,
        Property("display_name", "name"),
        Property("external_id", "source_id"),
        Property("school_number", "number", "School Number"),
        Property("nces_id", "nces_id", "School NCES_ID"),
        Property("state_id", "state_id", "State ID"),
        Property("lowest_grade", "grade_low", "Grade Low"),
        Property("highest_grade", "grade_high", "Grade High"),
        Property("external_principal_id", "principal_id", "Principal SIS ID"),
        Property("principal_name", "principal_name", "Principal Name"),
        Property("principal_email", "principal_email", "Principal Secondary Email"),
        Property("address_street", "street", "Address"),
        Property("address_city", "city", "City"),
        Property("address_state", "state", "State"),
        Property("address_country", "country", "Country"),
        Property("address_postal_code", "postal_code", "Zip"),
        Property("phone", "phone", "Phone"),
        Property("zone", "zone", "Zone"),
    ),
)
SECTION = ObjectKind(
    name="section",
    table="classes",
    records="classes",
    identity="class",
    entry="Section",
    given="classes",
    properties=(
        *_WHO,
        Property("display_name", "name", sticky=True),
        Property("external_id", "source_id"),
        Property("external_name", "name"),
        Property("school_source_id", "school_id"),
        Property("class_code", "number", "Section Number"),
        Property("term_external_id", "term_id", "Term SIS ID", told_by="class_terms"),
        Property("term_name", "term_name", "Term Name", told_by="class_terms"),
        Property("term_start", "term_start", "Term StartDate", told_by="class_terms"),
        Property("term_end", "term_end", "Term EndDate", told_by="class_terms"),
        Property("course_external_id", "course_id", "Course SIS ID", told_by="class_courses"),
        Property("course_name", "course_name", "Course Name", told_by="class_courses"),
        Property("course_number", "course_number", "Course Number", told_by="class_courses"),
        Property("course_description", "course_description", "Course Description", told_by="class_courses"),
        Property("course_subject", "course_subject", "Course Subject", told_by="class_courses"),
        Property("period", "periods", "Periods"),
        Property("status", "status", "Status"),
    ),
)
STUDENT = ObjectKind(
    name="student",
    table="people",
    records="people",
    role="student",
    identity="student",
    entry="Student",
    given="student",
    properties=(
        *_PERSON,
        Property("student_external_id", "source_id"),
        Property("student_number", "number", "Student Number"),
        Property("student_grade", "grade", "Grade"),
        Property("birth_date", "birth_date", "Birthdate", told_by="demographics"),
        Property("gender", "gender", told_by="demographics"),
        Property("graduation_year", "graduation_year", "Graduation Year"),
        Property("related_contacts", CONTACTS),
    ),
)
TEACHER = ObjectKind(
    name="teacher",
    table="people",
    records="people",
    role="teacher",
    identity="teacher",
    entry="Teacher",
    given="teacher",
    properties=(
        *_PERSON,
        Property("teacher_external_id", "source_id"),
        Property("teacher_number", "number", "Teacher Number"),
        Property("title", "title", "Title"),
        Property("qualification", "qualification", "Qualification"),
    ),
)
OBJECTS: tuple[ObjectKind, ...] = (SCHOOL, SECTION, STUDENT, TEACHER)


def _attends(role: Role, entry: str) -> LinkKind:
    return LinkKind(
        name=f"{role}Schools",
        table="school_people",
        policy=role,
        left="school",
        right=role,
        records="person_organizations",
        left_source="school_id",
        right_source="source_id",
        role=role,
        entry=entry,
        left_out=("other", "source_id"),
    )


def _enrolled(name: Literal["studentEnrollment", "teacherRoster"], role: Role, entry: str) -> LinkKind:
    return LinkKind(
        name=name,
        table="class_people",
        policy=name,
        left="section",
        right=role,
        records="enrollments",
        left_source="class_id",
        right_source="source_id",
        role=role,
        entry=entry,
        left_out=("source_id", "other"),
    )


LINKS: tuple[LinkKind, ...] = (
    LinkKind(
        name="schoolSections",
        table="school_classes",
        policy="section",
        left="school",
        right="section",
        records="classes",
        left_source="school_id",
        right_source="source_id",
        entry="SchoolSections",
        left_out=("other", "source_id"),
    ),
    _attends("student", "SchoolStudents"),
    _attends("teacher", "SchoolTeachers"),
    _enrolled("studentEnrollment", "student", "StudentEnrollment"),
    _enrolled("teacherRoster", "teacher", "TeacherRoster"),
)

LINK_SIDES: Mapping[LinkTable, tuple[str, str]] = {
    "school_classes": ("school", "class"),
    "school_people": ("school", "person"),
    "class_people": ("class", "person"),
}
"""The key columns of each table of links."""


def school_of(table: ObjectTable, row: str = "") -> str:
    """The SQL for the SIS ID of the school that an object (a row of `held`) belongs to: for a school its own."""
    return f"{row}source_id" if table == "schools" else f"{row}school_source_id"


class Writing(Enum):
    """What happens to a property of an object."""

    WRITE = "write"  # it becomes what the roster says
    ONCE = "once"  # a new object gets it, an existing one keeps its own
    LEAVE = "leave"  # it is none of the roster's business


def writing(
    kind: ObjectKind, policy: Policy, *, columns: Mapping[str, Collection[str]] | None, absent: Collection[str] = ()
) -> dict[Property, Writing]:
    """How the profile wants each property of `kind` treated.

    `columns` are those of the canonical tables that this roster has at all and `absent` the tables it has no file
    for: what is not there says nothing, and is left as it is. None means all columns.
    """
    customization = policy.customization(kind.name)
    chosen = customization.optional_properties
    wanted = None if chosen is None else {_folded(header) for header in chosen}
    there = None if columns is None else columns.get(kind.given, ())
    result: dict[Property, Writing] = {}
    for one in kind.properties:
        if one.source == CONTACTS:
            said = "contacts" not in absent
        elif one.account and not policy.creates:
            said = one.sticky and customization.allow_display_name_update and _named(there)
        elif there is not None and one.source.isidentifier():
            said = one.source in there
        else:
            said = True
        if one.header is not None and wanted is not None and _folded(one.header) not in wanted:
            said = False
        if one.column == "mail" and kind.role in policy.recipes and policy.recipes[kind.role].mail is not None:
            said = False  # made up when the account is created, and its own from then on
        once = one.sticky and not customization.allow_display_name_update
        result[one] = Writing.LEAVE if not said else Writing.ONCE if once else Writing.WRITE
    return result


def _named(columns: Collection[str] | None) -> bool:
    """Whether the roster says what people are called."""
    return columns is None or {"given_name", "surname"} <= set(columns)


def _folded(header: str) -> str:
    """Property lists are written with and without blanks, in any letter case."""
    return header.replace(" ", "").lower()


def compared(table: str) -> tuple[str, ...]:
    """The columns of a table that a plan may write to an existing object, each once."""
    columns = [one.column for kind in OBJECTS if kind.table == table for one in kind.properties]
    return tuple(dict.fromkeys(columns))
