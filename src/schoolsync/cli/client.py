"""`schoolsync client`: register, list and remove the clients that may fetch tokens from the built-in issuer.

The secret of a new client is printed once and kept only as a hash.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from schoolsync import ticks
from schoolsync.access import clients, permissions
from schoolsync.access.issuer import GUID
from schoolsync.errors import UsageError
from schoolsync.settings import Settings
from schoolsync.store.control import Control, open_control


def add(settings: Settings, *, tenant: str, roles: Sequence[str], name: str | None) -> int:
    """Register a client and print its id and its secret; 0 when done."""
    tenant_id = _guid("--tenant", tenant)
    wanted = sorted({part for role in roles for part in role.split()})
    if not wanted:
        raise UsageError("Say what the client may do: --role EduRoster.Read.All, for example.")
    for role in wanted:
        if role not in permissions.KNOWN_ROLES:
            known = ", ".join(sorted(permissions.ROLES | permissions.OWN_ROLES))
            raise UsageError(f"--role: there is no application role “{role}”. Known are {known}.")
    client_id = str(uuid.uuid4())
    control = _open(settings)
    try:
        now = ticks.of(datetime.now(UTC))
        secret = clients.register(control, tenant_id=tenant_id, client_id=client_id, name=name, roles=wanted, now=now)
    finally:
        control.close()
    print(f"tenant:        {tenant_id}")
    print(f"client id:     {client_id}")
    print(f"client secret: {secret}")
    return 0


def list_(settings: Settings, *, tenant: str | None) -> int:
    """Print the registered clients, one a line; 0 when done."""
    tenant_id = _guid("--tenant", tenant) if tenant is not None else None
    control = _open(settings)
    try:
        found = clients.registered(control, tenant_id=tenant_id)
    finally:
        control.close()
    for client in found:
        print(f"{client.tenant_id}  {client.id}  {' '.join(client.roles)}  {client.name or '-'}")
    return 0


def remove(settings: Settings, *, tenant: str, client_id: str) -> int:
    """Remove a client; 0 when done. Raises UsageError when there is none."""
    control = _open(settings)
    try:
        done = clients.remove(control, tenant_id=_guid("--tenant", tenant), client_id=_guid("ID", client_id))
    finally:
        control.close()
    if not done:
        raise UsageError(f"The tenant has no client {client_id}.")
    return 0


def _open(settings: Settings) -> Control:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return open_control(settings)


def _guid(what: str, text: str) -> str:
    if not GUID.fullmatch(text.strip().lower()):
        raise UsageError(f"{what} must be a GUID such as 11111111-2222-3333-4444-555555555555.")
    return text.strip().lower()
