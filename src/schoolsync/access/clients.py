"""Registered clients of the built-in issuer: applications with a secret and a list of application roles.

The secret is 256 random bits, shown once and kept only as an scrypt hash. Checking one costs the same time whether
the client exists or not, and says nothing about which part was wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from schoolsync.store.control import Control
from schoolsync.store.control_tables import clients, tenants

LONGEST_SECRET = 256
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1  # 16 MiB and some 50 ms
_SALT, _HASH = 16, 32


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client, without its secret."""

    tenant_id: str
    id: str
    name: str | None
    roles: tuple[str, ...]
    created: int


def register(
    control: Control, *, tenant_id: str, client_id: str, name: str | None, roles: Iterable[str], now: int
) -> str:
    """Store a new client and return its secret, which nobody can ever read again."""
    secret = secrets.token_urlsafe(32)
    tenant = control.tenant_number(tenant_id, now)
    with control.write(tenant) as connection:
        connection.execute(
            insert(clients).values(
                tenant=tenant,
                id=client_id,
                name=name,
                secret_hash=hashed(secret),
                roles=" ".join(sorted(set(roles))),
                created=now,
            )
        )
    return secret


def registered(control: Control, *, tenant_id: str | None = None) -> list[Client]:
    """All clients, or those of one tenant."""
    query = (
        select(tenants.c.id.label("tenant_id"), clients.c.id, clients.c.name, clients.c.roles, clients.c.created)
        .join(tenants, tenants.c.number == clients.c.tenant)
        .order_by(tenants.c.id, clients.c.created, clients.c.id)
    )
    if tenant_id is not None:
        query = query.where(tenants.c.id == tenant_id)
    with control.read() as connection:
        rows = connection.execute(query).all()
    return [Client(row.tenant_id, row.id, row.name, tuple(row.roles.split()), row.created) for row in rows]


def set_roles(control: Control, *, tenant_id: str, client_id: str, roles: Iterable[str]) -> bool:
    """Give a client other roles; False when there is none. Tokens it has already fetched keep the old ones."""
    return _set(control, tenant_id, client_id, roles=" ".join(sorted(set(roles))))


def renew(control: Control, *, tenant_id: str, client_id: str) -> str | None:
    """A new secret in the place of the old one, which ends at once; None when there is no such client."""
    secret = secrets.token_urlsafe(32)
    return secret if _set(control, tenant_id, client_id, secret_hash=hashed(secret)) else None


def _set(control: Control, tenant_id: str, client_id: str, **values: str) -> bool:
    tenant = control.known_tenant(tenant_id)
    with control.write(tenant) as connection:
        mine = (clients.c.tenant == tenant, clients.c.id == client_id)
        return bool(connection.execute(update(clients).where(*mine).values(**values)).rowcount)


def remove(control: Control, *, tenant_id: str, client_id: str) -> bool:
    """Forget a client; False when there is none. Tokens it has already fetched live until they expire."""
    tenant = control.known_tenant(tenant_id)
    with control.write(tenant) as connection:
        done = connection.execute(delete(clients).where(clients.c.tenant == tenant, clients.c.id == client_id))
        return bool(done.rowcount)


def authenticate(control: Control, *, tenant_id: str, client_id: str, secret: str) -> Client | None:
    """The client, or None when there is no such client or the secret is not its own."""
    with control.read() as connection:
        row = connection.execute(
            select(clients.c.name, clients.c.roles, clients.c.created, clients.c.secret_hash)
            .join(tenants, tenants.c.number == clients.c.tenant)
            .where(tenants.c.id == tenant_id, clients.c.id == client_id)
        ).one_or_none()
    good = matches(secret, row.secret_hash if row is not None else NOBODY)
    if row is None or not good:
        return None
    return Client(tenant_id, client_id, row.name, tuple(row.roles.split()), row.created)


def hashed(secret: str) -> str:
    """A salted scrypt hash with its parameters, as text."""
    salt = secrets.token_bytes(_SALT)
    return "$".join(("scrypt", str(_COST), str(_BLOCK), str(_PARALLEL), _text(salt), _text(_scrypt(secret, salt))))


def matches(secret: str, kept: str) -> bool:
    """Whether `secret` is the one that `kept` was made of."""
    _, cost, block, parallel, salt, digest = kept.split("$")
    if len(secret) > LONGEST_SECRET:
        return False
    found = _scrypt(secret, base64.b64decode(salt), cost=int(cost), block=int(block), parallel=int(parallel))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _scrypt(secret: str, salt: bytes, *, cost: int = _COST, block: int = _BLOCK, parallel: int = _PARALLEL) -> bytes:
    return hashlib.scrypt(
        secret.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=256 * cost * block * parallel, dklen=_HASH
    )


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


# What the secret of a client that does not exist is compared with.
NOBODY = "$".join(("scrypt", str(_COST), str(_BLOCK), str(_PARALLEL), _text(bytes(_SALT)), _text(bytes(_HASH))))
