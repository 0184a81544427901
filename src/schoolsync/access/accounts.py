"""People who may sign in to the built-in issuer with a password: for a district without an identity provider.

An account says who somebody is and what tokens of theirs may do, no more: it is no person of the directory. Passwords
are kept as scrypt hashes; checking one costs the same time whether the account exists or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from schoolsync.access import clients, issuer, refreshing, remembered
from schoolsync.errors import UsageError
from schoolsync.store.control import Control
from schoolsync.store.control_tables import accounts, tenants

SHORTEST, LONGEST = 12, clients.LONGEST_SECRET
"""How many characters a password has."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in, without the password."""

    tenant_id: str
    id: str
    name: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    created: int


def check_password(name: str, password: str) -> None:
    """Raise UsageError for a password that guessers try first."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(f"A password has {SHORTEST} to {LONGEST} characters.")
    if name.partition("@")[0].lower() in password.lower() or len(set(password)) < 5:
        raise UsageError("The password is too easily guessed: several words that have nothing to do with you are good.")


def add(
    control: Control,
    *,
    tenant_id: str,
    name: str,
    password: str,
    scopes: Iterable[str],
    roles: Iterable[str],
    now: int,
) -> Account | None:
    """Store a new account; None when there is one of this name."""
    tenant = control.tenant_number(tenant_id, now)
    name = name.lower()
    made = Account(tenant_id, issuer.user_id_of(tenant_id, name), name, tuple(scopes), tuple(roles), now)
    kept = clients.hashed(password)
    with control.write(tenant) as connection:
        mine = (accounts.c.tenant == tenant, accounts.c.id == made.id)
        if connection.execute(select(accounts.c.id).where(*mine)).one_or_none() is not None:
            return None
        connection.execute(
            insert(accounts).values(
                tenant=tenant,
                id=made.id,
                name=name,
                secret_hash=kept,
                scopes=" ".join(made.scopes),
                roles=" ".join(made.roles),
                created=now,
            )
        )
    return made


def known(control: Control, *, tenant_id: str | None = None) -> list[Account]:
    """All accounts, or those of one tenant."""
    query = (
        select(accounts, tenants.c.id.label("tenant_id"))
        .join(tenants, tenants.c.number == accounts.c.tenant)
        .order_by(tenants.c.id, accounts.c.name)
    )
    if tenant_id is not None:
        query = query.where(tenants.c.id == tenant_id)
    with control.read() as connection:
        rows = connection.execute(query).all()
    return [
        Account(row.tenant_id, row.id, row.name, tuple(row.scopes.split()), tuple(row.roles.split()), row.created)
        for row in rows
    ]


def names(control: Control, *, tenant: int, ids: Iterable[str]) -> dict[str, str]:
    """What the people are called whose accounts have these ids; who has none here is not told."""
    mine = (accounts.c.tenant == tenant, accounts.c.id.in_(list(ids)))
    with control.read() as connection:
        return {row.id: row.name for row in connection.execute(select(accounts.c.id, accounts.c.name).where(*mine))}


def change(
    control: Control,
    account: Account,
    *,
    password: str | None = None,
    scopes: Iterable[str] | None = None,
    roles: Iterable[str] | None = None,
) -> None:
    """Give an account another password, scopes or roles; tokens it has stay as they are until they end."""
    values = {}
    if password is not None:
        values["secret_hash"] = clients.hashed(password)
    if scopes is not None:
        values["scopes"] = " ".join(scopes)
    if roles is not None:
        values["roles"] = " ".join(roles)
    tenant = control.known_tenant(account.tenant_id)
    assert tenant is not None  # an account has one
    with control.write(tenant) as connection:
        mine = (accounts.c.tenant == tenant, accounts.c.id == account.id)
        connection.execute(update(accounts).where(*mine).values(**values))
        if password is not None:
            refreshing.forget(connection, tenant=tenant, person=account.id)


def remove(control: Control, account: Account) -> None:
    """Forget an account and end its sessions at the console; its tokens live until they end."""
    tenant = control.known_tenant(account.tenant_id)
    assert tenant is not None  # an account has one
    with control.write(tenant) as connection:
        refreshing.forget(connection, tenant=tenant, person=account.id)
        remembered.forget(connection, tenant=tenant, person=account.id)
        connection.execute(delete(accounts).where(accounts.c.tenant == tenant, accounts.c.id == account.id))


def authenticate(control: Control, *, tenant: int, tenant_id: str, name: str, password: str) -> Account | None:
    """The account, or None when there is none of this name or the password is not its own."""
    with control.read() as connection:
        row = connection.execute(
            select(accounts).where(accounts.c.tenant == tenant, accounts.c.id == issuer.user_id_of(tenant_id, name))
        ).one_or_none()
    good = clients.matches(password, row.secret_hash if row is not None else clients.NOBODY)
    if row is None or not good:
        return None
    return Account(tenant_id, row.id, row.name, tuple(row.scopes.split()), tuple(row.roles.split()), row.created)
