# ruff: noqa: S608  # what is put into these queries are names of ours
"""SDS V2.1 as a target: one list of users, whose roles say what they are where; sessions, courses, relationships.

It knows no days of enrollments and no accounts that are switched off: only what holds on the day of writing is written.
"""

from __future__ import annotations

from schoolsync.convert.writing import DISAGREEING, Target, password, word

_ROLES = frozenset(
    {"principal", "chair", "professor", "researcher", "adjunct", "affiliate", "occupationalTherapist", "advisor"}
    | {"physicalTherapist", "speechTherapist", "visionTherapist", "paraprofessional", "specialServices", "proctor"}
    | {"nurse", "officeStaff", "lecturer", "itAdmin", "administrator", "teacher", "faculty", "staff", "assistant"}
    | {"teacherAssistant", "instructor", "substitute", "coach", "alumni", "student", "other"}
)
_ENROLLED = frozenset(
    {"student", "teacher", "professor", "lecturer", "instructor", "teacherAssistant", "assistant", "aide"}
    | {"paraprofessional", "substitute", "adjunct", "affiliate", "staff", "coach", "proctor", "advisor", "itAdmin"}
    | {"administrator", "principal", "chair", "officeStaff", "specialServices", "occupationalTherapist", "alumni"}
    | {"physicalTherapist", "speechTherapist", "visionTherapist"}
)
_MEANT = {
    "systemAdministrator": "itAdmin",
    "districtAdministrator": "administrator",
    "siteAdministrator": "administrator",
    "counselor": "advisor",
    "aide": "assistant",
}
_RELATIONSHIPS = frozenset({"parent", "guardian", "relative", "other", "doctor", "aide"})
_SESSIONS = frozenset({"schoolYear", "semester", "term", "gradingPeriod", "quarter"})
_FAMILY = "('parent', 'guardian', 'relative')"
_OFF = "(SELECT uid FROM written.people WHERE NOT enabled)"
_ROLE = word("role_name", _ROLES, "'other'", _MEANT)
_IN_CLASS = word(
    "e.role_name",
    _ENROLLED,
    "CASE WHEN e.role = 'student' THEN 'student' ELSE 'proctor' END",
    {**_MEANT, "aide": "aide"},
)


