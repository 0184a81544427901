# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""What differs between what the directory holds and what the roster wants; `steps` makes the plan's steps of it.

What the roster does not speak of, because it is deferred, left out for its mistakes or not in its files, differs in
nothing.
"""

from __future__ import annotations

import duckdb

from schoolsync.plan import alike, expiry, kinds, last_lines, recipes, remembered
from schoolsync.plan.desired import LINK_TABLES, OBJECT_TABLES, Terms, held_columns
from schoolsync.plan.identity import SEPARATOR, text
from schoolsync.plan.kinds import LINK_SIDES, LINKS, OBJECTS, LinkKind, LinkTable, ObjectKind, ObjectTable, Writing
from schoolsync.plan.steps import GUARDED, real_key


def compare_objects(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.<kind>_after`: every object of the roster as it shall be, and in `because` why it is touched."""
    alike.keep_classes(db)
    for kind in terms.objects:
        _after(db, terms, kind)
    parts = " UNION ALL ".join(
        f"SELECT '{kind.name}' AS kind, h.source_id, h.key, h.id, {kinds.school_of(kind.table, 'h.')} AS of_school "
        f"FROM held.{kind.table} AS h "
        f"WHERE {terms.is_ours('h.owner')} AND h.active" + (f" AND h.primary_role = '{kind.role}'" if kind.role else "")
        for kind in terms.objects
    )
    nothing = "SELECT '' AS kind, '' AS source_id, 0::BIGINT AS key, '' AS id, '' AS of_school LIMIT 0"
    db.execute(f"""
        CREATE TABLE planned.gone AS
        SELECT h.*, {last_lines.COLUMNS} FROM ({parts or nothing}) AS h
        ANTI JOIN planned.records USING (kind, source_id) ANTI JOIN planned.spared USING (kind, source_id)
        ANTI JOIN planned.around USING (kind, source_id) ANTI JOIN planned.targets AS t ON t.key = h.key
    """)
    db.execute("ALTER TABLE planned.gone ADD COLUMN rule VARCHAR DEFAULT 'gone'")
    db.execute("""
        UPDATE planned.gone SET rule = 'left-scope'
        WHERE (kind, source_id) IN (SELECT (kind, source_id) FROM outside.records)
    """)
    db.execute("""
        UPDATE planned.gone SET rule = 'term-over'
        WHERE kind = 'section' AND source_id IN (SELECT source_id FROM outside.over)
    """)
    last_lines.of_objects(db, terms, "gone", among=last_lines.present(terms))
    _defer(db, terms, "gone")
    _end_guardians(db, terms)
    # What is needed of people and classes once `forget_objects` has done its work.
    db.execute("""
        CREATE TABLE planned.kinds AS SELECT key, kind FROM planned.targets WHERE kind IN ('student', 'teacher')
        UNION ALL SELECT h.key, h.primary_role FROM held.people AS h ANTI JOIN planned.targets AS t ON t.key = h.key
        UNION ALL SELECT key, primary_role FROM planned.people_aside
    """)
    over = f"coalesce(try_cast(term_end AS DATE) < {terms.day}, false)"
    db.execute(
        f"CREATE TABLE planned.class_schools AS SELECT key, school_source_id AS of_school, {over} AS over "
        "FROM held.classes"
    )
    db.execute("CREATE TABLE planned.school_keys AS SELECT key, source_id AS of_school FROM held.schools")


