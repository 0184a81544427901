# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""Which object of the directory each record means: its own from before, one to take over, or a new one.

A record keeps the object it had. One that is new to the profile finds an object by its derived id, then by its
sign-in name (profiles that create accounts), or by what the profile matches accounts by (profiles that never do).
Two records never become one object: who comes second is an error, and nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from schoolsync.plan import desired, identity, kinds, recipes
from schoolsync.plan.desired import Terms, held_columns, new_names
from schoolsync.plan.kinds import OBJECTS, ObjectTable
from schoolsync.plan.policy import PRIVILEGED, Matching, Role
from schoolsync.plan.steps import FRESH

TARGETS = {
    "userprincipalname": "user_principal_name",
    "mail": "mail",
    "mailnickname": "mail_nickname",
    "onpremisesimmutableid": "immutable_id",
    "student/externalid": "student_external_id",
    "student/studentnumber": "student_number",
    "teacher/externalid": "teacher_external_id",
    "teacher/teachernumber": "teacher_number",
}
"""Properties of accounts that people can be matched by (lower case) and the directory's columns for them."""

SOURCES = {
    "username": "username",
    "secondaryemail": "secondary_email",
    "studentnumber": "number",
    "teachernumber": "number",
    "stateid": "state_id",
    "sisid": "source_id",
    "sourcedid": "source_id",
    "email": "email",
    "identifier": "number",
    "activedirectorymatchid": "match_id",
}
"""Columns of a roster that people can be matched by (lower case, no blanks) and their canonical names."""


ACCOUNT_COLUMNS = ("account_name", "user_type")
"""What has to be known of accounts, besides the columns of `held.people`, before one of them is taken over."""


class UnknownPropertyError(Exception):
    """The profile matches people by something that rosters or directories do not have; the text says what."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to match people of a role."""

    role: Role
    value: str  # SQL over the record `r`: what is looked for; letter case does not count
    column: str  # of the directory's people


def options(terms: Terms) -> list[Option]:
    """The ways in which the profile matches people, in its order. Raises UnknownPropertyError."""
    return [] if terms.policy.creates else [_option(one) for one in terms.policy.matching]


def _option(matching: Matching) -> Option:
    source = SOURCES.get(matching.source.replace(" ", "").lower())
    column = TARGETS.get(matching.target.lower())
    if source is None:
        raise UnknownPropertyError(
            f"The profile matches people by the column “{matching.source}”, which cannot be done."
        )
    if column is None:
        raise UnknownPropertyError(
            f"The profile matches people by the property “{matching.target}”, which this directory cannot look up."
        )
    value = f"r.{source}"
    if matching.domain:
        domain = "@" + matching.domain.removeprefix("@").replace("'", "''")
        value = f"CASE WHEN contains({value}, '@') THEN {value} ELSE {value} || '{domain}' END"
    return Option(matching.role, value, column)


