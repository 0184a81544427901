"""Runs: the list, and one run as it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from schoolsync.console.pages.profiles import place
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Invalid

SHOWN = 30
EVERY = 1.0
"""Seconds between two looks at a run that somebody follows."""
LOOKS = 300
"""Then the browser has to ask again, as somebody who is still signed in."""
OPEN = frozenset({"queued", "extracting", "validating", "planning", "applying", "paused", "held"})
_STAGES = ("extracting", "validating", "planning", "applying")


async def listed(visit: Visit) -> Page:
    """GET profiles/{profile}/runs."""
    state = visit.query.get("state", "")
    profile, runs = await asyncio.gather(
        visit.ask("GET", place(visit)),
        visit.ask("GET", f"{place(visit)}/runs", {"limit": SHOWN, "after": visit.query.get("after"), "state": state}),
    )
    last = runs.value[-1].number if runs.next_link else None
    return visit.page("runs.html", profile=profile, runs=runs.value, next=last, state=state)


async def show(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}."""
    profile, run = await asyncio.gather(visit.ask("GET", place(visit)), visit.ask("GET", here(visit)))
    return visit.page("run.html", profile=profile, run=run, open=run.state in OPEN, names=_STAGES)


async def live(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}/live."""
    await visit.ask("GET", here(visit))  # refused before the stream begins
    headers = (("X-Accel-Buffering", "no"), ("Cache-Control", "no-store"))
    return Page(media="text/event-stream", stream=_followed(visit), headers=headers)


async def _followed(visit: Visit) -> AsyncIterator[str]:
    """The run's part of the page whenever it has changed, until the run has ended."""
    before = ""
    for _ in range(LOOKS):
        visit.arrival.now = visit.arrival.services.clock()
        run = await visit.ask("GET", here(visit))
        profile = await visit.ask("GET", place(visit))
        values = {"profile": profile, "run": run, "open": run.state in OPEN, "names": _STAGES}
        text = await asyncio.to_thread(visit.render, "run_live.html", **values)
        if text != before:
            yield "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
            before = text
        if run.state not in OPEN:
            yield "event: ended\ndata: ended\n\n"
            return
        await asyncio.sleep(EVERY)


async def act(visit: Visit) -> Page:
    """POST profiles/{profile}/runs/{run}/do."""
    what, why = visit.form.get("what", ""), visit.form.get("why", "").strip() or None
    if what == "cancel":
        await visit.ask("POST", f"{here(visit)}/cancel", body={"why": why})
        return visit.go(f"/{here(visit)}", said="cancelled")
    if what == "undo":
        begun = await visit.ask("POST", f"{here(visit)}/undo", body={"why": why})
        return visit.go(f"/{place(visit)}/runs/{begun.run}", said="undoing")
    raise Invalid("There is no such act.", target="what")


def here(visit: Visit) -> str:
    """Where our own API has the run."""
    return f"{place(visit)}/runs/{visit.keys['run']}"
