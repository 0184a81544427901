# ruff: noqa: S608  # what is put into these queries are names of ours
"""SDS V1 as a target: schools, pupils and teachers in lists of their own, classes that carry term and course.

It knows no days: only what holds on the day of writing is written. It knows no accounts that are switched off either:
those are left out, because a reader would take them for active.
"""

from __future__ import annotations

from schoolsync.convert.writing import Target, password, word

_RELATIONSHIPS = frozenset({"parent", "relative", "aide", "doctor", "guardian", "child", "other"})
_HERE = "coalesce(p.enabled, true)"
_SCHOOLS = "(SELECT source_id FROM roster.organizations WHERE is_school)"
_CLASSES = f"(SELECT source_id FROM roster.classes WHERE school_id IN {_SCHOOLS})"
_PLACED = (
    f"roster.people AS p JOIN written.places AS o USING (role, source_id) WHERE {_HERE} AND o.school_id IN {_SCHOOLS}"
)
_SCHOOL = """
SELECT source_id AS "SIS ID", name AS "Name", number AS "School Number", nces_id AS "School NCES_ID",
    state_id AS "State ID", grade_low AS "Grade Low", grade_high AS "Grade High", principal_id AS "Principal SIS ID",
    principal_name AS "Principal Name", principal_email AS "Principal Secondary Email", street AS "Address",
    city AS "City", state AS "State", country AS "Country", postal_code AS "Zip", phone AS "Phone", zone AS "Zone"
FROM roster.organizations WHERE is_school ORDER BY line
"""
_SECTION = f"""
SELECT source_id AS "SIS ID", school_id AS "School SIS ID", name AS "Section Name", number AS "Section Number",
    term_id AS "Term SIS ID", term_name AS "Term Name", term_start AS "Term StartDate", term_end AS "Term EndDate",
    course_id AS "Course SIS ID", course_name AS "Course Name", course_number AS "Course Number",
    course_description AS "Course Description", course_subject AS "Course Subject", periods AS "Periods",
    status AS "Status"
FROM roster.classes WHERE school_id IN {_SCHOOLS} ORDER BY line
"""
_PERSON = """
SELECT p.source_id AS "SIS ID", o.school_id AS "School SIS ID", p.username AS "Username",
    p.given_name AS "First Name", p.surname AS "Last Name"{password}, p.state_id AS "State ID",
    coalesce(p.secondary_email, p.email) AS "Secondary Email", p.middle_name AS "Middle Name", p.status AS "Status",
"""
_STUDENT = f"""{_PERSON} p.number AS "Student Number", coalesce(p.grade, o.grade) AS "Grade",
    p.birth_date AS "Birthdate", p.graduation_year AS "Graduation Year"
FROM {_PLACED} AND p.role = 'student' ORDER BY p.line, o.place, o.school_id
"""
_TEACHER = f"""{_PERSON} p.number AS "Teacher Number", p.title AS "Title", p.qualification AS "Qualification"
FROM {_PLACED} AND p.role = 'teacher' ORDER BY p.line, o.place, o.school_id
"""
_LINK = f"""
SELECT DISTINCT e.class_id AS "Section SIS ID", e.source_id AS "SIS ID"
FROM written.enrollments AS e JOIN roster.people AS p ON p.role = e.person_role AND p.source_id = e.source_id
WHERE e.role = '{{role}}' AND e.person_role = '{{role}}' AND e.holds AND {_HERE} AND e.class_id IN {_CLASSES}
    AND (p.role, p.source_id) IN (SELECT (role, source_id) FROM written.places WHERE school_id IN {_SCHOOLS})
"""
# The first school of a person comes first: readers take the person's own values from that row.
_PLACES = """
(SELECT role, source_id, school_id, grade, holds, school_id IS DISTINCT FROM first AS place FROM (
    SELECT one.*, p.school_id AS first,
        (coalesce(one.begin_date <= (SELECT day FROM written.today), true)
            AND coalesce(one.end_date > (SELECT day FROM written.today), true)) AS holds
    FROM roster.person_organizations AS one JOIN roster.people AS p USING (role, source_id)
) WHERE holds)
"""


