# ruff: noqa: S608  # what is put into these statements are names of ours and numbers of a policy
"""Rules over a whole plan that hold it, so that a damaged export never empties a school.

First everything is counted, set by set, into `planned.endangered`: for each kind, in the profile and in every school,
what the directory has, what would go, and what is left out for its mistakes. Then each guard is one query over those
counts. All numbers come from the profile's settings; docs/plan.md has a row for every guard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb

from schoolsync.plan.desired import Terms
from schoolsync.plan.kinds import LINK_SIDES, LINKS, LinkTable
from schoolsync.plan.policy import Guards
from schoolsync.plan.verdicts import Guard, Holds, Scope, Settled, Verdict, settle

NAMES = {
    "school": "schools",
    "section": "classes",
    "student": "students",
    "teacher": "teachers",
    "guardians": "students with guardians",
    "studentEnrollment": "student enrollments",
    "teacherRoster": "teacher assignments",
    "studentSchools": "students' places in schools",
    "teacherSchools": "teachers' places in schools",
}
"""What sentences call the kinds."""

_CHANGED = "'changed', 'drift'"  # rules of what counts as an update

_PER_PLACE = 20
"""Of one guard and kind, so many schools or classes are told at most, the worst first; all of them are counted."""


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of counts, empty: rows per kind and school, accounts to take over, earlier removals."""
    db.execute("""
        CREATE TABLE planned.endangered (
            kind VARCHAR, school VARCHAR, held BIGINT, going BIGINT, rejected BIGINT, changing BIGINT, said BIGINT
        )
    """)
    db.execute("CREATE TABLE planned.adopting (kind VARCHAR, source_id VARCHAR)")
    for table in ("binning", "purging"):
        db.execute(f"CREATE TABLE planned.{table} (kind VARCHAR, many BIGINT)")
    db.execute("CREATE TABLE planned.class_losses (key BIGINT, going BIGINT, rejected BIGINT, held BIGINT)")
    db.execute("CREATE TABLE planned.lately (kind VARCHAR, school VARCHAR, held BIGINT, gone BIGINT)")


