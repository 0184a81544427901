"""Which optional columns of each kind a profile writes, and which kinds it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from schoolsync.console.pages.profiles import carried, kept, place
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Invalid, Refused
from schoolsync.profiles.customizations import OPTIONAL

WITH_NAMES = ("school", "section", "student", "teacher")
STARTS_LATER = "studentEnrollment"


async def form(visit: Visit, problem: Refused | None = None) -> Page:
    """GET profiles/{profile}/columns."""
    profile, (found, version) = await asyncio.gather(
        visit.ask("GET", place(visit)), visit.form_of(f"{place(visit)}/configuration")
    )
    given = found.configuration["dataProvider"].get("customizations") or {}
    if kept(problem):
        given = _asked(visit.form)
    return visit.page(
        "columns.html",
        status=400 if problem is not None else 200,
        profile=profile,
        columns=OPTIONAL,
        chosen={kind: set((given.get(kind) or {}).get("optionalPropertiesToSync") or ()) for kind in OPTIONAL},
        given={kind: given.get(kind) or {} for kind in OPTIONAL},
        start=_day((given.get(STARTS_LATER) or {}).get("synchronizationStartDate")),
        with_names=WITH_NAMES,
        starts_later=STARTS_LATER,
        version=carried(visit, version, again=kept(problem)),
        problem=problem,
    )


async def change(visit: Visit) -> Page:
    """POST profiles/{profile}/columns."""
    try:
        found = await visit.ask("GET", f"{place(visit)}/configuration")
        kind = found.configuration["dataProvider"]["@odata.type"]
        body = {"dataProvider": {"@odata.type": kind, "customizations": _asked(visit.form)}}
        await visit.change(f"{place(visit)}/configuration", body)
    except Invalid as problem:
        return await form(visit, problem)
    return visit.go(f"/{place(visit)}/columns", said="saved")


def _asked(sent: Mapping[str, str]) -> dict[str, Any]:
    """The customizations that a form describes, in Graph's words."""
    made: dict[str, Any] = {}
    for kind in OPTIONAL:
        one: dict[str, Any] = {"isSyncDeferred": sent.get(f"{kind}.deferred") == "on"}
        if OPTIONAL[kind]:
            names = sent.get(f"{kind}.columns[]", "")
            one["optionalPropertiesToSync"] = names.split("\n") if names else []
        if kind in WITH_NAMES:
            one["allowDisplayNameUpdate"] = sent.get(f"{kind}.names") == "on"
        if kind == STARTS_LATER:
            day = sent.get(f"{kind}.start", "").strip()
            one["synchronizationStartDate"] = f"{day}T00:00:00Z" if day else None
        made[kind] = one
    return made


def _day(moment: str | None) -> str:
    return "" if not moment or moment.startswith("0001") else moment[:10]
