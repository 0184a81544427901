"""School Data Sync V1 ("classic") CSV: its files, its columns, and how they become the canonical roster.

The one place a new column of this format has to be added. docs/formats.md says the same to people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from schoolsync.plan.policy import Policy
from schoolsync.roster import findings
from schoolsync.sources import cells, csv_sets, merging
from schoolsync.sources.columns import Column, File, Kind, Need
from schoolsync.sources.files import SourceFile
from schoolsync.sources.source import Checked, CheckOptions, Extract

FORMAT = "sds-v1"

_ID = Column("SIS ID", "source_id", Need.ALWAYS, Kind.ID)
_SCHOOL_ID = Column("School SIS ID", "school_id", Need.ALWAYS, Kind.ID)
_USERNAME = Column("Username", "username", Need.USERNAME, Kind.USERNAME, 113)
_NAMES = (
    Column("First Name", "given_name", Need.CREATION, length=64),
    Column("Last Name", "surname", Need.CREATION, length=64),
    Column("Password", "password", Need.CREATION, Kind.PASSWORD),
)

SCHOOL = File(
    name="School.csv",
    table="school",
    records="organizations",
    properties="school",
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
        Column("Birthdate", "birth_date", kind=Kind.DATE),
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
_LINK = (Column("Section SIS ID", "class_id", Need.ALWAYS, Kind.ID), _ID)
STUDENT_ENROLLMENT = File(
    name="StudentEnrollment.csv", table="student_enrollment", records="enrollments", role="student", columns=_LINK
)
TEACHER_ROSTER = File(
    name="TeacherRoster.csv", table="teacher_roster", records="enrollments", role="teacher", columns=_LINK
)
USER = File(
    name="User.csv",
    table="guardian",
    records="contacts",
    paired="relationship",
    columns=(
        Column("Email", "email", Need.ALWAYS, Kind.MAIL),
        Column("First Name", "given_name", Need.ALWAYS, length=64),
        Column("Last Name", "surname", Need.ALWAYS, length=64),
        Column("Phone", "phone", Need.HEADER),
        Column("SIS ID", "guardian_id", Need.HEADER),
    ),
)
GUARDIAN_RELATIONSHIP = File(
    name="Guardianrelationship.csv",
    table="relationship",
    records="contacts",
    paired="guardian",
    columns=(
        Column("SIS ID", "student_id", Need.ALWAYS, Kind.ID),
        Column("Email", "email", Need.ALWAYS, Kind.MAIL),
        Column("Role", "role", Need.HEADER, Kind.RELATIONSHIP),
    ),
)
FILES = (SCHOOL, SECTION, STUDENT, TEACHER, STUDENT_ENROLLMENT, TEACHER_ROSTER, USER, GUARDIAN_RELATIONSHIP)

# Headers of sister formats, in lower case: whoever uploads those files gets told which format they are.
_UK = frozenset({"id", "dfe number", "school dfe number", "section id"})
_CLEVER = frozenset({"school_id", "student_id", "teacher_id", "section_id"})


@dataclass(frozen=True, slots=True)
class Needs:
    """Which columns a profile needs, and which it does anything with."""

    policy: Policy | None
    creates: bool

    def needed(self, file: File, column: Column) -> bool:
        """Whether the file must have the column."""
        return column.need is Need.HEADER or self.filled(file, column)

    def filled(self, file: File, column: Column) -> bool:
        """Whether every row must have a value in the column."""
        match column.need:
            case Need.ALWAYS:
                return True
            case Need.CREATION:
                return self.creates
            case Need.USERNAME:
                return self.creates or self.matches(file) == column.header.lower()
            case Need.MATCHING:
                return not self.creates and self.matches(file) == column.header.lower()
            case _:
                return False

    def read(self, file: File, column: Column) -> bool:
        """Whether anything is done with the column's values; what is not needed does not get in."""
        if column.kind is Kind.PASSWORD:
            return self.creates
        if column.name == "guardian_id":
            return False
        if self.filled(file, column) or (column.need is not Need.OPTIONAL and column.need is not Need.MATCHING):
            return True
        chosen = self._chosen(file)
        return chosen is None or _joined(column.header) in chosen

    def asked_for(self, file: File) -> list[Column]:
        """Optional columns that the profile names itself."""
        chosen = self._chosen(file) or frozenset()
        return [column for column in file.columns if _joined(column.header) in chosen]

    def matches(self, file: File) -> str | None:
        """The header that accounts of this file's people are matched by, in lower case."""
        for one in self.policy.matching if self.policy else ():
            if one.role == file.role:
                return one.source.lower()
        return "username"

    def _chosen(self, file: File) -> frozenset[str] | None:
        for kind, customization in (self.policy.customizations if self.policy else {}).items():
            if kind == file.properties and customization.optional_properties is not None:
                return frozenset(map(_joined, customization.optional_properties))
        return None


def _joined(header: str) -> str:
    """Property lists are written with and without blanks ("GradeLow"), in any letter case."""
    return header.replace(" ", "").lower()


def extract(db: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], options: CheckOptions) -> Extract:
    """Read the files into raw tables; see `schoolsync.sources.extract`."""
    csv_sets.prepare(db)
    chosen: list[Needs] = []

    def wanted(headers: Mapping[str, frozenset[str]]) -> Needs:
        chosen.append(Needs(options.policy, _creates(options.policy, headers)))
        return chosen[0]

    read = csv_sets.read_set(db, files, FILES, options, wanted=wanted, hint=_hint)
    return Extract(
        format=FORMAT,
        rows=read.rows,
        tables=read.tables,
        creates=chosen[0].creates,
        fatal=findings.totals(db).fatal,
    )


def _creates(policy: Policy | None, headers: Mapping[str, frozenset[str]]) -> bool:
    """The profile says whether accounts are created; without one, a roster with names is meant for that."""
    if policy is not None:
        return policy.creates
    return any({"first name", "last name"} & headers.get(file.table, frozenset()) for file in (STUDENT, TEACHER))


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


def validate(db: duckdb.DuckDBPyConnection, extracted: Extract, options: CheckOptions) -> Checked:
    """Run the rules and fill the canonical tables; see `schoolsync.sources.validate`."""
    needs = Needs(options.policy, extracted.creates)
    tables = {name: cells.clean(db, table) for name, table in extracted.tables.items()}
    for table in tables.values():
        cells.check(
            db,
            table,
            required=[name for name, column in table.columns.items() if needs.filled(table.file, column)],
            policy=options.policy,
        )
        for column in needs.asked_for(table.file):
            cells.check_filled(db, table, column)
    merging.merge(db, tables, options.policy, matches=lambda file: _match_column(needs, file))
    total = findings.totals(db)
    return Checked(
        format=FORMAT,
        rows=extracted.rows,
        errors=total.errors,
        warnings=total.warnings,
        fatal=total.fatal,
        absent=frozenset() if {"guardian", "relationship"} & extracted.tables.keys() else frozenset({"contacts"}),
        columns={
            table.file.role if table.file.records == "people" and table.file.role else table.file.records: frozenset(
                table.columns
            )
            - {"password"}
            for table in extracted.tables.values()
        },
    )


def _match_column(needs: Needs, file: File) -> str:
    """Our name of the column that no two people may share."""
    header = "username" if needs.creates else needs.matches(file)
    return next((column.name for column in file.columns if column.header.lower() == header), "username")