def count_said(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """`planned.said`: how many records of each kind the roster has, before people are set aside (`alike`)."""
    several: dict[str, str] = {kind.name: f"{kind.relation} AS r WHERE {kind.where}" for kind in terms.objects}
    several |= {kind.name: f"{kind.relation} AS r WHERE {kind.where}" for kind in LINKS}
    several["guardians"] = "roster.contacts"
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {source}" for name, source in several.items())
    db.execute(f"CREATE TABLE planned.said AS SELECT * FROM ({counts}) AS s(kind, n)")


def _said(kind: str) -> str:
    return f"SELECT n FROM planned.said WHERE kind = '{kind}'"


def count_objects(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Count every kind of object, and guardians; before `changes.forget_objects`.

    Of a profile that has nothing yet nothing can be taken away: a first load is not counted.
    """
    for counted, found in (("binning", "binned"), ("purging", "purged")):
        db.execute(f"INSERT INTO planned.{counted} SELECT kind, count(*) FROM planned.{found} GROUP BY kind")
    if not _some(db, "planned.own") and not _some(db, "planned.aside"):
        return
    for kind in terms.objects:
        mine = f"o.kind = '{kind.name}' AND o.active"
        # Nobody is in two schools here: an object counts where it belongs first of all.
        _insert(
            db,
            kind.name,
            held=f"SELECT of_school, 1 FROM planned.own AS o WHERE {mine} "
            f"UNION ALL SELECT of_school, n FROM planned.aside WHERE kind = '{kind.name}'",
            going=f"SELECT of_school, 1 FROM planned.gone AS o WHERE o.kind = '{kind.name}' "
            f"UNION ALL SELECT of_school, 1 FROM planned.expiring WHERE kind = '{kind.name}' AND was_active",
            rejected=f"SELECT of_school, 1 FROM planned.own AS o SEMI JOIN planned.spared AS s "
            f"USING (kind, source_id) WHERE {mine}",
            changing=f"SELECT of_school, 1 FROM planned.{kind.name}_after WHERE {_changed()} "
            "AND fields <> 'related_contacts'",
            said=_said(kind.name),
            left=f"r.kind = '{kind.records}' AND {kind.where}",
        )
    if not terms.deferred("student") and "contacts" not in terms.absent:
        there = f"{terms.is_ours('h.owner')} AND h.active AND coalesce(h.related_contacts, '[]') <> '[]'"
        _insert(
            db,
            "guardians",
            held=f"SELECT h.school_source_id AS of_school, 1 FROM held.people AS h WHERE {there} "
            "UNION ALL SELECT of_school, n FROM planned.aside WHERE guarded",
            going="SELECT h.school_source_id AS of_school, 1 FROM planned.unguarded JOIN held.people AS h USING (key)",
            changing="SELECT h.school_source_id AS of_school, 1 FROM planned.student_after AS a "
            f"JOIN held.people AS h USING (key) WHERE {there} AND a.related_contacts <> '[]' "
            "AND list_contains(string_split(a.fields, ','), 'related_contacts')",
            said=_said("guardians"),
            left="r.kind = 'contacts'",
        )


def _some(db: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall())


def _changed() -> str:
    """What counts as an update: not what only follows from a school's new SIS ID."""
    follows = "fields = 'school_source_id' AND EXISTS (FROM planned.rekeyed WHERE kind = 'school')"
    return f"rule IN ({_CHANGED}) AND NOT ({follows})"


def _links(terms: Terms, table: LinkTable) -> str:
    """The query for the profile's links in a table, those of people who are set aside (`alike`) included."""
    mine = f"SELECT * EXCLUDE (owner) FROM held.{table} WHERE {terms.is_ours('owner')}"
    return f"{mine} UNION ALL SELECT * FROM planned.{table}_aside"


def measure_classes(db: duckdb.DuckDBPyConnection) -> None:
    """`planned.measured`: the sizes of classes, worked out once; nothing when no class loses anybody."""
    some = "EXISTS (FROM planned.class_people_stale) OR EXISTS (FROM planned.class_people_spared)"
    db.execute(f"CREATE TABLE planned.measured AS FROM planned.class_sizes WHERE {some}")


def count_links(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Count every kind of membership; what has ended by its own dates is not endangered."""
    measure_classes(db)
    for link in LINKS:
        if link not in terms.links or link.records == "classes":
            continue
        left, right = LINK_SIDES[link.table]
        lost = f"r.kind = '{link.records}' AND {link.where}"
        stale = f"planned.{link.table}_stale WHERE kind = '{link.name}' AND NOT ended"
        spared = f"planned.{link.table}_spared WHERE kind = '{link.name}'"
        ((some,),) = db.execute(f"SELECT EXISTS (FROM {stale}) OR EXISTS (FROM {spared})").fetchall()
        if not some:
            continue
        place = "planned.class_schools" if left == "class" else "planned.school_keys"
        # Links are many, so they are counted by their classes and schools before those are looked up.
        if link.table == "class_people":
            counted = f"SELECT key, n FROM planned.measured WHERE {'' if link.teacher else 'NOT '}teacher"
        else:
            counted = f"""SELECT h."{left}" AS key, count(*) AS n FROM ({_links(terms, link.table)}) AS h
                JOIN planned.kinds AS k ON k.key = h."{right}" WHERE k.kind = '{link.right}' GROUP BY ALL"""
        _insert(
            db,
            link.name,
            held=f"SELECT p.of_school, n FROM ({counted}) AS c LEFT JOIN {place} AS p ON p.key = c.key",
            going=f"SELECT of_school, 1 FROM {stale}",
            rejected=f"SELECT of_school, 1 FROM {spared}",
            said=_said(link.name),
            left=lost,
        )


def _insert(
    db: duckdb.DuckDBPyConnection,
    kind: str,
    *,
    held: str,
    going: str,
    said: str,
    left: str,
    rejected: str | None = None,
    changing: str | None = None,
) -> None:
    """Add the counts of one kind: a row per school and one with school NULL for the profile.

    The queries give a row (school, number) for each object; `said` is how many records the roster has, those that are
    left out (`left`) added.
    """
    parts = [("held", held), ("going", going), ("rejected", rejected), ("changing", changing)]
    rows = " UNION ALL ".join(
        "SELECT of_school, "
        + ", ".join(f"{'n' if name == column else '0'} AS {column}" for column, _ in parts)
        + f" FROM ({query}) AS q(of_school, n)"
        for name, query in parts
        if query is not None
    )
    db.execute(f"""
        INSERT INTO planned.endangered
        WITH counted AS (SELECT of_school, held, going, rejected, changing FROM ({rows}))
        SELECT '{kind}', CASE WHEN grouping(of_school) = 0 THEN coalesce(of_school, '') END,
            sum(held), sum(going), sum(rejected), sum(changing),
            (SELECT ({said}) + (SELECT count(*) FROM roster.left_out AS r WHERE {left})
                + coalesce((SELECT sum(n) FROM outside.numbers WHERE kind = '{kind}'), 0))
        FROM counted GROUP BY GROUPING SETS ((of_school), ())
    """)


PUPILS = "classPupils"
"""The kind under which tallies have what single classes lost; their SIS IDs stand where schools do."""

TALLY = f"""
    SELECT kind, school, held, going AS gone FROM planned.endangered WHERE going > 0
    UNION ALL
    SELECT '{PUPILS}', c.source_id, l.held, l.going FROM planned.class_losses AS l
        JOIN planned.own AS c ON c.kind = 'section' AND c.key = l.key WHERE l.going > 0
    ORDER BY kind, school NULLS FIRST
"""
"""The query for what the next plans count with their own: what the profile has and what this plan takes away."""


def settled(db: duckdb.DuckDBPyConnection, terms: Terms) -> Settled:
    """What the guards say about the plan."""
    found: list[Verdict] = []
    more = 0
    guards: tuple[Callable[[duckdb.DuckDBPyConnection, Terms], Said], ...] = (_bins, _purges, _adoptions, _others)
    if _some(db, "planned.endangered") or _some(db, "planned.class_losses"):
        taken = (_emptied, _renumbered, _removals, _schools_gone, _halved, _leavers, _window, _updates)
        guards = (*taken, *guards)
    for guard in guards:
        verdicts, unlisted = guard(db, terms)
        found += verdicts
        more += unlisted
    result = settle(found)
    return Settled(verdicts=result.verdicts, count=result.count + more)


Said = tuple[Sequence[Verdict], int]  # verdicts, and how many more there are that are not listed


def _emptied(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """A roster without a single record of a kind is a broken export, not a school without pupils."""
    del terms
    rows = db.execute(
        "SELECT kind, held, going FROM planned.endangered WHERE school IS NULL AND said = 0 AND going > 0"
    ).fetchall()
    return [
        _verdict(
            "emptied", "everything", kind, "profile", None, going, held, 0, 0,
            f"the roster has no {NAMES[kind]} at all, while the directory has {held:,} from earlier uploads and "
            f"{going:,} would go. Upload a complete roster and start again.",
        )
        for kind, held, going in rows
    ], 0  # fmt: skip


def _limit(percent: float, of: str, least: int) -> str:
    """The most that passes: so much of `of`, and at least `least`."""
    return f"greatest(floor({of} * {float(percent)} / 100)::BIGINT, {int(least)})"


def _removals(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """More of a kind would go than the profile lets go, in all or in one school; rejected records count."""
    guards = terms.policy.guards
    limit = _limit(guards.removal_percent, "held", guards.removal_least)
    if guards.removal_count is not None:
        limit = f"least({limit}, {int(guards.removal_count)})"
    return _places(
        db,
        "removals",
        "removals",
        f"SELECT kind, school, going + rejected AS endangered, held, {limit} AS allowed, rejected "
        "FROM planned.endangered WHERE kind <> 'school' OR school IS NULL",
        "{endangered} of {held} {what} would go{rejected}; {most} may in one run.",
    )


def _window(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """As `_removals`, with what went in the days before: a school must not bleed to death slowly."""
    guards = terms.policy.guards
    if not guards.window_days:
        return [], 0
    limit = _limit(guards.removal_percent, "greatest(e.held, coalesce(l.held, 0))", guards.removal_least)
    if guards.removal_count is not None:
        limit = f"least({limit}, {int(guards.removal_count)})"
    return _places(
        db,
        "window",
        "removals",
        f"""SELECT e.kind, e.school, e.going + e.rejected + l.gone AS endangered, greatest(e.held, l.held) AS held,
            {limit} AS allowed, e.rejected
        FROM planned.endangered AS e
        JOIN (SELECT kind, school, max(held) AS held, sum(gone) AS gone FROM planned.lately GROUP BY ALL) AS l
            ON l.kind = e.kind AND l.school IS NOT DISTINCT FROM e.school
        WHERE e.going > 0 AND l.gone > 0 AND (e.kind <> 'school' OR e.school IS NULL)""",
        f"{{endangered}} of {{held}} {{what}} would have gone within {guards.window_days} days{{rejected}}; "
        "{most} may without a person's yes.",
    )


def _bins(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """More of what left before would be put into the bin than may leave in one run."""
    return _long_gone(db, terms, "bins", "binning", "would be put into the bin")


def _purges(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """More would go for good than may leave in one run."""
    return _long_gone(db, terms, "purges", "purging", "would go for good")


def _long_gone(db: duckdb.DuckDBPyConnection, terms: Terms, guard: Guard, counted: str, would: str) -> Said:
    """As many of what has left as may leave in one run, measured by what is in use."""
    guards = terms.policy.guards
    limit = _limit(guards.removal_percent, "coalesce(e.held, 0)", guards.removal_least)
    if guards.removal_count is not None:
        limit = f"least({limit}, {int(guards.removal_count)})"
    return _places(
        db,
        guard,
        "removals",
        f"""SELECT p.kind, NULL::VARCHAR AS school, p.many AS endangered, coalesce(e.held, 0)::BIGINT AS held,
            {limit} AS allowed, 0 AS rejected
        FROM planned.{counted} AS p LEFT JOIN planned.endangered AS e ON e.kind = p.kind AND e.school IS NULL""",
        f"{{endangered}} {{name}} that have left {would}, beside {{held}} in use; {{most}} may in one run.",
    )


def _updates(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """Nearly everything of a kind would change: the columns of the export have probably been swapped."""
    guards = terms.policy.guards
    limit = _limit(guards.update_percent, "held", guards.removal_least)
    return _places(
        db,
        "updates",
        "updates",
        f"SELECT kind, school, changing AS endangered, held, {limit} AS allowed, 0 AS rejected FROM planned.endangered",
        "{endangered} of {held} {what} would change; {most} may in one run.",
    )


def _schools_gone(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """A school that the roster no longer has."""
    if not terms.policy.guards.school_gone:
        return [], 0
    return _places(
        db,
        "school-gone",
        "removals",
        """SELECT 'school' AS kind, e.school, 1 AS endangered, 1 AS held, 0 AS allowed, 0 AS rejected
        FROM planned.endangered AS e WHERE e.kind = 'school' AND e.school IS NOT NULL AND e.going > 0""",
        "school {id} is not in the roster any more.",
    )


def _leavers(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """Many people would leave the profile, whatever the share of one kind is."""
    guards = terms.policy.guards
    limit = _limit(guards.leaver_percent, "sum(held)", guards.leaver_least)
    return _places(
        db,
        "leavers",
        "removals",
        f"""SELECT 'people' AS kind, NULL::VARCHAR AS school, sum(going) AS endangered, sum(held) AS held,
            {limit} AS allowed, 0 AS rejected
        FROM planned.endangered WHERE school IS NULL AND kind IN ('student', 'teacher')""",
        "{endangered} of {held} people would leave the profile; {most} may in one run.",
    )


def _find_halved(db: duckdb.DuckDBPyConnection, guards: Guards) -> None:
    """`planned.halved`: of the classes that lose pupils those that lose too great a part, under these limits.

    What went in the days before counts with what goes (`before`).
    """
    earlier = f"l.kind = '{PUPILS}'" if guards.window_days else "false"
    db.execute(f"""
        CREATE OR REPLACE TABLE planned.halved AS
        WITH earlier AS (
            SELECT c.key, sum(l.gone) AS gone, max(l.held) AS held FROM planned.lately AS l
            JOIN planned.own AS c ON c.kind = 'section' AND c.source_id = l.school WHERE {earlier} GROUP BY c.key
        ), counted AS (
            SELECT l.key, l.going, greatest(l.held, coalesce(e.held, 0)) AS held, l.rejected,
                coalesce(e.gone, 0)::BIGINT AS before
            FROM planned.class_losses AS l LEFT JOIN earlier AS e USING (key)
        )
        FROM counted WHERE held >= {int(guards.class_least)}
            AND (going + rejected + before) * 100 >= held * {float(guards.class_percent)}
    """)


def _halved(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """A class that is still in the roster would lose a great part of its pupils, at once or over the days before."""
    guards = terms.policy.guards
    _find_halved(db, guards)
    ((several,),) = db.execute("SELECT count(*) FROM planned.halved").fetchall()
    if not several:
        return [], 0
    rows = db.execute(f"""
        SELECT class, lost, held, rejected, before, count(*) OVER () FROM (
            SELECT c.source_id AS class, h.going + h.rejected + h.before AS lost, h.held, h.rejected, h.before
            FROM planned.halved AS h JOIN planned.own AS c ON c.kind = 'section' AND c.key = h.key
        ) ORDER BY lost / held DESC, class LIMIT {_PER_PLACE}
    """).fetchall()
    found = [
        _verdict(
            "class-halved", "removals", "studentEnrollment", "class", one, lost, held,
            max(0, -(-held * int(guards.class_percent * 100) // 10_000) - 1), rejected,
            f"class {one} would have lost {lost:,} of its {held:,} pupils within {guards.window_days} days"
            f"{_rejected(rejected)}."
            if before
            else f"class {one} would lose {lost:,} of its {held:,} pupils{_rejected(rejected)}.",
        )
        for one, lost, held, rejected, before, _ in rows
    ]  # fmt: skip
    return found, (rows[0][5] if rows else 0) - len(found)


def count_classes(db: duckdb.DuckDBPyConnection) -> None:
    """`planned.class_losses`: the classes that stay and lose pupils; what is left out for its mistakes counts."""
    db.execute("""
        INSERT INTO planned.class_losses
        SELECT key, going, rejected, n FROM (
            SELECT class AS key, count(*) FILTER (goes) AS going, count(*) FILTER (NOT goes) AS rejected FROM (
                SELECT class, true AS goes FROM planned.class_people_stale
                WHERE kind = 'studentEnrollment' AND NOT ended
                UNION ALL
                SELECT class, false FROM planned.class_people_spared WHERE kind = 'studentEnrollment'
            ) GROUP BY class
        ) JOIN (SELECT key, n FROM planned.measured WHERE NOT teacher) USING (key)
        SEMI JOIN (SELECT key FROM planned.targets WHERE kind = 'section') AS t USING (key) WHERE going > 0
    """)


def _renumbered(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """The roster gives many known objects other ids: a re-key, not leavers and newcomers.

    Whatever limits the profile has for removals, it lets no more pass than the default ones.
    """
    limits = (_limit(one.removal_percent, "held", one.removal_least) for one in (terms.policy.guards, Guards()))
    limit = f"least({', '.join(limits)})"
    return _places(
        db,
        "renumbered",
        "everything",
        f"""SELECT p.kind, p.school, p.pairs AS endangered, e.held,
            CASE WHEN p.kind = 'school' THEN 0 ELSE {limit} END AS allowed, 0 AS rejected
        FROM (SELECT kind, CASE WHEN grouping(of_school) = 0 THEN coalesce(of_school, '') END AS school,
                count(*) AS pairs FROM planned.renumbered GROUP BY GROUPING SETS ((kind, of_school), (kind))) AS p
        JOIN planned.endangered AS e ON e.kind = p.kind AND e.school IS NOT DISTINCT FROM p.school
        WHERE p.kind <> 'school' OR p.school IS NULL""",
        "{endangered} of {held} {what} have other SIS IDs than before, as after a change of the SIS. Give "
        "schoolsync the list of old and new ids (rekey), and they keep their objects; the plan has a proposal.",
    )


def renumbered_notes(db: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """What is said of objects that seem to have other SIS IDs, also when they are too few to hold the plan."""
    rows = db.execute("SELECT kind, count(*) FROM planned.renumbered GROUP BY kind ORDER BY kind").fetchall()
    if not rows:
        return ()
    listed = ", ".join(f"{count:,} {NAMES[kind]}" for kind, count in rows)
    return (
        f"{listed} seem to be known ones under other SIS IDs: `schoolsync rekey --proposed` prints the map that would "
        "keep their objects.",
    )


def _adoptions(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """Accounts that somebody made by hand would become the profile's, because a record has the same sign-in name."""
    return _places(
        db,
        "adoptions",
        "everything",
        f"""SELECT kind, NULL::VARCHAR AS school, count(*) AS endangered, count(*) AS held,
            {int(terms.policy.guards.adoption_least)} AS allowed, 0 AS rejected
        FROM planned.adopting GROUP BY kind""",
        "{endangered} accounts of {name} that were made by hand would be taken over because their sign-in names are "
        "in the roster; {most} may be without a person's yes.",
    )


def _others(db: duckdb.DuckDBPyConnection, terms: Terms) -> Said:
    """A record with a known id that seems to be another person: nobody's account is handed on by accident."""
    del terms
    rows = db.execute(
        f"SELECT kind, source_id, count(*) OVER () FROM planned.others ORDER BY kind, source_id LIMIT {_PER_PLACE}"
    ).fetchall()
    found = [
        _verdict(
            "other-person", "updates", kind, "object", one, 1, 1, 0, 0,
            f"the {kind} {one} has another name and another birthday than before: it seems to be somebody else.",
        )
        for kind, one, _ in rows
    ]  # fmt: skip
    return found, (rows[0][2] if rows else 0) - len(found)


def _places(db: duckdb.DuckDBPyConnection, guard: Guard, holds: Holds, counts: str, sentence: str) -> Said:
    """The verdicts of a guard for all rows of `counts` in which more is endangered than allowed."""
    rows = db.execute(f"""
        SELECT kind, school, endangered, held, allowed, rejected, count(*) OVER () AS all_of_them
        FROM ({counts}) WHERE endangered > allowed
        QUALIFY school IS NULL OR row_number() OVER (
            PARTITION BY kind, school IS NULL ORDER BY endangered / greatest(held, 1) DESC, school) <= {_PER_PLACE}
        ORDER BY kind, school
    """).fetchall()
    found = [
        _verdict(
            guard,
            holds,
            kind,
            "profile" if school is None else "school",
            school,
            endangered,
            held,
            allowed,
            rejected,
            sentence.format(
                endangered=f"{endangered:,}",
                held=f"{held:,}",
                most=f"at most {allowed:,}" if allowed else "none",
                name=NAMES.get(kind, "people"),
                what=_at(NAMES.get(kind, "people"), school),
                id=school,
                rejected=_rejected(rejected),
            ),
        )
        for kind, school, endangered, held, allowed, rejected, _ in rows
    ]
    return found, (rows[0][6] if rows else 0) - len(found)


def _at(name: str, school: str | None) -> str:
    if school is None:
        return name
    return f"{name} of school {school}" if school else f"{name} without a school"


def _rejected(many: int) -> str:
    return f" ({many:,} of them rejected records)" if many else ""


def _verdict(
    guard: Guard,
    holds: Holds,
    kind: str,
    scope: Scope,
    scope_id: str | None,
    endangered: int,
    of: int,
    limit: int,
    rejected: int,
    sentence: str,
) -> Verdict:
    return Verdict(
        guard=guard,
        holds=holds,
        kind=kind,
        scope=scope,
        scope_id=scope_id,
        endangered=int(endangered),
        of=int(of),
        limit=int(limit),
        rejected=int(rejected),
        sentence=sentence,
    )
