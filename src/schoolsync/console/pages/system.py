"""Activity: the audit log. System: workers, queues, storage, version, and what doctor finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from schoolsync.console.pages.findings import line
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Conflict, Forbidden

SHOWN = 50
FILTERS = ("actor", "operation", "object")
COLUMNS = ("number", "at", "actor", "client", "operation", "object", "members", "outcome", "request", "hash")
_PART = 500


async def activity(visit: Visit) -> Page:
    """GET activity."""
    wanted = {name: visit.query.get(name, "") for name in FILTERS}
    found = await visit.ask("GET", "audit", {**wanted, "after": visit.query.get("after"), "limit": SHOWN})
    following = found.next_link.rpartition("after=")[2] if found.next_link else None
    return visit.page("activity.html", entries=found.value, next=following, wanted=wanted)


async def export(visit: Visit) -> Page:
    """GET activity.csv."""
    wanted = {name: visit.query.get(name, "") for name in FILTERS}
    await visit.ask("GET", "audit", {**wanted, "limit": 1})  # refused before the answer begins
    headers = (("Content-Disposition", 'attachment; filename="audit.csv"'),)
    return Page(media="text/csv; charset=utf-8", stream=_rows(visit, wanted), headers=headers)


async def system(visit: Visit) -> Page:
    """GET system."""
    found, diagnoses = await asyncio.gather(visit.ask("GET", "system"), _diagnoses(visit))
    return visit.page("system.html", system=found, diagnoses=diagnoses)


async def _diagnoses(visit: Visit) -> object:
    """What doctor finds, or None to whom it is not shown."""
    if not visit.may("clients"):
        return None
    try:
        return (await visit.ask("GET", "system/doctor")).value
    except (Conflict, Forbidden):
        return None


async def _rows(visit: Visit, wanted: dict[str, str]) -> AsyncIterator[str]:
    after: str | None = None
    yield "\ufeff" + line(COLUMNS)
    while True:
        found = await visit.ask("GET", "audit", {**wanted, "after": after, "limit": _PART})
        yield "".join(line([getattr(one, name) for name in COLUMNS]) for one in found.value)
        if not found.next_link:
            return
        after = found.next_link.rpartition("after=")[2]
