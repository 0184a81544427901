"""Signing in and out, and choosing a language.

People sign in where tokens come from: with a code and a proof (OAuth 2.0 with PKCE) at the built-in issuer's own page.
Somebody who has no account there is vouched for: the console shows a code, and whoever runs this installation answers
it (`access.devices`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from schoolsync import ticks
from schoolsync.access import devices, roles, sign_ins
from schoolsync.access.issuer import GUID
from schoolsync.access.principal import Principal
from schoolsync.access.tokens import identify
from schoolsync.console import catalogue, issuers
from schoolsync.console.app import LANGUAGE
from schoolsync.console.catalogue import N_
from schoolsync.console.sessions import COOKIE
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Conflict, Forbidden, Invalid
from schoolsync.store.control import Control

CLIENT = "console"
UNDER_WAY = "schoolsync_signin"
TENANT = "schoolsync_tenant"
CONSOLE_CLIENT = "5c1f1a3e-6f6e-4f0a-9c55-0b6f0e2c9d11"
"""The console's own id, as programs have one."""
_PATIENCE = 900  # seconds that signing in may take
_YEAR = 365 * 24 * 3600
_INSIDE = re.compile(r"/console(?:[/?][^\\\r\n]*)?")


async def form(visit: Visit) -> Page:
    """GET sign-in."""
    if visit.session is not None:
        return visit.go(_next(visit.query.get("next")))
    tenant = visit.query.get("tenant", "") or await asyncio.to_thread(_usual, visit)
    return await _page(visit, after=visit.query.get("next", ""), tenant=tenant)


