# ruff: noqa: S608  # what is put into these statements are names of ours and numbers
"""People of whom the roster says what it said before: they are set aside, so that a plan looks only at who differs.

Once a plan has been applied whole the directory holds what the roster said. Beside that snapshot stand fingerprints of
its people: one number for all that a roster says of a person, schools, guardians and classes included, and one for all
of that but the classes. While nobody else has written to the directory and the profile's settings are the same, a
person with the fingerprint of then wants nothing: the rows leave the roster and the directory's tables, and come back
in what the next run is compared with. Of somebody who only is in other classes than then these alone are compared. The
plan is the one that would be made without, which is what its tests compare.

Schools and classes are few beside people and their memberships: they are always looked up, and of classes that the
roster describes as before nothing is compared.
"""

from __future__ import annotations

import duckdb

from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms, held_columns
from schoolsync.plan.kinds import OBJECTS, LinkTable, ObjectTable
from schoolsync.roster import tables

PRINTS = "prints"
"""The table of a snapshot with the fingerprints."""

SIZES = "sizes"
"""The table of a snapshot with how many pupils and teachers each class has."""

PRINTED = "SELECT bucket, print, own FROM planned.prints"
"""The query for that table."""

KEPT: dict[ObjectTable, tuple[str, ...]] = {
    "people": ("primary_role", "related_contacts"),
    "classes": ("mail_nickname", "expired", "term_end"),
}
"""Of which tables rows stay that are not compared, and what of them is asked for besides ids, school and use."""

_WHOLE = "(SELECT key FROM planned.looked_at WHERE own)"
_IN_CLASSES = "(SELECT key FROM planned.looked_at WHERE NOT own)"

OVER = f"(FROM {_WHOLE} UNION ALL SELECT key FROM before.classes ANTI JOIN planned.kept_as_is USING (key))"
"""Of whom the files of the last snapshot say no more what holds, as a relation of keys."""

LINKS_OVER = _IN_CLASSES
"""As `OVER`, where only what they say of classes holds no more."""

_PLACE = ("file", "line")  # where a record stands says nothing of the record


def bucket(role: str, source_id: str) -> str:
    """The SQL for the number under which a person's fingerprint stands; two people may have one, and share it."""
    return f"(hash({role}, {source_id}) >> 32)::UINTEGER"


def fits(db: duckdb.DuckDBPyConnection, terms: Terms) -> bool:
    """Whether the directory will hold what the roster says: nothing waits, and nothing is left out for its mistakes."""
    if terms.defers is not None or terms.waits_until is not None:
        return False
    return not db.execute("SELECT 1 FROM roster.left_out LIMIT 1").fetchall()


def prepare(db: duckdb.DuckDBPyConnection, terms: Terms, *, prints: bool) -> None:
    """`planned.prints`, the roster's fingerprints (without `prints` none); nobody is set aside yet.

    `planned.<table>_aside` are the rows that are; they stay empty when all is looked at. `planned.<table>_kept` are the
    people of whom only the classes are compared, and the classes that are not compared themselves.
    """
    person = ", ".join(name for name in tables.TABLES["people"] if name not in _PLACE)
    contact = ", ".join(name for name in tables.TABLES["contacts"] if name not in _PLACE)
    section = ", ".join(name for name in tables.TABLES["classes"] if name not in _PLACE)
    db.execute(f"""
        CREATE TABLE planned.prints AS
        SELECT bucket, hash(sum(said), count(*)) AS print, hash(sum(said) FILTER (own), count(*) FILTER (own)) AS own
        FROM (
            SELECT {bucket("role", "source_id")} AS bucket, hash({person}) AS said, true AS own FROM roster.people
            UNION ALL
            SELECT {bucket("role", "source_id")}, hash('school', school_id), true FROM planned.person_organizations
            UNION ALL
            SELECT {bucket("'student'", "student_id")}, hash('contact', {contact}), true FROM roster.contacts
            UNION ALL
            SELECT {bucket("person_role", "source_id")}, hash('class', class_id, role), false FROM planned.enrollments
            UNION ALL
            SELECT {bucket("'section'", "source_id")}, hash({section}), true FROM roster.classes
        ) {"" if prints else "WHERE false"} GROUP BY bucket
    """)
    db.execute("CREATE TABLE planned.differing (bucket UINTEGER, own BOOLEAN)")
    db.execute("CREATE TABLE planned.looked_at (key BIGINT, own BOOLEAN)")
    db.execute("CREATE TABLE planned.same_classes (source_id VARCHAR)")
    db.execute("CREATE TABLE planned.aside (kind VARCHAR, of_school VARCHAR, guarded BOOLEAN, n BIGINT)")
    for table in (*OBJECT_TABLES, *LINK_TABLES):
        db.execute(f"CREATE VIEW planned.{table}_aside AS SELECT {before(table)} FROM held.{table} WHERE false")
    for table in KEPT:
        db.execute(f"CREATE VIEW planned.{table}_kept AS FROM planned.{table}_aside")
    size_classes(db, terms)


