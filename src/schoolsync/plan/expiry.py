# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""Classes that expire: what becomes of those that leave, by the profile's `expiry`.

An expired class is called by another name, so that its SIS ID, its nickname and its place are free for the class that
comes after it. Three things may happen to it, each by itself: it is marked, it is archived (set inactive, without
members), its pupils leave. Nothing expires while a window lets nothing be taken away.
"""

from __future__ import annotations

import duckdb

from schoolsync import ticks
from schoolsync.plan import last_lines
from schoolsync.plan.desired import Terms
from schoolsync.plan.identity import ALIAS_MAX, text
from schoolsync.plan.policy import Expiry
from schoolsync.plan.purging import DAY

STATUS = "Expired"
MARKED = ("source_id", "display_name", "external_id", "mail_nickname", "status", "active", "expired")
"""The columns of a class that expiring changes."""


def mark(terms: Terms) -> str:
    """What leads the names of classes that expire today."""
    return ticks.day(terms.now, terms.policy.time_zone).strftime("Exp%m%y_")


def find(db: duckdb.DuckDBPyConnection, terms: Terms) -> int | None:
    """`planned.expiring`: the classes to be marked; `planned.kept_classes`: those that are gone and stay in use.

    Returns when the next class that has left is to be marked (ticks), if there is any.
    """
    prepare(db)
    db.execute("CREATE TABLE planned.kept_classes (key BIGINT)")
    expiry = terms.policy.expiry
    if expiry is None or terms.deferred("section"):
        return None
    if not expiry.archive:
        for table in ("gone", "gone_later"):
            db.execute(f"INSERT INTO planned.kept_classes SELECT key FROM planned.{table} WHERE kind = 'section'")
        db.execute("DELETE FROM planned.gone_later WHERE kind = 'section'")
    if expiry.mark and terms.defers is None:
        _mark(db, terms, expiry)
    return _next(db, terms, expiry) if expiry.mark and expiry.archive else None


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Make `planned.expiring`, empty."""
    pairs = ", ".join(f"{one} {_type(one)}, was_{one} {_type(one)}" for one in MARKED)
    db.execute(f"""
        CREATE TABLE planned.expiring (
            kind VARCHAR, key BIGINT, id VARCHAR, {pairs}, rule VARCHAR, of_school VARCHAR, file VARCHAR, line BIGINT,
            upload_run BIGINT
        )
    """)


def _type(column: str) -> str:
    return {"active": "BOOLEAN", "expired": "BIGINT"}.get(column, "VARCHAR")


def _mark(db: duckdb.DuckDBPyConnection, terms: Terms, expiry: Expiry) -> None:
    due = f"left_at + {expiry.after_days * DAY} <= {terms.now}"
    gone = "kind = 'section'" if not expiry.after_days else "false"
    choose(
        db,
        terms,
        f"""
            SELECT key, CASE rule WHEN 'gone' THEN 'expired' ELSE rule END AS rule, file, line, upload_run
            FROM planned.gone WHERE {gone}
            UNION ALL
            SELECT key, 'expired', {last_lines.COLUMNS} FROM planned.away WHERE kind = 'section' AND {due}
        """,
        archive=expiry.archive,
    )


def choose(db: duckdb.DuckDBPyConnection, terms: Terms, classes: str, *, archive: bool) -> None:
    """Add to `planned.expiring` the classes of a query (key, rule and line), but those that are marked already.

    They expire with the day, so that a plan made again on it is the same.
    """
    led = text(mark(terms))
    day = ticks.midnight(ticks.day(terms.now, terms.policy.time_zone), terms.policy.time_zone)
    db.execute(f"""
        INSERT INTO planned.expiring BY NAME
        SELECT 'section' AS kind, c.key, h.id,
            {led} || h.source_id AS source_id, h.source_id AS was_source_id,
            {led} || h.display_name AS display_name, h.display_name AS was_display_name,
            {led} || h.external_id AS external_id, h.external_id AS was_external_id,
            left({led} || h.mail_nickname, {ALIAS_MAX}) AS mail_nickname, h.mail_nickname AS was_mail_nickname,
            '{STATUS}' AS status, h.status AS was_status,
            {"false" if archive else "h.active"} AS active, h.active AS was_active,
            {day} AS expired, h.expired AS was_expired,
            c.rule, h.school_source_id AS of_school, c.file, c.line, c.upload_run
        FROM ({classes}) AS c JOIN held.classes AS h ON h.key = c.key WHERE h.expired IS NULL
    """)


