# ruff: noqa: S608  # what is put into these statements are names of ours and numbers of a policy
"""Objects that left some time ago: those that the profile puts into the bin, and those that it keeps no longer.

Until then an object that left is inactive, and comes back with its id, out of the bin too. Nothing goes here that the
roster has, that is left out for its mistakes, or while a window lets nothing be taken away.
"""

from __future__ import annotations

import duckdb

from schoolsync import ticks
from schoolsync.plan import kinds, last_lines
from schoolsync.plan.desired import Terms
from schoolsync.plan.kinds import ObjectKind

DAY = 24 * 3600 * ticks.PER_SECOND


def watched(terms: Terms) -> list[ObjectKind]:
    """The kinds of which is asked when their objects left: those that are kept for a time only, and what expires."""
    expiry = terms.policy.expiry
    marks = expiry is not None and expiry.mark and expiry.archive
    return [kind for kind in terms.objects if kind in kept(terms) or (marks and kind.name == "section")]


def kept(terms: Terms) -> list[ObjectKind]:
    """The kinds whose objects are kept for a time only."""
    return [kind for kind in terms.objects if terms.policy.kept_days(kind.name) is not None]


def bin_days(terms: Terms, kind: ObjectKind) -> int | None:
    """How many days after leaving objects of a kind are put into the bin; None: never."""
    return terms.policy.bin_days.get(kind.name)  # type: ignore[arg-type]  # a kind of objects


def find(db: duckdb.DuckDBPyConnection, terms: Terms) -> int | None:
    """`planned.purged` and `planned.binned`: the objects of `planned.away` whose time has come.

    What is purged is not in `held` any more. What leaves now and is binned at once is not among these (`steps`).
    Returns when the time of the next one comes (ticks), if there is any: the profile then wants a run by itself.
    """
    for table in ("purged", "binned"):
        db.execute(
            f"CREATE TABLE planned.{table} (kind VARCHAR, key BIGINT, id VARCHAR, source_id VARCHAR, "
            "of_school VARCHAR, file VARCHAR, line BIGINT, upload_run BIGINT)"
        )
    ends: list[int] = []
    for kind in watched(terms):
        db.execute(f"""
            DELETE FROM planned.away WHERE kind = '{kind.name}' AND (
                key IN (SELECT key FROM planned.targets)
                OR key IN (SELECT o.key FROM planned.own AS o SEMI JOIN planned.spared AS s USING (kind, source_id))
            )
        """)
    for kind in kept(terms):
        ends += _find(db, terms, kind)
    last_lines.of_objects(db, terms, "purged", among=terms.known)
    last_lines.of_objects(db, terms, "binned", among=terms.known)
    first_end = min(ends, default=None)
    if first_end is not None and terms.defers is not None:
        return max(first_end, terms.defers.ends)
    return first_end


def _find(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> list[int]:
    """The objects of one kind; when the next times come."""
    wait, keep = bin_days(terms, kind), terms.policy.kept_days(kind.name)
    assert keep is not None, "only kinds that are kept for a time"
    since = "left_at" if wait is None else "binned_at"
    purge = f"{since} + {keep * DAY}"
    put = "NULL" if wait is None else f"CASE WHEN binned_at IS NULL THEN left_at + {wait * DAY} END"
    for table, due in (("purged", purge), ("binned", put)):
        over = "false" if terms.defers else f"{due} <= {terms.now}"
        db.execute(f"""
            INSERT INTO planned.{table}
            SELECT a.kind, a.key, h.id, h.source_id, {kinds.school_of(kind.table, "h.")}, {last_lines.COLUMNS}
            FROM planned.away AS a
            JOIN held.{kind.table} AS h ON h.key = a.key WHERE a.kind = '{kind.name}' AND {over}
        """)
    db.execute(
        f"DELETE FROM held.{kind.table} WHERE key IN (SELECT key FROM planned.purged WHERE kind = $1)", [kind.name]
    )
    ((next_purge, next_bin),) = db.execute(
        f"SELECT min({purge}), min({put}) FROM planned.away WHERE kind = $1 "
        "AND key NOT IN (SELECT key FROM planned.purged UNION ALL SELECT key FROM planned.binned)",
        [kind.name],
    ).fetchall()
    ends = [int(one) for one in (next_purge, next_bin) if one is not None]
    ((going, put_now),) = db.execute(
        "SELECT (SELECT count(*) FROM planned.gone WHERE kind = $1), "
        "(SELECT count(*) FROM planned.binned WHERE kind = $1)",
        [kind.name],
    ).fetchall()
    if put_now or (going and not wait):
        ends.append(terms.now + keep * DAY)
    elif going and wait:
        ends.append(terms.now + wait * DAY)
    return ends
