# ruff: noqa: S608  # what is put into these queries are names and numbers of ours
"""How each format writes the invented district down: for every file, a query over the model.

The names of columns are the headers, in the order of the format. Dates of the term and names of years come in as
`{…}`; nothing else is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schoolsync.testing.rosters.model import Moment

Files = dict[str, str]  # name of a file -> query


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a layout is asked for."""

    moment: Moment
    guardians: bool = False
    optional: bool = False  # files that need not be there: demographics, flags, accounts


@dataclass(frozen=True, slots=True)
class _Term:
    """The term and the school year of a moment."""

    id: str
    name: str
    start: str
    end: str
    year_id: str
    first_year: int  # in which the school year begins


def _term(moment: Moment) -> _Term:
    year, half = 2026 + moment.period // 2, moment.period % 2
    return _Term(
        id=f"T{year % 100}{'AB'[half]}",
        name=f"SY{year % 100}{(year + 1) % 100} {'autumn' if half == 0 else 'spring'}",
        start=f"{year}-09-01" if half == 0 else f"{year + 1}-02-01",
        end=f"{year + 1}-01-31" if half == 0 else f"{year + 1}-06-30",
        year_id=f"Y{year}",
        first_year=year,
    )


_GRADE = "CASE WHEN {column} = 0 THEN 'KG' ELSE {column}::VARCHAR END"
# Where a class is held, told from its id.
_SCHOOL_OF = "101 + (class - 2000001) % getvariable('classes') * getvariable('schools') // getvariable('classes')"
_PADDED = "CASE WHEN {column} = 0 THEN 'KG' ELSE lpad({column}::VARCHAR, 2, '0') END"


def _sds_v1(wanted: Wanted) -> Files:
    term = _term(wanted.moment)
    files = {
        "School.csv": """
            SELECT id AS "SIS ID", name AS "Name", id AS "School Number", 'NCES' || (530000 + i) AS "School NCES_ID",
                'WA' AS "State ID", CASE WHEN high THEN '9' ELSE 'KG' END AS "Grade Low",
                CASE WHEN high THEN '12' ELSE '8' END AS "Grade High", (9000001 + i) AS "Principal SIS ID",
                pick(getvariable('first'), i, 2) || ' Head' AS "Principal Name",
                'head' || i || '@schools.example' AS "Principal Secondary Email",
                (i + 1) || ' Main Street' AS "Address", 'Redmond' AS "City", 'WA' AS "State", 'US' AS "Country",
                98000 + i % 900 AS "Zip", '555-' || (100 + i % 900) || '-4567' AS "Phone", 1 + i % 4 AS "Zone"
            FROM schools
        """,
        "Section.csv": f"""
            SELECT id AS "SIS ID", 101 + school AS "School SIS ID", name AS "Section Name",
                number AS "Section Number", '{term.id}' AS "Term SIS ID", '{term.name}' AS "Term Name",
                us_date(date '{term.start}') AS "Term StartDate", us_date(date '{term.end}') AS "Term EndDate",
                'C' || course AS "Course SIS ID", pick(getvariable('subjects'), course, 3) AS "Course Name",
                course::VARCHAR AS "Course Number", 'Year ' || (1 + course % 12) AS "Course Description",
                pick(getvariable('subjects'), course, 3) AS "Course Subject", period AS "Periods",
                'Active' AS "Status"
            FROM classes
        """,
        "Student.csv": f"""
            SELECT id AS "SIS ID", 101 + place AS "School SIS ID", first AS "First Name", last AS "Last Name",
                username AS "Username", password AS "Password", 'WA' AS "State ID",
                username || '@families.example' AS "Secondary Email", 1000001 + k AS "Student Number",
                middle AS "Middle Name", {_GRADE.format(column="grade")} AS "Grade", 'Active' AS "Status",
                us_date(birth) AS "Birthdate", graduation AS "Graduation Year"
            FROM placed_students
        """,
        "Teacher.csv": """
            SELECT id AS "SIS ID", 101 + place AS "School SIS ID", first AS "First Name", last AS "Last Name",
                username AS "Username", password AS "Password", 'WA' AS "State ID",
                9000001 + i AS "Teacher Number", 'Active' AS "Status", NULL AS "Middle Name",
                username || '@staff.example' AS "Secondary Email", title AS "Title", 'MEd' AS "Qualification"
            FROM placed_teachers
        """,
        "StudentEnrollment.csv": 'SELECT class AS "Section SIS ID", student AS "SIS ID" FROM learning',
        "TeacherRoster.csv": 'SELECT class AS "Section SIS ID", teacher AS "SIS ID" FROM teaching',
    }
    if wanted.guardians:
        files["User.csv"] = """
            SELECT email AS "Email", first AS "First Name", last AS "Last Name", phone AS "Phone", id AS "SIS ID"
            FROM guardians
        """
        files["Guardianrelationship.csv"] = """
            SELECT student AS "SIS ID", email AS "Email", upper(role[1]) || role[2:] AS "Role" FROM guardians
        """
    return files