def target(*, passwords: bool) -> Target:
    """SDS V1 as a target."""
    students, teachers = (
        query.replace("{password}", f', {password(role, "p.source_id")} AS "Password"' if passwords else "")
        for query, role in ((_STUDENT, "'student'"), (_TEACHER, "'teacher'"))
    )
    files = {
        "School.csv": _SCHOOL,
        "Section.csv": _SECTION,
        "Student.csv": students,
        "Teacher.csv": teachers,
        "StudentEnrollment.csv": _LINK.format(role="student"),
        "TeacherRoster.csv": _LINK.format(role="teacher"),
        "User.csv": """
            SELECT email AS "Email", given_name AS "First Name", surname AS "Last Name", phone AS "Phone",
                guardian_id AS "SIS ID" FROM (
                SELECT email, arg_min(given_name, line) AS given_name, arg_min(surname, line) AS surname,
                    arg_min(phone, line) AS phone, arg_min(guardian_id, line) AS guardian_id, min(line) AS line
                FROM roster.contacts GROUP BY email
            ) ORDER BY line
        """,
        "Guardianrelationship.csv": f"""
            SELECT student_id AS "SIS ID", email AS "Email",
                upper(relation[1]) || relation[2:] AS "Role"
            FROM (SELECT *, {word("relationship", _RELATIONSHIPS, "'other'")} AS relation FROM roster.contacts)
            ORDER BY line
        """,
    }
    return Target(
        id="sds-v1",
        title="School Data Sync V1",
        files={name: query.replace("written.places", _PLACES.strip()) for name, query in files.items()},
        optional=frozenset({"User.csv", "Guardianrelationship.csv"}),
        holds={
            "organizations": frozenset(
                {"source_id", "name", "number", "nces_id", "state_id", "grade_low", "grade_high", "principal_id"}
                | {"principal_name", "principal_email", "street", "city", "state", "country", "postal_code", "phone"}
                | {"zone"}
            ),
            "terms": frozenset({"source_id", "name", "start_date", "end_date"}),
            "courses": frozenset({"source_id", "name", "number", "description"}),
            "classes": frozenset(
                {"source_id", "school_id", "name", "number", "term_id", "term_name", "term_start", "term_end"}
                | {"course_id", "course_name", "course_number", "course_description", "course_subject", "periods"}
                | {"status"}
            ),
            "people": frozenset(
                {"role", "source_id", "school_id", "username", "given_name", "middle_name", "surname", "email"}
                | {"state_id", "secondary_email", "number", "grade", "status", "birth_date", "graduation_year"}
                | {"title", "qualification", "enabled"}
            ),
            "person_organizations": frozenset({"role", "source_id", "school_id", "grade"}),
            "enrollments": frozenset({"class_id", "role", "source_id"}),
            "contacts": frozenset({"student_id", "email", "phone", "relationship", "given_name", "surname"}),
        },
        only={"people": "role <> 'none'", "person_organizations": "role <> 'none'"},
        losses={
            "organizations that are no schools": "SELECT count(*) FROM roster.organizations WHERE NOT is_school",
            "people who are neither students nor teachers nor anybody's guardian": (
                "SELECT count(*) FROM roster.people WHERE role = 'none' "
                "AND source_id NOT IN (SELECT guardian_id FROM roster.contacts WHERE guardian_id IS NOT NULL)"
            ),
            "accounts that are switched off": "SELECT count(*) FROM roster.people WHERE NOT enabled",
            "enrollments that do not hold on the day of writing": (
                "SELECT count(*) FROM written.enrollments WHERE NOT holds"
            ),
            "people who are in a class what they are not in the school": (
                "SELECT count(*) FROM roster.enrollments WHERE role <> 'none' AND role <> person_role"
            ),
            "people with two addresses, of which one is written": (
                "SELECT count(*) FROM roster.people WHERE email <> secondary_email AND role <> 'none'"
            ),
            "terms of classes that have several": (
                "SELECT count(*) FROM roster.class_terms JOIN roster.classes AS c ON c.source_id = class_id "
                "WHERE c.term_id <> class_terms.term_id"
            ),
        },
    )