def target(*, passwords: bool) -> Target:
    """SDS V2.1 as a target."""
    secret = password("one.role", "one.source_id") if passwords else "NULL"
    return Target(
        id="sds-v2.1",
        title="School Data Sync V2.1",
        files={
            "orgs.csv": """
                SELECT source_id AS "sourcedId", name AS "name", coalesce(type, 'school') AS "type",
                    parent_id AS "parentSourcedId" FROM roster.organizations ORDER BY line
            """,
            "users.csv": f"""
                SELECT uid AS "sourcedId", username AS "username", given_name AS "givenName", surname AS "familyName",
                    {secret} AS "password", match_id AS "activeDirectoryMatchId",
                    coalesce(email, secondary_email) AS "email", phone AS "phone", NULL AS "sms"
                    FROM (SELECT * FROM written.people ORDER BY role <> 'student', line) AS one
                UNION ALL SELECT uid, email, given_name, surname, NULL, NULL, email, phone, NULL
                    FROM (SELECT * FROM written.new_guardians ORDER BY uid)
            """,
            "roles.csv": f"""
                SELECT uid AS "userSourcedId", organization_id AS "orgSourcedId", {_ROLE} AS "role",
                    term_id AS "sessionSourcedId",
                    coalesce(r.grade, CASE WHEN role_name = 'student' THEN p.grade END) AS "grade",
                    coalesce(is_primary, organization_id = p.school_id) AS "isPrimary",
                    begin_date AS "roleStartDate", end_date - 1 AS "roleEndDate"
                FROM written.roles AS r
                    LEFT JOIN (SELECT uid, grade, school_id FROM written.people) AS p USING (uid)
                WHERE role_name NOT IN {_FAMILY} AND uid NOT IN {_OFF}
                ORDER BY uid, organization_id, role_name
            """,
            "classes.csv": """
                SELECT c.source_id AS "sourcedId", school_id AS "orgSourcedId", name AS "title",
                    coalesce(several.ids, CASE WHEN term_id IN (SELECT source_id FROM written.terms) THEN term_id END)
                        AS "sessionSourcedIds", course_id AS "courseSourcedId", number AS "code"
                FROM roster.classes AS c LEFT JOIN (
                    SELECT class_id, string_agg(t.term_id, ',' ORDER BY t.term_id <> k.term_id, t.term_id) AS ids
                    FROM roster.class_terms AS t JOIN roster.classes AS k ON k.source_id = t.class_id
                    GROUP BY class_id
                ) AS several ON several.class_id = c.source_id ORDER BY c.line
            """,
            "enrollments.csv": f"""
                SELECT DISTINCT e.class_id AS "classSourcedId", e.uid AS "userSourcedId", {_IN_CLASS} AS "role"
                FROM written.enrollments AS e WHERE e.holds AND e.uid NOT IN {_OFF}
            """,
            "academicSessions.csv": f"""
                SELECT source_id AS "sourcedId", name AS "title", {word("type", _SESSIONS, "'term'")} AS "type",
                    CASE WHEN year(end_date::DATE) = try_cast(school_year AS INTEGER)
                        THEN try_cast(school_year AS INTEGER) - 1
                        ELSE try_cast(school_year AS INTEGER) END AS "schoolYear",
                    start_date AS "startDate", end_date AS "endDate" FROM written.terms ORDER BY source_id
            """,
            "courses.csv": """
                SELECT source_id AS "sourcedId", organization_id AS "orgSourcedId", name AS "title", number AS "code",
                    term_id AS "schoolYearSourcedId", subjects AS "subject", grades AS "grade"
                FROM written.courses ORDER BY source_id
            """,
            "demographics.csv": """
                SELECT p.uid AS "userSourcedId", CASE WHEN gender IN ('male', 'female') THEN gender END AS "sex",
                    birth_date AS "birthDate", birth_city AS "birthCity", birth_state AS "birthState",
                    birth_country AS "birthCountry", ethnicities AS "ethnicityCodes", races AS "raceCodes"
                FROM written.people AS p LEFT JOIN roster.demographics AS d USING (role, source_id)
                WHERE coalesce(gender, birth_date, birth_city, birth_state, birth_country, ethnicities, races)
                    IS NOT NULL ORDER BY p.line
            """,
            "userFlags.csv": """
                SELECT p.uid AS "userSourcedId", flag AS "flag"
                FROM roster.flags AS f JOIN written.people AS p USING (role, source_id) ORDER BY p.uid, flag
            """,
            "relationships.csv": f"""
                SELECT student_uid AS "userSourcedId", uid AS "relationshipUserSourcedId",
                    {word("relationship", _RELATIONSHIPS, "'other'")} AS "relationshipRole"
                FROM written.guardians ORDER BY student_uid, uid
            """,
        },
        optional=frozenset(
            {"academicSessions.csv", "courses.csv", "demographics.csv", "userFlags.csv", "relationships.csv"}
        ),
        holds={
            "organizations": frozenset({"source_id", "name", "type", "parent_id"}),
            "terms": frozenset({"source_id", "name", "type", "school_year", "start_date", "end_date"}),
            "courses": frozenset({"source_id", "organization_id", "name", "number", "subjects", "grades", "term_id"}),
            "classes": frozenset(
                {"source_id", "school_id", "name", "number", "term_id", "term_name", "term_start", "term_end"}
                | {"course_id", "course_name", "course_number", "course_subject"}
            ),
            "class_terms": frozenset({"class_id", "term_id"}),
            "people": frozenset(
                {"role", "source_id", "role_name", "school_id", "username", "given_name", "surname", "email", "phone"}
                | {"match_id", "gender", "secondary_email", "grade", "birth_date", "enabled"}
            ),
            "person_organizations": frozenset(
                {"role", "source_id", "school_id", "role_name", "grade", "is_primary", "begin_date", "end_date"}
            ),
            "enrollments": frozenset({"class_id", "role", "source_id", "person_role", "role_name"}),
            "contacts": frozenset(
                {"student_id", "email", "phone", "relationship", "guardian_id", "given_name", "surname"}
            ),
            "demographics": frozenset(
                {"role", "source_id", "birth_city", "birth_state", "birth_country", "races", "ethnicities"}
            ),
            "flags": frozenset({"role", "source_id", "flag"}),
        },
        losses=DISAGREEING
        | {
            "ids that a student and a teacher share: the teacher is written under another one": (
                "SELECT count(*) FROM written.twice"
            ),
            "accounts that are switched off: written without roles and classes": (
                "SELECT count(*) FROM roster.people WHERE NOT enabled"
            ),
            "enrollments that do not hold on the day of writing": (
                "SELECT count(*) FROM written.enrollments WHERE NOT holds"
            ),
            "terms of classes without id or days": (
                "SELECT count(*) FROM roster.classes WHERE coalesce(term_id, term_name) IS NOT NULL "
                "AND (term_id IS NULL OR term_id NOT IN (SELECT source_id FROM written.terms))"
            ),
            "courses of classes without id": (
                "SELECT count(*) FROM roster.classes WHERE course_id IS NULL "
                "AND coalesce(course_name, course_number, course_subject) IS NOT NULL"
            ),
            "roles that are called by another word": (
                f"SELECT count(*) FROM written.roles WHERE role_name NOT IN {_FAMILY} AND {_ROLE} <> role_name"
            ),
            "genders that are called by another word": (
                "SELECT count(*) FROM roster.people WHERE gender NOT IN ('male', 'female')"
            ),
            "guardians' relationships that are called by another word": (
                "SELECT count(*) FROM roster.contacts "
                f"WHERE {word('relationship', _RELATIONSHIPS, chr(39) + 'other' + chr(39))} <> relationship"
            ),
        },
    )