_UK_HEADERS = {
    "School.csv": {"SIS ID": "DfE Number", "Zip": "Postal Code"},
    "Section.csv": {"SIS ID": "ID", "School SIS ID": "School DfE Number"},
    "Student.csv": {"SIS ID": "ID", "School SIS ID": "School DfE Number"},
    "Teacher.csv": {"SIS ID": "ID", "School SIS ID": "School DfE Number"},
    "StudentEnrollment.csv": {"Section SIS ID": "Section ID", "SIS ID": "ID"},
    "TeacherRoster.csv": {"Section SIS ID": "Section ID", "SIS ID": "ID"},
}


def _sds_v1_uk(wanted: Wanted) -> Files:
    files = _sds_v1(wanted)
    for name in ("Section.csv", "Student.csv"):
        for day in (f"date '{_term(wanted.moment).start}'", f"date '{_term(wanted.moment).end}'", "birth"):
            files[name] = files[name].replace(f"us_date({day})", f"strftime({day}, '%d/%m/%Y')")
    for name, headers in _UK_HEADERS.items():
        renamed = ", ".join(f'"{old}" AS "{new}"' for old, new in headers.items())
        files[name] = f"SELECT * RENAME ({renamed}) FROM ({files[name].replace('us_date(', 'uk_date(')})"
    return files


def _clever(wanted: Wanted) -> Files:
    term = _term(wanted.moment)
    return {
        "schools.csv": """
            SELECT id AS "School_id", name AS "School_name", id AS "School_number", 'WA' AS "State_id",
                CASE WHEN high THEN '9' ELSE 'Kindergarten' END AS "Low_grade",
                CASE WHEN high THEN '12' ELSE '8' END AS "High_grade", 'head' || i || '@schools.example'
                AS "Principal_email", (i + 1) || ' Main Street' AS "School_address", 98000 + i % 900 AS "School_zip"
            FROM schools
        """,
        "students.csv": """
            SELECT 101 + place AS "School_id", id AS "Student_id", 1000001 + k AS "Student_number",
                last AS "Last_name", middle AS "Middle_name", first AS "First_name",
                CASE WHEN grade = 0 THEN 'Kindergarten' ELSE grade::VARCHAR END AS "Grade", us_date(birth) AS "DOB",
                username || '@families.example' AS "Student_email", username AS "Username", password AS "Password"
            FROM placed_students
        """,
        "teachers.csv": """
            SELECT 101 + place AS "School_id", id AS "Teacher_id", 9000001 + i AS "Teacher_number",
                username || '@staff.example' AS "Teacher_email", first AS "First_name", last AS "Last_name",
                title AS "Title", username AS "Username", password AS "Password"
            FROM placed_teachers
        """,
        "sections.csv": f"""
            SELECT 101 + school AS "School_id", id AS "Section_id", teacher AS "Teacher_id", name AS "Name",
                number AS "Section_number", pick(getvariable('subjects'), course, 3) AS "Course_name",
                course AS "Course_number", 'Year ' || (1 + course % 12) AS "Course_description", period AS "Period",
                '{term.name}' AS "Term_name", us_date(date '{term.start}') AS "Term_start",
                us_date(date '{term.end}') AS "Term_end"
            FROM classes JOIN teaching ON teaching.class = classes.id ORDER BY classes.i
        """,
        "enrollments.csv": f"""
            SELECT {_SCHOOL_OF} AS "School_id", class AS "Section_id", student AS "Student_id"
            FROM learning
        """,
    }


# Pupils, staff and guardians have one namespace in the following formats: their ids begin with a letter.


