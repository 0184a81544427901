"""The people, classes and links of an invented roster, as SQL over numbers: nothing is kept, all is worked out.

Every record has a number; what it is called, where it belongs and what became of it follow from that, the seed and the
moment. The same seed at another moment is the same district later.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from schoolsync.testing.rosters.names import FIRST, LAST, SUBJECTS

# How many pupils a seat of a school can have had: one for every year, and others who came meanwhile.
_ARRIVALS = 50

# A cheap and portable mix of numbers: it has to spread, not to be safe, and to stay the same from release to release.
_MACROS = """
CREATE MACRO mixed(number, salt) AS
    (((number + 1 + salt * 7919) * 2654435761 + {seed} * 40503) % 4294967291 * 48271) % 4294967279;
CREATE MACRO share(number, salt) AS mixed(number, salt) / 4294967279.0;
CREATE MACRO pick(list, number, salt) AS list[1 + (mixed(number, salt) // 97 % len(list))::BIGINT];
CREATE MACRO us_date(day) AS month(day) || '/' || day(day) || '/' || year(day);
CREATE MACRO uk_date(day) AS day(day) || '/' || month(day) || '/' || year(day);
CREATE MACRO renumbered(id) AS CASE WHEN {renumbered} THEN 7000000000 + id ELSE id END;
"""
# `k` tells who sits on seat `i`: somebody else after having left school, and somebody else when a pupil moved away.
_VIEWS = """
CREATE VIEW schools AS SELECT i, 101 + i AS id,
    pick(getvariable('last'), i, 1) || CASE WHEN i % 2 = 0 THEN ' High School' ELSE ' Elementary' END AS name,
    i % 2 = 0 AS high
    FROM range({schools}) AS numbers(i);
CREATE VIEW courses AS SELECT i, 'C' || i AS id, pick(getvariable('subjects'), i, 3) AS name, i::VARCHAR AS number,
    'Year ' || (1 + i % 12) AS description, i % 13 AS grade
    FROM range(least({classes}, 400)) AS numbers(i);
CREATE VIEW classes AS SELECT i, {class_id} AS id, i * {schools} // {classes} AS school,
    pick(getvariable('subjects'), i, 3) || ' - ' || (1 + i % 12) || chr((65 + i // 12 % 6)::INTEGER)
        || CASE WHEN share(i, 9) < {churn} THEN ' (new)' ELSE '' END AS name,
    'N' || i AS number, i % 400 AS course, 1 + i % 8 AS period
    FROM range({classes}) AS numbers(i);
CREATE VIEW students AS
    WITH seats AS (
        -- every fiftieth pupil is the twin of the one before: one family name, one birthday, one school
        SELECT i, CASE WHEN i % 50 = 1 THEN i - 1 ELSE i END AS twin,
            (i % 13 + {year}) % 13 AS grade, (i % 13 + {year}) // 13 AS leavers, share(i, 6) < {churn} / 4 AS arrived
        FROM range({students}) AS numbers(i)
    ), taken AS (
        SELECT *, i + {students} * (leavers + CASE WHEN arrived THEN {arrivals} ELSE 0 END) AS k,
            twin + {students} * (leavers + CASE WHEN arrived THEN {arrivals} ELSE 0 END) AS family
        FROM seats
    )
    SELECT i, k, renumbered(1000001 + k) AS id, twin % {schools} AS school,
        pick(getvariable('first'), k, 10) AS first, pick(getvariable('plain'), k, 10) AS plain,
        pick(getvariable('last'), CASE WHEN share(i, 7) < {churn} / 2 THEN family + 1 ELSE family END, 11) AS last,
        CASE WHEN k % 3 = 0 THEN pick(getvariable('first'), k, 13) END AS middle,
        date '2008-01-01' + (mixed(family, 12) // 83 % 3650)::INTEGER AS birth, grade,
        2039 + {year} - grade AS graduation, plain || '.' || (1000001 + k) AS username,
        'Welcome-' || (1000001 + k) AS password, {several} AND i % 500 = 7 AS of_two
    FROM taken;
CREATE VIEW teachers AS
    SELECT i, renumbered(9000001 + i) AS id, i % {schools} AS school, pick(getvariable('first'), i, 20) AS first,
        pick(getvariable('plain'), i, 20) AS plain,
        pick(getvariable('last'), CASE WHEN share(i, 8) < {churn} THEN i + 1 ELSE i END, 21) AS last,
        plain || '.' || (9000001 + i) AS username, 'Welcome-' || (9000001 + i) AS password,
        CASE WHEN i % 9 = 0 THEN 'Head of year' END AS title, {several} AND i % 20 = 1 AS of_two
    FROM range({teachers}) AS numbers(i);
-- who is where: somebody of two schools is there twice, one after the other
CREATE VIEW placed_students AS SELECT *, school AS place, 0 AS second FROM students
    UNION ALL SELECT *, (school + 1) % {schools}, 1 FROM students WHERE of_two;
CREATE VIEW placed_teachers AS SELECT *, school AS place, 0 AS second FROM teachers
    UNION ALL SELECT *, (school + 1) % {schools}, 1 FROM teachers WHERE of_two;
-- The class a pupil's links start at lies in the pupil's own school; links go on from there, so they never repeat.
CREATE VIEW learning AS
    SELECT link, {class_of} AS class, {student_of} AS student FROM (
        SELECT link, i, (start + CASE
            -- a moved pupil drops the first class for the one after the last
            WHEN step = 0 AND share(i, 14) < {churn} * {per_student} THEN {per_student} ELSE step
        END) % {classes} AS c, {leavers_of} AS leavers, share(i, 6) < {churn} / 4 AS arrived
        FROM (
            SELECT link, link % {students} AS i, link // {students} AS step,
                (link % {students} % {schools} * {classes} // {schools}
                    + mixed(link % {students}, 5) // 89 % greatest({classes} // {schools}, 1))::BIGINT AS start
            FROM range({links}) AS numbers(link)
        )
    );
CREATE VIEW teaching AS
    SELECT i AS link, {class_id} AS class, renumbered(9000001 + mixed(i, 15) // 79 % {teachers}) AS teacher
    FROM range({classes}) AS numbers(i);
CREATE VIEW guardians AS
    SELECT i, k, 'g' || (1000001 + k) AS id, 'family.' || (1000001 + k) || '@home.example' AS email,
        pick(getvariable('first'), k, 16) AS first, last, '+1206555' || lpad((k % 10000)::VARCHAR, 4, '0') AS phone,
        id AS student, CASE WHEN k % 7 = 0 THEN 'guardian' ELSE 'parent' END AS role
    FROM students WHERE {guardians};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When the district is looked at. The default is the first day; everything else is compared with that."""

    churn: float = 0.0  # a day: this share of people leave and arrive, change names, move to other classes
    term: int = 0  # a term change: classes are new ones, people are the same
    year: int = 0  # summers since: everybody is a grade higher, the oldest have left, beginners have come
    renumbered: bool = False  # a new student information system: the same people under other ids

    @property
    def period(self) -> int:
        """Terms since the first day: classes of each have ids of their own."""
        return 2 * self.year + self.term


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is of what."""

    people: int
    classes: int
    enrollments: int

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises ValueError."""
        if self.people < 4 or self.classes < 1 or self.enrollments < self.classes:
            raise ValueError("a roster needs four people, one class and a teacher for every class")
        if self.per_student >= max(self.classes, 2):
            raise ValueError("there are not enough classes for so many enrollments")

    @property
    def teachers(self) -> int:
        """Of the people."""
        return max(2, self.people // 16)

    @property
    def students(self) -> int:
        """The others."""
        return self.people - self.teachers

    @property
    def schools(self) -> int:
        """One for about 1 500 people."""
        return max(2, self.people // 1500)

    @property
    def links(self) -> int:
        """Enrollments of students: every class has one of a teacher."""
        return self.enrollments - self.classes

    @property
    def per_student(self) -> int:
        """Classes of one pupil, at most."""
        return -(-self.links // self.students)


def prepare(
    db: duckdb.DuckDBPyConnection,
    size: Size,
    moment: Moment,
    *,
    seed: int,
    guardians: bool,
    several_schools: bool,
) -> None:
    """Make the views of the model in `db`, under the settings that keep the order of rows and the memory small."""
    db.execute("SET preserve_insertion_order = true")
    lists = {"first": [*FIRST], "plain": [*FIRST.values()], "last": LAST, "subjects": SUBJECTS}
    for name, values in lists.items():
        db.execute(f"SET VARIABLE {name} = $1", [values])
    for name, count in (("schools", size.schools), ("classes", size.classes)):
        db.execute(f"SET VARIABLE {name} = {count}::BIGINT")
    db.execute(_MACROS.format(seed=int(seed), renumbered=str(moment.renumbered).lower()))
    facts: dict[str, object] = {
        "schools": size.schools,
        "students": size.students,
        "teachers": size.teachers,
        "classes": size.classes,
        "links": size.links,
        "per_student": size.per_student,
        "churn": max(0.0, float(moment.churn)),
        "year": int(moment.year),
        "arrivals": _ARRIVALS,
        "several": str(several_schools).lower(),
        "guardians": "i % 4 <> 3" if guardians else "false",
        "class_id": f"2000001 + i + {size.classes * moment.period}",
        "class_of": f"2000001 + c + {size.classes * moment.period}",
        "leavers_of": f"(i % 13 + {int(moment.year)}) // 13",
        "student_of": f"renumbered(1000001 + i + {size.students} * "
        f"(leavers + CASE WHEN arrived THEN {_ARRIVALS} ELSE 0 END))",
    }
    db.execute(_VIEWS.format(**facts))
