# ruff: noqa: S608  # what is put into these queries are names of ours
"""OneRoster CSV 1.1 and 1.2 as targets, always in bulk: everything there is, with a manifest that says so.

Status and date of the last change stay blank, as the binding has it for bulk. Enrollments and roles have ids of their
own here; they are made of what they link, so the same roster has the same ids.
"""

from __future__ import annotations

from functools import partial

from schoolsync.convert.writing import DISAGREEING, Target, password, word

_RECORD = 'NULL AS "status", NULL AS "dateLastModified"'
_ORGS = frozenset({"department", "school", "district", "local", "state", "national"})
_SESSIONS = frozenset({"gradingPeriod", "semester", "schoolYear", "term"})
_ROLES = {
    "1.1": frozenset({"administrator", "aide", "guardian", "parent", "proctor", "relative", "student", "teacher"}),
    "1.2": frozenset(
        {"aide", "counselor", "districtAdministrator", "guardian", "parent", "principal", "proctor", "relative"}
        | {"siteAdministrator", "student", "systemAdministrator", "teacher"}
    ),
}
_ADMINISTRATORS = ("principal", "districtAdministrator", "siteAdministrator", "systemAdministrator", "itAdmin")
_MEANT = {
    "1.1": {**dict.fromkeys(_ADMINISTRATORS, "administrator"), "assistant": "aide", "teacherAssistant": "aide"},
    "1.2": {
        "administrator": "siteAdministrator",
        "itAdmin": "systemAdministrator",
        "advisor": "counselor",
        "assistant": "aide",
        "teacherAssistant": "aide",
    },
}
_ENROLLED = frozenset({"administrator", "proctor", "student", "teacher"})
_RACES = (
    *("americanIndianOrAlaskaNative", "asian", "blackOrAfricanAmerican", "nativeHawaiianOrOtherPacificIslander"),
    *("white", "demographicRaceTwoOrMoreRaces"),
)
_ETHNICITIES = ("hispanicOrLatinoEthnicity",)
_GENDERS = {"1.1": frozenset({"male", "female"}), "1.2": frozenset({"male", "female", "other"})}
_DATA = (
    *("academicSessions", "categories", "classes", "classResources", "courses", "courseResources", "demographics"),
    *("enrollments", "lineItems", "orgs", "resources", "results", "users"),
)
_DATA_1_2 = (
    *("lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds", "resultScoreScales"),
    *("roles", "scoreScales", "userProfiles", "userResources"),
)
_OF_FAMILY = frozenset({"parent", "guardian", "relative"})


def manifest(version: str, files: frozenset[str]) -> str:
    """The query of manifest.csv for the files that were written."""
    names = _DATA if version == "1.1" else (*_DATA, *_DATA_1_2)
    rows = [("manifest.version", "1.0"), ("oneroster.version", version)]
    rows += [(f"file.{name}", "bulk" if f"{name}.csv" in files else "absent") for name in names]
    values = ", ".join(f"('{name}', '{value}')" for name, value in rows)
    return f'SELECT * FROM (VALUES {values}) AS rows("propertyName", "value")'


