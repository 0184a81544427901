"""Deleting a profile: what goes and what stays, and its name typed as the yes."""

from __future__ import annotations

import asyncio
import unicodedata

from schoolsync.console.catalogue import N_
from schoolsync.console.pages.profiles import carried, kept, place
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Invalid, Refused

_OTHER_NAME = N_("That is not the name of this profile, so nothing was deleted. Type it as it stands above the field.")


async def form(visit: Visit, problem: Refused | None = None) -> Page:
    """GET profiles/{profile}/delete."""
    visit.need("policy")
    profile, fresh, (_, version) = await asyncio.gather(
        visit.ask("GET", place(visit), {"trend": "true"}),
        visit.ask("GET", f"{place(visit)}/freshness"),
        visit.form_of(f"{place(visit)}/configuration"),
    )
    return visit.page(
        "deleting.html",
        status=400 if problem is not None else 200,
        profile=profile,
        fresh=fresh,
        typed=visit.form.get("name", ""),
        version=carried(visit, version, again=kept(problem)),
        problem=problem,
    )


async def delete(visit: Visit) -> Page:
    """POST profiles/{profile}/delete."""
    visit.need("policy")
    profile = await visit.ask("GET", place(visit))
    try:
        if _plain(visit.form.get("name", "")) != _plain(profile.display_name):
            raise Invalid(visit.text(_OTHER_NAME), target="name")
        await visit.delete(place(visit), shown=f"{place(visit)}/configuration")
    except Invalid as problem:
        return await form(visit, problem)
    return visit.go("", said="deleted")


def _plain(name: str) -> str:
    """A name as a page shows it: of blanks in a row one is seen, and some keyboards put accents on by themselves."""
    return " ".join(unicodedata.normalize("NFC", name).split())
