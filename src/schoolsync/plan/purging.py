# ruff: noqa: S608  # what is put into these statements are names of ours and numbers of a policy
"""Objects that go for good: those that left so long ago that the profile does not keep them any more.

Until then an object that left is inactive, and comes back with its id. Nothing goes here that the roster has, that is
left out for its mistakes, or while a window lets nothing be taken away.
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
    return [kind for kind in terms.objects if kind.name in terms.policy.purge_days]


def find(db: duckdb.DuckDBPyConnection, terms: Terms) -> int | None:
    """`planned.purged`: the objects of `planned.away` whose time is over; they are not in `held` any more.

    Returns when the time of the next one is over (ticks), if there is any: the profile then wants a run by itself.
    """
    db.execute(
        "CREATE TABLE planned.purged (kind VARCHAR, key BIGINT, id VARCHAR, source_id VARCHAR, of_school VARCHAR, "
        "file VARCHAR, line BIGINT, upload_run BIGINT)"
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
        days = terms.policy.purge_days[kind.name]  # type: ignore[index]  # a kind of objects
        due = f"left_at + {days * DAY}"
        over = "false" if terms.defers else f"{due} <= {terms.now}"
        db.execute(f"""
            INSERT INTO planned.purged
            SELECT a.kind, a.key, h.id, h.source_id, {kinds.school_of(kind.table, "h.")}, {last_lines.COLUMNS}
            FROM planned.away AS a
            JOIN held.{kind.table} AS h ON h.key = a.key WHERE a.kind = '{kind.name}' AND {over}
        """)
        db.execute(
            f"DELETE FROM held.{kind.table} WHERE key IN (SELECT key FROM planned.purged WHERE kind = $1)", [kind.name]
        )
        ((first,),) = db.execute(
            f"SELECT min({due}) FROM planned.away WHERE kind = $1 AND key NOT IN (SELECT key FROM planned.purged)",
            [kind.name],
        ).fetchall()
        if first is not None:
            ends.append(int(first))
        ((going,),) = db.execute("SELECT count(*) FROM planned.gone WHERE kind = $1", [kind.name]).fetchall()
        if going:
            ends.append(terms.now + days * DAY)
    last_lines.of_objects(db, terms, "purged", among=terms.known)
    first_end = min(ends, default=None)
    if first_end is not None and terms.defers is not None:
        return max(first_end, terms.defers.ends)
    return first_end
