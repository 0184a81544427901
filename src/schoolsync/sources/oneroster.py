"""OneRoster CSV 1.1 and 1.2, rostering part: its files and columns, in the order in which the binding lists them.

The one place a new column of these formats has to be added. Files of grades and resources are known and not read.
What a package with changes alone means is `changes`'s business.
"""

from __future__ import annotations

from dataclasses import replace

from schoolsync.sources.columns import Column, File, Key, Kind, LeftOut, Need
from schoolsync.sources.formats import Format, Shape

_RECORD = (
    Column("sourcedId", "source_id", Need.ALWAYS, Kind.ID),
    Column("status", "row_status", kind=Kind.CODE, codes="statuses"),
    Column("dateLastModified", "modified", kind=Kind.MOMENT, aliases=("dataLastModified",)),
)
_OWN_ID = (Key(("source_id",)),)

MANIFEST = File(
    name="manifest.csv",
    table="manifest",
    records="",
    required=False,
    columns=(Column("propertyName", "name", Need.ALWAYS), Column("value", "value", Need.HEADER)),
)
ORGS = File(
    name="orgs.csv",
    table="orgs",
    records="organizations",
    properties="school",
    keys=_OWN_ID,
    extensions=True,
    left_out=(LeftOut("organizations"),),
    columns=(
        *_RECORD,
        Column("name", "name", Need.ALWAYS),
        Column("type", "type", Need.ALWAYS, Kind.CODE, codes="org-types"),
        Column("identifier", "number"),
        Column("parentSourcedId", "parent_id", kind=Kind.ID, refers="orgs", aliases=("parent",)),
    ),
)
SESSIONS = File(
    name="academicSessions.csv",
    table="sessions",
    records="terms",
    required=False,
    keys=_OWN_ID,
    extensions=True,
    columns=(
        *_RECORD,
        Column("title", "name", Need.ALWAYS),
        Column("type", "type", Need.ALWAYS, Kind.CODE, codes="session-types"),
        Column("startDate", "start_date", Need.ALWAYS, Kind.DATE),
        Column("endDate", "end_date", Need.ALWAYS, Kind.DATE),
        Column("parentSourcedId", "parent_id", kind=Kind.ID, refers="sessions", aliases=("parent",)),
        Column("schoolYear", "school_year", Need.EXPECTED, Kind.SCHOOL_YEAR),
    ),
)
COURSES = File(
    name="courses.csv",
    table="courses",
    records="courses",
    required=False,
    keys=_OWN_ID,
    extensions=True,
    columns=(
        *_RECORD,
        Column(
            "schoolYearSourcedId", "term_id", kind=Kind.ID, refers="sessions", aliases=("schoolYearId", "schoolYear")
        ),
        Column("title", "name", Need.ALWAYS),
        Column("courseCode", "number"),
        Column("grades", "grades", kind=Kind.CODES, codes="grades", aliases=("grade",)),
        Column("orgSourcedId", "organization_id", Need.EXPECTED, Kind.ID, refers="orgs", aliases=("org",)),
        Column("subjects", "subjects"),
        Column("subjectCodes", "subject_codes"),
    ),
)
CLASSES = File(
    name="classes.csv",
    table="classes",
    records="classes",
    properties="section",
    keys=_OWN_ID,
    extensions=True,
    left_out=(LeftOut("classes"),),
    columns=(
        replace(_RECORD[0], length=56),  # 64 with the prefix of its alias
        *_RECORD[1:],
        Column("title", "name", Need.ALWAYS),
        Column("grades", "grades", kind=Kind.CODES, codes="grades", aliases=("grade",)),
        Column("courseSourcedId", "course_id", Need.EXPECTED, Kind.ID, refers="courses", aliases=("course",)),
        Column("classCode", "number"),
        Column("classType", "type", Need.EXPECTED, Kind.CODE, codes="class-types"),
        Column("location", "location"),
        Column("schoolSourcedId", "school_id", Need.ALWAYS, Kind.ID, refers="orgs", aliases=("school",)),
        Column(
            *("termSourcedIds", "term_ids", Need.EXPECTED, Kind.IDS),
            refers="sessions",
            aliases=("termSourcedId", "terms"),
        ),
        Column("subjects", "subjects"),
        Column("subjectCodes", "subject_codes"),
        Column("periods", "periods"),
    ),
)
_PERSON = (
    Column("username", "username", Need.USERNAME, Kind.USERNAME, 113),
    Column("userIds", "user_ids", sensitive="identifiers", aliases=("userId",)),
    Column("givenName", "given_name", Need.CREATION, length=64),
    Column("familyName", "surname", Need.CREATION, length=64),
    Column("middleName", "middle_name"),
    Column("identifier", "number", Need.MATCHING),
    Column("email", "email", Need.MATCHING, Kind.MAIL),
    Column("sms", "sms", sensitive="phone"),
    Column("phone", "phone", sensitive="phone"),
    Column("agentSourcedIds", "agent_ids", kind=Kind.IDS, refers="users", aliases=("agents",), sensitive="contacts"),
)
_PASSWORD = Column("password", "password", Need.OPTIONAL, Kind.PASSWORD)
_ENABLED = Column("enabledUser", "enabled", Need.EXPECTED, Kind.BOOLEAN)
USERS_1_1 = File(
    name="users.csv",
    table="users",
    records="people",
    keys=_OWN_ID,
    extensions=True,
    left_out=(LeftOut("people"), LeftOut("person_organizations")),
    columns=(
        *_RECORD,
        _ENABLED,
        Column("orgSourcedIds", "organization_ids", Need.ALWAYS, Kind.IDS, refers="orgs", aliases=("orgs",)),
        Column("role", "role", Need.ALWAYS, Kind.CODE, codes="roles"),
        *_PERSON,
        Column("grades", "grade", kind=Kind.GRADE, aliases=("grade",)),
        _PASSWORD,
    ),
)
USERS_1_2 = replace(
    USERS_1_1,
    columns=(
        *_RECORD,
        _ENABLED,
        *_PERSON,
        Column("grades", "grade", kind=Kind.GRADE, aliases=("grade",)),
        _PASSWORD,
        Column("userMasterIdentifier", "master_id", sensitive="identifiers"),
        Column("resourceSourcedIds", ""),  # went again with 1.2.1
        Column(
            "preferredGivenName", "preferred_given_name", sensitive="preferredNames", aliases=("prefferedGivenName",)
        ),
        Column("preferredMiddleName", "preferred_middle_name", sensitive="preferredNames"),
        Column("preferredFamilyName", "preferred_surname", sensitive="preferredNames"),
        Column("primaryOrgSourcedId", "primary_id", kind=Kind.ID, refers="orgs"),
        Column("pronouns", "pronouns", sensitive="pronouns"),
    ),
)
ROLES = File(
    name="roles.csv",
    table="roles",
    records="person_organizations",
    keys=(*_OWN_ID, Key(("user_id", "organization_id", "role", "begin_date"), "repeated-role")),
    extensions=True,
    left_out=(LeftOut("people", "user_id"), LeftOut("person_organizations", "user_id", "organization_id")),
    columns=(
        *_RECORD,
        Column("userSourcedId", "user_id", Need.ALWAYS, Kind.ID, refers="users", aliases=("user",)),
        Column("roleType", "role_type", Need.EXPECTED, Kind.CODE, codes="role-types"),
        Column("role", "role", Need.ALWAYS, Kind.CODE, codes="roles"),
        Column("beginDate", "begin_date", kind=Kind.DAY),
        Column("endDate", "end_date", kind=Kind.DAY),
        Column("orgSourcedId", "organization_id", Need.ALWAYS, Kind.ID, refers="orgs", aliases=("org",)),
        Column("userProfileSourcedId", "account_id", kind=Kind.ID, refers="accounts", sensitive="accounts"),
    ),
)
USER_PROFILES = File(
    name="userProfiles.csv",
    table="accounts",
    records="person_accounts",
    required=False,
    sensitive="accounts",
    keys=_OWN_ID,
    extensions=True,
    columns=(
        *_RECORD,
        Column("userSourcedId", "user_id", Need.ALWAYS, Kind.ID, refers="users", aliases=("user",)),
        Column("profileType", "type", Need.EXPECTED),
        Column("vendorId", "vendor_id", Need.EXPECTED),
        Column("applicationId", "application_id"),
        Column("description", "description"),
        Column("credentialType", "credential_type", Need.EXPECTED),
        Column("username", "username", Need.EXPECTED),
        Column("password", ""),  # of an account elsewhere: nobody's business
    ),
)
ENROLLMENTS = File(
    name="enrollments.csv",
    table="enrollments",
    records="enrollments",
    keys=(*_OWN_ID, Key(("class_id", "user_id", "role", "begin_date"), "repeated-enrollment")),
    extensions=True,
    left_out=(LeftOut("enrollments", "class_id", "user_id"),),
    ignored=("courseSourcedId",),
    columns=(
        *_RECORD,
        Column("classSourcedId", "class_id", Need.ALWAYS, Kind.ID, refers="classes", aliases=("class",)),
        Column("schoolSourcedId", "school_id", Need.EXPECTED, Kind.ID, refers="orgs", aliases=("school",)),
        Column("userSourcedId", "user_id", Need.ALWAYS, Kind.ID, refers="users", aliases=("user",)),
        Column("role", "role", Need.ALWAYS, Kind.CODE, codes="enrollment-roles"),
        Column("primary", "is_primary", kind=Kind.BOOLEAN),
        Column("beginDate", "begin_date", kind=Kind.DAY),
        Column("endDate", "end_date", kind=Kind.DAY),
    ),
)
RACES = (
    *("americanIndianOrAlaskaNative", "asian", "blackOrAfricanAmerican", "nativeHawaiianOrOtherPacificIslander"),
    *("white", "demographicRaceTwoOrMoreRaces"),
)
ETHNICITIES = ("hispanicOrLatinoEthnicity",)
DEMOGRAPHICS = File(
    name="demographics.csv",
    table="demographics",
    records="demographics",
    left_out=(LeftOut("demographics", "user_id"),),
    required=False,
    sensitive="demographics",
    keys=(Key(("user_id",)),),
    extensions=True,
    columns=(
        Column("sourcedId", "user_id", Need.ALWAYS, Kind.ID, refers="users", aliases=("userSourcedId",)),
        *_RECORD[1:],
        Column("birthDate", "birth_date", kind=Kind.DAY, sensitive="birthDate", aliases=("birthdate",)),
        Column("sex", "gender", kind=Kind.CODE, codes="genders", sensitive="gender"),
        *(Column(name, name, kind=Kind.BOOLEAN) for name in (*RACES, *ETHNICITIES)),
        Column("countryOfBirthCode", "birth_country"),
        Column("stateOfBirthAbbreviation", "birth_state", aliases=("stateofBirthAbbreviation",)),
        Column("cityOfBirth", "birth_city"),
        Column("publicSchoolResidenceStatus", "residence_status"),
    ),
)

NOT_READ = (
    *("categories", "classResources", "courseResources", "lineItems", "resources", "results"),
    *("lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds", "resultScoreScales"),
    *("scoreScales", "userResources"),
)
"""Files of the binding's other parts, without their ending."""

_UNREAD = frozenset(f"{name.lower()}.csv" for name in NOT_READ)

ONEROSTER_1_1 = Format(
    id="oneroster-1.1",
    title="OneRoster CSV 1.1",
    shape=Shape.USERS,
    files=(MANIFEST, SESSIONS, CLASSES, COURSES, DEMOGRAPHICS, ENROLLMENTS, ORGS, USERS_1_1),
    dates="iso",
    unread=_UNREAD,
    manifest="manifest",
    changes=True,
)
ONEROSTER_1_2 = Format(
    id="oneroster-1.2",
    title="OneRoster CSV 1.2",
    shape=Shape.USERS,
    files=(MANIFEST, SESSIONS, CLASSES, COURSES, DEMOGRAPHICS, ENROLLMENTS, ORGS, ROLES, USER_PROFILES, USERS_1_2),
    dates="iso",
    unread=_UNREAD,
    manifest="manifest",
    changes=True,
)