def seek(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Make `planned.new`: the records that have no object of this profile yet, and what they would be called.

    `id` is the id that such an object has, `name` the alias or sign-in name (NULL: refused), `looked_for` what an
    account is matched by, a value for every option of the role.
    """
    _refuse_taken(db, terms)
    _anchors(db, terms)
    _spare_unnamed(db)
    matched = options(terms)
    parts = []
    for kind in terms.objects:
        names = new_names(terms, kind)
        recipe = recipes.of(terms, kind)
        if recipe is not None:
            domain = terms.policy.domains.get(kind.role) if kind.role else None
            names["name"] = f"{recipes.name(recipe)} || '@' || {'NULL' if domain is None else identity.text(domain)}"
        looked = ", ".join(one.value for one in matched if one.role == kind.role)
        school = "r.source_id" if kind.name == "school" else "r.school_id"
        parts.append(f"""
            SELECT '{kind.name}' AS kind, {OBJECTS.index(kind)} AS rank, r.source_id, {school} AS school_id, r.line,
                {names["id"]} AS id, r.generation, {names["name"]} AS name,
                [{looked}]::VARCHAR[] AS looked_for
            FROM (
                SELECT r.*, {names["generation"]} AS generation FROM {kind.relation} AS r WHERE {kind.where}
                    AND r.source_id NOT IN (SELECT source_id FROM planned.anchors WHERE kind = '{kind.name}')
            ) AS r
        """)
    empty = (
        "SELECT *, 0 AS rank, '' AS school_id, 0::BIGINT AS line, '' AS id, 0::USMALLINT AS generation, '' AS name, "
        "[]::VARCHAR[] AS looked_for FROM planned.records LIMIT 0"
    )
    db.execute(f"CREATE TABLE planned.new AS {' UNION ALL '.join(parts) or empty}")
    # Which object a new record was found to mean; whoever reads the directory fills in what lookups found.
    db.execute("CREATE TABLE planned.hits (kind VARCHAR, source_id VARCHAR, key BIGINT, grade INTEGER)")
    db.execute("CREATE TABLE planned.privileged (key BIGINT)")
    db.execute("CREATE TABLE planned.nameless (kind VARCHAR, source_id VARCHAR, asked VARCHAR)")


def pass_over(db: duckdb.DuckDBPyConnection, terms: Terms, spent: str) -> None:
    """Give new records whose id another object had (`spent`, a relation with the column `id`) that of a later
    generation; `planned.passed` are these records, whose new ids have to be looked up as well.
    """
    passed = f"SELECT kind, source_id FROM planned.new SEMI JOIN {spent} USING (id)"
    db.execute(f"CREATE OR REPLACE TABLE planned.passed AS {passed}")
    for kind in terms.objects:
        db.execute(f"""
            UPDATE planned.new SET generation = generation + 1,
                id = {desired.id_of(terms, kind, "source_id", "generation + 1")}
            WHERE kind = '{kind.name}' AND source_id IN (
                SELECT source_id FROM planned.passed WHERE kind = '{kind.name}')
        """)


def _spare_unnamed(db: duckdb.DuckDBPyConnection) -> None:
    """A record whose very id cannot be read may be any that the roster lacks: they all stay as they are."""
    if not db.execute("SELECT 1 FROM roster.left_out WHERE source_id IS NULL LIMIT 1").fetchall():
        return
    for kind in OBJECTS:
        db.execute(f"""
            INSERT INTO planned.spared
            SELECT kind, source_id FROM planned.own ANTI JOIN planned.records USING (kind, source_id)
            ANTI JOIN planned.spared USING (kind, source_id)
            WHERE kind = '{kind.name}' AND EXISTS (
                SELECT 1 FROM roster.left_out AS r
                WHERE r.kind = '{kind.records}' AND {kind.where} AND r.source_id IS NULL
            )
        """)


def _refuse_taken(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """A map gives nobody the SIS ID that another object in use has: such a pair is passed over.

    Unless that object is given another SIS ID itself.
    """
    if not db.execute("SELECT 1 FROM planned.rekeyed LIMIT 1").fetchall():
        return
    used = " UNION ALL ".join(
        f"SELECT ('{kind.name}', source_id) FROM held.{kind.table} "
        f"WHERE {terms.is_ours('owner')} AND active AND {_is(kind.role)}"
        for kind in OBJECTS
    )
    passed = f"""
        DELETE FROM planned.rekeyed WHERE (kind, old_id) IN ({used}) AND (kind, new_id) IN ({used})
            AND (kind, new_id) NOT IN (SELECT (kind, old_id) FROM planned.rekeyed) RETURNING kind
    """
    while db.execute(passed).fetchall():  # whose new id is free only if such a pair counts is passed over as well
        pass


def _anchors(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.own`: the objects that are this profile's, by kind and source id; the active one when there are two.

    An object whose SIS ID is known to have changed (`planned.rekeyed`) is found under the new one.
    """
    parts = " UNION ALL ".join(
        f"SELECT '{kind.name}' AS kind, source_id, key, id, active, {kinds.school_of(kind.table)} AS of_school "
        f"FROM held.{kind.table} "
        f"WHERE {terms.is_ours('owner')} AND {_is(kind.role)}"
        for kind in OBJECTS
    )
    db.execute(f"""
        CREATE TABLE planned.own AS
        SELECT o.kind, coalesce(k.new_id, o.source_id) AS source_id, o.key, o.id, o.active, o.of_school
        FROM ({parts}) AS o LEFT JOIN (
            SELECT k.* FROM planned.rekeyed AS k SEMI JOIN planned.records AS r
                ON r.kind = k.kind AND r.source_id = k.new_id
        ) AS k ON k.kind = o.kind AND k.old_id = o.source_id
        QUALIFY row_number() OVER (PARTITION BY o.kind, coalesce(k.new_id, o.source_id)
            ORDER BY o.active DESC, k.new_id IS NULL, o.key) = 1
    """)
    db.execute("""
        CREATE TABLE planned.anchors AS
        SELECT own.kind, own.source_id, own.key, own.id FROM planned.own AS own SEMI JOIN planned.records AS r
            ON r.kind = own.kind AND r.source_id = own.source_id
    """)


def _is(role: Role | None) -> str:
    return f"primary_role = '{role}'" if role else "true"


@dataclass(frozen=True, slots=True)
class Lookup:
    """A question to the directory: which objects of `table` have one of `values` in `column`."""

    table: ObjectTable
    column: str  # id or account_name
    values: str  # query of one text column


def lookups(terms: Terms) -> list[Lookup]:
    """What has to be looked up for the records in `planned.new`. Answers are added to `held` (see `found`)."""
    creates = terms.policy.creates
    named = ["school", "section", *(["student", "teacher"] if creates else [])]
    asked = [
        Lookup(kind.table, "id", f"SELECT id FROM planned.new WHERE kind = '{kind.name}'")
        for kind in terms.objects
        if kind.name in named
    ]
    if creates:
        # A name that was made up says nothing about who has it already.
        called = ", ".join(f"'{role}'" for role in ("student", "teacher") if role not in terms.policy.recipes)
        people = f"kind IN ({called or 'NULL'}) AND name IS NOT NULL"
        asked.append(Lookup("people", "account_name", f"SELECT DISTINCT lower(name) FROM planned.new WHERE {people}"))
    return asked


def found(db: duckdb.DuckDBPyConnection, terms: Terms, lookup: Lookup, rows: str) -> None:
    """Take in the answer to `lookup`: the relation `rows` has the columns of `held.<table>` and `value`.

    Objects that are in `held` already are not added again.
    """
    known = ", ".join(f'"{name}"' for name in held_columns(lookup.table))
    db.execute(
        f"INSERT INTO held.{lookup.table} BY NAME SELECT {known} FROM {rows} "
        f"WHERE key NOT IN (SELECT key FROM held.{lookup.table})"
    )
    if lookup.table == "people":
        protect(db, terms, rows)
    grade, wanted = (1, "n.id") if lookup.column == "id" else (2, "lower(n.name)")
    among = ", ".join(f"'{kind.name}'" for kind in OBJECTS if kind.table == lookup.table)
    db.execute(f"""
        INSERT INTO planned.hits SELECT n.kind, n.source_id, a.key, {grade}
        FROM planned.new AS n JOIN {rows} AS a ON a.value = {wanted} WHERE n.kind IN ({among})
    """)


def protect(db: duckdb.DuckDBPyConnection, terms: Terms, rows: str) -> None:
    """Note which of the accounts found (`rows`, with ACCOUNT_COLUMNS) no record may ever take over.

    Those that the profile lists; and of those made by hand the ones that run services, and guests, whose account
    belongs to another organization.
    """
    listed = ", ".join(identity.text(one.lower()) for one in terms.policy.protected) or "NULL"
    served = ", ".join(map(identity.text, PRIVILEGED))
    db.execute(f"""
        INSERT INTO planned.privileged
        SELECT key FROM {rows} WHERE account_name IN ({listed}) OR lower(id) IN ({listed})
            OR (owner IS NULL AND (split_part(account_name, '@', 1) IN ({served}) OR lower(user_type) = 'guest'))
    """)


def match(db: duckdb.DuckDBPyConnection, terms: Terms, accounts: str) -> str:
    """Find accounts for the new people by the profile's options, the first option that finds any counting.

    `accounts` is a relation of `key` and the columns that the options name. Returns the query for the keys of the
    accounts found, whose whole rows have to be added to `held`.
    """
    places: dict[Role, int] = {}
    for option in options(terms):
        places[option.role] = place = places.get(option.role, 0) + 1
        db.execute(f"""
            INSERT INTO planned.hits SELECT n.kind, n.source_id, a.key, {place + 2}
            FROM planned.new AS n JOIN {accounts} AS a ON lower(a.{option.column}) = lower(n.looked_for[{place}])
            WHERE n.kind = '{option.role}'
        """)
    return "SELECT DISTINCT key FROM planned.hits WHERE grade > 2 AND key NOT IN (SELECT key FROM held.people)"


def resolve(db: duckdb.DuckDBPyConnection, terms: Terms) -> int:
    """Decide every record: `planned.chosen` has the object it keeps or takes over, or no key for a new one.

    Records that cannot have one become errors. Returns how many objects are new.
    """
    _candidates(db, terms)
    if terms.policy.creates:
        _first_come(db)
    else:
        _nobody_guesses(db)
    _newcomers(db, terms)
    ((new,),) = db.execute("SELECT count(*) FROM planned.chosen WHERE key IS NULL").fetchall()
    return int(new)


def _candidates(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.candidates`: the objects that the best of a record's lookups found, and whether they may be taken."""
    holders = " UNION ALL ".join(
        f"SELECT '{table}' AS of, key, owner, source_id, {kind} AS kind FROM held.{table}"
        for table, kind in (("schools", "'school'"), ("classes", "'section'"), ("people", "primary_role"))
    )
    tables = " ".join(f"WHEN '{kind.name}' THEN '{kind.table}'" for kind in OBJECTS)
    deferred = ", ".join(f"'{kind.name}'" for kind in OBJECTS if kind not in terms.objects) or "''"
    # An object of our own may be taken by another record only when nobody in the roster stands for it any more: by
    # the same record under another role, or by whom the profile's own matching names.
    db.execute(f"""
        CREATE TABLE planned.candidates AS
        WITH best AS (
            SELECT DISTINCT kind, source_id, key, grade FROM planned.hits
            QUALIFY rank() OVER (PARTITION BY kind, source_id ORDER BY grade) = 1
        ), holders AS ({holders}), spoken_for AS (
            SELECT kind, source_id FROM planned.records UNION ALL SELECT kind, source_id FROM planned.spared
            UNION ALL SELECT kind, source_id FROM planned.around
        ), anchored AS (
            SELECT CASE kind {tables} END AS of, key FROM planned.anchors
        )
        SELECT n.kind, n.rank, n.line, n.source_id, b.key, b.grade,
            count(*) OVER (PARTITION BY n.kind, n.source_id) AS accounts,
            p.key IS NULL AND ({terms.is_free("h.owner")} OR (
                {terms.is_ours("h.owner")} AND (b.grade <> 2 OR h.source_id = n.source_id)
                AND h.kind NOT IN ({deferred})
                AND (h.kind, h.source_id) NOT IN (SELECT (kind, source_id) FROM spoken_for)
                AND (h.of, h.key) NOT IN (SELECT (of, key) FROM anchored)
            )) AS free, h.of, p.key IS NOT NULL AS privileged
        FROM best AS b JOIN planned.new AS n USING (kind, source_id)
        JOIN holders AS h ON h.key = b.key AND h.of = CASE b.kind {tables} END
        LEFT JOIN (SELECT DISTINCT key FROM planned.privileged) AS p ON p.key = b.key AND h.of = 'people'
    """)


def _first_come(db: duckdb.DuckDBPyConnection) -> None:
    """Who is surest of an object gets it: by id before sign-in name, then in the order of the roster."""
    db.execute("""
        CREATE TABLE planned.taken AS SELECT kind, source_id, key FROM planned.candidates WHERE free
        QUALIFY row_number() OVER (PARTITION BY of, key ORDER BY grade, rank, line, source_id) = 1
    """)


def _nobody_guesses(db: duckdb.DuckDBPyConnection) -> None:
    """Matching: an account that two people mean, and a person that means two accounts, are decided by a human."""
    db.execute("""
        CREATE TABLE planned.taken AS SELECT kind, source_id, key FROM planned.candidates WHERE free AND accounts = 1
        QUALIFY count(*) OVER (PARTITION BY of, key) = 1
    """)


def _newcomers(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    db.execute("""
        INSERT INTO planned.errors
        SELECT CASE kind WHEN 'school' THEN 'School' WHEN 'section' THEN 'Section' WHEN 'student' THEN 'Student'
                ELSE 'Teacher' END,
            'DuplicateTargetEntries',
            'The record was not synchronized: ' || CASE
                WHEN c.privileged THEN 'the account it means is protected. Accounts that run services, guests and '
                    || 'those that the profile lists are never taken over; give the person another sign-in name.'
                WHEN c.accounts > 1 THEN 'it fits ' || c.accounts || ' accounts of the directory, and none is guessed. '
                    || 'Make what people are matched by unique.'
                WHEN c.free THEN 'another record means the same object. Ids and sign-in names must be of one record '
                    || 'alone.'
                ELSE 'the directory object it means belongs to another record or profile. Ids and sign-in names must '
                    || 'be of one record alone.' END,
            coalesce(n.name, n.looked_for[1]), n.source_id
        FROM planned.new AS n JOIN (
            SELECT kind, source_id, bool_or(privileged) AS privileged, max(accounts) AS accounts, bool_or(free) AS free
            FROM planned.candidates GROUP BY ALL
        ) AS c USING (kind, source_id)
        ANTI JOIN planned.taken USING (kind, source_id)
    """)
    creatable = "kind IN ('school', 'section')" if not terms.policy.creates else "true"
    db.execute(f"""
        INSERT INTO planned.errors
        SELECT CASE kind WHEN 'student' THEN 'Student' ELSE 'Teacher' END, 'UnsynchronizableChange',
            'The ' || CASE kind WHEN 'student' THEN 'Student' ELSE 'Teacher' END || ' was not updated: no user of the '
            || 'directory matches this ' || CASE kind WHEN 'student' THEN 'Student' ELSE 'Teacher' END
            || '. Check the matching options of the profile, or create the user.',
            looked_for[1], source_id
        FROM planned.new ANTI JOIN planned.candidates USING (kind, source_id) WHERE NOT ({creatable})
    """)
    # A school needs no name of its own; whoever else has none was refused it for its characters or its length.
    db.execute(f"""
        CREATE TABLE planned.newcomers AS
        SELECT * FROM planned.new ANTI JOIN planned.candidates USING (kind, source_id) WHERE {creatable}
    """)
    db.execute("""
        INSERT INTO planned.errors
        SELECT CASE kind WHEN 'section' THEN 'Section' WHEN 'student' THEN 'Student' ELSE 'Teacher' END,
            'AzureActiveDirectoryInvalidPropertyValue',
            CASE kind WHEN 'section' THEN
                'The mail nickname built from the SIS ID has characters that a directory refuses, or is too long.'
            ELSE 'The sign-in name has characters that a directory refuses, is too long or has no domain.' END
            || ' Use letters and digits, or let the profile replace special characters.',
            NULL, source_id
        FROM planned.newcomers ANTI JOIN planned.nameless USING (kind, source_id)
        WHERE kind <> 'school' AND name IS NULL
    """)
    db.execute("""
        INSERT INTO planned.errors
        SELECT CASE kind WHEN 'student' THEN 'Student' ELSE 'Teacher' END, 'DuplicateTargetEntries',
            'The account was not made: somebody has the sign-in name that the recipe of the profile makes for it, or '
            || 'it is reserved. Let the recipe use a counter or more of the record.', l.asked, source_id
        FROM planned.newcomers JOIN planned.nameless AS l USING (kind, source_id)
    """)
    # What is equal only because characters were replaced must not become one. Whoever has the name already keeps it,
    # then whoever has it without any replacing, then the first in the roster.
    db.execute("""
        CREATE TABLE planned.second_named AS
        WITH named AS (
            SELECT kind, source_id, rank, line, name, kind = 'section' AS alias,
                CASE kind WHEN 'section' THEN name ELSE lower(name) END AS folded
            FROM planned.newcomers WHERE kind <> 'school' AND name IS NOT NULL
        ), several AS (SELECT alias, folded FROM named GROUP BY ALL HAVING count(*) > 1)
        SELECT kind, source_id FROM (
            SELECT * FROM named SEMI JOIN several USING (alias, folded) QUALIFY row_number() OVER (
                PARTITION BY alias, folded
                ORDER BY alias AND name <> 'Section_' || source_id, rank, line, source_id
            ) > 1
        )
        UNION
        SELECT kind, source_id FROM named
        WHERE alias AND name IN (SELECT mail_nickname FROM held.classes WHERE mail_nickname IS NOT NULL)
    """)
    db.execute("""
        INSERT INTO planned.errors
        SELECT CASE kind WHEN 'section' THEN 'Section' WHEN 'student' THEN 'Student' ELSE 'Teacher' END,
            'DuplicateTargetEntries',
            'The record was not synchronized: another record has the same '
            || CASE kind WHEN 'section' THEN 'mail nickname' ELSE 'sign-in name' END || '.',
            name, source_id
        FROM planned.newcomers SEMI JOIN planned.second_named USING (kind, source_id)
    """)
    db.execute("""
        CREATE TABLE planned.chosen AS
        SELECT kind, source_id, key, id, 'kept' AS how FROM planned.anchors
        UNION ALL
        SELECT t.kind, t.source_id, t.key, NULL, 'adopted' FROM planned.taken AS t
        UNION ALL
        SELECT kind, source_id, NULL, id, 'created' FROM planned.newcomers
            ANTI JOIN planned.second_named USING (kind, source_id) WHERE kind = 'school' OR name IS NOT NULL
    """)


def settle(db: duckdb.DuckDBPyConnection) -> None:
    """Give the new objects their keys, from FRESH on: `planned.targets` has the object of every record.

    Keys follow schools, so that the links of a school lie close together wherever they are stored.
    """
    ids = " UNION ALL ".join(
        f"SELECT '{table}' AS of, key, id FROM held.{table}" for table in ("schools", "classes", "people")
    )
    tables = " ".join(f"WHEN '{kind.name}' THEN '{kind.table}'" for kind in OBJECTS)
    db.execute(f"""
        CREATE TABLE planned.targets AS
        SELECT kind, source_id, key, id, how FROM planned.chosen WHERE how = 'kept'
        UNION ALL
        SELECT c.kind, c.source_id, c.key, i.id, c.how FROM planned.chosen AS c
        JOIN ({ids}) AS i ON i.key = c.key AND i.of = CASE c.kind {tables} END WHERE c.how = 'adopted'
        UNION ALL
        SELECT c.kind, c.source_id, {FRESH} - 1 + row_number() OVER (
            ORDER BY least(n.rank, 2), n.school_id, n.rank, n.line, n.source_id), c.id, c.how
        FROM planned.chosen AS c JOIN planned.newcomers AS n USING (kind, source_id) WHERE c.how = 'created'
    """)
