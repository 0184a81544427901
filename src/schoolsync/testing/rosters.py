"""Invented SDS V1 rosters of any size, for benchmarks and for trying things out.

The same arguments give the same files, byte for byte; names, twins, accents, people of two schools and commas inside
values are there on purpose. Nobody in them exists. The rows are made by set-based SQL: a million people take seconds.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

# As they are written, and as they stand in user names.
_FIRST = {
    "Zoë": "zoe",
    "Émile": "emile",
    "Łukasz": "lukasz",
    "Søren": "soren",
    "Ana": "ana",
    "María": "maria",
    "José": "jose",
    "Chloé": "chloe",
    "Jürgen": "jurgen",
    "Björn": "bjorn",
    "Nguyễn": "nguyen",
    "Aisha": "aisha",
    "Mohammed": "mohammed",
    "Yara": "yara",
    "Seán": "sean",
    "Niamh": "niamh",
    "Ørjan": "orjan",
    "İlknur": "ilknur",
    "Dário": "dario",
    "Renée": "renee",
    "Jean-Luc": "jean-luc",
    "Fatima": "fatima",
    "Ivan": "ivan",
    "Oksana": "oksana",
    "Wei": "wei",
    "Haruto": "haruto",
    "Priya": "priya",
    "Kwame": "kwame",
    "Thandiwe": "thandiwe",
    "Kai": "kai",
    "Ada": "ada",
    "Grace": "grace",
    "Alan": "alan",
    "Edsger": "edsger",
    "Barbara": "barbara",
    "Ole": "ole",
    "Margaret": "margaret",
}
_LAST = [
    "Müller",
    "García",
    "O'Brien",
    "Łukaszewski",
    "Ångström",
    "Nguyễn",
    "Smith",
    "Jones",
    "Dvořák",
    "Ćosić",
    "Ünal",
    "Sørensen",
    "Lefèvre",
    "Castañeda",
    "Silva",
    "D'Souza",
    "Kowalski",
    "Petrov",
    "Schröder",
    "Okafor",
    "Tanaka",
    "Wang",
    "Kim",
    "Haddad",
    "Novák",
    "Ibáñez",
    "Björk",
    "Weiß",
    "Brontë",
    "Hernández",
    "Adebayo",
]
_SUBJECTS = [
    "Math",
    "English",
    "Science",
    "History",
    "Music",
    "Français",
    "Español",
    "Art, Drawing",
    "Biology",
    "Physics",
]

# A cheap and portable mix of numbers: it has to spread, not to be safe, and to stay the same from release to release.
_MACROS = """
CREATE MACRO mixed(number, salt) AS
    (((number + 1 + salt * 7919) * 2654435761 + {seed} * 40503) % 4294967291 * 48271) % 4294967279;
