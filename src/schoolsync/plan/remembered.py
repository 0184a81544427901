# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""What earlier uploads said of people whose objects do not tell it: whether a known id is somebody else's by now.

A profile that matches accounts writes no names into them, and a name that was changed by hand is not the roster's. Of
these people is remembered what the roster said that was applied last.
"""

from __future__ import annotations

import duckdb

from schoolsync.plan.desired import Terms

NAMES = "'given_name', 'surname'"
"""The columns that people are told apart by, as an SQL list."""

BY_HAND = f"""
    SELECT key FROM planned.drifted WHERE of_table = 'people' AND field IN ({NAMES})
    UNION SELECT key FROM planned.by_hand WHERE of_table = 'people' AND field IN ({NAMES})
"""
"""The query for the people whose names are not the roster's in the directory."""


def wanted(db: duckdb.DuckDBPyConnection, terms: Terms) -> bool:
    """Make `planned.remembered`, empty, and `planned.unremembered`: of whom it wants something; whether of anybody."""
    db.execute(
        "CREATE TABLE planned.remembered "
        "(kind VARCHAR, source_id VARCHAR, given_name VARCHAR, surname VARCHAR, birth_date VARCHAR)"
    )
    which = f"AND a.key IN ({BY_HAND})" if terms.policy.creates else ""
    db.execute(f"""
        CREATE TABLE planned.unremembered AS
        SELECT a.kind, a.source_id, h.source_id AS was FROM planned.anchors AS a
        JOIN held.people AS h ON h.key = a.key WHERE a.kind IN ('student', 'teacher') {which}
    """)
    return _missing(db)


def take(db: duckdb.DuckDBPyConnection, schema: str) -> bool:
    """Take from the roster in a schema what it said of them; whether anybody is missing still."""
    db.execute(f"""
        INSERT INTO planned.remembered
        SELECT u.kind, u.source_id, p.given_name, p.surname, p.birth_date FROM planned.unremembered AS u
        JOIN {schema}.people AS p ON p.role = u.kind AND p.source_id = u.was
    """)
    db.execute("""
        DELETE FROM planned.unremembered
        WHERE (kind, source_id) IN (SELECT (kind, source_id) FROM planned.remembered)
    """)
    return _missing(db)


def _missing(db: duckdb.DuckDBPyConnection) -> bool:
    return bool(db.execute("SELECT 1 FROM planned.unremembered LIMIT 1").fetchall())


def differ(before: str, now: str) -> str:
    """The condition that two rows seem to be of two people: another given name, family name and (or no) birthday."""
    names = (f"strip_accents(lower({before}.{one})) <> strip_accents(lower({now}.{one}))" for one in _EACH)
    return f"{' AND '.join(names)} AND coalesce({before}.birth_date <> {now}.birth_date, true)"


_EACH = ("given_name", "surname")
