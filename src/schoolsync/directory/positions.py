"""The tenant's place in its own history: a number that rises with every transaction that changes the directory."""

from __future__ import annotations

from sqlalchemy import Connection, update

from schoolsync.store.database import insert_new
from schoolsync.store.directory_tables import positions


def advance(connection: Connection, tenant: int, *, keys: int = 0) -> tuple[int, int]:
    """Raise the position by one and hand out `keys` surrogate keys; the new position and the highest key given out.

    Must run in the write transaction that makes the change, so that nobody else gets the same numbers.
    """
    connection.execute(insert_new(connection, positions).values(tenant=tenant, position=0, last_key=0))
    row = connection.execute(
        update(positions)
        .where(positions.c.tenant == tenant)
        .values(position=positions.c.position + 1, last_key=positions.c.last_key + keys)
        .returning(positions.c.position, positions.c.last_key)
    ).one()
    return row.position, row.last_key