def target(version: str, *, passwords: bool) -> Target:
    """OneRoster of this version as a target."""
    newer = version == "1.2"
    role = word(
        "role_name",
        _ROLES[version],
        "CASE WHEN role_name = 'other' THEN 'relative' ELSE 'teacher' END",
        _MEANT[version],
    )
    family = word("relationship", _OF_FAMILY, "'guardian'")
    in_class = word(
        "e.role_name",
        _ENROLLED,
        "CASE e.role WHEN 'student' THEN 'student' WHEN 'teacher' THEN 'teacher' ELSE 'proctor' END",
    )
    gender = word("gender", _GENDERS[version], "NULL")
    files = {
        "orgs.csv": f"""
            SELECT source_id AS "sourcedId", {_RECORD}, name AS "name",
                {word("coalesce(type, 'school')", _ORGS, "CASE WHEN is_school THEN 'school' ELSE 'district' END")}
                    AS "type", number AS "identifier", parent_id AS "parentSourcedId"
            FROM roster.organizations ORDER BY line
        """,
        "academicSessions.csv": f"""
            SELECT source_id AS "sourcedId", {_RECORD}, name AS "title", {word("type", _SESSIONS, "'term'")} AS "type",
                start_date AS "startDate", end_date AS "endDate", parent_id AS "parentSourcedId",
                school_year AS "schoolYear" FROM written.terms ORDER BY source_id
        """,
        "courses.csv": f"""
            SELECT source_id AS "sourcedId", {_RECORD}, term_id AS "schoolYearSourcedId", name AS "title",
                number AS "courseCode", grades AS "grades", organization_id AS "orgSourcedId", subjects AS "subjects",
                subject_codes AS "subjectCodes" FROM written.courses ORDER BY source_id
        """,
        "classes.csv": f"""
            SELECT c.source_id AS "sourcedId", {_RECORD}, name AS "title", grades AS "grades",
                course_id AS "courseSourcedId", number AS "classCode", coalesce(type, 'scheduled') AS "classType",
                location AS "location", school_id AS "schoolSourcedId",
                coalesce(several.ids, CASE WHEN term_id IN (SELECT source_id FROM written.terms) THEN term_id END)
                    AS "termSourcedIds", subjects AS "subjects", subject_codes AS "subjectCodes", periods AS "periods"
            FROM roster.classes AS c LEFT JOIN (
                SELECT class_id, string_agg(t.term_id, ',' ORDER BY t.term_id <> k.term_id, t.term_id) AS ids
                FROM roster.class_terms AS t JOIN roster.classes AS k ON k.source_id = t.class_id GROUP BY class_id
            ) AS several ON several.class_id = c.source_id ORDER BY c.line
        """,
        "users.csv": _users(newer=newer, role=role, family=family, passwords=passwords),
        "enrollments.csv": f"""
            SELECT e.class_id || '.' || e.uid || CASE WHEN e.begin_date IS NULL THEN '' ELSE '.' || e.begin_date END
                    || CASE WHEN e.role = e.person_role THEN '' ELSE '.' || e.role END AS "sourcedId", {_RECORD},
                e.class_id AS "classSourcedId", c.school_id AS "schoolSourcedId", e.uid AS "userSourcedId",
                {in_class} AS "role", e.is_primary AS "primary", e.begin_date AS "beginDate", e.end_date AS "endDate"
            FROM written.enrollments AS e JOIN roster.classes AS c ON c.source_id = e.class_id
        """,
        "demographics.csv": f"""
            SELECT p.uid AS "sourcedId", {_RECORD}, birth_date AS "birthDate", {gender} AS "sex",
                {_flags("races", _RACES)}, {_flags("ethnicities", _ETHNICITIES)},
                birth_country AS "countryOfBirthCode", birth_state AS "stateOfBirthAbbreviation",
                birth_city AS "cityOfBirth", residence_status AS "publicSchoolResidenceStatus"
            FROM written.people AS p LEFT JOIN roster.demographics AS d USING (role, source_id)
            WHERE coalesce(gender, birth_date, birth_city, birth_state, birth_country, ethnicities, races,
                residence_status) IS NOT NULL ORDER BY p.line
        """,
    }
    if newer:
        files["roles.csv"] = f"""
            SELECT uid || '.' || organization_id || '.' || role_name || coalesce('.' || begin_date, '')
                    || coalesce('.' || term_id, '') AS "sourcedId", {_RECORD}, uid AS "userSourcedId",
                CASE WHEN coalesce(is_primary, false) THEN 'primary' ELSE 'secondary' END AS "roleType",
                {role} AS "role", begin_date AS "beginDate", end_date AS "endDate",
                organization_id AS "orgSourcedId", NULL AS "userProfileSourcedId"
            FROM (SELECT * FROM written.roles ORDER BY uid, organization_id, role_name)
            UNION ALL
            SELECT uid || '.' || school_id, {_RECORD}, uid, 'primary', {family}, NULL, NULL, school_id, NULL
            FROM (
                SELECT * FROM written.kin WHERE school_id IS NOT NULL AND uid NOT IN (SELECT uid FROM written.roles)
                ORDER BY uid
            )
        """
        files["userProfiles.csv"] = f"""
            SELECT a.account_id AS "sourcedId", {_RECORD}, a.source_id AS "userSourcedId", a.type AS "profileType",
                a.vendor_id AS "vendorId", a.application_id AS "applicationId", a.description AS "description",
                a.credential_type AS "credentialType", a.username AS "username", NULL AS "password"
            FROM roster.person_accounts AS a ORDER BY a.account_id
        """
    return Target(
        id=f"oneroster-{version}",
        title=f"OneRoster CSV {version}",
        files=files,
        optional=frozenset(f"{name}.csv" for name in ("academicSessions", "courses", "demographics", "userProfiles")),
        manifest=partial(manifest, version),
        holds=_holds(newer=newer),
        losses=DISAGREEING
        | {
            "ids that a student and a teacher share: the teacher is written under another one": (
                "SELECT count(*) FROM written.twice"
            ),
            "terms of classes without id or days": (
                "SELECT count(*) FROM roster.classes WHERE coalesce(term_id, term_name) IS NOT NULL "
                "AND (term_id IS NULL OR term_id NOT IN (SELECT source_id FROM written.terms))"
            ),
            "courses of classes without id": (
                "SELECT count(*) FROM roster.classes WHERE course_id IS NULL "
                "AND coalesce(course_name, course_number, course_subject) IS NOT NULL"
            ),
            "roles that are called by another word": (f"SELECT count(*) FROM written.roles WHERE {role} <> role_name"),
            "enrollments whose role is called by another word": (
                f"SELECT count(*) FROM written.enrollments AS e WHERE {in_class} <> e.role_name"
            ),
            "genders that are called by another word": (
                f"SELECT count(*) FROM roster.people WHERE gender IS NOT NULL AND ({gender}) IS NULL"
            ),
            # One user is one guardian, who is the same to every child.
            "guardians' relationships that are called by another word": (
                f"SELECT count(*) FROM written.guardians AS g JOIN written.kin AS k USING (uid) "
                f"WHERE {family.replace('relationship', 'k.relationship')} <> g.relationship"
            ),
        }
        | (
            {}
            if newer
            else {
                "people without any role at any organization": (
                    "SELECT count(*) FROM written.people WHERE uid NOT IN (SELECT uid FROM written.roles) "
                    "AND uid NOT IN (SELECT uid FROM written.kin WHERE school_id IS NOT NULL)"
                ),
                "roles at one school beside a person's main one, and their days": (
                    "SELECT count(*) FROM roster.person_roles AS r "
                    "JOIN roster.people AS p ON p.source_id = r.source_id "
                    "WHERE r.role_name <> p.role_name OR r.begin_date IS NOT NULL OR r.end_date IS NOT NULL"
                ),
            }
        ),
    )