def size_classes(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.class_sizes`: how many pupils and teachers each class has, by the profile's memberships."""
    mine = f"FROM held.class_people WHERE {terms.is_ours('owner')}"
    db.execute(f"CREATE VIEW planned.class_sizes AS {_sizes(mine)}")


def _sizes(links: str) -> str:
    """The query for the sizes of classes; `links` is what follows SELECT."""
    return f"SELECT class AS key, coalesce(teacher, false) AS teacher, count(*) AS n {links} GROUP BY ALL"


def sizes_after(terms: Terms, links: str, *, own: bool) -> str:
    """The query for the sizes once the plan is applied; `links` is the relation of the memberships there are then.

    With `own` these are only those of people who were looked at, and the sizes of before stand for the others.
    """
    if not own:
        return f"{_sizes(f'FROM {links}')} ORDER BY ALL"
    return f"""
        SELECT key, teacher, sum(n)::BIGINT AS n FROM (
            FROM before.sizes UNION ALL {_sizes(f"FROM {links}")} UNION ALL
            SELECT key, teacher, -n FROM ({_sizes(f"FROM held.class_people WHERE {terms.is_ours('owner')}")})
        ) GROUP BY ALL HAVING sum(n) > 0 ORDER BY ALL
    """


def before(table: str) -> str:
    """The columns of `before.<table>` as SQL; `table` is one of a snapshot."""
    if table == PRINTS:
        return "bucket, print, own"
    if table == SIZES:
        return "key, teacher, n"
    return ", ".join(f'"{name}"' for name in held_columns(table) if name != "owner")  # type: ignore[arg-type]  # as said


_PERSON: dict[str, tuple[str, str]] = {
    "people": ("key", "planned.looked_at"),
    "school_people": ("person", _WHOLE),
    "class_people": ("person", "planned.looked_at"),
}
"""Of the tables of which rows are set aside the column with a person's key, and whose rows are not."""


def _keeps(terms: Terms) -> bool:
    """Whether there are such. A kind that is left alone is not compared anyway, and its rows have to be whole."""
    return len(terms.objects) == len(OBJECTS)


def _kept(table: str, terms: Terms) -> str:
    """The condition for the rows `b` of `before.<table>` that are not compared, yet are ends of what is."""
    section = bucket("'section'", "b.source_id")
    found = {
        "people": f"b.key IN {_IN_CLASSES}",
        "classes": f"b.active AND b.expired IS NULL AND {section} NOT IN (SELECT bucket FROM planned.differing)",
    }
    return found[table] if table in found and _keeps(terms) else "false"


def _aside(table: ObjectTable | LinkTable) -> str:
    """The query for the rows of `before.<table>` that are set aside."""
    key, looked_at = _PERSON.get(table, (None, None))
    which = "WHERE false" if key is None else f"ANTI JOIN {looked_at} AS a ON a.key = b.{key}"
    return f"SELECT b.* FROM before.{table} AS b {which}"


def rest(table: ObjectTable | LinkTable, terms: Terms) -> str:
    """The query for the other rows, which are looked at; without those that are kept (`keep`)."""
    key, looked_at = _PERSON.get(table, (None, None))
    which = "" if key is None else f"SEMI JOIN {looked_at} AS a ON a.key = b.{key}"
    return f"SELECT b.* FROM before.{table} AS b {which} WHERE NOT ({_kept(table, terms)})"


def set_aside(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Compare the roster with `before`, and leave of its people and their memberships only what differs.

    `before.<table>` is what the last run left, which whoever reads snapshots gives. `planned.looked_at` has those of
    its people who are looked at all the same: who differ, and whoever is not in use.
    """
    own = "p.own IS DISTINCT FROM b.own OR b.own IS NULL" if _keeps(terms) else "true"
    db.execute(f"""
        INSERT INTO planned.differing
        SELECT bucket, {own}
        FROM planned.prints AS p FULL JOIN before.prints AS b USING (bucket)
        WHERE p.print IS DISTINCT FROM b.print OR b.print IS NULL
    """)
    # Whose id is or was another's is looked at: which object it means is for `matching` to say.
    for end in ("old_id", "new_id"):
        db.execute(f"""
            INSERT INTO planned.differing
            SELECT {bucket("kind", end)}, true FROM planned.rekeyed WHERE kind IN ('section', 'student', 'teacher')
        """)
    there = "{} IN (SELECT bucket FROM planned.differing)"
    whole = "{} IN (SELECT bucket FROM planned.differing WHERE own)"
    for table, role, source_id, differs in (
        ("people", "role", "source_id", whole),
        ("person_organizations", "role", "source_id", whole),
        ("contacts", "'student'", "student_id", whole),
        ("enrollments", "person_role", "source_id", there),
    ):
        _leave(db, table, differs.format(bucket(role, source_id)))
    for one in (*OBJECT_TABLES, *LINK_TABLES):
        db.execute(f"CREATE OR REPLACE VIEW planned.{one}_aside AS {_aside(one)}")
    for table in KEPT:
        db.execute(
            f"CREATE OR REPLACE VIEW planned.{table}_kept AS "
            f"SELECT * FROM before.{table} AS b WHERE {_kept(table, terms)}"
        )
    db.execute("CREATE OR REPLACE VIEW planned.class_sizes AS FROM before.sizes")
    db.execute(f"""
        INSERT INTO planned.same_classes
        SELECT source_id FROM roster.classes WHERE NOT {there.format(bucket("'section'", "source_id"))}
    """)
    mine = bucket("primary_role", "source_id")
    db.execute(f"""
        INSERT INTO planned.looked_at
        SELECT key, NOT active OR {whole.format(mine)} FROM before.people WHERE NOT active OR {there.format(mine)}
    """)
    db.execute("""
        INSERT INTO planned.aside
        SELECT primary_role, school_source_id, coalesce(related_contacts, '[]') <> '[]', count(*)
        FROM planned.people_aside GROUP BY ALL
    """)


def _leave(db: duckdb.DuckDBPyConnection, table: str, condition: str) -> None:
    """Leave in a table of the roster, which may be a view, the rows that meet the condition."""
    db.execute(f"CREATE TABLE roster.left AS SELECT * FROM roster.{table} WHERE {condition}")
    ((made,),) = db.execute(
        "SELECT table_type FROM information_schema.tables WHERE table_schema = 'roster' AND table_name = $1", [table]
    ).fetchall()
    db.execute(f"DROP {'VIEW' if made == 'VIEW' else 'TABLE'} roster.{table}")
    db.execute(f"ALTER TABLE roster.left RENAME TO {table}")


def keep(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Who is kept is held, with what others are compared with; people are in the roster, which they have left."""
    for table, more in KEPT.items():
        names = ", ".join(("key", "id", "source_id", "active", "school_source_id", *more))
        db.execute(
            f"INSERT INTO held.{table} BY NAME SELECT {names}, {terms.profile} AS owner FROM planned.{table}_kept"
        )
    db.execute("INSERT INTO planned.records SELECT primary_role, source_id FROM planned.people_kept")


def keep_classes(db: duckdb.DuckDBPyConnection) -> None:
    """`planned.kept_as_is`: the classes that are there and of which the roster says what it said; not compared."""
    db.execute("""
        CREATE TABLE planned.kept_as_is AS SELECT t.key FROM planned.targets AS t
        SEMI JOIN planned.same_classes AS s ON s.source_id = t.source_id
        SEMI JOIN (SELECT key FROM held.classes WHERE active AND expired IS NULL) AS h ON h.key = t.key
        WHERE t.kind = 'section' AND t.how = 'kept'
    """)


def bring(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Whoever is set aside and was found by a lookup is there to be seen, as somebody whom the roster has."""
    hit = "SELECT key FROM planned.hits WHERE kind IN ('student', 'teacher')"
    db.execute(f"CREATE TABLE planned.brought AS FROM planned.people_aside WHERE key IN ({hit})")
    db.execute(f"""
        INSERT INTO held.people BY NAME SELECT *, {terms.profile} AS owner FROM planned.brought
        WHERE key NOT IN (SELECT key FROM held.people)
    """)
    db.execute("INSERT INTO planned.records SELECT primary_role, source_id FROM planned.brought")


def dismiss(db: duckdb.DuckDBPyConnection) -> None:
    """Who was brought is looked at no further."""
    db.execute("DELETE FROM held.people WHERE key IN (SELECT key FROM planned.brought)")
    db.execute("""
        DELETE FROM planned.records
        WHERE (kind, source_id) IN (SELECT (primary_role, source_id) FROM planned.brought)
    """)


def unsure(db: duckdb.DuckDBPyConnection) -> None:
    """No fingerprint for whom the directory will not hold what the roster says: they are looked at the next time.

    Those are people and classes without an object, and people with a membership that lacks its other end
    (`planned.dangling`).
    """
    db.execute(f"""
        UPDATE planned.prints SET print = NULL, own = NULL WHERE bucket IN (
            SELECT {bucket("kind", "source_id")} FROM planned.records ANTI JOIN planned.targets USING (kind, source_id)
            WHERE kind IN ('section', 'student', 'teacher')
            UNION ALL SELECT {bucket("kind", "source_id")} FROM planned.dangling
        )
    """)


def count(db: duckdb.DuckDBPyConnection) -> int:
    """How many people were set aside."""
    ((many,),) = db.execute("SELECT coalesce(sum(n), 0)::BIGINT FROM planned.aside").fetchall()
    return int(many)


def looked_at(db: duckdb.DuckDBPyConnection) -> int:
    """How many people of the last snapshot are looked at all the same."""
    ((many,),) = db.execute("SELECT count(*) FROM planned.looked_at").fetchall()
    return int(many)
