"""Refresh tokens of the built-in issuer (RFC 6749 and 9700): further tokens for a person who signed in with an account.

Each works once and is followed by another one; a second use means that somebody has a copy, and ends all that followed
the same sign-in. Every exchange looks at the account anew: who was removed, or got another password, gets nothing, and
scopes that were taken away are gone. Kept are hashes alone.
"""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import Connection, delete, insert, select, update

from schoolsync import ticks
from schoolsync.access.devices import Granted
from schoolsync.store.control import Control
from schoolsync.store.control_tables import accounts, refresh_tokens

OFFLINE = "offline_access"
"""The scope that asks for one."""
LIFETIME = 14 * 24 * 3600  # seconds without use
LONGEST = 90 * 24 * 3600  # seconds after which a person has to sign in again
GRACE = 20  # seconds in which an answer that was lost may be asked for again


def begin(control: Control, *, tenant: int, client: str, granted: Granted, now: int) -> str:
    """The first one after a sign-in."""
    with control.write(tenant) as connection:
        connection.execute(
            delete(refresh_tokens).where(refresh_tokens.c.tenant == tenant, refresh_tokens.c.expires <= now)
        )
        return _next(
            connection,
            tenant=tenant,
            family=secrets.token_hex(16),
            person=granted.user_id,
            client=client,
            scopes=" ".join(scope for scope in granted.scopes if scope != OFFLINE),
            began=now,
            now=now,
        )


def redeem(control: Control, *, tenant: int, client: str, token: str, now: int) -> tuple[Granted, str] | None:
    """What a token is good for, and the one that follows it; None when it is none, or its person may not any more."""
    with control.write(tenant) as connection:
        row = connection.execute(
            select(refresh_tokens).where(refresh_tokens.c.tenant == tenant, refresh_tokens.c.token_hash == _hash(token))
        ).one_or_none()
        if row is None or row.client != client or row.expires <= now:
            return None
        person = connection.execute(
            select(accounts).where(accounts.c.tenant == tenant, accounts.c.id == row.person)
        ).one_or_none()
        copied = row.used is not None and now - row.used > GRACE * ticks.PER_SECOND
        scopes = tuple(scope for scope in row.scopes.split() if person and scope in person.scopes.split())
        if copied or not scopes or person is None:
            _end(connection, tenant, row.family)
            return None
        if row.used is None:
            connection.execute(
                update(refresh_tokens)
                .where(refresh_tokens.c.tenant == tenant, refresh_tokens.c.token_hash == row.token_hash)
                .values(used=now)
            )
        follows = _next(
            connection,
            tenant=tenant,
            family=row.family,
            person=row.person,
            client=client,
            scopes=row.scopes,
            began=row.began,
            now=now,
        )
    return Granted(person.id, person.name, scopes, tuple(person.roles.split())), follows


def revoke(control: Control, *, tenant: int, client: str, token: str) -> None:
    """End what followed a sign-in; one that there is not is fine."""
    mine = (refresh_tokens.c.tenant == tenant, refresh_tokens.c.token_hash == _hash(token))
    with control.write(tenant) as connection:
        family = connection.execute(
            select(refresh_tokens.c.family).where(*mine, refresh_tokens.c.client == client)
        ).scalar_one_or_none()
        if family is not None:
            _end(connection, tenant, family)


def forget(connection: Connection, *, tenant: int, person: str) -> None:
    """End all of a person's, inside a transaction."""
    connection.execute(
        delete(refresh_tokens).where(refresh_tokens.c.tenant == tenant, refresh_tokens.c.person == person)
    )


def _next(
    connection: Connection, *, tenant: int, family: str, person: str, client: str, scopes: str, began: int, now: int
) -> str:
    token = secrets.token_urlsafe(32)
    longest = began + LONGEST * ticks.PER_SECOND
    connection.execute(
        insert(refresh_tokens).values(
            tenant=tenant,
            token_hash=_hash(token),
            family=family,
            person=person,
            client=client,
            scopes=scopes,
            began=began,
            expires=min(now + LIFETIME * ticks.PER_SECOND, longest),
        )
    )
    return token


def _end(connection: Connection, tenant: int, family: str) -> None:
    connection.execute(
        delete(refresh_tokens).where(refresh_tokens.c.tenant == tenant, refresh_tokens.c.family == family)
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
