"""What people are called who have signed in at the console, for those who read what they decided.

Logs and the audit log hold ids alone; people of an issuer of one's own have no account here that would say whose an id
is. So their sign-in name is kept beside the sessions, in their tenant alone, until a year after the last sign-in, until
they are erased, or until `schoolsync user remove`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection, delete, select

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.store.control import Control
from schoolsync.store.control_tables import console_sessions
from schoolsync.store.database import insert_new

DAYS = 365
_BEFORE = "name "  # no hash of a session's secret begins so


def remember(connection: Connection, principal: Principal, *, now: int) -> None:
    """Keep the name of somebody who signs in, in place of the one that was kept before."""
    if not principal.user_id or not principal.user_name:
        return
    row = f"{_BEFORE}{principal.user_id}"
    mine = (console_sessions.c.tenant == principal.tenant, console_sessions.c.id == row)
    connection.execute(delete(console_sessions).where(*mine))
    connection.execute(
        insert_new(connection, console_sessions).values(
            tenant=principal.tenant,
            id=row,
            principal=json.dumps({"user_id": principal.user_id, "user_name": principal.user_name}),
            began=now,
            expires=now + DAYS * 24 * 3600 * ticks.PER_SECOND,
        )
    )


def names(control: Control, *, tenant: int, ids: Iterable[str], now: int) -> dict[str, str]:
    """What the people with these ids are called; who is not known is not told."""
    wanted = [f"{_BEFORE}{one}" for one in ids]
    known = console_sessions.c
    query = select(known.principal).where(known.tenant == tenant, known.id.in_(wanted), known.expires > now)
    with control.read() as connection:
        found = [json.loads(text) for text in connection.execute(query).scalars()]
    return {one["user_id"]: one["user_name"] for one in found}


def find(control: Control, *, tenant: int, name: str) -> tuple[str, str] | None:
    """Id and name of somebody who is known by either."""
    known, wanted = console_sessions.c, name.strip().lower()
    query = select(known.principal).where(known.tenant == tenant, known.id.startswith(_BEFORE, autoescape=True))
    with control.read() as connection:
        for text in connection.execute(query).scalars():
            one = json.loads(text)
            if wanted in {one["user_id"].lower(), one["user_name"].lower()}:
                return one["user_id"], one["user_name"]
    return None


def forget(connection: Connection, *, tenant: int, person: str) -> None:
    """Let go of the name, and end the sessions at the console."""
    mine = console_sessions.c.tenant == tenant
    rows = connection.execute(select(console_sessions.c.id, console_sessions.c.principal).where(mine)).all()
    theirs = [row.id for row in rows if json.loads(row.principal)["user_id"] == person]
    connection.execute(delete(console_sessions).where(mine, console_sessions.c.id.in_(theirs)))
