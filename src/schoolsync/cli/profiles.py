"""`schoolsync profile list`, `show`, `pause` and so on: how profiles of a server stand, and what they are to do."""

from __future__ import annotations

from itertools import islice

from schoolsync.cli.answers import tell
from schoolsync.cli.remote import Json, Remote, Whereto

PAGE_MAX = 500


def list_(whereto: Whereto, *, search: str | None, status: str | None, attention: bool, limit: int) -> int:
    """List the tenant's profiles by name."""
    found = Remote(whereto).of_tenant(
        "/profiles",
        search=search,
        status=status,
        attention="true" if attention else None,
        limit=min(limit, PAGE_MAX),
    )
    for one in islice(found, limit):
        _tell(one)
    return 0


def show(whereto: Whereto) -> int:
    """Say how a profile stands: its last good run, the next one, and what is quarantined or set aside."""
    remote = Remote(whereto)
    one, fresh, ladder = remote.get(""), remote.get("/freshness"), remote.get("/quarantine")
    lines = [
        _line(one),
        f"last good run: {_moment(fresh['lastGood'])}; last files: {_moment(fresh['lastUpload'])}; "
        f"next run: {_moment(fresh['nextDue'], 'when files come')}",
    ]
    if ladder["quarantined"]:
        again, end = _moment(ladder["nextTry"]), _moment(ladder["givesUp"])
        lines.append(f"quarantined ({ladder['why']}): tried again {again}, given up {end}")
    for part in ladder["aside"]:
        called = f"school {part['school']}" if part["school"] else f"kind {part['kind']}"
        lines.append(f"set aside: {called} ({part['why']}), tried again {_moment(part['nextTry'])}")
    tell(*lines, **one, freshness=fresh, quarantine=ladder)
    return 0


def act(whereto: Whereto, what: str) -> int:
    """Have a profile paused, resumed or reset."""
    _tell(Remote(whereto).post(f"/{what}"))
    return 0


def delete(whereto: Whereto) -> int:
    """Delete a profile, as Graph's DELETE does."""
    remote = Remote(whereto)
    remote.graph("DELETE")
    tell(f"The profile {remote.profile} is deleted.", id=remote.profile, deleted=True)
    return 0


def _tell(one: Json) -> None:
    tell(_line(one), **one)


def _line(one: Json) -> str:
    said = f": {one['statusMessage']}" if one["statusMessage"] else ""
    return f"{one['id']}  {one['state']}  {one['status'] or 'not synchronized yet'}  {one['displayName']}{said}"


def _moment(text: str | None, none: str = "never") -> str:
    return none if text is None else f"{text[:19]}Z"
