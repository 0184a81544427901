"""Signing in with a code (RFC 8628): a program shows a person a code, and an operator of this installation vouches.

The built-in issuer knows no passwords. So the yes comes from whoever may run commands on the machine
(`schoolsync device approve`), who says which person it is and what that person may do; the program that waits then
gets one token. Codes live for a quarter of an hour; what the program holds is kept only as a hash.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, func, insert, select, update

from schoolsync import ticks
from schoolsync.store.control import Control
from schoolsync.store.control_tables import device_codes

LIFETIME = 900  # seconds
INTERVAL = 5  # seconds between two questions of one program
WAITING_MAX = 100  # codes of one tenant that nobody has answered
_OFFLINE = "offline_access"
_EARLY = 2  # seconds that a question may come too soon: networks hurry and delay
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # without vowels there are no words, and nothing looks like a digit


class State(StrEnum):
    """What became of a code."""

    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"


class Answer(StrEnum):
    """What a program that asks is told; the values are OAuth's."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    DENIED = "access_denied"
    EXPIRED = "expired_token"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A code that waits for its answer."""

    code: str
    client: str
    scopes: tuple[str, ...]  # that the program asks for
    offline: bool  # whether it wants to go on when the person is not there
    expires: int  # ticks


@dataclass(frozen=True, slots=True)
class Granted:
    """What a program gets a token for."""

    user_id: str
    user_name: str | None
    scopes: tuple[str, ...]
    roles: tuple[str, ...]


def begin(control: Control, *, tenant: int, client: str, scopes: Iterable[str], now: int) -> tuple[str, str] | None:
    """A new code: what the program keeps and what it shows; None when too many wait already."""
    secret = secrets.token_urlsafe(32)
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    code = f"{letters[:4]}-{letters[4:]}"
    with control.write(tenant) as connection:
        mine = device_codes.c.tenant == tenant
        connection.execute(delete(device_codes).where(mine, device_codes.c.expires <= now))
        waiting = connection.execute(select(func.count()).select_from(device_codes).where(mine)).scalar_one()
        taken = connection.execute(select(device_codes.c.code).where(mine, device_codes.c.code == code)).one_or_none()
        if waiting >= WAITING_MAX or taken is not None:
            return None
        connection.execute(
            insert(device_codes).values(
                tenant=tenant,
                code=code,
                secret_hash=_hash(secret),
                client=client,
                scopes=" ".join(scopes),
                state=State.PENDING,
                expires=now + LIFETIME * ticks.PER_SECOND,
            )
        )
    return secret, code


def waiting(control: Control, *, tenant: int, now: int) -> list[Waiting]:
    """The codes of a tenant that wait for an answer, the oldest first."""
    with control.read() as connection:
        rows = connection.execute(
            select(device_codes)
            .where(device_codes.c.tenant == tenant, device_codes.c.state == State.PENDING, device_codes.c.expires > now)
            .order_by(device_codes.c.expires)
        ).all()
    found = []
    for row in rows:
        asked = tuple(row.scopes.split())
        scopes = tuple(scope for scope in asked if scope != _OFFLINE)
        found.append(Waiting(row.code, row.client, scopes, _OFFLINE in asked, row.expires))
    return found


def answer(control: Control, *, tenant: int, code: str, granted: Granted | None, now: int) -> bool:
    """Grant a code, or deny it with None; False when it does not wait (any more)."""
    values: dict[str, object] = {"state": State.DENIED}
    if granted is not None:
        values = {
            "state": State.GRANTED,
            "user_id": granted.user_id,
            "user_name": granted.user_name,
            "scopes": " ".join(granted.scopes),
            "roles": " ".join(granted.roles),
        }
    with control.write(tenant) as connection:
        done = connection.execute(
            update(device_codes)
            .where(device_codes.c.tenant == tenant, device_codes.c.code == code)
            .where(device_codes.c.state == State.PENDING, device_codes.c.expires > now)
            .values(**values)
        )
        return bool(done.rowcount)


def collect(control: Control, *, tenant: int, client: str, secret: str, now: int) -> Granted | Answer:
    """What became of a program's code; what was granted is given once."""
    mine = (
        device_codes.c.tenant == tenant,
        device_codes.c.secret_hash == _hash(secret),
        device_codes.c.client == client,
    )
    with control.write(tenant) as connection:
        row = connection.execute(select(device_codes).where(*mine)).one_or_none()
        if row is None or row.expires <= now:
            return Answer.EXPIRED
        if row.state == State.PENDING:
            too_soon = row.asked is not None and now - row.asked < (INTERVAL - _EARLY) * ticks.PER_SECOND
            connection.execute(update(device_codes).where(*mine).values(asked=now))
            return Answer.SLOW_DOWN if too_soon else Answer.PENDING
        connection.execute(delete(device_codes).where(*mine))
    if row.state == State.DENIED:
        return Answer.DENIED
    return Granted(row.user_id, row.user_name, tuple(row.scopes.split()), tuple(row.roles.split()))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
