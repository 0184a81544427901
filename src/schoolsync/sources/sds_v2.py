"""School Data Sync V2 and V2.1 CSV: one list of users, whose roles say what they are where.

The one place a new column of these formats has to be added. Letter case of coded values does not count.
"""

from __future__ import annotations

from dataclasses import replace

from schoolsync.sources.columns import Column, File, Key, Kind, LeftOut, Need
from schoolsync.sources.formats import Format, Shape

_ID = Column("sourcedId", "source_id", Need.ALWAYS, Kind.ID)
_USER = Column("userSourcedId", "user_id", Need.ALWAYS, Kind.ID, refers="users")
_ORG = Column("orgSourcedId", "organization_id", Need.ALWAYS, Kind.ID, refers="orgs")

ORGS = File(
    name="orgs.csv",
    table="orgs",
    records="organizations",
    properties="school",
    keys=(Key(("source_id",)),),
    left_out=(LeftOut("organizations"),),
    columns=(
        _ID,
        Column("name", "name", Need.ALWAYS),
        Column("type", "type", Need.ALWAYS, Kind.CODE, codes="org-types"),
        Column("parentSourcedId", "parent_id", kind=Kind.ID, refers="orgs"),
    ),
)
USERS = File(
    name="users.csv",
    table="users",
    records="people",
    keys=(Key(("source_id",)),),
    left_out=(LeftOut("people"), LeftOut("person_organizations")),
    columns=(
        _ID,
        Column("username", "username", Need.USERNAME, Kind.USERNAME, 113),
        Column("givenName", "given_name", Need.CREATION, length=64),
        Column("familyName", "surname", Need.CREATION, length=64),
        Column("password", "password", Need.OPTIONAL, Kind.PASSWORD),
        Column("activeDirectoryMatchId", "match_id", Need.MATCHING),
        Column("email", "email", Need.MATCHING, Kind.MAIL),
        Column("phone", "phone", sensitive="phone"),
        Column("sms", "sms", sensitive="phone"),
    ),
)
ROLES = File(
    name="roles.csv",
    table="roles",
    records="person_organizations",
    keys=(Key(("user_id", "organization_id", "role", "term_id", "begin_date"), "repeated-role"),),
    left_out=(LeftOut("people", "user_id"), LeftOut("person_organizations", "user_id", "organization_id")),
    columns=(
        _USER,
        _ORG,
        Column("role", "role", Need.ALWAYS, Kind.CODE, codes="roles"),
        Column("sessionSourcedId", "term_id", kind=Kind.ID, refers="sessions"),
        Column("grade", "grade", kind=Kind.GRADE),
        Column("isPrimary", "is_primary", kind=Kind.BOOLEAN),
        Column("roleStartDate", "begin_date", kind=Kind.DAY),
        Column("roleEndDate", "last_date", kind=Kind.DAY),
    ),
)
CLASSES = File(
    name="classes.csv",
    table="classes",
    records="classes",
    properties="section",
    paired="enrollments",
    keys=(Key(("source_id",)),),
    left_out=(LeftOut("classes"),),
    columns=(
        replace(_ID, length=56),  # 64 with the prefix of its alias
        replace(_ORG, name="school_id"),
        Column("title", "name", Need.ALWAYS),
        Column("sessionSourcedIds", "term_ids", kind=Kind.IDS, refers="sessions"),
        Column("courseSourcedId", "course_id", kind=Kind.ID, refers="courses"),
        Column("code", "number"),
    ),
)
ENROLLMENTS = File(
    name="enrollments.csv",
    table="enrollments",
    records="enrollments",
    paired="classes",
    keys=(Key(("class_id", "user_id"), "repeated-enrollment"),),
    left_out=(LeftOut("enrollments", "class_id", "user_id"),),
    columns=(
        Column("classSourcedId", "class_id", Need.ALWAYS, Kind.ID, refers="classes"),
        _USER,
        Column("role", "role", Need.ALWAYS, Kind.CODE, codes="enrollment-roles"),
    ),
)
SESSIONS = File(
    name="academicSessions.csv",
    table="sessions",
    records="terms",
    required=False,
    keys=(Key(("source_id",)),),
    columns=(
        _ID,
        Column("title", "name", Need.ALWAYS),
        Column("type", "type", Need.ALWAYS, Kind.CODE, codes="session-types"),
        Column("schoolYear", "school_year", Need.ALWAYS, Kind.SCHOOL_YEAR),
        Column("startDate", "start_date", Need.ALWAYS, Kind.DATE),
        Column("endDate", "end_date", Need.ALWAYS, Kind.DATE),
    ),
)
COURSES = File(
    name="courses.csv",
    table="courses",
    records="courses",
    required=False,
    keys=(Key(("source_id",)),),
    columns=(
        _ID,
        _ORG,
        Column("title", "name", Need.ALWAYS),
        Column("code", "number"),
        Column("schoolYearSourcedId", "term_id", kind=Kind.ID, refers="sessions"),
        Column("subject", "subjects"),
        Column("grade", "grades", kind=Kind.GRADE),
    ),
)
DEMOGRAPHICS = File(
    name="demographics.csv",
    table="demographics",
    records="demographics",
    left_out=(LeftOut("demographics", "user_id"),),
    required=False,
    sensitive="demographics",
    keys=(Key(("user_id",)),),
    columns=(
        _USER,
        Column("sex", "gender", kind=Kind.CODE, codes="genders", sensitive="gender"),
        Column("birthDate", "birth_date", kind=Kind.DAY, sensitive="birthDate"),
        Column("birthCity", "birth_city"),
        Column("birthState", "birth_state"),
        Column("birthCountry", "birth_country"),
        Column("ethnicityCodes", "ethnicities", kind=Kind.CODES, codes="ethnicities"),
        Column("raceCodes", "races", kind=Kind.CODES, codes="races"),
    ),
)
USER_FLAGS = File(
    name="userFlags.csv",
    table="flags",
    records="flags",
    required=False,
    sensitive="flags",
    keys=(Key(("user_id", "flag"), "repeated-row"),),
    columns=(_USER, Column("flag", "flag", Need.ALWAYS, Kind.CODE, codes="flags")),
)
RELATIONSHIPS = File(
    name="relationships.csv",
    table="relationships",
    records="contacts",
    required=False,
    sensitive="contacts",
    keys=(Key(("user_id", "contact_id"), "repeated-relationship"),),
    left_out=(LeftOut("contacts", "user_id"),),
    columns=(
        _USER,
        Column("relationshipUserSourcedId", "contact_id", Need.ALWAYS, Kind.ID, refers="users"),
        Column("relationshipRole", "role", Need.ALWAYS, Kind.CODE, codes="relationships"),
    ),
)

SDS_V2_1 = Format(
    id="sds-v2.1",
    title="School Data Sync V2.1",
    shape=Shape.USERS,
    files=(
        *(ORGS, USERS, ROLES, CLASSES, ENROLLMENTS, SESSIONS, COURSES),
        *(DEMOGRAPHICS, USER_FLAGS, RELATIONSHIPS),
    ),
    dates="iso",
    year_of_start=True,
)

_V2_ROLE = Column("role", "role", Need.ALWAYS, Kind.CODE, codes="roles")
SDS_V2 = Format(
    id="sds-v2",
    title="School Data Sync V2",
    shape=Shape.USERS,
    files=(
        ORGS,
        replace(
            USERS,
            columns=(
                _ID,
                Column("orgSourcedIds", "organization_ids", Need.ALWAYS, Kind.IDS, refers="orgs"),
                *(USERS.column(name) for name in ("given_name", "surname", "username", "password")),
                _V2_ROLE,
                Column("grade", "grade", kind=Kind.GRADE),
            ),
        ),
        replace(
            CLASSES,
            paired=None,
            columns=tuple(CLASSES.column(name) for name in ("source_id", "school_id", "name")),
        ),
        replace(ENROLLMENTS, paired=None),
    ),
    dates="iso",
)