def _users(*, newer: bool, role: str, family: str, passwords: bool) -> str:
    """The query of users.csv: everybody, then the guardians who have no record of their own."""
    secret = password("one.role", "one.source_id") if passwords else "NULL"
    said = role.replace("role_name", "one.role_name")
    kin = family.replace("relationship", "kin.relationship")
    known = f"CASE WHEN one.role_name IS NOT NULL THEN {said} WHEN kin.uid IS NOT NULL THEN {kin} ELSE one.role END"
    places = "" if newer else f'coalesce(places.ids, kin.school_id) AS "orgSourcedIds", {known} AS "role",'
    # Without a role and an organization nobody can be written in the older format.
    where = "" if newer else "WHERE coalesce(places.ids, kin.school_id) IS NOT NULL"
    guardians_places = "" if newer else f"school_id, {family},"
    more = (
        """, NULL AS "userMasterIdentifier", NULL AS "preferredGivenName", NULL AS "preferredMiddleName",
        NULL AS "preferredFamilyName", one.school_id AS "primaryOrgSourcedId", NULL AS "pronouns" """
        if newer
        else ""
    )
    return f"""
        SELECT one.uid AS "sourcedId", {_RECORD}, coalesce(one.enabled, true) AS "enabledUser", {places}
            one.username AS "username", NULL AS "userIds", one.given_name AS "givenName",
            one.surname AS "familyName", one.middle_name AS "middleName", one.number AS "identifier",
            coalesce(one.email, one.secondary_email) AS "email", NULL AS "sms", one.phone AS "phone",
            agents.ids AS "agentSourcedIds", one.grade AS "grades", {secret} AS "password"{more}
        FROM (SELECT * FROM written.people ORDER BY role <> 'student', line) AS one
            LEFT JOIN (SELECT student_id, string_agg(DISTINCT uid, ',' ORDER BY uid) AS ids FROM written.guardians
                GROUP BY student_id) AS agents ON one.role = 'student' AND agents.student_id = one.source_id
            LEFT JOIN (
                SELECT uid, string_agg(organization_id, ',' ORDER BY organization_id <> first, organization_id) AS ids
                FROM (
                    SELECT DISTINCT r.uid, organization_id, coalesce(p.school_id, '') AS first
                    FROM written.roles AS r JOIN written.people AS p ON p.uid = r.uid
                ) GROUP BY uid
            ) AS places ON places.uid = one.uid
            LEFT JOIN written.kin AS kin ON kin.uid = one.uid
        {where}
        UNION ALL
        SELECT uid, {_RECORD}, true, {guardians_places} email, NULL, given_name, surname, NULL, NULL, email, NULL,
            phone, NULL, NULL, NULL{", NULL, NULL, NULL, NULL, school_id, NULL" if newer else ""}
        FROM (SELECT * FROM written.new_guardians ORDER BY uid)
    """


