"""`schoolsync user`: accounts of people who sign in to the built-in issuer with a password.

The password is typed twice on a terminal, or is the first line of standard input; it is never an argument, which other
accounts of the machine could see.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from schoolsync import ticks
from schoolsync.access import accounts, issuer, permissions, remembered
from schoolsync.cli.answers import tell
from schoolsync.cli.client import acting, existing, guid, opened
from schoolsync.cli.token import check_names
from schoolsync.errors import UsageError
from schoolsync.settings import Settings
from schoolsync.store.control import Control

NAME_MAX = 256


def add(settings: Settings, *, tenant: str, name: str, scope: str | None, roles: Sequence[str]) -> int:
    """Make an account; 0 when done."""
    tenant_id = guid("--tenant", tenant)
    wanted = name.strip().lower()
    if not wanted or len(wanted) > NAME_MAX or not wanted.isprintable() or any(map(str.isspace, wanted)):
        raise UsageError("NAME must be a user name such as ann@district.example.")
    scopes, named_roles = _scopes(scope or ""), _roles(roles)
    if not scopes:
        if not named_roles:
            raise UsageError("Say what the person may do: --scope EduAdministration.Read, for example, or --role.")
        scopes = tuple(permissions.OWN_SCOPES)
    password = _password(wanted)
    with opened(settings) as control:
        taken = UsageError(f"The tenant has an account {wanted} already: `schoolsync user change` changes it.")
        about = issuer.user_id_of(tenant_id, wanted)
        if any(one.id == about for one in accounts.known(control, tenant_id=tenant_id)):
            raise taken
        with acting(settings, control, tenant_id=tenant_id, operation="user add", about=about):
            made = accounts.add(
                control,
                tenant_id=tenant_id,
                name=wanted,
                password=password,
                scopes=scopes,
                roles=named_roles,
                now=ticks.of(datetime.now(UTC)),
            )
        if made is None:
            raise taken
    tell(
        f"{made.id}  {made.name}  {' '.join((*made.scopes, *made.roles))}",
        id=made.id,
        name=made.name,
        scopes=made.scopes,
        roles=made.roles,
    )
    return 0


def list_(settings: Settings, *, tenant: str | None) -> int:
    """Print the accounts, one a line; 0 when done."""
    tenant_id = guid("--tenant", tenant) if tenant is not None else None
    with existing(settings) as control:
        for one in accounts.known(control, tenant_id=tenant_id):
            tell(
                f"{one.tenant_id}  {one.id}  {one.name}  {' '.join((*one.scopes, *one.roles))}",
                tenant=one.tenant_id,
                id=one.id,
                name=one.name,
                scopes=one.scopes,
                roles=one.roles,
            )
    return 0


def change(
    settings: Settings, *, tenant: str, name: str, scope: str | None, roles: Sequence[str], password: bool
) -> int:
    """Give an account another password, other scopes or other roles; 0 when done."""
    tenant_id = guid("--tenant", tenant)
    if scope is None and not roles and not password:
        raise UsageError("Say what shall change: --scope, --role or --password.")
    scopes = None if scope is None else _scopes(scope)
    if scopes == ():
        raise UsageError("Without a scope nobody can sign in: remove the account instead.")
    named_roles = _roles(roles) if roles else None
    with existing(settings) as control:
        found = _found(control, tenant_id, name)
        new = _password(found.name) if password else None
        with acting(settings, control, tenant_id=tenant_id, operation="user change", about=found.id):
            accounts.change(control, found, password=new, scopes=scopes, roles=named_roles)
    tell(id=found.id, name=found.name, changed=True)
    return 0


def remove(settings: Settings, *, tenant: str, name: str) -> int:
    """Remove an account, or forget somebody of an issuer of one's own who has signed in; 0 when done."""
    tenant_id = guid("--tenant", tenant)
    with existing(settings) as control:
        number = control.known_tenant(tenant_id)
        guest = None if number is None else remembered.find(control, tenant=number, name=name)
        if number is not None and guest is not None and not _has_account(control, tenant_id, guest[0]):
            with (
                acting(settings, control, tenant_id=tenant_id, operation="user remove", about=guest[0]),
                control.write(number) as connection,
            ):
                remembered.forget(connection, tenant=number, person=guest[0])
            tell(id=guest[0], name=guest[1], removed=True)
            return 0
        found = _found(control, tenant_id, name)
        with acting(settings, control, tenant_id=tenant_id, operation="user remove", about=found.id):
            accounts.remove(control, found)
    tell(id=found.id, name=found.name, removed=True)
    return 0


def _has_account(control: Control, tenant_id: str, person: str) -> bool:
    return any(one.id == person for one in accounts.known(control, tenant_id=tenant_id))


def _found(control: Control, tenant_id: str, name: str) -> accounts.Account:
    for one in accounts.known(control, tenant_id=tenant_id):
        if name.strip().lower() in {one.name, one.id}:
            return one
    raise UsageError("The tenant has no such account: `schoolsync user list` shows those that it has.")


def _scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(text.split()))
    check_names("--scope", scopes)
    return scopes


def _roles(named: Sequence[str]) -> tuple[str, ...]:
    roles = tuple(dict.fromkeys(part for role in named for part in role.split()))
    for role in roles:
        if role not in permissions.OWN_ROLES:
            known = ", ".join(sorted(permissions.OWN_ROLES))
            raise UsageError(f"--role: “{role}” is no role that people have. Known are {known}.")
    return roles


def _password(name: str) -> str:
    """The password that was typed. Raises UsageError for one that will not do."""
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {name}: ")
        if getpass.getpass("Once more: ") != password:
            raise UsageError("These were two different passwords.")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    accounts.check_password(name, password)
    return password
