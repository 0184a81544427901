"""Who is told of changes of state: a webhook and mail addresses of the tenant, a test, and what has been told."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

from schoolsync.api.notice_shapes import Told
from schoolsync.console.pages.profiles import carried, kept
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Conflict, Invalid, Refused

EVENTS: tuple[str, ...] = get_args(Told)
SHOWN = 20


async def form(visit: Visit, problem: Refused | None = None, secret: str | None = None) -> Page:
    """GET notices."""
    (found, version), sent = await asyncio.gather(
        visit.form_of("notices"), visit.ask("GET", "notices/sent", {"limit": SHOWN})
    )
    given: dict[str, str] = {
        "webhookUrl": found.webhook_url or "",
        "mailTo": "\n".join(found.mail_to),
        "staleHours": "" if found.stale_hours is None else str(found.stale_hours),
        **{f"event.{one}": "on" for one in found.events},
    }
    again = kept(problem) and visit.form.get("what") != "test"
    if again:
        given = dict(visit.form)
    return visit.page(
        "notices.html",
        status=200 if problem is None else 409 if isinstance(problem, Conflict) else 400,
        found=found,
        given=given,
        events=EVENTS,
        sent=sent.value,
        secret=secret,
        version=carried(visit, version, again=again),
        problem=problem,
    )


async def change(visit: Visit) -> Page:
    """POST notices."""
    try:
        if visit.form.get("what") == "test":
            await visit.ask("POST", "notices/test")
            return visit.go("/notices", said="test-sent")
        changed = await visit.change("notices", _asked(visit))
    except (Invalid, Conflict) as problem:
        return await form(visit, problem)
    if changed.webhook_secret is not None:
        return await form(visit, secret=changed.webhook_secret)  # shown this once
    return visit.go("/notices", said="notices-saved")


def _asked(visit: Visit) -> dict[str, Any]:
    hours = visit.form.get("staleHours", "").strip()
    if hours and not (hours.isascii() and hours.isdecimal() and len(hours) < 6):
        raise Invalid("The hours must be a whole number, 0 for never, or left empty.", target="staleHours")
    url = visit.form.get("webhookUrl", "").strip() or None
    asked: dict[str, Any] = {
        "webhookUrl": url,
        "mailTo": [line.strip() for line in visit.form.get("mailTo", "").splitlines() if line.strip()] or None,
        "events": [one for one in EVENTS if f"event.{one}" in visit.form],
        "staleHours": int(hours) if hours else None,
    }
    if secret := visit.form.get("webhookSecret", "").strip():
        asked["webhookSecret"] = secret
    elif url is not None and "newSecret" in visit.form:
        asked["newSecret"] = True
    return asked
