"""Errors of a run, written in bulk: a whole JSON array of rows in one statement."""

from __future__ import annotations

from sqlalchemy import Connection, Text, cast, column, delete, func, literal, select, text

from schoolsync.store.control_tables import errors
from schoolsync.store.database import insert_new, is_postgresql

_MEMBERS = ("id", "entry_type", "error_code", "error_message", "joining_value", "reportable_identifier", "recorded")


def forget(connection: Connection, *, tenant: int, profile: str) -> None:
    """Delete the errors of the profile's runs; those that callers wrote go with them."""
    connection.execute(delete(errors).where(errors.c.tenant == tenant, errors.c.profile == profile))


def insert_chunk(connection: Connection, *, tenant: int, profile: str, run: str, rows: str) -> None:
    """Insert the rows of a JSON array; a row that is there already stays (writing a chunk twice is writing it once)."""
    if is_postgresql(connection):
        from sqlalchemy.dialects.postgresql import JSONB  # a server on SQLite does without

        each = func.jsonb_array_elements(cast(literal(rows, Text()), JSONB)).table_valued(column("value", JSONB))
        members = [each.c.value[name].astext.cast(errors.c[name].type) for name in _MEMBERS]
    else:
        each = func.json_each(rows).table_valued(column("value"))
        members = [func.json_extract(each.c.value, f"$.{name}") for name in _MEMBERS]
    # SQLite takes ON CONFLICT for part of a join when there is no condition before it.
    chosen = select(literal(tenant), literal(profile), literal(run), *members).select_from(each).where(text("true"))
    connection.execute(
        insert_new(connection, errors).from_select(
            ["tenant", "profile", "run", *_MEMBERS], chosen, include_defaults=False
        )
    )
