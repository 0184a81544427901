"""`schoolsync login`, `logout` and `context`: sign in to a server, and choose among those that one is signed in to."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from schoolsync.access import issuer as built_in
from schoolsync.cli import contexts, signing_in
from schoolsync.cli.answers import tell
from schoolsync.cli.contexts import Context, Known
from schoolsync.cli.remote import Refused, Remote, Whereto
from schoolsync.errors import UsageError
from schoolsync.settings import Settings

SCOPES = "schoolsync.access EduAdministration.ReadWrite EduAdministration.Read"
"""What is asked of the built-in issuer: what the commands need, as far as the person has it."""
_BESIDE = ("openid", "offline_access")


def login(
    *,
    server: str | None,
    tenant: str | None,
    name: str | None,
    issuer: str | None,
    client: str | None,
    scope: str | None,
    authority: Path | None,
    device: bool,
) -> int:
    """Sign in, and have the commands use it; 0 when done."""
    before = _before(name, server)
    if before is not None:  # signing in again: nothing has to be typed twice
        server, tenant = server or before.server, tenant or before.tenant
        issuer, client, scope = issuer or before.issuer, client or before.client, scope or before.scope
        authority = authority or (Path(before.authority) if before.authority else None)
    if server is None:
        raise UsageError("Name the server with --server, such as https://sds.example.org.")
    server = server.rstrip("/")
    if issuer is None:
        if tenant is None or not built_in.GUID.fullmatch(tenant.strip().lower()):
            raise UsageError("Name the tenant to sign in to with --tenant UUID, or your own issuer with --issuer.")
        tenant = tenant.strip().lower()
        issuer, client, scope = f"{server}/{tenant}/v2.0", client or built_in.CLI_CLIENT, scope or SCOPES
    elif client is None or scope is None:
        raise UsageError("With --issuer, name your app registration with --client and what to ask for with --scope.")
    if authority is not None and not authority.is_file():
        raise UsageError(f"There are no certificates at {authority}.")
    trusted = str(authority.absolute()) if authority is not None else None
    found = signing_in.discover(issuer, trusted)
    wanted = " ".join(dict.fromkeys([*scope.split(), *_BESIDE]))
    flow = signing_in.with_code if device else signing_in.with_browser
    try:
        tokens = flow(found, client=client, scope=wanted, tell=signing_in.to_stderr)
    except signing_in.NotSignedIn as problem:
        raise UsageError(f"You are not signed in: {problem}") from problem
    made = Context(
        name=name or (before.name if before else urlsplit(server).netloc),
        server=server,
        tenant=tenant,
        issuer=found.name,
        client=client,
        scope=wanted,
        token_endpoint=found.token_endpoint,
        revocation_endpoint=found.revocation_endpoint,
        authority=trusted,
    )
    made = tokens.into(made)
    try:
        me = Remote(_asking(made), context=made).me()
    except Refused as problem:
        raise UsageError(f"{server} does not accept the token of {found.name}: {problem}") from problem
    made = replace(made, person=me.get("name") or me.get("id"), tenant=me.get("tenant") or tenant)
    with contexts.changing() as known:
        contexts.write(contexts.with_context(known, made))
    lasting = "" if made.refresh_token else " This issuer gives no refresh token: sign in again in an hour."
    tell(
        f"You are signed in to {server} as {made.person or 'somebody without a name'} (context {made.name}).{lasting}",
        context=made.name,
        server=server,
        tenant=made.tenant,
        person=made.person,
    )
    return 0


def logout(name: str | None) -> int:
    """Forget the tokens of a context, here and at the issuer; 0 when done."""
    with contexts.changing() as known:
        one = _named(known, name)
        told = signing_in.revoke(one)
        out = replace(one, token=None, expires=0, refresh_token=None)
        contexts.write(Known(known.used, {**known.contexts, one.name: out}))
    beside = "" if told else " Its issuer could not be told: what it gave is good until it ends."
    tell(f"You are signed out of {one.server} (context {one.name}).{beside}", context=one.name, told=told)
    return 0


def list_() -> int:
    """Print the contexts, one a line; 0 when done."""
    known = contexts.read()
    used = os.environ.get(contexts.CONTEXT) or known.used
    for one in sorted(known.contexts.values(), key=lambda each: each.name):
        signed_in = not one.ended or one.refresh_token is not None
        tell(
            f"{'*' if one.name == used else ' '} {one.name}  {one.server}  {one.tenant or '-'}  {one.person or '-'}  "
            f"{'signed in' if signed_in else 'signed out'}",
            context=one.name,
            used=one.name == used,
            server=one.server,
            tenant=one.tenant,
            person=one.person,
            signedIn=signed_in,
        )
    return 0


def use(name: str) -> int:
    """Have the commands use another context; 0 when done."""
    with contexts.changing() as known:
        one = _named(known, name)
        contexts.write(Known(one.name, known.contexts))
    tell(f"Commands go to {one.server} now (context {one.name}).", context=one.name)
    return 0


def remove(name: str) -> int:
    """Forget a context and its tokens; 0 when done."""
    with contexts.changing() as known:
        one = _named(known, name)
        told = signing_in.revoke(one)
        rest = {each: context for each, context in known.contexts.items() if each != one.name}
        contexts.write(Known(known.used if known.used in rest else None, rest))
    tell(f"The context {one.name} is forgotten.", context=one.name, told=told)
    return 0


def _before(name: str | None, server: str | None) -> Context | None:
    known = contexts.read()
    if name is not None:
        found = known.contexts.get(name)
    elif server is None:
        found = known.contexts.get(known.used) if known.used else None
    else:
        return None
    return found if found is not None and server in {None, found.server} else None


def _named(known: Known, name: str | None) -> Context:
    wanted = name or os.environ.get(contexts.CONTEXT) or known.used
    if wanted is None:
        raise UsageError("No context is in use: `schoolsync context list` shows those that there are.")
    if wanted not in known.contexts:
        raise UsageError(f"There is no context {wanted!r}; `schoolsync context list` shows those that there are.")
    return known.contexts[wanted]


def _asking(context: Context) -> Whereto:
    return Whereto(settings=Settings(), tenant=None, profile=None, server=context.server, user=None)
