"""What of a profile's roster could not be synchronized: by reason, and record by record."""

from __future__ import annotations

import asyncio

from schoolsync.console import words
from schoolsync.console.pages.profiles import place
from schoolsync.console.visit import Page, Visit

SHOWN = 50
FILTERS = ("kind", "code", "object")


async def show(visit: Visit) -> Page:
    """GET profiles/{profile}/errors."""
    wanted = {name: visit.query.get(name, "").strip() for name in FILTERS}
    profile, causes, found = await asyncio.gather(
        visit.ask("GET", place(visit)),
        visit.ask("GET", f"{place(visit)}/errors/causes"),
        visit.ask("GET", f"{place(visit)}/errors", {**wanted, "after": visit.query.get("after"), "limit": SHOWN}),
    )
    following = found.next_link.rpartition("after=")[2] if found.next_link else None
    # A membership fails because its class or its person has: what is to be put right is in the kinds before.
    first = list(words.ENTRY)
    ordered = sorted(
        causes.value, key=lambda one: first.index(one.entry_type) if one.entry_type in first else len(first)
    )
    return visit.page("errors.html", profile=profile, causes=ordered, found=found.value, next=following, wanted=wanted)