def find_drift(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.drifted`: what somebody has changed by hand since the last run, of objects that are this profile's.

    `base.<table>` has the objects as that run left them, of those that were touched since; `planned.by_hand` what was
    kept then. Where the profile keeps values written by hand, they are in `planned.by_hand` from now on.
    """
    for table in OBJECT_TABLES:
        for column in kinds.compared(table):
            db.execute(f"""
                INSERT INTO planned.drifted SELECT h.key, {text(column)}, '{table}' FROM held.{table} AS h
                JOIN base.{table} AS b ON b.key = h.key WHERE h.{column} IS DISTINCT FROM b.{column}
            """)
    kept = ", ".join(text(column) for column in terms.policy.kept_by_hand) or "''"
    db.execute(f"INSERT INTO planned.by_hand FROM planned.drifted WHERE field IN ({kept})")
    db.execute(f"DELETE FROM planned.by_hand WHERE field NOT IN ({kept})")


def _end_guardians(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.unguarded`: pupils who stay and lose all their guardians; while a window defers that, they keep them."""
    db.execute("""
        CREATE TABLE planned.unguarded (
            key BIGINT, id VARCHAR, source_id VARCHAR, was_source_id VARCHAR, related_contacts VARCHAR,
            was_related_contacts VARCHAR, rule VARCHAR, of_school VARCHAR, file VARCHAR, line BIGINT, upload_run BIGINT
        )
    """)
    there = not terms.deferred("student")
    if there:
        db.execute(f"""
            INSERT INTO planned.unguarded
            SELECT a.key, a.id, a.source_id, a.source_id, a.related_contacts, h.related_contacts, a.rule, a.of_school,
                a.file, a.line, NULL
            FROM planned.student_after AS a JOIN held.people AS h ON h.key = a.key
            WHERE a.how <> 'created' AND a.rule IN ({GUARDED}) AND a.related_contacts = '[]'
                AND list_contains(string_split(a.fields, ','), 'related_contacts')
        """)
    _defer(db, terms, "unguarded")
    if there and terms.defers:
        others = "array_to_string(list_filter(string_split(a.fields, ','), lambda one: one <> 'related_contacts'), ',')"
        db.execute(f"""
            UPDATE planned.student_after AS a SET related_contacts = l.was_related_contacts, fields = {others},
                rule = CASE WHEN a.fields <> 'related_contacts' OR a.rule = 'rekeyed' THEN a.rule END
            FROM planned.unguarded_later AS l WHERE l.key = a.key
        """)


def _defer(db: duckdb.DuckDBPyConnection, terms: Terms, table: str) -> None:
    """While a window lets nothing be taken away, what would go is put aside as `planned.<table>_later`."""
    db.execute(f"CREATE TABLE planned.{table}_later AS FROM planned.{table}{'' if terms.defers else ' LIMIT 0'}")
    if terms.defers:
        db.execute(f"DELETE FROM planned.{table}")


def find_renumbered(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.renumbered`: objects that go while a new record seems to be the same under another SIS ID.

    People are known by their sign-in name, or by names and birthday; schools and classes by what they are called. Where
    several look alike, the sign-in name says who is who. Only pairs without a doubt on either side count.
    """
    db.execute("""
        CREATE TABLE planned.renumbered (
            kind VARCHAR, old_id VARCHAR, new_id VARCHAR, id VARCHAR, of_school VARCHAR
        )
    """)
    for kind in terms.objects:
        if not _number(db, f"SELECT count(*) FROM planned.gone WHERE kind = '{kind.name}'"):
            continue
        known, said = _LOOKS[kind.table]
        # The same class in another term is another class: every year has its own.
        termed = kind.table == "classes"
        old_term, new_term = ("h.term_start", "r.term_start") if termed else ("NULL::VARCHAR", "NULL::VARCHAR")
        db.execute(f"""
            INSERT INTO planned.renumbered
            WITH fresh AS (
                SELECT r.source_id, {said} AS looks, {new_term} AS term FROM {kind.relation} AS r
                SEMI JOIN (SELECT source_id FROM planned.new WHERE kind = '{kind.name}') AS n
                    ON n.source_id = r.source_id
                WHERE {kind.where}
            ), gone AS (
                SELECT g.source_id, g.key, g.id, g.of_school, {known} AS looks, {old_term} AS term
                FROM planned.gone AS g JOIN held.{kind.table} AS h ON h.key = g.key WHERE g.kind = '{kind.name}'
            ), pairs AS (
                SELECT old_id, new_id, id, of_school, bool_or(alike) AND bool_or(named) AS sure FROM (
                    SELECT g.source_id AS old_id, f.source_id AS new_id, g.id, g.of_school, true AS alike,
                        false AS named
                    FROM gone AS g JOIN fresh AS f ON f.looks = g.looks AND NOT coalesce(f.term <> g.term, false)
                    UNION ALL
                    SELECT g.source_id, t.source_id, g.id, g.of_school, false, true FROM gone AS g
                    JOIN planned.hits AS t ON t.key = g.key AND t.kind = '{kind.name}'
                ) GROUP BY ALL
            )
            SELECT '{kind.name}', * EXCLUDE (sure) FROM pairs AS p
            WHERE sure OR NOT EXISTS (FROM pairs AS s WHERE s.sure AND (s.old_id = p.old_id OR s.new_id = p.new_id))
            QUALIFY count(*) OVER (PARTITION BY old_id) = 1 AND count(*) OVER (PARTITION BY new_id) = 1
        """)


_SEPARATED = f"concat_ws({SEPARATOR}, lower({{}}), lower({{}}), {{}})"
_LOOKS: dict[ObjectTable, tuple[str, str]] = {
    "schools": ("lower(h.display_name)", "lower(r.name)"),
    "classes": (
        _SEPARATED.format("h.external_name", "h.class_code", "h.course_external_id"),
        _SEPARATED.format("r.name", "r.number", "r.course_id"),
    ),
    "people": (
        f"CASE WHEN h.surname <> '' THEN {_SEPARATED.format('h.given_name', 'h.surname', 'h.birth_date')} END",
        f"CASE WHEN r.surname <> '' THEN {_SEPARATED.format('r.given_name', 'r.surname', 'r.birth_date')} END",
    ),
}
"""What objects (`h`) and records (`r`) are recognised by when their ids have changed."""


def find_others(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.others`: records whose id is known and who seem to be another person than before.

    Whoever it is that has the object: this profile, or one that is gone and whose people are taken over. Where the
    object does not have the roster's names, what the last upload said is compared (`remembered`).
    """
    db.execute("CREATE TABLE planned.others (kind VARCHAR, source_id VARCHAR, key BIGINT)")
    for kind in terms.objects:
        if kind.role is None:
            continue
        db.execute(f"""
            INSERT INTO planned.others
            SELECT '{kind.name}', a.source_id, a.key FROM planned.{kind.name}_after AS a
            JOIN held.people AS h ON h.key = a.key
            WHERE a.how <> 'created' AND a.fields LIKE '%name%' AND {remembered.differ("h", "a")}
                AND a.key NOT IN ({remembered.BY_HAND})
            UNION
            SELECT '{kind.name}', r.source_id, t.key FROM planned.remembered AS m
            JOIN {kind.relation} AS r ON {kind.where} AND r.source_id = m.source_id
            JOIN planned.targets AS t ON t.kind = m.kind AND t.source_id = m.source_id
            WHERE m.kind = '{kind.name}' AND {remembered.differ("m", "r")}
        """)


def find_adopted(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.adopting`: people for whom a profile that creates accounts would take over one made by hand.

    A profile that matches says itself which accounts it means; that it takes them over is what it is for.
    """
    db.execute(f"""
        INSERT INTO planned.adopting
        SELECT c.kind, c.source_id FROM planned.chosen AS c JOIN held.people AS h ON h.key = c.key
        WHERE c.how = 'adopted' AND c.kind IN ('student', 'teacher') AND h.owner IS NULL
            AND {str(terms.policy.creates).lower()}
    """)


def forget_objects(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Give the memory of objects back once their steps are stored; links need their keys alone."""
    wide = [f"planned.{kind.name}_after" for kind in terms.objects]
    wide += [f"held.{table}" for table in OBJECT_TABLES]
    there = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE schema_name = 'roster'"
    wide += [name for (name,) in db.execute(there).fetchall() if name in ("roster.organizations", "roster.people")]
    for name in (*wide, "planned.new", "planned.newcomers", "planned.chosen", "planned.second_named"):
        db.execute(f"DROP TABLE {name} CASCADE")


def _after(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> None:
    writing = {one.column: how for one, how in terms.writing(kind).items()}
    columns, reasons = [], []
    recipe = recipes.of(terms, kind)
    lost = {name for (name,) in db.execute("SELECT DISTINCT kind FROM roster.left_out").fetchall()}
    told_by = {one.column: one.told_by for one in kind.properties if one.told_by in lost}
    for column in kinds.compared(kind.table):
        value = _value(kind, column, writing.get(column, Writing.LEAVE))
        if column in told_by:
            value = (
                f"CASE WHEN t.how <> 'created' AND {_unsure(kind, told_by[column])} THEN h.{column} ELSE {value} END"
            )
        if column == "mail" and recipe is not None and recipe.mail is not None:
            value = f"CASE WHEN t.how = 'created' THEN {recipes.mail(recipe, 'n.name')} ELSE h.mail END"
        if column in terms.policy.kept_by_hand:
            kept = f"SELECT key FROM planned.by_hand WHERE field = {text(column)} AND of_table = '{kind.table}'"
            value = f"CASE WHEN t.key IN ({kept}) THEN h.{column} ELSE {value} END"
        columns.append(f"{value} AS {column}")
        if writing.get(column) is Writing.WRITE:
            reasons.append(f"CASE WHEN h.{column} IS DISTINCT FROM {value} THEN {text(column)} END")
    fields = f"CASE WHEN t.how <> 'created' THEN concat_ws(',', {', '.join(reasons or ['NULL'])}) END"
    rule = (
        "CASE WHEN how = 'created' THEN 'new-record' WHEN how = 'adopted' AND NOT was_ours THEN 'adopted' "
        "WHEN was_id <> source_id THEN 'rekeyed' WHEN was_away THEN 'back' "
        "WHEN list_has_any(string_split(fields, ','), drifted) THEN 'drift' WHEN fields <> '' THEN 'changed' END"
    )
    placed = _value(kind, "school_source_id", writing.get("school_source_id", Writing.LEAVE))
    school = "r.source_id" if kind.table == "schools" else placed
    name = "coalesce(h.mail_nickname, n.name) AS mail_nickname, h.expired, " if kind.table == "classes" else ""
    account = ", n.name AS user_principal_name" if kind.role else ""
    # New objects are few when the profile has been synchronized before; the join with `new` is then next to nothing.
    db.execute(f"""
        CREATE TABLE planned.{kind.name}_after AS
        SELECT * EXCLUDE (was_away, was_ours, was_id, drifted), {rule} AS rule FROM (
        SELECT t.key, t.id, t.how, r.source_id, coalesce(n.generation, 0)::INTEGER AS generation,
            {name}{", ".join(columns)}{account}, {fields} AS fields, NOT h.active AS was_away,
            coalesce({terms.is_ours("h.owner")}, false) AS was_ours,
            h.source_id AS was_id, d.fields AS drifted, {school} AS of_school, r.file, r.line
        FROM planned.{kind.name}_records AS r
        JOIN (
            SELECT * FROM planned.targets ANTI JOIN planned.kept_as_is USING (key) WHERE kind = '{kind.name}'
        ) AS t ON t.source_id = r.source_id
        LEFT JOIN held.{kind.table} AS h ON h.key = t.key
        LEFT JOIN planned.new AS n ON n.kind = '{kind.name}' AND n.source_id = r.source_id
        LEFT JOIN (
            SELECT key, list(field) AS fields FROM planned.drifted WHERE of_table = '{kind.table}' GROUP BY key
        ) AS d ON d.key = t.key
        )
    """)


def _unsure(kind: ObjectKind, told_by: str | None) -> str:
    """Whether a row that says something of the record `r` is left out; one without a readable id may be anybody's."""
    listed = f"FROM roster.left_out AS l WHERE l.kind = '{told_by}'"
    listed += f" AND l.role = '{kind.role}'" if kind.role else ""
    return (
        f"(r.source_id IN (SELECT l.source_id {listed} AND l.source_id IS NOT NULL) "
        f"OR EXISTS (SELECT 1 {listed} AND l.source_id IS NULL))"
    )


def _value(kind: ObjectKind, column: str, how: Writing) -> str:
    """What the column shall be, over the record `r`, the object `h` that is there (if any) and its target `t`."""
    if how is Writing.LEAVE:
        return f"h.{column}"
    wanted = f"r.{column}"
    if column == "related_contacts":
        # Who has a guardian that is left out for a mistake keeps all guardians as they are.
        # When it cannot even be read whose guardian it is, it may be anybody's.
        listed = "FROM roster.left_out WHERE kind = 'contacts' AND source_id IS"
        spared = f"(r.source_id IN (SELECT source_id {listed} NOT NULL) OR EXISTS (SELECT 1 {listed} NULL))"
        return f"CASE WHEN t.how <> 'created' AND {spared} THEN h.{column} ELSE {wanted} END"
    if how is Writing.ONCE:
        return f"CASE WHEN t.how = 'created' THEN {wanted} ELSE h.{column} END"
    return wanted


def want_links(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.<links>_wanted`: every pair the roster wants; records without one of their ends become errors.

    `planned.<links>_met` are those of them that are not yet the profile's as they shall be. Of these, `_asked` are the
    pairs whose ends were there before: others may have made them, which whoever reads the directory adds to `held`.
    """
    deferred = ", ".join(f"'{kind.name}'" for kind in OBJECTS if kind not in terms.objects) or "''"
    db.execute(f"""
        CREATE TABLE planned.ends AS
        SELECT kind, source_id, key, how = 'created' AS fresh FROM planned.targets
        UNION ALL
        SELECT kind, source_id, key, false FROM planned.own
        WHERE kind IN ({deferred}) OR (kind, source_id) IN (SELECT (kind, source_id) FROM planned.spared)
            OR (active AND (kind, source_id) IN (SELECT (kind, source_id) FROM planned.around))
    """)
    # Links are many: each names its file by a number.
    named = " UNION ALL ".join(f"SELECT DISTINCT file FROM roster.{kind.records}" for kind in LINKS)
    db.execute("CREATE TABLE planned.dangling (kind VARCHAR, source_id VARCHAR)")
    db.execute(f"CREATE TABLE planned.files AS SELECT list(DISTINCT file) AS names FROM ({named})")
    for table in LINK_TABLES:
        left, right = LINK_SIDES[table]
        # Records are unique by the ids they name, and so are ends: no pair comes twice.
        parts = [_pairs(kind, _place(db, kind)) for kind in LINKS if kind.table == table and kind in terms.links]
        pairs = " UNION ALL ".join(parts) or _no_pairs(table)
        db.execute(f"CREATE TABLE planned.{table}_wanted AS {pairs}")
        # Links are very many: they are compared once, and what differs is little.
        same = f'h."{left}" = w."{left}" AND h."{right}" = w."{right}"'
        if db.execute(f"SELECT 1 FROM held.{table} LIMIT 1").fetchall():
            db.execute(f"""
                CREATE TABLE planned.{table}_met AS
                SELECT w.*, h."{left}" IS NULL AS missing FROM planned.{table}_wanted AS w
                LEFT JOIN held.{table} AS h ON {same}
                WHERE h."{left}" IS NULL OR NOT coalesce({terms.is_ours("h.owner")}, false) OR ({flags_differ(table)})
            """)
        else:
            db.execute(f"CREATE VIEW planned.{table}_met AS SELECT *, true AS missing FROM planned.{table}_wanted")
        db.execute(f"""
            CREATE VIEW planned.{table}_asked AS
            SELECT "{left}", "{right}" FROM planned.{table}_met WHERE missing AND NOT fresh
        """)
        if _records(db, terms, table) != _number(db, f"SELECT count(*) FROM planned.{table}_wanted"):
            for kind in terms.links:
                if kind.table == table:
                    _dangling(db, terms, kind)


def _records(db: duckdb.DuckDBPyConnection, terms: Terms, table: LinkTable) -> int:
    """How many records speak of links in `table`."""
    mine = [kind for kind in terms.links if kind.table == table]
    return sum(_number(db, f"SELECT count(*) FROM {kind.relation} AS r WHERE {kind.where}") for kind in mine)


def _number(db: duckdb.DuckDBPyConnection, query: str) -> int:
    ((number,),) = db.execute(query).fetchall()
    return int(number)


def _place(db: duckdb.DuckDBPyConnection, kind: LinkKind) -> str:
    """The SQL for the number of a record's file."""
    found = "list_position((SELECT names FROM planned.files), {})::INTEGER"
    first, last = db.execute(f"SELECT min(file), max(file) FROM {kind.relation} AS r WHERE {kind.where}").fetchall()[0]
    if first is None or first != last:
        return found.format("r.file")
    ((number,),) = db.execute(f"SELECT {found.format('$1')}", [first]).fetchall()
    return f"{int(number)}::INTEGER"


def _pairs(kind: LinkKind, place: str) -> str:
    left, right = LINK_SIDES[kind.table]
    late = "true" if kind.name == "studentEnrollment" else "false"
    right_kind = f"r.{kind.person}" if kind.person else text(kind.right)
    return f"""
        SELECT l.key AS "{left}", p.key AS "{right}", {str(kind.teacher).lower()} AS teacher, {late} AS late,
            l.fresh OR p.fresh AS fresh, {place} AS place, r.line
        FROM {kind.relation} AS r
        JOIN planned.ends AS l ON l.kind = '{kind.left}' AND l.source_id = r.{kind.left_source}
        JOIN planned.ends AS p ON p.kind = {right_kind} AND p.source_id = r.{kind.right_source}
        WHERE {kind.where}
    """


def _no_pairs(table: LinkTable) -> str:
    left, right = LINK_SIDES[table]
    return (
        f'SELECT 0::BIGINT AS "{left}", 0::BIGINT AS "{right}", false AS teacher, false AS late, false AS fresh, '
        "0::INTEGER AS place, 0::BIGINT AS line LIMIT 0"
    )


def _dangling(db: duckdb.DuckDBPyConnection, terms: Terms, kind: LinkKind) -> None:
    """Records that link to what did not get into the directory; that of a deferred kind is not expected there."""
    missing = []
    for end, source in ((kind.left, kind.left_source), (kind.right, kind.right_source)):
        kinds_of = f"r.{kind.person}" if kind.person and end == kind.right else text(end)
        there = "SELECT (kind, source_id) FROM planned.ends"
        deferred = ", ".join(text(one) for one in ("school", "section", "student", "teacher") if terms.deferred(one))
        expected = f"AND {kinds_of} NOT IN ({deferred})" if deferred else ""
        missing.append(f"(r.{source} IS NOT NULL AND ({kinds_of}, r.{source}) NOT IN ({there}) {expected})")
    both = f"r.{kind.left_source} IS NOT NULL AND r.{kind.right_source} IS NOT NULL"
    if kind.right in ("student", "teacher"):
        db.execute(f"""
            INSERT INTO planned.dangling SELECT {kinds_of}, r.{kind.right_source} FROM {kind.relation} AS r
            WHERE {kind.where} AND {both} AND ({" OR ".join(missing)})
        """)
    db.execute(f"""
        INSERT INTO planned.errors
        SELECT {text(kind.entry)}, 'InvalidLookupReference',
            'The link was not made: the {_noun(kind.left)} or the {_noun(kind.right)} it names was not synchronized.',
            r.{kind.left_source}, r.{kind.right_source}
        FROM {kind.relation} AS r WHERE {kind.where} AND {both} AND ({" OR ".join(missing)})
    """)


def _noun(kind: str) -> str:
    return {"section": "class"}.get(kind, kind)


def compare_links(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.<links>_stale`: the links that the roster no longer has and that are the profile's to take away."""
    # A link of a profile that is gone goes with the objects that were taken over from it.
    db.execute("CREATE TABLE planned.taken_over AS SELECT key FROM planned.own UNION SELECT key FROM planned.targets")
    for table in LINK_TABLES:
        left, right = LINK_SIDES[table]
        db.execute(f"""
            CREATE TABLE planned.{table}_unwanted AS SELECT h.* FROM held.{table} AS h
            ANTI JOIN planned.{table}_wanted AS w ON w."{left}" = h."{left}" AND w."{right}" = h."{right}"
        """)
        kind = {
            "school_classes": "'schoolSections'",
            "school_people": "CASE k.kind WHEN 'teacher' THEN 'teacherSchools' ELSE 'studentSchools' END",
            "class_people": "CASE WHEN h.teacher THEN 'teacherRoster' ELSE 'studentEnrollment' END",
        }[table]
        join = f'LEFT JOIN planned.kinds AS k ON k.key = h."{right}"' if table == "school_people" else ""
        over = "coalesce(s.over, false)" if left == "class" else "false"
        ruled = ", ".join(text(one.name) for one in LINKS if one.table == table and one in terms.links) or "''"
        db.execute(f"""
            CREATE TABLE planned.{table}_stale AS
            SELECT h."{left}", h."{right}", {kind} AS kind, s.of_school, {over} AS ended,
                'gone' AS rule, {last_lines.COLUMNS} FROM planned.{table}_unwanted AS h {join}
            LEFT JOIN planned.{"class_schools" if left == "class" else "school_keys"} AS s ON s.key = h."{left}"
            WHERE {kind} IN ({ruled}) AND (
                {terms.is_ours("h.owner")}
                OR ({terms.is_orphaned("h.owner")} AND h."{left}" IN (SELECT key FROM planned.taken_over))
            )
        """)
        _mark_ended(db, terms, table)
        db.execute(f"""
            UPDATE planned.{table}_stale AS s SET rule = 'left-scope' FROM planned.own AS o
            SEMI JOIN outside.records AS x ON x.kind = o.kind AND x.source_id = o.source_id
            WHERE (o.key = s."{left}" AND o.kind = '{LEFT_KINDS[left]}')
                OR (o.key = s."{right}" AND o.kind IN ({RIGHT_KINDS[right]}))
        """)
        db.execute(f"CREATE TABLE planned.{table}_spared AS FROM planned.{table}_stale LIMIT 0")
        if db.execute("SELECT 1 FROM roster.left_out LIMIT 1").fetchall():
            db.execute(f"INSERT INTO planned.{table}_spared FROM planned.{table}_stale")
            _spare(db, table)
            db.execute(f"""DELETE FROM planned.{table}_spared AS s WHERE (s."{left}", s."{right}") IN (
                SELECT ("{left}", "{right}") FROM planned.{table}_stale)""")
        last_lines.of_links(db, terms, table)
        _defer(db, terms, f"{table}_stale")
    expiry.spare_links(db, terms)


LEFT_KINDS = {"school": "school", "class": "section"}
RIGHT_KINDS = {"class": "'section'", "person": "'student', 'teacher'"}


def _mark_ended(db: duckdb.DuckDBPyConnection, terms: Terms, table: LinkTable) -> None:
    """What the roster itself says has ended is no loss that anybody has to be guarded from."""
    left, right = LINK_SIDES[table]
    for kind in terms.links:
        if kind.table != table or not terms.dated(kind.records):
            continue
        right_kind = f"r.{kind.person}" if kind.person else text(kind.right)
        db.execute(f"""
            UPDATE planned.{table}_stale AS s SET ended = true WHERE s.kind = '{kind.name}'
            AND (s."{left}", s."{right}") IN (
                SELECT (l.key, p.key) FROM roster.{kind.records} AS r
                JOIN planned.own AS l ON l.kind = '{kind.left}' AND l.source_id = r.{kind.left_source}
                JOIN planned.own AS p ON p.kind = {right_kind} AND p.source_id = r.{kind.right_source}
                WHERE {kind.where} AND r.end_date <= {terms.day}
            )
        """)


def _spare(db: duckdb.DuckDBPyConnection, table: LinkTable) -> None:
    """What is left out for its mistakes is no removal: neither the link itself nor the links of a left-out object."""
    left, right = LINK_SIDES[table]
    sides = {"school": "school", "class": "section"}
    spared = "SELECT o.key FROM planned.own AS o SEMI JOIN planned.spared AS s USING (kind, source_id)"
    rights = "'section'" if right == "class" else "'student', 'teacher'"
    db.execute(f"""
        DELETE FROM planned.{table}_stale AS s WHERE s."{left}" IN ({spared} WHERE o.kind = '{sides[left]}')
            OR s."{right}" IN ({spared} WHERE o.kind IN ({rights}))
    """)
    for kind in LINKS:
        if kind.table != table or kind.records == "classes":  # a class has its school in itself: spared above
            continue
        first, second = kind.left_out
        people = "'student', 'teacher'"  # what a row that is left out says of its person is not to be relied on
        db.execute(f"""
            DELETE FROM planned.{table}_stale AS s WHERE (s."{left}", s."{right}") IN (
                SELECT (l.key, p.key) FROM roster.left_out AS r
                JOIN planned.ends AS l ON l.kind = '{kind.left}' AND l.source_id = r.{first}
                JOIN planned.ends AS p ON p.kind IN ({people if kind.person else text(kind.right)})
                    AND p.source_id = r.{second}
                WHERE r.kind = '{kind.records}' AND {kind.where}
            )
        """)
        # A record with an end that cannot be read may be any link of its other end, and without both any link at all.
        unread = f"FROM roster.left_out AS r WHERE r.kind = '{kind.records}' AND {kind.where}"
        ends = "SELECT key FROM planned.ends WHERE kind = '{}' AND source_id IN (SELECT r.{} {} AND r.{} IS NULL)"
        db.execute(f"""
            DELETE FROM planned.{table}_stale AS s WHERE s.kind = '{kind.name}' AND (
                EXISTS (SELECT 1 {unread} AND r.{first} IS NULL AND r.{second} IS NULL)
                OR s."{left}" IN ({ends.format(kind.left, first, unread, second)})
                OR s."{right}" IN ({ends.format(kind.right, second, unread, first)})
            )
        """)


def objects_after(terms: Terms, table: ObjectTable, first_key: int, *, aside: bool = True) -> str:
    """The query for the profile's objects in `table` once the plan is applied, in the columns of `held` but `owner`.

    New objects have the keys from `first_key` on. Without `aside` those who were set aside (`alike`) are not among
    them.
    """
    columns = [name for name in held_columns(table) if name != "owner"]
    parts = []
    for kind in terms.objects:
        if kind.table == table:
            special = {"active": "true AS active", "key": f"{real_key('key', first_key)} AS key"}
            chosen = ", ".join(special.get(name, name) for name in columns)
            parts.append(f"SELECT {chosen} FROM planned.{kind.name}_after")
    kept = ", ".join(
        "active AND key NOT IN (SELECT key FROM planned.gone) AS active" if name == "active" else name
        for name in columns
    )
    rest = "SELECT key FROM planned.targets"
    parts.append(f"SELECT {kept} FROM held.{table} WHERE {terms.is_ours('owner')} AND key NOT IN ({rest})")
    if aside:
        parts.append(f"SELECT * FROM planned.{table}_aside")
        if table != "schools":
            parts.append(f"SELECT * FROM planned.{table}_kept")
    return " UNION ALL ".join(parts)


def flags_differ(table: LinkTable) -> str:
    """The condition that a link (`h`) is not what is wanted of it (`w`)."""
    return (
        "h.member IS DISTINCT FROM true OR h.teacher IS DISTINCT FROM w.teacher" if table == "class_people" else "false"
    )


def links_after(terms: Terms, table: LinkTable, first_key: int, *, aside: bool = True) -> str:
    """As `objects_after`, for the profile's links in `table`."""
    left, right = LINK_SIDES[table]
    same = f'h."{left}" = w."{left}" AND h."{right}" = w."{right}"'
    others = f"coalesce(h.owner IN ({terms.owners}) AND NOT {terms.is_ours('h.owner')}, false)"
    early = "false" if terms.waits_until is None else f'(w.late AND h."{left}" IS NULL)'
    wanted, kept = (", true AS member, w.teacher", ", h.member, h.teacher") if table == "class_people" else ("", "")
    ends = ", ".join(f'{real_key(f"""w."{side}" """, first_key)} AS "{side}"' for side in (left, right))
    return f"""
        SELECT {ends}{wanted} FROM planned.{table}_wanted AS w
        ANTI JOIN (
            SELECT w."{left}", w."{right}" FROM planned.{table}_met AS w LEFT JOIN held.{table} AS h ON {same}
            WHERE {others} OR {early}
        ) AS h ON {same}
        UNION ALL
        SELECT h."{left}", h."{right}"{kept} FROM planned.{table}_unwanted AS h
        ANTI JOIN planned.{table}_stale AS s ON s."{left}" = h."{left}" AND s."{right}" = h."{right}"
        WHERE {terms.is_ours("h.owner")}
        {f"UNION ALL SELECT * FROM planned.{table}_aside" if aside else ""}
    """
