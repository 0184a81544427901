# ruff: noqa: S608  # what is put into these statements are names of ours and numbers
"""Where what goes away was known last: the upload and the line of every record that a plan takes away.

The rosters that earlier runs have kept are looked through, the newest first, until every record is found; that of the
run itself comes before them, because it still has what ends by its own dates or leaves the scope. Whoever can read
rosters gives `known_<number>.<table>` for each, by the number of its run, and `known_0` for the run's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import duckdb

from schoolsync.plan.desired import Terms
from schoolsync.plan.identity import text
from schoolsync.plan.kinds import LINK_SIDES, LinkKind, LinkTable

COLUMNS = "NULL::VARCHAR AS file, NULL::BIGINT AS line, NULL::BIGINT AS upload_run"
"""The columns that name a line; `upload_run` is the number of the run whose upload has it, NULL the run's own."""


def of_objects(db: duckdb.DuckDBPyConnection, terms: Terms, table: str, *, among: Iterable[int]) -> None:
    """Fill in the lines of the objects in `planned.<table>`, from some of the rosters."""
    for number in _rosters(db, among, f"planned.{table} AS g WHERE g.line IS NULL"):
        for kind in terms.objects:
            ids = f"SELECT source_id FROM planned.{table} WHERE kind = '{kind.name}' AND line IS NULL"
            db.execute(f"""
                UPDATE planned.{table} AS g SET file = k.file, line = k.line, upload_run = {_run(number)} FROM (
                    SELECT source_id, arg_min(file, line) AS file, min(line) AS line
                    FROM known_{number}.{kind.records} AS r
                    WHERE {kind.where} AND source_id IN ({ids}) GROUP BY source_id
                ) AS k WHERE g.kind = '{kind.name}' AND g.line IS NULL AND k.source_id = g.source_id
            """)


def of_expiring(db: duckdb.DuckDBPyConnection, terms: Terms) -> None:
    """Fill in the lines of the classes in `planned.expiring`, by the SIS IDs that they had."""
    db.execute("ALTER TABLE planned.expiring RENAME source_id TO marked_id")
    db.execute("ALTER TABLE planned.expiring RENAME was_source_id TO source_id")
    of_objects(db, terms, "expiring", among=terms.known)
    db.execute("ALTER TABLE planned.expiring RENAME source_id TO was_source_id")
    db.execute("ALTER TABLE planned.expiring RENAME marked_id TO source_id")


def of_links(db: duckdb.DuckDBPyConnection, terms: Terms, table: LinkTable) -> None:
    """Fill in the lines of the links in `planned.<table>_stale`."""
    for kind in terms.links:
        if kind.table == table:
            _of_kind(db, terms, kind)


def _of_kind(db: duckdb.DuckDBPyConnection, terms: Terms, kind: LinkKind) -> None:
    left, right = LINK_SIDES[kind.table]
    stale = f"planned.{kind.table}_stale"
    right_kinds = "'student', 'teacher'" if kind.person or kind.role else text(kind.right)
    # A SIS ID that has changed stands in earlier rosters as it was.
    names = """
        SELECT kind, key, source_id FROM planned.own
        UNION SELECT o.kind, o.key, k.old_id FROM planned.own AS o
        JOIN planned.rekeyed AS k ON k.kind = o.kind AND k.new_id = o.source_id
    """
    person = f" AND p.kind = r.{kind.person}" if kind.person else ""
    for number in present(terms):
        missing = f"{stale} AS s WHERE s.kind = '{kind.name}' AND s.line IS NULL"
        if not db.execute(f"SELECT 1 FROM {missing} LIMIT 1").fetchall():
            return
        db.execute(f"""
            UPDATE {stale} AS s SET file = f.file, line = f.line, upload_run = {_run(number)} FROM (
                WITH names AS ({names})
                SELECT m."{left}", m."{right}", arg_min(r.file, r.line) AS file, min(r.line) AS line
                FROM (SELECT s."{left}", s."{right}" FROM {missing}) AS m
                JOIN names AS l ON l.key = m."{left}" AND l.kind = '{kind.left}'
                JOIN names AS p ON p.key = m."{right}" AND p.kind IN ({right_kinds})
                JOIN known_{number}.{kind.records} AS r
                    ON r.{kind.left_source} = l.source_id AND r.{kind.right_source} = p.source_id{person}
                WHERE {kind.where} GROUP BY ALL
            ) AS f WHERE s.kind = '{kind.name}' AND s.line IS NULL
                AND f."{left}" = s."{left}" AND f."{right}" = s."{right}"
        """)


def present(terms: Terms) -> Iterable[int]:
    """The rosters to look through for what leaves now: older ones than these cannot know it."""
    return terms.known if terms.known_present is None else terms.known_present


def _rosters(db: duckdb.DuckDBPyConnection, among: Iterable[int], missing: str) -> Iterator[int]:
    """The rosters to look through, as long as there are rows that are `missing` their line."""
    known = iter(among)
    while db.execute(f"SELECT 1 FROM {missing} LIMIT 1").fetchall():
        number = next(known, None)
        if number is None:
            return
        yield number


def _run(number: int) -> str:
    return str(number) if number else "NULL"