def _next(db: duckdb.DuckDBPyConnection, terms: Terms, expiry: Expiry) -> int | None:
    """When the next class is to be marked that has left, or leaves now."""
    wait = expiry.after_days * DAY
    ((first, going),) = db.execute(f"""
        SELECT (SELECT min(left_at) + {wait} FROM planned.away AS a JOIN held.classes AS h ON h.key = a.key
                WHERE a.kind = 'section' AND h.expired IS NULL AND left_at + {wait} > {terms.now}),
            (SELECT count(*) FROM planned.gone WHERE kind = 'section')
    """).fetchall()
    ends = [int(first)] if first is not None else []
    if going and expiry.after_days:
        ends.append(terms.now + wait)
    late = (
        terms.defers is not None
        and db.execute(
            f"SELECT 1 FROM planned.away WHERE kind = 'section' AND left_at + {wait} <= {terms.now} LIMIT 1"
        ).fetchall()
    )
    if late and terms.defers is not None:
        ends.append(terms.defers.ends)
    return min(ends, default=None)


def nicknames(db: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation | None:
    """The nicknames that classes to be marked would have (`value`), to ask the directory for; None when there are none.

    What the directory answers is given to `settle`.
    """
    if not db.execute("SELECT 1 FROM planned.expiring LIMIT 1").fetchall():
        return None
    return db.sql("SELECT DISTINCT mail_nickname AS value FROM planned.expiring WHERE mail_nickname IS NOT NULL")


def settle(db: duckdb.DuckDBPyConnection, terms: Terms, taken: str | None) -> None:
    """Nobody's name is taken: a class whose new name or id another one has is not marked, and is an error.

    `taken` is a relation of the nicknames there are. What is marked leaves `planned.gone`, and `held` has it by its new
    names. What is not marked leaves as without `expiry`, or stays in use where expiring keeps it in use.
    """
    expiry = terms.policy.expiry
    if expiry is None or terms.deferred("section"):
        return
    spare_names(db, terms, taken)
    db.execute("""
        DELETE FROM planned.gone WHERE kind = 'section'
        AND (key IN (SELECT key FROM planned.expiring) OR key IN (SELECT key FROM planned.kept_classes))
    """)
    values = ", ".join(f"{one} = e.{one}" for one in MARKED)
    db.execute(f"UPDATE held.classes AS h SET {values} FROM planned.expiring AS e WHERE e.key = h.key")


def spare_names(db: duckdb.DuckDBPyConnection, terms: Terms, taken: str | None) -> None:
    """Take those out of `planned.expiring` whose new name or id another class has; each is an error."""
    names = "SELECT mail_nickname FROM held.classes WHERE mail_nickname IS NOT NULL"
    if taken is not None:
        names += f" UNION ALL SELECT mail_nickname FROM {taken}"
    db.execute(f"""
        CREATE TABLE planned.unmarked AS SELECT key FROM planned.expiring
        WHERE source_id IN (SELECT source_id FROM held.classes WHERE source_id IS NOT NULL)
            OR mail_nickname IN ({names})
        UNION
        SELECT key FROM planned.expiring WHERE mail_nickname IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY mail_nickname ORDER BY key) > 1
    """)
    db.execute("""
        INSERT INTO planned.errors
        SELECT 'Section', 'DuplicateTargetEntries',
            'The class was not marked as expired: another class has the name or the SIS ID that it would have had.',
            coalesce(mail_nickname, source_id), was_source_id
        FROM planned.expiring SEMI JOIN planned.unmarked USING (key)
    """)
    db.execute("DELETE FROM planned.expiring WHERE key IN (SELECT key FROM planned.unmarked)")
    last_lines.of_expiring(db, terms)


def spare_links(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Classes that are gone and stay in use keep their teachers, their school, and where the profile says so pupils.

    Who is gone leaves them all the same.
    """
    expiry = terms.policy.expiry
    if expiry is None or expiry.archive:
        return
    for table, side in (("class_people", "person"), ("school_classes", "school")):
        gone = f"SELECT key FROM planned.gone WHERE kind {'' if side == 'school' else 'NOT'} IN ('school', 'section')"
        leaves = "s.kind = 'studentEnrollment'" if expiry.remove_pupils else "false"
        for suffix in ("stale", "stale_later"):
            db.execute(f"""
                DELETE FROM planned.{table}_{suffix} AS s WHERE s."class" IN (SELECT key FROM planned.kept_classes)
                AND s."{side}" NOT IN ({gone}) AND NOT ({leaves})
            """)


def note(db: duckdb.DuckDBPyConnection, terms: Terms) -> tuple[str, ...]:
    """What is proposed for classes that leave while the profile says nothing of it."""
    if terms.policy.expiry is not None:
        return ()
    ((leaving,),) = db.execute("SELECT count(*) FROM planned.gone WHERE kind = 'section'").fetchall()
    if not leaving:
        return ()
    return (
        f"{leaving:,} classes leave under their own names: `expiry` in the profile's settings would mark them as "
        "expired.",
    )
