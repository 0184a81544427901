"""The directory: schools, their classes, their people; search; why somebody is here, or is not, and what happened."""

from __future__ import annotations

import asyncio
from typing import Any

from schoolsync.console.visit import Page, Visit
from schoolsync.errors import NotFound

SHOWN = 40
PROFILES = 50
KINDS = {"schools": "school", "classes": "class", "people": "person"}


async def home(visit: Visit) -> Page:
    """GET directory."""
    kind = visit.query.get("kind", "schools")
    if kind not in KINDS:
        raise NotFound("There is no such list.")
    search, binned = visit.query.get("search", "").strip(), visit.query.get("bin") == "true"
    found = await _list(visit, kind, {"search": search, "bin": "true" if binned else ""})
    template = "directory_list.html" if "hx-request" in visit.arrival.headers else "directory.html"
    return visit.page(template, kind=kind, search=search, binned=binned, **found)


async def school(visit: Visit) -> Page:
    """GET directory/schools/{school}."""
    kind = "people" if visit.query.get("kind") == "people" and visit.may("read.people") else "classes"
    search, key = visit.query.get("search", "").strip(), visit.keys["school"]
    whole, found = await asyncio.gather(
        visit.ask("GET", f"directory/schools/{key}"), _list(visit, kind, {"search": search, "school": key})
    )
    if "hx-request" in visit.arrival.headers:
        return visit.page("directory_list.html", kind=kind, search=search, **found)
    return visit.page("directory_school.html", whole=whole, kind=kind, search=search, **found)


async def group(visit: Visit) -> Page:
    """GET directory/classes/{class}."""
    key = visit.keys["class"]
    whole = await visit.ask("GET", f"directory/classes/{key}")
    found: dict[str, Any] = {"entries": (), "next": None, "looked": None}
    if visit.may("read.people"):
        found = await _list(visit, "people", {"class": key})
    return visit.page("directory_class.html", whole=whole, kind="people", search="", **found)


async def person(visit: Visit) -> Page:
    """GET directory/people/{person}."""
    whole = await visit.ask("GET", f"directory/people/{visit.keys['person']}")
    return visit.page("directory_person.html", whole=whole)


async def restore(visit: Visit) -> Page:
    """POST directory/{schools|classes|people}/{id}/restore."""
    (kind,) = (kind for kind in KINDS if f"/directory/{kind}/" in visit.path)
    (key,) = visit.keys.values()
    await visit.ask("POST", f"directory/{kind}/{key}/restore")
    return visit.go(f"/directory/{kind}/{key}", said="restored")


async def why(visit: Visit) -> Page:
    """GET directory/why."""
    profile, about = visit.query.get("profile", ""), visit.query.get("object", "").strip()
    inside = visit.query.get("in", "").strip()
    among = visit.query.get("among", "").strip()
    choice = await visit.ask("GET", "profiles", {"limit": PROFILES, "search": among})
    profiles = choice.value
    if among and profile not in {one.id for one in profiles}:
        profile = ""  # another one was searched for
    if profile and profile not in {one.id for one in profiles}:
        profiles = (await visit.ask("GET", f"profiles/{profile}"), *profiles)
    if not profile and profiles:
        profile = profiles[0].id
    told = None
    if profile and about:
        told = await visit.ask("GET", f"profiles/{profile}/explain", {"object": about, "in": inside})
    return visit.page(
        "why.html",
        profiles=profiles,
        chosen=profile,
        about=about,
        inside=inside,
        told=told,
        many=choice.next_link is not None,
    )


async def _list(visit: Visit, kind: str, wanted: dict[str, str]) -> dict[str, Any]:
    found = await visit.ask("GET", f"directory/{kind}", {**wanted, "after": visit.query.get("after"), "limit": SHOWN})
    following = found.next_link.rpartition("after=")[2] if found.next_link else None
    return {"entries": found.value, "next": following, "looked": found.looked_at}