def _sds_v2(wanted: Wanted) -> Files:
    return {
        "orgs.csv": """
            SELECT 'D1' AS "sourcedId", 'Contoso District' AS "name", 'district' AS "type", NULL AS "parentSourcedId"
            UNION ALL SELECT id::VARCHAR, name, 'school', 'D1' FROM schools
        """,
        "users.csv": f"""
            SELECT 's' || id AS "sourcedId", {_orgs("101")} AS "orgSourcedIds", first AS "givenName",
                last AS "familyName", username AS "username", password AS "password", 'student' AS "role",
                {_PADDED.format(column="grade")} AS "grade" FROM students
            UNION ALL SELECT 't' || id, {_orgs("101")}, first, last, username, password, 'teacher', NULL FROM teachers
        """,
        "classes.csv": 'SELECT id AS "sourcedId", 101 + school AS "orgSourcedId", name AS "title" FROM classes',
        "enrollments.csv": """
            SELECT class AS "classSourcedId", 's' || student AS "userSourcedId", 'student' AS "role" FROM learning
            UNION ALL SELECT class, 't' || teacher, 'teacher' FROM teaching
        """,
    }


def _orgs(first: str) -> str:
    """The list of somebody's schools."""
    second = f"({first} + (school + 1) % getvariable('schools'))"
    return f"({first} + school)::VARCHAR || CASE WHEN of_two THEN ',' || {second} ELSE '' END"


def _sds_v21(wanted: Wanted) -> Files:
    term = _term(wanted.moment)
    base = _sds_v2(wanted)
    files = {
        "orgs.csv": base["orgs.csv"],
        "users.csv": """
            SELECT 's' || id AS "sourcedId", username AS "username", first AS "givenName", last AS "familyName",
                password AS "password", NULL AS "activeDirectoryMatchId", username || '@families.example' AS "email",
                NULL AS "phone", NULL AS "sms" FROM students
            UNION ALL SELECT 't' || id, username, first, last, password, NULL, username || '@staff.example', NULL, NULL
                FROM teachers
            UNION ALL SELECT id, email, first, last, NULL, NULL, email, phone, NULL FROM guardians
        """,
        "roles.csv": f"""
            SELECT 's' || id AS "userSourcedId", 101 + place AS "orgSourcedId", 'student' AS "role",
                '{term.year_id}' AS "sessionSourcedId", {_PADDED.format(column="grade")} AS "grade",
                CASE WHEN second = 0 THEN 'true' ELSE 'false' END AS "isPrimary", NULL AS "roleStartDate",
                NULL AS "roleEndDate" FROM placed_students
            UNION ALL SELECT 't' || id, 101 + place, 'teacher', '{term.year_id}', NULL,
                CASE WHEN second = 0 THEN 'true' ELSE 'false' END, NULL, NULL FROM placed_teachers
        """,
        "classes.csv": f"""
            SELECT id AS "sourcedId", 101 + school AS "orgSourcedId", name AS "title",
                '{term.id}' AS "sessionSourcedIds", 'C' || course AS "courseSourcedId", number AS "code" FROM classes
        """,
        "enrollments.csv": base["enrollments.csv"],
        "academicSessions.csv": f"""
            SELECT '{term.year_id}' AS "sourcedId", 'School year {term.first_year}' AS "title",
                'schoolYear' AS "type", {term.first_year} AS "schoolYear", '{term.first_year}-08-01' AS "startDate",
                '{term.first_year + 1}-07-31' AS "endDate"
            UNION ALL SELECT '{term.id}', '{term.name}', 'term', {term.first_year}, '{term.start}', '{term.end}'
        """,
        "courses.csv": f"""
            SELECT id AS "sourcedId", 'D1' AS "orgSourcedId", name AS "title", number AS "code",
                '{term.year_id}' AS "schoolYearSourcedId", NULL AS "subject",
                {_PADDED.format(column="grade")} AS "grade" FROM courses
        """,
    }
    if wanted.guardians:
        files["relationships.csv"] = """
            SELECT 's' || student AS "userSourcedId", id AS "relationshipUserSourcedId", role AS "relationshipRole"
            FROM guardians
        """
    if wanted.optional:
        files["demographics.csv"] = """
            SELECT 's' || id AS "userSourcedId", CASE WHEN k % 2 = 0 THEN 'female' ELSE 'male' END AS "sex",
                birth AS "birthDate", 'Redmond' AS "birthCity", 'WA' AS "birthState", 'US' AS "birthCountry",
                NULL AS "ethnicityCodes", NULL AS "raceCodes" FROM students
        """
        files["userFlags.csv"] = """
            SELECT 's' || id AS "userSourcedId", CASE WHEN k % 3 = 0 THEN 'ell' ELSE 'iep' END AS "flag"
            FROM students WHERE k % 10 = 0
        """
    return files


