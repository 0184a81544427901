"""`schoolsync token`: one bearer token of the built-in issuer, for scripts and tests on this machine.

Whoever can read the data directory's keys may have one; a server need not run. It loads neither SQLAlchemy nor the
web framework, so that a shell script can call it for every request.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Sequence

from schoolsync.access import issuer, permissions
from schoolsync.cli.answers import tell
from schoolsync.errors import UsageError
from schoolsync.settings import Settings

LONGEST = 366 * 24 * 3600


def run(
    settings: Settings, *, tenant: str, scope: str | None, roles: Sequence[str], user: str | None, expires_in: int
) -> int:
    """Print a token and nothing else; 0 when done. Raises UsageError for what cannot be granted."""
    if not settings.built_in_issuer:
        raise UsageError("The setting built_in_issuer is off: tokens come from your own issuer.")
    scopes = tuple(dict.fromkeys((scope or "").split()))
    named_roles = tuple(dict.fromkeys(name for role in roles for name in role.split()))
    if not scopes and not named_roles:
        raise UsageError("Say what the token may do: --scope for a person's token, --role for an application's.")
    if abs(expires_in) > LONGEST or expires_in == 0:
        raise UsageError(f"--expires-in must be between 1 and {LONGEST} seconds; negative makes an expired token.")
    for option, names in (("--scope", scopes), ("--role", named_roles)):
        check_names(option, names)
    graphs = [role for role in named_roles if role not in permissions.OWN_ROLES]
    if scopes and graphs:
        print(f"schoolsync: beside --scope, {graphs[0]} opens nothing: it is a program's role.", file=sys.stderr)
    user_id, user_name = person(tenant, user) if user else (None, None)
    grant = issuer.Grant(
        tenant_id=_guid("--tenant", tenant),
        client=issuer.CLI_CLIENT,
        scopes=scopes,
        roles=named_roles,
        user_id=user_id,
        user_name=user_name,
    )
    if settings.storage_url is not None:
        from schoolsync.access import shared_keys  # loaded by those alone who share keys

        shared_keys.meet(settings)
    token = issuer.mint(
        issuer.signing_key(settings.keys).get(),
        grant,
        base_url=settings.base_url,
        now=int(time.time()),
        lifetime=expires_in,
        token_id=str(uuid.uuid4()),
    )
    tell(token, token=token)
    return 0


def _guid(option: str, text: str) -> str:
    if not issuer.GUID.fullmatch(text.strip().lower()):
        raise UsageError(
            f"{option} must be a GUID such as 11111111-2222-3333-4444-555555555555; any fresh one makes a new tenant."
        )
    return text.strip().lower()


def person(tenant: str, user: str) -> tuple[str, str | None]:
    """Object id and user name: an object id stands for itself, a name is given one that never changes."""
    if issuer.GUID.fullmatch(user.lower()):
        return user.lower(), None
    return issuer.user_id_of(_guid("--tenant", tenant), user), user


def check_names(option: str, names: Sequence[str]) -> None:
    """Refuse misspelt permissions; warn of those that mean nothing in this kind of token."""
    known = permissions.KNOWN_SCOPES, permissions.KNOWN_ROLES
    own, other = known if option == "--scope" else known[::-1]
    shown = permissions.SCOPES | permissions.OWN_SCOPES, permissions.ROLES | permissions.OWN_ROLES
    for name in names:
        if name not in own | other:
            listed = ", ".join(sorted(shown[0] if option == "--scope" else shown[1]))
            raise UsageError(f"{option}: there is no permission “{name}”. Known are {listed}.")
        if name not in own:
            kind = "an application role" if option == "--scope" else "a delegated scope"
            print(f"schoolsync: {name} is {kind}: given with {option} it opens nothing.", file=sys.stderr)