def _flags(column: str, names: tuple[str, ...]) -> str:
    """A list of codes as one column of true and false for each; nothing where nothing is said."""
    return ", ".join(
        f"CASE WHEN {column} IS NOT NULL THEN list_contains(string_split({column}, ','), '{name}') END AS \"{name}\""
        for name in names
    )


def _holds(*, newer: bool) -> dict[str, frozenset[str]]:
    holds = {
        "organizations": frozenset({"source_id", "name", "type", "parent_id", "number"}),
        "terms": frozenset({"source_id", "name", "type", "school_year", "start_date", "end_date", "parent_id"}),
        "courses": frozenset(
            {"source_id", "organization_id", "name", "number", "subjects", "subject_codes", "grades", "term_id"}
        ),
        "classes": frozenset(
            {"source_id", "school_id", "name", "number", "term_id", "term_name", "term_start", "term_end"}
            | {"course_id", "course_name", "course_number", "course_subject", "periods", "type", "location", "grades"}
            | {"subjects", "subject_codes"}
        ),
        "class_terms": frozenset({"class_id", "term_id"}),
        "people": frozenset(
            {"role", "source_id", "role_name", "school_id", "username", "given_name", "middle_name", "surname"}
            | {"enabled", "email", "phone", "gender", "secondary_email", "number", "grade", "birth_date"}
        ),
        "person_organizations": frozenset({"role", "source_id", "school_id"}),
        "enrollments": frozenset(
            {"class_id", "role", "source_id", "person_role", "role_name", "is_primary", "begin_date", "end_date"}
        ),
        "contacts": frozenset({"student_id", "email", "phone", "relationship", "guardian_id", "given_name", "surname"}),
        "demographics": frozenset(
            {"role", "source_id", "birth_city", "birth_state", "birth_country", "races", "ethnicities"}
            | {"residence_status"}
        ),
    }
    if newer:
        holds["person_organizations"] |= {"role_name", "is_primary", "begin_date", "end_date"}
        holds["person_accounts"] = frozenset(
            {"source_id", "account_id", "type", "vendor_id", "application_id", "description", "credential_type"}
            | {"username"}
        )
    return holds
