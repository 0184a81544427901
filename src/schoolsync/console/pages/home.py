"""The first page: every profile, how it stands, and what needs a person now."""

from __future__ import annotations

import asyncio

from schoolsync.console.visit import Page, Visit

SHOWN = 25
URGENT = 5


async def home(visit: Visit) -> Page:
    """GET /console."""
    search, status = visit.query.get("search", ""), visit.query.get("status", "")
    waits = visit.query.get("attention") == "true"
    wanted = {"search": search, "status": status, "after": visit.query.get("after"), "limit": SHOWN, "trend": "true"}
    if waits:
        wanted["attention"] = "true"
    overview, urgent, found = await asyncio.gather(
        visit.ask("GET", "overview"),
        visit.ask("GET", "profiles", {"attention": "true", "limit": URGENT}),
        visit.ask("GET", "profiles", wanted),
    )
    template = "home_list.html" if "hx-request" in visit.arrival.headers else "home.html"
    return visit.page(
        template,
        overview=overview,
        urgent=urgent.value,
        profiles=found.value,
        next=found.value[-1].id if found.next_link else None,
        search=search,
        status_wanted=status,
        waits=waits,
    )