CREATE MACRO share(number, salt) AS mixed(number, salt) / 4294967279.0;
CREATE MACRO pick(list, number, salt) AS list[1 + (mixed(number, salt) // 97 % len(list))::BIGINT];
CREATE MACRO us_date(day) AS month(day) || '/' || day(day) || '/' || year(day);
"""


def write(folder: Path, *, people: int, classes: int, enrollments: int, seed: int = 1, churn: float = 0.0) -> None:
    """Write the six files of a roster to `folder`, which is made when it is missing.

    `people` are pupils and teachers together, `enrollments` are links of both to classes. With `churn` that share of
    the same seed's roster is different: pupils leave and arrive, names change, pupils move to other classes. Raises
    ValueError when there are more enrollments than distinct pairs.
    """
    if people < 4 or classes < 1 or enrollments < classes:
        raise ValueError("a roster needs four people, one class and a teacher for every class")
    teachers = max(2, people // 16)
    students = people - teachers
    links = enrollments - classes
    per_student = -(-links // students)
    if per_student >= max(classes, 2):
        raise ValueError("there are not enough classes for so many enrollments")
    schools = max(2, people // 1500)
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        db.execute(_MACROS.format(seed=int(seed)))
        names = {"first": [*_FIRST], "plain": [*_FIRST.values()], "last": _LAST, "subjects": _SUBJECTS}
        for name, values in names.items():
            db.execute(f"SET VARIABLE {name} = $1", [values])
        numbers = {
            "schools": schools,
            "students": students,
            "teachers": teachers,
            "classes": classes,
            "links": links,
            "per_student": per_student,
            "churn": max(0.0, float(churn)),
        }
        parts = {"start": _START.format(**numbers), "student_id": _STUDENT_ID.format(**numbers)}
        for name, query in _FILES.items():
            path = str(folder / name).replace("'", "''")
            db.execute(f"COPY ({query.format(**numbers, **parts)}) TO '{path}' (FORMAT csv, HEADER true)")


# The class a pupil's links start at lies in the pupil's own school; links go on from there, so they never repeat.
_START = "(i % {schools} * {classes} // {schools} + mixed(i, 5) // 89 % greatest({classes} // {schools}, 1))::BIGINT"
# Some pupils leave under `churn` and others arrive in their seats.
_STUDENT_ID = "(CASE WHEN share(i, 6) < {churn} / 4 THEN 5000000 + i ELSE 1000001 + i END)"

_FILES = {
    "School.csv": """
        SELECT 101 + i AS "SIS ID",
            pick(getvariable('last'), i, 1) || CASE WHEN i % 2 = 0 THEN ' High School' ELSE ' Elementary' END AS "Name",
            101 + i AS "School Number", 'NCES' || (530000 + i) AS "School NCES_ID", 'WA' AS "State ID",
            CASE WHEN i % 2 = 0 THEN '9' ELSE 'KG' END AS "Grade Low",
            CASE WHEN i % 2 = 0 THEN '12' ELSE '8' END AS "Grade High",
            (9000001 + i) AS "Principal SIS ID", pick(getvariable('first'), i, 2) || ' Head' AS "Principal Name",
            'head' || i || '@schools.example' AS "Principal Secondary Email",
            (i + 1) || ' Main Street' AS "Address", 'Redmond' AS "City", 'WA' AS "State", 'US' AS "Country",
            98000 + i % 900 AS "Zip", '555-' || (100 + i % 900) || '-4567' AS "Phone", 1 + i % 4 AS "Zone"
        FROM range({schools}) AS numbers(i)
    """,
    "Section.csv": """
        SELECT 2000001 + i AS "SIS ID", 101 + i * {schools} // {classes} AS "School SIS ID",
            pick(getvariable('subjects'), i, 3) || ' - ' || (1 + i % 12) || chr((65 + i // 12 % 6)::INTEGER)
                || CASE WHEN share(i, 9) < {churn} THEN ' (new)' ELSE '' END AS "Section Name",
            'N' || i AS "Section Number", 'T26' AS "Term SIS ID", 'SY2627' AS "Term Name",
            '9/1/2026' AS "Term StartDate", '6/30/2027' AS "Term EndDate",
            'C' || (i % 400) AS "Course SIS ID", pick(getvariable('subjects'), i, 3) AS "Course Name",
            (i % 400)::VARCHAR AS "Course Number", 'Year ' || (1 + i % 12) AS "Course Description",
            pick(getvariable('subjects'), i, 3) AS "Course Subject", 1 + i % 8 AS "Periods", 'Active' AS "Status"
        FROM range({classes}) AS numbers(i)
    """,
    "Student.csv": """
        -- every fiftieth pupil is the twin of the one before: one family name, one birthday, one school
        WITH numbers AS (
            SELECT i, CASE WHEN i % 50 = 1 THEN i - 1 ELSE i END AS family FROM range({students}) AS all_of_them(i)
        ), rows AS (
            SELECT i, {student_id} AS id, 101 + family % {schools} AS school,
                pick(getvariable('first'), i, 10) AS first, pick(getvariable('plain'), i, 10) AS plain,
                pick(getvariable('last'), CASE WHEN share(i, 7) < {churn} / 2 THEN family + 1 ELSE family END, 11)
                    AS last,
                date '2008-01-01' + (mixed(family, 12) // 83 % 3650)::INTEGER AS birth, i % 13 AS grade
            FROM numbers
        )
        SELECT id AS "SIS ID", school AS "School SIS ID", first AS "First Name", last AS "Last Name",
            plain || '.' || id AS "Username", 'Welcome-' || id AS "Password", 'WA' AS "State ID",
            plain || '.' || id || '@families.example' AS "Secondary Email", id AS "Student Number",
            CASE WHEN i % 3 = 0 THEN pick(getvariable('first'), i, 13) END AS "Middle Name",
            CASE WHEN grade = 0 THEN 'KG' ELSE grade::VARCHAR END AS "Grade", 'Active' AS "Status",
            us_date(birth) AS "Birthdate", 2039 - grade AS "Graduation Year"
        FROM (
            SELECT *, 0 AS second FROM rows
            UNION ALL  -- some pupils attend two schools
            SELECT * REPLACE (101 + (school - 100) % {schools} AS school), 1 FROM rows WHERE i % 500 = 7
        ) ORDER BY i, second
    """,
    "Teacher.csv": """
        WITH rows AS (
            SELECT i, 9000001 + i AS id, 101 + i % {schools} AS school, pick(getvariable('first'), i, 20) AS first,
                pick(getvariable('plain'), i, 20) AS plain,
                pick(getvariable('last'), CASE WHEN share(i, 8) < {churn} THEN i + 1 ELSE i END, 21) AS last
            FROM range({teachers}) AS numbers(i)
        )
        SELECT id AS "SIS ID", school AS "School SIS ID", first AS "First Name", last AS "Last Name",
            plain || '.' || id AS "Username", 'Welcome-' || id AS "Password", 'WA' AS "State ID",
            id AS "Teacher Number", 'Active' AS "Status", NULL AS "Middle Name",
            plain || '.' || id || '@staff.example' AS "Secondary Email",
            CASE WHEN i % 9 = 0 THEN 'Head of year' END AS "Title", 'MEd' AS "Qualification"
        FROM (
            SELECT *, 0 AS second FROM rows
            UNION ALL  -- one teacher in twenty works at two schools
            SELECT * REPLACE (101 + (school - 100) % {schools} AS school), 1 FROM rows WHERE i % 20 = 1
        ) ORDER BY i, second
    """,
    "StudentEnrollment.csv": """
        SELECT 2000001 + ({start} + CASE
                -- a moved pupil drops the first class for the one after the last
                WHEN step = 0 AND share(i, 14) < {churn} * {per_student} THEN {per_student} ELSE step
            END) % {classes} AS "Section SIS ID",
            {student_id} AS "SIS ID"
        FROM (SELECT link % {students} AS i, link // {students} AS step FROM range({links}) AS numbers(link))
    """,
    "TeacherRoster.csv": """
        SELECT 2000001 + i AS "Section SIS ID", 9000001 + mixed(i, 15) // 79 % {teachers} AS "SIS ID"
        FROM range({classes}) AS numbers(i)
    """,
}
