"""Signing in and out, and choosing a language.

Without an issuer that has a page of its own people are vouched for: the console shows a code, and whoever runs this
installation answers it (`access.devices`).
"""

from __future__ import annotations

import asyncio
import re

from schoolsync import ticks
from schoolsync.access import devices, roles
from schoolsync.access.issuer import GUID
from schoolsync.access.principal import Principal
from schoolsync.console import catalogue
from schoolsync.console.app import LANGUAGE
from schoolsync.console.catalogue import N_
from schoolsync.console.sessions import COOKIE
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Conflict, Forbidden, Invalid

CLIENT = "console"
UNDER_WAY = "schoolsync_signin"
_YEAR = 365 * 24 * 3600
_INSIDE = re.compile(r"/console(?:[/?][^\\\r\n]*)?")


async def form(visit: Visit) -> Page:
    """GET sign-in."""
    if visit.session is not None:
        return visit.go(_next(visit.query.get("next")))
    return visit.page("signin.html", next=visit.query.get("next", ""), tenant=visit.query.get("tenant", ""))


async def begin(visit: Visit) -> Page:
    """POST sign-in: a new code for a person of the tenant."""
    if not visit.console.settings.built_in_issuer:
        raise Forbidden("Nobody is vouched for here: sign in with your own issuer.")
    tenant_id = visit.form.get("tenant", "").strip().lower()
    if not GUID.fullmatch(tenant_id):
        problem = visit.text(N_("That is no tenant id. It looks like 11111111-2222-4333-8444-555555555555."))
        return visit.page("signin.html", status=400, next=visit.form.get("next", ""), tenant=tenant_id, problem=problem)
    control = visit.console.control
    number = await asyncio.to_thread(control.tenant_number, tenant_id, visit.now)
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
    if held is None:
        return visit.go("/sign-in")
    answer = await asyncio.to_thread(
        devices.collect, visit.console.control, tenant=held["t"], client=CLIENT, secret=held["s"], now=visit.now
    )
    if isinstance(answer, devices.Granted):
        principal = Principal(
            tenant=held["t"],
            tenant_id=held["id"],
            kind="delegated",
            grants=frozenset(answer.scopes),
            user_id=answer.user_id,
            user_name=answer.user_name,
            client=CLIENT,
            roles=roles.NAMES & frozenset(answer.roles),
        )
        return await enter(visit, principal, after=held["n"])
    standing = {devices.Answer.DENIED: "denied", devices.Answer.EXPIRED: "over"}.get(answer, "waits")
    return visit.page("signin_wait.html", code=held["c"], tenant=held["id"], standing=standing)


async def enter(visit: Visit, principal: Principal, *, after: str) -> Page:
    """Let a person in: a session, its cookie, an entry in the audit log."""
    visit.arrival.principal = principal
    visit.arrival.operation, visit.arrival.object = "console sign-in", "console"
    cookie = await asyncio.to_thread(visit.console.sessions.begin, principal, now=visit.now)
    set_cookies = (visit.cookie(COOKIE, cookie), visit.cookie(UNDER_WAY, "", seconds=0))
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


def _next(wanted: str | None) -> str:
    """Where to go on, below /console; never to another site."""
    if wanted and _INSIDE.fullmatch(wanted):
        return wanted.removeprefix("/console")
    return ""
