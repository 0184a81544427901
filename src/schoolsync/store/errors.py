"""Errors of a run, written in bulk: a whole JSON array of rows in one statement."""

from __future__ import annotations

from sqlalchemy import Connection, column, delete, func, insert, literal, select

from schoolsync.store.tables import errors

_MEMBERS = ("id", "entry_type", "error_code", "error_message", "joining_value", "reportable_identifier", "recorded")


def forget(connection: Connection, *, tenant: int, profile: str) -> None:
    """Delete the errors of the profile's runs; those that callers wrote go with them."""
    connection.execute(delete(errors).where(errors.c.tenant == tenant, errors.c.profile == profile))


def insert_chunk(connection: Connection, *, tenant: int, profile: str, run: str, rows: str) -> None:
    """Insert the rows of a JSON array; a row that is there already stays (writing a chunk twice is writing it once)."""
    each = func.json_each(rows).table_valued(column("value"))
    members = [func.json_extract(each.c.value, f"$.{name}") for name in _MEMBERS]
    chosen = select(literal(tenant), literal(profile), literal(run), *members)
    connection.execute(
        insert(errors)
        .prefix_with("OR IGNORE")
        .from_select(["tenant", "profile", "run", *_MEMBERS], chosen, include_defaults=False)
    )
