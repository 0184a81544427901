"""Trying a profile's identity rules: a person's values go in, names and the account that fits come out."""

from __future__ import annotations

from typing import Any

from schoolsync.console.catalogue import N_
from schoolsync.console.pages.profiles import place
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


async def form(visit: Visit) -> Page:
    """GET profiles/{profile}/identity."""
    return await _page(visit, None, None)


async def attempt(visit: Visit) -> Page:
    """POST profiles/{profile}/identity."""
    given = {name: visit.form.get(name, "").strip() or None for name, _ in FIELDS}
    try:
        tried = await visit.ask("POST", f"{place(visit)}/identify", body={"role": visit.form.get("role", ""), **given})
    except (Invalid, TooCostly) as problem:
        return await _page(visit, None, problem)
    return await _page(visit, tried, None)


async def _page(visit: Visit, tried: Any, problem: Refused | None) -> Page:
    profile = await visit.ask("GET", place(visit))
    return visit.page(
        "identity.html",
        status=200 if problem is None else 400,
        profile=profile,
        fields=FIELDS,
        given=visit.form,
        tried=tried,
        problem=problem,
    )