_RECORD = 'NULL AS "status", NULL AS "dateLastModified"'
_CSV_11 = (
    *("academicSessions", "categories", "classes", "classResources", "courses", "courseResources", "demographics"),
    *("enrollments", "lineItems", "orgs", "resources", "results", "users"),
)
_CSV_12 = (
    *_CSV_11,
    *("lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds", "resultScoreScales"),
    *("roles", "scoreScales", "userProfiles", "userResources"),
)


def manifest(version: str, present: Mapping[str, str]) -> str:
    """The query of manifest.csv; `present` says which files there are, and whether they are bulk or delta."""
    known = _CSV_12 if version == "1.2" else _CSV_11
    rows = [("manifest.version", "1.0"), ("oneroster.version", version)]
    rows += [(f"file.{name}", present.get(f"{name}.csv", "absent")) for name in known]
    rows += [("source.systemName", "Contoso SIS"), ("source.systemCode", "contoso")]
    values = ", ".join(f"('{name}', '{value}')" for name, value in rows)
    return f'SELECT * FROM (VALUES {values}) AS rows("propertyName", "value")'


def _oneroster(wanted: Wanted, version: str) -> Files:
    term = _term(wanted.moment)
    newer = version == "1.2"
    agents = "(SELECT NULL)" if not wanted.guardians else "CASE WHEN i % 4 <> 3 THEN 'g' || (1000001 + k) END"
    named = """first AS "givenName", last AS "familyName", {middle} AS "middleName", {number}::VARCHAR AS
        "identifier", username || '{domain}' AS "email", NULL AS "sms", {phone} AS "phone", {agents} AS
        "agentSourcedIds", {grade} AS "grades", password AS "password" """
    student = named.format(
        middle="middle",
        number="(1000001 + k)",
        domain="@families.example",
        phone="NULL",
        agents=agents,
        grade=_PADDED.format(column="grade"),
    )
    teacher = named.format(
        middle="NULL", number="(9000001 + i)", domain="@staff.example", phone="NULL", agents="NULL", grade="NULL"
    )
    guardian = """first AS "givenName", last AS "familyName", NULL AS "middleName", NULL AS "identifier",
        email AS "email", NULL AS "sms", phone AS "phone", 's' || student AS "agentSourcedIds", NULL AS "grades",
        NULL AS "password" """
    more = """, NULL AS "userMasterIdentifier", NULL AS "preferredGivenName", NULL AS "preferredMiddleName",
        NULL AS "preferredFamilyName", {org} AS "primaryOrgSourcedId", NULL AS "pronouns" """

    def users(prefix: str, role: str, columns: str, table: str, org: str, orgs: str, username: str) -> str:
        where = "" if newer else f'{orgs} AS "orgSourcedIds", \'{role}\' AS "role", '
        tail = more.format(org=org) if newer else ""
        return (
            f'SELECT {prefix} AS "sourcedId", {_RECORD}, \'true\' AS "enabledUser", {where}{username} AS '
            f'"username", NULL AS "userIds", {columns}{tail} FROM {table}'
        )

    own = "(101 + school)::VARCHAR"
    people = [
        users("'s' || id", "student", student, "students", own, _orgs("101"), "username"),
        users("'t' || id", "teacher", teacher, "teachers", own, _orgs("101"), "username"),
    ]
    if wanted.guardians:
        people.append(users("id", "guardian", guardian, "guardians", "NULL", "'D1'", "email"))
    files = {
        "orgs.csv": f"""
            SELECT 'D1' AS "sourcedId", {_RECORD}, 'Contoso District' AS "name", 'district' AS "type",
                'D1' AS "identifier", NULL AS "parentSourcedId"
            UNION ALL SELECT id::VARCHAR, NULL, NULL, name, 'school', id::VARCHAR, 'D1' FROM schools
        """,
        "academicSessions.csv": f"""
            SELECT '{term.year_id}' AS "sourcedId", {_RECORD}, 'School year {term.first_year}' AS "title",
                'schoolYear' AS "type", '{term.first_year}-08-01' AS "startDate",
                '{term.first_year + 1}-07-31' AS "endDate", NULL AS "parentSourcedId",
                {term.first_year + 1} AS "schoolYear"
            UNION ALL SELECT '{term.id}', NULL, NULL, '{term.name}', 'term', '{term.start}', '{term.end}',
                '{term.year_id}', {term.first_year + 1}
        """,
        "courses.csv": f"""
            SELECT id AS "sourcedId", {_RECORD}, '{term.year_id}' AS "schoolYearSourcedId", name AS "title",
                number AS "courseCode", {_PADDED.format(column="grade")} AS "grades", 'D1' AS "orgSourcedId",
                NULL AS "subjects", NULL AS "subjectCodes" FROM courses
        """,
        "classes.csv": f"""
            SELECT id AS "sourcedId", {_RECORD}, name AS "title", NULL AS "grades",
                'C' || course AS "courseSourcedId", number AS "classCode", 'scheduled' AS "classType",
                'Room ' || (1 + i % 90) AS "location", 101 + school AS "schoolSourcedId",
                '{term.id}' AS "termSourcedIds", NULL AS "subjects", NULL AS "subjectCodes", period AS "periods"
            FROM classes
        """,
        "users.csv": " UNION ALL ".join(people),
        "enrollments.csv": f"""
            SELECT 'e' || class || '-' || student AS "sourcedId", {_RECORD}, class AS "classSourcedId",
                {_SCHOOL_OF} AS "schoolSourcedId", 's' || student AS "userSourcedId", 'student' AS "role",
                NULL AS "primary", NULL AS "beginDate", NULL AS "endDate" FROM learning
            UNION ALL SELECT 'e' || class || '-t' || teacher, NULL, NULL, class, {_SCHOOL_OF}, 't' || teacher,
                'teacher', 'true', NULL, NULL FROM teaching
        """,
    }
    if newer:
        files["roles.csv"] = f"""
            SELECT 'r' || id || '-' || place AS "sourcedId", {_RECORD}, 's' || id AS "userSourcedId",
                CASE WHEN second = 0 THEN 'primary' ELSE 'secondary' END AS "roleType", 'student' AS "role",
                NULL AS "beginDate", NULL AS "endDate", 101 + place AS "orgSourcedId",
                NULL AS "userProfileSourcedId" FROM placed_students
            UNION ALL SELECT 'r' || id || '-' || place, NULL, NULL, 't' || id,
                CASE WHEN second = 0 THEN 'primary' ELSE 'secondary' END, 'teacher', NULL, NULL, 101 + place, NULL
                FROM placed_teachers
            UNION ALL SELECT 'r' || id, NULL, NULL, id, 'primary', 'guardian', NULL, NULL, '101', NULL FROM guardians
        """
    if wanted.optional:
        no = ", ".join(
            f"'false' AS \"{name}\""
            for name in (
                *("americanIndianOrAlaskaNative", "asian", "blackOrAfricanAmerican"),
                *("nativeHawaiianOrOtherPacificIslander", "white", "demographicRaceTwoOrMoreRaces"),
                "hispanicOrLatinoEthnicity",
            )
        )
        files["demographics.csv"] = f"""
            SELECT 's' || id AS "sourcedId", {_RECORD}, birth AS "birthDate",
                CASE WHEN k % 2 = 0 THEN 'female' ELSE 'male' END AS "sex", {no}, 'US' AS "countryOfBirthCode",
                'WA' AS "stateOfBirthAbbreviation", 'Redmond' AS "cityOfBirth", NULL AS "publicSchoolResidenceStatus"
            FROM students
        """
    files["manifest.csv"] = manifest(version, dict.fromkeys(files, "bulk"))
    return files


Layout = Callable[[Wanted], Files]
FORMATS: Mapping[str, Layout] = {
    "sds-v1": _sds_v1,
    "sds-v1-uk": _sds_v1_uk,
    "clever": _clever,
    "sds-v2": _sds_v2,
    "sds-v2.1": _sds_v21,
    "oneroster-1.1": lambda wanted: _oneroster(wanted, "1.1"),
    "oneroster-1.2": lambda wanted: _oneroster(wanted, "1.2"),
}
