"""`schoolsync client`: register, list and remove the clients that may fetch tokens from the built-in issuer.

The secret of a new client is printed once and kept only as a hash.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from schoolsync import ticks
from schoolsync.access import audit, clients, permissions
from schoolsync.access.issuer import GUID
from schoolsync.cli.answers import tell
from schoolsync.errors import UsageError
from schoolsync.settings import Settings
from schoolsync.store.control import Control, open_control
from schoolsync.store.directories import Directories


def add(settings: Settings, *, tenant: str, roles: Sequence[str], name: str | None) -> int:
    """Register a client and print its id and its secret; 0 when done."""
    tenant_id = guid("--tenant", tenant)
    wanted = _roles(roles)
    client_id = str(uuid.uuid4())
    with (
        opened(settings) as control,
        acting(settings, control, tenant_id=tenant_id, operation="client add", about=client_id),
    ):
        now = ticks.of(datetime.now(UTC))
        secret = clients.register(control, tenant_id=tenant_id, client_id=client_id, name=name, roles=wanted, now=now)
    tell(
        f"tenant:        {tenant_id}",
        f"client id:     {client_id}",
        f"client secret: {secret}",
        tenant=tenant_id,
        clientId=client_id,
        clientSecret=secret,
    )
    return 0


def list_(settings: Settings, *, tenant: str | None) -> int:
    """Print the registered clients, one a line; 0 when done."""
    tenant_id = guid("--tenant", tenant) if tenant is not None else None
    with existing(settings) as control:
        found = clients.registered(control, tenant_id=tenant_id)
    for client in found:
        tell(
            f"{client.tenant_id}  {client.id}  {' '.join(client.roles)}  {client.name or '-'}",
            tenant=client.tenant_id,
            clientId=client.id,
            roles=list(client.roles),
            name=client.name,
        )
    return 0


def remove(settings: Settings, *, tenant: str, client_id: str) -> int:
    """Remove a client; 0 when done. Raises UsageError when there is none."""
    tenant_id, wanted = guid("--tenant", tenant), guid("ID", client_id)
    with existing(settings) as control:
        if not any(known.id == wanted for known in clients.registered(control, tenant_id=tenant_id)):
            raise UsageError(f"The tenant has no client {client_id}.")
        with acting(settings, control, tenant_id=tenant_id, operation="client remove", about=wanted):
            clients.remove(control, tenant_id=tenant_id, client_id=wanted)
    tell(clientId=wanted, removed=True)
    return 0


def change(settings: Settings, *, tenant: str, client_id: str, roles: Sequence[str], secret: bool) -> int:
    """Give a client other roles, a new secret, or both; 0 when done. Raises UsageError when there is none."""
    tenant_id, wanted = guid("--tenant", tenant), guid("ID", client_id)
    if not roles and not secret:
        raise UsageError("Say what shall change: --role for other roles, --secret for a new secret.")
    named = _roles(roles) if roles else []
    with existing(settings) as control:
        if not any(known.id == wanted for known in clients.registered(control, tenant_id=tenant_id)):
            raise UsageError(f"The tenant has no client {client_id}.")
        if named:
            with acting(settings, control, tenant_id=tenant_id, operation="client roles", about=wanted):
                clients.set_roles(control, tenant_id=tenant_id, client_id=wanted, roles=named)
        renewed = None
        if secret:
            with acting(settings, control, tenant_id=tenant_id, operation="client secret", about=wanted):
                renewed = clients.renew(control, tenant_id=tenant_id, client_id=wanted)
    words = [f"roles:         {' '.join(named)}"] if named else []
    words += [f"client secret: {renewed}"] if renewed else []
    tell(*words, clientId=wanted, roles=named or None, clientSecret=renewed)
    return 0


def _roles(named: Sequence[str]) -> list[str]:
    """The roles that were given, each known. Raises UsageError otherwise."""
    wanted = sorted({part for role in named for part in role.split()})
    if not wanted:
        raise UsageError("Say what the client may do: --role EduRoster.Read.All, for example.")
    for role in wanted:
        if role not in permissions.KNOWN_ROLES:
            known = ", ".join(sorted(permissions.ROLES | permissions.OWN_ROLES))
            raise UsageError(f"--role: there is no application role “{role}”. Known are {known}.")
    return wanted


@contextmanager
def opened(settings: Settings) -> Iterator[Control]:
    """The control database, for one command."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    control = open_control(settings)
    try:
        yield control
    finally:
        control.close()


@contextmanager
def existing(settings: Settings) -> Iterator[Control]:
    """The same of an installation that is there: a folder that was mistyped is not made one. Raises UsageError."""
    if settings.database_url is None and not settings.control_db.exists():
        raise UsageError(
            f"{settings.data_dir} holds no installation: name its folder with --data-dir, or begin one there with "
            "`schoolsync serve`."
        )
    with opened(settings) as control:
        yield control


@contextmanager
def acting(settings: Settings, control: Control, *, tenant_id: str, operation: str, about: str) -> Iterator[None]:
    """What a command changes inside goes into the tenant's audit log, as the act of whoever runs it."""
    now = ticks.of(datetime.now(UTC))
    directories = Directories(settings)
    act = audit.Act(
        tenant=control.tenant_number(tenant_id, now),
        tenant_id=tenant_id,
        at=now,
        actor=f"machine:{os.getuid()}",
        operation=operation,
        object=about,
    )
    try:
        with audit.Audit(control, directories, settings).acting(act):
            yield
    finally:
        directories.close()


def guid(what: str, text: str) -> str:
    if not GUID.fullmatch(text.strip().lower()):
        raise UsageError(f"{what} must be a GUID such as 11111111-2222-3333-4444-555555555555.")
    return text.strip().lower()