async def go(visit: Visit) -> Page:
    """GET sign-in/go: on to the page of the built-in issuer, or of the trusted one that is named."""
    if "issuer" in visit.query:
        return await _go_to(visit, visit.query["issuer"])
    _built_in(visit)
    tenant_id = visit.query.get("tenant", "").strip().lower()
    number = None
    if GUID.fullmatch(tenant_id):
        number = await asyncio.to_thread(visit.console.control.known_tenant, tenant_id)
    if number is None:
        return await _no_tenant(visit, tenant_id, visit.query.get("next", ""))
    verifier, state, challenge = _proof()
    held = {"t": number, "id": tenant_id, "v": verifier, "st": state, "n": visit.query.get("next", "")}
    signed = visit.console.sessions.signed(held, purpose="sign-in", until=visit.now + _PATIENCE * ticks.PER_SECOND)
    asked = {
        "client_id": CONSOLE_CLIENT,
        "redirect_uri": _back(visit),
        "response_type": "code",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    where = f"{visit.arrival.origin}/{tenant_id}/oauth2/v2.0/authorize?{urlencode(asked)}"
    return Page(status=303, headers=(("Location", where), visit.cookie(UNDER_WAY, signed, seconds=_PATIENCE)))


async def _go_to(visit: Visit, name: str) -> Page:
    settings = visit.console.settings
    issuer = issuers.named(settings, name)
    told = await asyncio.to_thread(issuers.endpoints, settings, issuer)
    verifier, state, challenge = _proof()
    held = {"i": issuer.name, "iss": told.issuer, "v": verifier, "st": state, "n": visit.query.get("next", "")}
    signed = visit.console.sessions.signed(held, purpose="sign-in", until=visit.now + _PATIENCE * ticks.PER_SECOND)
    where = issuers.asking(issuer, told, back=_back(visit), state=state, challenge=challenge)
    return Page(status=303, headers=(("Location", where), visit.cookie(UNDER_WAY, signed, seconds=_PATIENCE)))


async def _came_back(visit: Visit, held: Mapping[str, Any]) -> Page:
    """In, when the trusted issuer's code is good for a token that our own API would take from a person."""
    if visit.query.get("iss", held["iss"]) != held["iss"]:
        raise Forbidden("Another issuer has answered than the one that was asked: sign in again.")
    settings = visit.console.settings
    issuer = issuers.named(settings, held["i"])
    token = await asyncio.to_thread(
        issuers.redeem, settings, issuer, code=visit.query["code"], back=_back(visit), verifier=held["v"]
    )
    principal = await identify(visit.arrival.verify, f"Bearer {token}", visit.now)
    if principal.kind != "delegated":
        raise Forbidden("The issuer's token is a program's: people sign in to the console.")
    return await enter(visit, principal, after=held["n"])


async def back(visit: Visit) -> Page:
    """GET sign-in/back: in, when the issuer's code is one for this browser."""
    held = visit.console.sessions.opened(visit.cookies.get(UNDER_WAY), purpose="sign-in", now=visit.now)
    if held is None or "st" not in held or not hmac.compare_digest(held["st"], visit.query.get("state", "")):
        raise Invalid("This sign-in was not begun in this browser, or it took too long: sign in again.")
    if "code" not in visit.query:
        problem = visit.text(N_("You are not signed in."))
        return await _page(visit, after=held["n"], tenant=held.get("id", ""), problem=problem)
    if "i" in held:
        return await _came_back(visit, held)
    found = await asyncio.to_thread(
        sign_ins.redeem,
        visit.console.control,
        tenant=held["t"],
        client=CONSOLE_CLIENT,
        code=visit.query["code"],
        redirect_uri=_back(visit),
        verifier=held["v"],
        now=visit.now,
    )
    if found is None:
        raise Forbidden("The code of this sign-in is used or too old: sign in again.")
    return await enter(visit, _person(held["t"], held["id"], found.granted, CONSOLE_CLIENT), after=held["n"])


async def begin(visit: Visit) -> Page:
    """POST sign-in: a new code for a person of the tenant."""
    _built_in(visit)
    tenant_id = visit.form.get("tenant", "").strip().lower()
    if not GUID.fullmatch(tenant_id):
        return await _no_tenant(visit, tenant_id, visit.form.get("next", ""))
    control = visit.console.control
    number = await asyncio.to_thread(_number, control, tenant_id, visit.now)
    if number is None:
        return await _no_tenant(visit, tenant_id, visit.form.get("next", ""))
    begun = await asyncio.to_thread(
        devices.begin, control, tenant=number, client=CLIENT, scopes=(roles.ACCESS,), now=visit.now
    )
    if begun is None:
        raise Conflict("Too many people wait to be let in: try again in a few minutes.")
    held = {"t": number, "id": tenant_id, "s": begun[0], "c": begun[1], "n": visit.form.get("next", "")}
    until = visit.now + devices.LIFETIME * ticks.PER_SECOND
    signed = visit.console.sessions.signed(held, purpose="sign-in", until=until)
    return visit.go("/sign-in/wait", headers=(visit.cookie(UNDER_WAY, signed, seconds=devices.LIFETIME),))


async def wait(visit: Visit) -> Page:
    """GET sign-in/wait: in, when the code was granted; else the code."""
    held = visit.console.sessions.opened(visit.cookies.get(UNDER_WAY), purpose="sign-in", now=visit.now)
    if held is None or "c" not in held:
        return visit.go("/sign-in")
    answer = await asyncio.to_thread(
        devices.collect, visit.console.control, tenant=held["t"], client=CLIENT, secret=held["s"], now=visit.now
    )
    if isinstance(answer, devices.Granted):
        return await enter(visit, _person(held["t"], held["id"], answer, CLIENT), after=held["n"])
    standing = {devices.Answer.DENIED: "denied", devices.Answer.EXPIRED: "over"}.get(answer, "waits")
    return visit.page("signin_wait.html", code=held["c"], tenant=held["id"], standing=standing)


async def enter(visit: Visit, principal: Principal, *, after: str) -> Page:
    """Let a person in: a session, its cookie, an entry in the audit log."""
    visit.arrival.principal = principal
    visit.arrival.operation, visit.arrival.object = "console sign-in", "console"
    cookie = await asyncio.to_thread(visit.console.sessions.begin, principal, now=visit.now)
    usual = visit.cookie(TENANT, principal.tenant_id, seconds=_YEAR)
    set_cookies = (visit.cookie(COOKIE, cookie), visit.cookie(UNDER_WAY, "", seconds=0), usual)
    page = visit.go(_next(after), headers=set_cookies)
    if "hx-request" not in visit.arrival.headers:
        return page
    where = dict(page.headers)["Location"]
    return Page(status=200, headers=(*set_cookies, ("HX-Redirect", where)))


async def end(visit: Visit) -> Page:
    """POST sign-out."""
    await asyncio.to_thread(visit.console.sessions.end, visit.cookies.get(COOKIE), now=visit.now)
    return visit.go("/sign-in", headers=(visit.cookie(COOKIE, "", seconds=0),), said="signed-out")


async def language(visit: Visit) -> Page:
    """POST language."""
    wanted = visit.form.get("language", "")
    if wanted not in catalogue.LANGUAGES:
        raise Invalid("There is no such language here.", target="language")
    return visit.go(_next(visit.form.get("next")), headers=(visit.cookie(LANGUAGE, wanted, seconds=_YEAR),))


def _person(number: int, tenant_id: str, granted: devices.Granted, client: str) -> Principal:
    """Who was granted what, as a token would say it."""
    return Principal(
        tenant=number,
        tenant_id=tenant_id,
        kind="delegated",
        grants=frozenset(granted.scopes),
        user_id=granted.user_id,
        user_name=granted.user_name,
        client=client,
        roles=roles.NAMES & frozenset(granted.roles),
    )


def _built_in(visit: Visit) -> None:
    if not visit.console.settings.built_in_issuer:
        raise Forbidden("The built-in issuer is turned off here: nobody can sign in with it.")


def _number(control: Control, tenant_id: str, now: int) -> int | None:
    """The tenant's number. Only the first one of an installation is made by somebody who wants to be let in: whoever
    mistypes an id would else be led into an empty tenant, and strangers could make any number of them."""
    if control.first_tenants(1):
        return control.known_tenant(tenant_id)
    return control.tenant_number(tenant_id, now)


def _usual(visit: Visit) -> str:
    """The tenant that this browser was in the last time, or the only one that there is."""
    before = visit.cookies.get(TENANT, "")
    if GUID.fullmatch(before):
        return before
    known = visit.console.control.first_tenants(2)
    return known[0] if len(known) == 1 else ""


async def _no_tenant(visit: Visit, tenant: str, after: str) -> Page:
    problem = visit.text(N_("That is no tenant id. It looks like 11111111-2222-4333-8444-555555555555."))
    if GUID.fullmatch(tenant):
        problem = visit.text(N_("No tenant here has this id. Compare it with the one that you were told."))
    return await _page(visit, status=400, after=after, tenant=tenant[:40], problem=problem)


async def _page(visit: Visit, *, after: str, tenant: str, problem: str | None = None, status: int = 200) -> Page:
    """How to sign in: at the trusted issuers that are offered, and at the built-in one unless it is turned off."""
    settings = visit.console.settings
    elsewhere = [one.name for one in await asyncio.to_thread(issuers.offered, settings)]
    return visit.page(
        "signin.html",
        status=status,
        next=after,
        tenant=tenant,
        problem=problem,
        elsewhere=elsewhere,
        built_in=settings.built_in_issuer,
    )


def _proof() -> tuple[str, str, str]:
    """Verifier, state and challenge of one sign-in (RFC 7636)."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return verifier, state, challenge


def _back(visit: Visit) -> str:
    return f"{visit.arrival.origin}/console/sign-in/back"


def _next(wanted: str | None) -> str:
    """Where to go on, below /console; never to another site."""
    if wanted and _INSIDE.fullmatch(wanted):
        return wanted.removeprefix("/console")
    return ""
