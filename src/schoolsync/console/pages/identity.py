"""Trying a profile's identity rules: a person's values go in, names and the account that fits come out."""

from __future__ import annotations

import asyncio
from typing import Any

from schoolsync.console.catalogue import N_
from schoolsync.console.pages.profiles import TARGETS, place
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Invalid, Refused, TooCostly

FIELDS = (
    # member of the operation's body -> what a roster calls it
    ("sisId", N_("SIS ID")),
    ("username", N_("User name")),
    ("givenName", N_("Given name")),
    ("middleName", N_("Middle name")),
    ("surname", N_("Surname")),
    ("email", N_("Mail address")),
    ("secondaryEmail", N_("Second mail address")),
    ("number", N_("Number of the student or teacher")),
    ("stateId", N_("State ID")),
    ("graduationYear", N_("Graduation year")),
    ("matchId", N_("Active Directory match ID")),
)


RECIPE = (
    # member of a recipe -> what it is called, an example
    ("username", N_("User name, by recipe"), "{givenName:3}.{surname}"),
    ("mail", N_("Mail address, by recipe"), "{alias}@mail.example"),
    ("nickname", N_("Mail nickname, by recipe"), "p-{alias}"),
)
_OPTION = ("source", "target", "domain")


async def form(visit: Visit) -> Page:
    """GET profiles/{profile}/identity."""
    return await _page(visit, None, None)


async def attempt(visit: Visit) -> Page:
    """POST profiles/{profile}/identity."""
    role = visit.form.get("role", "")
    given = {name: visit.form.get(name, "").strip() or None for name, _ in FIELDS}
    try:
        rules = {"settings": _recipes(visit, role), "configuration": await _matching(visit, role)}
        tried = await visit.ask("POST", f"{place(visit)}/identify", body={"role": role, **given, **rules})
    except (Invalid, TooCostly) as problem:
        return await _page(visit, None, problem)
    return await _page(visit, tried, None)


def _recipes(visit: Visit, role: str) -> dict[str, Any] | None:
    """The recipe that is to be tried instead of the saved one."""
    given = {name: visit.form.get(f"recipe.{name}", "").strip() for name, _, _ in RECIPE}
    wanted = {name: value for name, value in given.items() if value}
    return {"recipes": {role: wanted}} if wanted else None


async def _matching(visit: Visit, role: str) -> dict[str, Any] | None:
    """The matching option that is to be tried instead of the saved one of the role."""
    given = {name: visit.form.get(f"match.{name}", "").strip() for name in _OPTION}
    if not given["source"] and not given["target"]:
        return None
    saved = await visit.ask("GET", f"{place(visit)}/configuration")
    options = saved.configuration["identitySynchronizationConfiguration"].get("matchingOptions", [])
    mine = {
        "appliesTo": role,
        "sourcePropertyName": given["source"],
        "targetPropertyName": given["target"],
        "targetDomain": given["domain"] or None,
    }
    others = [one for one in options if one["appliesTo"] != role]
    return {"identitySynchronizationConfiguration": {"matchingOptions": [*others, mine]}}


async def _page(visit: Visit, tried: Any, problem: Refused | None) -> Page:
    profile, found = await asyncio.gather(
        visit.ask("GET", place(visit)), visit.ask("GET", f"{place(visit)}/configuration")
    )
    return visit.page(
        "identity.html",
        matches="matchingOptions" in found.configuration["identitySynchronizationConfiguration"],
        recipe=RECIPE,
        targets=TARGETS,
        status=200 if problem is None else 400,
        profile=profile,
        fields=FIELDS,
        given=visit.form,
        tried=tried,
        problem=problem,
    )
