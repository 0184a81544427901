"""`schoolsync device`: answer the programs that wait with a code for a person to be vouched for.

Whoever may run commands on this machine may make any token anyway (`schoolsync token`); here the token goes to a
program elsewhere, and nothing has to be copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from schoolsync import ticks
from schoolsync.access import devices
from schoolsync.cli.answers import tell
from schoolsync.cli.client import acting, existing, guid
from schoolsync.cli.token import check_names, person
from schoolsync.errors import UsageError
from schoolsync.settings import Settings
from schoolsync.store.control import Control


def list_(settings: Settings, *, tenant: str) -> int:
    """Print the codes that wait, one a line: code, client, what it asks for, seconds left; 0 when done."""
    with existing(settings) as control:
        number, now = _known(control, guid("--tenant", tenant)), _now()
        for one in devices.waiting(control, tenant=number, now=now):
            left = (one.expires - now) // ticks.PER_SECOND
            tell(
                f"{one.code}  {one.client}  {' '.join(one.scopes) or '-'}  {left} s",
                code=one.code,
                client=one.client,
                scopes=one.scopes,
                secondsLeft=left,
            )
    return 0


def approve(settings: Settings, *, tenant: str, code: str, user: str, scope: str | None, roles: Sequence[str]) -> int:
    """Let a program act for a person; 0 when done."""
    tenant_id = guid("--tenant", tenant)
    with existing(settings) as control:
        number = _known(control, tenant_id)
        wanted = _waiting(control, number, code)
        scopes = tuple(dict.fromkeys((scope or "").split())) or wanted.scopes
        if not scopes:
            raise UsageError("The program asks for nothing in particular: say what it may do with --scope.")
        named_roles = tuple(dict.fromkeys(name for role in roles for name in role.split()))
        check_names("--scope", scopes)
        check_names("--role", named_roles)
        user_id, user_name = person(tenant_id, user)
        granted = devices.Granted(user_id, user_name, scopes, named_roles)
        with acting(settings, control, tenant_id=tenant_id, operation="device approve", about=wanted.client):
            done = devices.answer(control, tenant=number, code=wanted.code, granted=granted, now=_now())
    if not done:
        raise UsageError(f"The code {wanted.code} does not wait any more.")
    tell(
        f"The program {wanted.client} gets a token for {user}: {' '.join((*scopes, *named_roles))}",
        client=wanted.client,
        user=user,
        scopes=scopes,
        roles=named_roles,
    )
    return 0


def deny(settings: Settings, *, tenant: str, code: str) -> int:
    """Refuse a program; 0 when done."""
    tenant_id = guid("--tenant", tenant)
    with existing(settings) as control:
        number = _known(control, tenant_id)
        wanted = _waiting(control, number, code)
        with acting(settings, control, tenant_id=tenant_id, operation="device deny", about=wanted.client):
            devices.answer(control, tenant=number, code=wanted.code, granted=None, now=_now())
    tell(f"The program {wanted.client} is refused.", client=wanted.client, refused=True)
    return 0


def _known(control: Control, tenant_id: str) -> int:
    number = control.known_tenant(tenant_id)
    if number is None:
        raise UsageError(f"The tenant {tenant_id} has never been here.")
    return number


def _waiting(control: Control, tenant: int, code: str) -> devices.Waiting:
    wanted = code.strip().upper()
    for one in devices.waiting(control, tenant=tenant, now=_now()):
        if one.code == wanted:
            return one
    raise UsageError(f"No program waits with the code {wanted[:16]}: `schoolsync device list` shows those that do.")


def _now() -> int:
    return ticks.of(datetime.now(UTC))
